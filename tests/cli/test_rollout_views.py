"""How a roll-out is shown: phones in trouble, no more than one can read, and nothing that they chose."""

from __future__ import annotations

import pytest

from mv_iptel.cli.rollout_views import SHOWN, show_status, status
from mv_iptel.rollout.plans import HALTED, Met, Rollout
from mv_iptel.rollout.rings import parse
from tests.happened import NOON


def phones(count: int, fate: str, **more) -> dict[str, Met]:
    named = (Met(f"{number:012x}", f"10.0.0.{number}", f"{number:012x}", "9640", 0, fate, NOON + number)
             for number in range(count))  # fmt: skip
    return {one.key: one._replace(**more) for one in named}


@pytest.fixture
def halted() -> Rollout:
    stages = (parse("group=5"), parse("model=9640"))
    return Rollout("0123abcd", "x-0123abcd", HALTED, stages, 0, NOON, NOON, NOON, note="2 in a boot loop")


def test_not_more_than_one_can_read(halted, capsys):
    met = {**phones(SHOWN + 5, "loops"), "fine": Met("fine", "10.9.9.9", "", "9640", 0, "runs", NOON)}
    show_status(halted, met, everyone=False)
    said = capsys.readouterr().out
    assert "and 5 more" in said and "10.9.9.9" not in said and "now" in said
    assert f"10.0.0.{SHOWN + 4}:" in said and "10.0.0.0:" not in said, "the latest first"
    show_status(halted, met, everyone=True)
    said = capsys.readouterr().out
    assert "10.9.9.9" in said and "10.0.0.0:" in said and "more;" not in said


def test_what_a_phone_chose_does_not_reach_the_terminal(halted, capsys):
    show_status(halted, phones(1, "failed", model="\x1b[2J", detail="\x07bell"), everyone=False)
    said = capsys.readouterr().out
    assert "\x1b[2J" not in said and "\x07" not in said


def test_each_stage_for_programs(halted):
    told = status(halted, {**phones(2, "loops"), **phones(1, "runs", key="b", stage=1, counts=False)})
    assert (told["state"], told["loops"], told["stages"]) == (HALTED, 1, ["group 5", "model 9640"])
    assert [one["unknown"] for one in told["by_stage"]] == [0, 1]
