"""The one writer of the inventory: a listener that turns events into phones, time lines and evidence."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from mv_iptel.events import Event, Finished, Notice
from mv_iptel.inventory import schema
from mv_iptel.inventory.boots import Boots
from mv_iptel.inventory.evidence import Orders
from mv_iptel.inventory.known import Known, Phones
from mv_iptel.inventory.limits import STEP_ROWS, Limits, forget
from mv_iptel.inventory.reader import Reader
from mv_iptel.inventory.rows import OPEN_ROWS, Rows
from mv_iptel.inventory.scanned import Scanned
from mv_iptel.inventory.writing import Writing, bounded

_log = logging.getLogger("mv_iptel.inventory")

FLUSH_SECONDS = 0.25
RETRY_SECONDS = 5.0
AGE_SECONDS = 600.0  # between two looks for what is too old


class _Open:
    """An open database with what belongs to it: all of it is let go together."""

    def __init__(self, path: str, orders: Orders, notices: list[Notice], flush: Callable[[], None]):
        self.database = Writing(path)
        try:
            self.limits = Limits(self.database.connection)
        except BaseException:
            self.database.close()
            raise
        self.phones = Phones(self.database, self._moved)
        self.boots = Boots(self.phones, orders, notices)
        self.rows = Rows(self.database, self.phones, self.boots, flush)

    def _moved(self, identity: int, phone: Known | None) -> None:
        self.rows.moved(identity, phone)
        self.boots.drop(identity)

    def drop(self, gone: set[int]) -> None:
        """Let go of phones that were deleted."""
        self.phones.drop(gone)
        for identity in gone:
            self._moved(identity, None)


class Inventory:
    """Keeps the inventory in the database at `path`, on the stream's thread.

    A database that cannot be written stops nobody: events are counted in `lost`, it is said once by a
    notice, and every few seconds it is tried again. `publish` takes the notices.
    """

    def __init__(
        self,
        path: os.PathLike[str] | str,
        publish: Callable[[Event], None] | None = None,
        clock: Callable[[], float] = time.time,
    ):
        self.path = os.fspath(path)
        self.publish = publish
        self.clock = clock
        self.lost = 0
        self._lock = threading.Lock()
        self._notices: list[Notice] = []  # until somebody takes them
        self._open: _Open | None = None
        self._failed = False
        self._retry_at = 0.0
        self._said: list[Notice] = []  # the stream's, not written yet
        self._orders = Orders()
        self._flushed_at = 0.0
        self._ticked_at = 0.0
        self._aged_at = clock()
        self._reader = Reader(self.path)
        self._first = 1
        self._counts: tuple[float, dict[str, int]] | None = None
        self._connect()

    # what others ask; any thread

    def first_id(self) -> int:
        """The first reference number that no earlier run can have used."""
        return self._first

    def counts(self, now: float) -> dict[str, int]:
        """Phones known, and seen within 15 minutes. At most a second old."""
        held = self._counts
        if held is None or not 0 <= now - held[0] < 1.0:
            held = self._counts = (now, self._reader.counts(now))
        return held[1]

    def phones(self, **choice: Any) -> list[dict[str, Any]]:
        return self._reader.phones(**choice)

    def number(self, number: int) -> dict[str, Any] | None:
        """The request with this reference number, also if it is not a quarter of a second old."""
        self.flush()
        return self._reader.number(number)

    def addresses(self, mac: str) -> list[str]:
        """Where a phone was seen lately, the last place first."""
        return self._reader.addresses(mac)

    def recent(self, now: float) -> list[dict[str, Any]]:
        """What the addresses showed within 15 minutes before `now`; see `Reader.recent`."""
        return self._reader.recent(now)

    def forget(self, key: str) -> bool:
        """Remove a phone (its MAC or address) and all its own rows; the time line of addresses stays."""
        self.flush()
        with self._lock:
            if self._open is None:
                return False
            found = self._reader.phone(key)
            if found is None:
                return False
            self._open.drop({found["id"]})
            self._open.database.begin()
            forget(self._open.database.connection, found["id"])
            self._open.database.commit()
            self._counts = None
        return True

    def scanned(self, phones: Iterable[Scanned]) -> bool:
        """Take in what phones answered to a scan. False: the inventory cannot be written now."""
        with self._lock:
            if self._open is None:
                return False
            try:
                for one in phones:
                    self._open.phones.scanned(one)
                self._flush(self.clock())
            except sqlite3.Error as fault:
                self._broken(fault, 0)
                return False
            self._counts = None
        return True

    # the stream's thread

    def receive(self, batch: list[Event]) -> None:
        """Take in a batch."""
        with self._lock:
            if self._open is not None or self._again(len(batch)):
                try:
                    self._take(batch)
                    now = self.clock()
                    late = not 0 <= now - self._flushed_at < FLUSH_SECONDS
                    if late or (self._open is not None and len(self._open.rows.dirty) > OPEN_ROWS):
                        self._flush(now)
                except sqlite3.Error as fault:
                    self._broken(fault, len(batch))
        self._tell()

    def tick(self, now: float) -> None:
        """Write what is due. `now` in seconds since the epoch."""
        with self._lock:
            if self._open is None:
                self._again(0)
            else:
                try:
                    # A clock of its own: under a steady load it is always `receive` that flushes.
                    if not 0 <= now - self._ticked_at < FLUSH_SECONDS:
                        self._ticked_at = now
                        self._due(self._open, now)
                except sqlite3.Error as fault:
                    self._broken(fault, 0)
        self._tell()

    def flush(self) -> None:
        """Write everything that waits, now."""
        with self._lock:
            if self._open is not None:
                try:
                    self._flush(self.clock())
                except sqlite3.Error as fault:
                    self._broken(fault, 0)

    def close(self) -> None:
        """Write the rest and say in the database that the end was orderly."""
        self.flush()
        with self._lock:
            if self._open is not None:
                database = self._open.database
                try:
                    last = database.run("SELECT value FROM meta WHERE name = 'last'").fetchone()
                    if last is not None:
                        database.run("INSERT OR REPLACE INTO meta VALUES ('clean', ?)", last[0])
                    database.close()
                except sqlite3.Error:
                    _log.exception("closing the inventory")
                self._open = None
            self._reader.close()

    def _take(self, batch: list[Event]) -> None:
        assert self._open is not None
        take = self._open.rows.take
        for event in batch:
            if type(event) is Finished:
                take(event)
            elif isinstance(event, Notice):
                self._said.append(event)

    # writing

    def _due(self, held: _Open, now: float) -> None:
        held.boots.settle(now)
        waiting = held.rows.dirty or self._said or held.phones.waiting or held.limits.exceeded()
        flushed = 0 <= now - self._flushed_at < FLUSH_SECONDS
        if (waiting or held.database.in_transaction) and not flushed:
            self._flush(now)
        # Made-up phones come faster than old ones go, unless they are looked for sooner.
        if held.phones.created >= STEP_ROWS or not 0 <= now - self._aged_at < AGE_SECONDS:
            self._age(held, now)

    def _flush(self, now: float) -> None:
        """Write rows and phones, and commit."""
        held = self._open
        assert held is not None
        held.database.begin()
        added, refused, highest = held.rows.write()
        held.limits.added(added, refused)
        if self._said:
            held.database.many(
                "INSERT INTO notices VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (one.time, one.level, one.kind, bounded(one.text, 500), bounded(one.source, 300),
                     one.line, bounded(one.peer, 64))
                    for one in self._said
                ],
            )  # fmt: skip
            self._said.clear()
        held.phones.write()
        if highest:
            held.database.run(
                "INSERT INTO meta VALUES ('last', ?) ON CONFLICT (name) "
                "DO UPDATE SET value = max(value, excluded.value)", highest,
            )  # fmt: skip
        if held.limits.exceeded():
            held.limits.keep(held.database.connection)
        held.database.commit()
        self._flushed_at = now
        held.rows.forget_idle(now)

    def _age(self, held: _Open, now: float) -> None:
        """Delete what is too old, and phones that are too many."""
        self._aged_at = now
        held.phones.created = 0
        held.database.begin()
        held.limits.age(held.database.connection, now)
        gone = held.limits.phones(held.database.connection)
        held.database.commit()
        if gone:
            if len(gone) >= STEP_ROWS:
                held.phones.created = STEP_ROWS  # there may be more
            held.drop(gone)

    # trouble

    def _connect(self) -> None:
        def flush() -> None:
            self._flush(self.clock())

        try:
            try:
                held = _Open(self.path, self._orders, self._notices, flush)
            except schema.Unusable as why:
                self._set_aside(str(why))
                held = _Open(self.path, self._orders, self._notices, flush)
            self._open = held
            self._number_on(held.database)
        except (OSError, sqlite3.Error, schema.Unusable) as fault:
            self._broken(fault, 0)
            return
        if self._failed:
            self._failed = False
            text = f"the inventory is written again; {self.lost} events were lost"
            self._notices.append(Notice("inventory", text, "info", self.path))

    def _number_on(self, database: Writing) -> None:
        """Continue the reference numbers. After a crash some may be in the journal only: leave a gap."""
        rows = {row["name"]: row["value"] for row in database.run("SELECT name, value FROM meta")}
        last = int(rows.get("last", 0))
        if last and rows.get("clean") != last:
            last += 10_000
        self._first = max(self._first, last + 1)
        database.run("DELETE FROM meta WHERE name = 'clean'")

    def _set_aside(self, why: str) -> None:
        self._reader.close()
        kept = schema.set_aside(self.path, self.clock())
        name = os.path.basename(kept)
        text = f"the inventory could not be used ({why}); it is kept as {name} and a new one was begun"
        self._notices.append(Notice("inventory", text, "error", self.path))

    def _again(self, events: int) -> bool:
        """Try to open a database that failed. False: not now, and `events` are lost."""
        if self.clock() >= self._retry_at:
            self._connect()
        if self._open is None:
            self.lost += events
        return self._open is not None

    def _broken(self, fault: Exception, events: int) -> None:
        """Let go of everything that was to be written, and try again later."""
        self.lost += events
        self._said.clear()
        if self._open is not None:
            self._open.database.close()  # rolls back
            self._open = None
        self._retry_at = self.clock() + RETRY_SECONDS
        if isinstance(fault, sqlite3.Error) and schema.damaged(fault):
            self._retry_at = 0.0
            try:
                self._set_aside(str(fault))
            except OSError as more:
                fault = more
        if not self._failed:
            self._failed = True
            text = f"the inventory cannot be written: {fault}; serving goes on without it"
            self._notices.append(Notice("inventory", text, "error", self.path))

    def _tell(self) -> None:
        if self.publish is not None and self._notices:
            # Emptied in place: who follows the boots holds the same list.
            notices = self._notices[:]
            self._notices.clear()
            for notice in notices:
                self.publish(notice)
