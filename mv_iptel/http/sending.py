"""The rest of one answer that the socket did not take at once: octets from memory, then a big file."""

from __future__ import annotations

import os
import socket

from mv_iptel.library.contents import Body

FILE_TURN = 4 << 20  # octets of a file that the kernel is asked to send in one turn of the loop
TLS_TURN = 512 << 10  # the same where they are encrypted,
TLS_SLICE = 64 << 10  # so many at once: what the socket does not take is read again

# TLS encrypts from here. One for all connections, which are served one at a time.
_slice = memoryview(bytearray(TLS_SLICE))


class Changed(Exception):
    """The file was changed in place, or cannot be read: what is left would not fit what went."""


class Sending:
    """What is left of an answer. `sent` counts the octets of its body that are with the kernel."""

    __slots__ = ("_at", "_body", "_out", "_stop", "_top", "sent")

    def __init__(self, body: Body | None = None, start: int = 0, stop: int = 0):
        """A big file from `start` up to `stop`, or nothing but what `begin` is told."""
        self.sent = 0
        self._out: memoryview | None = None  # head, refusal or small file: what is left of it
        self._top = 0  # octets of the head in `_out` that are left, so that only the body is counted
        self._body = body
        self._at = start
        self._stop = stop

    def begin(self, out: bytes, top: int, sent: int) -> None:
        """`out` goes first, and `sent` octets of it have gone; its first `top` are no content."""
        self._out = memoryview(out)
        self._top = top
        self._count(sent)

    @property
    def done(self) -> bool:
        """Whether all of it is with the kernel."""
        return self._out is None and self._body is None

    def push(self, sock: socket.socket, secure: bool) -> None:
        """Send what the socket takes now. Raises OSError, and `Changed`."""
        if self._out is not None:
            self._count(sock.send(self._out))
        if self._out is None and self._body is not None:
            self._push_file(sock, self._body, secure)

    def _count(self, sent: int) -> None:
        """`sent` more octets of `_out` are with the kernel."""
        assert self._out is not None
        self._out = self._out[sent:] if sent < len(self._out) else None
        body = sent - self._top
        if body > 0:
            self._top = 0
            self.sent += body
        else:
            self._top = -body

    def _push_file(self, sock: socket.socket, body: Body, secure: bool) -> None:
        """What of a big file the socket takes in one turn; then other connections have theirs."""
        if not body.fresh():
            raise Changed
        if secure:
            turn = min(self._stop, self._at + TLS_TURN)
            while self._at < turn:
                self._count_file(self._push_slice(sock, body, min(turn - self._at, TLS_SLICE)))
        else:
            size = min(self._stop - self._at, FILE_TURN)
            self._count_file(os.sendfile(sock.fileno(), body.fd, self._at, size))
        if self._at == self._stop:
            self._body = None

    def _push_slice(self, sock: socket.socket, body: Body, size: int) -> int:
        """Encrypt and send some octets. Read, not mapped: a map of a file that shrinks ends the process."""
        view = _slice[:size]
        try:
            got = os.preadv(body.fd, [view], self._at)
        except OSError as error:
            raise Changed from error
        if got != size:
            raise Changed
        return sock.send(view)

    def _count_file(self, sent: int) -> None:
        if not sent:
            raise Changed  # the file has become shorter
        self._at += sent
        self.sent += sent
