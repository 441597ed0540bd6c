"""A script that asks: played for phones that are in the ring and for phones that are not."""

from __future__ import annotations

import pytest

from mv_iptel.phones.boot import Servers, drive, dry, play
from mv_iptel.phones.families import Handset
from mv_iptel.rollout.composing import asks_for, compose, ring_name
from mv_iptel.rollout.rings import Clause

LIVE = (
    b"IF $GROUP SEQ 876 GOTO VPN\nSET APPNAME old.bin\nGOTO END\n"
    b"# VPN\nGET 46xxvpn.scr\n# END\nGET 46xxsettings.txt\n"
)
NEW = LIVE.replace(b"old.bin", b"new.bin")


def ran(folder, script, live, clauses, **phone) -> str:
    """What a phone runs after it booted over a composed script."""
    name = ring_name("0123abcd", script)
    (folder / script).write_bytes(compose(live, clauses, name))
    (folder / name).write_bytes(NEW)
    for other in ("46xxsettings.txt", "old.bin", "new.bin"):
        (folder / other).write_bytes(b"SET A 1\n")
    here = ("192.0.2.5",)
    servers = Servers(tftp=here, http=here)
    report = drive(play(Handset(**phone), servers), dry(folder))
    assert report.booted.ready, report.booted.why
    return report.booted.handset.runs


GROUP = (Clause((), ("5", "6")),)
BOTH = (Clause(("9640",), ("5",)), Clause((), ("7",)))


@pytest.mark.parametrize(
    ("script", "clauses", "phone", "runs"),
    [
        ("96xxupgrade.txt", GROUP, {"model": "9640", "group": "5"}, "new.bin"),
        ("96xxupgrade.txt", GROUP, {"model": "9640", "group": "6"}, "new.bin"),
        ("96xxupgrade.txt", GROUP, {"model": "9640", "group": "0"}, "old.bin"),
        ("46xxupgrade.scr", GROUP, {"model": "4621SW", "group": "5"}, "new.bin"),
        ("46xxupgrade.scr", GROUP, {"model": "4621SW", "group": "50"}, "old.bin"),
        ("J100Supgrade.txt", GROUP, {"model": "J179", "group": "5"}, "new.bin"),
        ("96x1Hupgrade.txt", GROUP, {"model": "9611G", "group": "5"}, "new.bin"),
        ("96x1Supgrade.txt", GROUP, {"model": "9611G", "group": "5", "signalling": "SIP"}, "new.bin"),
        ("16xxupgrade.txt", GROUP, {"model": "1608", "group": "5"}, "new.bin"),
        ("K1xxSupgrade.txt", GROUP, {"model": "K175", "group": "5"}, "new.bin"),
        ("46xxupgrade.scr", GROUP, {"model": "4624", "group": "5"}, "new.bin"),
        ("96xxupgrade.txt", BOTH, {"model": "9640", "group": "5"}, "new.bin"),
        ("96xxupgrade.txt", BOTH, {"model": "9640G", "group": "5"}, "new.bin"),
        ("96xxupgrade.txt", BOTH, {"model": "9620", "group": "5"}, "old.bin"),
        ("96xxupgrade.txt", BOTH, {"model": "9620", "group": "7"}, "new.bin"),
        ("96xxupgrade.txt", BOTH, {"model": "9640", "group": "0"}, "old.bin"),
        # A 4600 does not know MODEL4: it passes the question by.
        ("46xxupgrade.scr", (Clause(("4621",), ("5",)),), {"model": "4621SW", "group": "5"}, "old.bin"),
    ],
)
def test_who_gets_what(tmp_path, script, clauses, phone, runs):
    assert ran(tmp_path, script, LIVE, clauses, **phone) == runs


def test_without_the_rings_script_everybody_reads_on(tmp_path):
    name = ring_name("0123abcd", "96xxupgrade.txt")
    assert name == "mvr-0123abcd-96xxupgrade.txt"
    (tmp_path / "96xxupgrade.txt").write_bytes(compose(LIVE, GROUP, name))
    for other in ("46xxsettings.txt", "old.bin"):
        (tmp_path / other).write_bytes(b"SET A 1\n")
    report = drive(play(Handset("9640", group="5"), Servers(http=("192.0.2.5",))), dry(tmp_path))
    assert report.booted.ready and report.booted.handset.runs == "old.bin"


def test_the_live_script_stays_as_it_is():
    for live in (LIVE, LIVE.replace(b"\n", b"\r\n"), b"", b"# MVRINGIN\n# mvringxin\n\xe4"):
        made = compose(live, BOTH, "mvr-0123abcd-x")
        assert made.endswith(live)
        assert (b"\r\n" in made) == (b"\r\n" in live)
        assert made.isascii() == live.isascii()
    assert compose(b"\xef\xbb\xbfGET a\n", GROUP, "x").endswith(b"\nGET a\n")
    assert ring_name("0123abcd", "sub/a.txt") == "sub/mvr-0123abcd-a.txt"
    assert b"GET mvr-0123abcd-a.txt" in compose(b"", GROUP, "sub/mvr-0123abcd-a.txt")


def test_names_that_a_script_can_ask_for():
    assert all(map(asks_for, ["96xxupgrade.txt", "mvr-0123abcd-J100Supgrade.txt", "a b/46xxupgrade.scr"]))
    assert not any(map(asks_for, ["", "a b.txt", "a\nb", "\u00fc.txt", "a;b", "a#b", '"a"']))
