"""What differs for one phone: what breaks, which values are others, and what only looks like a change."""

from __future__ import annotations

import pytest

from mv_iptel.phones.differences import HIDDEN, difference, masked, secret, troubles
from mv_iptel.phones.effects import effects
from mv_iptel.phones.families import Handset

UP = {"96x1Hupgrade.txt": b"GET 46xxsettings.txt\n"}


def play(files, model="9611G", **fields):
    return effects(files, Handset(model, **fields))


def differ(old: str, new: str, model="9611G", before=UP, after=UP):
    return difference(
        play({**before, "46xxsettings.txt": old.encode()}, model),
        play({**after, "46xxsettings.txt": new.encode()}, model),
    )


def told(found):
    return [(change.sort, change.name, change.old, change.new) for change, _ in found.changes]


def test_nothing_differs():
    assert not differ("SET HTTPPORT 81\n", "## moved\n\nSET HTTPPORT 81\n")


def test_a_default_that_is_written_out_is_no_change():
    assert not differ("", "SET HTTPPORT 80\n")
    assert told(differ("SET HTTPPORT 81\n", "SET HTTPPORT 80\n")) == [("effective", "HTTPPORT", "81", "80")]


def test_set_changed_and_gone():
    found = differ("SET HTTPPORT 81\nSET DOMAIN a.example\n", "SET HTTPPORT 82\nSET VLANTEST 9\n")
    assert told(found) == [
        ("effective", "DOMAIN", "a.example", ""),
        ("effective", "HTTPPORT", "81", "82"),
        ("effective", "VLANTEST", "60", "9"),
    ]
    change, lines = found.changes[0]
    assert (change.was_set, change.is_set) == (True, False)
    assert lines == (("46xxsettings.txt", 2), None)


def test_an_earlier_line_that_a_later_one_overrides_changes_nothing():
    assert not differ("SET HTTPPORT 1\nSET HTTPPORT 82\n", "SET HTTPPORT 2\nSET HTTPPORT 82\n")


def test_what_is_ignored_is_said_to_be():
    assert told(differ("", "SET LANGUAGES a.xml\n")) == [("ignored", "LANGUAGES", None, "a.xml")]
    assert told(differ("SET GROUP 1\n", "")) == [("ignored", "GROUP", "1", None)]
    assert differ("SET GROUP 1\n", "").changes[0][0].why == "no file can set GROUP"


def test_what_fails_its_check_is_said_with_what_stays():
    found = differ("SET VLANTEST 30\n", "SET VLANTEST 30\nSET VLANTEST 5000\n")
    assert told(found) == [("rejected", "VLANTEST", "30", "5000")]
    assert not differ("SET VLANTEST 5000\n", "SET VLANTEST 5000\n\n")


def test_an_unknown_setting():
    assert told(differ("", "SET NOSUCHTHING 1\n")) == [("unknown", "NOSUCHTHING", None, "1")]


def test_a_profile():
    found = told(differ("SET NVIKEIDTYPE 1\nSET NVVPNCFGPROF 3\n", "SET NVIKEIDTYPE 1\nSET NVVPNCFGPROF 5\n"))
    assert ("effective", "NVIKEIDTYPE", "as NVVPNCFGPROF 3 sets it", "as NVVPNCFGPROF 5 sets it") in found
    assert ("effective", "NVVPNCFGPROF", "3", "5") in found


BROKEN = [
    ({}, "script", "there is no 96x1Hupgrade.txt"),
    ({"96x1Hupgrade.txt": b"GET settings.txt\n"}, "settings", "settings.txt could not be had"),
    ({"96x1Hupgrade.txt": b"GOTO X\nGET 46xxsettings.txt\n"}, "settings", "no line '# X' follows"),
    ({"96x1Hupgrade.txt": b"\n"}, "settings", "no GET stands on its way"),
    ({"96x1Hupgrade.txt": b"SET APPNAME a.tar\nGET 46xxsettings.txt\n"}, "firmware", "APPNAME names a.tar"),
    ({**UP, "46xxsettings.txt": b"GET 46xxsettings.txt\n"}, "loop", "loop"),
    ({**UP, "46xxsettings.txt": b"GOTO END\n## END\n"}, "cut-short", "no line '# END' follows"),
    ({**UP, "46xxsettings.txt": b"SET TRUSTCERTS ca.pem\n"}, "file", "TRUSTCERTS names ca.pem"),
]


@pytest.mark.parametrize(("files", "kind", "text"), BROKEN)
def test_what_breaks_and_is_mended_again(files, kind, text):
    sound = play({**UP, "46xxsettings.txt": b"", "ca.pem": b""})
    assert not list(troubles(sound))
    broken = play({"46xxsettings.txt": b"", **files})
    (trouble,) = difference(sound, broken).breaks
    assert trouble.kind == kind and text in trouble.text
    mended = difference(broken, sound)
    assert [each.kind for each in mended.mends] == ([] if kind == "file" else [kind])
    assert not difference(broken, broken)


def test_a_named_file_that_comes_is_mended():
    settings = {**UP, "46xxsettings.txt": b"SET TRUSTCERTS ca.pem\n"}
    found = difference(play(settings), play({**settings, "ca.pem": b""}))
    assert [each.kind for each in found.mends] == ["file"]


def test_a_phone_that_loses_its_settings_is_not_told_each():
    found = difference(play({**UP, "46xxsettings.txt": b"SET HTTPPORT 81\n"}), play({**UP}))
    assert [each.kind for each in found.breaks] == ["settings"] and not found.changes


def test_trouble_that_was_there_before_breaks_nothing():
    settings = {**UP, "46xxsettings.txt": b"GOTO END\n"}
    moved = {**UP, "46xxsettings.txt": b"\n\nGOTO END\n"}
    assert not difference(play(settings), play(moved))


def test_secrets_are_masked():
    assert masked("SNMPSTRING", "abc") == HIDDEN and masked("SNMPSTRING", "") == ""
    assert masked("SNMPSTRNG", "abc") == HIDDEN  # a slip shows no secret
    assert masked("SOMEPASSWORDTHING", "abc") == HIDDEN
    assert masked("BRURI", "https://me:secret@192.0.2.1/") == "https://...@192.0.2.1/"
    assert masked("L2QVLAN", "5") == "5" and not secret("HTTPPORT")
