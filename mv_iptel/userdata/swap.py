"""The one way a current file changes: what it held is linked into its versions, then the new one is renamed.

A crash at any step leaves the old content or the new one as current, and whatever was replaced in the
versions. Two processes may do it at once (a phone stores while an administrator restores): each prepares by
itself and looks, under `var/lock` and just before the rename, whether the file is still the one it prepared
for. So nobody waits for another's disk, and no content is dropped unseen.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from mv_iptel.library.answers import Reason, Refuse
from mv_iptel.library.contents import Key, etag_of, key_of
from mv_iptel.turn import away
from mv_iptel.userdata.disk import (
    Aside,
    hash_of,
    lasting_folder,
    locked,
    look,
    open_file,
    refusal,
    sync_folder,
)
from mv_iptel.userdata.versions import stamp

_ETAG = re.compile(r'(W/)?"([^"]*)"')
_TRIES = 20  # a file that changes so often under our hands is somebody's loop
_REMEMBERED = 20_000
_DAY_NS = 86_400_000_000_000
# What this process has put in place and synced: as long as the key is the same, its hash is known.
_placed: dict[Path, tuple[Key, str]] = {}
# Where a hard link cannot be made: another file system, one without links, a file of another owner.
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOSYS, errno.EINVAL,
            getattr(errno, "ENOTSUP", errno.EXDEV), getattr(errno, "EOPNOTSUPP", errno.EXDEV)}  # fmt: skip


class Places(NamedTuple):
    """Where one name's data lies: the current file, the folder of its versions, and the lock."""

    current: Path
    versions: Path
    lock: Path


class Swapped(NamedTuple):
    """What became of it: `old` and `new` are None where there was or is no file."""

    old: os.stat_result | None
    new: os.stat_result | None
    same: bool = False
    version: str = ""  # the name that the old content has now among the versions


def unmet(match: str, name: str, found: os.stat_result | None) -> Refuse | None:
    """Why an If-Match condition does not hold for what is there now; None: it holds, or there is none."""
    if not match:
        return None
    if found is None:
        return Refuse(Reason.CHANGED, f"If-Match {match[:80]!r}: there is no {name}")
    now = etag_of(name, found)
    # A weak tag never matches (RFC 9110 13.1.1).
    if match.strip() == "*" or any(not weak and tag == now for weak, tag in _ETAG.findall(match)):
        return None
    return Refuse(Reason.CHANGED, f'If-Match {match[:80]!r}: {name} is "{now}" now')


def swap(
    places: Places,
    new: Aside | None,
    sha256: str,
    match: str,
    also: Callable[[], Refuse | None] | None,
    now: Callable[[], float],
) -> Swapped | Refuse:
    """Put `new` in place of the current file, or with None remove it. Nothing is left over after a Refuse."""
    version = found = None
    try:
        for _ in range(_TRIES):
            found = look(places.current)
            refuse = unmet(match, places.current.name, found)
            if refuse is None and found is None and new is None:
                refuse = Refuse(Reason.NO_FILE, f"there is no {places.current}")
            if refuse is not None:
                return refuse
            old_sha = ""
            if found is not None:
                found, old_sha = _hashed(places.current, found)
            if found is not None and new is not None and old_sha == sha256:
                if also is not None and (refuse := _elsewhere(also)) is not None:
                    return refuse
                sync_folder(places.current.parent)
                return Swapped(found, found, True)
            if new is not None:
                new.finish(_later(now, found), found)
            if found is not None:
                version = _keep(places, found, old_sha)
                if version is None:
                    continue
            if also is not None:
                if (refuse := _elsewhere(also)) is not None:
                    return refuse
                also = None  # once, whatever happens below
            with locked(places.lock):
                if _still(places.current, found) and (version is None or version.exists()):
                    if new is not None:
                        placed = new.place()
                        _placed[places.current] = (key_of(placed), sha256)
                    else:
                        os.unlink(places.current)
                        placed = None
                    kept, version = version, None  # from here on it is the only place of that content
                    break
            _drop(places, version, found)
            version = None
        else:
            return Refuse(Reason.FAULT, f"{places.current} keeps changing")
        sync_folder(places.current.parent)
        return Swapped(found, placed, version=kept.name if kept is not None else "")
    except OSError as error:
        return refusal(error, places.current)
    except Exception as error:  # what `also` does; its words may hold a secret
        return Refuse(Reason.FAULT, f"{places.current} was not changed: {type(error).__name__}")
    finally:
        _drop(places, version, found)
        if new is not None:
            new.discard()


def _hashed(current: Path, found: os.stat_result) -> tuple[os.stat_result | None, str]:
    """The state and hash of what is there; None if it is gone since."""
    known = _placed.get(current)
    if known is not None and known[0] == key_of(found):
        return found, known[1]
    if len(_placed) > _REMEMBERED:
        _placed.clear()
    try:
        fd = open_file(current)
    except FileNotFoundError:
        return None, ""
    try:
        found = os.fstat(fd)
        told = hash_of(fd)
        if abs(time.time() - found.st_ctime) < 60 and os.name == "posix":
            with away():
                os.fsync(fd)  # perhaps not written by us, and not on the disk yet
        return found, told
    finally:
        os.close(fd)


def _elsewhere(also: Callable[[], Refuse | None]) -> Refuse | None:
    """It computes a password, or waits for a lock: others go on meanwhile."""
    with away():
        return also()


def _later(now: Callable[[], float], found: os.stat_result | None) -> int:
    """The time of the new content: after the old one's, or two changes in one tick had one ETag.

    A file that claims to come from the far future does not draw the others along.
    """
    at = int(now() * 1_000_000) * 1000
    if found is not None and at <= found.st_mtime_ns < at + _DAY_NS:
        return (found.st_mtime_ns // 1000 + 1) * 1000
    return at


def _keep(places: Places, found: os.stat_result, sha256: str) -> Path | None:
    """Give the current content a lasting name among the versions. None: it is not current any more."""
    folder = places.versions
    lasting_folder(folder)
    at = found.st_mtime_ns
    while True:
        version = folder / f"{stamp(at)}-{sha256[:8]}"
        try:
            os.link(places.current, version, follow_symlinks=False)
        except FileExistsError:
            if _content(version) == sha256:  # a crash came between its link and its rename
                break
            at += 1000
            continue
        except FileNotFoundError:
            if look(places.current) is None:
                return None
            raise
        except (OSError, NotImplementedError) as error:
            if isinstance(error, OSError) and error.errno not in _NO_LINK:
                raise
            if not _copy(places.current, version, found, sha256):
                return None
        else:
            there = os.lstat(version)
            if (there.st_dev, there.st_ino) != (found.st_dev, found.st_ino):
                os.unlink(version)
                return None
        break
    try:
        sync_folder(folder)
    except OSError:
        _drop(places, version, found)
        raise
    return version


def _content(path: Path) -> str:
    fd = open_file(path)
    try:
        return hash_of(fd)
    finally:
        os.close(fd)


def _copy(current: Path, version: Path, found: os.stat_result, sha256: str) -> bool:
    """A version that cannot be a link. False: the file changed while it was read."""
    told = hashlib.sha256()
    with ExitStack() as undo:
        fd = open_file(current)
        undo.callback(os.close, fd)
        aside = Aside(version)
        undo.callback(aside.discard)
        while data := os.read(fd, 1 << 20):
            told.update(data)
            aside.write(data)
        if told.hexdigest() != sha256:
            return False
        aside.finish(found.st_mtime_ns, found)
        aside.place()
    return True


def _still(current: Path, found: os.stat_result | None) -> bool:
    there = look(current)
    if there is None or found is None:
        return there is found
    # ctime does not count: the link that was just made changed it
    return (there.st_dev, there.st_ino, there.st_size, there.st_mtime_ns) == (
        found.st_dev,
        found.st_ino,
        found.st_size,
        found.st_mtime_ns,
    )


def _drop(places: Places, version: Path | None, found: os.stat_result | None) -> None:
    """Take back a version that was prepared for a change that did not come.

    Only while its content is still the current one: else another process has made its change, and counts on
    this same version.
    """
    if version is None:
        return
    with suppress(OSError), locked(places.lock):
        there, twin = look(places.current), os.lstat(version)
        if there is not None and ((there.st_dev, there.st_ino) == (twin.st_dev, twin.st_ino)
                                  or _still(places.current, found)):  # fmt: skip
            os.unlink(version)
