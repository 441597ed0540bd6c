"""Writing a file so that a reader sees the old one or the new one, never half of either."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path


def replace(
    path: Path, data: bytes, mode: int = 0o644, sync: bool = True, last: Callable[[], None] | None = None
) -> None:
    """Write aside, sync the file, rename it into place, sync the directory. Raises OSError.

    The new file has `mode` from its first byte on, so a key is never readable by others for a moment.
    Over an existing file its owner and group are kept where the system lets us. Without `sync` it costs no
    wait for the disk: for a copy whose loss in a power cut does no harm. `last` is called right before the
    rename; what it raises leaves the old file as it is.
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")  # dot files are never served
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            _dress(file.fileno(), path, mode)
            if sync:
                os.fsync(file.fileno())
        if last is not None:
            last()
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    if sync:
        _sync(path.parent)


def states(paths: Iterable[Path]) -> list[tuple[int, ...]]:
    """Tells whether any of these files was changed or replaced; an empty tuple for one that is not there."""
    found: list[tuple[int, ...]] = []
    for path in paths:
        try:
            there = os.stat(path)
            found.append((there.st_ino, there.st_size, there.st_mtime_ns, there.st_ctime_ns))
        except OSError:
            found.append(())
    return found


def _dress(descriptor: int, path: Path, mode: int) -> None:
    """Give the new file its mode, and the owner and group of the file it replaces."""
    if not hasattr(os, "fchown"):  # Windows: rights are inherited from the directory
        return
    try:
        old = os.stat(path)
        os.fchown(descriptor, old.st_uid, old.st_gid)
    except OSError:
        pass  # no such file yet, or not ours to give away: it stays the writer's
    os.fchmod(descriptor, mode)


def _sync(directory: Path) -> None:
    if os.name != "posix":  # a directory cannot be opened elsewhere
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
