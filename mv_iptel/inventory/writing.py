"""The inventory's one writing connection: a transaction begins by itself and is ended by who flushes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from mv_iptel.inventory import schema


class Writing:
    """An open database. Methods raise `sqlite3.Error`; the inventory knows what to do then."""

    def __init__(self, path: str):
        self.connection = schema.prepare(path)

    @property
    def in_transaction(self) -> bool:
        return self.connection.in_transaction

    def run(self, statement: str, *values: Any) -> sqlite3.Cursor:
        """One statement; for one that writes, `begin` comes first."""
        return self.connection.execute(statement, values)

    def many(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """The same statement for each of `rows`."""
        self.begin()
        self.connection.executemany(statement, rows)

    def begin(self) -> None:
        """Have a transaction that may write."""
        if not self.connection.in_transaction:
            self.connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self.connection.execute("COMMIT")

    def close(self) -> None:
        """Close it; what was not committed is rolled back."""
        self.connection.close()


def bounded(text: str, limit: int) -> str:
    """What the database takes: with an end, and without the halves of characters that UTF-8 cannot carry."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text
