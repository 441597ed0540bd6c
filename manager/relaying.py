"""One line to the server's live events for all pages that watch them; each gets no more than it can show."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from manager.link import Link
from manager.problems import Problem

PACE = 0.25  # seconds between two parcels for a page
PARCEL = 25  # events in one; what comes faster is counted
WAITING = 2000  # events that wait for a page's next parcel
AGAIN = 2.0  # seconds before a server that does not answer is asked again

Event = dict[str, Any]


class Relay:
    """Follows the server while anybody watches. All methods run on the manager's loop."""

    def __init__(self, link: Link):
        self._link = link
        self._watchers: set[_Watcher] = set()
        self._task: asyncio.Task[None] | None = None
        self.up = False  # whether it is known how the line stands
        self.error = ""  # why no events come; empty: they do, or nobody watches

    async def follow(self, wanted: Callable[[Event], bool]) -> AsyncIterator[tuple[str, Any]]:
        """`("events", {"items": …, "skipped": n})` and `("state", {"error": …})`, without an end."""
        watcher = _Watcher(wanted)
        self._watchers.add(watcher)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        elif self.up:
            watcher.tell(self.error)
        try:
            while True:
                await watcher.ready.wait()
                for one in watcher.take():
                    yield one
                await asyncio.sleep(PACE)
        finally:
            self._watchers.discard(watcher)
            if not self._watchers and self._task is not None:
                self._task.cancel()
                self._task, self.up, self.error = None, False, ""

    async def _run(self) -> None:
        while True:
            try:
                async with contextlib.aclosing(self._link.events()) as lines:
                    async for line in lines:
                        self._take(line)
                self._tell("the server has ended, or the line to it")
            except Problem as problem:
                self._tell(problem.detail or problem.title)
            await asyncio.sleep(AGAIN)

    def _take(self, line: bytes) -> None:
        if not self.up or self.error:
            self._tell("")
        if not line.startswith(b"data: "):
            return
        try:
            event = json.loads(line[6:])
        except ValueError:
            return
        for watcher in self._watchers:
            watcher.push(event)

    def _tell(self, error: str) -> None:
        if self.up and error == self.error:
            return
        self.up, self.error = True, error
        for watcher in self._watchers:
            watcher.tell(error)


class _Watcher:
    """What waits for one page."""

    def __init__(self, wanted: Callable[[Event], bool]):
        self._wanted = wanted
        self._events: deque[Event] = deque()
        self._skipped = 0
        self._state: str | None = None
        self.ready = asyncio.Event()

    def push(self, event: Event) -> None:
        if event.get("event") == "lost":
            self._skipped += int(event.get("count", 0))
        elif not self._wanted(event):
            return
        elif len(self._events) >= WAITING:
            self._skipped += 1
        else:
            self._events.append(event)
        self.ready.set()

    def tell(self, error: str) -> None:
        self._state = error
        self.ready.set()

    def take(self) -> list[tuple[str, Any]]:
        """What waits. Of more than a page can show, what went wrong comes first."""
        self.ready.clear()
        parcels: list[tuple[str, Any]] = []
        if self._state is not None:
            parcels.append(("state", {"error": self._state}))
            self._state = None
        events, skipped = list(self._events), self._skipped
        self._events.clear()
        self._skipped = 0
        if len(events) > PARCEL:
            wrong = [at for at, one in enumerate(events) if one.get("outcome", "") != "ok"]
            fine = [at for at, one in enumerate(events) if one.get("outcome", "") == "ok"]
            kept = sorted((wrong[-PARCEL:] + fine[::-1])[:PARCEL])
            skipped += len(events) - len(kept)
            events = [events[at] for at in kept]
        if events or skipped:
            parcels.append(("events", {"items": events, "skipped": skipped}))
        return parcels
