"""What the tests of the live phones stand on: the real servers, on ports that belong together."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
from dataclasses import replace
from pathlib import Path

from mv_iptel import certs
from mv_iptel.config import defaults
from mv_iptel.events import Event, Finished, Stream
from mv_iptel.home import Home
from mv_iptel.http.server import Server as HttpServer
from mv_iptel.library import Library
from mv_iptel.phones.boot import Servers
from mv_iptel.tftp.server import Server as TftpServer

STANDARD = (69, 80, 81, 411)


def free_offset() -> int:
    """An offset at which all the phones' ports are free, over TCP and UDP."""
    for _ in range(200):
        offset = random.randrange(10_000, 30_000)
        held: list[socket.socket] = []
        try:
            for port in STANDARD:
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    held.append(socket.socket(socket.AF_INET, kind))
                    held[-1].bind(("127.0.0.1", port + offset))
            return offset
        except OSError:
            continue
        finally:
            for sock in held:
                sock.close()
    raise AssertionError("no offset with free ports")


class Stand:
    """TFTP, HTTP and HTTPS over a home's data directories."""

    def __init__(self, folder: Path, max_clients: int = 0):
        self.home = Home(folder)
        for place in self.home.directories():
            place.mkdir(parents=True, exist_ok=True)
        certs.make_authority(self.home, "localhost")
        certs.make_server(self.home, certs.Names(("localhost",), ("127.0.0.1",)))
        self.offset = free_offset()
        plain = defaults(self.home)
        ports = {name: number + self.offset for name, number in zip("abcd", STANDARD, strict=True)}
        self.config = replace(
            plain,
            settings=replace(plain.settings, bind_address=("127.0.0.1",), max_clients=max_clients),
            tftp=replace(plain.tftp, run_trivial_ftp=True, trivial_ftp_port=ports["a"]),
            http=replace(plain.http, run_http=True, http_alt_ports=(ports["b"],), http_port=ports["c"]),
            https=replace(plain.https, run_https=True, https_port=ports["d"], https_alt_ports=(), iptel=True),
        )
        self.finished: list[Finished] = []
        self._news = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def receive(self, batch: list[Event]) -> None:
        """Listen to the events."""
        with self._news:
            self.finished += [event for event in batch if isinstance(event, Finished)]
            self._news.notify_all()

    def seen(self, address: str, count: int) -> list[Finished]:
        """The finished requests of an address, once there are `count` of them."""

        def mine() -> list[Finished]:
            return [event for event in self.finished if event.peer == address]

        with self._news:
            assert self._news.wait_for(lambda: len(mine()) >= count, 10), mine()
            return mine()

    def __enter__(self) -> Stand:
        self.stream = Stream(self)
        self.library = Library(self.config, self.stream)
        bind = self.config.settings.bind_address
        self._tftp = TftpServer(self.config.tftp, bind, self.library, self.stream)
        self._thread.start()
        self._http = self._soon(self._make())
        self.stream.start()
        self._tftp.start()
        self._soon(self._http.start())
        states = [each["state"] for each in (*self._tftp.listeners(), *self._http.listeners())]
        assert states == ["up"] * 4, states
        return self

    async def _make(self) -> HttpServer:
        return HttpServer(self.config, self.library, self.stream)

    def _soon(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def __exit__(self, *_: object) -> None:
        self._soon(self._http.stop(1))
        self._tftp.stop(1)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self.stream.stop()

    def told(self, protocol: str) -> Servers:
        """What a phone is told that shall use this protocol."""
        here = ("127.0.0.1",)
        return Servers(
            tftp=here if protocol == "tftp" else (),
            http=here if protocol != "tftp" else (),
            https=here if protocol == "https" else (),
            offset=self.offset,
        )

    def small(self) -> None:
        """Scripts that name no firmware, and empty settings, for 4600 over TFTP and 96x0 over HTTP."""
        home = self.home
        for folder, script in ((home.tftp_data, "46xxupgrade.scr"), (home.http_data, "96xxupgrade.txt")):
            (folder / script).write_bytes(b"## SET APPNAME app.bin\nGET 46xxsettings.txt\n")
            (folder / "46xxsettings.txt").write_bytes(b"SET A 1\n" * 100)
