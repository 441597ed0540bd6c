"""Slots: at most so many different clients at once, so that those who are served finish soon.

Reference: session control. One slot is one client address over all protocols.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol


class Waiting(Protocol):
    """A front end's request that waits for a slot."""

    def ask_again(self) -> bool:
        """A slot may have ended. False: still none."""

    def give_up(self) -> None:
        """No slot came in time."""


class _Slot:
    __slots__ = ("active", "last", "since")

    def __init__(self, now: float):
        self.since = now
        self.last = now
        self.active = 0  # open sessions; a slot in use does not end


class Slots:
    """The slots. `maximum` 0 is no limit, then nothing is counted; `seconds` 0 means a slot never ends.

    Every method may be called from any thread. Times are those of `now`, in seconds.
    """

    def __init__(self, maximum: int = 0, seconds: float = 0.0, now: Callable[[], float] = time.monotonic):
        self.max = maximum
        self.seconds = seconds
        self.refused = 0
        self._now = now
        self._slots: dict[str, _Slot] = {}  # in the order of their last activity
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    @property
    def used(self) -> int:
        """How many slots are taken now."""
        with self._lock:
            self._expire(self._now())
            return len(self._slots)

    def resize(self, maximum: int, seconds: float) -> None:
        """New limits. Who has a slot keeps it until it ends."""
        with self._lock:
            self.max, self.seconds = maximum, seconds
            if maximum == 0:
                self._slots.clear()
        self._tell()

    def may(self, address: str) -> bool:
        """Whether `address` has a slot or could take one now."""
        if not self.max:
            return True
        with self._lock:
            return self._room(address)

    def take(self, address: str, session: bool = True) -> bool:
        """Take a slot, or go on using one. False: all are taken.

        With `session`, the slot counts as in use until `leave`.
        """
        if not self.max:
            return True
        with self._lock:
            if not self._room(address):
                return False
            now = self._now()
            slot = self._slots.pop(address, None) or _Slot(now)
            slot.last = now
            slot.active += session
            self._slots[address] = slot  # to the end: the order of last activity
            return True

    def leave(self, address: str) -> None:
        """A session that had taken the slot is over; this only stamps the last activity."""
        if not self.max:
            return
        with self._lock:
            slot = self._slots.pop(address, None)
            if slot is not None:
                slot.last = self._now()
                slot.active = max(0, slot.active - 1)
                self._slots[address] = slot

    def free(self, address: str) -> bool:
        """End a slot by hand."""
        with self._lock:
            gone = self._slots.pop(address, None) is not None
        if gone:
            self._tell()
        return gone

    def next_end(self) -> float | None:
        """Seconds until some slot may end, 0 if there is room now, None if no end is in sight."""
        if not self.max:
            return 0.0
        with self._lock:
            now = self._now()
            self._expire(now)
            if len(self._slots) < self.max:
                return 0.0
            if not self.seconds:
                return None
            idle = [slot.last for slot in self._slots.values() if not slot.active]
            return max(0.0, min(idle) + self.seconds - now) if idle else self.seconds

    def offer(self, held: Mapping[Waiting, float], now: float) -> None:
        """Let those who wait for a slot ask again, the first first; `held` has until when each waits.

        `now` and those times are of the front end's clock. Who gets on, or gives up, leaves `held` by itself.
        """
        room = self.next_end() == 0.0
        for one, until in list(held.items()):
            if one not in held:
                continue
            if room and one.ask_again():
                room = self.next_end() == 0.0
            elif now >= until:
                one.give_up()

    def on_end(self, callback: Callable[[], None]) -> None:
        """Call `callback` when a slot was freed by hand or the limits changed; from any thread."""
        self._callbacks.append(callback)

    def snapshot(self) -> list[dict[str, object]]:
        """Every slot: address, seconds since it was taken and since its last activity, open sessions."""
        with self._lock:
            now = self._now()
            self._expire(now)
            return [
                {"address": address, "age": round(now - slot.since, 1), "idle": round(now - slot.last, 1),
                 "sessions": slot.active}
                for address, slot in self._slots.items()
            ]  # fmt: skip

    def _room(self, address: str) -> bool:
        if address in self._slots or len(self._slots) < self.max:
            return True
        self._expire(self._now())
        return len(self._slots) < self.max

    def _expire(self, now: float) -> None:
        if not self.seconds:
            return
        limit = now - self.seconds
        ended = []
        for address, slot in self._slots.items():
            if slot.last > limit:
                break  # the rest was active later
            if not slot.active:
                ended.append(address)
        for address in ended:
            del self._slots[address]

    def _tell(self) -> None:
        for callback in self._callbacks:
            callback()
