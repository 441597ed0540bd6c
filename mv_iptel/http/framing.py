"""Where a request's body ends: by its length or in chunks, strictly: two readings are an attack."""

from __future__ import annotations

import re

MAX_HEAD = 16 << 10  # octets of request line and header lines together
MAX_BODY = 1 << 20  # octets of a request's body that are read away; what is longer ends the connection
MAX_CHUNK_LINE = 256  # octets of one chunk-size line

_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?")


class ProtocolError(Exception):
    """These bytes are no HTTP/1.x that can be answered in its order: say 400 and close.

    The text is for the operator; `name` is what was asked for, as far as that was clear.
    """

    def __init__(self, text: str, name: bytes = b""):
        super().__init__(text)
        self.name = name


class Counted:
    """A body whose length the head said."""

    def __init__(self, length: int):
        self.done = not length
        self.count = 0  # octets of content so far
        self.rest = b""  # what came and was not used: behind the end, it belongs to the next message
        self.over = False  # as `Chunks.over`; the length itself was looked at before
        self._left = length

    def receive(self, data: bytes) -> bytes:
        """The content in `data`."""
        content = data[: self._left]
        self._left -= len(content)
        self.count += len(content)
        self.done = not self._left
        self.rest = data[len(content) :]
        return content


class Chunks:
    """The chunked coding, decoded strictly (RFC 9112 section 7.1): a wrong length is an attack."""

    def __init__(self, limit: int = MAX_BODY):
        self.done = False
        self.count = 0  # octets of content so far
        self.rest = b""  # what came and was not used: behind the end, it belongs to the next message
        self._limit = limit
        self._left = 0  # octets of the current chunk still to come
        self._ending = False  # the chunk's CRLF is due
        self._trailer = False
        self._overhead = 0

    @property
    def over(self) -> bool:
        """Whether more came than was to be read."""
        return self.count > self._limit or self._overhead > MAX_HEAD

    def receive(self, data: bytes) -> bytes:
        """The content in `data`. Raises `ProtocolError`."""
        data = self.rest + data if self.rest else data
        at = 0
        content = []
        while not self.done and not self.over:
            if self._left:
                piece = data[at : at + self._left]
                if not piece:
                    break
                at += len(piece)
                self._left -= len(piece)
                self.count += len(piece)
                self._ending = not self._left
                content.append(piece)
                continue
            if self._ending:
                if data[at : at + 2] != b"\r\n"[: len(data) - at]:
                    raise ProtocolError("a chunk is longer than it said")
                if len(data) - at < 2:
                    break
                at += 2
                self._ending = False
                continue
            end = data.find(b"\r\n", at, at + MAX_CHUNK_LINE + 2)
            if end < 0:
                if len(data) - at > MAX_CHUNK_LINE:
                    raise ProtocolError("a chunk without a length")
                break
            line = data[at:end]
            at = end + 2
            self._overhead += len(line) + 2 if self._trailer or b";" in line else 0
            if self._trailer:
                self.done = not line
                continue
            size = _CHUNK.fullmatch(line)
            if size is None:
                raise ProtocolError("a chunk whose length is no number")
            self._left = int(size[1], 16)
            self._trailer = not self._left
        self.rest = data[at:]
        return b"".join(content)
