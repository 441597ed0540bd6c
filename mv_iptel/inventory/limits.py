"""Keeps the inventory within its limits, some rows at a time, so that nothing waits long for it."""

from __future__ import annotations

import sqlite3

KEEP_DAYS = 90
KEEP_ROWS = 1_000_000
KEEP_REFUSALS = 100_000
KEEP_PHONES = 100_000
KEEP_NOTICES = 10_000
STEP_ROWS = 6000  # deleted at a time

DETAILS = ("said", "addresses", "files", "versions")  # tables whose rows belong to a phone


class Limits:
    """Counts rows, so that no pass has to, and deletes the oldest when there are too many.

    Works inside the writer's transaction.
    """

    def __init__(self, database: sqlite3.Connection):
        count = "SELECT count(*) FROM requests"
        self.rows = database.execute(count).fetchone()[0]
        self.refused = database.execute(f"{count} WHERE outcome = 'refused'").fetchone()[0]

    def added(self, rows: int, refused: int) -> None:
        self.rows += rows
        self.refused += refused

    def exceeded(self) -> bool:
        """Whether `keep` has something to do because of numbers."""
        return self.refused > KEEP_REFUSALS or self.rows > KEEP_ROWS

    def keep(self, database: sqlite3.Connection) -> None:
        """Delete the oldest refusals and rows that are too many."""
        many = min(self.refused - KEEP_REFUSALS, STEP_ROWS)
        if many > 0:
            gone = database.execute(
                "DELETE FROM requests WHERE id IN "
                "(SELECT id FROM requests WHERE outcome = 'refused' ORDER BY id LIMIT ?)", (many,)
            ).rowcount  # fmt: skip
            self.rows -= gone
            self.refused -= gone
            oldest = database.execute("SELECT min(id) FROM requests WHERE outcome = 'refused'").fetchone()[0]
            database.execute("DELETE FROM numbers WHERE first < ?", (oldest or 0,))
        many = min(self.rows - KEEP_ROWS, STEP_ROWS)
        if many > 0:
            self._oldest(database, many)

    def age(self, database: sqlite3.Connection, now: float) -> None:
        """Delete what is too old: rows, notices; and phones beyond their number, longest unseen first."""
        limit = now - KEEP_DAYS * 86400
        old = database.execute(
            "SELECT count(*) FROM (SELECT last FROM requests ORDER BY id LIMIT ?) WHERE last < ?",
            (STEP_ROWS, limit),
        ).fetchone()[0]
        if old:
            self._oldest(database, old)
        database.execute(
            "DELETE FROM notices WHERE id <= (SELECT max(id) FROM notices) - ? OR time < ?",
            (KEEP_NOTICES, limit),
        )

    def phones(self, database: sqlite3.Connection) -> set[int]:
        """Forget the phones that are too many; their ids. Those that never got a file go first."""
        many = database.execute("SELECT count(*) FROM phones").fetchone()[0] - KEEP_PHONES
        if many <= 0:
            return set()
        rows = database.execute(
            "SELECT id FROM phones ORDER BY requests > refused, last_seen LIMIT ?", (min(many, STEP_ROWS),)
        )
        gone = {row[0] for row in rows}
        for phone in gone:
            forget(database, phone)
        return gone

    def _oldest(self, database: sqlite3.Connection, many: int) -> None:
        refused = database.execute(
            "SELECT count(*) FROM (SELECT outcome FROM requests ORDER BY id LIMIT ?) "
            "WHERE outcome = 'refused'",
            (many,),
        ).fetchone()[0]
        gone = database.execute(
            "DELETE FROM requests WHERE id IN (SELECT id FROM requests ORDER BY id LIMIT ?)", (many,)
        ).rowcount
        self.rows -= gone
        self.refused -= refused


def forget(database: sqlite3.Connection, phone: int) -> None:
    """Delete a phone and what is kept of it alone; the time line of its addresses stays."""
    for table in DETAILS:
        database.execute(f"DELETE FROM {table} WHERE phone = ?", (phone,))  # noqa: S608 - our own names
    database.execute("DELETE FROM phones WHERE id = ?", (phone,))


def move(database: sqlite3.Connection, phone: int, to: int) -> None:
    """Give what is kept of one phone to another, and delete the first."""
    row = database.execute("SELECT * FROM phones WHERE id = ?", (phone,)).fetchone()
    database.execute(
        "UPDATE phones SET first_seen = min(first_seen, ?), requests = requests + ?, refused = refused + ?, "
        "failed = failed + ?, bytes = bytes + ? WHERE id = ?",
        (row["first_seen"], row["requests"], row["refused"], row["failed"], row["bytes"], to),
    )
    database.execute(
        "UPDATE phones SET runs = ?, runs_source = ?, runs_seen = ? WHERE id = ? AND runs_seen < ?",
        (row["runs"], row["runs_source"], row["runs_seen"], to, row["runs_seen"]),
    )
    for table in DETAILS:
        database.execute(f"UPDATE OR IGNORE {table} SET phone = ? WHERE phone = ?", (to, phone))  # noqa: S608
    forget(database, phone)
