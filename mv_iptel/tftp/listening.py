"""The port that requests come to: opened, its buffer raised, answered from the address that was asked."""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from typing import Any, NamedTuple

from mv_iptel import ports
from mv_iptel.events import Listening, Stream
from mv_iptel.tftp.protocol import REQUEST_MAX

# 4 MiB hold 10,000 requests; the usual 208 KiB hold 256, and a boot storm loses the rest.
BUFFER = 4 << 20

_LINUX = sys.platform == "linux"
_SO_RCVBUFFORCE = 33
_IP_PKTINFO = 8  # socket.IP_PKTINFO exists from Python 3.12 on
# Fragments rather than "too big": a phone behind a tunnel has no use for path discovery.
_MTU_DISCOVER = {socket.AF_INET: (socket.IPPROTO_IP, 10), socket.AF_INET6: (socket.IPPROTO_IPV6, 23)}
_MTU_DONT = 0
_NONBLOCK = socket.SOCK_NONBLOCK if _LINUX else 0
_V4_INFO = struct.Struct("=i4s4s")  # interface, our address, destination in the header
_V6_INFO = struct.Struct("=16sI")


class Datagram(NamedTuple):
    """What came to the port. `local` is the address that was asked, packed; empty if it is not known."""

    data: bytes
    peer: tuple[Any, ...]
    local: bytes


class Listener:
    """One address and port of the server. `state` is up, off or failed; then `error` says why."""

    def __init__(self, address: str, port: int, stream: Stream):
        self.address = address
        self.wanted = port
        self.port = port
        self.state = "off"
        self.error = ""
        self.buffer = 0
        self.retry_at = float("inf")
        self.sock: socket.socket | None = None
        self.six = ":" in address
        self._stream = stream
        self._port_at = 0  # where in the range of ports the next transfer looks first
        self._taken = False  # the last attempt found the port taken
        self._any = address in ("0.0.0.0", "::")  # noqa: S104

    @property
    def name(self) -> str:
        """As events and the inventory call it."""
        return f"tftp:{self.port}"

    def open(self, now: float) -> bool:
        """Bind. False: the state is failed, or off where the host has no such address family."""
        family = socket.AF_INET6 if self.six else socket.AF_INET
        try:
            sock = socket.socket(family, socket.SOCK_DGRAM)
        except OSError as fault:
            return self._failed(fault, now)
        try:
            if self.six:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if _LINUX and self._any:
                if self.six:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
                else:
                    sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            self.buffer = raise_buffer(sock)
            sock.setblocking(False)
            sock.bind((self.address, self.wanted))
        except OSError as fault:
            sock.close()
            return self._failed(fault, now)
        self.sock = sock
        self._taken = False
        self.port = sock.getsockname()[1]
        self.retry_at = float("inf")
        self._turn("up")
        return True

    def close(self) -> None:
        """Stop listening."""
        if self.sock is not None:
            self.sock.close()
            self.sock = None
        self.retry_at = float("inf")
        self._turn("off")

    def receive(self) -> Datagram | None:
        """The next datagram, None if there is none. A longer one than a request may be is cut."""
        sock = self.sock
        if sock is None:
            return None
        try:
            if not (self._any and _LINUX):
                data, peer = sock.recvfrom(REQUEST_MAX + 1)
                return Datagram(data, peer, b"")
            data, ancillary, _, peer = sock.recvmsg(REQUEST_MAX + 1, 64)
        except OSError:  # nothing there, or a host that has gone
            return None
        local = b""
        for level, kind, value in ancillary:
            if level == socket.IPPROTO_IP and kind == _IP_PKTINFO and len(value) == _V4_INFO.size:
                local = value[4:8]  # the one to answer from: for a broadcast not the destination
            elif level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO and value[0] != 0xFF:
                local = value[:16]
        return Datagram(data, peer, local)

    def say(self, packet: bytes, peer: tuple[Any, ...], local: bytes) -> None:
        """Send one packet from this port and the address that was asked; lost if that cannot be."""
        if self.sock is None:
            return
        try:
            if len(local) == 4:
                info = socket.IPPROTO_IP, _IP_PKTINFO, _V4_INFO.pack(0, local, b"\0\0\0\0")
            elif len(local) == 16:
                info = socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, _V6_INFO.pack(local, peer[3])
            else:
                self.sock.sendto(packet, peer)
                return
            self.sock.sendmsg([packet], [info], 0, peer)
        except OSError:
            pass  # the client asks again

    def speaker(
        self, peer: tuple[Any, ...], local: bytes, ports: tuple[int, int] | None = None
    ) -> socket.socket:
        """A transfer's socket: it speaks from the address that was asked and hears only this client.

        Its port lies within `ports`. Raises OSError if there is no port or no descriptor left.
        """
        family = socket.AF_INET6 if self.six else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM | _NONBLOCK)
        try:
            if _LINUX:
                sock.setsockopt(*_MTU_DISCOVER[family], _MTU_DONT)
            else:
                sock.setblocking(False)
            if local or ports or not self._any:
                address = socket.inet_ntop(family, local) if local else self.address
                self._bind(sock, (address, 0, *peer[2:]), ports)
            sock.connect(peer)
        except OSError:
            sock.close()
            raise
        return sock

    def _bind(self, sock: socket.socket, place: tuple[Any, ...], ports: tuple[int, int] | None) -> None:
        if ports is None:
            sock.bind(place)
            return
        low, high = ports
        width = high - low + 1
        for step in range(width):
            try:
                sock.bind((place[0], low + (self._port_at + step) % width, *place[2:]))
            except OSError as fault:
                taken = fault
                continue
            self._port_at = (self._port_at + step + 1) % width
            return
        raise taken

    def told(self) -> dict[str, Any]:
        """For the status page."""
        return {
            "proto": "tftp",
            "address": self.address,
            "port": self.port,
            "state": self.state,
            "error": self.error,
            "tls": "",
            "buffer": self.buffer,
        }

    def _failed(self, fault: OSError, now: float) -> bool:
        if self.six and fault.errno in ports.NO_FAMILY and self._any:
            self.retry_at = float("inf")
            self._turn("off", "this host has no IPv6")
            return False
        text = os.strerror(fault.errno) if fault.errno else str(fault)
        self.retry_at = now + ports.RETRY
        if isinstance(fault, PermissionError):
            # Rights do not come back to a running process.
            self.retry_at = float("inf")
            text = ports.forbidden(self.wanted)
        elif fault.errno == errno.EADDRINUSE:
            if self._taken:
                return False  # who holds it was told; finding out would keep this thread from its transfers
            text = ports.taken(self.wanted, socket.SOCK_DGRAM)
        self._taken = fault.errno == errno.EADDRINUSE
        self._turn("failed", text)
        return False

    def _turn(self, state: str, error: str = "") -> None:
        if (state, error) == (self.state, self.error):
            return
        self.state, self.error = state, error
        buffer = self.buffer if state == "up" else 0
        self._stream.publish(Listening("tftp", self.address, self.port, state, error, buffer))


def raise_buffer(sock: socket.socket) -> int:
    """Ask for `BUFFER` octets of receive buffer; what the system granted (Linux counts double)."""
    for option in (_SO_RCVBUFFORCE, socket.SO_RCVBUF) if _LINUX else (socket.SO_RCVBUF,):
        try:
            sock.setsockopt(socket.SOL_SOCKET, option, BUFFER)
            break
        except OSError:  # the first needs CAP_NET_ADMIN
            continue
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
