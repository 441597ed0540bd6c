"""Who may sign in: names, roles, passwords."""

from __future__ import annotations

import os
import re
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from manager.routing import Role
from manager.store import Store
from mv_iptel import files, passwords
from mv_iptel.home import Home

SHORTEST, LONGEST = 10, 1000  # characters of a password that people choose
MOST = 1000  # users
AT_ONCE = 2  # passwords that are computed at the same time: each takes 32 MiB and a tenth of a second
COMMON = {"1234567890", "0123456789", "12345678910", "123456789a", "passwordpassword", "password123",
          "password1234", "password12345", "qwertyuiop", "qwertzuiop", "administrator", "letmeinletmein",
          "iloveyou123", "changeme123", "welcome123", "adminadmin", "admin12345"}  # fmt: skip

# No sign that another one looks like, and none that must be escaped in an address.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,59}\Z")


class User(NamedTuple):
    """One who may sign in. `fresh`: a new password must be chosen before anything else."""

    name: str
    role: Role
    fresh: bool
    disabled: bool
    added: float
    seen: float
    changed: int

    @property
    def etag(self) -> str:
        """Another one at each change, and for another user of the same name."""
        return f"{round(self.added * 1000):x}.{self.changed}"

    def told(self) -> dict[str, Any]:
        """As JSON tells it."""
        return {
            "name": self.name, "role": self.role.word, "fresh": self.fresh, "disabled": self.disabled,
            "added": round(self.added, 3), "seen": round(self.seen, 3),
        }  # fmt: skip


class No(NamedTuple):
    """Why a change was not made. `kind` is one of manager/problems.py."""

    kind: str
    text: str


class People:
    """The users of one home, in the manager's database. Slow where a password is computed.

    Another process (`mv-manager user`) may change them at any moment, so nothing is remembered here.
    """

    def __init__(self, store: Store, home: Home, now: Callable[[], float] = time.time):
        self._store, self._home, self._now = store, home, now
        self._computing = threading.BoundedSemaphore(AT_ONCE)

    # the first one

    def first(self) -> bool:
        """With no user yet: the one of `initial-passwords.txt`, who must choose a new password.

        False: there is neither, and `mv-manager user add` makes one.
        """
        if self._store.ask("SELECT 1 FROM users LIMIT 1"):
            return True
        for name, password in self._initial():
            if _NAME.match(name):
                kept = self._make(password)
                self._store.change(
                    "INSERT OR IGNORE INTO users (name, password, role, fresh, added) VALUES (?, ?, ?, 1, ?)",
                    name, kept, int(Role.ADMINISTRATOR), self._now(),
                )  # fmt: skip
        return bool(self._store.ask("SELECT 1 FROM users LIMIT 1"))

    def lies_there(self, name: str = "", password: str | None = None) -> bool:
        """Whether `initial-passwords.txt` still has a line of the manager (of this user, this password)."""
        return any(
            (not name or one.lower() == name.lower()) and password in (None, kept)
            for one, kept in self._initial()
        )

    def clear(self, name: str) -> bool:
        """Take this user's line out of `initial-passwords.txt`; False: it cannot be done."""
        path = self._home.passwords
        try:
            old = path.read_bytes()
            lines = old.splitlines(keepends=True)
            stay = [line for line in lines if (_line(line) or ("", ""))[0].lower() != name.lower()]
            if len(stay) == len(lines):
                return True
            if all(not line.strip() or line.lstrip().startswith(b"#") for line in stay):
                stay = []  # nothing but remarks is left
            _rewrite(path, b"".join(stay))
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def _initial(self) -> list[tuple[str, str]]:
        try:
            lines = self._home.passwords.read_bytes().splitlines()
        except OSError:
            return []
        return [found for line in lines if (found := _line(line))]

    # reading

    def get(self, name: str) -> User | None:
        rows = self._store.ask("SELECT * FROM users WHERE name = ?", name)
        return _user(rows[0]) if rows else None

    def all(self, limit: int = MOST, offset: int = 0) -> list[User]:
        """By name."""
        rows = self._store.ask("SELECT * FROM users ORDER BY name LIMIT ? OFFSET ?", limit, offset)
        return [_user(row) for row in rows]

    def count(self) -> int:
        return self._store.ask("SELECT count(*) AS n FROM users")[0]["n"]

    def check(self, name: str, password: str) -> User | None:
        """The user, if this is the password and he may sign in."""
        rows = self._store.ask("SELECT * FROM users WHERE name = ? AND disabled = 0", name)
        kept = rows[0]["password"] if rows else _NOBODY
        with self._computing:
            right = passwords.check(kept, password)  # for an unknown name too: its time tells nothing
        if not (rows and right):
            return None
        # Disabled, removed or with another password since we looked: no.
        again = self._store.ask("SELECT * FROM users WHERE name = ? AND disabled = 0", name)
        return _user(again[0]) if again and again[0]["password"] == kept else None

    def signed_in(self, name: str) -> None:
        """He was here."""
        self._store.change("UPDATE users SET seen = ? WHERE name = ?", self._now(), name)

    # changing

    def add(self, name: str, role: Role, password: str, fresh: bool = True) -> User | No:
        """A new user."""
        if not _NAME.match(name):
            return No("invalid", "a name has letters, digits, dots, dashes, _ or @, and begins with "
                                 "a letter or a digit; 60 at most")  # fmt: skip
        if self.get(name) is not None:
            return No("conflict", f"there is a user {name} already")
        kept = self._make(password)
        with self._store.together():
            if self.count() >= MOST:
                return No("conflict", f"{MOST} users at most")
            done = self._store.change(
                "INSERT OR IGNORE INTO users (name, password, role, fresh, added) VALUES (?, ?, ?, ?, ?)",
                name, kept, int(role), int(fresh), self._now(),
            )  # fmt: skip
            if not done:
                return No("conflict", f"there is a user {name} already")
            self._store.change("DELETE FROM sessions WHERE user = ?", name)
        found = self.get(name)
        return found or No("not-found", f"{name} was removed at once")

    def change(
        self, name: str, role: Role | None = None, disabled: bool | None = None, etag: str = ""
    ) -> User | No:
        """Another role, or no sign-in any more; running sessions have it at once."""
        with self._store.together():
            old = self._as_it_was(name, etag)
            if isinstance(old, No):
                return old
            role = old.role if role is None else role
            disabled = old.disabled if disabled is None else disabled
            if (role < Role.ADMINISTRATOR or disabled) and self._last(old):
                return _LAST
            self._store.change(
                "UPDATE users SET role = ?, disabled = ?, changed = changed + 1 WHERE name = ?",
                int(role), int(disabled), name,
            )  # fmt: skip
            if disabled:
                self._store.change("DELETE FROM sessions WHERE user = ?", name)
        return self.get(name) or _GONE

    def passwd(
        self, name: str, password: str, fresh: bool = False, etag: str = "", besides: str = ""
    ) -> User | No:
        """Another password; signed out everywhere but in the session `besides`."""
        kept = self._make(password)
        with self._store.together():
            old = self._as_it_was(name, etag)
            if isinstance(old, No):
                return old
            self._store.change(
                "UPDATE users SET password = ?, fresh = ?, changed = changed + 1 WHERE name = ?",
                kept, int(fresh), name,
            )  # fmt: skip
            self._store.change("DELETE FROM sessions WHERE user = ? AND id != ?", name, besides)
        return self.get(name) or _GONE

    def remove(self, name: str, etag: str = "") -> User | No:
        """He is gone, and his sessions with him; gives who it was."""
        with self._store.together():
            old = self._as_it_was(name, etag)
            if isinstance(old, No):
                return old
            if self._last(old):
                return _LAST
            self._store.change("DELETE FROM users WHERE name = ?", name)
            self._store.change("DELETE FROM sessions WHERE user = ?", name)
        return old

    def _as_it_was(self, name: str, etag: str) -> User | No:
        old = self.get(name)
        if old is None:
            return _GONE
        if etag and etag != old.etag:
            return No("changed", "read the user again, then make the change on what is there now")
        return old

    def _last(self, user: User) -> bool:
        """Whether nobody else could add users any more."""
        if user.role < Role.ADMINISTRATOR or user.disabled:
            return False
        others = "SELECT 1 FROM users WHERE role = ? AND disabled = 0 AND name != ? LIMIT 1"
        return not self._store.ask(others, int(Role.ADMINISTRATOR), user.name)

    def _make(self, password: str) -> str:
        with self._computing:
            return passwords.make(password)


def made_up() -> str:
    """A password that nobody guesses and people can type: no sign looks like another one."""
    signs = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(signs) for _ in range(5)) for _ in range(4))


def poor(password: str, name: str) -> str:
    """What is wrong with a password that somebody chose; empty: nothing."""
    if len(password) < SHORTEST:
        return f"at least {SHORTEST} characters"
    if len(password) > LONGEST:
        return f"at most {LONGEST} characters"
    small = password.lower()
    if small in COMMON or len(set(small)) < 4 or (small.isdigit() and len(small) < 16):
        return "this one is guessed first; choose another"
    if name.lower() in small and len(small) - len(name) < 8:
        return "it is little more than your name; choose another"
    return ""


def role_of(word: str) -> Role | None:
    """The role that is called so."""
    return next((role for role in Role if role.word == word), None)


def _user(row: dict[str, Any]) -> User:
    return User(row["name"], Role(row["role"]), bool(row["fresh"]), bool(row["disabled"]),
                row["added"], row["seen"], row["changed"])  # fmt: skip


def _line(line: bytes) -> tuple[str, str] | None:
    """Name and password of a line `manager NAME PASSWORD`."""
    kind, _, rest = line.decode("utf-8", "replace").strip().partition(" ")
    name, _, password = rest.strip().partition(" ")
    return (name, password.strip()) if kind == "manager" and name and password.strip() else None


def _rewrite(path: Any, data: bytes) -> None:
    """Replaced by rename; where only the file is ours and not its directory, in place. Raises OSError."""
    try:
        files.replace(path, data, 0o600)
    except PermissionError:
        descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0))
        with open(descriptor, "wb", closefd=True) as file:
            file.write(data)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())


_LAST = No("conflict", "this is the last administrator; make another one first")
_GONE = No("not-found", "there is no such user")
_NOBODY = passwords.make(secrets.token_urlsafe(16))
