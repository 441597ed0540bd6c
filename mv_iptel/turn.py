"""One of the threads that keep user data computes at a time: FTP's loop, SNMP's questions, the store's jobs.

Each system call gives Python's lock away, and where several threads are busy each one then waits for it to
come back, which costs more than the work itself. So each of them holds the turn while it computes and gives
it away where it waits: for sockets, for the disk, for somebody else.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_gate = threading.Lock()  # held by the one who is next: nobody gets two turns while another waits
_turn = threading.Lock()
_mine = threading.local()


def take() -> None:
    """Wait for the turn. Not for a thread that has it."""
    with _gate:
        _turn.acquire()
    _mine.held = True


def give() -> None:
    """The turn is for the others."""
    _mine.held = False
    _turn.release()


@contextmanager
def held() -> Iterator[None]:
    """Compute within."""
    take()
    try:
        yield
    finally:
        give()


@contextmanager
def away() -> Iterator[None]:
    """Wait within; it does nothing for a thread that has no turn. Never within a lock that others take."""
    if not getattr(_mine, "held", False):
        yield
        return
    give()
    try:
        yield
    finally:
        take()


class Poller:
    """A poller (select.epoll, ...) whose wait is `away`."""

    def __init__(self, poller: Any):
        self._poll = poller.poll
        self.register, self.unregister, self.modify = poller.register, poller.unregister, poller.modify
        self.close = getattr(poller, "close", lambda: None)

    def poll(self, *args: Any) -> Any:
        """As the one that it stands for."""
        with away():
            return self._poll(*args)
