"""What lint reads of a directory: what phones ask for, and what that leads to."""

from __future__ import annotations

import os
import time

import pytest

from mv_iptel.phones.lint import Folder, lint
from mv_iptel.phones.lint.folder import ENTRY, MOST, foreign, listing, matching


def test_scripts_and_what_they_lead_to_are_read(tmp_path):
    (tmp_path / "J100Supgrade.txt").write_bytes(b"GET $MACADDR.txt\nget 46XXsettings.txt\n")
    for name in ("00040d123456.txt", "46xxsettings.txt", "extra.txt", "app.bin", "1140eSIP.cfg"):
        (tmp_path / name).write_bytes(b"")
    folder = Folder.read(tmp_path)
    assert set(folder.files) == {"J100Supgrade.txt", "46xxsettings.txt", "00040d123456.txt"}
    assert folder.others == {"extra.txt", "app.bin", "1140eSIP.cfg"}
    assert set(Folder.read(tmp_path, ["extra.txt"]).files) - set(folder.files) == {"extra.txt"}


def test_names_in_any_letters(tmp_path):
    folder = Folder({"46xxsettings.txt": b""}, frozenset({"App.bin"}), {"there.txt": "HTTPdata"})
    assert folder.name_of("46XXSETTINGS.TXT") == "46xxsettings.txt"
    assert folder.name_of("app.BIN") == "App.bin"
    assert folder.name_of("none") is None
    assert (
        folder.has("THERE.txt")
        and folder.has("$MACADDR.txt")
        and folder.has("sub/x")
        and not folder.has("no")
    )
    assert folder.matching("app.bin") == []


def test_variables_stand_for_what_a_phone_puts_in():
    names = dict.fromkeys(["00040d123456.txt", "j179.txt", "readme.txt", "46xxsettings.txt"], "")
    assert matching("$MACADDR.txt", names) == ["00040d123456.txt"]
    assert matching("$MODEL4.txt", names) == ["j179.txt"]
    assert matching("$OTHER.txt", names) == []
    assert matching("J179.TXT", names) == ["j179.txt"]


def test_what_phones_ask_for():
    for name in (
        "46xxUPGRADE.SCR",
        "96x1Hupgrade.txt",
        "J100Supgrade.txt",
        "46vpnsetting.txt",
        "fxd_upgrade.scr",
        "fxd_96xxupgrade.txt",
        "46xxspecials.txt",
        "B189Hupgrade.txt",
    ):
        assert ENTRY.fullmatch(name), name
    for name in ("1140eSIP.cfg", "11xxsettings.txt", "avaya.xml", "4711_96xxdata.txt", "HTTP_allow_IP.txt"):
        assert foreign(name) and not ENTRY.fullmatch(name), name
    assert not foreign("J179.txt")


def test_what_cannot_be_read_is_a_finding(tmp_path):
    (tmp_path / "46xxsettings.txt").mkdir()
    with open(tmp_path / "46xxupgrade.scr", "wb") as file:
        file.truncate(MOST + 1)
    found = lint(Folder.read(tmp_path))
    assert [(one.file, one.line, one.code) for one in found] == [
        ("46xxsettings.txt", 0, "unreadable"),
        ("46xxupgrade.scr", 0, "unreadable"),
    ]
    assert "16 MiB" in found[1].text
    assert listing(tmp_path / "absent") == {} and lint(Folder.read(tmp_path / "absent")) == []


def test_files_elsewhere_count_and_those_nearby_are_named(tmp_path):
    https, http, tftp = (tmp_path / name for name in ("HTTPSdata", "HTTPdata", "TFTPdata"))
    for path in (https, http, tftp):
        path.mkdir()
    (https / "96xxupgrade.txt").write_bytes(b"SET APPNAME app.bin\nGET 46xxsettings.txt\n")
    (http / "46xxsettings.txt").write_bytes(b"")
    (tftp / "app.bin").write_bytes(b"")
    assert [one.code for one in lint(Folder.read(https))] == ["no-firmware", "no-file"]
    (only,) = lint(Folder.read(https, elsewhere=[http], nearby=[tftp]))
    assert only.code == "no-firmware" and "TFTPdata" in only.text
    assert lint(Folder.read(https, whole=False)) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="only POSIX has FIFOs")
def test_what_is_no_file_is_told_and_holds_nobody_up(tmp_path):
    os.mkfifo(tmp_path / "46xxsettings.txt")
    os.symlink("/dev/zero", tmp_path / "96xxupgrade.txt")
    (tmp_path / "46xxupgrade.scr").mkdir()
    folder = Folder.read(tmp_path)
    assert folder.files == {} and set(folder.faults) == set(listing(tmp_path).values())
    assert "no ordinary file" in folder.faults["46xxsettings.txt"]
    assert {one.code for one in lint(folder)} == {"unreadable"}


def test_names_with_variables_are_looked_up_a_few_times_only():
    names = {f"{at:012x}.txt": b"" for at in range(2_000)}
    wanted = b"".join(b"GET $MACADDR.txt%d\nGET $MACADDR.txt\n" % at for at in range(3_000))
    folder = Folder({"46xxupgrade.scr": wanted, **names})
    began = time.process_time()
    assert len(folder.matching("$MACADDR.txt")) == 2_000
    lint(folder)
    assert time.process_time() - began < 10
    assert matching("$SERIALNO" * 4 + ".txt", {"a" * 40 + ".txt": ""}) == []
