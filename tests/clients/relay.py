"""A UDP relay between TFTP clients and a server that loses, doubles and reorders datagrams, by a seed.

It stands where a bad network would, and keeps transfer identifiers apart as a network does (RFC 1350
section 4): each client has one upstream socket, each port that the server answers from shows up at the
client as a port of its own. So nothing of the protocol has to be understood here.
"""

from __future__ import annotations

import heapq
import itertools
import random
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

# Datagrams read from one socket before the others get their turn.
TURN = 256


@dataclass
class Weather:
    """Shares of datagrams, each way and each from 0 to 1; a reordered one waits `hold` seconds."""

    lose: float = 0.05
    double: float = 0.05
    reorder: float = 0.05
    hold: float = 0.01


@dataclass
class Tally:
    """What the relay did."""

    passed: int = 0
    lost: int = 0
    doubled: int = 0
    reordered: int = 0


class _Flow:
    """One client: the socket that speaks for it to the server, and a socket for each port that answered."""

    def __init__(self, client: tuple):
        self.client = client
        self.upstream: socket.socket | None = None
        self.ports: dict[int, socket.socket] = {}


class Relay:
    """`with Relay(("127.0.0.1", 69), seed=7) as relay:` listens on `relay.address`."""

    def __init__(self, server: tuple[str, int], seed: int, weather: Weather | None = None):
        self.server = server
        self.weather = weather or Weather()
        self.tally = Tally()
        self._random = random.Random(seed)
        self._family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        self._sockets: list[socket.socket] = []
        self._selector = selectors.DefaultSelector()
        self._flows: dict[tuple, _Flow] = {}
        self._held: list[tuple[float, int, socket.socket, bytes, tuple]] = []
        self._order = itertools.count()
        self._front = self._open(self._from_client)
        self.address: tuple[str, int] = self._front.getsockname()[:2]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    def __enter__(self) -> Relay:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)
        self._selector.close()
        for sock in self._sockets:
            sock.close()

    def _open(self, receive: Callable[[bytes, tuple], None]) -> socket.socket:
        """A bound socket whose datagrams go to `receive(data, sender)`."""
        sock = socket.socket(self._family, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind((self.server[0], 0))
        sock.setblocking(False)
        self._sockets.append(sock)
        self._selector.register(sock, selectors.EVENT_READ, receive)
        return sock

    def _run(self) -> None:
        while not self._stop.is_set():
            wait = 0.1 if not self._held else min(0.1, max(0.0, self._held[0][0] - time.monotonic()))
            for key, _ in self._selector.select(wait):
                self._read(key.fileobj, key.data)
            now = time.monotonic()
            while self._held and self._held[0][0] <= now:
                self._send(*heapq.heappop(self._held)[2:])

    @staticmethod
    def _read(sock: socket.socket, receive: Callable[[bytes, tuple], None]) -> None:
        for _ in range(TURN):
            try:
                data, sender = sock.recvfrom(65535)
            except BlockingIOError:
                return
            except ConnectionError:  # an ICMP answer to something we sent: the other side has gone
                continue
            receive(data, sender)

    def _from_client(self, data: bytes, client: tuple) -> None:
        """A request, at the well-known port."""
        flow = self._flows.get(client)
        if flow is None:
            flow = self._flows[client] = _Flow(client)
            flow.upstream = self._open(lambda data, sender: self._from_server(flow, data, sender))
        self._pass(flow.upstream, data, self.server)

    def _from_server(self, flow: _Flow, data: bytes, sender: tuple) -> None:
        """An answer; the port it comes from names the transfer."""
        port = sender[1]
        down = flow.ports.get(port)
        if down is None:
            upstream, to = flow.upstream, (self.server[0], port)
            down = flow.ports[port] = self._open(lambda data, _: self._pass(upstream, data, to))
        self._pass(down, data, flow.client)

    def _pass(self, sock: socket.socket, data: bytes, to: tuple) -> None:
        """Let the weather decide over one datagram."""
        weather, chance = self.weather, self._random.random
        if chance() < weather.lose:
            self.tally.lost += 1
            return
        copies = 1
        if chance() < weather.double:
            self.tally.doubled += 1
            copies = 2
        for _ in range(copies):
            if chance() < weather.reorder:
                self.tally.reordered += 1
                due = time.monotonic() + weather.hold
                heapq.heappush(self._held, (due, next(self._order), sock, data, to))
            else:
                self._send(sock, data, to)

    def _send(self, sock: socket.socket, data: bytes, to: tuple) -> None:
        try:
            sock.sendto(data, to)
            self.tally.passed += 1
        except OSError:
            self.tally.lost += 1
