"""The agent's half of SNMP, written by hand: nothing of ours, and nothing of the library's that ours uses."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from typing import NamedTuple

INTEGER, OCTETS, NULL, OID, SEQUENCE, GET, RESPONSE = 0x02, 0x04, 0x05, 0x06, 0x30, 0xA0, 0xA2
NO_SUCH_OBJECT, NO_SUCH_INSTANCE = b"\x80\0", b"\x81\0"


def tlv(tag: int, *parts: bytes) -> bytes:
    """Tag, length, value."""
    data = b"".join(parts)
    size = len(data)
    if size < 0x80:
        return bytes((tag, size)) + data
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + data


def integer(number: int) -> bytes:
    return tlv(INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True))


def text(data: bytes | str) -> bytes:
    return tlv(OCTETS, data.encode() if isinstance(data, str) else data)


def oid(dotted: str) -> bytes:
    first, second, *others = (int(part) for part in dotted.split("."))
    data = b""
    for arc in (first * 40 + second, *others):
        septets = [arc & 0x7F]
        while arc := arc >> 7:
            septets.append(0x80 | arc & 0x7F)
        data += bytes(reversed(septets))
    return tlv(OID, data)


def parts(data: bytes) -> Iterable[tuple[int, bytes]]:
    """(tag, value) of what stands in a row."""
    while data:
        tag, size, at = data[0], data[1], 2
        if size & 0x80:
            at += size & 0x7F
            size = int.from_bytes(data[2:at], "big")
        yield tag, data[at : at + size]
        data = data[at + size :]


def dotted(data: bytes) -> str:
    arcs, arc = [], 0
    for octet in data:
        arc = arc << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(arc)
            arc = 0
    return ".".join(str(arc) for arc in (arcs[0] // 40, arcs[0] % 40, *arcs[1:]))


class Asked(NamedTuple):
    """A request as an agent reads it."""

    version: int
    community: bytes
    number: int
    objects: list[str]

    @classmethod
    def read(cls, data: bytes) -> Asked:
        ((_, message),) = parts(data)
        (_, version), (_, community), (kind, pdu) = parts(message)
        assert kind == GET
        (_, number), _, _, (_, binds) = parts(pdu)
        names = []
        for _, bind in parts(binds):
            (_, name), (value, _) = parts(bind)
            assert value == NULL
            names.append(dotted(name))
        return cls(version[0], community, int.from_bytes(number, "big"), names)

    def answer(self, values: dict[str, bytes], error: int = 0, index: int = 0, **other: object) -> bytes:
        """The response: `values` are encoded already; what is not there is noSuchObject (null in version 1).

        `other` replaces version, community, number, objects or kind.
        """
        kind = other.pop("kind", RESPONSE)
        said = self._replace(**other)
        nothing = NO_SUCH_OBJECT if said.version else tlv(NULL)
        binds = (tlv(SEQUENCE, oid(name), values.get(name, nothing)) for name in said.objects)
        pdu = tlv(kind, integer(said.number), integer(error), integer(index), tlv(SEQUENCE, *binds))
        return tlv(SEQUENCE, integer(said.version), text(said.community), pdu)


class Responder:
    """A thread at a UDP port: `react(data, reply)` for each datagram; `reply(data)` sends to who asked."""

    def __init__(self, react: Callable[[bytes, Callable[[bytes], object]], object], port: int = 0):
        self._react = react
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.sock.bind(("127.0.0.1", port))
        self.port: int = self.sock.getsockname()[1]
        self.seen: list[tuple[bytes, tuple]] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Responder:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.sock.getsockname())
        self._thread.join(10)
        self.sock.close()

    def _run(self) -> None:
        while True:
            data, sender = self.sock.recvfrom(65535)
            if self._stopping:
                return
            self.seen.append((data, sender))
            self._react(data, lambda out, to=sender: self.sock.sendto(out, to))
