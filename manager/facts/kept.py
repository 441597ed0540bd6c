"""Contents of files that are no scripts, kept when they are replaced or deleted.

Of scripts mv_iptel.history keeps them. `var/kept/<area>/<name>/<UTC stamp>-<8 hex>` is the file itself
under another name where the disk can do that:
firmware of some hundred MiB is not copied, and nobody waits.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from mv_iptel.history.copies import climbs
from mv_iptel.userdata.disk import lasting_folder, look, sync_folder
from mv_iptel.userdata.versions import stamp, time_of

COPIES = 10  # of one file
TOTAL = 4 << 30  # octets of all
_ID = re.compile(r"[0-9]{8}T[0-9]{6}\.[0-9]{6}Z-[0-9a-f]{8}\Z")


class Past(NamedTuple):
    """A content that a file had until `time`."""

    id: str
    time: float
    size: int


class Kept:
    """What lies beneath `base`."""

    def __init__(self, base: Path, now: Callable[[], float] = time.time, total: int = TOTAL):
        self._base, self._now, self._total = base, now, total

    def of(self, key: str) -> list[Past]:
        """The newest first; of a name that climbs nothing is kept."""
        found: list[Past] = []
        if climbs(key):
            return found
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self._base / key) as entries:
            for entry in entries:
                if _ID.match(entry.name) and entry.is_file(follow_symlinks=False):
                    size = entry.stat(follow_symlinks=False).st_size
                    found.append(Past(entry.name, time_of(entry.name), size))
        return sorted(found, reverse=True)

    def path(self, key: str, copy: str) -> Path | None:
        """Where one of them lies."""
        return next((self._base / key / one.id for one in self.of(key) if one.id == copy), None)

    def keep(self, key: str, path: Path) -> Past:
        """Keep what lies at `path` now. Raises OSError."""
        found = look(path)
        if found is None:
            raise FileNotFoundError(2, os.strerror(2), os.fspath(path))
        folder = self._base / key
        lasting_folder(folder)
        name = f"{stamp(int(self._now() * 1e6) * 1000)}-{secrets.token_hex(4)}"
        try:
            os.link(path, folder / name, follow_symlinks=False)
        except (OSError, NotImplementedError):  # another disk, or not ours to link to
            aside = folder / f".{name}.part"
            try:
                with path.open("rb") as source, aside.open("xb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
                    target.flush()
                    os.fsync(target.fileno())
                os.replace(aside, folder / name)
            except BaseException:
                aside.unlink(missing_ok=True)
                raise
        sync_folder(folder)
        return Past(name, time_of(name), found.st_size)

    def forget(self, key: str, copy: Past) -> None:
        """It was kept for a change that was not made."""
        (self._base / key / copy.id).unlink(missing_ok=True)

    def names(self, area: str) -> list[str]:
        """Every file of an area of which something is kept."""
        top = self._base / area
        found = []
        for folder, _, names in os.walk(top):
            if any(_ID.match(name) for name in names):
                found.append(Path(folder).relative_to(top).as_posix())
        return sorted(found)

    def prune(self) -> None:
        """Hold both bounds; the oldest go first, and of each file the newest stays the longest."""
        every: list[tuple[bool, str, Path, int]] = []
        for folder, _, names in os.walk(self._base):
            mine = sorted((name for name in names if _ID.match(name)), reverse=True)
            for at, name in enumerate(mine):
                path = Path(folder) / name
                if at >= COPIES:
                    path.unlink(missing_ok=True)
                    continue
                with suppress(OSError):
                    every.append((at == 0, name, path, path.stat().st_size))
        left = sum(size for *_, size in every)
        for *_, path, size in sorted(every):
            if left <= self._total:
                return
            path.unlink(missing_ok=True)
            left -= size
