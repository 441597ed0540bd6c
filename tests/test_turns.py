"""Taking turns: never two at once, nobody is passed over, and a long turn gives way."""

from __future__ import annotations

import threading

from mv_iptel import turns as module
from mv_iptel.turns import Turns


def test_never_two_at_once_and_none_starves():
    turns, inside, most, counts = Turns(), [], [], [0, 0]
    stop = threading.Event()

    def take(who):
        while not stop.is_set():
            with turns:
                inside.append(who)
                most.append(len(inside))
                inside.remove(who)
            counts[who] += 1
            if min(counts) >= 200:
                stop.set()

    threads = [threading.Thread(target=take, args=(who,), daemon=True) for who in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert stop.is_set() and min(counts) >= 200
    assert max(most) == 1


def test_a_long_turn_gives_way_to_who_waits_and_a_short_one_does_not(monkeypatch):
    turns, order = Turns(), []

    def other():
        with turns:
            order.append("other")

    for slice_, expected in ((0.0, ["other", "first"]), (1e6, ["first", "other"])):
        monkeypatch.setattr(module, "SLICE", slice_)
        order.clear()
        with turns:
            thread = threading.Thread(target=other)
            thread.start()
            while not turns._gate.locked():
                pass
            turns.pause()
            order.append("first")
        thread.join(30)
        assert order == expected


def test_a_fault_within_a_turn_ends_it():
    turns = Turns()
    try:
        with turns:
            raise RuntimeError("within")
    except RuntimeError:
        pass
    with turns:
        turns.pause()
