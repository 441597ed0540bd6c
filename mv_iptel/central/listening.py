"""The central API's ports: TLS with the home's certificate, branches' certificates, connections that idle."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mv_iptel import ports
from mv_iptel.addresses import address_of
from mv_iptel.central.limiting import host_of
from mv_iptel.events import Event, Listening, Notice
from mv_iptel.files import states
from mv_iptel.http.tls import CertificateError, Policy, make_context

if TYPE_CHECKING:
    from mv_iptel.config import Config

BACKLOG = 256
MOST = 512  # connections at once,
EACH = 128  # of one host,
BRANCH = 64  # of one branch,
STRANGERS = 256  # and of those that have shown no token yet: the oldest of them make room,
STRANGE = 32  # but those of one host do not
HANDSHAKE = 15.0  # seconds in which it must be done
IDLE = 75.0  # seconds in which a request must come, or be complete
SWEEP = 5.0
FULL = 0.5  # seconds before the next try to take a connection when the system has no room for one

Row = dict[str, Any]


class Context:
    """One TLS context for all connections. A certificate that was replaced is used soon after."""

    def __init__(self, config: Config, branches: Path, publish: Callable[[Event], None]):
        """Raises CertificateError. `branches` is the authority of the branches' certificates."""
        self.files = (config.https.cert_file, config.https.key_file)
        self._publish = publish
        self._state: object = states(self.files)
        self.ssl = make_context(*self.files, Policy())
        self.ssl.set_alpn_protocols(["http/1.1"])
        try:
            self.ssl.load_verify_locations(branches)
        except (OSError, ssl.SSLError) as error:
            raise CertificateError(f"{branches} cannot be used: {error}") from None
        self.ask(config)
        self.ssl.sni_callback = self._hello

    def ask(self, config: Config) -> None:
        """Whether clients are asked for a certificate; they need not have one."""
        self.ssl.verify_mode = ssl.CERT_OPTIONAL if config.https.client_auth else ssl.CERT_NONE

    def _hello(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """A handshake begins: the next one has the certificate that lies there now, if it is good."""
        state = states(self.files)
        if state == self._state:
            return
        self._state = state
        try:
            make_context(*self.files, Policy())
            self.ssl.load_cert_chain(*self.files, password="")
        except (CertificateError, OSError, ssl.SSLError, ValueError) as error:
            text = f"{error}; the certificate that was loaded before stays in use"
            self._publish(Notice("certificate", text, "error", source=os.fspath(self.files[0])))


@dataclass(eq=False)
class _Guest:
    """One connection, from its first octet on."""

    host: str
    since: float  # when it began to idle; inf while it is served
    branch: str = ""  # whose token it has shown
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


class Ports:
    """The sockets of one server on every address. `make` makes the protocol of a connection.

    Connections are taken here and not by asyncio's server, which would begin a handshake with everybody: a
    banned host gets none, and no host, and no branch, keeps the others out by many of them.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        publish: Callable[[Event], None],
        banned: Callable[[str], bool] = lambda address: False,
    ):
        self._make, self._publish, self._banned = make, publish, banned
        self._servers: dict[tuple[str, int], tuple[socket.socket, asyncio.Task[None]]] = {}
        self._rows: dict[tuple[str, int], Row] = {}
        self._guests: dict[_Guest, None] = {}  # in the order in which they came
        self._by: dict[Any, _Guest] = {}  # by the protocol of the connection
        self._sweeping: asyncio.Task[None] | None = None

    async def open(self, config: Config, context: Context | None, error: str = "") -> None:
        """Bring up what is wanted and close what is not. Without a context all is failed, by `error`."""
        hosts = config.settings.bind_address or ("0.0.0.0", "::")  # noqa: S104
        port = config.backup_servers.file_server_port
        for place in [one for one in self._rows if one not in {(host, port) for host in hosts}]:
            await self._shut(place)
        for host in hosts:
            place = (host, port)
            row = {"proto": "central", "address": host, "port": port, "state": "off", "error": "",
                   "tls": str(Policy()), "buffer": 0}  # fmt: skip
            self._rows.setdefault(place, row)
            if context is None:
                self._say(place, "failed", error)
            elif place not in self._servers:
                await self._bind(place, context, bool(config.settings.bind_address))
        if self._sweeping is None:
            self._sweeping = asyncio.create_task(self._sweep())

    def listeners(self) -> list[Row]:
        """One row for each address, in the form of the other servers' listeners. From any thread."""
        return [dict(row) for row in list(self._rows.values())]

    @property
    def failed(self) -> bool:
        return any(row["state"] == "failed" for row in self._rows.values())

    async def close(self) -> None:
        """Take no more connections."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        for place in list(self._rows):
            await self._shut(place)
        for guest in [one for one in self._guests if one.protocol is None or one.protocol.transport is None]:
            guest.close()  # a handshake that has not ended

    def busy(self, connection: Any) -> None:
        """A request of this connection is being answered."""
        if guest := self._by.get(connection):
            guest.since = float("inf")

    def idle(self, connection: Any) -> None:
        """It was answered."""
        if guest := self._by.get(connection):
            guest.since = time.monotonic()

    def known(self, connection: Any, branch: str) -> bool:
        """It has shown the token of this branch. False: the branch has too many connections."""
        guest = self._by.get(connection)
        if guest is None or guest.branch == branch:
            return True
        if self._count(lambda one: one.branch == branch) >= BRANCH:
            self._forget(time.monotonic())
            if self._count(lambda one: one.branch == branch) >= BRANCH:
                return False
        guest.branch = branch
        return True

    async def _bind(self, place: tuple[str, int], context: Context, named: bool) -> None:
        try:
            sock = ports.listen(*place, BACKLOG)
            self._servers[place] = sock, asyncio.create_task(self._accept(sock, context))
        except OSError as fault:
            if fault.errno in ports.NO_FAMILY and not named:
                del self._rows[place]  # a host without IPv6 misses nothing
                return
            if fault.errno == errno.EADDRINUSE:
                error = await asyncio.to_thread(ports.taken, place[1], socket.SOCK_STREAM)
            elif isinstance(fault, PermissionError):
                error = ports.forbidden(place[1])
            else:
                error = f"cannot listen: {fault.strerror or fault}"
            self._say(place, "failed", error)
            return
        self._rows[place]["port"] = sock.getsockname()[1]
        self._say(place, "up")

    async def _shut(self, place: tuple[str, int]) -> None:
        if place in self._servers:
            sock, task = self._servers.pop(place)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            sock.close()
        if self._rows[place]["state"] != "off":
            self._say(place, "off")
        del self._rows[place]

    def _say(self, place: tuple[str, int], state: str, error: str = "") -> None:
        row = self._rows[place]
        if (row["state"], row["error"]) != (state, error):
            row.update(state=state, error=error)
            self._publish(Listening("central", place[0], row["port"], state, error, tls=row["tls"]))

    async def _accept(self, sock: socket.socket, context: Context) -> None:
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
            self._guests[guest] = None
            guest.task = asyncio.create_task(self._shake(guest, taken, context))
            # Who had to go before his handshake even began.
            guest.task.add_done_callback(lambda task, taken=taken: task.cancelled() and taken.close())  # type: ignore[misc]

    async def _shake(self, guest: _Guest, taken: socket.socket, context: Context) -> None:
        def made() -> Any:
            guest.protocol = self._make()
            self._by[guest.protocol] = guest
            return guest.protocol

        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                made, taken, ssl=context.ssl, ssl_handshake_timeout=HANDSHAKE, ssl_shutdown_timeout=2.0
            )
        except (OSError, ssl.SSLError):  # it speaks no TLS, not this one, or nothing
            taken.close()
            self._leave(guest)

    def _room(self, host: str) -> bool:
        """Whether one more of this host may come; the oldest stranger may have to go for it."""
        if self._has_room(host):
            return True
        self._forget(time.monotonic())
        if self._has_room(host):
            return True
        strangers = [one for one in self._guests if not one.branch]
        counted = Counter(one.host for one in strangers)
        mine = self._count(lambda one: one.host == host)
        if counted[host] >= STRANGE or mine >= EACH or not strangers:
            return False
        # Who has many loses one before who has few.
        most = max(counted.values())
        oldest = next(one for one in strangers if counted[one.host] == most)
        oldest.close()
        self._leave(oldest)
        return True

    def _has_room(self, host: str) -> bool:
        strangers = self._count(lambda one: not one.branch)
        strange = self._count(lambda one: not one.branch and one.host == host)
        mine = self._count(lambda one: one.host == host)
        return len(self._guests) < MOST and mine < EACH and strangers < STRANGERS and strange < STRANGE

    def _count(self, which: Callable[[_Guest], bool]) -> int:
        return sum(map(which, self._guests))

    def _leave(self, guest: _Guest) -> None:
        self._guests.pop(guest, None)
        self._by.pop(guest.protocol, None)

    def _forget(self, now: float) -> None:
        """Those that have gone; and those are closed that said nothing for long."""
        for guest in list(self._guests):
            if not guest.gone:
                if now - guest.since <= IDLE:
                    continue
                guest.close()
            self._leave(guest)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP)
            self._forget(time.monotonic())
