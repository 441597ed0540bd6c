"""What the centre wants of its branches: back up, restore, look for firmware; kept until it is reported.

`var/central/orders.json` is written by commands and by the server, under `var/lock`.
"""

from __future__ import annotations

import errno
import json
import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from mv_iptel.central.authority import folder
from mv_iptel.files import states
from mv_iptel.home import Home
from mv_iptel.journal import plain
from mv_iptel.userdata.disk import locked, write_record

BACKUP, RESTORE, UPDATE = "backup", "restore", "update"
DAYS = 7.0  # then nobody waits any more
ENDED = 500  # orders that are kept to be looked at
MOST = 1000  # orders that wait at one branch
TEXT = 500  # characters of a report that are kept


@dataclass(frozen=True)
class Order:
    """One order. `ended` is 0 while it waits; then `ok` and `text` say what became of it."""

    id: str
    branch: str
    kind: str
    made: float
    names: tuple[str, ...] = ()  # of a backup; none: everything
    name: str = ""  # of a restore,
    version: str = ""  # which content of it,
    sha256: str = ""  # and what that must be
    ended: float = 0.0
    ok: bool = False
    text: str = ""

    def told(self) -> dict[str, Any]:
        """As the branch reads it."""
        more: dict[str, Any] = {}
        if self.kind == BACKUP:
            more = {"names": list(self.names)}
        elif self.kind == RESTORE:
            more = {"name": self.name, "version": self.version, "sha256": self.sha256}
        return {"id": self.id, "kind": self.kind, **more, "made": self.made}

    @property
    def words(self) -> str:
        """What it is about, in a few words."""
        if self.kind == RESTORE:
            return f"restore {self.name} as {self.sha256[:8]}"
        if self.kind == BACKUP:
            return f"back up {', '.join(self.names) or 'everything'}"
        return "look for firmware"


class Orders:
    """The orders of one home, the oldest first. Any thread, any process. Changes raise OSError."""

    def __init__(self, home: Home, now: Callable[[], float] = time.time):
        self._home, self._now = home, now
        self.path = folder(home) / "orders.json"
        self._state: object = None
        self._orders: tuple[Order, ...] = ()

    def all(self) -> tuple[Order, ...]:
        """Those that wait, and the last that have ended."""
        self._look()
        now = self._now()
        late = f"nobody reported it within {DAYS:g} days"
        return tuple(
            replace(one, ended=one.made + DAYS * 86400, text=late) if _late(one, now) else one
            for one in self._orders
        )

    def get(self, ident: str) -> Order | None:
        return next((one for one in self.all() if one.id == ident), None)

    def waiting(self, branch: str = "") -> list[Order]:
        """Those of a branch, or of all, that were not reported yet."""
        self._look()
        now = self._now()
        return [
            one for one in self._orders
            if not one.ended and not _late(one, now) and branch in ("", one.branch)
        ]  # fmt: skip

    def add(self, branch: str, kind: str, **more: Any) -> Order:
        """A new order; one that waits already and wants the same is given back. ValueError: too many wait."""
        made = Order(secrets.token_hex(8), branch, kind, round(self._now(), 3), **more)
        with locked(self._home.lock):
            self._look(strict=True)
            waiting = self.waiting(branch)
            for one in waiting:
                if replace(one, id=made.id, made=made.made) == made:
                    return one
            if len(waiting) >= MOST:
                raise ValueError(f"{MOST} orders wait at {branch} already; is it there? See central status")
            self._write((*self._orders, made))
        return made

    def report(self, branch: str, ident: str, ok: bool, text: str) -> Order | None:
        """What became of an order of this branch. None: it has none of that id, or told it before."""
        with locked(self._home.lock):
            self._look(strict=True)
            found = next((one for one in self._orders if (one.id, one.branch) == (ident, branch)), None)
            if found is None or found.ended:
                return None
            done = replace(found, ended=self._now(), ok=ok, text=plain(text, TEXT))
            self._write(done if one is found else one for one in self._orders)
        return done

    def _look(self, strict: bool = False) -> None:
        state = states([self.path])
        if state == self._state and not strict:
            return
        try:
            self._orders = _read(self.path.read_bytes()) if state != [()] else ()
        except ValueError:
            if strict:
                text = "is damaged; move it away, its orders can be given again"
                raise OSError(errno.EINVAL, text, str(self.path)) from None
        self._state = state

    def _write(self, orders: Iterable[Order]) -> None:
        now = self._now()
        orders = list(orders)
        over = [one for one in orders if one.ended or _late(one, now)][:-ENDED]
        gone = {one.id for one in over}
        rows = [asdict(one) for one in orders if one.id not in gone]
        write_record(self.path, json.dumps({"schema": 1, "orders": rows}, indent=1).encode() + b"\n")
        self._state = None


def _late(order: Order, now: float) -> bool:
    return not order.ended and now >= order.made + DAYS * 86400


def _read(data: bytes) -> tuple[Order, ...]:
    """ValueError: the file is damaged. An entry that is, is left out."""
    told = json.loads(data)
    rows = told.get("orders") if isinstance(told, dict) else None
    found = []
    for row in rows if isinstance(rows, list) else []:
        with suppress(TypeError, KeyError):
            one = Order(**{**row, "names": tuple(row["names"])})
            texts = (one.id, one.branch, one.kind, one.name, one.version, one.sha256, one.text, *one.names)
            if all(isinstance(text, str) for text in texts) and isinstance(one.made, int | float):
                found.append(one)
    return tuple(found)
