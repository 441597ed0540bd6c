"""The stream: everything reaches every listener, in order, whatever one of them does."""

from __future__ import annotations

import threading

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
