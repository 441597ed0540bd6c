"""Surveys many phones at a bounded rate: so many begun in a second, so many asked at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from mv_iptel.snmp.asker import Asker
from mv_iptel.snmp.families import Silence, Terms
from mv_iptel.snmp.survey import Survey, Surveyed

RATE = 200.0  # phones begun in a second; each is sent two small datagrams, a silent one an attempt more
MOST = 256  # asked at the same time: each has a socket of its own, and 1024 are all that some systems give
_BURST = 0.05  # seconds that a late beginning may catch up with; else a pause would be followed by a flood

Told = Callable[[str, Surveyed | Silence], None]


def sweep(
    addresses: Iterable[str],
    terms: Terms,
    told: Told,
    rate: float = RATE,
    most: int = MOST,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], object] = time.sleep,
) -> None:
    """Ask every address; `told` hears each answer once, on a thread of the sweep's. Returns when all are in.

    What `told` raises is raised here, and ends the sweep. An interruption ends it too: who was not asked
    yet is not asked, and who has not answered is told as silent.
    """
    faults: list[Exception] = []
    asker = Asker(failed=faults.append)
    room = threading.BoundedSemaphore(most)
    begin_at = clock()
    try:
        for address in addresses:
            room.acquire()
            if faults:
                room.release()
                break
            now = clock()
            begin_at = max(begin_at, now - _BURST)
            if begin_at > now:
                pause(begin_at - now)
            begin_at += 1 / rate
            asker.ask(address, terms, _done(address, told, room), Survey)
        for _ in range(most):
            room.acquire()
    finally:
        asker.close()
    if faults:
        raise faults[0]


def _done(address: str, told: Told, room: threading.BoundedSemaphore) -> Callable[[Surveyed | Silence], None]:
    def done(answer: Surveyed | Silence) -> None:
        try:
            told(address, answer)
        finally:
            room.release()

    return done
