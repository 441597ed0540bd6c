"""Taking an archive in: it becomes a release that is staged or refused, and nothing of it reaches a phone.

While the worker reads it the record says `arriving`, and `var/releases/ID/.lock` is held; who finds an
`arriving` release that nobody holds cleans it away.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from mv_iptel.config import Config
from mv_iptel.firmware import releases
from mv_iptel.firmware.archives import Limits, Refused
from mv_iptel.firmware.names import shown, wrong
from mv_iptel.firmware.placing import directories
from mv_iptel.firmware.releases import (
    ARRIVING,
    PLACES,
    REFUSED,
    REMOVED,
    ROLES,
    SHA256,
    STAGED,
    File,
    Release,
    Releases,
)
from mv_iptel.firmware.unpacking import Unpacked
from mv_iptel.firmware.worker import Failed, Worker
from mv_iptel.firmware.working import Busy, alone
from mv_iptel.home import Home
from mv_iptel.turn import away
from mv_iptel.userdata.disk import (
    NotAFile,
    hash_file,
    look,
    make_folder,
    open_lock,
    settle,
    sync_folder,
    take_lock,
    write_record,
)

KEEP_REFUSED = 50  # records of archives that were refused
WAIT = 3600.0  # seconds for another process that takes the same archive
_INTAKE, _LOCK, _SUM = ".arriving", ".lock", "archive.sha256"
_STEM = re.compile(r"(?:\.tar)?\.(?:zip|tar|gz|tgz|exe)\Z", re.IGNORECASE)


class Progress(NamedTuple):
    """How far it is: `what` is hashing, looking, unpacking or keeping; octets of the archive."""

    archive: str
    what: str
    done: int
    total: int


def ident(name: str, sha256: str) -> str:
    """The id of the release that an archive of this file name and hash becomes."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", _STEM.sub("", name)).strip("-._")[:80].rstrip("-._")
    return f"{stem or 'archive'}-{sha256[:8]}"


def take(
    config: Config,
    archive: Path,
    source: str,
    progress: Callable[[Progress], None] = lambda _: None,
    now: Callable[[], float] = time.time,
    limits: Limits | None = None,
    name: str = "",
) -> Release:
    """Take an archive in; gives the release, `staged` or `refused`. What is there already is given back.

    `name` is the archive's own, where the file has another one. Raises OSError where the disk fails.
    """
    name = name or archive.name
    _is_file(archive)
    with Worker(archive, limits) as worker:
        sha256, size = worker.hash(lambda *told: progress(Progress(shown(name), *told)))
        if not SHA256.fullmatch(sha256):
            raise Failed(errno.EIO, "unpacking ended early")
        one = Release(ident(name, sha256), ARRIVING, source, shown(name), now(), now(), size=size)
        kept = Releases(config.home)
        folder = kept.folder / one.id
        with _held(folder):
            there = kept.get(one.id)
            if there is not None and there.state not in (ARRIVING, REFUSED, REMOVED):
                return _known(folder, there, sha256)
            _begin(kept, folder, one, sha256)
            try:
                user = os.stat(kept.folder)
                files, left_out = worker.unpack(
                    folder / _INTAKE,
                    directories(config),
                    (user.st_uid, user.st_gid),
                    lambda *told: progress(Progress(shown(name), *told)),
                )
                _honest(folder / _INTAKE, files)
                progress(Progress(shown(name), "keeping", size, size))
                sound = _sound(kept, files)
                with alone(config.home):
                    _keep(kept, folder / _INTAKE, files, sound)
                    one = _staged(one, files, left_out, now())
                    kept.put(one)
            except Refused as error:
                one = one.to(REFUSED, now(), f"{error}")
                kept.put(one)
            except BaseException:
                _forget(folder)
                raise
            shutil.rmtree(folder / _INTAKE, ignore_errors=True)
    if one.state == REFUSED:
        _prune(kept)
    return one


def clean(home: Home) -> list[str]:
    """Remove what a crash left of releases that were arriving; gives their ids. Raises OSError."""
    kept = Releases(home)
    gone = []
    with contextlib.suppress(FileNotFoundError):
        for ident_ in sorted(os.listdir(kept.folder)):
            folder = kept.folder / ident_
            if not releases.ID.fullmatch(ident_) or not _unfinished(kept, folder):
                continue
            with contextlib.suppress(Busy), _held(folder, 0):
                if not _unfinished(kept, folder):
                    continue
                one = kept.get(ident_)
                if one is None or one.state == ARRIVING:
                    _forget(folder)
                    gone.append(ident_)
                else:
                    shutil.rmtree(folder / _INTAKE, ignore_errors=True)
    return gone


def _is_file(archive: Path) -> None:
    """Raises OSError for what is no file: opening a pipe would wait for ever."""
    if not stat.S_ISREG(os.stat(archive).st_mode):
        raise NotAFile(archive, "something else")


def _known(folder: Path, there: Release, sha256: str) -> Release:
    """The release that is there. Eight digits of a hash can be made to agree: then it is another archive."""
    known = ""
    with contextlib.suppress(FileNotFoundError):
        known = (folder / _SUM).read_text("ascii", "replace").strip()
    if known not in ("", sha256):
        text = f"{there.id} is another archive with the same beginning of its sum; rename this one"
        raise Failed(errno.EEXIST, text)
    return there


def _begin(kept: Releases, folder: Path, one: Release, sha256: str) -> None:
    shutil.rmtree(folder / _INTAKE, ignore_errors=True)
    kept.put(one)
    write_record(folder / _SUM, sha256.encode() + b"\n")
    make_folder(folder / _INTAKE)


def _honest(folder: Path, files: list[Unpacked]) -> None:
    """Hold what the worker told against the rules: an archive may have found a fault in it."""
    for one in files:
        found = look(folder / str(int(one.written)))
        if (
            found is None
            or found.st_size != one.size
            or not one.places
            or not set(one.places) <= set(PLACES)
            or wrong(one.name)
            or not SHA256.fullmatch(one.sha256)
            or one.role not in ROLES
        ):
            raise Failed(errno.EIO, "unpacking ended with what cannot be")


def _sound(kept: Releases, files: list[Unpacked]) -> set[str]:
    """Those contents that are here already, and are what their names say."""
    found = set()
    for sha256 in {one.sha256 for one in files}:
        with contextlib.suppress(OSError):
            if hash_file(kept.content(sha256)) == sha256:
                found.add(sha256)
    return found


def _keep(kept: Releases, folder: Path, files: list[Unpacked], sound: set[str]) -> None:
    """Move the contents to where each is kept once."""
    changed = set()
    like = os.stat(kept.folder)
    for one in files:
        target = kept.content(one.sha256)
        arrived = folder / str(one.written)
        if one.sha256 in sound and look(target) is not None:
            os.unlink(arrived)
            continue
        sound.add(one.sha256)
        make_folder(target.parent)
        settle(arrived, 0o444, like)
        os.replace(arrived, target)
        changed |= {target.parent, target.parent.parent}
    for parent in changed:
        sync_folder(parent)


def _staged(one: Release, files: list[Unpacked], left_out: list[str], now: float) -> Release:
    told = tuple(
        File(place, item.name, item.size, item.sha256, item.role) for item in files for place in item.places
    )
    note = f"{len(left_out)} files that no phone is ever served were left out" if left_out else ""
    return releases.replace(one.to(STAGED, now, note), files=told)


def _forget(folder: Path) -> None:
    """Remove a release that never was one."""
    shutil.rmtree(folder / _INTAKE, ignore_errors=True)
    for name in ("release.json", _SUM, _LOCK):
        with contextlib.suppress(OSError):
            os.unlink(folder / name)
    with contextlib.suppress(OSError):
        os.rmdir(folder)


def _unfinished(kept: Releases, folder: Path) -> bool:
    if (folder / _INTAKE).exists():
        return True
    one = kept.get(folder.name)
    return one is not None and one.state == ARRIVING


def _prune(kept: Releases) -> None:
    """Forget the oldest of those that were refused."""
    for one in kept.in_state(REFUSED)[KEEP_REFUSED:]:
        with contextlib.suppress(OSError), _held(kept.folder / one.id, 0):
            _forget(kept.folder / one.id)


@contextmanager
def _held(folder: Path, seconds: float = WAIT) -> Iterator[None]:
    """Hold one release's folder, which is made. Raises Busy, OSError."""
    end = time.monotonic() + seconds
    while True:
        make_folder(folder)
        try:
            fd = open_lock(folder / _LOCK)  # which another user may have made
        except FileNotFoundError:  # it was forgotten this moment
            continue
        try:
            if take_lock(fd):
                if not _still(folder / _LOCK, fd):
                    continue
                yield
                return
        finally:
            os.close(fd)
        if time.monotonic() >= end:
            raise Busy(folder)
        with away():
            time.sleep(0.05)


def _still(path: Path, fd: int) -> bool:
    """Whether this lock is the one that lies there: who waited may hold that of a folder that is gone."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))
    except FileNotFoundError:
        return False
