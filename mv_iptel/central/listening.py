"""The central API's ports: TLS with the home's certificate, branches' certificates, connections that idle."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mv_iptel import ports
from mv_iptel.events import Event, Listening, Notice
from mv_iptel.files import states
from mv_iptel.http.tls import CertificateError, Policy, make_context

if TYPE_CHECKING:
    from mv_iptel.config import Config

BACKLOG = 256
MOST = 512  # connections at once
HANDSHAKE = 15.0  # seconds in which it must be done
IDLE = 75.0  # seconds in which a request must come, or be complete
SWEEP = 5.0

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


class _Full(asyncio.Protocol):
    """What a connection gets that is one too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.abort()  # type: ignore[attr-defined]


class Ports:
    """The sockets of one server on every address. `make` makes the protocol of a connection."""

    def __init__(self, make: Callable[[], Any], publish: Callable[[Event], None]):
        self._make, self._publish = make, publish
        self._servers: dict[tuple[str, int], asyncio.Server] = {}
        self._rows: dict[tuple[str, int], Row] = {}
        self._since: dict[Any, float] = {}  # connection -> when it began to idle; inf while it is served
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

    def busy(self, connection: Any) -> None:
        """A request of this connection is being answered."""
        if connection in self._since:
            self._since[connection] = float("inf")

    def idle(self, connection: Any) -> None:
        """It was answered."""
        if connection in self._since:
            self._since[connection] = time.monotonic()

    async def _bind(self, place: tuple[str, int], context: Context, named: bool) -> None:
        sock = None
        try:
            sock = ports.listen(*place, BACKLOG)
            self._servers[place] = await asyncio.get_running_loop().create_server(
                self._connection, sock=sock, ssl=context.ssl, backlog=BACKLOG,
                ssl_handshake_timeout=HANDSHAKE, ssl_shutdown_timeout=2.0,
            )  # fmt: skip
        except OSError as fault:
            if sock is not None:
                sock.close()
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
        server = self._servers.pop(place, None)
        if server is not None:
            server.close()
        if self._rows[place]["state"] != "off":
            self._say(place, "off")
        del self._rows[place]

    def _say(self, place: tuple[str, int], state: str, error: str = "") -> None:
        row = self._rows[place]
        if (row["state"], row["error"]) != (state, error):
            row.update(state=state, error=error)
            self._publish(Listening("central", place[0], row["port"], state, error, tls=row["tls"]))

    def _connection(self) -> Any:
        if len(self._since) >= MOST:
            self._forget(time.monotonic())
            if len(self._since) >= MOST:
                return _Full()
        made = self._make()
        self._since[made] = time.monotonic()
        return made

    def _forget(self, now: float) -> None:
        """Those that have gone; and those are closed that said nothing for long."""
        for connection, since in list(self._since.items()):
            if connection.transport is None:
                if now - since > HANDSHAKE + 5 or since == float("inf"):
                    del self._since[connection]
            elif now - since > IDLE:
                connection.transport.abort()
                del self._since[connection]

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP)
            self._forget(time.monotonic())
