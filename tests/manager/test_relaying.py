"""The one line to the server's events: who watches gets what he wants, no more than he can show."""

from __future__ import annotations

import asyncio
import json

from manager.problems import Problem
from manager.relaying import PARCEL, WAITING, Relay


class Line:
    """A server's event stream, fed by the test."""

    def __init__(self):
        self.lines: asyncio.Queue = asyncio.Queue()
        self.opened = self.closed = 0

    async def events(self):
        self.opened += 1
        try:
            while True:
                line = await self.lines.get()
                if isinstance(line, Exception):
                    raise line
                if line is None:
                    return
                yield line
        finally:
            self.closed += 1

    def say(self, **event):
        self.lines.put_nowait(b"data: " + json.dumps(event).encode() + b"\n")


def anything(event):
    return True


def test_all_watchers_share_one_line_that_ends_with_the_last_of_them():
    async def story():
        line = Line()
        relay = Relay(line)
        first, second = relay.follow(anything), relay.follow(lambda event: event["n"] == 2)
        line.lines.put_nowait(b": connected\n")
        assert await anext(first) == ("state", {"error": ""})
        waiting = asyncio.ensure_future(anext(second))
        await asyncio.sleep(0)
        assert await waiting == ("state", {"error": ""})  # also who comes later is told how it stands
        line.say(n=1)
        line.say(n=2)
        assert await anext(first) == ("events", {"items": [{"n": 1}, {"n": 2}], "skipped": 0})
        assert await anext(second) == ("events", {"items": [{"n": 2}], "skipped": 0})
        await first.aclose()
        assert not line.closed
        await second.aclose()
        while not line.closed:
            await asyncio.sleep(0)
        assert line.opened == 1

    asyncio.run(story())


def test_what_comes_too_fast_is_counted_and_what_went_wrong_comes_first():
    async def story():
        line = Line()
        pages = Relay(line).follow(anything)
        line.lines.put_nowait(b": connected\n")
        await anext(pages)
        for n in range(100):
            line.say(n=n, outcome="refused" if n == 7 else "ok")
        line.say(event="lost", count=50)
        line.lines.put_nowait(b"data: {broken\n")
        line.say(n=100, outcome="ok")
        _, told = await anext(pages)
        assert len(told["items"]) == PARCEL and told["skipped"] == 101 - PARCEL + 50
        assert [one["n"] for one in told["items"]] == [7, *range(100 - PARCEL + 2, 101)]
        await pages.aclose()

    asyncio.run(story())


def test_a_page_that_takes_nothing_holds_no_more_than_a_bound():
    async def story():
        line = Line()
        pages = Relay(line).follow(anything)
        line.lines.put_nowait(b": connected\n")
        await anext(pages)
        for n in range(WAITING + 500):
            line.say(n=n, outcome="refused")
        while not line.lines.empty():
            await asyncio.sleep(0)
        _, told = await anext(pages)
        assert len(told["items"]) == PARCEL and told["skipped"] == WAITING + 500 - PARCEL
        await pages.aclose()

    asyncio.run(story())


def test_a_server_that_goes_is_told_once_and_found_again(monkeypatch):
    monkeypatch.setattr("manager.relaying.AGAIN", 0)
    monkeypatch.setattr("manager.relaying.PACE", 0)

    async def story():
        line = Line()
        pages = Relay(line).follow(anything)
        for _ in range(3):
            line.lines.put_nowait(Problem("unreachable", "no server answers"))
        assert await anext(pages) == ("state", {"error": "no server answers"})
        line.lines.put_nowait(b": connected\n")
        line.say(n=1)
        found = [await anext(pages), await anext(pages)]
        assert found == [("state", {"error": ""}), ("events", {"items": [{"n": 1}], "skipped": 0})]
        line.lines.put_nowait(None)
        assert "has ended" in (await anext(pages))[1]["error"]
        await pages.aclose()

    asyncio.run(story())
