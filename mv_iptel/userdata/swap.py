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
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from mv_iptel.library.answers import Reason, Refuse
from mv_iptel.library.contents import Key, etag_of, key_of
from mv_iptel.turn import away
from mv_iptel.userdata.disk import (
    Aside,
    hash_file,
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


class Change:
    """One change on its way: `new` takes the place of the current file, or with None that is removed.

    `outcome` is what became of it. The steps are `swap`'s.
    """

    __slots__ = ("also", "found", "match", "new", "old_sha", "outcome", "placed", "places", "same", "sha256",
                 "version")  # fmt: skip

    def __init__(
        self,
        places: Places,
        new: Aside | None,
        sha256: str,
        match: str = "",
        also: Callable[[], Refuse | None] | None = None,
    ):
        self.places, self.new, self.sha256, self.match = places, new, sha256, match
        self.also = also  # run just before it takes its place; it may refuse
        self.found: os.stat_result | None = None  # the current file
        self.old_sha = ""
        self.same = False  # the new content is there already
        self.version: Path | None = None  # a second name for the old content that may have to go again
        self.placed: os.stat_result | None = None
        self.outcome: Swapped | Refuse | None = None

    def look(self, now: Callable[[], float]) -> None:
        """What is there, and whether it may be changed."""
        current, new = self.places.current, self.new
        found, self.old_sha = look(current), ""
        refuse = unmet(self.match, current.name, found)
        if refuse is None and found is None and new is None:
            refuse = Refuse(Reason.NO_FILE, f"there is no {current}")
        if found is not None and refuse is None:
            found, self.old_sha = _hashed(current, found)
        self.found, self.outcome = found, refuse
        self.same = found is not None and new is not None and self.old_sha == self.sha256
        if refuse is None and new is not None and not self.same:
            new.settle(_later(now, found), found)

    def keep(self) -> None:
        """Give the current content a second name, among the versions, if it is still current."""
        if self.found is not None and not self.same:
            self.version = _keep(self.places, self.found, self.old_sha)

    def sync_version(self) -> None:
        """Make that name last."""
        if self.version is not None:
            sync_folder(self.places.versions)

    def remember(self) -> None:
        """Once, whatever happens afterwards. It computes a password, or waits for a lock: others go on."""
        also, self.also = self.also, None
        if also is not None:
            with away():
                self.outcome = also()

    def place(self) -> None:
        """The change itself, under the lock, if nobody else has made one since we looked."""
        current = self.places.current
        if self.same or not _still(current, self.found):
            return
        if self.found is not None and (self.version is None or not self.version.exists()):
            return
        if self.new is not None:
            self.placed = self.new.place()
            _placed[current] = (key_of(self.placed), self.sha256)
        else:
            os.unlink(current)
        name = self.version.name if self.version is not None else ""
        self.version = None  # from here on it is the only place of that content
        self.outcome = Swapped(self.found, self.placed, version=name)

    def again(self) -> None:
        """Take back what was prepared for a change that did not come."""
        _drop(self.places, self.version, self.found)
        self.version = None

    def fail(self, error: Exception) -> None:
        """It is refused."""
        if isinstance(error, OSError):
            self.outcome = refusal(error, self.places.current)
        else:  # what `also` does; its words may hold a secret
            text = f"{self.places.current} was not changed: {type(error).__name__}"
            self.outcome = Refuse(Reason.FAULT, text)


def swap(changes: Sequence[Change], now: Callable[[], float]) -> None:
    """Make these changes of different names, and say in each what became of it.

    Each step is done for all before the next one: the disk's journal is written once for many then. Nothing
    is left over of a change that was refused.
    """
    try:
        for _ in range(_TRIES):
            open_ = [one for one in changes if one.outcome is None]
            if not open_:
                break
            _try(open_, now)
        for one in changes:
            if one.outcome is None:
                one.outcome = Refuse(Reason.FAULT, f"{one.places.current} keeps changing")
    finally:
        for one in changes:
            one.again()
            if one.new is not None:
                one.new.discard()


def _try(changes: Sequence[Change], now: Callable[[], float]) -> None:
    _each(changes, lambda one: one.look(now))
    asides = [one for one in changes if one.new is not None and not one.same]
    with away():
        if len(asides) > 1:
            _each(asides, lambda one: one.new.hurry())
        _each(asides, lambda one: one.new.sync())
    _each(changes, Change.keep)
    with away():
        _each(changes, Change.sync_version)
    _each(changes, Change.remember)
    for lock in dict.fromkeys(one.places.lock for one in changes if one.outcome is None and not one.same):
        ours = [one for one in changes if one.places.lock == lock]
        try:
            with locked(lock):
                _each(ours, Change.place)
        except OSError as error:
            for one in ours:
                if one.outcome is None:
                    one.fail(error)
    _lasting(changes)
    for one in changes:
        if one.outcome is None:
            one.again()


def _lasting(changes: Sequence[Change]) -> None:
    """Make what was renamed last, and what was there already."""
    done = [one for one in changes if isinstance(one.outcome, Swapped) or (one.same and one.outcome is None)]
    for folder in dict.fromkeys(one.places.current.parent for one in done):
        ours = [one for one in done if one.places.current.parent == folder]
        try:
            sync_folder(folder)
        except OSError as error:
            for one in ours:
                one.fail(error)
        else:
            for one in ours:
                if one.same:
                    one.outcome = Swapped(one.found, one.found, True)


def _each(changes: Sequence[Change], step: Callable[[Change], None]) -> None:
    for one in changes:
        if one.outcome is None:
            try:
                step(one)
            except Exception as error:
                one.fail(error)


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


def _later(now: Callable[[], float], found: os.stat_result | None) -> int:
    """The time of the new content: after the old one's, or two changes in one tick had one ETag.

    A file that claims to come from the far future does not draw the others along.
    """
    at = int(now() * 1_000_000) * 1000
    if found is not None and at <= found.st_mtime_ns < at + _DAY_NS:
        return (found.st_mtime_ns // 1000 + 1) * 1000
    return at


def _keep(places: Places, found: os.stat_result, sha256: str) -> Path | None:
    """A second name, among the versions, for the current content. None: it is not current any more."""
    folder = places.versions
    lasting_folder(folder)
    at = found.st_mtime_ns
    while True:
        version = folder / f"{stamp(at)}-{sha256[:8]}"
        try:
            os.link(places.current, version, follow_symlinks=False)
        except FileExistsError:
            if hash_file(version) == sha256:  # a crash came between its link and its rename
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
    return version


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
