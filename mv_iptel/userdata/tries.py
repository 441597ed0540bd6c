"""Wrong passwords of clients that store and fetch user data: counted, so that nobody tries them all."""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable

EACH = 10  # wrong passwords of one address for one file,
ALL = 50  # and for all files together,
WITHIN = 600.0  # in so many seconds; a phone that remembers a wrong one tries it a few times a day
KNOWN = 16384  # pairs of address and file, and as many addresses, that are remembered


class Tries:
    """Failures that are not older than ten minutes. `clock` gives seconds. For any thread.

    With IPv6 a host may take any address of its network: what it tries on one file is counted for them all.
    The sum is not, or the phones of a network would answer for one of them.
    """

    def __init__(self, clock: Callable[[], float]):
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[Hashable, deque[float]] = OrderedDict()  # the latest at the end
        self._sums: OrderedDict[Hashable, deque[float]] = OrderedDict()
        self._told: OrderedDict[str, float] = OrderedDict()

    def wait(self, address: str, file: str) -> float:
        """Seconds until a password of this address for this file may be looked at; 0: now."""
        now = self._clock()
        with self._lock:
            return max(
                _left(self._failures.get((_host(address), file)), EACH, now),
                _left(self._sums.get(address), ALL, now),
            )

    def failed(self, address: str, file: str) -> None:
        """It was wrong."""
        now = self._clock()
        with self._lock:
            _add(self._failures, (_host(address), file), EACH, now)
            _add(self._sums, address, ALL, now)

    def right(self, address: str, file: str) -> None:
        """It was the right one: what was wrong before for this file were slips."""
        with self._lock:
            self._failures.pop((_host(address), file), None)

    def tell(self, address: str) -> bool:
        """Whether that this address is refused is news: once in ten minutes."""
        now = self._clock()
        with self._lock:
            if now - self._told.get(address, float("-inf")) < WITHIN:
                return False
            self._told.pop(address, None)
            self._told[address] = now
            if len(self._told) > KNOWN:
                self._told.popitem(last=False)
            return True


def _left(times: deque[float] | None, most: int, now: float) -> float:
    return max(0.0, times[0] + WITHIN - now) if times is not None and len(times) == most else 0.0


def _add(table: OrderedDict[Hashable, deque[float]], key: Hashable, most: int, now: float) -> None:
    times = table.pop(key, None) or deque(maxlen=most)
    times.append(now)
    table[key] = times
    if len(table) > KNOWN:
        table.popitem(last=False)


def _host(address: str) -> str:
    return str(ipaddress.ip_network(f"{address}/64", strict=False)) if ":" in address else address
