"""Where the parts of an old installation are."""

from __future__ import annotations

import os

import pytest

from mv_iptel.migrating import old
from tests.migrating.reference import install, write


def test_a_copy_somewhere(there):
    found = old.find(there)
    assert found.base == there and found.ini == there / "MV_IPTel" / "bin" / "MV_IPTel.ini"
    assert found.watchdog_ini and found.manager_ini and found.alert and found.disk is None
    assert [one.name for one in found.heartbeat] == ["ha.cf", "haresources", "authkeys"]


@pytest.mark.parametrize("named", [(), ("opt",), ("opt", "ecs"), ("opt", "ecs", "mvuser")])
def test_a_mounted_disk(tmp_path, named):
    base = install(tmp_path / "opt" / "ecs" / "mvuser")
    os.rename(base / "ha.cf", write(tmp_path / "etc" / "ha.d" / "x", "").with_name("ha.cf"))
    root = tmp_path.joinpath(*named)
    found = old.find(root)
    if len(named) in (1, 2):
        assert "holds no MV_IPTel" in found
        return
    assert found.disk == tmp_path and found.base == base
    assert old.place(found, "/srv/tftp") is None
    write(tmp_path / "srv" / "tftp" / "x", "")
    assert old.place(found, "/srv/tftp") == tmp_path / "srv" / "tftp"


@pytest.mark.parametrize("part", ["MV_IPTel", "MV_IPTel/bin"])
def test_a_part_of_it_names_all(there, part):
    assert old.find(there / part).base == there


def test_windows_in_another_letter_case(tmp_path):
    base = tmp_path / "Program Files" / "Avaya"
    write(base / "mv_iptel" / "BIN" / "mv_iptel.INI", "[Settings]\n")
    write(base / "MV_Watchdog" / "bin" / "mv_iptel_alert.bat", "net stop x\n")
    (base / "mv_iptel" / "data" / "HTTPData").mkdir(parents=True)
    found = old.find(tmp_path)
    assert found.alert and found.disk == tmp_path and found.watchdog_ini is None
    where = old.place(found, r"C:\Program Files\Avaya\MV_IPTel\data\HTTPdata")
    assert where == base / "mv_iptel" / "data" / "HTTPData"
    assert old.place(found, r"D:\firmware") is None and old.place(found, "mv_iptel/data/httpdata") == where


def test_nothing_leads_out_of_a_copy(there):
    found = old.find(there)
    assert old.place(found, "/opt/ecs/mvuser/../../etc") is None and old.place(found, "/etc") is None
    assert old.place(found, "") is None


def test_what_is_no_old_installation(tmp_path):
    assert "is no directory" in old.find(tmp_path / "x") and "holds no MV_IPTel" in old.find(tmp_path)
    write(tmp_path / "MV_IPTel" / "bin" / "MV_IPTel.ini", "")
    write(tmp_path / "MV_IPTel" / "var" / "control.token", "x")
    assert "mv-iptel itself" in old.find(tmp_path)


def test_heartbeat_may_be_named(there, tmp_path):
    write(tmp_path / "ha" / "haresources", "a 10.0.0.9\n")
    assert [one.parent.name for one in old.find(there, None, tmp_path / "ha").heartbeat] == ["ha"]
