"""The central API's ports: one socket an address, TLS with the home's certificate, branches' certificates."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mv_iptel import guests, ports
from mv_iptel.events import Event, Listening, Notice
from mv_iptel.guests import Guests
from mv_iptel.http.tls import CertificateError, Policy

if TYPE_CHECKING:
    from mv_iptel.config import Config

BACKLOG = 256

Row = dict[str, Any]


class Context(guests.Context):
    """The home's certificate; branches may show theirs."""

    def __init__(self, config: Config, branches: Path, publish: Callable[[Event], None]):
        """Raises CertificateError. `branches` is the authority of the branches' certificates."""
        pair = config.pair("central")
        source = os.fspath(pair.cert_file)
        self._branches, self._mode = branches, ssl.CERT_NONE
        super().__init__(*pair, lambda text: publish(Notice("certificate", text, "error", source=source)))
        self.ask(config)

    def ask(self, config: Config) -> None:
        """Whether clients are asked for a certificate; they need not have one."""
        self._mode = ssl.CERT_OPTIONAL if config.https.client_auth else ssl.CERT_NONE
        self.tls.verify_mode = self._mode

    def make(self) -> ssl.SSLContext:
        made = super().make()
        try:
            made.load_verify_locations(self._branches)
        except (OSError, ssl.SSLError) as error:
            raise CertificateError(f"{self._branches} cannot be used: {error}") from None
        made.verify_mode = self._mode
        return made


class Ports:
    """The sockets of one server on every address. `make` makes the protocol of a connection.

    No host, and no branch, keeps the others out by many connections; a banned one gets none.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        publish: Callable[[Event], None],
        banned: Callable[[str], bool] = lambda address: False,
    ):
        self.guests = Guests(make, banned=banned)
        self.busy, self.idle, self.known = self.guests.busy, self.guests.idle, self.guests.known
        self._publish = publish
        self._servers: dict[tuple[str, int], tuple[socket.socket, asyncio.Task[None]]] = {}
        self._rows: dict[tuple[str, int], Row] = {}
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
            self._sweeping = asyncio.create_task(self.guests.sweep())

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
        self.guests.close()

    async def _bind(self, place: tuple[str, int], context: Context, named: bool) -> None:
        try:
            sock = ports.listen(*place, BACKLOG)
            self._servers[place] = sock, asyncio.create_task(self.guests.accept(sock, context))
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
