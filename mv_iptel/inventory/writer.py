"""The one writer of the inventory: a listener that turns events into phones, time lines and evidence."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from mv_iptel.events import Event, Finished, Notice
from mv_iptel.inventory import evidence, schema
from mv_iptel.inventory.evidence import Boot, Orders
from mv_iptel.inventory.limits import STEP_ROWS, Limits, forget, move
from mv_iptel.inventory.reader import Reader
from mv_iptel.library.identity import of_agent

_log = logging.getLogger("mv_iptel.inventory")

# A request that repeats its address's last one within GAP seconds joins its row, for at most SPAN.
GAP_SECONDS = 5.0
SPAN_SECONDS = 60.0
FLUSH_SECONDS = 0.25
RETRY_SECONDS = 5.0
AGE_SECONDS = 600.0  # between two looks for what is too old
LATE_SECONDS = 15 * 60.0  # an address is the phone that it turns out to be so much later
TWIN_SECONDS = 24 * 3600.0  # two phones at an address within this: nothing is concluded from the address
STAMP_SECONDS = 60.0  # how exact the last_seen of an address or a saying is

CACHED_PHONES = 4096
OPEN_ROWS = 4096
WITNESSES = frozenset({"agent", "snmp", "neighbour"})
SAID_LIMIT = 64  # different things that one phone may say of itself before we stop writing them down

# The columns in the order of the table.
INSERT = f"INSERT OR REPLACE INTO requests VALUES ({', '.join('?' * 25)})"  # noqa: S608 - only marks
UPDATE = "UPDATE requests SET last = ?, count = ?, bytes = ?, seconds = ?, resends = ? WHERE id = ?"


class _Row:
    """A row of the time line that may still grow."""

    __slots__ = ("bytes", "count", "event", "last", "new", "phone", "resends", "runs", "seconds", "software",
                 "told")  # fmt: skip

    def __init__(self, event: Finished, phone: _Known | None, software: bool):
        self.event = event
        self.phone = phone
        self.software = software  # firmware that a script orders: each download counts as evidence
        self.last = event.time
        self.count = 1
        self.told = 0  # how many of `count` the phone's own totals know
        self.bytes = event.bytes
        self.seconds = event.seconds
        self.resends = event.resends
        self.new = True
        self.runs: list[list[int]] | None = None  # reference numbers after the first one


class _Known:
    """A phone as it stands in the database, with what is not written yet."""

    __slots__ = ("address", "addresses", "boot", "bytes", "changed", "ext", "failed", "first", "id", "last",
                 "mac", "model", "refused", "requests", "said", "told", "version")  # fmt: skip

    def __init__(self, identity: int, mac: str, address: str, first: float):
        self.id = identity
        self.mac = mac
        self.address = address
        self.ext = self.model = self.version = ""
        self.first = self.last = first
        self.requests = self.refused = self.failed = self.bytes = 0  # not written yet
        self.changed = True
        self.addresses: dict[str, float] = {}  # address -> when its last_seen was written
        self.said: dict[tuple[str, str, str], float] = {}
        self.told: tuple[str, ...] = ()  # identity as of the last row
        self.boot: Boot | None = None


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
        self._database: sqlite3.Connection | None = None
        self._failed = False
        self._retry_at = 0.0
        self._open: dict[str, _Row] = {}  # peer -> its last row
        self._dirty: dict[int, _Row] = {}
        self._said: list[Notice] = []
        self._phones: OrderedDict[str, _Known] = OrderedDict()
        self._changed: dict[int, _Known] = {}
        self._settling: dict[int, _Known] = {}
        self._orders = Orders()
        self._flushed_at = 0.0
        self._ticked_at = 0.0
        self._aged_at = clock()
        self._created = 0  # phones since then
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
            if self._database is None:
                return False
            found = self._reader.phone(key)
            if found is None:
                return False
            for row in self._open.values():
                if row.phone is not None and row.phone.id == found["id"]:
                    row.phone = None
            self._phones = OrderedDict((k, p) for k, p in self._phones.items() if p.id != found["id"])
            self._settling.pop(found["id"], None)
            self._changed.pop(found["id"], None)
            self._begin()
            forget(self._database, found["id"])
            self._database.execute("COMMIT")
            self._counts = None
        return True

    # the stream's thread

    def receive(self, batch: list[Event]) -> None:
        """Take in a batch."""
        with self._lock:
            if self._database is not None or self._again(len(batch)):
                try:
                    self._take(batch)
                    now = self.clock()
                    if not 0 <= now - self._flushed_at < FLUSH_SECONDS or len(self._dirty) > OPEN_ROWS:
                        self._flush(now)
                except sqlite3.Error as fault:
                    self._broken(fault, len(batch))
        self._tell()

    def tick(self, now: float) -> None:
        """Write what is due. `now` in seconds since the epoch."""
        with self._lock:
            if self._database is None:
                self._again(0)
            else:
                try:
                    # A clock of its own: under a steady load it is always `receive` that flushes.
                    if not 0 <= now - self._ticked_at < FLUSH_SECONDS:
                        self._ticked_at = now
                        self._settle(now)
                        waiting = self._dirty or self._said or self._changed or self._limits.exceeded()
                        if (waiting or self._database.in_transaction) and (
                            not 0 <= now - self._flushed_at < FLUSH_SECONDS
                        ):
                            self._flush(now)
                        # Made-up phones come faster than old ones go, unless they are looked for sooner.
                        if self._created >= STEP_ROWS or not 0 <= now - self._aged_at < AGE_SECONDS:
                            self._age(now)
                except sqlite3.Error as fault:
                    self._broken(fault, 0)
        self._tell()

    def flush(self) -> None:
        """Write everything that waits, now."""
        with self._lock:
            if self._database is not None:
                try:
                    self._flush(self.clock())
                except sqlite3.Error as fault:
                    self._broken(fault, 0)

    def close(self) -> None:
        """Write the rest and say in the database that the end was orderly."""
        self.flush()
        with self._lock:
            if self._database is not None:
                try:
                    last = self._run("SELECT value FROM meta WHERE name = 'last'").fetchone()
                    if last is not None:
                        self._run("INSERT OR REPLACE INTO meta VALUES ('clean', ?)", last[0])
                    self._database.close()
                except sqlite3.Error:
                    _log.exception("closing the inventory")
                self._database = None
            self._reader.close()

    def _take(self, batch: list[Event]) -> None:
        open_rows, dirty = self._open, self._dirty
        for event in batch:
            if type(event) is not Finished:
                if isinstance(event, Notice):
                    self._said.append(event)
                continue
            row = open_rows.get(event.peer)
            if row is not None:
                first = row.event
                when = event.time
                if (
                    first.name == event.name
                    and first.outcome == event.outcome
                    and first.proto == event.proto
                    and first.mac == event.mac
                    and first.reason == event.reason
                    and first.version == event.version
                    and when - row.last <= GAP_SECONDS
                    and when - first.time <= SPAN_SECONDS
                ):
                    row.count += 1
                    row.last = when
                    row.bytes += event.bytes
                    row.seconds += event.seconds
                    row.resends += event.resends
                    dirty[first.id] = row
                    if first.reason:
                        runs = row.runs
                        if runs is None:
                            row.runs = [[event.id, event.id]]
                        elif runs[-1][1] + 1 == event.id:
                            runs[-1][1] = event.id
                        else:
                            runs.append([event.id, event.id])
                            if len(runs) > 1024:
                                self._number(row)
                    elif row.software and row.phone is not None:
                        self._downloaded(row.phone, event)
                    continue
            self._begin_row(event)

    def _begin_row(self, event: Finished) -> None:
        if len(self._open) >= OPEN_ROWS:
            self._flush(self.clock())
            self._open.clear()
        phone = self._phone(event)
        software = phone is not None and self._evidence(phone, event)
        row = self._open[event.peer] = self._dirty[event.id] = _Row(event, phone, software)
        if event.reason:
            row.runs = None

    # phones

    def _phone(self, event: Finished) -> _Known | None:
        """The phone behind an event, learnt from it; None for a stranger who got nothing.

        An address that was only ever refused is in the time line, but is no phone: anybody could fill
        the inventory with made-up senders.
        """
        key = event.mac or event.peer
        phone = self._phones.get(key)
        if phone is None:
            phone = self._load(key)
            if phone is None:
                # The MAC in a name proves nothing: who walks through all of them is no phone either.
                if event.outcome != "ok" and not WITNESSES.intersection(event.identified.split("+")):
                    return None
                phone = self._create(key, event)
            self._phones[key] = phone
            if len(self._phones) > CACHED_PHONES:
                self._write_phones()
                while len(self._phones) > CACHED_PHONES // 2:
                    self._phones.popitem(last=False)
        else:
            self._phones.move_to_end(key)
        now = event.time
        phone.last = max(phone.last, now)
        phone.address = event.peer
        self._changed[phone.id] = phone
        written = phone.addresses.get(event.peer, 0.0)
        if not 0 <= now - written < STAMP_SECONDS:
            self._at(phone, event.peer, now)
        told = (event.mac, event.ext, event.model, event.version, event.identified, event.agent)
        if told != phone.told:
            phone.told = told
            self._learn(phone, event)
        return phone

    def _load(self, key: str) -> _Known | None:
        row = self._run("SELECT * FROM phones WHERE key = ?", key).fetchone()
        if row is None:
            return None
        phone = _Known(row["id"], row["mac"], row["address"], row["first_seen"])
        phone.ext, phone.model, phone.version = row["ext"], row["model"], row["version"]
        phone.last = row["last_seen"]
        said = "SELECT field, value, source, last_seen FROM said WHERE phone = ? LIMIT ?"
        for one in self._run(said, phone.id, SAID_LIMIT):
            phone.said[one["field"], one["value"], one["source"]] = one["last_seen"]
        return phone

    def _create(self, key: str, event: Finished) -> _Known:
        self._begin()
        cursor = self._run(
            "INSERT INTO phones (key, mac, ext, model, version, address, first_seen, last_seen, requests, "
            "refused, failed, bytes) VALUES (?, ?, '', '', '', ?, ?, ?, 0, 0, 0, 0)",
            key, event.mac, event.peer, event.time, event.time,
        )  # fmt: skip
        assert cursor.lastrowid is not None
        self._created += 1
        phone = _Known(cursor.lastrowid, event.mac, event.peer, event.time)
        if event.mac:
            self._absorb(phone, event)
        return phone

    def _at(self, phone: _Known, address: str, now: float) -> None:
        """Write that the phone is at this address."""
        self._begin()
        self._run(
            "INSERT INTO addresses VALUES (?, ?, ?, ?) ON CONFLICT (address, phone) "
            "DO UPDATE SET last_seen = max(last_seen, excluded.last_seen)",
            _text(address, 64), phone.id, now, now,
        )  # fmt: skip
        if len(phone.addresses) > 64:
            phone.addresses.clear()
        phone.addresses[address] = now

    def _absorb(self, phone: _Known, event: Finished) -> None:
        """Late identity: what an address did shortly before it showed its MAC was done by this phone."""
        nameless = self._phones.pop(event.peer, None)
        if nameless is not None:
            self._write_phones()
        row = self._run("SELECT * FROM phones WHERE key = ?", event.peer).fetchone()
        if row is None or event.time - row["last_seen"] > LATE_SECONDS or self._twins(event.peer, event.time):
            return
        for held in self._open.values():
            if held.phone is not None and held.phone.id == row["id"]:
                held.phone = phone
        self._changed.pop(row["id"], None)
        self._settling.pop(row["id"], None)
        assert self._database is not None
        move(self._database, row["id"], phone.id)
        phone.first = min(phone.first, row["first_seen"])
        if nameless is not None and nameless.boot is not None:
            phone.boot = nameless.boot

    def _twins(self, address: str, now: float) -> bool:
        """Whether two phones with MACs were seen at an address lately."""
        # The newest first, and no more than two: one client may have made up thousands at its address.
        found = self._run(
            "SELECT 1 FROM addresses JOIN phones ON phones.id = addresses.phone "
            "WHERE addresses.address = ? AND addresses.last_seen > ? AND phones.mac != '' "
            "ORDER BY addresses.phone DESC LIMIT 2",
            address, now - TWIN_SECONDS,
        ).fetchall()  # fmt: skip
        return len(found) > 1

    def _learn(self, phone: _Known, event: Finished) -> None:
        """Write down what this request says of the phone, and who said it."""
        sources = event.identified.split("+") if event.identified else []
        said = of_agent(event.agent) if event.agent else None
        for field, value in (("mac", event.mac), ("ext", event.ext), ("model", event.model),
                             ("version", event.version)):  # fmt: skip
            if not value:
                continue
            value = _text(value, 80)
            if said is not None and getattr(said, field) == value:
                source = "agent"
            elif field in ("mac", "ext") and "name" in sources:
                source = "name"
            elif "snmp" in sources:
                source = "snmp"
            elif field == "mac" and "neighbour" in sources:
                source = "neighbour"
            else:
                source = ""  # only remembered from an earlier request
            if field == "ext":
                phone.ext = value
            elif field == "model":
                phone.model = value
            elif field == "version" and value != phone.version:
                phone.version = value
            if source:
                self._saying(phone, field, value, source, event.time)

    def _saying(self, phone: _Known, field: str, value: str, source: str, now: float) -> None:
        key = (field, value, source)
        written = phone.said.get(key)
        if written is None and len(phone.said) >= SAID_LIMIT:
            return
        if written is not None and 0 <= now - written < STAMP_SECONDS:
            return
        self._begin()
        phone.said[key] = now
        self._run(
            "INSERT INTO said VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (phone, field, value, source) "
            "DO UPDATE SET last_seen = excluded.last_seen",
            phone.id, *key, now, now,
        )  # fmt: skip
        if field == "version":
            self._runs(phone, value, source, now)

    def _runs(self, phone: _Known, version: str, source: str, now: float) -> None:
        """The phone runs this, and how that is known. What it says itself outweighs what a script orders."""
        self._begin()
        self._run(
            "INSERT INTO versions VALUES (?, ?, ?, ?, ?) ON CONFLICT (phone, version, source) "
            "DO UPDATE SET last_seen = excluded.last_seen",
            phone.id, version, source, now, now,
        )  # fmt: skip
        self._run(
            "UPDATE phones SET runs = ?, runs_source = ?, runs_seen = ? "
            "WHERE id = ? AND (? != 'script' OR runs_source IN ('', 'script'))",
            version, source, now, phone.id, source,
        )  # fmt: skip

    # evidence (DESIGN section 10)

    def _evidence(self, phone: _Known, event: Finished) -> bool:
        """Follow a boot. Whether the event is about software that the phone's script orders."""
        last = event.name.rpartition("/")[2].casefold()
        boot = phone.boot
        if event.outcome == "ok" and last in evidence.SCRIPTS:
            if boot is None:
                boot = phone.boot = Boot()
            orders: dict[str, str] = {}
            first = True
            if phone.model and not self._twins(event.peer, event.time):
                orders, first = self._orders.of(event.file, last, phone.model, phone.mac)
            runs = evidence.script_read(boot, orders, first, event.time)
        elif boot is None:
            return False
        elif evidence.asked(boot, event.name):
            if event.outcome == "ok":
                self._downloaded(phone, event)
            return True
        elif event.outcome == "ok" and last in evidence.SETTINGS:
            if self._twins(event.peer, event.time):
                return False
            runs = evidence.settings_read(boot, event.time)
            if boot.settle_at:
                self._settling[phone.id] = phone
        else:
            return False
        if runs:
            self._runs(phone, runs, "script", event.time)
        return False

    def _downloaded(self, phone: _Known, event: Finished) -> None:
        if phone.boot is None or not evidence.downloaded(phone.boot, event.name, event.time):
            return
        if self._twins(event.peer, event.time):
            return
        who = " ".join(part for part in (phone.model, phone.mac, phone.ext and f"ext {phone.ext}") if part)
        text = (
            f"{who or 'a phone'} at {event.peer} fetched {event.name} {evidence.LOOP_DOWNLOADS} times within "
            "30 minutes: it restarts again and again, or does not accept this firmware"
        )
        self._notices.append(Notice("boot-loop", text, "error", event.file, 0, event.peer))

    def _settle(self, now: float) -> None:
        for identity, phone in list(self._settling.items()):
            boot = phone.boot
            if boot is None or not boot.settle_at:
                del self._settling[identity]
            elif runs := evidence.settle(boot, now):
                del self._settling[identity]
                self._runs(phone, runs, "script", now)

    # writing

    def _run(self, statement: str, *values: Any) -> sqlite3.Cursor:
        assert self._database is not None
        return self._database.execute(statement, values)

    def _begin(self) -> None:
        assert self._database is not None
        if not self._database.in_transaction:
            self._database.execute("BEGIN IMMEDIATE")

    def _flush(self, now: float) -> None:
        """Write rows and phones, and commit."""
        assert self._database is not None
        self._begin()
        new, grown, files = [], [], []
        highest = 0
        for row in self._dirty.values():
            event = row.event
            if event.id > highest:
                highest = event.id
            if row.new:
                row.new = False
                new.append(
                    (
                        event.id, event.time, row.last, row.count, event.proto, event.listener,
                        _text(event.peer, 64), event.mac, _text(event.ext, 40), _text(event.model, 80),
                        _text(event.version, 80), _text(event.name, 300), _text(event.file, 1024),
                        event.outcome, event.reason, row.bytes, row.seconds, row.resends, event.blksize,
                        event.window, _text(event.detail, 300), _text(event.source, 300), event.line,
                        event.identified, _text(event.agent, 200),
                    )
                )  # fmt: skip
            else:
                grown.append((row.last, row.count, row.bytes, row.seconds, row.resends, event.id))
            more = row.count - row.told
            row.told = row.count
            if row.runs:
                highest = max(highest, row.runs[-1][1])
                self._number(row)
            phone = row.phone
            if phone is not None:
                phone.requests += more
                phone.last = max(phone.last, row.last)
                self._changed[phone.id] = phone
                if event.outcome == "ok":
                    files.append((phone.id, _text(event.name, 300), _text(event.file, 1024), event.proto,
                                  row.bytes // row.count, row.last, more))  # fmt: skip
                    phone.bytes += event.bytes * more
                elif event.outcome == "refused":
                    phone.refused += more
                else:
                    phone.failed += more
        self._dirty.clear()
        execute_many = self._database.executemany
        if new:
            execute_many(INSERT, new)
            self._limits.added(len(new), sum(one[13] == "refused" for one in new))
        if grown:
            execute_many(UPDATE, grown)
        if files:
            execute_many(
                "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (phone, name) DO UPDATE SET "
                "file = excluded.file, proto = excluded.proto, bytes = excluded.bytes, "
                "last_seen = excluded.last_seen, count = count + excluded.count",
                files,
            )
        if self._said:
            execute_many(
                "INSERT INTO notices VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (one.time, one.level, one.kind, _text(one.text, 500), _text(one.source, 300), one.line,
                     _text(one.peer, 64))
                    for one in self._said
                ],
            )  # fmt: skip
            self._said.clear()
        self._write_phones()
        if highest:
            self._run("INSERT INTO meta VALUES ('last', ?) ON CONFLICT (name) "
                      "DO UPDATE SET value = max(value, excluded.value)", highest)  # fmt: skip
        if self._limits.exceeded():
            self._limits.keep(self._database)
        self._database.execute("COMMIT")
        self._flushed_at = now
        self._forget_idle(now)

    def _write_phones(self) -> None:
        assert self._database is not None
        if not self._changed:
            return
        self._begin()
        self._database.executemany(
            "UPDATE phones SET ext = ?, model = ?, version = ?, address = ?, last_seen = ?, "
            "requests = requests + ?, refused = refused + ?, failed = failed + ?, bytes = bytes + ? "
            "WHERE id = ?",
            [
                (phone.ext, phone.model, phone.version, _text(phone.address, 64), phone.last, phone.requests,
                 phone.refused, phone.failed, phone.bytes, phone.id)
                for phone in self._changed.values()
            ],
        )  # fmt: skip
        for phone in self._changed.values():
            phone.requests = phone.refused = phone.failed = phone.bytes = 0
        self._changed.clear()

    def _number(self, row: _Row) -> None:
        """Write which further reference numbers a row of refusals stands for; the last run may go on."""
        assert self._database is not None and row.runs
        self._begin()
        self._database.executemany(
            "INSERT OR REPLACE INTO numbers VALUES (?, ?, ?)",
            [(first, last, row.event.id) for first, last in row.runs],
        )
        row.runs = row.runs[-1:]

    def _forget_idle(self, now: float) -> None:
        """Rows that cannot grow any more need no memory."""
        if len(self._open) > 256:
            limit = now - GAP_SECONDS
            self._open = {peer: row for peer, row in self._open.items() if row.last > limit}

    def _age(self, now: float) -> None:
        """Delete what is too old, and phones that are too many."""
        assert self._database is not None
        self._aged_at = now
        self._created = 0
        self._begin()
        self._limits.age(self._database, now)
        gone = self._limits.phones(self._database)
        self._database.execute("COMMIT")
        if gone:
            if len(gone) >= STEP_ROWS:
                self._created = STEP_ROWS  # there may be more
            self._phones = OrderedDict((key, one) for key, one in self._phones.items() if one.id not in gone)
            for identity in gone:
                self._settling.pop(identity, None)

    # trouble

    def _connect(self) -> None:
        try:
            try:
                self._database = schema.prepare(self.path)
            except schema.Unusable as why:
                self._set_aside(str(why))
                self._database = schema.prepare(self.path)
            self._number_on()
            self._limits = Limits(self._database)
        except (OSError, sqlite3.Error, schema.Unusable) as fault:
            self._broken(fault, 0)
            return
        if self._failed:
            self._failed = False
            text = f"the inventory is written again; {self.lost} events were lost"
            self._notices.append(Notice("inventory", text, "info", self.path))

    def _number_on(self) -> None:
        """Continue the reference numbers. After a crash some may be in the journal only: leave a gap."""
        rows = {row["name"]: row["value"] for row in self._run("SELECT name, value FROM meta")}
        last = int(rows.get("last", 0))
        if last and rows.get("clean") != last:
            last += 10_000
        self._first = max(self._first, last + 1)
        self._run("DELETE FROM meta WHERE name = 'clean'")

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
        if self._database is None:
            self.lost += events
        return self._database is not None

    def _broken(self, fault: Exception, events: int) -> None:
        """Let go of everything that was to be written, and try again later."""
        self.lost += events
        self._open.clear()
        self._dirty.clear()
        self._said.clear()
        self._phones.clear()
        self._changed.clear()
        self._settling.clear()
        if self._database is not None:
            self._database.close()  # rolls back
            self._database = None
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
            notices, self._notices = self._notices, []
            for notice in notices:
                self.publish(notice)


def _text(text: str, limit: int) -> str:
    """What the database takes: bounded, and without the halves of characters that UTF-8 cannot carry."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text
