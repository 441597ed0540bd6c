"""A client on a real socket, around the protocol's client half."""

from __future__ import annotations

import socket
import time
from typing import Any

from mv_iptel.tftp.protocol import Ask, Fetch


class Phone:
    """One UDP socket that asks; `with Phone(address) as phone`."""

    def __init__(self, server: tuple[str, int], port: int = 0):
        self.server: tuple[Any, ...] = server
        self.sock = socket.socket(socket.AF_INET6 if ":" in server[0] else socket.AF_INET, socket.SOCK_DGRAM)
        if port or ":" not in server[0]:
            self.sock.bind(("127.0.0.1" if ":" not in server[0] else "::1", port))
        self.sock.settimeout(5)

    def __enter__(self) -> Phone:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def say(self, packet: bytes, to: tuple[Any, ...] | None = None) -> None:
        self.sock.sendto(packet, to or self.server)

    def hear(self) -> tuple[bytes, tuple[Any, ...]]:
        """The next datagram and where it came from."""
        return self.sock.recvfrom(70000)

    def silence(self, seconds: float = 0.15) -> bool:
        """Nothing comes for that long."""
        self.sock.settimeout(seconds)
        try:
            self.sock.recvfrom(70000)
            return False
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(5)

    def fetch(self, ask: Ask, limit: float = 30.0) -> tuple[Fetch, bytes]:
        """A whole download."""
        began = time.monotonic()
        fetch, peer, data = Fetch(ask, began), None, []
        while True:
            for packet in fetch.to_send():
                self.say(packet, peer)
            if fetch.outcome:
                return fetch, b"".join(data)
            now = time.monotonic()
            assert now - began < limit, "the download does not end"
            self.sock.settimeout(max(0.001, fetch.deadline - now))
            try:
                packet, sender = self.hear()
            except TimeoutError:
                fetch.tick(time.monotonic())
                continue
            if peer is not None and sender != peer:
                continue
            fetch.receive(packet, time.monotonic())
            if fetch.answered:
                peer = sender
            data.append(fetch.read())
