"""The plan and what was found out, on the disk: whole, or told as nothing."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mv_iptel.home import Home
from mv_iptel.rollout import plans
from mv_iptel.rollout.plans import HALTED, PAUSED, RUNNING, Halt, Limits, Log, Met, Rollout, Terms
from mv_iptel.rollout.rings import parse

NOON = 1_760_000_000.0
PHONE = Met("00040d000001", "10.1.0.1", "00040d000001", "9640", 0, "reached", NOON)


@pytest.fixture
def home(tmp_path):
    (tmp_path / "MV_IPTel" / "var" / "releases").mkdir(parents=True)
    return Home(tmp_path)


def rollout(**more) -> Rollout:
    stages = (parse("to=10.1.0.0/16 group=5"), parse("model=9640"))
    scripts = {"HTTPdata": {"96xxupgrade.txt": "0" * 64}}
    whole = Rollout(
        plans.new_run(), "96xx-0123abcd", RUNNING, stages, 1, NOON, NOON, NOON, Terms("merge", True), scripts,
        Limits(2, 7.5, 3), "why",
    )  # fmt: skip
    return replace(whole, **more)


def test_there_and_back(home):
    assert plans.load(home) is None
    whole = rollout()
    plans.save(home, whole)
    assert plans.load(home) == whole
    assert whole.last and len(whole.ring.stages) == 2 and not rollout(stage=0).last
    assert whole.to(PAUSED, NOON + 5) == replace(whole, state=PAUSED, changed=NOON + 5, note="")


@pytest.mark.parametrize(
    "change",
    [
        {"run": "../../x"}, {"release": "../x"}, {"state": "odd"}, {"stage": 7}, {"stage": -1},
        {"stages": []}, {"began": "x"},
        {"stages": [["10.0.0.0/99", [], []]]}, {"stages": [[[], [], []]]}, {"scripts": {"bin": {}}},
        {"scripts": {"HTTPdata": {"a": "../../../etc/passwd"}}}, {"scripts": []}, {"limits": 3},
        {"more": 1}, {"stages": [[[], [], ["5\nGET evil"]]]},
    ],
)  # fmt: skip
def test_a_plan_that_is_none(home, change):
    plans.save(home, rollout())
    path = home.var / "releases" / "rollout.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert plans.load(home) is None


def test_half_a_file_is_none(home):
    plans.save(home, rollout())
    path = home.var / "releases" / "rollout.json"
    path.write_bytes(path.read_bytes()[:-20])
    assert plans.load(home) is None


def test_what_was_found_out(home):
    whole = rollout()
    log = Log(plans.log_of(home, whole.run))
    log.write([PHONE, PHONE._replace(key="b")])
    log.write([])
    log.write([PHONE._replace(fate="runs")], sync=False)
    log.sync()
    assert plans.read(log.path) == {PHONE.key: PHONE._replace(fate="runs"), "b": PHONE._replace(key="b")}


def test_a_crash_leaves_half_a_line(home):
    log = Log(plans.log_of(home, "0123abcd"))
    log.write([PHONE])
    with log.path.open("ab") as file:
        file.write(b'{"key": "half of')
    log.write([PHONE._replace(key="b")])
    with log.path.open("ab") as file:
        file.write(b'[]\n3\n"x"\n{"key": "c", "fate": "odd"}\n{"halt": "x"}\n\xff\n')
    assert set(plans.read(log.path)) == {PHONE.key, "b"}


def test_a_halt_that_the_server_wrote_holds_until_somebody_goes_on(home):
    whole = rollout()
    plans.save(home, whole)
    Log(plans.log_of(home, whole.run)).write([Halt(NOON + 7, "too many")])
    assert plans.load(home).state == HALTED and plans.load(home).note == "too many"
    plans.save(home, replace(whole, changed=NOON + 8))
    assert plans.load(home).state == RUNNING
    plans.save(home, whole.to(PAUSED, NOON))
    assert plans.load(home).state == PAUSED


def test_a_new_rollout_removes_what_old_ones_left(home):
    first, second = rollout(), rollout()
    plans.save(home, first)
    Log(plans.log_of(home, first.run)).write([PHONE])
    plans.save(home, second)
    assert plans.read(plans.log_of(home, first.run)) == {}
