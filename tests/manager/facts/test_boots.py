"""What a phone would get now, played by the server's own rules over the home's files."""

from __future__ import annotations

import os

import pytest

from manager.facts import boots
from manager.facts.boots import Asked
from mv_iptel.config import load
from mv_iptel.inventory import Reader
from tests.manager import field
from tests.manager.here import made


@pytest.fixture
def home(tmp_path):
    home = made(tmp_path)
    field.site(home)
    return home


def play(home, asked=None, who=field.MAC, **changes):
    reader = Reader(home.database)
    phone = {**reader.phone(who), **changes}
    reader.close()
    return boots.play(load(home), phone, asked or Asked())


def asked_for(played, number=None):
    return [(one.name, one.result) for one in played.answers if number in (None, one.power_on)]


def test_a_phone_with_its_firmware_goes_on_to_its_settings(home):
    played = play(home)
    assert played.ready and played.protocol == "http" and not played.group_known
    assert asked_for(played) == [
        ("96xxupgrade.txt", "ok"),
        ("46xxsettings.txt", "ok"),
        ("none.txt", "missing"),
    ]
    assert played.answers[1].file == "96xxupgrade.txt" and played.answers[1].line == 7
    assert played.answers[0].path == str(home.http_data / "96xxupgrade.txt")
    assert [one.text for one in played.troubles] == ["LANG1FILE names none.txt, which is not there"]
    assert played.groups == ["7"]


def test_an_old_one_loads_its_firmware_first_and_so_does_an_empty_one(home):
    for played in (play(home, who=field.OTHER), play(home, Asked(fresh=True))):
        assert played.ready and played.reboots == 1
        assert (field.BIN, "ok") in asked_for(played, 1)


def test_another_group_takes_another_way(home):
    played = play(home, Asked(group="7"))
    assert not played.ready and "ha96xxua9_9.bin" in played.why
    texts = [(one.line, one.effect) for one in boots.lines(played.trace)]
    assert texts[0] == (1, "true, jumps")


def test_a_list_refuses_and_is_named(home):
    file = home.http_data / "HTTP_allow_IP.txt"
    file.write_text("10.0.0.0/8\n")
    refused = play(home).answers[0]
    assert refused.result == "refused" and refused.source == str(file)
    # The sample of what is served instead then lies in the home, or the phone gets nothing.
    (home.http_data / "fxd_96xxupgrade.txt").write_text("GET 46xxsettings.txt\n")
    served = play(home).answers[0]
    assert served.result == "ok" and served.path.endswith("fxd_96xxupgrade.txt")


def test_no_secret_is_told(home):
    played = play(home)
    rows = {one.name: one for one in boots.settings(played.effects)}
    assert rows["SNMPSTRING"].value == "(secret)"
    assert rows["L2QVLAN"].does == "rejected" and "4094" in rows["L2QVLAN"].note
    assert rows["L2Q"].value == "2" and rows["L2Q"].note == "overrode 46xxsettings.txt:2"
    every = repr(boots.lines(played.trace, everything=True)) + repr(list(rows.values()))
    assert "topsecret" not in every and "SNMPSTRING" in every


def test_a_secret_in_a_condition_or_set_again_is_not_told_either(home):
    settings = home.http_data / "46xxsettings.txt"
    settings.write_text("SET SNMPSTRING one\nSET SNMPSTRING two\nIF $SNMPSTRING SEQ three GOTO X\n# X\n")
    told = repr(boots.lines(play(home).trace, everything=True))
    assert not any(word in told for word in ("one", "two", "three")) and "GOTO X" in told


def test_a_login_in_an_address_is_not_told(home):
    settings = home.http_data / "46xxsettings.txt"
    url = "http://ann:hush@192.0.2.9/x"
    settings.write_text(
        f"SET BRURI {url}\nSET BRURI other\nSET L2QVLAN {url}\nIF $BRURI SEQ {url} GOTO X\n# X\n"
    )
    played = play(home)
    told = repr(boots.lines(played.trace, everything=True)) + repr(boots.settings(played.effects))
    assert "hush" not in told and "192.0.2.9" in told


def test_who_cannot_be_played_is_told_why(home):
    assert "toaster" in play(home, model="toaster").why
    assert "not known" in play(home, model="").why


def test_nothing_of_the_server_is_touched(home):
    before = {path: path.stat().st_mtime_ns for path in home.data.rglob("*")}
    play(home)
    assert {path: path.stat().st_mtime_ns for path in home.data.rglob("*")} == before


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors are counted there")
def test_it_leaves_nothing_open(home):
    (home.http_data / field.BIN).write_bytes(bytes(1 << 20))  # too big to be kept in memory
    play(home, Asked(fresh=True))
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(3):
        play(home, Asked(fresh=True))
    assert len(set(os.listdir("/proc/self/fd"))) == len(before)
