"""Phones for scans: agents at 127/8 addresses on one socket that tell what they run, or misbehave."""

from __future__ import annotations

import random
import selectors
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress

from tests.snmp.wire import Asked, oid, tlv
from tests.snmp.wire import text as octets

AVAYA = "1.3.6.1.4.1.6889"
SYS_OBJECT = "1.3.6.1.2.1.1.2.0"
COMMUNITY = "ourstring"
PKTINFO = getattr(socket, "IP_PKTINFO", 8)  # Linux; the module does not name it before Python 3.12
FAULTS = ("garbage", "another id", "late error", "huge", "path", "flood", "half", "stranger")


def j100(model="J179", software="FW_S_J179_R4_1_3_0_6.bin", ext="4711", **more) -> dict[str, bytes]:
    """What a J100 with SIP has."""
    return {
        SYS_OBJECT: oid(f"{AVAYA}.1.69.6.1"), f"{AVAYA}.2.69.6.1.52.0": octets(model),
        f"{AVAYA}.2.69.6.1.4.0": octets(software), f"{AVAYA}.2.69.6.7.27.0": octets(ext), **more,
    }  # fmt: skip


def sip96x0(software="SIP96xx_2_6_17_0.bin", group=0, mac="00:04:0d:00:00:01", **more) -> dict[str, bytes]:
    """What a 96x0 with SIP has: it alone tells its GROUP."""
    at = f"{AVAYA}.2.69.4"
    return {
        SYS_OBJECT: oid(f"{AVAYA}.1.69.4.1"), f"{at}.1.52.0": octets("9640D01A"),
        f"{at}.1.4.0": octets(software), f"{at}.1.50.0": octets(mac),
        f"{at}.1.31.0": tlv(2, group.to_bytes(2, "big")), f"{at}.1.7.0": octets("hb.bin"), **more,
    }  # fmt: skip


class Field:
    """`with Field({address: objects or a fault}) as field:`; an address that is not there is silent."""

    def __init__(self, phones: Mapping[str, dict[str, bytes] | str]):
        self._phones = phones
        self.asked: dict[str, float] = {}  # address -> when it was asked first
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.setsockopt(socket.IPPROTO_IP, PKTINFO, 1)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._sock.bind(("", 0))
        self._sock.setblocking(False)
        self.port = self._sock.getsockname()[1]
        self._ends, self._end = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="field", daemon=True)

    def __enter__(self) -> Field:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.send(b"x")
        self._thread.join(10)
        for sock in (self._sock, self._ends, self._end):
            sock.close()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._sock, selectors.EVENT_READ)
            selector.register(self._ends, selectors.EVENT_READ)
            while not any(key.fileobj is self._ends for key, _ in selector.select()):
                with suppress(BlockingIOError):
                    while True:
                        data, extra, _, peer = self._sock.recvmsg(4096, 128)
                        self._answer(data, extra, peer)

    def _answer(self, data: bytes, extra: list, peer: tuple[str, int]) -> None:
        [info] = [value for level, kind, value in extra if (level, kind) == (socket.IPPROTO_IP, PKTINFO)]
        address = socket.inet_ntoa(info[8:12])
        self.asked.setdefault(address, time.monotonic())
        phone = self._phones.get(address)
        if phone is None:
            return
        here = bytes(4) + info[8:12] + bytes(4)  # the answer leaves from the address that was asked
        for reply in replies(phone, Asked.read(data)):
            with suppress(OSError):  # who asked has gone
                self._sock.sendmsg([reply], [(socket.IPPROTO_IP, PKTINFO, here)], 0, peer)


def replies(phone: dict[str, bytes] | str, asked: Asked) -> list[bytes]:
    """What an agent sends back; a fault is one of FAULTS."""
    good = j100()
    if isinstance(phone, dict):
        return [asked.answer(phone)]
    if phone == "garbage":
        return [random.randbytes(random.randrange(200)) for _ in range(3)]
    if phone == "another id":
        return [asked.answer(good, number=asked.number ^ 1)]
    if phone == "late error":
        return [
            asked.answer(
                good if SYS_OBJECT in asked.objects else {}, error=5 * (SYS_OBJECT not in asked.objects)
            )
        ]
    if phone == "huge":
        return [asked.answer(j100(software="x" * 5000, model="9" * 9000))]
    if phone == "path":
        return [asked.answer(j100(software="../../x", model="J179", ext="../../etc"))]
    if phone == "flood":
        return [b"\x30\x03\x02\x01\x01"] * 50
    if phone == "half":
        return [asked.answer(good)[:-7]]
    assert phone == "stranger"
    return [asked.answer({SYS_OBJECT: oid("1.3.6.1.4.1.8072.3.2.10")})]
