"""Which directories go where."""

from __future__ import annotations

import os

import pytest

from mv_iptel.home import Home
from mv_iptel.migrating import old, trees
from tests.migrating.reference import write

TFTP, FTP, HTTP, HTTPS = trees.DIRECTORIES


def settled(there, tmp_path, **written):
    named = {(section, f"{section}Dir"): value for section, value in written.items()}
    home = Home(tmp_path / "home")
    found = old.find(there)
    places, news = trees.targets(found, home, named)
    return places, {one: news[one] for one in trees.DIRECTORIES}, home


def test_the_usual_ones(there, tmp_path):
    places, news, home = settled(there, tmp_path)
    data = there / "MV_IPTel" / "data"
    assert places == {
        data / name: home.data / name for name in ("TFTPdata", "FTPdata", "HTTPdata", "HTTPSdata")
    }
    assert news[TFTP].value == "MV_IPTel/data/TFTPdata"


def test_one_directory_for_two_servers_stays_one(there, tmp_path):
    data = there / "MV_IPTel" / "data"
    os.rename(data / "HTTPdata", data / "x")
    os.symlink("TFTPdata", data / "HTTPdata")
    _, news, _ = settled(there, tmp_path, HTTPS="/opt/ecs/mvuser/MV_IPTel/data/TFTPdata")
    assert {news[one].value for one in (TFTP, HTTP, HTTPS)} == {"MV_IPTel/data/TFTPdata"}


def test_one_within_the_other_stays_within(there, tmp_path):
    places, news, home = settled(there, tmp_path, HTTP="MV_IPTel/data/TFTPdata/sub")
    assert news[HTTP].value == "MV_IPTel/data/TFTPdata/sub"
    found = trees.survey(places, ())
    assert len({one.target for one in found.copies}) == len(found.copies)
    assert home.tftp_data / "sub" / "ring.wav" in {one.target for one in found.copies}


@pytest.mark.parametrize(
    "named", ["/opt/ecs/mvuser", "/opt/ecs/mvuser/MV_IPTel", "/opt/ecs/mvuser/MV_IPTel/bin"]
)
def test_what_holds_the_program_is_not_copied(there, tmp_path, named):
    places, news, _ = settled(there, tmp_path, TFTP=named)
    assert news[TFTP].verdict == "decide" and there / "MV_IPTel" not in places


def test_a_directory_that_is_not_there(there, tmp_path):
    _, news, _ = settled(there, tmp_path, TFTP="/tftpboot")
    assert news[TFTP].verdict == "decide" and news[TFTP].value == "MV_IPTel/data/TFTPdata"


def test_a_survey(there, tmp_path):
    places, _, home = settled(there, tmp_path)
    os.mkfifo(there / "MV_IPTel" / "data" / "TFTPdata" / "fifo")
    found = trees.survey(places, [there / "MV_IPTel" / "data" / "FTPdata"])
    links = {one.target.name: one.link for one in found.copies if one.link}
    assert links == {"46XXUPGRADE.SCR": "46xxupgrade.scr"}
    data = {(one.kept.file, one.packed) for one in found.data}
    assert data == {("4711_96xxdata.txt", False), ("4711_4620data.txt", False), ("4712_4620data.txt", False),
                    ("4711_4620data.txt", True)}  # fmt: skip
    assert {one.file.rpartition("/")[2] for one in found.rows} == {"out.txt", "fifo", "month.gz"}
    names = {one.target.name for one in found.copies}
    assert "4610data.txt" in names and "TFTP_allow_IP.txt" in names and "fifo" not in names
    assert all(home.data in one.target.parents for one in found.copies)


def test_other_directories_of_data_come_too_but_no_updates(there, tmp_path):
    write(there / "MV_IPTel" / "data" / "site" / "x.txt", "x")
    places, _, home = settled(there, tmp_path)
    more, rows = trees.others(old.find(there), places, home)
    assert more == {there / "MV_IPTel" / "data" / "site": home.data / "site"}
    assert "Updates" in rows[0].file and "firmware install" in rows[0].why
