"""A server with the real library for the tests: its own thread, free ports, a clock that can be moved."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from mv_iptel import certs, config
from mv_iptel.events import Event, Finished, Stream
from mv_iptel.home import Home
from mv_iptel.http.protocol import Reply, request
from mv_iptel.http.server import Server
from mv_iptel.library import Library

LOCAL = ("127.0.0.1",)


class Listener:
    """Collects the events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def receive(self, batch: list[Event]) -> None:
        self.events.extend(batch)


def make_certificates(home: Home) -> None:
    """An authority and a certificate for this host."""
    certs.make_authority(home, "test")
    certs.make_server(home, certs.Names(("localhost",), ("127.0.0.1", "::1")))


class Site:
    """Everything of one running server. `with` starts and stops it.

    Keys are given as `http_...`: `Site(home, {"settings": {"max_clients": 1}})`.
    """

    def __init__(self, home: Home, changes: dict[str, dict[str, Any]] | None = None, lend: Any = None):
        self.home = home
        self.ahead = 0.0  # how far the clock was moved
        self.config = self.changed({
            "settings": {"bind_address": LOCAL}, "http": {"http_port": 0, "http_alt_ports": ()},
            "https": {"run_https": True, "https_port": 0, "https_alt_ports": ()},
        }, config.defaults(home))  # fmt: skip
        self.config = self.changed(changes or {})
        for folder in (home.http_data, home.https_data, home.lists, self.config.http.backup_dir):
            folder.mkdir(parents=True, exist_ok=True)
        self.listener = Listener()
        self.stream = Stream(self.listener)
        self.library = Library(self.config, self.stream, self.clock)
        lent = {"lend": lend} if lend else {}
        self.server = Server(self.config, self.library, self.stream, self.clock, **lent)
        self.loop = asyncio.new_event_loop()
        self.troubles: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.troubles.append(context))
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def changed(self, changes: dict[str, dict[str, Any]], base: config.Config | None = None) -> config.Config:
        """The configuration with other values: `{"http": {"http_port": 1}}`."""
        base = base or self.config
        return replace(base, **{part: replace(getattr(base, part), **keys) for part, keys in changes.items()})

    def clock(self) -> float:
        return time.monotonic() + self.ahead

    def __enter__(self) -> Site:
        self._thread.start()
        self.library.backups.store.open()
        self.call(self.server.start())
        return self

    def __exit__(self, *_: object) -> None:
        self.call(self.server.stop(0))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()
        self.library.close()
        assert self.troubles == []

    def call(self, what: Any) -> Any:
        """Run a coroutine, or a function, on the server's loop, and wait for it."""
        if asyncio.iscoroutine(what):
            return asyncio.run_coroutine_threadsafe(what, self.loop).result(30)

        async def run() -> Any:
            return what()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(30)

    def pass_time(self, seconds: float) -> None:
        """Move the clock, and let the server look at its deadlines."""

        def move() -> None:  # with the lock: what the server is just doing belongs to the time before
            with self.server.poller.lock:
                self.ahead += seconds
                self.server.tick(self.clock())

        self.call(move)

    def reload(self, changes: dict[str, dict[str, Any]]) -> None:
        """Put a changed configuration in force."""
        self.config = self.changed(changes)
        self.library.reload(self.config)
        self.call(self.server.reload(self.config))

    def write(self, name: str, data: bytes, secure: bool = False) -> Path:
        """Put a file into HTTPdata or HTTPSdata."""
        path = (self.home.https_data if secure else self.home.http_data) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def ports(self, proto: str = "http") -> list[int]:
        """The open ports, in the order of the configuration."""
        return [int(str(one["port"])) for one in self.server.listeners() if one["proto"] == proto]

    def events(self) -> list[Event]:
        """Everything that happened, up to now."""
        self.call(lambda: None)  # what the loop is doing ends first
        self.stream.drain()
        return self.listener.events

    def finished(self) -> list[Finished]:
        """The requests that were answered, and forget them."""
        found = [event for event in self.events() if isinstance(event, Finished)]
        self.listener.events.clear()
        return found

    def until(self, done: Callable[[], bool]) -> None:
        """Wait until the server got so far."""
        end = time.monotonic() + 20
        while not done():
            assert time.monotonic() < end, "it never came so far"
            self.call(lambda: None)

    def connect(self, proto: str = "http", **options: Any) -> socket.socket:
        """A connection to the first port."""
        sock = socket.create_connection(("127.0.0.1", self.ports(proto)[0]), 20, **options)
        if proto == "https":
            context = ssl.create_default_context(cafile=self.home.ca_cert)
            return context.wrap_socket(sock, server_hostname="127.0.0.1")
        return sock

    def talk(self, data: bytes, proto: str = "http", half: bool = False) -> bytes:
        """Send octets and read until the server closes. `half`: close our side first."""
        with self.connect(proto) as sock:
            sock.sendall(data)
            if half:
                sock.shutdown(socket.SHUT_WR)
            return read_all(sock)

    def get(self, name: str, proto: str = "http", method: str = "GET", **headers: str) -> Reply:
        """One request on a connection of its own."""
        with self.connect(proto) as sock:
            pairs = [(key.replace("_", "-"), value) for key, value in headers.items()]
            return ask(sock, name, method, pairs)


def ask(sock: socket.socket, name: str, method: str = "GET", headers: Any = (), body: bytes = b"") -> Reply:
    """One request and its answer on an open connection."""
    sock.sendall(request(method, name, [("Host", "test"), *headers], body=body))
    return answer(sock, method)


def answer(sock: socket.socket, method: str = "GET") -> Reply:
    """The next answer on an open connection, which must hold nothing behind it."""
    reply = Reply(method)
    while not reply.complete:
        data = sock.recv(65536)
        if not data:
            reply.end()
            break
        assert reply.receive(data) == b""
    return reply


def read_all(sock: socket.socket) -> bytes:
    """Everything until the server closes."""
    got = bytearray()
    while data := sock.recv(65536):
        got += data
    return bytes(got)
