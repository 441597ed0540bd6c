"""Slots: who is served when not everybody can be, and when a slot ends."""

from __future__ import annotations

from mv_iptel.library.slots import Slots


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def make(maximum=2, seconds=10.0):
    clock = Clock()
    return Slots(maximum, seconds, clock), clock


def test_no_limit_counts_nothing():
    slots, _ = make(0)
    assert all(slots.take(f"10.0.0.{n}") for n in range(200))
    assert slots.used == 0 and slots.next_end() == 0.0


def test_an_address_with_a_slot_is_served_a_new_one_is_not():
    slots, _ = make()
    assert slots.take("a") and slots.take("b")
    assert not slots.may("c") and not slots.take("c")
    assert slots.may("a") and slots.take("a")
    assert slots.used == 2


def test_a_slot_ends_after_its_last_activity_and_not_while_in_use():
    slots, clock = make(1, 10.0)
    assert slots.take("a")
    clock.now += 60  # a long transfer
    assert not slots.take("b")
    slots.leave("a")
    clock.now += 9.9
    assert not slots.take("b")
    assert 0 < slots.next_end() < 0.2
    assert slots.take("a")
    slots.leave("a")
    clock.now += 9.9
    assert not slots.take("b")
    clock.now += 0.2
    assert slots.next_end() == 0.0
    assert slots.take("b") and not slots.may("a")


def test_without_a_session_time_a_slot_never_ends():
    slots, clock = make(1, 0.0)
    slots.take("a")
    slots.leave("a")
    clock.now += 1e6
    assert not slots.take("b")
    assert slots.next_end() is None
    told = []
    slots.on_end(lambda: told.append(1))
    assert slots.free("a") and not slots.free("a")
    assert told == [1]
    assert slots.take("b")


def test_two_sessions_of_one_address_share_a_slot():
    slots, clock = make(1, 5.0)
    slots.take("a")
    slots.take("a")
    slots.leave("a")
    clock.now += 6
    assert not slots.take("b")
    slots.leave("a")
    clock.now += 6
    assert slots.take("b")
    assert slots.snapshot() == [{"address": "b", "age": 0.0, "idle": 0.0, "sessions": 1}]


def test_new_limits_keep_who_is_in():
    slots, _ = make(1)
    slots.take("a")
    slots.resize(2, 10)
    assert slots.take("b") and not slots.take("c")
    slots.resize(0, 10)
    assert slots.take("c") and slots.used == 0
