"""Evidence, phone by phone, and when it is too much."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mv_iptel.rollout import judging, plans
from mv_iptel.rollout.judging import LATE_SECONDS, MISSING_SECONDS, Judge, counts, verdict
from mv_iptel.rollout.plans import FAILED, LOADED, LOOPS, REACHED, RUNNING, RUNS, Limits, Met, Rollout
from mv_iptel.rollout.rings import parse
from tests.happened import NOON, finished

NEW_APP = "S9640_R2_0_0.bin"
SCRIPT = "96xxupgrade.txt"


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "0123"
    path.write_bytes(f"SET APPNAME {NEW_APP}\nGET 46xxsettings.txt\n".encode())
    return str(path)


class Seen:
    """A judge and one phone that asks."""

    def __init__(self, script: str, **phone):
        self.script = script
        self.judge = Judge({})
        self.phone = {"mac": "00040d112233", "model": "9640", "version": "1.0.0", **phone}

    def __call__(self, name: str, after: float = 0.0, **more):
        file = self.script if name.endswith(SCRIPT) else f"/data/{name}"
        event = finished(1, after, name=name, **{"file": file, **self.phone, **more})
        return self.judge.take(event, 0, {self.script})

    @property
    def fate(self) -> str:
        (met,) = self.judge.met.values()
        return met.fate


@pytest.mark.parametrize("name", [SCRIPT, f"mvr-0123abcd-{SCRIPT}", "96XXUPGRADE.TXT".replace("UPG", "upg")])
def test_a_good_upgrade(script, name):
    seen = Seen(script)
    assert seen(name, file=script).fate == REACHED
    assert seen(NEW_APP, 10).fate == LOADED
    assert seen(name, 60, file=script, version="2.0.0").fate == RUNS
    assert seen("46xxsettings.txt", 61, version="2.0.0") is None
    assert counts(seen.judge.met.values()).runs == 1


def test_one_that_says_no_version_goes_on_to_its_settings(script):
    """A 96x0 asks for software after the settings: it is believed three minutes later."""
    seen = Seen(script, version="")
    seen(SCRIPT)
    seen(NEW_APP, 10)
    seen(SCRIPT, 60)
    assert seen("46xxsettings.txt", 61) is None
    assert seen.judge.tick(NOON + 100) == []
    (met,) = seen.judge.tick(NOON + 61 + 181)
    assert met.fate == RUNS


def test_a_loop(script):
    seen = Seen(script)
    for turn in range(3):
        assert seen.judge.met == {} or seen.fate in (REACHED, LOADED)
        seen(SCRIPT, 100 * turn)
        seen(NEW_APP, 100 * turn + 10)
    assert seen.fate == LOOPS
    assert seen(NEW_APP, 400) is None, "told once"
    assert seen(SCRIPT, 500, version="2.0.0").fate == RUNS, "it came out of it after all"


def test_three_downloads_in_a_day_are_no_loop(script):
    seen = Seen(script)
    for turn in range(5):
        seen(SCRIPT, 3600 * turn)
        seen(NEW_APP, 3600 * turn + 10)
    assert seen.fate == LOADED


def test_half_a_download_is_none(script):
    seen = Seen(script)
    seen(SCRIPT)
    for turn in range(4):
        assert seen(NEW_APP, turn, outcome="aborted") is None
        assert seen(NEW_APP, turn, bytes=0) is None  # a HEAD
    assert seen.fate == REACHED


def test_one_that_does_not_come_back_has_failed(script):
    seen = Seen(script)
    seen(SCRIPT)
    seen(NEW_APP, 10)
    assert seen.judge.tick(NOON + LATE_SECONDS) == []
    (met,) = seen.judge.tick(NOON + LATE_SECONDS + 11)
    assert met.fate == FAILED and NEW_APP in met.detail
    assert seen(SCRIPT, 9000, version="2.0.0").fate == RUNS, "late, but well"


def test_firmware_that_is_refused(script):
    seen = Seen(script)
    seen(SCRIPT)
    assert seen(NEW_APP, 10, outcome="refused", reason="no-file", bytes=0) is None
    assert seen.judge.tick(NOON + 20) == []
    assert seen(NEW_APP, 30).fate == LOADED, "the next port has it"
    assert seen.judge.tick(NOON + 10 + MISSING_SECONDS + 1) == []
    seen(NEW_APP, 100, outcome="refused", reason="no-file", bytes=0)
    (met,) = seen.judge.tick(NOON + 101 + MISSING_SECONDS)
    assert met.fate == FAILED and "refused" in met.detail


@pytest.mark.parametrize("phone", [{"model": ""}, {"model": "", "mac": ""}])
def test_a_phone_of_unknown_model_counts_neither_way(script, phone):
    seen = Seen(script, **phone)
    for turn in range(4):
        seen(SCRIPT, 10 * turn)
        seen(NEW_APP, 10 * turn + 1)
    assert counts(seen.judge.met.values()).unknown == 1
    assert seen.fate == REACHED


def test_two_phones_at_one_address_count_neither_way(script):
    seen = Seen(script)
    seen("46xxsettings.txt", -100, mac="00040d445566")
    for turn in range(4):
        seen(SCRIPT, 10 * turn)
        seen(NEW_APP, 10 * turn + 1)
    assert counts(seen.judge.met.values()) == counts([])._replace(unknown=1)


def loop(seen: Seen, at: float = 0.0, **phone):
    for turn in range(3):
        seen(SCRIPT, at + 10 * turn, **phone)
        seen(NEW_APP, at + 10 * turn + 1, **phone)


@pytest.mark.parametrize("macs", [
    ("00040d112233", ""), ("", "00040d112233"), ("", "00040d112233", "", "00040d445566", ""),
    tuple(f"00040d0000{at:02x}" for at in range(20)),
])  # fmt: skip
def test_one_address_is_one_phone_at_most(script, macs):
    """Whoever says now this of himself, now that, could halt a roll-out by himself."""
    seen = Seen(script)
    for at, mac in enumerate(macs):
        loop(seen, 3600.0 * at, mac=mac)
    found = counts(seen.judge.met.values())
    assert found.loops <= 1 and found.failed == 0
    assert not verdict(rollout(), seen.judge.met.values())


def test_what_was_not_sent_is_no_sign_of_another_phone(script):
    """A datagram with another's address for a name with a MAC in it takes nobody's evidence away."""
    seen = Seen(script)
    seen("00040d445566.txt", -1, mac="00040d445566", outcome="timeout", bytes=512, proto="tftp")
    loop(seen)
    assert counts(seen.judge.met.values()).loops == 1


def test_pieces_are_no_downloads(script, tmp_path):
    """A phone, or somebody who plays one, that asks by Range."""
    seen = Seen(script)
    app = tmp_path / NEW_APP
    app.write_bytes(b"x" * 1000)
    seen(SCRIPT)
    for turn in range(9):
        seen(NEW_APP, turn + 1, file=str(app), bytes=100)
    assert seen.fate == REACHED
    assert seen(NEW_APP, 20, file=str(app), bytes=100).fate == LOADED, "the last piece"
    for turn in range(2):
        seen(NEW_APP, 30 + turn, file=str(app), bytes=1000)
    assert seen.fate == LOOPS


def test_phones_that_are_made_up_have_an_end(script, monkeypatch):
    monkeypatch.setattr(judging, "AT_ONE", 5)
    monkeypatch.setattr(judging, "PHONES", 8)
    seen = Seen(script)
    for at in range(20):
        seen(SCRIPT, at, mac=f"00040d0000{at:02x}")
    assert len(seen.judge.met) == 5
    for at in range(20):
        seen(SCRIPT, at, mac=f"00040d0001{at:02x}", peer=f"192.0.2.{at + 30}")
    assert len(seen.judge.met) == 8


def test_who_was_not_given_the_script_is_nobody_here(script):
    seen = Seen(script)
    assert seen(SCRIPT, file="/data/96xxupgrade.txt") is None
    assert seen(NEW_APP, 10) is None and seen.judge.met == {}
    assert seen(SCRIPT, op="store") is None


def rollout(**more) -> Rollout:
    fields = {"state": RUNNING, "stages": (parse("group=5"), parse("group=6")), "stage": 0}
    return Rollout(plans.new_run(), "x-0123abcd", **fields, began=NOON, changed=NOON, since=NOON, **more)


def met(stage: int = 0, at: float = NOON + 1, **fates: int) -> list[Met]:
    return [
        Met(f"{stage}{fate}{number}", "10.0.0.1", "", "9640", stage, fate, at)
        for fate, count in fates.items()
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("limits", "fates", "halts"),
    [
        (Limits(), {"runs": 100}, False),
        (Limits(), {"loops": 1, "runs": 9}, False),
        (Limits(), {"loops": 2, "runs": 500}, True),
        (Limits(), {"failed": 1}, False),
        (Limits(), {"failed": 5, "runs": 95}, False),
        (Limits(), {"failed": 6, "runs": 94}, True),
        (Limits(), {"failed": 2, "reached": 18}, True),
        (Limits(), {"failed": 1, "loops": 1, "runs": 10}, True),
        (Limits(loops=3), {"loops": 3, "runs": 97}, False),
        (Limits(loops=3), {"loops": 4, "runs": 997}, True),
        (Limits(most=0), {"failed": 1, "runs": 999}, True),
        (Limits(most=2), {"failed": 1, "loops": 1, "runs": 1}, False),
        (Limits(most=2), {"failed": 1, "loops": 2}, True),
        (Limits(loops=-1), {"loops": 5, "runs": 95}, False),
        (Limits(loops=-1), {"loops": 6, "runs": 94}, True),
        (Limits(percent=50), {"failed": 4, "runs": 5}, False),
    ],
)
def test_how_much_is_too_much(limits, fates, halts):
    assert bool(verdict(rollout(limits=limits), met(**fates))) is halts


def test_what_was_before_counts_no_more():
    again = replace(rollout(), since=NOON + 100)
    assert verdict(rollout(), met(loops=5))
    assert not verdict(again, met(loops=5))
    assert verdict(again, met(at=NOON + 101, loops=2))


def test_a_small_stage_is_not_hidden_by_a_big_one():
    second = replace(rollout(), stage=1, since=NOON + 100)
    assert verdict(second, met(runs=1000) + met(1, NOON + 101, failed=2, runs=8))
    unknown = [one._replace(counts=False) for one in met(1, NOON + 101, failed=9, loops=9)]
    assert not verdict(second, unknown)
    assert counts(unknown).unknown == 18 and counts(met(runs=3), 1).all == 0
