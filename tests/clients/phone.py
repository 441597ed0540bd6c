"""A phone with an address of its own in 127.0.0.0/8: asks for one file over each protocol, by hand.

`tftp` cannot choose its source address as curl's HTTP can, so this speaks RFC 1350 on a bound socket.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable

from tests.clients.daemon import Daemon


class Tftp:
    """One transfer, acknowledged block by block by whoever drives it."""

    def __init__(self, port: int, name: str, source: str = "127.0.0.1"):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((source, 0))
        self.sock.settimeout(20)
        self.sock.sendto(b"\0\1" + name.encode() + b"\0octet\0", ("127.0.0.1", port))
        self.data = b""
        self.blocks = 0
        self.error: int | None = None  # the code of an ERROR packet
        self.done = False

    def __enter__(self) -> Tftp:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def step(self) -> None:
        """Take one packet; acknowledge it if it is the next block."""
        packet, sender = self.sock.recvfrom(65535)
        if packet[:2] == b"\0\5":
            self.error, self.done = packet[3], True
            return
        if int.from_bytes(packet[2:4], "big") != (self.blocks + 1) & 0xFFFF:
            return
        self.blocks += 1
        self.data += packet[4:]
        self.sock.sendto(b"\0\4" + packet[2:4], sender)
        self.done = len(packet) < 516

    def finish(self) -> bytes:
        while not self.done:
            self.step()
        return self.data


def ask_tftp(daemon: Daemon, address: str, name: str) -> bytes | int:
    """The content, or the code of the refusal."""
    with Tftp(daemon.tftp, name, address) as transfer:
        data = transfer.finish()
        return data if transfer.error is None else transfer.error


def ask_web(curl: str, scheme: str) -> Callable[[Daemon, str, str], bytes | int]:
    """A function like `ask_tftp` for HTTP or HTTPS."""

    def ask(daemon: Daemon, address: str, name: str) -> bytes | int:
        done = subprocess.run(
            [curl, "-sS", "--cacert", str(daemon.home.ca_cert), "--interface", address, "--max-time", "30",
             "-w", "\n%{http_code}", f"{scheme}://127.0.0.1:{getattr(daemon, scheme)}/{name}"],
            capture_output=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        body, _, status = done.stdout.rpartition(b"\n")
        return body if status == b"200" else int(status)

    return ask
