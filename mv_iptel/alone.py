"""One process of a kind for one home: a lock that ends with its process, and says who holds it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TextIO

try:
    import fcntl
except ImportError:  # Windows: the taken ports tell of a second process there
    fcntl = None  # type: ignore[assignment]


class AlreadyRunning(Exception):
    """Another process holds this home; the argument is its process id."""


def hold(path: Path, mode: int = 0o644) -> TextIO:
    """Take the lock at `path` until the file is closed. Raises AlreadyRunning, OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Root opens it in a directory that belongs to the service user: a link there must not lead on.
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    file = os.fdopen(os.open(path, flags, mode), "r+", encoding="ascii")
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = file.read(20).strip()
            file.close()
            raise AlreadyRunning(holder) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file
