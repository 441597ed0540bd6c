"""Copies of files on the disk: one folder a file, one copy a change, and an end to it.

`<base>/<key>/<UTC stamp>-<sha8>` holds a content; the stamp is when it came to be, as far as that is known.
`<UTC stamp>-removed` is empty and says that the file was gone then. A key is `HTTPdata/46xxsettings.txt`.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from mv_iptel.userdata.disk import Aside, lasting_folder, locked, open_file, remove_parts, sync_folder
from mv_iptel.userdata.versions import stamp, time_of

REMOVED = "removed"
_ID = re.compile(r"[0-9]{8}T[0-9]{6}\.[0-9]{6}Z-(?:[0-9a-f]{8}|removed)\Z")
_PIECE = 1 << 20


class Copy(NamedTuple):
    """One content that a file had, or the moment when it was removed."""

    id: str
    time: float
    size: int
    sha8: str  # `removed` where there was no file any more

    @property
    def gone(self) -> bool:
        return self.sha8 == REMOVED


class Limits(NamedTuple):
    """How much is kept. The newest content of a file always stays."""

    copies: int = 200  # of one file
    octets: int = 64 << 20  # of one file
    total: int = 1 << 30  # with a little more between two counts
    files: int = 20_000  # a folder with a file for each phone's MAC


def climbs(key: str) -> bool:
    """Whether a key would lead elsewhere than beneath the folder it is looked for in."""
    return any(part in ("", ".", "..") for part in key.replace("\\", "/").split("/"))


class Copies:
    """All copies beneath `base`; `lock` is the home's, held for a rename only."""

    def __init__(self, base: Path, lock: Path, limits: Limits = Limits()):  # noqa: B008 - it is frozen
        self.base = base
        self._lock = lock
        self._limits = limits
        self._keys: set[str] | None = None
        self._octets = 0  # of all copies, as far as it was counted, and what was added since
        self._look = limits.total  # beyond it they are counted again

    def files(self) -> list[str]:
        """Every file of which there are copies."""
        found = set()
        for folder, _, names in os.walk(self.base):
            if any(_ID.match(name) for name in names):
                found.add(Path(folder).relative_to(self.base).as_posix())
        self._keys = found
        return sorted(found)

    def of(self, key: str) -> list[Copy]:
        """What is kept of one file, the newest first; of a name that climbs nothing is."""
        found: list[Copy] = []
        if climbs(key):
            return found
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.base / key) as entries:
            for entry in entries:
                if _ID.match(entry.name) and entry.is_file(follow_symlinks=False):
                    with suppress(FileNotFoundError):
                        size = entry.stat(follow_symlinks=False).st_size
                        found.append(
                            Copy(entry.name, time_of(entry.name), size, entry.name.partition("-")[2])
                        )
        return sorted(found, reverse=True)

    def read(self, key: str, copy: str) -> bytes:
        """The content of one copy. Raises OSError."""
        fd = open_file(self.base / key / copy)
        try:
            return b"".join(iter(lambda: os.read(fd, _PIECE), b""))
        finally:
            os.close(fd)

    def keep(self, key: str, data: bytes, changed: float, now: float) -> Copy | None:
        """Keep a content that is there now; None if the newest copy is the same. Raises OSError.

        `changed` is the file's own time. It counts unless it is not after the newest copy's: then the file
        was put back, and what is known is only that it is so `now`.
        """
        newest = next(iter(self.of(key)), None)
        if newest is not None and self._is(key, newest, data):
            return None
        changed = min(max(changed, 0.0), now)  # a file may have any time, of which a stamp cannot be made
        self._room(key, len(data), now)
        folder = self.base / key
        sha8 = hashlib.sha256(data).hexdigest()[:8]
        lasting_folder(folder)
        aside = Aside(folder / "copy")
        try:
            aside.write(data)
            aside.finish(int(changed * 1e9))
            with locked(self._lock):  # two processes may have seen the same change
                newest = next(iter(self.of(key)), None)
                if newest is not None and self._is(key, newest, data):
                    return None
                made = f"{_after(newest, changed, now)}-{sha8}"
                aside.target = folder / made
                aside.place()
        finally:
            aside.discard()
        sync_folder(folder)
        self._prune(key)
        return Copy(made, time_of(made), len(data), sha8)

    def gone(self, key: str, now: float) -> Copy | None:
        """Note that a file of which there are copies is not there any more; None if that is known."""
        with locked(self._lock):
            newest = next(iter(self.of(key)), None)
            if newest is None or newest.gone:
                return None
            made = f"{_after(newest, now, now)}-{REMOVED}"
            aside = Aside(self.base / key / made)
            try:
                aside.finish(int(now * 1e9))
                aside.place()
            finally:
                aside.discard()
        sync_folder(self.base / key)
        return Copy(made, time_of(made), 0, REMOVED)

    def prune(self, now: float) -> int:
        """Hold the bound of all copies together, and clear away what a crash left; gives the octets kept."""
        every: list[tuple[str, str, int]] = []
        total = 0
        for key in self.files():
            remove_parts(self.base / key, now - 3600)
            kept = self.of(key)
            total += sum(copy.size for copy in kept)
            newest = next((copy.id for copy in kept if not copy.gone), "")
            every += [(copy.id, key, copy.size) for copy in kept if copy.id != newest]
        for name, key, size in sorted(every):
            if total <= self._limits.total:
                break
            if size:
                self._drop(key, name)
                total -= size
        self._octets, self._look = total, max(total, self._limits.total) + self._limits.total // 16
        return total

    def _is(self, key: str, copy: Copy, data: bytes) -> bool:
        if copy.gone or copy.size != len(data) or copy.sha8 != hashlib.sha256(data).hexdigest()[:8]:
            return False
        try:
            return self.read(key, copy.id) == data
        except OSError:
            return False  # a damaged copy is none

    def _room(self, key: str, size: int, now: float) -> None:
        """Count what comes. Raises OSError for a file without a copy, where there is no room for more."""
        if self._keys is None:
            self.prune(now)
        if self._octets + size > self._look:
            self.prune(now)
        assert self._keys is not None
        if key not in self._keys:
            if len(self._keys) >= self._limits.files:
                self._forget(max(1, self._limits.files // 16))
            if len(self._keys) >= self._limits.files:
                raise OSError(errno.EDQUOT, f"{len(self._keys)} files have copies already", key)
            if self._octets + size > self._limits.total + self._limits.total // 16:
                raise OSError(errno.EDQUOT, f"copies have {self._octets >> 20} MiB already", key)
        self._keys.add(key)
        self._octets += size

    def _forget(self, count: int) -> None:
        """Drop all copies of the files that have been gone for the longest."""
        assert self._keys is not None
        gone = [(kept[0].id, key) for key in self._keys if (kept := self.of(key)) and kept[0].gone]
        for _, key in sorted(gone)[:count]:
            for copy in self.of(key):
                self._drop(key, copy.id)
            with suppress(OSError):
                os.rmdir(self.base / key)
            self._keys.discard(key)

    def _prune(self, key: str) -> None:
        kept = self.of(key)
        newest = next((copy.id for copy in kept if not copy.gone), "")
        octets = sum(copy.size for copy in kept)
        while len(kept) > self._limits.copies or octets > self._limits.octets:
            spare = [at for at, copy in enumerate(kept) if copy.id != newest]
            if octets > self._limits.octets:
                spare = [at for at in spare if kept[at].size]
            if not spare:
                return
            copy = kept.pop(max(spare, key=lambda at: _needless(kept, at)))
            self._drop(key, copy.id)
            octets -= copy.size

    def _drop(self, key: str, name: str) -> None:
        with suppress(OSError):
            os.unlink(self.base / key / name)


def _after(newest: Copy | None, at: float, now: float) -> str:
    """The stamp of what came to be at `at`, but after the newest copy, and not in the future."""
    nanoseconds = int(min(at, now) * 1e6) * 1000
    if newest is None or stamp(nanoseconds) > newest.id:
        return stamp(nanoseconds)
    nanoseconds = int(now * 1e6) * 1000
    if stamp(nanoseconds) > newest.id:
        return stamp(nanoseconds)
    return stamp(round(newest.time * 1e6) * 1000 + 1000)  # the clock was set back


def _needless(kept: list[Copy], at: int) -> float:
    """How little a copy is missed: it is old, and others lie near it. Kept is the newest first.

    So a file that something changes each second still has what it was yesterday, and an hour ago.
    """
    newer, older = kept[max(0, at - 1)], kept[min(len(kept) - 1, at + 1)]
    return (kept[0].time - kept[at].time + 1) / (newer.time - older.time + 1)


def choose(kept: list[Copy], wanted: str) -> Iterator[Copy]:
    """The copies whose time or checksum begins with `wanted`."""
    for copy in kept:
        if copy.id.startswith(wanted) or (copy.sha8.startswith(wanted.lower()) and not copy.gone):
            yield copy
