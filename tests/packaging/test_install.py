"""The packages as an installer has them: built, installed into a Debian of its own, upgraded, purged.

Each test goes on where the one before it ended, as the life of an installation does.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.daemon import set_keys
from tests.conftest import program
from tests.packaging import roots
from tests.packaging.roots import Root
from tests.packaging.tools import PROJECT

pytestmark = [pytest.mark.prove, pytest.mark.timeout(1800)]

HOME = "var/lib/mv-iptel"
UNITS = ("mv-iptel.service", "mv-manager.service", "mv-watchdog.service", "mv-iptel-certs.service",
         "mv-iptel-certs.timer")  # fmt: skip
# What dpkg and apt write for themselves, logs, and the lists of users, which keep those of the home.
NOT_OURS = ("/var/lib/mv-iptel", "/var/lib/dpkg", "/var/lib/apt", "/var/cache", "/var/log", "/tmp", "/run",
            "/proc", "/etc/passwd", "/etc/passwd-", "/etc/group", "/etc/group-", "/etc/shadow",
            "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/.pwd.lock")  # fmt: skip
BIND_LOW = 1 << 10  # CAP_NET_BIND_SERVICE

found: dict[str, object] = {}  # what the evidence tells


@pytest.fixture(scope="module", autouse=True)
def able(request):
    """Only where it was asked for, as root, with the tools: it takes minutes and a Debian mirror."""
    if not request.config.getoption("-m") and "test_install" not in " ".join(request.config.args):
        pytest.skip("a proof: make prove")
    if os.geteuid() != 0:
        pytest.skip("needs root: a root directory is entered")
    for name in ("debootstrap", "dpkg-deb", "rpmbuild", "rpm2cpio", "cpio", "unshare", "nsenter"):
        program(name)
    if not roots.mirror():
        pytest.skip("apt knows no mirror here")


@pytest.fixture(scope="module")
def built(able, tmp_path_factory):
    """{suffix: file} of what `make package` builds."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, str(PROJECT / "packaging/build.py"), "sdist", "wheel", "deb", "rpm"]
    done = subprocess.run([*command, "--out", str(out)], text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return {path.suffix: path for path in out.iterdir()}


@pytest.fixture(scope="module")
def next_deb(built, tmp_path_factory):
    """The next version: the same files under a higher number."""
    folder = tmp_path_factory.mktemp("next")
    subprocess.run(["dpkg-deb", "-R", str(built[".deb"]), str(folder / "tree")], check=True)
    control = folder / "tree/DEBIAN/control"
    control.write_text(control.read_text().replace("-1\n", "-2\n", 1))
    pack = ["dpkg-deb", "--root-owner-group", "-Znone", "-b", str(folder / "tree"), str(folder / "2.deb")]
    subprocess.run(pack, check=True, stdout=subprocess.DEVNULL)
    return folder / "2.deb"


@pytest.fixture(scope="module")
def root(built, next_deb, tmp_path_factory):
    """A Debian with what the package depends on, and both packages in /tmp."""
    root = Root.make(tmp_path_factory.mktemp("root") / "debian", program("debootstrap"))
    depends = subprocess.run(
        ["dpkg-deb", "-f", str(built[".deb"]), "Depends"], text=True, capture_output=True
    )
    root.run(
        "apt-get", "install", "-y", "-q", "--no-install-recommends", "rpm", *roots.chosen(depends.stdout)
    )
    shutil.copy(built[".deb"], root.path / "tmp/1.deb")
    shutil.copy(next_deb, root.path / "tmp/2.deb")
    shutil.copy(built[".rpm"], root.path / "tmp/1.rpm")
    yield root
    shutil.rmtree(root.path)  # a whole Debian is much to keep


@pytest.fixture(scope="module")
def before(root):
    """The root's files before the package."""
    return root.files(*NOT_OURS)


def install(root: Root, package: str) -> str:
    """As an administrator does, with the network gone: nothing is fetched, nothing asked."""
    done = root.run("apt-get", "install", "-y", "-q", "--no-install-recommends", f"/tmp/{package}")
    assert "warning" not in done.stderr.lower(), done.stderr
    return done.stdout


def test_it_installs_and_makes_a_home_without_a_question(root, before):
    with root.alone():
        said = install(root, "1.deb")
    assert "/var/lib/mv-iptel was made" in said
    passwords = root.path / HOME / "initial-passwords.txt"
    assert passwords.stat().st_mode & 0o777 == 0o600
    wanted = root.path / "etc/systemd/system/multi-user.target.wants"
    assert {path.name for path in wanted.iterdir()} >= set(UNITS[:3])
    assert root.run("mv-iptel", "--version").stdout.startswith("mv-iptel, version")


def test_no_file_of_it_lies_where_an_administrator_writes(root):
    files = root.run("dpkg", "-L", "mv-iptel").stdout.splitlines()
    assert [
        path for path in files if path.startswith(("/etc/", "/usr/local/", "/var/", "/home/", "/root/"))
    ] == []


def test_the_units_are_right(root):
    paths = [f"/usr/lib/systemd/system/{unit}" for unit in UNITS]
    with root.alone():
        done = root.run("systemd-analyze", "verify", "--man=no", *paths)
    assert done.stdout + done.stderr == ""
    found["verified"] = list(UNITS)


def test_the_server_of_its_unit_serves_a_phone(root):
    """ExecStart's own line, as its own user, on the ports below 1024; the other two beside it."""
    with root.alone(), root.service("mv-iptel.service") as server:
        assert server.user() == "mv-iptel"
        assert server.rights() == BIND_LOW
        boots = []
        for model in ("4621SW", "9640", "9611G", "J179"):
            boot = root.run("mv-iptel", "sim", "boot", "--model", model, "--json")
            asked = json.loads(boot.stdout)["requests"]
            boots.append({"model": model, "files": sum(one["result"] == "ok" for one in asked)})
            assert boots[-1]["files"] >= 2
        with root.service("mv-manager.service") as manager, root.service("mv-watchdog.service") as watchdog:
            assert (manager.user(), manager.rights()) == ("mv-manager", 0)
            assert (watchdog.user(), watchdog.rights()) == ("mv-watchdog", 0)
        status = json.loads(root.run("mv-iptel", "status", "--json").stdout)
        up = sorted({one["port"] for one in status["listeners"] if one["state"] == "up"})
    assert {21, 69, 80, 81, 411, 443} <= set(up)
    found["served"] = {"user": "mv-iptel", "ports": up, "boots": boots}


def test_certificates_are_renewed_by_the_unit_of_the_timer(root):
    unit = roots.Unit.read(root.path / "usr/lib/systemd/system/mv-iptel-certs.service")
    with root.alone():
        assert "not due" in root.run(*unit.command()).stdout


def test_an_upgrade_keeps_what_the_administrator_did(root):
    ini = root.path / HOME / "MV_IPTel/bin/MV_IPTel.ini"
    set_keys(ini, {("Settings", "MaxClients"): 7})
    edited = ini.read_bytes().replace(b"MaxClients", b"# ours\nMaxClients", 1) + b"\n# our last line\n"
    ini.write_bytes(edited)
    sample = root.path / HOME / "MV_IPTel/data/TFTPdata/46xxsettings.txt"
    sample.unlink()
    backup = root.path / HOME / "MV_IPTel/data/FTPdata/4711_4620data.txt"
    backup.write_bytes(b"a user's own\n")
    tree = root.files(*NOT_OURS[1:])
    secret = ("MV_IPTel/certs/IPTelkey.pem", "MV_Manager/ca/ca-key.pem", "initial-passwords.txt")
    keys = {path: (root.path / HOME / path).read_bytes() for path in secret}
    root.run("systemctl", "disable", "mv-manager.service")
    with root.alone():
        said = install(root, "2.deb")
    assert "-2" in root.run("dpkg-query", "-W", "-f", "${Version}", "mv-iptel").stdout
    assert "was made" not in said
    assert ini.read_bytes() == edited
    assert not sample.exists() and backup.read_bytes() == b"a user's own\n"
    assert {path: (root.path / HOME / path).read_bytes() for path in keys} == keys
    after = root.files(*NOT_OURS[1:])
    wants = "/etc/systemd/system/multi-user.target.wants/mv-manager.service"
    assert {path for path in tree.keys() ^ after.keys()} == {wants} and wants not in after
    with root.alone(), root.service("mv-iptel.service"):
        assert root.run("mv-iptel", "sim", "boot", "--model", "9640").returncode == 0
    found["upgrade"] = (
        "an edited ini, a deleted sample, a service switched off, keys and user data as they were"
    )


def test_purged_it_leaves_nothing_but_data(root, before):
    home = {path for path in root.files() if path.startswith(f"/{HOME}")}
    with root.alone():
        root.run("apt-get", "remove", "-y", "-q", "mv-iptel")
        root.run("dpkg", "--purge", "mv-iptel")
    # Of every package that lies in /opt the last one takes the empty folder with it: dpkg's way.
    assert {"/opt": before["/opt"], **root.files(*NOT_OURS)} == before
    assert {path for path in root.files() if path.startswith(f"/{HOME}")} == home
    assert "mv-iptel:" in (root.path / "etc/passwd").read_text()


def test_a_home_that_was_left_is_taken_up_again(root):
    ini = (root.path / HOME / "MV_IPTel/bin/MV_IPTel.ini").read_bytes()
    with root.alone():
        install(root, "1.deb")
        assert (root.path / HOME / "MV_IPTel/bin/MV_IPTel.ini").read_bytes() == ini
        assert not (root.path / HOME / "MV_IPTel/data/TFTPdata/46xxsettings.txt").exists()
        with root.service("mv-iptel.service"):
            root.run("mv-iptel", "sim", "boot", "--model", "9640")
        # Who removed the home, too, gets rid of its users with the package.
        shutil.rmtree(root.path / HOME)
        root.run("dpkg", "--purge", "mv-iptel")
    left = (root.path / "etc/passwd").read_text() + (root.path / "etc/group").read_text()
    assert "mv-" not in left and "mvuser" not in left


def test_the_scripts_of_the_rpm_do_the_same(root, before):
    """By rpm itself, in the Debian that is here: the names of its dependencies are another system's."""
    database = ("--dbpath", "/tmp/rpm")
    with root.alone():
        said = root.run("rpm", *database, "-i", "--force-debian", "--nodeps", "/tmp/1.rpm").stdout
        assert "/var/lib/mv-iptel was made" in said
        assert (root.path / "etc/systemd/system/multi-user.target.wants/mv-iptel.service").is_symlink()
        with root.service("mv-iptel.service") as server:
            assert (server.user(), server.rights()) == ("mv-iptel", BIND_LOW)
            root.run("mv-iptel", "sim", "boot", "--model", "9640")
        root.run("rpm", *database, "-e", "--force-debian", "mv-iptel")
    assert root.files(*NOT_OURS) == before
    found["rpm"] = "installed, served a phone, removed; the home stayed"


def contents(folder: Path) -> dict[str, tuple[int, object]]:
    """{path: (mode, what is in it)}; directories that other packages have as well only by their name."""
    seen = {}
    for path in sorted(folder.rglob("*")):
        place = str(path.relative_to(folder))
        if path.is_symlink():
            seen[place] = (0, os.readlink(path))
        elif path.is_dir():
            seen[place] = (0, "")
        else:
            seen[place] = (path.stat().st_mode, path.read_bytes())
    return seen


def test_the_rpm_unpacks_to_the_same_tree(built, tmp_path, evidence):
    deb, rpm = tmp_path / "deb", tmp_path / "rpm"
    subprocess.run(["dpkg-deb", "-x", str(built[".deb"]), str(deb)], check=True)
    rpm.mkdir()
    with subprocess.Popen(["rpm2cpio", str(built[".rpm"])], stdout=subprocess.PIPE) as unpacked:
        subprocess.run(["cpio", "-idm", "--quiet"], cwd=rpm, stdin=unpacked.stdout, check=True)
    one, other = contents(deb), contents(rpm)
    assert {path for path in one.keys() ^ other.keys()} == set()
    assert [path for path in one if one[path] != other[path]] == []
    form = "[%{FILEUSERNAME}:%{FILEGROUPNAME} ]"
    query = ["rpm", "--dbpath", str(tmp_path / "db"), "-qp", "--qf", form, str(built[".rpm"])]
    owners = subprocess.run(query, text=True, capture_output=True, check=True).stdout
    assert set(owners.split()) == {"root:root"}
    sizes = {path.name: path.stat().st_size for path in built.values()}
    evidence("packages", packages=sizes, files=len(one), **found)


def test_sdist_and_wheel_install_with_pip(built, tmp_path):
    """Each in an environment of its own, far from the checkout: init, and a phone without a network."""
    for suffix in (".gz", ".whl"):
        place = tmp_path / suffix[1:]
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        pip = [str(place / "bin/python"), "-m", "pip", "--disable-pip-version-check", "-qq"]
        subprocess.run([*pip, "install", "--prefer-binary", str(built[suffix])], check=True, cwd=tmp_path)
        home = tmp_path / f"home-{suffix[1:]}"
        run = [str(place / "bin/mv-iptel")]
        subprocess.run(
            [*run, "init", str(home), "--address", "192.0.2.10"], check=True, stdout=subprocess.DEVNULL
        )
        data = home / "MV_IPTel/data"
        subprocess.run(
            [*run, "sim", "boot", "--model", "J179", "--dry", str(data)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        assert (home / "MV_WatchDog/bin/mv_iptel_alert.sh").exists()
        for command in ("mv-manager", "mv-watchdog"):
            subprocess.run([str(place / "bin" / command), "--version"], check=True, stdout=subprocess.DEVNULL)
