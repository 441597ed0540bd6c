"""Whether somebody is still writing to a file, where the system can tell."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: a file that is being written cannot be opened there, as a rule
    fcntl = None  # type: ignore[assignment]

_WRITES = os.O_WRONLY | os.O_RDWR


def is_being_written(path: Path) -> bool:
    """Whether a process of this machine has the file open for writing. False also where nobody knows."""
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except PermissionError:
        return fcntl is None
    except OSError:
        return False
    try:
        told = _lease(fd)
        return _listed(os.fstat(fd)) if told is None else told
    finally:
        os.close(fd)


def _lease(fd: int) -> bool | None:
    """Linux gives a lease for reading only while nobody writes. None: there are none here, or not for us."""
    if fcntl is None or not hasattr(fcntl, "F_SETLEASE") or not hasattr(fcntl, "F_SETSIG"):
        return None
    try:
        # Who opens the file in this moment makes the kernel send a signal: one that is ignored by default.
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN else None
    with contextlib.suppress(OSError):
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def _listed(there: os.stat_result, processes: Path = Path("/proc")) -> bool:
    """Whether a process whose open files we may see writes to it."""
    for process in _names(processes):
        if not process.isdigit():
            continue
        for number in _names(processes / process / "fd"):
            with contextlib.suppress(OSError, ValueError):
                if not os.path.samestat(os.stat(processes / process / "fd" / number), there):
                    continue
                flags = (
                    (processes / process / "fdinfo" / number).read_text("ascii").split("flags:")[1].split()[0]
                )
                if int(flags, 8) & _WRITES:
                    return True
    return False


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
