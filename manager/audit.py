"""The audit trail: who changed what, when, what it was before and after."""

from __future__ import annotations

import difflib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, NamedTuple

from manager.store import Store

MOST = 20_000  # characters of a before or an after
DAYS, ROWS = 400, 100_000  # so long, and so many, it is kept
TRIES = 10_000  # rows of failed sign-ins: whoever guesses passwords pushes nobody's changes out
FAILED = "sign-in failed"
EVERY = 200  # rows after which it is looked whether any are too old
PATIENCE = 3.0  # seconds for a search
LINES = 2000  # of a before or an after that are compared

_log = logging.getLogger("manager.changes")


class Filter(NamedTuple):
    """Which rows; empty: all."""

    who: str = ""
    action: str = ""
    text: str = ""  # in any of its texts


class Audit:
    """Only ever added to; what is older than DAYS goes."""

    def __init__(self, store: Store, now: Callable[[], float] = time.time):
        self._store, self._now = store, now
        self._added = 0

    def add(self, who: str, peer: str, action: str, what: str, before: str = "", after: str = "") -> None:
        """One change. No password, no community and no key belongs in here."""
        texts = (
            _clean(one) for one in (who[:100], peer[:100], action, what[:1000], before[:MOST], after[:MOST])
        )
        self._store.change(
            "INSERT INTO audit (time, who, peer, action, what, before, after) VALUES (?, ?, ?, ?, ?, ?, ?)",
            self._now(), *texts,
        )  # fmt: skip
        _log.info("%s at %s: %s %s", who, peer or "-", action, what)
        if self._added % EVERY == 0:  # also at the first one: a manager that is restarted often prunes, too
            self.prune()
        self._added += 1

    def prune(self) -> None:
        """Let go what is too old or too much."""
        with self._store.together():
            self._store.change("DELETE FROM audit WHERE time < ?", self._now() - DAYS * 86400.0)
            self._store.change("DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - ?", ROWS)
            self._store.change(
                "DELETE FROM audit WHERE action = ? AND id NOT IN "
                "(SELECT id FROM audit WHERE action = ? ORDER BY id DESC LIMIT ?)",
                FAILED, FAILED, TRIES,
            )  # fmt: skip

    def last(self, limit: int = 50) -> list[dict[str, Any]]:
        """The newest first."""
        return self.find(Filter(), limit)

    # Searching has its own connection: while it takes its time, nobody's sign-in waits for it.

    def find(self, told: Filter, limit: int = 50, offset: int = 0, before: int = 0) -> list[dict[str, Any]]:
        """The newest first; `before`: only those older than this number. Raises TimeoutError."""
        where, values = _where(told, before)
        statement = f"SELECT * FROM audit{where} ORDER BY id DESC LIMIT ? OFFSET ?"  # noqa: S608
        return self._ask(statement, *values, limit, offset)

    def count(self, told: Filter) -> int:
        """How many there are. Raises TimeoutError."""
        where, values = _where(told, 0)
        return self._ask(f"SELECT count(*) AS n FROM audit{where}", *values)[0]["n"]  # noqa: S608

    def get(self, number: int) -> dict[str, Any] | None:
        rows = self._ask("SELECT * FROM audit WHERE id = ?", number)
        return rows[0] if rows else None

    def choices(self) -> tuple[list[str], list[str]]:
        """All names and all actions there are."""
        # From one to the next in the index: DISTINCT would read all of it.
        names, actions = (
            f"WITH RECURSIVE found(one) AS (SELECT min({field}) FROM audit UNION ALL "  # noqa: S608
            f"SELECT (SELECT min({field}) FROM audit WHERE {field} > one) FROM found WHERE one IS NOT NULL "
            "LIMIT 500) SELECT one FROM found WHERE one IS NOT NULL"
            for field in ("who", "action")
        )
        return [row["one"] for row in self._ask(names)], [row["one"] for row in self._ask(actions)]

    def pieces(self, told: Filter, size: int = 500) -> Iterator[list[dict[str, Any]]]:
        """All of them, the newest first, some at a time. Raises TimeoutError."""
        before = 0
        while rows := self.find(told, size, before=before):
            yield rows
            before = rows[-1]["id"]

    def _ask(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        address = f"{self._store.path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=PATIENCE)) as database:
            database.row_factory = sqlite3.Row
            end = time.monotonic() + PATIENCE
            database.set_progress_handler(lambda: time.monotonic() > end, 20_000)
            try:
                return [dict(row) for row in database.execute(statement, values)]
            except sqlite3.OperationalError as error:
                if "interrupt" in str(error):
                    raise TimeoutError(f"no answer within {PATIENCE:g} s") from None
                raise


def difference(before: str, after: str, most: int = 400) -> list[tuple[str, str]]:
    """Lines with their marks in front: `+`, `-`, blank, or `…` where some are left out; `most` in all.

    An after that is a unified diff already (of a file) is shown as it is.
    """
    if not before and _is_diff(after):
        rows = [(line[:1] if line[:1] in "+-" else " ", line) for line in after.splitlines()]
        rows = [(" " if line.startswith(("+++", "---")) else mark, line) for mark, line in rows]
    else:
        old, new = before.splitlines()[:LINES], after.splitlines()[:LINES]
        rows = list(_compared(old, new))
    return rows if len(rows) <= most else [*rows[:most], ("…", f"… {len(rows) - most} more lines")]


def _compared(old: list[str], new: list[str]) -> Iterator[tuple[str, str]]:
    first = True
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=True)
    for group in matcher.get_grouped_opcodes(3):
        if not first:
            yield "…", "…"
        first = False
        for kind, begin, end, low, high in group:
            if kind == "equal":
                yield from ((" ", f"  {line}") for line in old[begin:end])
                continue
            yield from (("-", f"- {line}") for line in old[begin:end])
            yield from (("+", f"+ {line}") for line in new[low:high])
    if first and new:  # nothing differs
        yield from ((" ", f"  {line}") for line in new)


def _is_diff(text: str) -> bool:
    return text.startswith(("--- ", "@@ ")) or "\n@@ " in text[:2000]


def _where(told: Filter, before: int) -> tuple[str, list[Any]]:
    parts, values = [], []
    if told.who:
        parts.append("who = ?")
        values.append(told.who)
    if told.action:
        parts.append("action = ?")
        values.append(told.action)
    if told.text:
        sign = "%" + told.text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        fields = ("what", "who", "peer", "before", "after")
        parts.append("(" + " OR ".join(f"{field} LIKE ? ESCAPE '\\'" for field in fields) + ")")
        values += [sign] * len(fields)
    if before:
        parts.append("id < ?")
        values.append(before)
    return (" WHERE " + " AND ".join(parts) if parts else ""), values


def _clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()  # a file's name may be no UTF-8
