"""The time line's rows while they may still grow: identical requests in a row are one, with a count."""

from __future__ import annotations

from collections.abc import Callable

from mv_iptel.events import Finished
from mv_iptel.inventory.boots import Boots
from mv_iptel.inventory.known import Known, Phones
from mv_iptel.inventory.writing import Writing, bounded

# A request that repeats its address's last one within GAP seconds joins its row, for at most SPAN.
GAP_SECONDS = 5.0
SPAN_SECONDS = 60.0
OPEN_ROWS = 4096

# The columns in the order of the table.
INSERT = f"INSERT OR REPLACE INTO requests VALUES ({', '.join('?' * 26)})"  # noqa: S608 - only marks
UPDATE = "UPDATE requests SET last = ?, count = ?, bytes = ?, seconds = ?, resends = ? WHERE id = ?"


class Row:
    """A row of the time line that may still grow."""

    __slots__ = ("bytes", "count", "event", "last", "new", "phone", "resends", "runs", "seconds", "software",
                 "told")  # fmt: skip

    def __init__(self, event: Finished, phone: Known | None, software: bool):
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


class Rows:
    """Rows by the address they came from. `full` is called when too many are open: it writes them."""

    def __init__(self, database: Writing, phones: Phones, boots: Boots, full: Callable[[], None]):
        self._database = database
        self._phones = phones
        self._boots = boots
        self._full = full
        self.open: dict[str, Row] = {}  # peer -> its last row
        self.dirty: dict[int, Row] = {}

    def take(self, event: Finished) -> None:
        """Let the event join its address's row, or begin one."""
        row = self.open.get(event.peer)
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
                and first.op == event.op
                and (first.op == "read" or first.outcome != "ok")  # each change of user data stands alone
                and when - row.last <= GAP_SECONDS
                and when - first.time <= SPAN_SECONDS
            ):
                row.count += 1
                row.last = when
                row.bytes += event.bytes
                row.seconds += event.seconds
                row.resends += event.resends
                self.dirty[first.id] = row
                if first.reason:
                    self._numbers(row, event.id)
                elif row.software and row.phone is not None:
                    self._boots.downloaded(row.phone, event)
                return
        self._begin(event)

    def moved(self, identity: int, phone: Known | None) -> None:
        """What belonged to one phone is another's now, or nobody's."""
        for row in self.open.values():
            if row.phone is not None and row.phone.id == identity:
                row.phone = phone

    def write(self) -> tuple[int, int, int]:
        """Write what is new or has grown: (rows added, refusals among them, highest reference number)."""
        new, grown, files = [], [], []
        highest = 0
        for row in self.dirty.values():
            event = row.event
            if event.id > highest:
                highest = event.id
            if row.new:
                row.new = False
                new.append(
                    (
                        event.id, event.time, row.last, row.count, event.proto, event.listener,
                        bounded(event.peer, 64), event.mac, bounded(event.ext, 40), bounded(event.model, 80),
                        bounded(event.version, 80), bounded(event.name, 300), bounded(event.file, 1024),
                        event.outcome, event.reason, row.bytes, row.seconds, row.resends, event.blksize,
                        event.window, bounded(event.detail, 300), bounded(event.source, 300), event.line,
                        event.identified, bounded(event.agent, 200), event.op,
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
                self._phones.count(phone, event, more, row.last)
                if event.outcome == "ok" and event.op == "read":
                    files.append((phone.id, bounded(event.name, 300), bounded(event.file, 1024), event.proto,
                                  row.bytes // row.count, row.last, more))  # fmt: skip
        self.dirty.clear()
        if new:
            self._database.many(INSERT, new)
        if grown:
            self._database.many(UPDATE, grown)
        if files:
            self._database.many(
                "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (phone, name) DO UPDATE SET "
                "file = excluded.file, proto = excluded.proto, bytes = excluded.bytes, "
                "last_seen = excluded.last_seen, count = count + excluded.count",
                files,
            )
        return len(new), sum(one[13] == "refused" for one in new), highest

    def forget_idle(self, now: float) -> None:
        """Rows that cannot grow any more need no memory."""
        if len(self.open) > 256:
            limit = now - GAP_SECONDS
            self.open = {peer: row for peer, row in self.open.items() if row.last > limit}

    def _begin(self, event: Finished) -> None:
        if len(self.open) >= OPEN_ROWS:
            self._full()
            self.open.clear()
        phone = self._phones.behind(event)
        software = phone is not None and self._boots.follow(phone, event)
        self.open[event.peer] = self.dirty[event.id] = Row(event, phone, software)

    def _numbers(self, row: Row, number: int) -> None:
        runs = row.runs
        if runs is None:
            row.runs = [[number, number]]
        elif runs[-1][1] + 1 == number:
            runs[-1][1] = number
        else:
            runs.append([number, number])
            if len(runs) > 1024:
                self._number(row)

    def _number(self, row: Row) -> None:
        """Write which further reference numbers a row of refusals stands for; the last run may go on."""
        assert row.runs
        self._database.many(
            "INSERT OR REPLACE INTO numbers VALUES (?, ?, ?)",
            [(first, last, row.event.id) for first, last in row.runs],
        )
        row.runs = row.runs[-1:]
