"""Who is signed in: one row a browser; the cookie's token itself is kept nowhere."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from manager.people import People, User
from manager.store import Store

LONGEST = 7 * 86400.0  # seconds after which everybody signs in again
MOST = 20  # of one user; the one that was idle longest ends


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
        with self._store.together():
            self._store.change(
                "DELETE FROM sessions WHERE last < ? OR created < ?", now - self.idle, now - LONGEST
            )
            self._store.change(
                "DELETE FROM sessions WHERE id IN "
                "(SELECT id FROM sessions WHERE user = ? ORDER BY last DESC LIMIT -1 OFFSET ?)",
                user.name, MOST - 1,
            )  # fmt: skip
            self._store.change(
                "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?)",
                _id(token), user.name, secrets.token_urlsafe(24), now, now, peer, agent[:200],
            )  # fmt: skip
        return token

    def of(self, token: str, touch: bool = True) -> Session | None:
        """The session of a cookie, if it still holds. `touch`: somebody is at work, not a page by itself."""
        return self._of(_id(token), touch) if token else None

    def again(self, session: Session) -> Session | None:
        """The same as it is now: its user's role may be another, or it has ended."""
        return self._of(session.id, False)

    def _of(self, key: str, touch: bool) -> Session | None:
        rows = self._store.ask("SELECT * FROM sessions WHERE id = ?", key)
        if not rows:
            return None
        row, now = rows[0], self._now()
        user = self._people.get(row["user"])
        if user is None or user.disabled or not self._holds(row, now):
            self._store.change("DELETE FROM sessions WHERE id = ?", key)
            return None
        if touch and now - row["last"] > 30:
            self._store.change("UPDATE sessions SET last = ? WHERE id = ?", now, row["id"])
        return _session(row, user)

    def all(self, user: User) -> list[Session]:
        """A user's, the last used one first."""
        rows = self._store.ask("SELECT * FROM sessions WHERE user = ? ORDER BY last DESC, id", user.name)
        now = self._now()
        return [_session(row, user) for row in rows if self._holds(row, now)]

    def counts(self) -> dict[str, int]:
        """Name -> browsers that are signed in."""
        now = self._now()
        rows = self._store.ask(
            "SELECT user, count(*) AS n FROM sessions WHERE last >= ? AND created >= ? GROUP BY user",
            now - self.idle, now - LONGEST,
        )  # fmt: skip
        return {row["user"]: row["n"] for row in rows}

    def end(self, token: str) -> None:
        self._store.change("DELETE FROM sessions WHERE id = ?", _id(token))

    def end_one(self, name: str, key: str) -> bool:
        """End the session of this id, if it is this user's."""
        return bool(self._store.change("DELETE FROM sessions WHERE id = ? AND user = ?", key, name))

    def end_all(self, name: str, besides: str = "") -> int:
        """Sign a user out everywhere, but for the session `besides`."""
        return self._store.change("DELETE FROM sessions WHERE user = ? AND id != ?", name, besides)

    def _holds(self, row: dict[str, Any], now: float) -> bool:
        return now - row["last"] <= self.idle and now - row["created"] <= LONGEST


def browser(agent: str) -> str:
    """What a User-Agent stands for, as its user calls it: `Firefox on Windows`."""
    # Each also says what it wants to be taken for: the first that fits is it.
    names = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrome": "Chrome", "Safari": "Safari",
             "curl": "curl"}  # fmt: skip
    systems = {"Android": "Android", "iPhone": "iPhone", "iPad": "iPad", "Windows": "Windows",
               "Mac OS X": "macOS", "Linux": "Linux"}  # fmt: skip
    name = next((word for mark, word in names.items() if mark in agent), "")
    system = next((word for mark, word in systems.items() if mark in agent), "")
    return " on ".join(filter(None, (name, system))) or agent[:60] or "unknown"


def _session(row: dict[str, Any], user: User) -> Session:
    return Session(row["id"], user, row["csrf"], row["created"], row["last"], row["peer"], row["agent"])


def _id(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
