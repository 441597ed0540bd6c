"""Reads the inventory: phones, their time lines, refusals by number. For every process, while one writes."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from mv_iptel.addresses import address_of, mac_of
from mv_iptel.inventory import schema

RECENT_SECONDS = 15 * 60.0
LATE_SECONDS = 15 * 60.0
SORTS = {
    "seen": "last_seen DESC", "first": "first_seen", "model": "model, mac", "version": "runs, model",
    "address": "address", "ext": "ext, mac", "mac": "mac", "requests": "requests DESC",
    "refused": "refused DESC",
}  # fmt: skip
LOOKED_AT = 20_000  # rows of one address that a time line goes back at most

_Wanted = Callable[[dict[str, Any]], bool]


class Reader:
    """Answers from the database at `path`. A database that is not there has no phones; it is no error.

    Safe on any thread.
    """

    def __init__(self, path: os.PathLike[str] | str):
        self.path = os.fspath(path)
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None

    def close(self) -> None:
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def counts(self, now: float) -> dict[str, int]:
        """Phones known, and seen within 15 minutes before `now`."""
        rows = self._ask(
            "SELECT count(*) AS known, (SELECT count(*) FROM phones WHERE last_seen > ?) AS seen_15m "
            "FROM phones",
            now - RECENT_SECONDS,
        )
        return rows[0] if rows else {"known": 0, "seen_15m": 0}

    def phones(
        self,
        model: str = "",
        version: str = "",
        since: float = 0.0,
        until: float = 0.0,
        sort: str = "seen",
        limit: int = 1000,
        offset: int = 0,
    ) -> list[dict[str, Any]]:
        """Phones as plain rows. `model` and `version` match a beginning, without regard to case.

        `since` and `until` bound the time they were last seen, in seconds since the epoch; 0 is no bound.
        """
        where, values = ["1"], []
        if model:
            where.append("model LIKE ? ESCAPE '\\'")
            values.append(_beginning(model))
        if version:
            where.append("(runs LIKE ? ESCAPE '\\' OR version LIKE ? ESCAPE '\\')")
            values += [_beginning(version), _beginning(version)]
        if since:
            where.append("last_seen >= ?")
            values.append(since)
        if until:
            where.append("last_seen <= ?")
            values.append(until)
        return self._ask(
            f"SELECT * FROM phones WHERE {' AND '.join(where)} ORDER BY {SORTS[sort]}, id LIMIT ? OFFSET ?",  # noqa: S608
            *values, limit, offset,
        )  # fmt: skip

    def phone(self, who: str) -> dict[str, Any] | None:
        """One phone by MAC, address or extension, with all that is known of it; None if it is unknown."""
        row = self._find(who)
        if row is None:
            return None
        identity = row["id"]
        return {
            **row,
            "identity": self._ask(
                "SELECT field, value, source, first_seen, last_seen FROM said WHERE phone = ? "
                "ORDER BY field, last_seen DESC", identity),
            "addresses": self._ask(
                "SELECT address, first_seen, last_seen FROM addresses WHERE phone = ? "
                "ORDER BY last_seen DESC LIMIT 50", identity),
            "versions": self._ask(
                "SELECT version, source, first_seen, last_seen FROM versions WHERE phone = ? "
                "ORDER BY last_seen DESC", identity),
            "files": self._ask(
                "SELECT name, file, proto, bytes, last_seen, count FROM files WHERE phone = ? "
                "ORDER BY last_seen DESC LIMIT 100", identity),
        }  # fmt: skip

    def timeline(
        self, who: str, limit: int = 100, before: int = 0, chosen: _Wanted | None = None
    ) -> list[dict[str, Any]]:
        """What a phone (or an address that is none) did over all protocols, oldest first.

        A row without a MAC belongs to the phone that its address turned out to be within 15 minutes,
        unless two phones were seen there. With `before` only rows with lower numbers count, with `chosen`
        only those that it wants.
        """
        wanted = _wanted(before, chosen)
        row = self._find(who)
        if row is None:
            return self._of_address(who, limit, wanted)
        if not row["mac"]:
            return self._of_address(row["key"], limit, wanted, nameless=True)
        mac = row["mac"]
        found: list[dict[str, Any]] = []
        places = "SELECT address FROM addresses WHERE phone = ? ORDER BY last_seen DESC LIMIT 50"
        for place in self._ask(places, row["id"]):
            found += self._attributed(place["address"], mac, limit, wanted)
        found.sort(key=lambda one: one["id"])
        return found[-limit:]

    def notices(self, limit: int = 50, peers: Iterable[str] = ()) -> list[dict[str, Any]]:
        """The last notices, newest first; only those about `peers`, if given."""
        chosen = list(peers)[:200]
        where = f"WHERE peer IN ({', '.join('?' * len(chosen))})" if chosen else ""
        return self._ask(f"SELECT * FROM notices {where} ORDER BY id DESC LIMIT ?", *chosen, limit)  # noqa: S608

    def refusals(self, limit: int = 100, address: str = "") -> list[dict[str, Any]]:
        """The last refusals, newest first."""
        if address:
            return self._ask("SELECT * FROM requests WHERE peer = ? AND outcome = 'refused' "
                             "ORDER BY id DESC LIMIT ?", address, limit)  # fmt: skip
        return self._ask("SELECT * FROM requests WHERE outcome = 'refused' ORDER BY id DESC LIMIT ?", limit)

    def number(self, number: int) -> dict[str, Any] | None:
        """The request that has this reference number."""
        if not 0 <= number < 1 << 63:
            return None
        rows = self._ask("SELECT * FROM requests WHERE id = ?", number)
        if not rows:
            runs = self._ask("SELECT * FROM numbers WHERE first <= ? ORDER BY first DESC LIMIT 1", number)
            if runs and runs[0]["last"] >= number:
                rows = self._ask("SELECT * FROM requests WHERE id = ?", runs[0]["request"])
        return {**rows[0], "number": number} if rows else None

    def addresses(self, mac: str) -> list[str]:
        """Where a phone was seen, the last place first."""
        rows = self._ask(
            "SELECT addresses.address FROM addresses JOIN phones ON phones.id = addresses.phone "
            "WHERE phones.key = ? ORDER BY addresses.last_seen DESC LIMIT 50", mac)  # fmt: skip
        return [row["address"] for row in rows]

    def everyone(self) -> list[dict[str, Any]]:
        """Key, mac, model and what it runs, of every phone: fifty thousand of them in a moment."""
        return self._ask("SELECT key, mac, model, runs FROM phones ORDER BY id")

    def upgrade_scripts(self) -> dict[str, str]:
        """The upgrade script that each phone got last, by the phone's key."""
        rows = self._ask(
            "SELECT phones.key, files.name FROM files JOIN phones ON phones.id = files.phone "
            "WHERE files.name LIKE '%upgrade.___' ORDER BY files.last_seen")  # fmt: skip
        return {row["key"]: row["name"] for row in rows}

    def scripts_read(self) -> dict[str, tuple[str, float]]:
        """The upgrade script that each phone got last and when, by the phone's key."""
        rows = self._ask(
            "SELECT phones.key, files.name, files.last_seen FROM files "
            "JOIN phones ON phones.id = files.phone "
            "WHERE files.name LIKE '%upgrade.___' ORDER BY files.last_seen")  # fmt: skip
        return {row["key"]: (row["name"], row["last_seen"]) for row in rows}

    def got(self, names: Iterable[str]) -> dict[str, dict[str, float]]:
        """When each phone, by its key, got which of these files; by their last names, folded."""
        wanted = sorted({name.casefold() for name in names})[:200]
        found: dict[str, dict[str, float]] = {}
        for name in wanted:
            rows = self._ask(
                "SELECT phones.key, files.last_seen FROM files JOIN phones ON phones.id = files.phone "
                "WHERE files.name = ? COLLATE NOCASE OR files.name LIKE ? ESCAPE '\\'",
                name, "%/" + _beginning(name)[:-1])  # fmt: skip
            for row in rows:
                each = found.setdefault(row["key"], {})
                each[name] = max(each.get(name, 0.0), row["last_seen"])
        return found

    def fetched_since(self, since: float) -> dict[str, float]:
        """When each file was fetched last by a phone, of those fetched since then, by its whole path."""
        rows = self._ask("SELECT file, max(last_seen) AS last FROM files WHERE last_seen > ? AND file != '' "
                         "GROUP BY file", since)  # fmt: skip
        return {row["file"]: row["last"] for row in rows}

    def askers(self, file: str, since: float, limit: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Who got the file of this path: how many phones, how many `since`, when last; the last ones."""
        counted = self._ask(
            "SELECT count(DISTINCT phone) AS phones, max(last_seen) AS last, "
            "count(DISTINCT CASE WHEN last_seen > ? THEN phone END) AS lately FROM files WHERE file = ?",
            since, file)  # fmt: skip
        rows = self._ask(
            "SELECT phones.mac, phones.address, phones.ext, phones.model, files.proto, files.last_seen, "
            "files.count FROM files JOIN phones ON phones.id = files.phone WHERE files.file = ? "
            "ORDER BY files.last_seen DESC LIMIT ?", file, limit)  # fmt: skip
        return (counted[0] if counted else {"phones": 0, "last": 0.0, "lately": 0}), rows

    def recent(self, now: float) -> list[dict[str, Any]]:
        """What each address showed within 15 minutes before `now`, oldest first.

        Rows of address, mac, ext, model, version and `ago`, the seconds since. An address with two phones
        appears twice.
        """
        rows = self._ask(
            "SELECT addresses.address, addresses.last_seen, mac, ext, model, version FROM addresses "
            "JOIN phones ON phones.id = addresses.phone "
            "WHERE phones.last_seen > ? AND addresses.last_seen > ? ORDER BY addresses.last_seen",
            now - RECENT_SECONDS, now - RECENT_SECONDS,
        )  # fmt: skip
        return [
            {**row, "ago": max(0.0, now - row["last_seen"])}
            for row in rows
            if row["mac"] or row["ext"] or row["model"]
        ]

    def ask(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        """Rows of another reader's own SELECT, as plain dictionaries."""
        return self._ask(statement, *values)

    def _find(self, who: str) -> dict[str, Any] | None:
        who = who.strip()
        if address := address_of(who):
            rows = self._ask("SELECT * FROM phones WHERE key = ?", address)
            rows += self._ask(
                "SELECT phones.* FROM addresses JOIN phones ON phones.id = addresses.phone "
                "WHERE addresses.address = ? ORDER BY addresses.last_seen DESC LIMIT 1", address)  # fmt: skip
            return max(rows, key=lambda row: row["last_seen"]) if rows else None
        if mac := mac_of(who):
            rows = self._ask("SELECT * FROM phones WHERE key = ?", mac)
            if rows or not who.isdigit():
                return rows[0] if rows else None
        newest = "SELECT * FROM phones WHERE ext = ? AND ext != '' ORDER BY last_seen DESC LIMIT 1"
        rows = self._ask(newest, who)
        return rows[0] if rows else None

    def _of_address(
        self, address: str, limit: int, wanted: _Wanted, nameless: bool = False
    ) -> list[dict[str, Any]]:
        address = address_of(address) or address
        only = "AND mac = ''" if nameless else ""
        backwards = f"SELECT * FROM requests WHERE peer = ? {only} ORDER BY id DESC LIMIT ?"  # noqa: S608
        rows = self._each(backwards, address, LOOKED_AT)
        return list(islice((row for row in rows if wanted(row)), limit))[::-1]

    def _attributed(self, address: str, mac: str, limit: int, wanted: _Wanted) -> list[dict[str, Any]]:
        """The rows of an address that are this phone's, newest first."""
        found: list[dict[str, Any]] = []
        next_mac, next_time = "", 0.0  # the identified row that follows in time
        twins_until = 0.0  # rows before this moment are near two different phones
        backwards = "SELECT * FROM requests WHERE peer = ? ORDER BY id DESC LIMIT ?"
        for row in self._each(backwards, address, LOOKED_AT):
            if row["mac"]:
                if next_mac and next_mac != row["mac"] and next_time - row["last"] < LATE_SECONDS:
                    twins_until = row["time"] - LATE_SECONDS
                    found = [one for one in found if one["mac"] or one["time"] > next_time + LATE_SECONDS]
                next_mac, next_time = row["mac"], row["time"]
                if row["mac"] == mac and wanted(row):
                    found.append(row)
            elif (
                next_mac == mac
                and wanted(row)
                and next_time - row["last"] <= LATE_SECONDS
                and not (twins_until and row["time"] > twins_until)
            ):
                found.append(row)
            if len(found) >= limit:
                break
        return found

    def _ask(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        with self._lock:
            try:
                return [dict(row) for row in self._connected().execute(statement, values)]
            except sqlite3.Error as fault:
                self._let_go()
                if _is_absent(fault):
                    return []
                raise

    def _each(self, statement: str, *values: Any) -> Iterable[dict[str, Any]]:
        """Rows in portions, so that a long time line is not held as a whole."""
        with self._lock:
            try:
                cursor = self._connected().execute(statement, values)
            except sqlite3.Error as fault:
                self._let_go()
                if _is_absent(fault):
                    return
                raise
        while rows := cursor.fetchmany(200):
            for row in rows:
                yield dict(row)

    def _connected(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = schema.connect(self.path)
        return self._database

    def _let_go(self) -> None:
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
            self._database = None


def _wanted(before: int, chosen: _Wanted | None) -> _Wanted:
    """Whether a row of a time line is to be told."""
    return lambda row: (not before or row["id"] < before) and (chosen is None or chosen(row))


def _is_absent(fault: sqlite3.Error) -> bool:
    """No file, or one that its writer has not filled yet."""
    code = getattr(fault, "sqlite_errorcode", 0) & 0xFF
    return code == sqlite3.SQLITE_CANTOPEN or "no such table" in str(fault)


def _beginning(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped + "%"
