"""A whole move: what arrives, what is told, what happens when it is cut off or made again."""

from __future__ import annotations

import os
import shutil
import stat

import pytest

from mv_iptel import config
from mv_iptel.config import Pair
from mv_iptel.home import Home
from mv_iptel.init import MOVED, create
from mv_iptel.migrating import moving, old
from mv_iptel.migrating.copying import BEFORE
from mv_iptel.phones.boot import Servers, drive, dry, play
from mv_iptel.phones.families import Handset
from mv_iptel.userdata import versions
from tests.migrating.reference import WHEN, state, write


def planned(there, home, own=()):
    return moving.plan(old.find(there), home, own)


def tree(home: Home) -> dict[str, bytes]:
    """What phones can get, and what is kept of users."""
    found = {}
    for path in sorted(home.data.rglob("*")):
        if path.is_file() and path.name not in ("mv_watchdog_check.txt", "mv_ca.txt"):
            found[str(path.relative_to(home.data))] = path.read_bytes()
    return found


def test_what_arrives(moved_once):
    plan, done = moved_once
    home = plan.home
    assert (done.users, done.archived) == (3, 1) and done.rows == []
    found = tree(home)
    assert {name for name in found if name.startswith("TFTP")} == {
        "TFTPdata/46xxupgrade.scr", "TFTPdata/46XXUPGRADE.SCR", "TFTPdata/46xxsettings.txt",
        "TFTPdata/sub/ring.wav", "TFTPdata/a20d01b2_9.bin", "TFTPdata/TFTP_allow_IP.txt",
    }  # fmt: skip
    assert found["FTPdata/4711_4620data.txt"] == b"\nNAME=new\n"
    assert found["FTPdata/4711_96xxdata.txt"] == b"NAME=b\n" and "HTTPdata/4711_96xxdata.txt" not in found
    assert found["FTPdata/4712_4620data.txt"] == b"\nNAME=capitals\n"
    loaded = config.load(home)
    assert loaded.settings.server_name == "North" and loaded.snmp.community == "site9"
    assert loaded.backup_servers.custom_ftp_pwd == "@word" and not loaded.https.run_https
    assert loaded.ftp.superuser and loaded.ftp.su_password in home.passwords.read_text()
    assert config.load_watchdog(home).settings.watch_dog_timer == 30
    assert (home.watchdog / "bin" / "mv_iptel_alert.sh.old").exists()
    (held,) = versions.archived_in(versions.archive_of(loaded)).values()
    assert len(held) == 1


def test_samples_do_not_join_the_sites_scripts(moved_once):
    home = moved_once[0].home
    assert sorted(os.listdir(home.http_data)) == ["fxd_settings.txt", "mv_ca.txt", "mv_watchdog_check.txt"]
    assert (home.var / BEFORE / "MV_IPTel" / "data" / "HTTPdata" / "J100Supgrade.txt").exists()
    assert os.listdir(home.https_data) == [] and os.listdir(home.updates) == []


@pytest.mark.parametrize("model", ["4621SW", "4602SW"])
def test_a_phone_boots_from_it(moved_once, model):
    servers = Servers(tftp=("192.0.2.5",))
    got = drive(play(Handset(model), servers), dry(moved_once[0].home.data)).booted
    assert got.ready and got.reboots == 1 and got.parameters["SNMPSTRING"].value == "site9"


def test_what_is_told(moved_once):
    rows = {
        (one.file.rpartition("/")[2], one.key): one for one in moved_once[0].rows if one.verdict == "decide"
    }
    names = {name for name, _ in rows}
    assert names == {"MV_IPTel.ini", "MV_Manager.ini", "mv_iptel_alert.sh", "ha.cf", "Updates", "out.txt",
                     "month.gz", "TFTP_allow_IP.txt", "46xxsettings.txt"}  # fmt: skip
    assert "standby convert" in rows["ha.cf", ""].why and "192.168.38.130" in rows["ha.cf", ""].why
    assert rows["46xxsettings.txt", "FTPSRVR"].old == "192.168.38.7"  # SNMPADD names the pair's address
    assert rows["TFTP_allow_IP.txt", ""].line == 2


def test_originals_are_only_read(there, home):
    before = state(there)
    plan = planned(there, home)
    assert state(there) == before
    moving.move(plan)
    assert state(there) == before
    inodes = {one[0] for one in before.values()}
    assert not any(path.lstat().st_ino in inodes for path in home.root.rglob("*"))


def test_originals_that_nobody_may_write(there, home):
    for path in there.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        done = moving.move(planned(there, home))
    finally:
        for path in there.rglob("*"):
            if path.is_dir():
                path.chmod(0o755)
    assert done.copied
    above, sub = (stat.S_IMODE(one.stat().st_mode) for one in (home.tftp_data, home.tftp_data / "sub"))
    assert above == sub  # who may read the one may read the other


def test_it_can_be_cut_off_anywhere(moved_once, there, home):
    """After each file in turn the move ends; the next one goes on. The result is that of one move."""
    steps = len(moved_once[0].found.copies) + 3

    class Cut(Exception):
        pass

    for allowed in range(0, steps, 4):
        left = [allowed]

        def progress(_octets: int, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Cut

        with pytest.raises(Cut):
            moving.move(planned(there, home), progress=progress)
    moving.move(planned(there, home))
    assert tree(home) == tree(moved_once[0].home)


def test_made_again_before_the_switch(there, home):
    moving.move(planned(there, home))
    first = tree(home)
    done = moving.move(planned(there, home))
    assert (done.copied, done.users, done.archived, done.rows) == (0, 0, 0, []) and tree(home) == first
    create(home)  # as after an upgrade of the package: no sample comes back
    assert tree(home) == first
    data = there / "MV_IPTel" / "data"
    write(data / "FTPdata" / "4711_4620data.txt", "\nNAME=later\n", WHEN + 999)
    write(data / "TFTPdata" / "46xxsettings.txt", "SET X 1\n", WHEN + 999)
    write(home.tftp_data / "46xxupgrade.scr", "## edited here\n", WHEN + 5000)
    home.ini.write_text(config.changed(home.ini.read_text("utf-8"), {("HTTP", "HTTPPort"): "8081"}), "utf-8")
    done = moving.move(planned(there, home))
    assert (done.copied, done.users, done.archived) == (1, 1, 1)
    assert (home.tftp_data / "46xxupgrade.scr").read_bytes() == b"## edited here\n"
    assert config.load(home).http.http_port == 8081
    assert [(one.file.rpartition("/")[2], one.verdict) for one in done.rows] == [("MV_IPTel.ini", "changed")]


def test_into_a_home_that_init_has_made(there, home):
    write(home.tftp_data / "own.txt", "the site's own")
    write(home.ftp_data / "4711_4620data.txt", "\nNAME=here already\n", WHEN + 5000)
    community = config.load(home).snmp.community
    moving.move(planned(there, home))
    assert (home.ftp_data / "4711_4620data.txt").read_bytes() == b"\nNAME=here already\n"
    assert (home.tftp_data / "own.txt").exists() and not (home.http_data / "J100Supgrade.txt").exists()
    kept = home.var / BEFORE / "MV_IPTel" / "bin" / "MV_IPTel.ini"
    assert community in kept.read_text("utf-8") and config.load(home).snmp.community == "site9"


def test_a_certificate_that_can_be_used_comes_along(there, home, moved_once):
    other = moved_once[0].home
    target = there / "MV_IPTel" / "certs"
    target.mkdir()
    shutil.copy(other.cert_file, target / "IPTelcert.pem")
    shutil.copy(other.key_file, target / "IPTelkey.pem")
    before = home.cert_file.read_bytes()
    plan = planned(there, home)
    assert plan.cert == Pair(target / "IPTelcert.pem", target / "IPTelkey.pem")
    moving.move(plan)
    assert before != home.cert_file.read_bytes() == other.cert_file.read_bytes()
    assert stat.S_IMODE(home.key_file.stat().st_mode) & 0o007 == 0


def test_a_certificate_that_cannot_is_told(there, tmp_path):
    write(there / "MV_IPTel" / "certs" / "IPTelcert.pem", "x")
    write(there / "MV_IPTel" / "certs" / "IPTelkey.pem", "x")
    plan = planned(there, Home(tmp_path / "home"))
    (row,) = (one for one in plan.rows if one.key == "CertFile")
    assert plan.cert is None and row.verdict == "decide" and "this home's own certificate" in row.why


def test_one_directory_for_all(there, home):
    ini = there / "MV_IPTel" / "bin" / "MV_IPTel.ini"
    write(
        ini,
        ini.read_text().replace("data/HTTPdata", "data/TFTPdata").replace("data/HTTPSdata", "data/TFTPdata"),
    )
    plan = planned(there, home, ["192.168.38.7"])
    assert not any(one.key == "FTPSRVR" for one in plan.rows)
    moving.move(plan)
    loaded = config.load(home)
    assert loaded.tftp.tftp_dir == loaded.http.http_dir == loaded.https.https_dir == home.tftp_data


def test_no_room_is_known_before(there, tmp_path, monkeypatch):
    plan = planned(there, Home(tmp_path / "home"))
    assert moving.room(plan) == ""
    monkeypatch.setattr(moving, "SPARE", 1 << 62)
    assert "MiB are needed" in moving.room(plan)


def test_the_record_is_for_the_group_alone(moved_once):
    assert stat.S_IMODE((moved_once[0].home.var / MOVED).stat().st_mode) & 0o007 == 0
