"""Connections of an aiohttp server that nobody can fill up: TLS, how many of whom, those that idle."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mv_iptel.addresses import address_of, host_of
from mv_iptel.files import states
from mv_iptel.http.tls import CertificateError, Policy, make_context

HANDSHAKE = 15.0  # seconds in which it must be done
IDLE = 75.0  # seconds in which a request must come, or be complete
SWEEP = 5.0
FULL = 0.5  # seconds before the next try to take a connection when the system has no room for one


class Limits(NamedTuple):
    """How many connections at once."""

    most: int = 512  # in all,
    each: int = 128  # of one host,
    named: int = 64  # of one who has shown who he is,
    strangers: int = 256  # and of those that have shown nothing yet: the oldest of them make room,
    strange: int = 32  # but those of one host do not


class Context:
    """The TLS context of all connections. A certificate that was replaced is used from the next one on."""

    def __init__(self, certificate: Path, key: Path, failed: Callable[[str], None]):
        """Raises CertificateError. `failed` is told why a new certificate cannot be used."""
        self.files = (certificate, key)
        self._failed = failed
        self._state: object = states(self.files)
        self._made = self.make()

    @property
    def tls(self) -> ssl.SSLContext:
        """The context for the next connection: two stats beside a handshake."""
        state = states(self.files)
        if state != self._state:
            self._state = state
            try:
                # A new one: within the old one a key of another kind would stand beside the old key.
                self._made = self.make()
            except CertificateError as error:
                self._failed(f"{error}; the certificate that was loaded before stays in use")
        return self._made

    def make(self) -> ssl.SSLContext:
        """A context with what lies there now. Raises CertificateError."""
        made = make_context(*self.files, Policy())
        made.set_alpn_protocols(["http/1.1"])
        return made

    def __str__(self) -> str:
        return os.fspath(self.files[0])


@dataclass(eq=False)
class _Guest:
    """One connection, from its first octet on."""

    host: str
    since: float  # when it began to idle; inf while it is served
    name: str = ""  # who it has shown to be
    protocol: Any = None
    task: asyncio.Task[None] | None = None  # its handshake

    @property
    def gone(self) -> bool:
        return (self.task is None or self.task.done()) and (
            self.protocol is None or self.protocol.transport is None
        )

    def close(self) -> None:
        if self.task is not None:
            self.task.cancel()
        if self.protocol is not None and self.protocol.transport is not None:
            self.protocol.transport.abort()


class Guests:
    """All connections of one server, over all of its sockets. `make` makes the protocol of a connection.

    They are taken here and not by asyncio's server, which would begin a handshake with everybody: a
    banned host gets none, and nobody keeps the others out by many of them.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        limits: Limits = Limits(),  # noqa: B008
        banned: Callable[[str], bool] = lambda address: False,
    ):
        self.limits = limits
        self._make, self._banned = make, banned
        self.here: dict[_Guest, None] = {}  # in the order in which they came
        self.by: dict[Any, _Guest] = {}  # by the protocol of the connection

    async def accept(self, sock: socket.socket, context: Context | None) -> None:
        """Take connections of this socket, until cancelled. Without a context they are plain."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                taken, peer = await loop.sock_accept(sock)
            except OSError:  # it went away at once, or the system has no descriptor left
                await asyncio.sleep(FULL)
                continue
            host = address_of(peer[0])
            if self._banned(host) or not self._room(host_of(host)):
                taken.close()
                continue
            guest = _Guest(host_of(host), time.monotonic())
            self.here[guest] = None
            guest.task = asyncio.create_task(self._shake(guest, taken, context))
            # Who had to go before his handshake even began.
            guest.task.add_done_callback(lambda task, taken=taken: task.cancelled() and taken.close())  # type: ignore[misc]

    async def sweep(self) -> None:
        """Close those that idle, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP)
            self.forget(time.monotonic())

    def forget(self, now: float) -> None:
        """Those that have gone; and those are closed that said nothing for long."""
        for guest in list(self.here):
            if not guest.gone:
                if now - guest.since <= IDLE:
                    continue
                guest.close()
            self._leave(guest)

    def close(self) -> None:
        """End the handshakes that have not ended; connections are the server's to end."""
        for guest in [one for one in self.here if one.protocol is None or one.protocol.transport is None]:
            guest.close()

    def busy(self, connection: Any) -> None:
        """A request of this connection is being answered."""
        if guest := self.by.get(connection):
            guest.since = float("inf")

    def idle(self, connection: Any) -> None:
        """It was answered."""
        if guest := self.by.get(connection):
            guest.since = time.monotonic()

    def known(self, connection: Any, name: str) -> bool:
        """It has shown who it is. False: that one has too many connections."""
        guest = self.by.get(connection)
        if guest is None or guest.name == name:
            return True
        if self._count(lambda one: one.name == name) >= self.limits.named:
            self.forget(time.monotonic())
            if self._count(lambda one: one.name == name) >= self.limits.named:
                return False
        guest.name = name
        return True

    async def _shake(self, guest: _Guest, taken: socket.socket, context: Context | None) -> None:
        def made() -> Any:
            guest.protocol = self._make()
            self.by[guest.protocol] = guest
            return guest.protocol

        over: dict[str, Any] = {}
        if context is not None:
            over = {"ssl": context.tls, "ssl_handshake_timeout": HANDSHAKE, "ssl_shutdown_timeout": 2.0}
        try:
            await asyncio.get_running_loop().connect_accepted_socket(made, taken, **over)
        except (OSError, ssl.SSLError):  # it speaks no TLS, not this one, or nothing
            taken.close()
            self._leave(guest)

    def _room(self, host: str) -> bool:
        """Whether one more of this host may come; the oldest stranger may have to go for it."""
        if self._has_room(host):
            return True
        self.forget(time.monotonic())
        if self._has_room(host):
            return True
        strangers = [one for one in self.here if not one.name]
        counted = Counter(one.host for one in strangers)
        mine = self._count(lambda one: one.host == host)
        if counted[host] >= self.limits.strange or mine >= self.limits.each or not strangers:
            return False
        # Who has many loses one before who has few.
        most = max(counted.values())
        oldest = next(one for one in strangers if counted[one.host] == most)
        oldest.close()
        self._leave(oldest)
        return True

    def _has_room(self, host: str) -> bool:
        limits = self.limits
        strangers = self._count(lambda one: not one.name)
        strange = self._count(lambda one: not one.name and one.host == host)
        mine = self._count(lambda one: one.host == host)
        return (
            len(self.here) < limits.most
            and mine < limits.each
            and strangers < limits.strangers
            and strange < limits.strange
        )

    def _count(self, which: Callable[[_Guest], bool]) -> int:
        return sum(map(which, self.here))

    def _leave(self, guest: _Guest) -> None:
        self.here.pop(guest, None)
        self.by.pop(guest.protocol, None)
