"""The phone's half of an FTP session as bytes, without any I/O: log in, one transfer, goodbye.

For the storm, whose loop never waits; a single phone uses ftplib. Passive data connections only.
"""

from __future__ import annotations

import re
from collections.abc import Generator

MAX_LINE = 16 << 10  # octets of an answer, all its lines together
_PASSIVE = re.compile(r"(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3})")

Reply = tuple[int, str]


class Client:
    """One session, fed with what the control connection brings.

    Once `port` is not 0 the data connection goes to that port of the server: `connected` says that it
    stands, `drained` that all octets went over it and it is closed. Octets of a body may go out once
    `flowing`. `outcome` is empty until the end, then ok, refused or failed, with `detail`.
    """

    def __init__(self, file: str, store: bool, directory: str = ""):
        self.port = 0
        self.flowing = False
        self.outcome = ""
        self.detail = ""
        self._out = b""
        self._in = b""
        self._lines: list[str] = []
        self._drained = False
        self._waits = ""  # for the data connection: until it is connected, or drained
        self._session = self._play(file, store, directory)
        next(self._session)

    def to_send(self) -> bytes:
        """What goes out on the control connection now."""
        out, self._out = self._out, b""
        return out

    def receive(self, data: bytes) -> None:
        """Take what came on the control connection; empty: the server closed it."""
        if not data and not self.outcome:
            self._end("failed", "the server closed the connection")
        self._in += data
        while not self.outcome and b"\n" in self._in:
            line, _, self._in = self._in.partition(b"\n")
            text = line.rstrip(b"\r").decode("utf-8", "replace")
            self._lines.append(text)
            first = self._lines[0]
            if not re.match(r"[1-5]\d\d[ -]", first + " "):
                self._end("failed", "an answer that is no FTP")
            elif text[:3] == first[:3] and text[3:4] != "-":
                whole = " ".join(each[4:] if each[:3] == first[:3] else each for each in self._lines)
                self._lines = []
                self._next((int(first[:3]), f"{first[:3]} {whole}".strip()))
        if len(self._in) + sum(map(len, self._lines)) > MAX_LINE:
            self._end("failed", "an answer without an end")

    def connected(self) -> None:
        """The data connection stands."""
        if self._waits == "connected":
            self._next(None)

    def drained(self) -> None:
        """Everything went over the data connection, and it is closed."""
        self._drained = True
        if self._waits == "drained":
            self._next(None)

    def _play(
        self, file: str, store: bool, directory: str
    ) -> Generator[bytes, Reply | None, tuple[str, str]]:
        """Commands out, replies in; then what became of it."""
        reply = yield b""
        steps = [(b"USER anonymous", (230, 331)), (b"PASS phone", (230, 202))]
        if directory:
            steps.append((b"CWD " + directory.encode(), (250, 200)))
        steps += [(b"TYPE I", (200,)), (b"PASV", (227,))]
        wanted: tuple[int, ...] = (220,)
        known = False
        for command, then in steps:
            if reply is None or reply[0] not in wanted:
                return "refused", _said(reply)
            known = known or reply[0] == 230
            if known and command.startswith(b"PASS"):
                continue
            reply = yield command
            wanted = then
        if reply is None or reply[0] not in wanted:
            return "refused", _said(reply)
        place = _PASSIVE.search(reply[1])
        if place is None:
            return "failed", "a 227 that names no port"
        self.port = int(place[5]) * 256 + int(place[6])
        self._waits = "connected"
        yield b""
        reply = yield (b"STOR " if store else b"RETR ") + file.encode()
        if reply is None or reply[0] not in (125, 150):
            return "refused", _said(reply)
        self.flowing = True
        reply = yield b""
        if reply is None or reply[0] not in (226, 250):
            return "refused", _said(reply)
        if not self._drained:
            self._waits = "drained"
            yield b""
        self._out += b"QUIT\r\n"  # its answer interests no phone
        return "ok", _said(reply)

    def _next(self, reply: Reply | None) -> None:
        if self._waits and reply is not None:
            # Nothing was asked: the server ends the session, such as 421 for its own reasons.
            self._end("refused", _said(reply))
            return
        self._waits = ""
        try:
            command = self._session.send(reply)
        except StopIteration as stop:
            self._end(*stop.value)
            return
        if command:
            self._out += command + b"\r\n"

    def _end(self, outcome: str, detail: str) -> None:
        self.outcome, self.detail = outcome, detail
        self._waits = ""
        self._session.close()


def _said(reply: Reply | None) -> str:
    text = reply[1] if reply else ""
    return "".join(char if char.isprintable() else " " for char in text)[:200]
