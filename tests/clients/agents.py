"""The SNMP agents of many phones at once, on one socket: the address that was asked says which phone.

For proofs with hundreds of phones; where a few will do, net-snmp's snmpd (snmpd.py) is the better witness.
"""

from __future__ import annotations

import ipaddress
import selectors
import socket
import threading
from collections.abc import Callable

from pyasn1.codec.ber import decoder, encoder
from pysnmp.proto import api

from tests.clients.snmpd import OBJECTS, SYS_OBJECT

V2C = api.PROTOCOL_MODULES[api.SNMP_VERSION_2C]
PKTINFO = getattr(socket, "IP_PKTINFO", 8)  # Linux; the module does not name it before Python 3.12

Says = Callable[[str], tuple[str, str, str]]


class Agents:
    """`with Agents(says) as agents:`; `says(address)` gives extension, type and family of the phone there."""

    def __init__(self, says: Says):
        self._says = says
        self.asked = 0
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.setsockopt(socket.IPPROTO_IP, PKTINFO, 1)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._sock.bind(("", 0))
        self._sock.setblocking(False)
        self.port = self._sock.getsockname()[1]
        self._ends, self._end = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="agents", daemon=True)

    def __enter__(self) -> Agents:
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
            while True:
                if any(key.fileobj is self._ends for key, _ in selector.select()):
                    return
                try:
                    data, extra, _, peer = self._sock.recvmsg(2048, 128)
                except BlockingIOError:
                    continue
                self._answer(data, extra, peer)

    def _answer(self, data: bytes, extra: list, peer: tuple[str, int]) -> None:
        [info] = [value for level, kind, value in extra if (level, kind) == (socket.IPPROTO_IP, PKTINFO)]
        self.asked += 1
        reply = self._reply(data, str(ipaddress.ip_address(info[8:12])))
        here = bytes(4) + info[8:12] + bytes(4)  # the answer leaves from the address that was asked
        try:
            self._sock.sendmsg([reply], [(socket.IPPROTO_IP, PKTINFO, here)], 0, peer)
        except ConnectionRefusedError:
            pass  # an earlier answer found nobody there: the server had been killed

    def _reply(self, data: bytes, address: str) -> bytes:
        ext, model, family = self._says(address)
        system, ext_object, type_object = OBJECTS[family]
        said = {ext_object: ext, type_object: model}
        message, _ = decoder.decode(data, asn1Spec=V2C.Message())
        asked = V2C.apiMessage.get_pdu(message)
        reply = V2C.apiMessage.get_response(message)
        pairs = []
        for oid, _ in V2C.apiPDU.get_varbinds(asked):
            name = str(oid)
            if name == SYS_OBJECT:
                pairs.append((oid, V2C.ObjectIdentifier(system)))
            elif name in said:
                pairs.append((oid, V2C.OctetString(said[name])))
            else:
                pairs.append((oid, V2C.NoSuchInstance("")))
        V2C.apiPDU.set_varbinds(V2C.apiMessage.get_pdu(reply), pairs)
        return encoder.encode(reply)
