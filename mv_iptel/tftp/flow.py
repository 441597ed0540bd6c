"""One transfer as the server holds it: its packets, its socket, the session that answers for it."""

from __future__ import annotations

import socket
import struct
import sys

from mv_iptel.library import Request, Serve, Session
from mv_iptel.tftp.image import Image, Ring
from mv_iptel.tftp.listening import Listener
from mv_iptel.tftp.protocol import Ask, Packet, Source, Terms, Transfer

_SOL_UDP, _UDP_SEGMENT = 17, 103


class Flow(Transfer):
    """A transfer and everything that is given back when it ends."""

    __slots__ = (
        "answer",
        "ask",
        "began",
        "epoch",
        "fd",
        "gso",
        "id",
        "image",
        "key",
        "listener",
        "request",
        "rival",
        "session",
        "sock",
        "unsent",
    )

    def __init__(self, source: Source, terms: Terms, now: float, sock: socket.socket | None):
        super().__init__(source, terms, now)
        self.sock = sock  # None: it speaks from the server's own port
        self.fd = sock.fileno() if sock is not None else -1
        # How to hand a whole window to the kernel; empty: one packet at a time.
        gso = sys.platform == "linux" and terms.window > 1 and sock is not None
        self.gso = [(_SOL_UDP, _UDP_SEGMENT, struct.pack("=H", terms.blksize + 4))] if gso else []
        self.unsent: list[Packet] = []  # what the socket's buffer had no room for
        self.rival: Flow | None = None  # another transfer of the same client's port, see Server._rivals
        self.began = now
        # The rest is set by the server; a test of the packets alone needs none of it.
        self.id = 0
        self.epoch = 0.0
        self.key: tuple = ()
        self.image: Image | Ring | None = None
        self.ask: Ask | None = None
        self.request: Request | None = None
        self.answer: Serve | None = None
        self.session: Session | None = None
        self.listener: Listener | None = None
