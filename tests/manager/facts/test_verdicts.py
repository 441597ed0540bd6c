"""What each phone should run, beside what it runs: by its model, its GROUP, its MAC, and what it fetched."""

from __future__ import annotations

import time

import pytest

from manager.facts.verdicts import Fact, Judging, counts
from mv_iptel.config import load
from tests.manager import field
from tests.manager.here import made


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = made(tmp_path_factory.mktemp("home"))
    field.site(home)
    return home


def row(number=1, **changes):
    told = {"id": number, "key": field.MAC, "mac": field.MAC, "model": "9640", "runs": field.BIN,
            "runs_source": "agent", "runs_seen": time.time()}  # fmt: skip
    return {**told, **changes}


def judged(home, one, fact=None, got=None):
    facts = {one["id"]: fact or Fact()}
    (found,) = Judging(load(home)).all([one], facts, lambda names: got or {}, time.time() + 90_000)
    return found


@pytest.mark.parametrize(
    ("changes", "fact", "state"),
    [
        ({}, Fact(), "compliant"),
        ({"runs": "3.2.8"}, Fact(), "compliant"),
        ({"runs": "3.1.0"}, Fact(), "pending"),
        ({"runs": ""}, Fact(), "unknown"),
        ({"model": "toaster"}, Fact(), "unknown"),
        ({"model": ""}, Fact(), "unknown"),
        ({"runs": "ha96xxua9_9.bin"}, Fact(group="7"), "compliant"),
        ({"runs": field.BIN}, Fact(group="7"), "pending"),
        ({"runs": "ha96xxua9_9.bin"}, Fact(), "unknown"),  # what GROUP 7 is ordered, and nobody knows its own
    ],
)
def test_the_state_of_a_phone(home, changes, fact, state):
    assert judged(home, row(**changes), fact).verdict.state == state


def test_what_it_fetched_and_does_not_run_makes_it_stuck(home):
    later = time.time() + 50_000
    got = {1: {field.BIN: later}}
    found = judged(home, row(runs="3.1.0", runs_seen=later + 4000), got=got)
    assert found.verdict.state == "stuck" and found.order.file == "96xxupgrade.txt"


def test_a_script_that_names_a_mac_is_asked_for_that_phone(tmp_path):
    home = made(tmp_path)
    (home.http_data / "96xxupgrade.txt").write_text(
        f"IF $MACADDR SEQ {field.OTHER} GOTO ONE\nSET APPNAME a1_0.bin\nGOTO END\n# ONE\n"
        "SET APPNAME b2_0.bin\n# END\n"
    )
    judging = Judging(load(home))
    orders = [
        judging.order(row(key=mac, mac=mac), Fact()).software for mac in (field.MAC, field.OTHER, field.MAC)
    ]
    assert orders == ["a1_0.bin", "b2_0.bin", "a1_0.bin"]


def test_states_are_counted(home):
    every = list(Judging(load(home)).all([row(1), row(2, runs="3.1.0")], {}, lambda names: {}, time.time()))
    assert counts(every) == {"compliant": 1, "pending": 1, "stuck": 0, "unknown": 0}
