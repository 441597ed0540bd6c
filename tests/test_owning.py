"""Each process's files are its own or its group's, and a service cannot make root give it more."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from mv_iptel import owning
from mv_iptel.home import Home
from mv_iptel.init import create
from tests.others import ACCOUNTS, GROUP, SERVER, root_only, shared

ROOT = Path(__file__).resolve().parent.parent
HERE = ACCOUNTS


def _state(path: Path) -> tuple[int, int, int]:
    there = path.lstat()
    return there.st_uid, there.st_gid, stat.S_IMODE(there.st_mode)


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    for directory in home.directories():
        directory.mkdir()
    for path, mode in (
        (home.ini, 0o640), (home.manager_ini, 0o640), (home.watchdog_ini, 0o640), (home.passwords, 0o600),
        (home.key_file, 0o640), (home.cert_file, 0o644), (home.ca_key, 0o600), (home.token, 0o640),
        (home.http_data / "46xxsettings.txt", 0o644), (home.watchdog / "bin" / "mv_iptel_alert.sh", 0o755),
    ):  # fmt: skip
        path.touch()
        path.chmod(mode)
    return home


@root_only
def test_who_has_what(home):
    owning.hand_over(home, HERE)
    server, manager, watchdog, group = 20001, 20002, 20003, 20100
    for path, told in (
        (home.root, (0, 0, 0o755)),
        (home.bin, (0, group, 0o750)),
        (home.ini, (0, group, 0o640)),
        (home.data, (server, group, 0o2770)),
        (home.http_data / "46xxsettings.txt", (server, group, 0o644)),
        (home.var / "versions", (server, group, 0o2770)),
        (home.token, (server, group, 0o640)),
        (home.log, (server, group, 0o2750)),
        (home.certs, (manager, group, 0o2750)),
        (home.key_file, (manager, group, 0o640)),
        (home.ca, (manager, group, 0o700)),
        (home.ca_key, (manager, group, 0o600)),
        (home.passwords, (manager, group, 0o600)),
        (home.manager_ini, (0, group, 0o640)),
        (home.watchdog / "log", (watchdog, group, 0o2750)),
        (home.watchdog / "bin", (0, group, 0o755)),
        (home.watchdog / "bin" / "mv_iptel_alert.sh", (0, 0, 0o755)),
    ):
        assert _state(path) == told, path


@root_only
def test_what_a_service_made_stays_as_it_made_it(home):
    pins = home.var / "pins"
    pins.mkdir(mode=0o700)
    os.chown(pins, 20001, 20100)
    kept = home.ftp_data / "4711_4620data.txt"
    kept.touch()
    os.chown(kept, 20002, 20100)
    owning.hand_over(home, HERE)
    assert _state(pins) == (20001, 20100, 0o700) and _state(kept)[:2] == (20002, 20100)


@root_only
def test_nothing_is_given_away_through_links(home, tmp_path):
    """A service that was taken over lays out links and waits for root's next `init`."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "shadow").touch(mode=0o600)
    os.symlink(outside / "shadow", home.http_data / "a.txt")
    os.symlink(outside, home.http_data / "folder")
    os.link(outside / "shadow", home.http_data / "second.txt")
    home.updates.rmdir()
    os.symlink(outside, home.updates)
    before = _state(outside), _state(outside / "shadow")
    owning.hand_over(home, HERE)
    assert (_state(outside), _state(outside / "shadow")) == before


@root_only
def test_a_second_time_changes_nothing(home):
    owning.hand_over(home, HERE)
    before = {path: _state(path) for path in home.root.rglob("*")}
    owning.hand_over(home, HERE)
    assert {path: _state(path) for path in home.root.rglob("*")} == before


def test_without_the_accounts_everything_stays(monkeypatch):
    monkeypatch.setattr(owning, "GROUP", "no-such-group-here")
    assert owning.accounts() is None


def test_every_directory_of_a_home_has_an_owner():
    home = Home(Path("/h"))
    told = {home.root / one.path for one in owning.DIRECTORIES}
    assert told == set(home.directories())


def test_the_table_of_the_package_is_this_one():
    """At each boot systemd-tmpfiles puts right what `init` made."""
    lines = (ROOT / "packaging/tmpfiles.d/mv-iptel.conf").read_text("ascii").splitlines()
    told = [line.split() for line in lines if line and line[0] != "#"]
    assert {line[0] for line in told} == {"d"}
    rows = {(line[1].removeprefix("/var/lib/mv-iptel").lstrip("/"), line[3], line[4], int(line[2], 8))
            for line in told}  # fmt: skip
    assert rows == {tuple(one) for one in owning.DIRECTORIES}


def test_the_users_of_the_package_are_these():
    lines = (ROOT / "packaging/sysusers.d/mv-iptel.conf").read_text("ascii").splitlines()
    told = [line.split()[:3] for line in lines if line and line[0] != "#"]
    assert told == [["g", owning.GROUP, "-"], *(["u", name, f"-:{owning.GROUP}"] for name in owning.USERS)]


@root_only
def test_root_completes_a_home_as_its_owner_would():
    """Links that the server has laid out lead root's `init` to nothing that the server could not write to."""
    with shared() as place:
        home = Home(place.parent / "home")
        create(home, "localhost", ["127.0.0.1"])
        owning.hand_over(home, ACCOUNTS)
        outside = place.parent / "root's"
        outside.mkdir(mode=0o755)
        (outside / "anything").touch()
        for folder in (home.http_data, home.tftp_data):
            shutil.rmtree(folder)
            folder.symlink_to(outside)
            os.chown(folder, SERVER, GROUP, follow_symlinks=False)
        home.token.unlink()
        shutil.rmtree(home.updates)
        with pytest.raises(PermissionError):
            create(home, "localhost", ["127.0.0.1"])
        assert os.listdir(outside) == ["anything"] and os.geteuid() == os.getegid() == 0
        home.http_data.unlink()
        home.tftp_data.unlink()
        create(home, "localhost", ["127.0.0.1"])
        owning.hand_over(home, ACCOUNTS)
        assert _state(home.token) == (SERVER, GROUP, 0o640)
        assert _state(home.updates) == (SERVER, GROUP, 0o2770)
        assert _state(home.http_data / "46xxsettings.txt") == (SERVER, GROUP, 0o644)


@root_only
def test_where_the_owner_cannot_come_root_stays_root(tmp_path):
    tmp_path.chmod(0o700)
    folder = tmp_path / "data"
    folder.mkdir()
    os.chown(folder, SERVER, GROUP)
    with owning.as_owner(folder):
        assert os.geteuid() == 0


@root_only
def test_what_the_owner_starts_has_no_way_back():
    with shared() as var, tempfile.NamedTemporaryFile() as roots:
        with owning.as_owner(var):
            told = subprocess.run(["sh", "-c", "id -u; id -ru; id -G"], capture_output=True, text=True)
            (var / "made").touch()
        assert told.stdout.split() == [str(SERVER), str(SERVER), str(GROUP)]
        assert _state(var / "made") == (SERVER, GROUP, 0o660) and os.getresuid() == (0, 0, 0)
        with owning.as_owner(var, [Path(roots.name)]):  # 0600
            assert os.geteuid() == 0
        with owning.as_owner(var / "missing"):
            assert os.geteuid() == 0
