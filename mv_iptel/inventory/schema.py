"""The inventory's tables, and how its file is opened, mended and set aside."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time

VERSION = 2
CHECKED_BYTES = 64 << 20  # a bigger database is not read as a whole at each start

TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS phones (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,          -- its MAC, else its address
    mac TEXT NOT NULL, ext TEXT NOT NULL, model TEXT NOT NULL,
    version TEXT NOT NULL,             -- what it says it runs
    runs TEXT NOT NULL DEFAULT '',     -- what it runs by evidence: a version or a file; '' is unknown
    runs_source TEXT NOT NULL DEFAULT '', runs_seen REAL NOT NULL DEFAULT 0,
    address TEXT NOT NULL,             -- the last one
    first_seen REAL NOT NULL, last_seen REAL NOT NULL,
    requests INTEGER NOT NULL, refused INTEGER NOT NULL, failed INTEGER NOT NULL, bytes INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS phones_seen ON phones (last_seen);
CREATE INDEX IF NOT EXISTS phones_ext ON phones (ext) WHERE ext != '';

CREATE TABLE IF NOT EXISTS said (      -- who or what told which part of a phone's identity
    phone INTEGER NOT NULL, field TEXT NOT NULL, value TEXT NOT NULL, source TEXT NOT NULL,
    first_seen REAL NOT NULL, last_seen REAL NOT NULL,
    PRIMARY KEY (phone, field, value, source)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS addresses (
    address TEXT NOT NULL, phone INTEGER NOT NULL, first_seen REAL NOT NULL, last_seen REAL NOT NULL,
    PRIMARY KEY (address, phone)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS addresses_phone ON addresses (phone);

CREATE TABLE IF NOT EXISTS files (     -- the last time a phone got each file
    phone INTEGER NOT NULL, name TEXT NOT NULL, file TEXT NOT NULL, proto TEXT NOT NULL,
    bytes INTEGER NOT NULL, last_seen REAL NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (phone, name)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS versions (  -- firmware over time; source: agent, snmp, script
    phone INTEGER NOT NULL, version TEXT NOT NULL, source TEXT NOT NULL,
    first_seen REAL NOT NULL, last_seen REAL NOT NULL,
    PRIMARY KEY (phone, version, source)
) WITHOUT ROWID;

-- The time line. Identical requests in a row are one row with a count; `id` is the first one's number.
CREATE TABLE IF NOT EXISTS requests (
    id INTEGER PRIMARY KEY,
    time REAL NOT NULL, last REAL NOT NULL, count INTEGER NOT NULL,
    proto TEXT NOT NULL, listener TEXT NOT NULL, peer TEXT NOT NULL,
    mac TEXT NOT NULL, ext TEXT NOT NULL, model TEXT NOT NULL, version TEXT NOT NULL,
    name TEXT NOT NULL, file TEXT NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL,
    bytes INTEGER NOT NULL, seconds REAL NOT NULL,
    resends INTEGER NOT NULL, blksize INTEGER NOT NULL, window INTEGER NOT NULL,
    detail TEXT NOT NULL, source TEXT NOT NULL, line INTEGER NOT NULL,
    identified TEXT NOT NULL, agent TEXT NOT NULL,
    op TEXT NOT NULL DEFAULT 'read'    -- read, store or delete
);
CREATE INDEX IF NOT EXISTS requests_peer ON requests (peer, id);
CREATE INDEX IF NOT EXISTS requests_refused ON requests (id) WHERE outcome = 'refused';

CREATE TABLE IF NOT EXISTS numbers (   -- further reference numbers of refusals that share a row
    first INTEGER PRIMARY KEY, last INTEGER NOT NULL, request INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS notices (
    id INTEGER PRIMARY KEY, time REAL NOT NULL, level TEXT NOT NULL, kind TEXT NOT NULL,
    text TEXT NOT NULL, source TEXT NOT NULL, line INTEGER NOT NULL, peer TEXT NOT NULL
);
"""


# What makes a database of an earlier version one of the next: version -> statements.
STEPS = {
    1: "ALTER TABLE requests ADD COLUMN op TEXT NOT NULL DEFAULT 'read'",
}


class Unusable(Exception):
    """The file is no database of ours; the text says why."""


def connect(path: str, write: bool = False) -> sqlite3.Connection:
    """Open the database. Readers open it read-write, because WAL needs that, but may not change it."""
    database = sqlite3.connect(
        f"file:{quoted(path)}?mode={'rwc' if write else 'rw'}",
        uri=True, timeout=1.0, isolation_level=None, check_same_thread=False,
    )  # fmt: skip
    database.row_factory = sqlite3.Row
    if not write:
        database.execute("PRAGMA query_only = ON")
    return database


def prepare(path: str) -> sqlite3.Connection:
    """Open for writing and make the tables. Raises `Unusable` for a file that is damaged or too new."""
    if folder := os.path.dirname(path):
        os.makedirs(folder, exist_ok=True)
    # SQLite makes files of 0644, but readers of the group write the lock; umask has the last word.
    with contextlib.suppress(OSError):  # it is there, or SQLite says what is wrong with the place
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o660))
    database = connect(path, write=True)
    try:
        try:
            database.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as fault:
            if not damaged(fault):
                raise
            raise Unusable(str(fault)) from fault
        # In WAL mode NORMAL loses the last commits when the power goes, never the database.
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA journal_size_limit = 8388608")
        if os.path.getsize(path) <= CHECKED_BYTES:
            answer = database.execute("PRAGMA quick_check(1)").fetchone()[0]
            if answer != "ok":
                raise Unusable(answer.splitlines()[-1])
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise Unusable(f"it has schema {version}, this version knows {VERSION}")
        for step in range(version, VERSION) if version else ():
            # With its number in one transaction: a server killed here finds the one or the other.
            database.executescript(f"BEGIN; {STEPS[step]}; PRAGMA user_version = {step + 1}; COMMIT")
        database.executescript(TABLES)
        database.execute(f"PRAGMA user_version = {VERSION}")
    except sqlite3.DatabaseError as fault:
        database.close()
        if isinstance(fault, sqlite3.OperationalError) and not damaged(fault):
            raise
        raise Unusable(str(fault)) from fault
    except BaseException:
        database.close()
        raise
    return database


def damaged(fault: sqlite3.Error) -> bool:
    """Whether an error tells of a broken file, rather than of a full disk or a missing right."""
    code = getattr(fault, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or (
        code == sqlite3.SQLITE_ERROR and "no such" in str(fault)
    )


def set_aside(path: str, now: float) -> str:
    """Rename a database that cannot be used, with what belongs to it; the new name."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now))
    target = f"{path}.damaged-{stamp}"
    number = 1
    while os.path.exists(target):
        number += 1
        target = f"{path}.damaged-{stamp}-{number}"
    os.replace(path, target)
    for ending in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.replace(path + ending, target + ending)
    return target


def quoted(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
