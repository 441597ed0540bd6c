"""Who is signed in: one row a browser; the cookie's token itself is kept nowhere."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from typing import NamedTuple

from manager.people import People, User
from manager.store import Store

LONGEST = 7 * 86400.0  # seconds after which everybody signs in again


class Session(NamedTuple):
    """One signed-in browser."""

    id: str
    user: User
    csrf: str
    created: float
    last: float
    peer: str
    agent: str


class Sessions:
    """Those of one manager; they survive its restart."""

    def __init__(self, store: Store, people: People, idle: float, now: Callable[[], float] = time.time):
        self._store, self._people, self.idle, self._now = store, people, idle, now

    def open(self, user: User, peer: str, agent: str) -> str:
        """A new session; the token for the cookie. Always a new one: nobody can give us his (fixation)."""
        token = secrets.token_urlsafe(32)
        now = self._now()
        self._store.change("INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?)",
                           _id(token), user.name, secrets.token_urlsafe(24), now, now, peer, agent[:200])  # fmt: skip
        return token

    def of(self, token: str, touch: bool = True) -> Session | None:
        """The session of a cookie, if it still holds. `touch`: somebody is at work, not a page by itself."""
        rows = self._store.ask("SELECT * FROM sessions WHERE id = ?", _id(token)) if token else []
        if not rows:
            return None
        row, now = rows[0], self._now()
        user = self._people.get(row["user"])
        if user is None or user.disabled or now - row["last"] > self.idle or now - row["created"] > LONGEST:
            self.end(token)
            return None
        if touch and now - row["last"] > 30:
            self._store.change("UPDATE sessions SET last = ? WHERE id = ?", now, row["id"])
        return Session(row["id"], user, row["csrf"], row["created"], row["last"], row["peer"], row["agent"])

    def end(self, token: str) -> None:
        self._store.change("DELETE FROM sessions WHERE id = ?", _id(token))

    def end_all(self, name: str, besides: str = "") -> int:
        """Sign a user out everywhere, but for the session `besides`."""
        return self._store.change("DELETE FROM sessions WHERE user = ? AND id != ?", name, besides)


def _id(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
