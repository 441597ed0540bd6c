"""Who may sign in: names, roles, passwords."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import NamedTuple

from manager.routing import Role
from manager.store import Store
from mv_iptel import passwords
from mv_iptel.home import Home


class User(NamedTuple):
    """One who may sign in. `fresh`: a new password must be chosen before anything else."""

    name: str
    role: Role
    fresh: bool
    disabled: bool
    added: float
    seen: float
    changed: int


class People:
    """The users of one home, in the manager's database. Slow where a password is computed."""

    def __init__(self, store: Store, home: Home, now: Callable[[], float] = time.time):
        self._store, self._home, self._now = store, home, now

    def first(self) -> None:
        """With no user yet: the one of `initial-passwords.txt`, who must choose a new password."""
        if self._store.ask("SELECT 1 FROM users"):
            return
        for line in self._home.passwords.read_text("utf-8").splitlines():
            kind, _, rest = line.partition(" ")
            name, _, password = rest.partition(" ")
            if kind == "manager" and password:
                self._store.change(
                    "INSERT INTO users (name, password, role, fresh, added) VALUES (?, ?, ?, 1, ?)",
                    name, passwords.make(password.strip()), int(Role.ADMINISTRATOR), self._now(),
                )  # fmt: skip

    def add(self, name: str, role: Role, password: str, fresh: bool = True) -> None:
        self._store.change(
            "INSERT INTO users (name, password, role, fresh, added) VALUES (?, ?, ?, ?, ?)",
            name, passwords.make(password), int(role), int(fresh), self._now(),
        )  # fmt: skip

    def get(self, name: str) -> User | None:
        rows = self._store.ask("SELECT * FROM users WHERE name = ?", name)
        return _user(rows[0]) if rows else None

    def check(self, name: str, password: str) -> User | None:
        """The user, if this is the password."""
        rows = self._store.ask("SELECT * FROM users WHERE name = ? AND disabled = 0", name)
        kept = rows[0]["password"] if rows else _NOBODY
        right = passwords.check(kept, password)  # for an unknown name too: the time it takes tells nothing
        return _user(rows[0]) if rows and right else None

    def passwd(self, name: str, password: str, fresh: bool = False) -> None:
        self._store.change(
            "UPDATE users SET password = ?, fresh = ?, changed = changed + 1 WHERE name = ?",
            passwords.make(password), int(fresh), name,
        )  # fmt: skip


def _user(row: dict) -> User:
    return User(row["name"], Role(row["role"]), bool(row["fresh"]), bool(row["disabled"]),
                row["added"], row["seen"], row["changed"])  # fmt: skip


_NOBODY = passwords.make(secrets.token_urlsafe(16))
