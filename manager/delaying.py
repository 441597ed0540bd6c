"""Failed sign-ins make the next try wait, longer each time; for the name and for the address."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from manager.problems import Problem
from manager.store import Store

FIRST, LONGEST = 1.0, 900.0  # seconds; twice as long after each failure
FORGOTTEN = 86400.0  # seconds after the last failure
FAMILIAR = 30 * 86400.0  # for so long an address is a user's own after he has signed in from it
MOST = 10_000  # rows that are kept: somebody with many addresses fills no disk
AT_ONCE = 2  # passwords that are looked at
WAITING, OF_ONE = 32, 4  # tries that may wait for that: of all, and of one address


class Delays:
    """Those of one manager; they survive its restart.

    A name waits wherever its failures came from, so that many addresses together try no faster than one.
    But at an address from which the user himself has signed in lately only that address's own failures
    count: nobody locks him out from elsewhere.
    """

    def __init__(self, store: Store, now: Callable[[], float] = time.time):
        self._store, self._now = store, now
        self._busy: set[str] = set()  # keys of the tries that are looked at
        self._running = 0
        self._waiting: dict[asyncio.Future[None], str] = {}  # tries that wait, and their address

    def wait(self, name: str, peer: str) -> float:
        """Seconds until the next try is looked at; 0: now."""
        now = self._now()
        keys = [_address(peer)]
        known = self._row(_both(name, peer))
        if known is None or now - known[1] > FAMILIAR:
            keys.append(_name(name))
        return max((self._left(key, now) for key in keys), default=0.0)

    def failed(self, name: str, peer: str) -> None:
        """This try was wrong."""
        now = self._now()
        with self._store.together():
            for key in (_address(peer), _name(name)):
                row = self._row(key)
                count = row[0] + 1 if row is not None and 0 <= now - row[1] <= FORGOTTEN else 1
                self._store.change("INSERT OR REPLACE INTO failures VALUES (?, ?, ?)", key, count, now)
            self._prune(now)

    def right(self, name: str, peer: str) -> None:
        """He is in: his name's failures are forgotten, and this address is his.

        The address's own failures stay when it failed with other names too, or whoever has one account
        could clear his counter between two guesses at another's.
        """
        now = self._now()
        mine, there = self._row(_name(name)), self._row(_address(peer))
        with self._store.together():
            if there is not None and (mine[0] if mine is not None else 0) >= there[0]:
                self._store.change("DELETE FROM failures WHERE who = ?", _address(peer))
            self._store.change("DELETE FROM failures WHERE who = ?", _name(name))
            self._store.change("INSERT OR REPLACE INTO failures VALUES (?, 0, ?)", _both(name, peer), now)

    @asynccontextmanager
    async def turn(self, name: str, peer: str) -> AsyncIterator[None]:
        """While a password is looked at: never two of one name or one address, and few in all.

        So tries that come together cannot all pass before the first of them has failed, and computing
        hashes never takes the whole machine. Raises Problem when too many wait.
        """
        place = _address(peer)
        keys = {_name(name), place}
        if len(self._waiting) >= WAITING or list(self._waiting.values()).count(place) >= OF_ONE:
            raise Problem("slow-down", "others are signing in; try again in some seconds")
        while self._running >= AT_ONCE or keys & self._busy:
            woken = asyncio.get_running_loop().create_future()
            self._waiting[woken] = place
            try:
                await woken
            finally:
                del self._waiting[woken]
        self._running += 1
        self._busy |= keys
        try:
            yield
        finally:
            self._running -= 1
            self._busy -= keys
            for woken in self._waiting:
                if not woken.done():
                    woken.set_result(None)

    def _left(self, key: str, now: float) -> float:
        row = self._row(key)
        if row is None:
            return 0.0
        count, last = row
        if last > now:  # the clock was set back: that must keep nobody out for longer than the delay itself
            self._store.change("UPDATE failures SET last = ? WHERE who = ?", now, key)
            last = now
        return max(0.0, last + delay(count) - now) if now - last <= FORGOTTEN else 0.0

    def _row(self, key: str) -> tuple[int, float] | None:
        rows = self._store.ask("SELECT count, last FROM failures WHERE who = ?", key)
        return (rows[0]["count"], rows[0]["last"]) if rows else None

    def _prune(self, now: float) -> None:
        drop: Iterable[tuple[str, tuple[float | int, ...]]] = (
            ("DELETE FROM failures WHERE last < ? AND count > 0", (now - FORGOTTEN,)),
            ("DELETE FROM failures WHERE last < ?", (now - FAMILIAR,)),
            ("DELETE FROM failures WHERE count > 0 AND who NOT IN "
             "(SELECT who FROM failures WHERE count > 0 ORDER BY last DESC LIMIT ?)", (MOST,)),
        )  # fmt: skip
        if self._store.ask("SELECT count(*) AS n FROM failures")[0]["n"] > MOST:
            for statement, values in drop:
                self._store.change(statement, *values)
        else:
            for statement, values in drop[:2]:
                self._store.change(statement, *values)


def delay(count: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return min(LONGEST, FIRST * 2 ** (min(count, 20) - 1)) if count > 0 else 0.0


def _name(name: str) -> str:
    # People type passwords into the wrong field: what was typed is not kept as it is.
    return "name:" + hashlib.sha256(name.lower().encode("utf-8", "replace")).hexdigest()[:32]


def _address(peer: str) -> str:
    """Of IPv6 the network: whoever has one address there has them all."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return f"peer:{peer[:60]}"
    return f"peer:{ipaddress.ip_network((address, 64), strict=False) if address.version == 6 else address}"


def _both(name: str, peer: str) -> str:
    return f"own:{_name(name)}:{_address(peer)}"
