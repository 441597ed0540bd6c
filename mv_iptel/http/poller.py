"""Which connections can be read or written: one epoll of our own inside the loop's.

The loop's own watching makes a handle, a context and several calls for each event and each change; that
was a third of what a big file cost in Python. Where there is no epoll, the loop watches.

And so the connections can be lent: while the TFTP thread sends packet after packet, it serves them too,
between two of its turns, and the loop sleeps. Two busy threads would wait for Python's lock at every system
call of theirs (measured: ARCHITECTURE.md).
"""

from __future__ import annotations

import asyncio
import select
import threading
import time
from collections.abc import Callable
from typing import Protocol

BATCH = 256  # connections served in one turn
AS_GUEST = 0.0005  # seconds that a turn within another thread should take; its size follows from that


class Watched(Protocol):
    """What is watched. Its methods never raise."""

    fd: int
    wants_write: bool

    def readable(self) -> None: ...

    def writable(self) -> None: ...


class Lock:
    """Connections belong to no thread, but to whoever holds `lock`."""

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self._loop = loop
        self.lock = threading.RLock()
        self.turn = 0  # the number of the turn that runs, see `Session.ask`; 0 between turns

    def soon(self, action: Callable[[], None]) -> None:
        """Have the loop do it, with the lock; from any thread."""

        def act() -> None:
            with self.lock:
                action()

        self._loop.call_soon_threadsafe(act)


class Poller(Lock):
    """Watches by epoll, within the loop.

    `lend` is asked at each turn whether another thread serves from now on; it calls `serve` whenever `fd` can
    be read, and `back` when it has other things to do (`tftp.server.Guest`).
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, lend: Callable[[Poller], bool] = lambda guest: False):
        super().__init__(loop)
        self._lend = lend
        self._turns = 0
        self._most = BATCH
        self._epoll = select.epoll()
        self._watched: dict[int, Watched] = {}
        self.fd = self._epoll.fileno()
        loop.add_reader(self.fd, self._ready)

    def watch(self, one: Watched, read: bool, write: bool) -> None:
        """From now on tell `one` when it can be read, written, or nothing any more."""
        fd = one.fd
        wanted = (select.EPOLLIN if read else 0) | (select.EPOLLOUT if write else 0)
        if fd not in self._watched:
            if wanted:
                self._watched[fd] = one
                self._epoll.register(fd, wanted)
        elif wanted:
            self._epoll.modify(fd, wanted)
        else:
            del self._watched[fd]
            self._epoll.unregister(fd)

    def close(self) -> None:
        """Watch no more."""
        with self.lock:
            if self._epoll.closed:
                return
            self._loop.remove_reader(self.fd)
            self._epoll.close()

    def serve(self) -> None:
        """One turn as a guest: short, because each of its host's clients waits for it."""
        began = time.monotonic()
        self._serve(self._most)
        long = time.monotonic() - began > AS_GUEST
        self._most = max(1, self._most // 2) if long else min(BATCH, self._most * 2)

    def back(self) -> None:
        """The guest's time is over: the loop watches again. On the other thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._watch_again)

    def _watch_again(self) -> None:
        if not self._epoll.closed:
            self._loop.add_reader(self.fd, self._ready)

    def _ready(self) -> None:
        if self._lend(self):
            self._loop.remove_reader(self.fd)
        else:
            self._serve(BATCH)

    def _serve(self, most: int) -> None:
        with self.lock:
            if self._epoll.closed:
                return
            watched = self._watched
            self._turns += 1
            self.turn = self._turns
            for fd, events in self._epoll.poll(0, most):
                one = watched.get(fd)
                if one is None:
                    continue
                if events & ~select.EPOLLOUT:  # an error is told to who reads, and to who writes
                    one.readable()
                if events & ~select.EPOLLIN and one.fd == fd and one.wants_write:
                    one.writable()
            self.turn = 0


class LoopPoller(Lock):
    """The same by the loop's own means; never lent. Every event is a turn of its own."""

    def watch(self, one: Watched, read: bool, write: bool) -> None:
        """From now on tell `one` when it can be read, written, or nothing any more."""
        if read:
            self._loop.add_reader(one.fd, one.readable)
        else:
            self._loop.remove_reader(one.fd)
        if write:
            self._loop.add_writer(one.fd, one.writable)
        else:
            self._loop.remove_writer(one.fd)

    def close(self) -> None:
        """Nothing to give back."""


def make(loop: asyncio.AbstractEventLoop, lend: Callable[[Poller], bool]) -> Poller | LoopPoller:
    """The best one that the system has."""
    return Poller(loop, lend) if hasattr(select, "epoll") else LoopPoller(loop)
