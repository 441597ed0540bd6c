"""The real daemon for programs of others: a home as `mv-iptel init` makes it, free ports, a subprocess."""

from __future__ import annotations

import functools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

from mv_iptel import owning
from mv_iptel.config.editing import changed
from mv_iptel.home import Home

COMMAND = Path(sys.executable).with_name("mv-iptel")
# The longest that anything here may take on a busy machine; nothing waits so long when all is well.
PATIENCE = 30.0

STANDARD = (20, 21, 69, 80, 81, 411, 443, 889, 990)
STATUS = 90  # the status port of these daemons, before the offset
CENTRAL = 93  # the port of their central API, before the offset

Ini = Mapping[tuple[str, str], object]


def are_free(ports: Iterable[int]) -> bool:
    """Whether nobody has any of these now, on any address, for TCP or UDP."""
    with ExitStack() as held:
        try:
            for port in ports:
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    sock = held.enter_context(socket.socket(socket.AF_INET6, kind))
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                    sock.bind(("::", port))
        except OSError:
            return False
    return True


def free_offset(ports: Iterable[int] = (*STANDARD, STATUS, CENTRAL)) -> int:
    """An offset at which these ports are free now.

    Below the ports that the system gives to clients: none of those can come in between.
    """
    ports = tuple(ports)
    while True:
        offset = random.SystemRandom().randrange(10_000, 31_000)
        if are_free(port + offset for port in ports):
            return offset


def free_ports(count: int) -> list[int]:
    """That many ports that are free now."""
    first = free_offset(range(count))
    return [first + number for number in range(count)]


def set_keys(file: Path, keys: Ini) -> None:
    """Set `(section, key): value` in an ini file, as an administrator with an editor would."""
    values = {place: str(value) for place, value in keys.items()}
    file.write_text(changed(file.read_text("utf-8"), values), "utf-8")


def wait_for(what: str, ready: Callable[[], object], patience: float = PATIENCE) -> object:
    """Ask until `ready()` says something true; for what other processes do in their own time."""
    end = time.monotonic() + patience
    while True:
        found = ready()
        if found:
            return found
        assert time.monotonic() < end, f"{what}: nothing after {patience:g} s"
        time.sleep(0.02)


def init(folder: Path, *options: str) -> None:
    """Run `mv-iptel init` for a host with the addresses of this machine's own loop."""
    command = [str(COMMAND), "init", str(folder), "--name", "localhost",
               "--address", "127.0.0.1", "--address", "::1", *options]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@functools.cache
def _pattern() -> tempfile.TemporaryDirectory:
    """The home that others are copies of: nothing in it names its folder, and keys take their time."""
    made = tempfile.TemporaryDirectory(prefix="mv-iptel-pattern-")
    init(Path(made.name, "home"))
    return made


def copied(folder: Path) -> Home:
    """A home as `init` makes it; with the keys and passwords of all that were made so."""
    home = Home(folder)
    assert not home.ini.exists(), f"{folder} is a home already"
    shutil.copytree(Path(_pattern().name, "home"), folder, dirs_exist_ok=True)
    here = owning.accounts()
    if here is not None and os.geteuid() == 0:
        owning.hand_over(home, here)
    return home


class Daemon:
    """One running `mv-iptel serve`. `with Daemon(folder) as daemon:`."""

    def __init__(self, folder: Path, keys: Ini | None = None, ini: str | None = None, mode: str = ""):
        """A home in `folder`, as `init` makes it; `keys` are set in its ini, or `ini` is its whole text.

        With `mode` the ini is that mode's shipped example, and samples name the ports of this daemon.
        """
        self.home = Home(folder)
        self.offset = free_offset()
        ports = [port + self.offset for port in (69, 81, 80, 411, 443, STATUS, 21, CENTRAL)]
        self.tftp, self.http, self.http_alt, self.https, self.https_alt, self.status, self.ftp = ports[:7]
        self.central = ports[7]
        if mode:
            init(folder, "--mode", mode, "--ports-offset", str(self.offset))
        elif self.home.ini.exists():
            init(folder)
        else:
            copied(folder)
        if ini is not None:
            self.home.ini.write_text(ini, "utf-8")
        own: Ini = {
            ("TFTP", "TrivialFTPPort"): self.tftp,
            ("FTP", "FTPPort"): self.ftp,
            ("HTTP", "HTTPPort"): self.http,
            ("HTTP", "HTTPAltPorts"): self.http_alt,
            ("HTTPS", "HTTPSPort"): self.https,
            ("HTTPS", "HTTPSAltPorts"): self.https_alt,
        }
        set_keys(self.home.ini, {
            **({} if mode else own),
            ("BACKUP_SERVERS", "FileServerPort"): self.central,
            ("Settings", "StatusPort"): self.status,
            ("Settings", "LogFormat"): "json",
            **(keys or {}),
        })  # fmt: skip
        self.output = folder / "serve.out"
        self.process: subprocess.Popen | None = None

    def run(
        self, *arguments: str, home: bool = True, status: int | None = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run an `mv-iptel` command against this home; `status` is the exit code it must have, None any."""
        command = [str(COMMAND), *arguments, *(("--home", str(self.home.root)) if home else ())]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert status is None or done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def __enter__(self) -> Daemon:
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [str(COMMAND), "serve", "--home", str(self.home.root)],
                stdout=output, stderr=output, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        wait_for(f"serve ({self.output})", self._up)
        return self

    def _up(self) -> bool:
        assert self.process.poll() is None, f"serve ended: {self.output.read_text()}"
        try:
            return all(one["state"] in {"up", "off"} for one in self.seen()["listeners"])
        except OSError:
            return False

    def __exit__(self, *_: object) -> None:
        """A clean end, and nothing unexpected was ever printed or logged."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        assert code == 0, self.output.read_text()
        self.assert_no_fault()

    def assert_no_fault(self) -> None:
        """No traceback and no fault event, on the screen or in the journal."""
        said = self.output.read_text("utf-8", "replace")
        assert "Traceback" not in said, said
        logged = self.journal()
        assert "Traceback" not in logged
        faults = [line for line in logged.splitlines() if '"fault"' in line]
        assert not faults, "\n".join(faults)

    def journal(self) -> str:
        """The journal so far; its file is there once there was an event to write."""
        log = self.home.log / "MV_IPTel.log"
        return log.read_text("utf-8", "replace") if log.exists() else ""

    def get(self, path: str) -> bytes:
        """GET from the status server."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.status}{path}", timeout=PATIENCE) as answer:
            return answer.read()

    def seen(self) -> dict:
        """`/status.json`."""
        return json.loads(self.get("/status.json"))

    def why(self, address: str, name: str, protocol: str) -> dict:
        """What `mv-iptel why` says; it sends nothing to the phones' ports."""
        done = self.run("why", address, name, "--protocol", protocol, "--json", status=None)
        return json.loads(done.stdout)

    def slots(self) -> list[dict]:
        """What `mv-iptel slots list` says."""
        return json.loads(self.run("slots", "list", "--json").stdout)["slots"]

    def events(self, **wanted: object) -> list[dict]:
        """The finished requests in the journal whose fields have these values."""
        found = []
        log = self.home.log / "MV_IPTel.log"
        if not log.exists():
            return []  # nothing was logged yet
        *lines, _ = log.read_text("utf-8", "replace").split("\n")
        for line in lines:  # without the last, which may be half written
            event = json.loads(line)
            if event["event"] == "finished" and wanted.items() <= event.items():
                found.append(event)
        return found

    def event(self, **wanted: object) -> dict:
        """The one finished request with these values; waits for the journal."""
        wait_for(f"an event with {wanted}", lambda: self.events(**wanted))
        found = self.events(**wanted)
        assert len(found) == 1, found
        return found[0]

    def resident(self) -> int:
        """Resident memory of the server, in octets."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE")

    def write(self, folder: Path, name: str, data: bytes) -> Path:
        """Put a file into a data directory, by rename, as a careful administrator does."""
        target = folder / name
        aside = target.with_name(f".{target.name}.new")
        aside.write_bytes(data)
        aside.replace(target)
        return target
