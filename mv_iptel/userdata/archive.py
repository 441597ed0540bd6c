"""The archive: versions of earlier months, compressed, and removed only after that was read back.

Each step leaves the version in its folder, in the archive, or in both; what was interrupted is finished by
the next run. The same content gives the same octets, so a repeated copy changes nothing.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mv_iptel.userdata import versions
from mv_iptel.userdata.disk import Aside, hash_of, lasting_folder, open_file, sync_folder

if TYPE_CHECKING:
    from mv_iptel.config import Config


class Damaged(Exception):
    """A version does not hold what its name says, or the archive gave back something else."""


class Moved(NamedTuple):
    """The versions of one name that are safe in the archive now, with their octets there; and what failed."""

    done: versions.Sizes
    faults: list[str]
    full: bool = False  # the disk: going on makes no sense


def due(sizes: versions.Sizes, now: float) -> list[str]:
    """Those of these versions that belong into the archive, the oldest first."""
    month = f"{datetime.fromtimestamp(now, UTC):%Y%m}"
    return sorted(one for one in sizes if one[:6] < month)


def store(config: Config, name: str, ids: list[str], stop: Callable[[], bool]) -> Moved:
    """Put these versions of a name into the archive, lasting. The caller removes the versions then."""
    folder = versions.folder_of(config, name)
    written: versions.Sizes = {}
    faults: list[str] = []
    full = False
    for one in ids:
        if stop() or full:
            break
        target = versions.member_of(config, name, one)
        try:
            lasting_folder(target.parent)
            written[one] = _pack(folder / one, target, one[-8:])
        except FileNotFoundError:
            pass  # it was pruned meanwhile
        except Damaged as fault:
            faults.append(str(fault))
        except OSError as error:
            faults.append(f"{error.filename or target}: {error.strerror}")
            full = True
    months = {versions.member_of(config, name, one).parent for one in written}
    try:
        for month in months:
            sync_folder(month)
    except OSError as error:
        return Moved(
            {}, [*faults, f"{error.filename or versions.archive_of(config)}: {error.strerror}"], True
        )
    return Moved(written, faults, full)


def remove(config: Config, name: str, ids: list[str]) -> None:
    """Take versions out of their folder that the archive holds for certain. Raises OSError."""
    folder = versions.folder_of(config, name)
    for one in ids:
        (folder / one).unlink(missing_ok=True)


def _pack(source: Path, target: Path, sha8: str) -> int:
    """One version into its member; gives the member's octets when it was read back from there."""
    fd = open_file(source)
    with ExitStack() as undo:
        undo.callback(os.close, fd)
        found = os.fstat(fd)
        sha256 = hash_of(fd)
        if sha256[:8] != sha8:
            raise Damaged(
                f"{source} does not hold what its name says (sha256 {sha256[:8]}...); it stays there"
            )
        if _holds(target, sha256):
            _to_disk(target)
            return os.stat(target).st_size
        os.lseek(fd, 0, os.SEEK_SET)
        aside = Aside(target)
        undo.callback(aside.discard)
        # mtime 0 and no name: the same content gives the same octets
        with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=aside, mtime=0) as packed:  # type: ignore[call-overload]
            while data := os.read(fd, 1 << 20):
                packed.write(data)
        aside.finish(found.st_mtime_ns, found)
        if not _holds(aside.path, sha256):
            raise Damaged(f"{aside.path} does not read back as it was written; {source} stays")
        return aside.place().st_size


def _holds(path: Path, sha256: str) -> bool:
    """Whether this member gives back that content, from the disk where the system lets us."""
    told = hashlib.sha256()
    try:
        fd = open_file(path)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        with open(fd, "rb") as raw, gzip.GzipFile(fileobj=raw) as packed:
            while data := packed.read(1 << 20):
                told.update(data)
    except (OSError, EOFError, zlib.error):  # not there, or no gzip, or a broken one
        return False
    return told.hexdigest() == sha256


def _to_disk(path: Path) -> None:
    """A member that an interrupted run has left may not be synced."""
    fd = open_file(path)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
