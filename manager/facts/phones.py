"""The phones as a table: found, filtered, sorted and paged in SQL, each beside what is ordered for it."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from manager.facts.verdicts import STATES, Fact, Judging
from mv_iptel.config import Config
from mv_iptel.inventory import schema

SORTS = {
    "mac": "p.mac",
    "address": "p.address",
    "ext": "length(p.ext), p.ext",
    "model": "p.model",
    "runs": "p.runs",
    "boot": "v.boot",
    "state": "v.state",
    "seen": "p.last_seen",
    "refused": "p.refused",
    "first": "p.first_seen",
}
SEEN = {"15m": 900.0, "1d": 86_400.0, "7d": 604_800.0, "30d": 2_592_000.0}
PAGE = 50
FEW = 1500  # phones that are judged at once, when somebody asks
QUICK = 0.03  # seconds that a page waits for new ones
FRESH = 3.0  # seconds for which their verdicts are good enough; of many phones: twenty times what it takes
MODELS = 60  # offered to choose from

_Ask = Callable[[str, Sequence[Any]], list[dict[str, Any]]]

_log = logging.getLogger("manager.phones")

_VERDICTS = """
CREATE TABLE verdicts (phone INTEGER PRIMARY KEY, state TEXT NOT NULL, text TEXT NOT NULL,
                       ordered TEXT NOT NULL, boot REAL NOT NULL);
CREATE INDEX verdicts_state ON verdicts (state, phone);
CREATE INDEX verdicts_boot ON verdicts (boot, phone);
"""


class Choice(NamedTuple):
    """Which phones are wanted. `seen` is a key of SEEN, or one with a `-` before it: not seen for so long."""

    q: str = ""
    model: str = ""
    version: str = ""
    state: str = ""
    seen: str = ""
    refused: bool = False
    new: str = ""  # a key of SEEN: seen for the first time since
    sort: str = "-seen"
    page: int = 1


class Listed(NamedTuple):
    """One page of the table."""

    rows: list[dict[str, Any]]
    total: int
    page: int
    pages: int


class Table:
    """The inventory's phones with their verdicts. Any thread; it reads the inventory and never writes it."""

    def __init__(self, config: Callable[[], Config], now: Callable[[], float] = time.time):
        self._config, self._now = config, now
        self._lock = threading.RLock()
        self._database: sqlite3.Connection | None = None
        self._file: object = None  # which database is open
        self._judging = threading.Lock()
        self._judged = 0.0  # when
        self._took = 0.0
        self._held: dict[str, tuple[float, Any]] = {}

    @property
    def judged(self) -> float:
        """When the verdicts were found; 0: they are on their way."""
        return self._judged

    def list(self, choice: Choice, most: int = PAGE) -> Listed:
        """The phones that are wanted, one page of them."""
        self.refresh()
        where, values = _where(choice, self._now())
        by_verdict = bool(choice.state) or SORTS[choice.sort.removeprefix("-")].startswith("v.")
        # Who has no verdict yet is left out where verdicts decide; until there are any, nobody is.
        join = f"{'' if self._judged else 'LEFT'} JOIN verdicts v ON v.phone = p.id" if by_verdict else ""
        order, source = _order(choice.sort), f"FROM inv.phones p {join} WHERE {where}"
        ids, total, page = self._ids(source, values, order, choice, most)
        # First which ones, then the rows: to sort whole rows takes ten times as long.
        rows = self._ask(
            "SELECT p.*, coalesce(v.state, '') AS state, coalesce(v.text, '') AS verdict, "  # noqa: S608
            "coalesce(v.ordered, '') AS ordered, coalesce(v.boot, 0) AS boot "
            "FROM inv.phones p LEFT JOIN verdicts v ON v.phone = p.id "
            f"WHERE p.id IN ({', '.join(map(str, ids))}) ORDER BY {order}",
            [],
        )
        pages = max(1, -(-total // most))
        return Listed(rows, total, page, pages)

    def _ids(
        self, source: str, values: Sequence[Any], order: str, choice: Choice, most: int
    ) -> tuple[Sequence[int], int, int]:
        """One page's phones, how many there are in all, and which page it is."""
        wanted = f"SELECT p.id, {{}} AS many {source} ORDER BY {order} LIMIT ? OFFSET ?"
        if choice.q and choice.page == 1:  # to look for a text takes longest: each phone is looked at once
            found = self._ask(wanted.format("count(*) OVER ()"), [*values, most, 0])
            return [row["id"] for row in found], found[0]["many"] if found else 0, 1
        counted = self._ask(f"SELECT count(*) AS many {source}", values)
        total = counted[0]["many"] if counted else 0
        page = min(max(1, choice.page), max(1, -(-total // most)))
        found = self._ask(wanted.format("0"), [*values, most, (page - 1) * most])
        return [row["id"] for row in found], total, page

    def states(self) -> dict[str, int]:
        """How many phones are in each state."""
        rows = self._ask("SELECT state, count(*) AS many FROM verdicts GROUP BY state", [])
        return {**dict.fromkeys(STATES, 0), **{row["state"]: row["many"] for row in rows}}

    def models(self) -> list[tuple[str, int]]:
        """The models that there are, and how many of each; the most first."""

        def find() -> list[tuple[str, int]]:
            rows = self._ask(
                "SELECT model, count(*) AS many FROM inv.phones WHERE model != '' GROUP BY model "
                "ORDER BY many DESC, model LIMIT ?",
                [MODELS],
            )
            return [(row["model"], row["many"]) for row in rows]

        return self._once("models", find)

    def verdict(self, phone: Mapping[str, Any]) -> dict[str, Any]:
        """What is to be said of one phone, by what is known now."""
        facts = _facts(self._ask, phone["id"])
        judging = Judging(self._config())
        (one,) = judging.all([phone], facts, lambda names: _got(self._ask, names, phone["id"]), self._now())
        place = f"{one.order.file}:{one.order.line}" if one.order.file else ""
        return {
            "state": one.verdict.state,
            "text": one.verdict.text,
            "ordered": one.order.software,
            "ordered_by": place,
            "boot": one.boot,
            "release": one.release,
        }

    def refresh(self) -> None:
        """See to it that the verdicts are not too old: of few phones at once, of many on a thread."""
        if not self._open():
            return
        age = self._now() - self._judged
        if 0 <= age < max(FRESH, 20 * self._took):
            return
        rows = self._once("phones", lambda: self._ask("SELECT count(*) AS many FROM inv.phones", []))
        if self._took < QUICK and rows[0]["many"] <= FEW:
            self.judge()
        elif not self._judging.locked():
            threading.Thread(target=self.judge, name="verdicts", daemon=True).start()

    def judge(self) -> None:
        """Judge every phone; one thread does it, others find what was found before."""
        if not self._judging.acquire(blocking=False):
            return
        try:
            began = time.monotonic()
            # By a connection of its own: pages do not wait for what looks at every phone.
            database = schema.connect(os.fspath(self._config().settings.database))
            try:

                def ask(statement: str, values: Sequence[Any]) -> list[dict[str, Any]]:
                    return [dict(row) for row in database.execute(statement.replace("inv.", ""), values)]

                rows = ask("SELECT id, key, mac, model, runs, runs_source, runs_seen FROM inv.phones", ())
                judging = Judging(self._config())
                judged = judging.all(rows, _facts(ask), lambda names: _got(ask, names), self._now())
                found = [
                    (one.id, one.verdict.state, one.verdict.text, one.order.software, one.boot)
                    for one in judged
                ]
            finally:
                database.close()
            self._write(found)
            self._took = time.monotonic() - began
            self._judged = self._now()
        except (OSError, sqlite3.Error) as fault:
            _log.warning("the phones could not be held against the scripts: %s", fault)
        finally:
            self._judging.release()

    def close(self) -> None:
        with self._judging, self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def _once(self, what: str, find: Callable[[], Any]) -> Any:
        """What is counted over all phones is counted every few seconds only."""
        held = self._held.get(what)
        now = time.monotonic()
        if held is None or now - held[0] > FRESH or not held[1]:
            held = self._held[what] = now, find()
        return held[1]

    def _write(self, rows: list[tuple[Any, ...]]) -> None:
        with self._lock:
            if not self._open():
                return
            assert self._database is not None
            # The inventory is read only for us; the verdicts beside it lie in memory.
            self._database.execute("PRAGMA query_only = OFF")
            try:
                self._database.execute("BEGIN")
                self._database.execute("DELETE FROM main.verdicts")
                self._database.executemany("INSERT INTO main.verdicts VALUES (?, ?, ?, ?, ?)", rows)
                self._database.execute("COMMIT")
            finally:
                self._database.execute("PRAGMA query_only = ON")

    def _ask(self, statement: str, values: Sequence[Any]) -> list[dict[str, Any]]:
        with self._lock:
            if not self._open():
                return []
            assert self._database is not None
            try:
                return [dict(row) for row in self._database.execute(statement, values)]
            except sqlite3.Error as fault:
                self._database.close()
                self._database = None
                if "no such table" in str(fault):  # its writer has not filled it yet
                    return []
                raise

    def _open(self) -> bool:
        """The inventory of this moment beside the verdicts; False: there is none yet."""
        path = os.fspath(self._config().settings.database)
        try:
            there = os.stat(path)
        except OSError:
            return False
        file = path, there.st_dev, there.st_ino
        with self._lock:
            if self._database is not None and file == self._file:
                return True
            if self._database is not None:
                self._database.close()
            database = sqlite3.connect(
                "file::memory:", uri=True, isolation_level=None, check_same_thread=False, timeout=1.0
            )
            database.row_factory = sqlite3.Row
            database.executescript(_VERDICTS)
            database.execute("ATTACH ? AS inv", (f"file:{schema.quoted(path)}?mode=rw",))
            database.execute("PRAGMA query_only = ON")
            self._database, self._file, self._judged = database, file, 0.0
            self._held.clear()
            has = database.execute("SELECT count(*) FROM inv.sqlite_master WHERE name = 'phones'").fetchone()[
                0
            ]
            if not has:
                database.close()
                self._database = None
            return bool(has)


def _facts(ask: _Ask, phone: int | None = None) -> dict[int, Fact]:
    """What tells of every phone, or of one, which script it read and in which group it is."""
    only = "" if phone is None else "AND phone = ?"
    values = [] if phone is None else [phone]
    facts: dict[int, Fact] = {}
    scripts = "SELECT phone, name, last_seen FROM inv.files WHERE name LIKE '%upgrade.___'"
    for row in ask(f"{scripts} {only} ORDER BY last_seen", values):
        facts[row["phone"]] = Fact(row["name"], row["last_seen"])
    groups = "SELECT phone, value FROM inv.said WHERE field = 'group'"
    for row in ask(f"{groups} {only} ORDER BY last_seen", values):
        facts[row["phone"]] = facts.get(row["phone"], Fact())._replace(group=row["value"])
    return facts


def _got(ask: _Ask, names: set[str], phone: int | None = None) -> dict[int, dict[str, float]]:
    """When phones got which of these files, whatever folder stood before the name."""
    wanted = sorted(names)[:500]
    only = "" if phone is None else "phone = ? AND"
    rows = ask(
        f"SELECT phone, name, last_seen FROM inv.files WHERE {only} "  # noqa: S608 - only marks
        f"(lower(name) IN ({', '.join('?' * len(wanted))}) OR instr(name, '/'))",
        [*([] if phone is None else [phone]), *wanted],
    )
    found: dict[int, dict[str, float]] = {}
    for row in rows:
        name = row["name"].rpartition("/")[2].casefold()
        if name in names:
            each = found.setdefault(row["phone"], {})
            each[name] = max(each.get(name, 0.0), row["last_seen"])
    return found


def _where(choice: Choice, now: float) -> tuple[str, list[Any]]:
    """The condition and its values."""
    where, values = ["1"], []
    if q := choice.q.strip()[:100]:
        digits = re.sub(r"[-:. _]", "", q.lower())
        some = [
            "p.ext LIKE ? ESCAPE '\\'",
            "p.address LIKE ? ESCAPE '\\'",
            "p.model LIKE ? ESCAPE '\\'",
            "p.runs LIKE ? ESCAPE '\\'",
        ]
        plain = _escaped(q)
        values += [plain + "%", plain + "%", "%" + plain + "%", "%" + plain + "%"]
        if re.fullmatch(r"[0-9a-f]{2,12}", digits):
            some.append("p.mac LIKE ?")
            values.append(f"%{digits}%")
        where.append(f"({' OR '.join(some)})")
    if choice.model:
        where.append("p.model = ?")
        values.append(choice.model)
    if choice.version:
        where.append("(p.runs LIKE ? ESCAPE '\\' OR p.version LIKE ? ESCAPE '\\')")
        values += [_escaped(choice.version) + "%"] * 2
    if choice.state:
        where.append("v.state = ?")
        values.append(choice.state)
    if choice.seen.startswith("-"):
        where.append("p.last_seen < ?")
        values.append(now - SEEN[choice.seen[1:]])
    elif choice.seen:
        where.append("p.last_seen >= ?")
        values.append(now - SEEN[choice.seen])
    if choice.new:
        where.append("p.first_seen >= ?")
        values.append(now - SEEN[choice.new])
    if choice.refused:
        where.append("p.refused > 0")
    return " AND ".join(where), values


def _order(sort: str) -> str:
    """ORDER BY; what is empty comes last. The words are ours, never the asker's."""
    columns = SORTS[sort.removeprefix("-")].split(", ")
    down = " DESC" if sort.startswith("-") else ""
    if columns[0].startswith("v."):
        return f"{columns[0]}{down}, v.phone{down}"  # as an index has it
    first = f"{columns[-1]} = ''," if columns[-1] in ("p.mac", "p.ext", "p.model", "p.runs") else ""
    return f"{first} {', '.join(column + down for column in columns)}, p.id"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
