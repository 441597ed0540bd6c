"""Listening ports: one way to open them, and who has one that is taken."""

from __future__ import annotations

import errno
import os
import socket

import psutil

RETRY = 30.0  # seconds between attempts at a port that is taken (DESIGN section 4)
# A host without IPv6 says one of these to `::`.
NO_FAMILY = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})

_ANY = ("0.0.0.0", "::")  # noqa: S104


def listen(address: str, port: int, backlog: int) -> socket.socket:
    """A TCP socket that listens there and does not block. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Without it closed connections look like a holder; on Windows it would let two servers share a port.
        if os.name == "posix":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted sockets inherit it
        sock.bind((address, port))
        sock.listen(backlog)  # on Linux two may bind with the option above, only one may listen
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def holder(port: int, kind: int, besides: int = 0, address: str = "") -> tuple[int, str]:
    """(process, name) of who has a port; (0, "") when this user may not see it.

    `kind` is socket.SOCK_STREAM or SOCK_DGRAM. The process `besides` is passed over: it may have the port on
    one address while another process has it on the next. With `address` only those count who are in the way
    there. It looks at every process, which takes some tens of
    milliseconds.
    """
    try:
        connections = psutil.net_connections("udp" if kind == socket.SOCK_DGRAM else "tcp")
    except (psutil.Error, OSError):
        return 0, ""
    for one in connections:
        taken = one.laddr and one.laddr.port == port and one.pid != besides
        if not taken or not _clash(address, one.laddr.ip):
            continue
        if one.pid and (kind == socket.SOCK_DGRAM or one.status == psutil.CONN_LISTEN):
            try:
                return one.pid, psutil.Process(one.pid).name()
            except psutil.Error:
                return one.pid, "a process that just ended"
    return 0, ""


def _clash(one: str, other: str) -> bool:
    return not one or one == other or one in _ANY or other in _ANY


def taken(port: int, kind: int) -> str:
    """What a listener says of a port that it did not get: "port 80 is taken by nginx (process 812); …"."""
    pid, name = holder(port, kind)
    who = f"{name} (process {pid})" if pid else "another process"
    return f"port {port} is taken by {who}; tried again every {RETRY:.0f} s"


def forbidden(port: int) -> str:
    """What a listener says of a port that this process has no right to."""
    mend = "restart needed, as root or with the capability to bind low ports"
    return f"this process may not open port {port}: {mend}"
