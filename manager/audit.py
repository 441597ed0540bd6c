"""The audit trail: who changed what, when, what it was before and after."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from manager.store import Store

MOST = 20_000  # characters of a before or an after


class Audit:
    """Only ever added to."""

    def __init__(self, store: Store, now: Callable[[], float] = time.time):
        self._store, self._now = store, now

    def add(self, who: str, peer: str, action: str, what: str, before: str = "", after: str = "") -> None:
        """One change. No password, no community and no key belongs in here."""
        self._store.change(
            "INSERT INTO audit (time, who, peer, action, what, before, after) VALUES (?, ?, ?, ?, ?, ?, ?)",
            self._now(), who, peer, action, what[:1000], before[:MOST], after[:MOST],
        )  # fmt: skip

    def last(self, limit: int = 50) -> list[dict[str, Any]]:
        """The newest first."""
        return self._store.ask("SELECT * FROM audit ORDER BY id DESC LIMIT ?", limit)
