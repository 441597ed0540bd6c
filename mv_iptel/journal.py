"""Writes what happened as lines: readable text or JSON, in files of limited size.

The text form is stable, for people, grep and fail2ban (docs/status.md describes it):

    TIME #NUMBER LISTENER PEER OUTCOME NAME ... for a request
    TIME !       LISTENER PEER KIND    ...      for anything else

No phone can break a line or forge a column: a name never holds a blank or a control character.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mv_iptel.events import Event, Finished, Listening, Notice, Reloaded, Started, Stopped

if TYPE_CHECKING:
    from mv_iptel.config import Settings

NAME_LIMIT = 200
TEXT_LIMIT = 500
# With DetailedLog=0 the same refusal again within this time is counted, not written.
REPEAT_SECONDS = 10.0
REPEATS_HELD = 4096
RETRY_SECONDS = 1.0
PARTS_HELD = 1024
MILLIS = tuple(f".{number:03d}" for number in range(1001))


class Journal:
    """A listener that writes one line per event, one write per batch.

    A disk that takes nothing stops nobody: lines are counted in `lost`, it is said once, and each
    second it is tried again. `publish` takes the notice of that.
    """

    def __init__(
        self,
        path: os.PathLike[str] | str,
        max_bytes: int = 20 << 20,
        files: int = 10,
        form: str = "text",
        detailed: bool = True,
        publish: Callable[[Event], None] = lambda event: None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.path = os.fspath(path)
        self.max_bytes = max_bytes  # 0: no limit
        self.files = files  # how many older files are kept: PATH.1 is the newest of them
        self.form = form
        self.detailed = detailed
        self.publish = publish
        self.clock = clock
        self.lost = 0
        self._line = _json if form == "json" else _Text().line
        self._fd = -1
        self._size = 0
        self._identity = (0, 0)
        self._torn = False  # the last line was only partly written
        self._failed = False
        self._retry_at = 0.0
        # (peer, proto, name, reason) -> [time of the first, times again, the last one]
        self._repeats: dict[tuple[str, str, str, str], list[Any]] = {}

    @classmethod
    def of(cls, settings: Settings) -> Journal:
        """The journal that `[Settings]` asks for."""
        return cls(
            settings.log_file, settings.log_max_bytes, settings.log_files, settings.log_format,
            settings.detailed_log,
        )  # fmt: skip

    def configure(self, settings: Settings) -> None:
        """Follow changed settings from the next batch on. Call it on any thread."""
        self.max_bytes, self.files = settings.log_max_bytes, settings.log_files
        self.detailed = settings.detailed_log
        if settings.log_format != self.form:
            self.form = settings.log_format
            self._line = _json if self.form == "json" else _Text().line
        self.path = os.fspath(settings.log_file)  # noticed like a file that was moved away

    # the stream's thread

    def receive(self, batch: list[Event]) -> None:
        """Write a batch."""
        line = self._line
        if self.detailed:
            lines = [line(event, 0) for event in batch]
        else:
            lines = []
            for event in batch:
                if type(event) is not Finished or event.outcome != "refused" or not self._repeated(event):
                    lines.append(line(event, 0))
        if lines:
            self._write(lines)

    def tick(self, now: float) -> None:
        """Write how often left-out refusals came again, once their time is over. `now`: since the epoch."""
        if not self._repeats:
            return
        lines = []
        for key, (first, again, last) in list(self._repeats.items()):
            if not 0 <= now - first < REPEAT_SECONDS:
                del self._repeats[key]
                if again:
                    lines.append(self._line(last, again))
        if lines:
            self._write(lines)

    def close(self) -> None:
        """Write what was held back and close the file."""
        self.tick(float("inf"))
        self._close()

    def _repeated(self, event: Finished) -> bool:
        key = (event.peer, event.proto, event.name, event.reason)
        held = self._repeats.get(key)
        if held is None:
            if len(self._repeats) >= REPEATS_HELD:
                self.tick(float("inf"))
            self._repeats[key] = [event.time, 0, event]
            return False
        held[1] += 1
        held[2] = event
        return True

    def _write(self, lines: list[str]) -> None:
        if self._failed and self.clock() < self._retry_at:
            self.lost += len(lines)
            return
        data = ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace")
        if self._torn:
            data = b"\n" + data
        try:
            self._ready(len(data))
            view = memoryview(data)
            while view:
                written = os.write(self._fd, view)
                self._size += written
                view = view[written:]
                self._torn = True
            self._torn = False
        except OSError as fault:
            self.lost += len(lines)
            self._failing(fault)
            return
        if self._failed:
            self._failed = False
            text = f"the journal is written again; {self.lost} lines were lost"
            self.publish(Notice("journal", text, "info", self.path))

    def _failing(self, fault: OSError) -> None:
        self._close()
        self._retry_at = self.clock() + RETRY_SECONDS
        if not self._failed:
            self._failed = True
            text = f"the journal cannot be written: {fault.strerror or fault}; serving goes on"
            self.publish(Notice("journal", text, "error", self.path))

    def _ready(self, coming: int) -> None:
        """Have the file open that is at `path` now, with room for `coming` octets."""
        if self._fd >= 0 and self._moved():
            self._close()
        if self._fd < 0:
            self._open()
        if self.max_bytes and self._size and self._size + coming > self.max_bytes:
            self._rotate()

    def _moved(self) -> bool:
        """Whether another program moved the file away (or `path` is another one now)."""
        try:
            stat = os.stat(self.path)
        except OSError:
            return True
        return (stat.st_dev, stat.st_ino) != self._identity

    def _open(self) -> None:
        if folder := os.path.dirname(self.path):
            os.makedirs(folder, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
        self._fd = os.open(self.path, flags, 0o640)
        stat = os.fstat(self._fd)
        self._identity = (stat.st_dev, stat.st_ino)
        self._size = stat.st_size

    def _rotate(self) -> None:
        self._close()
        if self.files <= 0:
            os.unlink(self.path)
        else:
            for number in range(self.files - 1, 0, -1):
                with contextlib.suppress(FileNotFoundError):
                    os.replace(f"{self.path}.{number}", f"{self.path}.{number + 1}")
            os.replace(self.path, f"{self.path}.1")
        self._open()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def record(event: Event) -> dict[str, Any]:
    """An event as the plain dictionary that JSON lines and live events carry."""
    if type(event) is Finished:
        return {
            "time": round(event.time, 3), "id": event.id, "event": "finished", "proto": event.proto,
            "listener": event.listener, "peer": event.peer, "mac": event.mac, "ext": event.ext,
            "model": event.model, "version": event.version, "name": event.name, "file": event.file,
            "outcome": event.outcome, "reason": event.reason, "bytes": event.bytes,
            "seconds": round(event.seconds, 6), "resends": event.resends, "blksize": event.blksize,
            "window": event.window, "detail": event.detail, "source": event.source, "line": event.line,
            "identified": event.identified, "agent": event.agent, "op": event.op,
        }  # fmt: skip
    fields = {name: getattr(event, name) for name in event.__dataclass_fields__}
    return {"time": round(fields.pop("time"), 3), "event": event.event, **fields}


def plain(text: str, limit: int = TEXT_LIMIT) -> str:
    """A text made harmless for a line: what is not printable becomes an escape, and it has an end."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escape(one) for one in text)


def word(text: str, limit: int = NAME_LIMIT) -> str:
    """A text as one word, without blanks; `-` if it is empty. A backslash is doubled."""
    if text.isprintable() and " " not in text and "\\" not in text and 0 < len(text) <= limit:
        return text
    if not text:
        return "-"
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return "".join(
        "\\\\" if one == "\\" else one if one.isprintable() and one != " " else _escape(one) for one in text
    )


def _place(event: Finished | Notice) -> str:
    """The file that decided, with the line if one did."""
    line = f":{event.line}" if event.line else ""
    return f" {word(event.source, 300)}{line}" if event.source else ""


def _escape(one: str) -> str:
    code = ord(one)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json(event: Event, again: int) -> str:
    fields = record(event)
    if again:
        fields["again"] = again
    return json.dumps(fields, separators=(",", ":"))


class _Text:
    """The text form.

    What the lines of a storm share is formatted once: the second, and per kind of request the part from
    listener to name and the phone. This listener runs for every request, beside the servers.
    """

    def __init__(self) -> None:
        self._second = -1
        self._date = self._zone = ""
        self._parts: dict[tuple[str, ...], tuple[str, str]] = {}

    def line(self, event: Event, again: int) -> str:
        """One line, without its end."""
        if type(event) is not Finished:
            return self._other(event)
        outcome = event.outcome
        key = (
            event.listener, event.peer, outcome, event.name, event.mac, event.ext, event.model, event.version,
            event.file, event.reason, event.op,
        )  # fmt: skip
        parts = self._parts.get(key)
        if parts is None:
            parts = self._part(key, event)
        middle, phone = parts
        when = event.time
        second = int(when)
        if second != self._second:
            self._clock(second)
        start = f"{self._date}{MILLIS[int((when - second) * 1000)]}{self._zone} #{event.id:<8} {middle}"
        if outcome == "refused":
            place = _place(event)
            repeated = f" again={again}" if again else ""
            return f"{start} {plain(event.detail).strip() or '-'}{place}{repeated}{phone}"
        if event.proto == "tftp":
            phone = f" blksize={event.blksize} window={event.window} resends={event.resends}{phone}"
        if event.detail and outcome != "ok":
            phone += f" {plain(event.detail)}"
        return f"{start} {event.bytes} B {event.seconds:.3f} s{phone}"

    def _part(self, key: tuple[str, ...], event: Finished) -> tuple[str, str]:
        name = word(event.name)
        middle = f"{event.listener:<9} {event.peer:<15} {event.outcome:<7} {name}"
        phone = "".join(
            f" {label}={word(value, 60)}"
            for label, value in (
                ("mac", event.mac), ("ext", event.ext), ("model", event.model), ("version", event.version),
            )
            if value
        )  # fmt: skip
        if event.outcome == "refused":
            middle += f" {word(event.reason, 40)}"
        elif event.file and not event.file.endswith(event.name):
            phone = f" file={word(event.file, 300)}{phone}"  # an fxd_ file or another letter case
        if event.op != "read":
            phone = f" op={word(event.op, 40)}{phone}"  # the octets came from the phone, or the file went
        if len(self._parts) >= PARTS_HELD:
            self._parts.clear()
        self._parts[key] = (middle, phone)
        return middle, phone

    def _clock(self, second: int) -> None:
        try:
            local = time.localtime(second)
        except (OverflowError, ValueError, OSError):
            local = time.gmtime(0)
        self._date = time.strftime("%Y-%m-%dT%H:%M:%S", local)
        zone = time.strftime("%z", local)
        self._zone = f"{zone[:3]}:{zone[3:5]}"
        self._second = second

    def _time(self, when: float) -> str:
        second = int(when)
        if second != self._second:
            self._clock(second)
        return f"{self._date}{MILLIS[int((when - second) * 1000)]}{self._zone}"

    def _other(self, event: Event) -> str:
        where, peer, rest = "-", "-", ""
        if isinstance(event, Notice):
            peer = word(event.peer)
            rest = f"{event.level} {word(event.kind, 40)} {plain(event.text)}{_place(event)}"
        elif isinstance(event, Listening):
            where = f"{event.proto}:{event.port}"
            rest = f"{event.state} on {event.address}"
            rest += f" buffer={event.buffer}" if event.buffer else ""
            rest += f" {plain(event.tls)}" if event.tls else ""
            rest += f": {plain(event.error)}" if event.error else ""
        elif isinstance(event, Reloaded):
            rest = f"{'ok' if event.ok else 'refused'} {word(event.file, 300)} generation={event.generation}"
            rest += "".join(f"; {plain(finding, 300)}" for finding in event.findings[:20])
            if event.restart:
                rest += f"; restart needed for {plain(', '.join(event.restart))}"
        elif isinstance(event, Started):
            rest = f"version {plain(event.version)} in {word(event.home, 300)}"
            if event.legacy:
                rest += f"; LEGACY: {plain(', '.join(event.legacy))}"
        elif isinstance(event, Stopped):
            rest = plain(event.why)
        return f"{self._time(event.time)} {'!':<9} {where:<9} {peer:<15} {event.event:<7} {rest}"
