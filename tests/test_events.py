"""The stream: everything reaches every listener, in order, whatever one of them does."""

from __future__ import annotations

import threading
import time

from mv_iptel.events import BACKLOG, Notice, Stream


class Keeps:
    def __init__(self):
        self.events = []
        self.ticks = 0

    def receive(self, batch):
        self.events += batch

    def tick(self, now):
        self.ticks += 1


class Fails:
    def receive(self, batch):
        raise RuntimeError("a full disk")


def test_a_failing_listener_does_not_silence_the_others(caplog):
    keeps = Keeps()
    stream = Stream(Fails(), keeps)
    for number in range(5000):
        stream.publish(Notice("test", str(number)))
    stream.drain()
    assert [event.text for event in keeps.events] == [str(number) for number in range(5000)]
    assert "a listener failed" in caplog.text


def test_from_many_threads_nothing_is_lost():
    keeps = Keeps()
    stream = Stream(keeps)
    stream.start()
    threads = [
        threading.Thread(
            target=lambda: [stream.publish(Notice("test", str(stream.next_id()))) for _ in range(5000)]
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stream.stop()
    assert stream.lost == 0
    assert sorted(int(event.text) for event in keeps.events) == list(range(1, 20001))
    assert keeps.ticks > 0


def test_a_listener_that_stands_still_costs_bounded_memory():
    release = threading.Event()

    class Stands:
        def receive(self, batch):
            release.wait(30)

    stream = Stream(Stands())
    stream.start()
    for _ in range(BACKLOG + 1030):
        stream.publish(Notice("test", ""))
    assert stream.lost >= 1
    assert len(stream._queue) <= BACKLOG
    release.set()
    stream.stop()


def test_a_listener_that_stands_still_holds_up_one_caller_once():
    """Each request waited 50 ms for a locked database: 20 requests a second was all that was served."""
    release, standing, keeps = threading.Event(), threading.Event(), Keeps()

    class Stands:
        def receive(self, batch):
            standing.set()
            release.wait(30)

    stream = Stream(Stands(), keeps)
    stream.start()
    stream.publish(Notice("test", "first"))
    assert standing.wait(10)
    for _ in range(BACKLOG):
        stream.publish(Notice("test", ""))
    began = time.monotonic()
    for _ in range(1000):
        stream.publish(Notice("test", "lost"))
    assert time.monotonic() - began < 5, "a thousand waits are 50 s"
    assert stream.lost == 1000
    release.set()
    stream.stop()
    assert len(keeps.events) == BACKLOG + 1


def test_what_a_listener_says_is_not_lost_in_a_full_backlog():
    keeps = Keeps()

    class Says:
        def receive(self, batch):
            if batch[0].text == "first":
                for _ in range(BACKLOG + 10):
                    stream.publish(Notice("test", "said"))

    stream = Stream(Says(), keeps)
    stream.start()
    stream.publish(Notice("test", "first"))
    stream.stop()
    assert stream.lost == 0 and len(keeps.events) == BACKLOG + 11
