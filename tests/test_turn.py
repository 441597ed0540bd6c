"""The turn: one computes at a time, who waits gives it away, and nobody is passed over."""

from __future__ import annotations

import select
import socket
import threading

from mv_iptel import turn


def test_one_at_a_time_and_all_get_on():
    inside, most, counts = [], [], [0, 0, 0]

    def work(number: int) -> None:
        with turn.held():
            for _ in range(300):
                inside.append(number)
                most.append(len(inside))
                inside.pop()
                counts[number] += 1
                with turn.away(), turn.away():
                    pass

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert max(most) == 1 and counts == [300, 300, 300]


def test_who_has_no_turn_waits_without_one():
    with turn.away(), turn.held():
        pass


def test_who_waits_comes_next():
    """A thread that takes one turn after the other lets another one in between."""
    told, started, stop = [], threading.Event(), threading.Event()

    def busy() -> None:
        with turn.held():
            while not stop.is_set():
                started.set()
                told.append("busy")
                with turn.away():
                    pass

    thread = threading.Thread(target=busy)
    thread.start()
    assert started.wait(10)
    for _ in range(5):
        with turn.held():
            told.append("other")
    stop.set()
    thread.join(10)
    assert told.count("other") == 5


def test_a_poller_waits_away():
    near, far = socket.socketpair()
    ended = threading.Event()

    def wait() -> None:
        with turn.held():
            poller = turn.Poller(select.poll())
            poller.register(near, select.POLLIN)
            assert poller.poll() == [(near.fileno(), select.POLLIN)]
            ended.set()

    with near, far:
        thread = threading.Thread(target=wait)
        thread.start()
        with turn.held():  # it waits for its socket, not for us
            far.send(b"x")
        assert ended.wait(10)
        thread.join(10)
