"""An inventory with phones in it, as the server would have written it."""

from __future__ import annotations

from mv_iptel.inventory import schema
from mv_iptel.inventory.reader import Reader


class Inventory:
    """`phone(...)` and `refusal(...)` add rows; `reader` reads them."""

    def __init__(self, folder):
        path = str(folder / "inventory.db")
        self.database = schema.prepare(path)
        self.reader = Reader(path)
        self._phones = self._requests = 0

    def phone(self, address, last, files=(), known_since=0.0, model="9640"):
        """`files`: (name, when it got it last, what was sent)."""
        self._phones += 1
        number, mac = self._phones, f"00040d{self._phones:06x}"
        self._add(
            "phones", id=number, key=mac, mac=mac, ext="", model=model, version="", address=address,
            first_seen=known_since, last_seen=last, requests=1, refused=0, failed=0, bytes=0,
        )  # fmt: skip
        for name, when, *file in files:
            self._add(
                "files", phone=number, name=name, file=file[0] if file else f"/data/{name}", proto="http",
                bytes=1, last_seen=when, count=1,
            )  # fmt: skip

    def request(
        self, when, outcome="refused", reason="not-listed", peer="192.0.2.1", count=1, file="", name="x"
    ):
        self._requests += 1
        nothing = dict.fromkeys(("bytes", "seconds", "resends", "blksize", "window", "line"), 0)
        empty = dict.fromkeys(
            ("mac", "ext", "model", "version", "detail", "source", "identified", "agent"), ""
        )
        self._add(
            "requests", id=self._requests, time=when, last=when, count=count, proto="http",
            listener="http:81", peer=peer, name=name, file=file, outcome=outcome, reason=reason,
            **nothing, **empty,
        )  # fmt: skip
        return self._requests

    def _add(self, table, **row):
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        self.database.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))

    def close(self):
        self.reader.close()
        self.database.close()
