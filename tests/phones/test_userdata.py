"""What each phone keeps: its names, its depot, its made-up contents."""

from __future__ import annotations

import pytest

from mv_iptel.phones import userdata
from mv_iptel.phones.boot import Fetched, Server
from mv_iptel.phones.families import Handset
from mv_iptel.userdata.compare import differences
from mv_iptel.userdata.names import Kept, parse

NAMES = {
    "4610SW": "4711_4610data.txt",
    "4620": "4711_4620data.txt",
    "4621SW": "4711_4620data.txt",
    "4625SW": "4711_4620data.txt",
    "9640": "4711_96xxdata.txt",
    "9611G": "4711_96xxdata.txt",
    "B189": "4711_96xxdata.txt",
    "1616": "4711_16xxdata.txt",
}


@pytest.mark.parametrize("model", NAMES)
def test_the_name_that_is_stored(model):
    handset = Handset(model, ext="4711")
    assert userdata.stored_as(handset) == NAMES[model]
    assert userdata.asked_for(handset) == (NAMES[model],)


def test_names_of_old_and_of_others():
    assert userdata.stored_as(Handset("J179", ext="1", signalling="H323")) == "1_96xxdata.txt"
    assert userdata.stored_as(Handset("4610SW", ext="1"), old=True) == "4610data.txt"
    assert userdata.asked_for(Handset("9610", ext="1")) == ("1_9610data.txt", "9610data.txt")


REFUSED = {
    "SIP keeps it elsewhere": (Handset("J179", ext="4711"), "with SIP software keeps .* call server"),
    "SIP of the 9600 too": (Handset("9640", ext="4711", signalling="SIP"), "call server"),
    "a 4602 keeps nothing": (Handset("4602SW", ext="4711"), "keeps no user data"),
    "an old 4624 neither": (Handset("4624", ext="4711"), "keeps no user data"),
    "nobody is logged in": (Handset("4621SW"), "none was given"),
    "an extension is a number": (Handset("4621SW", ext="../x"), "../x was given"),
    "a 9610 only reads": (Handset("9610", ext="4711"), "only reads"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_kept_is_said(case):
    handset, why = REFUSED[case]
    with pytest.raises(ValueError, match=why):
        userdata.stored_as(handset)


def test_only_the_4600_had_names_without_extension():
    with pytest.raises(ValueError, match="only the 4600"):
        userdata.stored_as(Handset("9640", ext="1"), old=True)


DEPOTS = {
    ("4621SW", ""): Server("ftp", "h", 6021),
    ("9640", ""): Server("https", "h", 6411),
    ("9640", "http"): Server("http", "h", 6081),
    ("1616", ""): Server("http", "h", 6081),
    ("B189", ""): Server("https", "h", 6411),
}


@pytest.mark.parametrize("case", DEPOTS)
def test_a_server_of_ours(case):
    model, protocol = case
    depot = userdata.depot_at(Handset(model, ext="1"), "h", 6000, "", protocol)
    assert depot.server == DEPOTS[case]
    assert depot.path("f") == "f"


IMPOSSIBLE = [("4621SW", "http"), ("1616", "https"), ("9640", "ftp")]


@pytest.mark.parametrize("case", IMPOSSIBLE, ids="-".join)
def test_what_a_phone_does_not_speak(case):
    with pytest.raises(ValueError, match="keeps user data over"):
        userdata.depot_at(Handset(case[0], ext="1"), "h", protocol=case[1])


def test_what_the_settings_name():
    old, new = Handset("4621SW", ext="1"), Handset("9640", ext="1")
    found = userdata.depot_in(old, {"FTPSRVR": "192.0.2.1,192.0.2.2", "FTPDIR": "/data"}, 6000)
    assert (found.server, found.directory) == (Server("ftp", "192.0.2.1", 6021), "/data")
    found = userdata.depot_in(new, {"BRURI": "https://192.0.2.1:411/some/where"})
    assert found.server == Server("https", "192.0.2.1", 411)
    assert found.path("f.txt") == "some/where/f.txt"
    assert userdata.depot_by(new, "https://h/").server.port == 443
    assert userdata.depot_by(new, "http://h").server.port == 80
    found = userdata.depot_by(new, "http://me:s%40crt@[2001:db8::1]:81/")
    assert (found.server.host, found.user, found.password) == ("2001:db8::1", "me", "s@crt")
    assert "crt" not in repr(found)


@pytest.mark.parametrize("bruri", ["", "ftp://h/", "http://", "192.0.2.1", "http://h:99999/", "http://[x/"])
def test_a_bruri_that_is_none(bruri):
    with pytest.raises(ValueError, match="BRURI"):
        userdata.depot_in(Handset("9640", ext="1"), {"BRURI": bruri})
    with pytest.raises(ValueError, match="FTPSRVR"):
        userdata.depot_in(Handset("4621SW", ext="1"), {})


def test_contents_have_the_form_of_their_family():
    foreign = 0
    for seed in range(40):
        for model, name in NAMES.items():
            kept = parse(name)
            data = userdata.made_up(kept, seed)
            text = data.decode("utf-8")
            blank = userdata.by_ftp(Handset(model)) and not text.isascii()
            assert text.startswith("\n") == blank  # or a 4600 loses its first line
            foreign += blank
            lines = text.strip("\n").split("\n")
            assert len(lines) > 6 and all("=" in line for line in lines)
            assert len({line.partition("=")[0] for line in lines}) == len(lines)
            assert data == userdata.made_up(kept, seed) != userdata.made_up(kept, seed + 1)
            assert data != userdata.made_up(kept._replace(ext="4712"), seed)
            assert differences(data, data) == []
    assert 0 < foreign < 40 * 4
    assert b"LANGUSER" not in userdata.made_up(Kept("1", "16xx"), 1)


def test_a_phone_that_saves_and_logs_in_again():
    handset = Handset("9640", ext="4711")
    depot = userdata.depot_at(handset, "h", directory="u/")
    playing = userdata.play(handset, depot, b"x=1\n")
    store = next(playing)
    assert (store.name, store.body, store.kind) == ("u/4711_96xxdata.txt", b"x=1\n", "store")
    restore = playing.send(Fetched("ok"))
    assert (restore.name, restore.body, restore.kind) == ("u/4711_96xxdata.txt", None, "restore")
    with pytest.raises(StopIteration) as ended:
        playing.send(Fetched("ok", b"x=1\n"))
    assert ended.value.value == ""


ENDS = {
    "not stored": ([Fetched("refused", detail="550 No")], "was not stored: 550 No"),
    "not restored": ([Fetched("ok"), Fetched("missing", detail="404")], "was not restored: 404"),
    "different": ([Fetched("ok"), Fetched("ok", b"x=2\n", 4)], "came back different"),
}


@pytest.mark.parametrize("case", ENDS)
def test_what_goes_wrong_is_said(case):
    answers, why = ENDS[case]
    handset = Handset("4621SW", ext="4711")
    playing = userdata.play(handset, userdata.depot_at(handset, "h"), b"x=1\n")
    next(playing)
    with pytest.raises(StopIteration) as ended:
        for answer in answers:
            playing.send(answer)
    assert why in ended.value.value and "4711_4620data.txt" in ended.value.value
