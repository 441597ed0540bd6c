"""The store of contents: each once, whole before it has its name, kept before anything replaces it."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from contextlib import suppress
from pathlib import Path

from mv_iptel.firmware.releases import Releases
from mv_iptel.userdata.disk import hash_of, lasting_folder, look, open_file, settle, sync_folder

MODE = 0o444
_PIECE = 1 << 20
# A directory that a share or another file system serves may have no links.
_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EACCES}


def keep_bytes(releases: Releases, data: bytes) -> str:
    """Keep a small content; its sha256. Synced."""
    sha256 = hashlib.sha256(data).hexdigest()
    target = releases.content(sha256)
    if look(target) is None:
        lasting_folder(target.parent)
        aside = _aside(target)
        try:
            with open(aside, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            _settle(aside, target)
        finally:
            aside.unlink(missing_ok=True)
    return sha256


def keep_file(releases: Releases, path: Path, link: bool) -> str:
    """Keep what a served file holds now; its sha256. Synced.

    With `link` the store and the served name share the octets, where nobody else does: for big files that
    nobody edits. What people edit is copied, or their editor would write into what a rollback needs.
    """
    fd = open_file(path)
    try:
        there = os.fstat(fd)
        sha256 = hash_of(fd)
        target = releases.content(sha256)
        if look(target) is not None:
            return sha256
        lasting_folder(target.parent)
        os.fsync(fd)
        if link and there.st_nlink == 1 and _linked(path, target, there):
            sync_folder(target.parent)
            return sha256
        os.lseek(fd, 0, os.SEEK_SET)
        aside = _aside(target)
        try:
            if copied(fd, aside) != sha256:
                raise OSError(errno.EBUSY, "changed while it was read", os.fspath(path))
            _settle(aside, target)
        finally:
            aside.unlink(missing_ok=True)
        return sha256
    finally:
        os.close(fd)


def copied(fd: int, target: Path) -> str:
    """Write what an open file holds to a new file, synced; the sha256 of what was written."""
    told = hashlib.sha256()
    with open(target, "xb") as file:
        while data := os.read(fd, _PIECE):
            told.update(data)
            file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return told.hexdigest()


def give(releases: Releases, sha256: str, aside: Path, link: bool) -> None:
    """Put a kept content beside the file that it will replace. Raises OSError, also if it is damaged."""
    content = releases.content(sha256)
    if link:
        try:
            os.link(content, aside)
            return
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
    fd = open_file(content)
    try:
        if copied(fd, aside) != sha256:
            raise OSError(errno.EIO, "is damaged: it does not hold what its name says", os.fspath(content))
    finally:
        os.close(fd)


def sweep(releases: Releases, wanted: set[str]) -> int:
    """Remove every content that nobody wants any more; how many octets that frees."""
    freed = 0
    base = releases.folder / "content"
    for folder, _, names in os.walk(base):
        for name in names:
            path = Path(folder, name)
            if name in wanted:
                continue
            with suppress(OSError):
                there = path.lstat()
                path.unlink()
                freed += there.st_size if there.st_nlink == 1 else 0
    return freed


def _linked(path: Path, target: Path, there: os.stat_result) -> bool:
    try:
        os.link(path, target, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_LINKS or error.errno == errno.EEXIST:
            return False
        raise
    if not os.path.samestat(os.stat(target), there):  # somebody was quicker
        target.unlink()
        return False
    return True


def _aside(target: Path) -> Path:
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")


def _settle(aside: Path, target: Path) -> None:
    settle(aside, MODE, os.stat(target.parent))
    os.replace(aside, target)
    sync_folder(target.parent)
