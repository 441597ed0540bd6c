"""The history of one name: a line for each accepted change, who made it and how we know."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from mv_iptel import files
from mv_iptel.userdata.disk import make_folder, own_like

FILE = "history.jsonl"
MOST = 256 << 10  # octets; then the older half goes
_TAIL = 8 << 10
_FLAGS = (os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
          | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))  # fmt: skip


class Change(NamedTuple):
    """One accepted change. `how` as in the store's `Origin`."""

    time: float
    op: str  # store, delete or restore
    sha8: str = ""
    size: int = 0
    address: str = ""
    mac: str = ""
    model: str = ""
    proto: str = ""
    how: str = ""


def append(folder: Path, change: Change) -> Iterator[Change]:
    """Add a line; gives the last few changes before it, the newest first. Raises OSError.

    It is not synced: a crash may cost the last lines, never data.
    """
    before = b""
    try:
        fd = os.open(folder / FILE, _FLAGS, 0o660)
    except FileNotFoundError:
        make_folder(folder)
        fd = os.open(folder / FILE, _FLAGS, 0o660)
    try:
        size = os.fstat(fd).st_size
        line = json.dumps(change._asdict(), separators=(",", ":")).encode() + b"\n"
        if not size:
            own_like(fd, os.stat(folder))
            if hasattr(os, "fchmod"):
                with suppress(PermissionError):  # a crash has left it empty, and it is another user's
                    os.fchmod(fd, 0o660)  # a restore by root must not lock the service out
        else:
            os.lseek(fd, max(0, size - _TAIL), os.SEEK_SET)
            before = os.read(fd, _TAIL)
            if before[-1:] != b"\n":
                line = b"\n" + line  # the end of a line that a full disk or a crash has cut
        os.write(fd, line)
    finally:
        os.close(fd)
    if size > MOST:
        _shorten(folder / FILE)
    return _newest(before)


def changes(folder: Path) -> list[Change]:
    """All changes that are known, the oldest first. A broken line is skipped."""
    try:
        data = (folder / FILE).read_bytes()
    except OSError:
        return []
    return [change for line in data.split(b"\n") if (change := _parse(line)) is not None]


def latest(folder: Path) -> list[Change]:
    """The last few changes, the newest first; reads little."""
    try:
        with open(folder / FILE, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            return list(_newest(file.read()))
    except OSError:
        return []


def stored_by(changes: Iterable[Change], sha8: str, moment: float) -> Change:
    """Who stored this content: the same one may have been stored twice, so the store nearest to that time."""
    stores = [change for change in changes if change.sha8 == sha8 and change.op != "delete"]
    return min(stores, key=lambda change: abs(change.time - moment), default=Change(0.0, ""))


def _newest(tail: bytes) -> Iterator[Change]:
    return (change for line in reversed(tail.split(b"\n")) if (change := _parse(line)) is not None)


def _parse(line: bytes) -> Change | None:
    with suppress(ValueError, TypeError, RecursionError):
        told: dict[str, Any] = json.loads(line)
        change = Change(**{key: told[key] for key in Change._fields if key in told})
        if isinstance(change.time, int | float) and all(isinstance(one, str) for one in change[4:]):
            return change
    return None


def _shorten(path: Path) -> None:
    with suppress(OSError):
        data = path.read_bytes()
        half = data.index(b"\n", len(data) // 2) + 1
        files.replace(path, data[half:], 0o660, sync=False)
