"""Failed sign-ins make the next try wait, longer each time; for the name and for the address."""

from __future__ import annotations

import time
from collections.abc import Callable

from manager.store import Store


class Delays:
    """Those of one manager; they survive its restart."""

    def __init__(self, store: Store, now: Callable[[], float] = time.time):
        self._store, self._now = store, now

    def wait(self, name: str, peer: str) -> float:
        """Seconds until the next try is looked at; 0: now."""
        return 0.0

    def failed(self, name: str, peer: str) -> None: ...

    def right(self, name: str, peer: str) -> None: ...
