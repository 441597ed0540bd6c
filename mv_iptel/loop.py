"""The event loop of HTTP, HTTPS and status, which stands back while TFTP transfers run.

TFTP answers packet by packet on a thread of its own, and each turn of this loop takes Python's lock from it.
So while it is busy the loop lets events gather for a moment and serves them together: a few milliseconds for
a browser, against phones that wait for every single packet (measured: ARCHITECTURE.md).
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable
from typing import Any

GATHER = 0.003  # seconds that events may gather


class Gathering(selectors.DefaultSelector):
    """A selector that lets events gather while `busy()` is true. `pause` sleeps, in seconds."""

    def __init__(self, pause: Callable[[float], None] = time.sleep):
        super().__init__()
        self.busy: Callable[[], bool] = lambda: False
        self._pause = pause

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As the base class; readiness is a level, so what was ready before the pause still is."""
        events = super().select(timeout)
        if events and self.busy():
            self._pause(GATHER)
            events = super().select(0)
        return events


def runner(selector: selectors.BaseSelector) -> asyncio.Runner:
    """A runner whose loop waits with `selector`."""

    def loop() -> Any:
        return asyncio.SelectorEventLoop(selector)

    return asyncio.Runner(loop_factory=loop)
