"""What scans and checks of the firmware came to, in a database of their own: pages take parts of it."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from mv_iptel.firmware.scanning import Report
from mv_iptel.firmware.verifying import Verified

KEPT = 10  # of each
FOUND = 2000  # deviations of one check
SORTS = ("worst", "address", "mac", "ext", "model", "runs", "ordered")
TABLES = """
CREATE TABLE IF NOT EXISTS scans (
    id INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, told TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS phones (
    scan INTEGER NOT NULL, number INTEGER NOT NULL, state TEXT NOT NULL, advised INTEGER NOT NULL,
    address TEXT NOT NULL, mac TEXT NOT NULL, ext TEXT NOT NULL, model TEXT NOT NULL, runs TEXT NOT NULL,
    ordered TEXT NOT NULL, told TEXT NOT NULL,
    PRIMARY KEY (scan, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS checks (
    id INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, told TEXT NOT NULL
);
"""
_SEARCHED = ("address", "mac", "ext", "model", "runs", "ordered")


class Reports:
    """One manager's. Each method opens the database for itself, so that any thread may ask."""

    def __init__(self, path: Path):
        self.path = path

    def scanned(self, report: Report, who: str, nets: list[str], unkept: str) -> int:
        """Keep a scan's report; its number. `unkept` says why the inventory has not learnt of it."""
        advised = Counter(one for row in report.rows for one in row.advisories)
        told = {
            "who": who, "nets": nets, "asked": report.asked, "answered": report.answered,
            "other_devices": report.others, "seconds": round(report.seconds, 2), "states": report.states,
            "problems": report.problems, "unkept": unkept, "phones": len(report.rows),
            "advised": sum(bool(row.advisories) for row in report.rows),
            "advisories": [{**one.as_dict(), "phones": count}
                           for one, count in sorted(advised.items(), key=lambda pair: -pair[1])],
        }  # fmt: skip
        rows = (
            (row.state, bool(row.advisories), row.address, row.mac, row.ext, row.model, row.runs, row.ordered,
             json.dumps(row.as_dict()))
            for row in report.rows
        )  # fmt: skip
        with self._opened(True) as database:
            number = database.execute(
                "INSERT INTO scans (time, told) VALUES (?, ?)", (report.time, json.dumps(told))
            ).lastrowid
            assert number is not None
            database.executemany(
                "INSERT INTO phones VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                ((number, place, *row) for place, row in enumerate(rows)),
            )
            database.execute("DELETE FROM scans WHERE id <= ?", (number - KEPT,))
            database.execute("DELETE FROM phones WHERE scan <= ?", (number - KEPT,))
        return number

    def scans(self) -> list[dict[str, Any]]:
        """Every scan without its phones, the newest first."""
        return self._ask("SELECT id, time, told FROM scans ORDER BY id DESC")

    def scan(self, number: int) -> dict[str, Any] | None:
        """One, without its phones."""
        return next(iter(self._ask("SELECT id, time, told FROM scans WHERE id = ?", number)), None)

    def phones(
        self,
        number: int,
        state: str = "",
        text: str = "",
        sort: str = "worst",
        down: bool = False,
        limit: int = 50,
        offset: int = 0,
    ) -> tuple[int, list[dict[str, Any]]]:
        """How many phones of a scan there are so, and some of them. `state` may also be `advised`."""
        where, values = ["scan = ?"], [number]  # type: tuple[list[str], list[Any]]
        if state == "advised":
            where.append("advised")
        elif state:
            where.append("state = ?")
            values.append(state)
        if text:
            where.append("(" + " OR ".join(f"instr(lower({one}), ?)" for one in _SEARCHED) + ")")
            values += [text.lower()] * len(_SEARCHED)
        order = sort if sort in SORTS and sort != "worst" else "number"
        way = "DESC" if down else "ASC"
        with self._opened() as database:
            if database is None:
                return 0, []
            clause = " AND ".join(where)
            # Columns and order are ours; what somebody typed is bound.
            start = f"FROM phones WHERE {clause}"
            (total,) = database.execute(f"SELECT count(*) {start}", values).fetchone()
            part = f"SELECT told {start} ORDER BY {order} {way}, number LIMIT ? OFFSET ?"
            found = database.execute(part, (*values, limit, offset))
            return total, [json.loads(row[0]) for row in found]

    def checked(self, found: Verified, who: str, now: float) -> int:
        """Keep what `verify` found; its number."""
        told = {
            "who": who, "generation": found.generation, "files": found.files, "octets": found.octets,
            "sound": found.sound, "count": len(found.found),
            "faults": sum(one.fault for one in found.found),
            "found": [{**one._asdict(), "fault": one.fault} for one in found.found[:FOUND]],
        }  # fmt: skip
        with self._opened(True) as database:
            number = database.execute(
                "INSERT INTO checks (time, told) VALUES (?, ?)", (now, json.dumps(told))
            ).lastrowid
            assert number is not None
            database.execute("DELETE FROM checks WHERE id <= ?", (number - KEPT,))
        return number

    def check(self) -> dict[str, Any] | None:
        """The last one."""
        return next(iter(self._ask("SELECT id, time, told FROM checks ORDER BY id DESC LIMIT 1")), None)

    def _ask(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        with self._opened() as database:
            rows = database.execute(statement, values).fetchall() if database is not None else []
        return [{"id": number, "time": time, **json.loads(told)} for number, time, told in rows]

    @contextmanager
    def _opened(self, write: bool = False) -> Iterator[Any]:
        """None where nothing was ever kept."""
        if not write and not self.path.exists():
            yield None
            return
        with closing(sqlite3.connect(self.path, timeout=30.0)) as database:
            database.execute("PRAGMA journal_mode=WAL")
            if write:
                database.executescript(TABLES)
            with database:
                yield database
