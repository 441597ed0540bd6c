"""What phones answered to a scan, taken into the inventory: who it was, what it runs, what is refused."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mv_iptel.inventory import Inventory
from mv_iptel.inventory.evidence import BOOT_SECONDS
from mv_iptel.inventory.known import TWIN_SECONDS
from mv_iptel.inventory.scanned import MOST, Scanned, parsed
from tests.happened import AGENT, NOON, finished, known

MAC, OTHER, HERE = "00040d112233", "00040d445566", "192.0.2.17"
SAID = Scanned(
    NOON + 60, HERE, ext="4711", model="9640D01A", version="S9640_3_2_2.bin", group="876", serial="07N1"
)


class Kept:
    """An inventory whose clock follows what is put into it."""

    def __init__(self, path):
        self.now = NOON
        self.inventory = Inventory(path, clock=lambda: self.now)

    def __call__(self, *told):
        for one in told:
            self.now = max(self.now, one.time)
            if isinstance(one, Scanned):
                assert self.inventory.scanned([one])
            else:
                self.inventory.receive([one])

    def phones(self):
        self.inventory.flush()
        return self.inventory.phones(sort="mac")

    def phone(self, who):
        self.inventory.flush()
        return self.inventory._reader.phone(who)

    def said(self, who):
        return {(one["field"], one["value"], one["source"]) for one in self.phone(who)["identity"]}


@pytest.fixture
def kept(tmp_path):
    made = Kept(tmp_path / "inventory.db")
    yield made
    made.inventory.close()


def test_a_phone_that_was_never_seen_is_kept_by_its_address(kept):
    kept(SAID)
    phone = kept.phone(HERE)
    assert (phone["key"], phone["ext"], phone["model"], phone["requests"]) == (HERE, "4711", "9640D01A", 0)
    assert (phone["runs"], phone["runs_source"], phone["runs_seen"]) == ("S9640_3_2_2.bin", "snmp", NOON + 60)
    assert kept.said(HERE) == {
        ("ext", "4711", "snmp"), ("model", "9640D01A", "snmp"), ("version", "S9640_3_2_2.bin", "snmp"),
        ("group", "876", "snmp"), ("serial", "07N1", "snmp"),
    }  # fmt: skip


def test_a_phone_that_tells_its_mac_is_kept_by_that(kept):
    kept(Scanned(NOON, HERE, mac=MAC, model="1616"), Scanned(NOON + 5, "192.0.2.18", mac=MAC, model="1616"))
    (phone,) = kept.phones()
    assert (phone["key"], phone["address"]) == (MAC, "192.0.2.18")
    assert ("mac", MAC, "snmp") in kept.said(MAC)


def test_who_does_not_tell_it_is_the_phone_that_is_known_at_the_address(kept):
    kept(known(1), SAID)
    (phone,) = kept.phones()
    assert (phone["key"], phone["runs"], phone["requests"]) == (MAC, "S9640_3_2_2.bin", 1)
    assert ("mac", MAC, "snmp") not in kept.said(MAC)


@pytest.mark.parametrize(
    ("before", "told"),
    [
        ([known(1)], {"model": "9611G"}),
        # Two phones were seen there within a day.
        ([known(1), known(2, 10, mac=OTHER, agent=AGENT.replace(MAC, OTHER))], {}),
        # It is elsewhere now.
        ([known(1), known(2, 10, peer="192.0.2.99")], {}),
        ([known(1), Scanned(NOON + 9, HERE, mac=MAC, serial="another")], {}),
    ],
)
def test_it_is_not_that_phone(kept, before, told):
    kept(*before)
    values = {**SAID.as_dict(), **told}
    (phone,) = parsed({"phones": [{**values, "time": NOON + 60}]}, NOON + 60)
    kept(phone)
    assert kept.phone(MAC)["runs"] != SAID.version
    assert [one["runs"] for one in kept.phones() if one["key"] == HERE] == [SAID.version]


def test_a_phone_that_was_there_long_ago_does_not_count_as_a_twin(kept):
    kept(known(1, mac=OTHER, agent=AGENT.replace(MAC, OTHER)), known(2, TWIN_SECONDS + 60))
    kept(replace(SAID, time=NOON + TWIN_SECONDS + 120))
    assert kept.phone(MAC)["runs"] == SAID.version


def test_what_is_said_again_is_still_so(kept):
    kept(SAID)
    later = Scanned(NOON + 3600, HERE, version=SAID.version)
    kept(later)
    assert kept.phone(HERE)["runs_seen"] == NOON + 3600
    assert [one["last_seen"] for one in kept.phone(HERE)["versions"]] == [NOON + 3600]


def test_a_request_after_the_scan_finds_what_it_learnt(kept):
    kept(SAID, finished(1, 120, peer=HERE, mac=MAC, identified="neighbour"))
    (phone,) = kept.phones()
    assert (phone["key"], phone["runs"], phone["ext"]) == (MAC, SAID.version, "4711")


def test_a_boot_after_the_scan_is_newer_and_a_scan_during_it_is_not_undone(kept):
    kept(Scanned(NOON, HERE, mac=MAC, model="9640", version="old.bin"))
    with kept.inventory._lock:
        phones = kept.inventory._open.phones
        phone = phones._held[MAC]
        phones.runs(phone, "new.bin", "script", NOON + BOOT_SECONDS - 1)
        kept.inventory._flush(kept.now)
    assert kept.phone(MAC)["runs"] == "old.bin"
    with kept.inventory._lock:
        phones.runs(phone, "new.bin", "script", NOON + BOOT_SECONDS + 1)
        kept.inventory._flush(kept.now)
    assert (kept.phone(MAC)["runs"], kept.phone(MAC)["runs_source"]) == ("new.bin", "script")


def test_an_inventory_that_cannot_be_written(tmp_path):
    (tmp_path / "folder").mkdir()
    inventory = Inventory(tmp_path / "folder")
    assert inventory.scanned([SAID]) is False
    inventory.close()


# the call's body


def test_it_comes_back_as_it_was():
    told = json.loads(json.dumps({"phones": [SAID.as_dict()]}))
    assert parsed(told, NOON + 60) == [SAID]
    assert parsed({"phones": []}, NOON) == []


GOOD = {"address": HERE, "time": NOON}


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        ([], "write {"),
        ({"phones": {}}, "write {"),
        ({"phones": [GOOD] * (MOST + 1)}, "at most"),
        ({"phones": ["x"]}, "phone 1: an object"),
        ({"phones": [GOOD, {}]}, "phone 2: address"),
        ({"phones": [{**GOOD, "address": "example.org"}]}, "address"),
        ({"phones": [{**GOOD, "address": 5}]}, "address"),
        ({"phones": [{**GOOD, "time": "now"}]}, "time"),
        ({"phones": [{**GOOD, "time": True}]}, "time"),
        ({"phones": [{**GOOD, "time": float("nan")}]}, "time"),
        ({"phones": [{**GOOD, "time": NOON + 3600}]}, "time"),
        ({"phones": [{**GOOD, "time": 0}]}, "time"),
        ({"phones": [{**GOOD, "mac": "no"}]}, "mac"),
        ({"phones": [{**GOOD, "mac": None}]}, "mac: a text"),
        ({"phones": [{**GOOD, "ext": "../x"}]}, "ext"),
        ({"phones": [{**GOOD, "ext": 4711}]}, "ext: a text"),
        ({"phones": [{**GOOD, "version": "a\nb"}]}, "version"),
        ({"phones": [{**GOOD, "group": "1000"}]}, "group"),
        ({"phones": [{**GOOD, "found": True}]}, "a field that there is not"),
        ({"phones": [{**GOOD, "x" * 1000: "y"}]}, "a field that there is not"),
    ],
)
def test_what_is_wrong_is_told(told, wrong):
    found = parsed(told, NOON)
    assert isinstance(found, str) and wrong in found and len(found) < 100


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["phones", "address", "time", "ext", "mac", "model"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_body(told):
    found = parsed(told, time.time())
    assert isinstance(found, str) or all(isinstance(one, Scanned) for one in found)
