"""Lanes: many at once, one at a time for each name, in order, and an end that waits."""

from __future__ import annotations

import threading

import pytest

from mv_iptel.turn import away
from mv_iptel.userdata.lanes import Lanes


@pytest.fixture
def faults():
    return []


@pytest.fixture
def lanes(faults):
    made = Lanes(4, "test", faults.append)
    yield made
    made.close()


def test_names_run_at_once(lanes):
    """Four jobs that wait for each other end only if all four run."""
    together = threading.Barrier(4)

    def wait() -> None:
        with away(), away():
            together.wait(30)

    for name in "abcd":
        assert lanes.run(name, wait)
    lanes.close()
    assert not together.broken


def test_one_name_runs_in_order_and_alone(lanes):
    told, inside = [], []

    def job(number: int) -> None:
        inside.append(number)
        assert len(inside) == 1
        told.append(number)
        inside.clear()

    for number in range(500):
        lanes.run("one", lambda number=number: job(number))
    lanes.close()
    assert told == list(range(500))


def test_a_long_lane_holds_up_nobody(lanes):
    """A flood of one name takes one thread, not all of them."""
    gate = threading.Event()

    def wait() -> None:
        with away():
            gate.wait(30)

    for _ in range(20):
        lanes.run("flood", wait)
    done = threading.Event()
    lanes.run("other", done.set)
    assert done.wait(30)
    gate.set()


def test_a_failed_job_ends_nothing(lanes, faults):
    lanes.run("a", lambda: 1 // 0)
    assert lanes.do("a", lambda: None)
    assert [type(one) for one in faults] == [ZeroDivisionError]
    assert lanes.do("a", lambda: 1 // 0)  # it ran, and it is told


def test_close_waits_and_takes_no_more(lanes):
    gate, told = threading.Event(), []
    lanes.run("a", lambda: gate.wait(30))
    for number in range(3):
        lanes.run("a", lambda number=number: told.append(number))
    threading.Timer(0.01, gate.set).start()
    lanes.close()
    assert told == [0, 1, 2]
    assert not lanes.run("a", lambda: told.append(9))
    assert not lanes.do("a", lambda: told.append(9))
    assert told == [0, 1, 2]


def test_no_more_threads_than_needed(lanes):
    before = threading.active_count()
    for number in range(50):
        lanes.do(str(number), lambda: None)
    assert threading.active_count() - before <= 4


def test_one_computes_at_a_time(lanes):
    inside, most = [], []

    def job() -> None:
        for _ in range(200):
            inside.append(1)
            most.append(len(inside))
            inside.pop()
            with away():
                pass

    for name in "abcdefgh":
        assert lanes.run(name, job)
    lanes.close()
    assert max(most) == 1 and len(most) == 1600


def test_elsewhere_nobody_is_away():
    with away():
        pass


def test_items_are_handled_together(faults):
    """What comes while others are handled goes next, all at once; one name's stay in their order."""
    begun, gate, seen = threading.Event(), threading.Event(), []

    def together(items: list[str]) -> None:
        seen.append(items)
        begun.set()
        with away():
            gate.wait(30)

    lanes = Lanes(4, "test", faults.append, together)
    assert lanes.add("first", "first")
    assert begun.wait(30)
    for item in ("a1", "b1", "a2", "c1", "a3"):
        assert lanes.add(item[0], item)
    lanes.do("d", lambda: None)  # a job of another name does not wait for them
    gate.set()
    lanes.close()
    assert seen == [["first"], ["a1", "b1", "c1"], ["a2"], ["a3"]] and not faults
    assert not lanes.add("a", "a4")


def test_jobs_and_items_of_one_name_keep_their_order(faults):
    told = []
    lanes = Lanes(4, "test", faults.append, told.extend)
    for number in range(0, 300, 2):
        lanes.add("one", number)
        lanes.run("one", lambda number=number: told.append(number + 1))
        lanes.add(f"other {number}", -1)
    lanes.close()
    assert [number for number in told if number >= 0] == list(range(300))
    assert told.count(-1) == 150 and not faults


def test_items_that_fail_end_nothing(faults):
    lanes = Lanes(2, "test", faults.append, lambda items: 1 // 0)
    for number in range(5):
        lanes.add("one", number)
    assert lanes.do("one", lambda: None)
    lanes.close()
    assert len(faults) == 5
