"""One at a time works on releases: the daemon, or one of the commands, under `var/releases/lock`."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mv_iptel.home import Home
from mv_iptel.turn import away
from mv_iptel.userdata.disk import open_lock, take_lock

SECONDS = 1800.0  # a release of gigabytes is unpacked and synced under this lock


class Busy(OSError):
    """Somebody else works on releases, and did not end."""

    def __init__(self, path: Path):
        super().__init__(errno.EBUSY, "somebody else works on releases; try again later", os.fspath(path))


_mine = threading.local()  # the homes whose lock this thread holds
_turns: dict[Path, threading.Lock] = {}
_making = threading.Lock()


@contextmanager
def alone(home: Home, seconds: float = SECONDS) -> Iterator[None]:
    """Work on releases alone. Raises Busy when somebody else holds the lock for `seconds`, OSError.

    The thread that has it may ask again. Short things only, such as renames, are done under `var/lock`,
    which is taken within this one and never around it.
    """
    path = home.var / "releases" / "lock"
    held: set[Path] = _mine.__dict__.setdefault("held", set())
    if path in held:
        yield
        return
    with _making:
        turn = _turns.setdefault(path, threading.Lock())
    end = time.monotonic() + seconds
    with away():
        if not turn.acquire(timeout=seconds):
            raise Busy(path)
    try:
        fd = open_lock(path)
        try:
            pause = 0.005
            while not take_lock(fd):
                if time.monotonic() > end:
                    raise Busy(path)
                with away():
                    time.sleep(pause)
                pause = min(2 * pause, 0.2)
            held.add(path)
            try:
                yield
            finally:
                held.discard(path)
        finally:
            os.close(fd)  # gives the lock back
    finally:
        turn.release()
