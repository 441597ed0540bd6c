"""What is to be seen at a glance: matters by their weight, refusals by reason, ports by protocol."""

from __future__ import annotations

import pytest

from manager.facts import overview
from manager.facts.overview import Fallback, Kept
from mv_iptel.config import defaults
from mv_iptel.home import Home
from mv_iptel.inventory.reader import Reader
from tests.manager.facts.inventory import Inventory

NOW = 1_800_000_000.0
GOOD = {
    "server": {"legacy": []}, "config": {"findings": [], "loaded": NOW}, "rollout": {}, "central": {},
    "listeners": [], "certs": [], "disk": {"free": 90, "total": 100}, "watchdog": {"last_seen": None},
}  # fmt: skip
HALTED = {"release": "r-1", "state": "halted", "note": "too many", "failed": 3, "loops": 1}
AWAY = {"branches": [{"name": "Oslo", "last_seen": None}]}
NOBODY = Fallback(0, 0.0)


def row(proto, port, state="up", address="0.0.0.0", error="", tls=""):
    return {"proto": proto, "address": address, "port": port, "state": state, "error": error, "tls": tls}


def told(tmp_path, fxd=NOBODY, certs=(), **parts):
    found = overview.matters({**GOOD, **parts}, defaults(Home(tmp_path)), fxd, NOW, certs)
    return [(one.tone, one.text) for one in found]


def test_all_is_well(tmp_path):
    assert told(tmp_path) == []


@pytest.mark.parametrize(
    ("parts", "tone", "text"),
    [
        ({"listeners": [row("tftp", 69, "failed", error="taken")]}, "bad", "TFTP on port 69 is not up"),
        ({"config": {"findings": ["a.ini:3: odd"], "loaded": NOW}}, "warn", "a.ini:3: odd"),
        ({"server": {"legacy": ["LegacyTLS"]}}, "legacy", "LegacyTLS=1: TLS 1.0 and 1.1"),
        ({"disk": {"free": 4, "total": 100}}, "bad", "Only 4 B of 100 B are free"),
        ({"disk": {"free": 8, "total": 100}}, "warn", "Only 8 B"),
        ({"certs": [{"subject": "CN=x", "not_after": NOW + 86400 * 3}]}, "warn", "CN=x ends in 3 d"),
        ({"certs": [{"subject": "CN=x", "not_after": NOW - 1}]}, "bad", "CN=x has ended"),
        ({"watchdog": {"last_seen": NOW - 7200}}, "warn", "watchdog has not looked for 2 h"),
        ({"rollout": HALTED}, "bad", "The roll-out of r-1 is halted: too many; 4 phones failed"),
        ({"central": {"error": "no answer"}}, "warn", "Central server: no answer"),
        ({"central": AWAY}, "warn", "Not heard of for an hour: Oslo"),
    ],
)  # fmt: skip
def test_what_wants_attention(tmp_path, parts, tone, text):
    ((found, said),) = told(tmp_path, **parts)
    assert found == tone and text in said


def test_the_worst_comes_first_and_findings_end(tmp_path):
    found = told(
        tmp_path, config={"findings": [f"f{at}" for at in range(30)], "loaded": NOW},
        listeners=[row("http", 81, "failed")], server={"legacy": ["IPTel"]},
    )  # fmt: skip
    assert [tone for tone, _ in found] == ["bad"] + ["warn"] * 9 + ["legacy"]
    assert "22 more findings" in found[9][1]


def test_certificates_of_the_manager_count_and_none_twice(tmp_path):
    ending = {"subject": "CN=m", "not_after": NOW + 5}
    assert len(told(tmp_path, certs=[ending], **{"certs_": 0, "watchdog": {"last_seen": None}})) == 1
    assert (
        len(overview.matters({**GOOD, "certs": [ending]}, defaults(Home(tmp_path)), NOBODY, NOW, [ending]))
        == 1
    )


def test_an_ini_that_is_newer_than_what_was_loaded(tmp_path):
    home = Home(tmp_path)
    home.ini.parent.mkdir(parents=True)
    home.ini.write_text("")
    (one,) = overview.matters(
        {**GOOD, "config": {"findings": [], "loaded": 5.0}}, defaults(home), NOBODY, NOW
    )
    assert "not loaded yet" in one.text and one.href == "reload"


def test_phones_on_fallback_files(tmp_path):
    ((_, text),) = told(tmp_path, Fallback(312, NOW - 34 * 86400))
    assert text.startswith("312 phones on fxd files for 34 d")


def test_without_a_server_the_home_alone_tells(tmp_path):
    found = overview.matters(
        None, defaults(Home(tmp_path)), Fallback(1, 0), NOW, [{"subject": "x", "not_after": 1}]
    )
    assert [one.tone for one in found] == ["bad", "warn"]


def test_refusals_by_reason(tmp_path):
    inventory = Inventory(tmp_path)
    inventory.request(NOW - 2 * 86400, count=1000)  # too long ago
    inventory.request(NOW - 100, outcome="ok", reason="")
    inventory.request(NOW - 60, count=5)
    inventory.request(NOW - 50, peer="192.0.2.2")
    last = inventory.request(NOW - 40, reason="no-file")
    first, second = overview.refusals(inventory.reader, NOW)
    assert first[:4] == ("not-listed", "the address is on no line of the list for this protocol", 6, 2)
    assert (second.reason, second.number, second.last) == ("no-file", last, NOW - 40)
    inventory.close()


def test_who_gets_fallback_files_and_since_when(tmp_path):
    inventory = Inventory(tmp_path)
    assert overview.fallback(inventory.reader, NOW) == NOBODY
    inventory.phone(
        "10.0.0.1", NOW, [("46xxsettings.txt", NOW, "/d/fxd_settings.txt"), ("x", NOW, "/d/fxd_upgrade.scr")]
    )
    inventory.phone(
        "10.0.0.2", NOW, [("46xxsettings.txt", NOW - 40 * 86400, "/d/fxd_settings.txt")]
    )  # long ago
    inventory.phone("10.0.0.3", NOW, [("fxdx.txt", NOW)])
    inventory.request(NOW - 500, outcome="ok", file="/d/fxd_settings.txt")
    assert overview.fallback(inventory.reader, NOW) == Fallback(1, NOW - 500)
    inventory.close()


def test_ports_by_protocol():
    rows = [
        row("http", 81), row("http", 81, address="::"), row("http", 80, "failed", error="taken"),
        row("tftp", 69), row("tftp", 69, address="::"), row("https", 411, "failed", error="no certificate"),
        row("status", 6090, address="127.0.0.1"),
    ]  # fmt: skip
    found = {one.proto: one for one in overview.listeners({"listeners": rows})}
    assert list(found) == ["tftp", "http", "https", "ftp", "ftps", "status"]
    assert (found["tftp"].ports, found["tftp"].state, found["tftp"].notes) == ("69", "up", ())
    assert (found["http"].ports, found["http"].state) == ("81, 80", "part")
    assert "port 80: taken" in found["http"].notes
    assert (found["https"].state, found["ftp"].state, found["ftp"].ports) == ("failed", "off", "–")
    assert found["status"].key == "" and found["ftp"].key == "RunFTP"


def test_a_question_is_asked_again_only_when_it_is_old():
    now, asked = [0.0], []
    kept = Kept(10.0, 0, lambda before: asked.append(before) or len(asked), lambda: now[0])
    assert [kept(), kept()] == [1, 1]
    now[0] = 11.0
    assert kept() == 1  # a page does not wait for the next answer
    kept.renew()
    assert kept() == 2 and asked == [None, 1]
    now[0] = 11.0 + overview.STALE + 1
    assert kept() == 3


def test_what_takes_long_is_asked_seldom():
    now, asked = [0.0], []

    def question(before):
        asked.append(now[0])
        now[0] += 5.0
        return 1

    kept = Kept(3.0, 0, question, lambda: now[0])
    for at in (0.0, 10.0, 50.0, 56.0, 70.0):
        now[0] = max(now[0], at)
        kept.renew()
    assert asked == [0.0, 56.0]


def test_a_database_that_cannot_be_read_ends_nothing(tmp_path, caplog):
    (tmp_path / "inventory.db").write_bytes(b"no database" * 500)
    inquiry = overview.Inquiry(lambda: Reader(tmp_path / "inventory.db"))
    inquiry.renew()
    assert (inquiry.refusals(), inquiry.on_fallback(), inquiry.storm()) == ([], NOBODY, None)
    assert "cannot be read" in caplog.text
