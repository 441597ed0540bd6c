"""Which connections can be read or written: one epoll of our own inside the loop's.

The loop's own watching makes a handle, a context and several calls for each event and each change; that
was a third of what a big file cost in Python. Where there is no epoll, the loop watches.
"""

from __future__ import annotations

import asyncio
import select
from typing import Protocol

from mv_iptel.turns import Turns

BATCH = 256  # connections served in one turn of the loop


class Watched(Protocol):
    """What is watched. Its methods never raise."""

    fd: int
    wants_write: bool

    def readable(self) -> None: ...

    def writable(self) -> None: ...


class Poller:
    """Watches by epoll, within the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, turns: Turns):
        self._loop = loop
        self._shared = turns
        self.turn = 0  # the number of the turn that runs, see `Session.ask`; 0 between turns
        self._turns = 0
        self._epoll = select.epoll()
        self._watched: dict[int, Watched] = {}
        loop.add_reader(self._epoll.fileno(), self._ready)

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
        if self._epoll.closed:
            return
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _ready(self) -> None:
        with self._shared:
            self._serve()

    def _serve(self) -> None:
        watched = self._watched
        ready = self._epoll.poll(0, BATCH)
        self._turns += 1
        self.turn = self._turns
        for fd, events in ready:
            one = watched.get(fd)
            if one is None:
                continue
            if events & ~select.EPOLLOUT:  # an error is told to who reads, and to who writes
                one.readable()
            if events & ~select.EPOLLIN and one.fd == fd and one.wants_write:
                one.writable()
            self._shared.pause()
        self.turn = 0


class LoopPoller:
    """The same by the loop's own means."""

    def __init__(self, loop: asyncio.AbstractEventLoop, turns: Turns):
        self.turn = 0  # every event is a turn of its own here
        self._loop = loop
        del turns  # each event is told apart, which is too short to take a turn for

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


def make(loop: asyncio.AbstractEventLoop, turns: Turns) -> Poller | LoopPoller:
    """The best one that the system has. `turns` are shared with TFTP."""
    return Poller(loop, turns) if hasattr(select, "epoll") else LoopPoller(loop, turns)
