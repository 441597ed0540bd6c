"""The figures of the last minutes: made from looks at sums, drawn as paths."""

from __future__ import annotations

import pytest

from manager.facts import pulse
from manager.facts.pulse import OFTEN, SELDOM, Pulse, charts

START = 1_800_000_000.0


def seen(octets=0, ok=0, refused=0, now=0, started=1.0):
    sums = {"now": now, "octets": octets, "ok": ok, "refused": refused, "failed": 0}
    return {"server": {"started": started}, "transfers": sums}


def fed(*looks):
    """A pulse of (seconds after START, status)."""
    one = Pulse(lambda: START)
    for after, status in looks:
        one.add(status, START + after)
    return one


def known(points):
    return [point for point in points if point.octets is not None]


def test_what_came_between_two_looks_is_spread_over_its_seconds():
    one = fed((0, seen()), (10, seen(octets=5000, ok=20, refused=10, now=7)))
    points = known(one.points(START + 10))
    assert len(points) in (2, 3)  # the steps of 5 s that lie in these ten
    assert {round(point.octets) for point in points} == {500} and {point.done for point in points} == {2.0}
    assert {point.refused for point in points} == {1.0} and {point.now for point in points} == {7}


def test_a_server_that_was_started_anew_began_with_nothing():
    one = fed((0, seen(octets=10**9, ok=500)), (10, seen(octets=1000, ok=5, started=2.0)))
    assert {point.octets for point in known(one.points(START + 10))} == {100.0}


def test_sums_that_seem_to_fall_are_no_negative_traffic():
    one = fed((0, seen(octets=1000)), (10, seen(octets=900)))
    assert {point.octets for point in known(one.points(START + 10))} == {0.0}


def test_of_a_time_without_looks_nothing_is_known():
    one = fed((0, seen()), (100, seen(octets=10**6)))
    assert known(one.points(START + 100)) == []


def test_a_clock_that_was_put_back_begins_anew():
    one = fed((0, seen()), (5, seen(octets=5)), (-100, seen(octets=7)))
    assert [sample.octets for sample in one.samples()] == [7]


def test_it_keeps_what_the_chart_shows_and_no_more():
    one = Pulse(lambda: START)
    for second in range(3 * int(pulse.KEPT)):
        one.add(seen(), START + second)
    assert len(one.samples()) <= pulse.KEPT + pulse.GAP + 2
    assert len(one.points(START + 3 * pulse.KEPT)) == pulse.KEPT / pulse.STEP


def test_it_looks_often_only_while_somebody_watches():
    now = [START]
    one = Pulse(lambda: now[0])
    assert one.pause() == SELDOM
    one.watch()
    assert one.pause() == OFTEN
    now[0] += 60
    assert one.pause() == SELDOM


def test_a_chart_says_itself_in_words():
    looks = [(at, seen(octets=at * 3000, now=3, refused=at // 30)) for at in range(0, 120, 2)]
    sent, at_once, refused = charts(fed(*looks).points(START + 118))
    assert sent.value == "2.9 KiB/s" and sent.top == "4 KiB/s" and "in the last 10 minutes" in sent.told
    assert at_once.value == "3" and at_once.top == "5"
    assert float(refused.value) <= 3
    assert sent.line.startswith("M") and sent.area.endswith("Z")


def test_refusals_of_a_moment_are_not_blown_up_to_a_whole_step():
    looks = [
        (0, seen()),
        (0.5, seen(refused=3)),
        (1, seen(refused=3)),
        (7, seen(refused=3)),
        (12, seen(refused=3)),
    ]
    assert charts(fed(*looks).points(START + 12))[2].value == "3"


def test_without_a_look_a_chart_is_empty_and_not_broken():
    for one in charts(Pulse(lambda: START).points(START)):
        assert (one.value, one.line, one.area) == ("–", "", "")


def test_gaps_break_the_line():
    line, _ = pulse._drawn([1, 2, None, 3, None, None], 5)
    assert line.count("M") == 2 and "nan" not in line


@pytest.mark.parametrize(
    ("most", "edge"), [(0, 5), (5, 5), (6, 10), (11, 20), (21, 50), (51, 100), (101, 200)]
)
def test_edges_are_round(most, edge):
    assert pulse._decimal(most) == edge
