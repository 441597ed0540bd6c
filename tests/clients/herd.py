"""Many TFTP clients in one thread: RFC 1350 as a phone speaks it, every octet compared.

Independent of the product's own protocol code on purpose: a mistake that both sides share would not show.
"""

from __future__ import annotations

import selectors
import socket
import time
from dataclasses import dataclass

RRQ, DATA, ACK, ERROR, OACK = 1, 3, 4, 5, 6
# A phone asks again after a second, and begins again when a transfer has been silent for this long.
AGAIN = 1.0
GIVE_UP = 12.0


@dataclass
class Result:
    """What a herd saw. `wrong` counts transfers whose octets differ, `unfinished` those that never ended."""

    ok: int = 0
    wrong: int = 0
    unfinished: int = 0
    refused: int = 0
    asked_again: int = 0  # requests or acknowledgements repeated after a second of silence
    restarts: int = 0  # transfers begun again after GIVE_UP seconds of silence
    seconds: float = 0.0


class _Transfer:
    """One client's transfer: stop and wait, blocks of 512 octets."""

    __slots__ = ("again", "block", "done", "heard", "last", "peer", "received", "sock", "to")

    def __init__(self, sock: socket.socket, server: tuple[str, int], request: bytes):
        self.sock = sock
        self.begin(server, request)

    def begin(self, server: tuple[str, int], request: bytes) -> None:
        self.to: tuple = server
        self.last = request
        self.peer: tuple | None = None
        self.block = 0
        self.received = 0
        self.done = False
        self.heard = self.again = time.monotonic()


def fetch(server: tuple[str, int], name: str, expected: bytes, clients: int, limit: float) -> Result:
    """Fetch `name` with that many clients at once; give up after `limit` seconds."""
    request = b"\0\1" + name.encode() + b"\0octet\0"
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    result = Result()
    selector = selectors.DefaultSelector()
    pending: set[_Transfer] = set()
    began = time.monotonic()
    for _ in range(clients):
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.bind((server[0], 0))
        sock.setblocking(False)
        transfer = _Transfer(sock, server, request)
        pending.add(transfer)
        selector.register(sock, selectors.EVENT_READ, transfer)
    for transfer in pending:
        transfer.sock.sendto(request, server)

    def end(transfer: _Transfer) -> None:
        pending.discard(transfer)
        selector.unregister(transfer.sock)
        transfer.sock.close()

    def receive(transfer: _Transfer, data: bytes, sender: tuple, now: float) -> None:
        if transfer.peer is None and data[:2] != b"\0\5":
            transfer.peer = transfer.to = sender
        elif transfer.peer is not None and sender != transfer.peer:
            transfer.sock.sendto(b"\0\5\0\5Unknown transfer ID\0", sender)
            return
        opcode = data[1]
        if opcode == ERROR:
            result.refused += 1
            end(transfer)
            return
        block = data[2] << 8 | data[3]
        if opcode != DATA or block != (transfer.block + 1) & 0xFFFF:
            if opcode == DATA and block == transfer.block & 0xFFFF:
                transfer.heard = now  # our acknowledgement was lost, or the block came twice
                transfer.sock.sendto(transfer.last, sender)
            return
        payload = memoryview(data)[4:]
        if payload != expected[transfer.received : transfer.received + len(payload)]:
            result.wrong += 1
            end(transfer)
            return
        transfer.block += 1
        transfer.received += len(payload)
        transfer.heard = transfer.again = now
        transfer.last = b"\0\4" + data[2:4]
        transfer.sock.sendto(transfer.last, sender)
        if len(payload) < 512:
            if transfer.received == len(expected):
                result.ok += 1
            else:
                result.wrong += 1
            end(transfer)

    look = began + AGAIN
    while pending and (now := time.monotonic()) < began + limit:
        for key, _ in selector.select(max(0.0, look - now)):
            transfer = key.data
            try:
                data, sender = transfer.sock.recvfrom(65535)
                receive(transfer, data, sender, now)
            except (BlockingIOError, ConnectionError):
                continue
        if now < look:
            continue
        look = now + 0.1
        for transfer in list(pending):
            if now - transfer.heard > GIVE_UP:
                result.restarts += 1
                transfer.begin(server, request)
                transfer.sock.sendto(request, server)
            elif now - transfer.again > AGAIN:
                result.asked_again += 1
                transfer.again = now
                transfer.sock.sendto(transfer.last, transfer.to)
    result.seconds = round(time.monotonic() - began, 2)
    result.unfinished = len(pending)
    for transfer in list(pending):
        end(transfer)
    selector.close()
    return result
