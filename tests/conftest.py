"""What all tests share: the counts of the proofs, where results go, and programs that may be missing."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.clients.daemon import Daemon

# A shell's background job ignores Ctrl-C, and so would every program that a test starts and ends with it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Examples are counted, not timed: other work on the machine must not decide over a test.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

# Where Debian keeps each program; a test names what it could not run.
PACKAGES = {
    "tftp": "tftp-hpa",
    "atftp": "atftp",
    "busybox": "busybox",
    "curl": "curl",
    "openssl": "openssl",
    "sslscan": "sslscan",
    "ip": "iproute2",
    "snmpd": "snmpd",
    "snmpget": "snmp",
    "lftp": "lftp",
    "nmap": "nmap",
    "strace": "strace",
    "vsftpd": "vsftpd",
    "keepalived": "keepalived",
    "dhcpd": "isc-dhcp-server",
    "kea-dhcp4": "kea-dhcp4-server",
    "dnsmasq": "dnsmasq-base",
    "debootstrap": "debootstrap",
    "rpmbuild": "rpm",
    "groff": "groff-base",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "systemd-analyze": "systemd",
}

# name: (what a plain `make test` does, what it counts); `make prove` passes larger ones.
COUNTS = {
    "transfers": (100, "TFTP transfers at once"),
    "relay": (16, "TFTP transfers through the relay that loses, doubles and reorders"),
    "relay-size": (64 * 1024, "octets of each transfer through the relay"),
    "storm": (30, "phones in the storm"),
    "bad": (20_000, "bad requests"),
    "kills": (5, "kills of the server while phones store"),
    "rollout": (40, "phones of a roll-out"),
    "scan": (60, "phones that a scan asks"),
    "central-kills": (2, "kills of a centre, its branches and publications"),
    "users": (300, "users whose data the manager lists"),
    "manager-kills": (1, "kills of the manager while it saves a file"),
    "shown": (2000, "phones in the inventory that the manager's pages are timed with"),
    "watch-seconds": (0, "seconds of storm beside the watchdog"),
    "firmware-size": (32 << 20, "octets of the firmware whose way to a branch is cut"),
}

# These take longest, though some have few tests: they begin first, so that no worker is left alone with one.
LONG = (
    "clients/test_userdata_kills", "clients/test_central_sites", "clients/test_userdata_proofs",
    "clients/test_central_kills", "clients/test_manager_pages", "clients/test_scan",
    "clients/test_branch_kills", "clients/test_central_lines", "clients/test_manager_files",
    "clients/test_manager_users", "stories/test_saves", "clients/test_manager_overview",
    "rollout/test_storms", "clients/test_manager_firmware", "clients/test_manager_attacks",
    "test_hostile", "clients/test_userdata_http", "clients/test_watchdog", "clients/test_superuser",
    "clients/test_reload", "clients/test_many", "test_demo", "clients/test_standby",
    "clients/test_manager_phones", "clients/test_manager_process", "clients/test_ftp",
    "clients/test_downloads", "clients/test_central_api", "clients/test_reference", "test_modes",
)  # fmt: skip

_missing: set[str] = set()


def pytest_configure(config: pytest.Config) -> None:
    """The workers take files in the order of collection; programs that tests start are compiled once."""
    config.option.loadscopereorder = False
    if sys.dont_write_bytecode and not hasattr(config, "workerinput"):
        # Not beside the sources, then: else each of some hundred processes would compile all of them.
        kept = tempfile.TemporaryDirectory(prefix="mv-iptel-bytecode-")
        config.add_cleanup(kept.cleanup)
        os.environ["PYTHONPYCACHEPREFIX"] = kept.name
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        places = {Path(__file__).parent / f"{one}.py": at for at, one in enumerate(LONG)}
        items.sort(key=lambda item: places.get(item.path, len(LONG)))


def pytest_addoption(parser: pytest.Parser) -> None:
    for name, (small, what) in COUNTS.items():
        parser.addoption(f"--{name}", type=int, default=small, help=f"{what} ({small})")
    parser.addoption("--evidence", type=Path, default=None, help="directory for the results of the proofs")
    parser.addoption(
        "--pictures", type=Path, default=None, help="directory for pictures of the manager's pages"
    )


def program(name: str) -> str:
    """The path of a program that we did not write; the test is skipped, by name, where it is missing."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        _missing.add(name)
        pytest.skip(f"client missing: {name} (Debian package {PACKAGES.get(name, name)})")
    return path


@pytest.fixture(name="program", scope="session")
def program_fixture():
    """`program(name)`: its path, or the test is skipped and the summary names it."""
    return program


@pytest.fixture
def count(request):
    """`count(name)`: how many of them this run proves, see COUNTS."""
    return lambda name: request.config.getoption(f"--{name}")


@pytest.fixture
def evidence(request):
    """`evidence(name, **figures)`: kept as NAME.json where --evidence names a directory."""
    folder = request.config.getoption("--evidence")

    def keep(name: str, **figures: object) -> None:
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        machine = {"cpus": os.cpu_count(), "system": platform.system(), "python": platform.python_version()}
        record = {
            "proof": name,
            "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
            "test": request.node.nodeid,
            "machine": machine,
            **figures,
        }
        (folder / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")

    return keep


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder for the home of a module's daemon."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def daemon(home):
    """The real `mv-iptel serve`, as `init` sets it up, on free ports; at the end it ended cleanly."""
    with Daemon(home) as running:
        yield running


def pytest_terminal_summary(terminalreporter) -> None:
    for name in sorted(_missing):
        package = PACKAGES.get(name, name)
        terminalreporter.write_line(f"skipped for want of a client: {name} (Debian package {package})")
