"""Which sockets have something: epoll, and where there is none the same calls over `selectors`."""

from __future__ import annotations

import select
import selectors
import socket

IN, OUT = 1, 4  # as epoll numbers them


class Selecting:
    """The part of select.epoll that the server uses, on any system that Python runs on."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def register(self, fd: int, mask: int = IN) -> None:
        """Watch a socket."""
        self._selector.register(fd, self._events(mask))

    def modify(self, fd: int, mask: int) -> None:
        """Watch it for something else."""
        self._selector.modify(fd, self._events(mask))

    def unregister(self, fd: int) -> None:
        """No longer watch it."""
        self._selector.unregister(fd)

    def poll(self, timeout: float = -1, maxevents: int = -1) -> list[tuple[int, int]]:
        """What is ready; waits `timeout` seconds, without end if it is negative."""
        ready = self._selector.select(None if timeout < 0 else timeout)
        found = [
            (
                key.fd,
                (IN if mask & selectors.EVENT_READ else 0) | (OUT if mask & selectors.EVENT_WRITE else 0),
            )
            for key, mask in ready
        ]
        return found[:maxevents] if maxevents > 0 else found

    def close(self) -> None:
        """End."""
        self._selector.close()

    @staticmethod
    def _events(mask: int) -> int:
        return (selectors.EVENT_READ if mask & IN else 0) | (selectors.EVENT_WRITE if mask & OUT else 0)


FAST = hasattr(select, "epoll")


def poller(fast: bool = FAST) -> select.epoll | Selecting:
    """The best poller there is; `fast=False`: the one that is everywhere."""
    return select.epoll() if fast else Selecting()


class Waker:
    """Lets another thread end a wait of the poller."""

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)
        self.fd = self._near.fileno()

    def wake(self) -> None:
        """From any thread."""
        try:
            self._far.send(b"\0")
        except OSError:
            pass  # it is awake already, or has ended

    def quiet(self) -> None:
        """Take note; by the waiting thread."""
        try:
            while self._near.recv(512):
                pass
        except OSError:
            pass

    def close(self) -> None:
        """End."""
        self._near.close()
        self._far.close()
