"""The commands `settings log` and `settings undo`: over a home without a server."""

from __future__ import annotations

import json
import os
import stat
import sys

import pytest
from click.testing import CliRunner

from mv_iptel.cli.settings import settings
from tests.history.desk import Desk

FIRST = "## all\nSET L2QVLAN 20\nSET SNMPSTRING first\n"
SECOND = "## all\nSET L2QVLAN 30\nSET PHNCC 1\nSET SNMPSTRING second\n"


@pytest.fixture
def site(tmp_path):
    desk = Desk(tmp_path)
    desk.home.bin.mkdir(parents=True)
    desk.home.ini.write_text("[Settings]\nServerName=files1\n")
    desk.time -= 86400
    return desk


def run(desk, *words, code=0):
    done = CliRunner().invoke(settings, [*words, "--home", str(desk.home.root)])
    assert done.exit_code == code, done.output
    return done.output


def told(desk, *words, code=0):
    return json.loads(run(desk, *words, "--json", code=code))


def test_nothing_is_kept_yet(site):
    assert "nothing is kept" in run(site, "log", code=1)
    assert "no copy is kept of x.txt" in run(site, "undo", "x.txt", code=1)


def test_the_log_takes_stock_first(site):
    site.write(FIRST)
    assert "first copy" in run(site, "log", "46xxsettings.txt")
    site.write(SECOND)
    shown = run(site, "log", "46XXSETTINGS.txt")
    assert "+3 -2" in shown
    assert "    2 - SET L2QVLAN 20" in shown and "    3 + SET PHNCC 1" in shown
    assert "SET SNMPSTRING (hidden)" in shown and "second" not in shown
    rows = told(site, "log", "HTTPdata/46xxsettings.txt")
    assert [row["first"] for row in rows] == [False, True]
    assert "second" not in json.dumps(rows)
    assert run(site, "log", str(site.home.http_data / "46xxsettings.txt")) == shown
    raw = run(site, "log", "46xxsettings.txt", "--raw", rows[1]["version"])
    assert raw == FIRST


def test_the_log_of_all_files_has_changes_not_beginnings(site):
    site.write(FIRST)
    site.write("GET 46xxsettings.txt\n", "46xxupgrade.scr")
    assert run(site, "log").count("first copy") == 2  # there is no change yet
    (site.home.http_data / "46xxupgrade.scr").unlink()
    site.write(SECOND)
    shown = run(site, "log")
    assert "removed" in shown and "first copy" not in shown
    assert run(site, "log", "--all").count("first copy") == 2


def test_undo_and_undo_again(site):
    path = site.write(FIRST)
    run(site, "log")
    site.write(SECOND)
    if sys.platform != "win32":
        os.chmod(path, 0o640)
    assert "+ SET L2QVLAN 20" in run(site, "undo", "46xxsettings.txt", "--dry")
    assert path.read_text() == SECOND
    done = told(site, "undo", "46xxsettings.txt")
    assert path.read_text() == FIRST and done["done"]
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
    run(site, "undo", "46xxsettings.txt", done["replaced"])
    assert path.read_text() == SECOND
    assert len(told(site, "log", "46xxsettings.txt")) == 4
    assert "already" in run(site, "undo", "46xxsettings.txt", done["replaced"])


def test_undo_brings_a_removed_file_back(site):
    path = site.write(FIRST)
    run(site, "log")
    path.unlink()
    run(site, "undo", "46xxsettings.txt")
    assert path.read_text() == FIRST
    gone = next(row["version"] for row in told(site, "log", "46xxsettings.txt") if row["removed"])
    assert "by hand" in run(site, "undo", "46xxsettings.txt", gone, code=1)
    assert "nothing to go back to" in run(site, "undo", "46xxsettings.txt", code=1)


def test_undo_tells_what_is_broken_in_what_it_brought_back(site):
    site.write("GOTO NOWHERE\n")
    run(site, "log")
    site.write(FIRST)
    assert "NOWHERE" in run(site, "undo", "46xxsettings.txt")
    assert told(site, "undo", "46xxsettings.txt")["broken"] == []


def test_one_name_in_two_directories(site):
    site.write(FIRST)
    site.write(FIRST, folder=site.home.tftp_data)
    assert "HTTPdata/46xxsettings.txt, TFTPdata/46xxsettings.txt" in run(
        site, "undo", "46xxsettings.txt", code=2
    )
    assert len(told(site, "log", "46xxsettings.txt")) == 2
    assert "--raw needs one file" in run(site, "log", "46xxsettings.txt", "--raw", "2", code=2)


def test_what_a_version_is_called(site):
    site.write(FIRST)
    run(site, "log")
    site.write(SECOND)
    assert "has no copy zz" in run(site, "undo", "46xxsettings.txt", "zz", code=1)
    assert "write more of it" in run(site, "undo", "46xxsettings.txt", "20", code=2)


@pytest.mark.skipif(sys.platform == "win32", reason="no links there")
def test_a_link_is_not_replaced(site, tmp_path):
    real = site.write(FIRST, "real.scr")
    path = site.home.http_data / "46xxsettings.txt"
    path.symlink_to(real)
    run(site, "log")
    site.write(SECOND, "real.scr")
    assert "is a link" in run(site, "undo", "46xxsettings.txt", code=1)
    assert real.read_text() == SECOND and path.is_symlink()
