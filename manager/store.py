"""The manager's own database: users, sessions, failed sign-ins, audit trail, operations."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TABLES = """
CREATE TABLE IF NOT EXISTS users (
    name TEXT PRIMARY KEY COLLATE NOCASE,
    password TEXT NOT NULL,            -- as manager/people.py keeps it: scrypt
    role INTEGER NOT NULL,
    fresh INTEGER NOT NULL DEFAULT 0,  -- 1: a new password must be chosen before anything else
    disabled INTEGER NOT NULL DEFAULT 0,
    added REAL NOT NULL, seen REAL NOT NULL DEFAULT 0,
    changed INTEGER NOT NULL DEFAULT 1 -- counts up at every change: the ETag
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY,               -- hash of the cookie's token; the token itself is nowhere
    user TEXT NOT NULL COLLATE NOCASE, csrf TEXT NOT NULL,
    created REAL NOT NULL, last REAL NOT NULL, peer TEXT NOT NULL, agent TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS failures (
    who TEXT PRIMARY KEY,              -- a user's name or an address, with a mark of which
    count INTEGER NOT NULL, last REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time REAL NOT NULL, who TEXT NOT NULL, peer TEXT NOT NULL,
    action TEXT NOT NULL, what TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS audit_who ON audit (who, id);
CREATE INDEX IF NOT EXISTS audit_action ON audit (action, id);

CREATE TABLE IF NOT EXISTS ignored (
    key TEXT PRIMARY KEY,              -- an address or a MAC that the inbox of unknown devices leaves out
    who TEXT NOT NULL, time REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS operations (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, what TEXT NOT NULL, who TEXT NOT NULL,
    state TEXT NOT NULL, begun REAL NOT NULL, ended REAL NOT NULL, told TEXT NOT NULL
) WITHOUT ROWID;
"""


class Store:
    """One connection, used by one thread at a time; every change is on the disk when its call returns."""

    def __init__(self, path: Path):
        """Raises OSError, sqlite3.Error."""
        path.parent.mkdir(parents=True, exist_ok=True)
        # Hashes of passwords are in it: nobody but the manager's user reads it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self.path = path
        self._lock = threading.RLock()
        self._database = sqlite3.connect(path, timeout=10.0, isolation_level=None, check_same_thread=False)
        self._database.row_factory = sqlite3.Row
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.executescript(TABLES)

    def ask(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        """Rows of a SELECT."""
        with self._lock:
            return [dict(row) for row in self._database.execute(statement, _kept(values))]

    def change(self, statement: str, *values: Any) -> int:
        """How many rows were changed."""
        with self._lock:
            return self._database.execute(statement, _kept(values)).rowcount

    @contextmanager
    def together(self) -> Iterator[None]:
        """All changes within, or none of them; another process (`mv-manager user`) waits meanwhile."""
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def close(self) -> None:
        with self._lock:
            self._database.close()


def _kept(values: tuple[Any, ...]) -> list[Any]:
    """Names of files may be no UTF-8; they are kept as an escape, always by the same one."""
    return [
        one.encode("utf-8", "backslashreplace").decode() if isinstance(one, str) else one for one in values
    ]
