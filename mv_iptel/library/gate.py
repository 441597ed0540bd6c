"""The gate: who is not even asked what he wants. Only the banned and the overflow (DESIGN section 5)."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from mv_iptel import files
from mv_iptel.library.access import AddressList, parse

RESERVE = 256  # descriptors that stay free for what already runs

try:
    import resource
except ImportError:  # Windows counts no descriptors
    resource = None  # type: ignore[assignment]


class Bans:
    """The addresses in `var/lists/banned.txt`, put there by the administrator; read again at each change."""

    def __init__(self, path: Path):
        self.path = path
        self._state: tuple[int, int] | None = None
        self._list: AddressList | None = None

    def banned(self, address: str) -> int:
        """The line that bans `address`, or 0."""
        try:
            there = os.stat(self.path)
        except OSError:
            return 0
        state = (there.st_mtime_ns, there.st_size)
        if state != self._state:
            try:
                text = self.path.read_text("utf-8", "replace")
            except OSError:
                return 0
            self._list = AddressList(os.fspath(self.path), *parse(text))
            self._state = state if time.time() - there.st_mtime > 0.05 else None
        entry = self._list.match(address) if self._list else None
        return entry.line if entry else 0

    def lift(self, address: str) -> bool:
        """Take the lines that ban exactly `address` out of the file. False: there was none.

        Waits for the disk, so not for an event loop. Raises OSError when the file cannot be written.
        """
        try:
            lines = self.path.read_text("utf-8", "surrogateescape").splitlines(keepends=True)
        except OSError:
            return False
        kept = [line for line in lines if line.split("#", 1)[0].strip() != address]
        if len(kept) == len(lines):
            return False
        files.replace(self.path, "".join(kept).encode("utf-8", "surrogateescape"))
        return True


class Descriptors:
    """Whether enough descriptors are free for one more client.

    Counting them is dear, so the count is taken now and then, and two are assumed for each client since.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic):
        self._now = now
        self._free = RESERVE * 2
        self._since = 0
        self._counted = float("-inf")

    def free(self) -> bool:
        """True if another client may come in."""
        self._since += 1
        now = self._now()
        short = self._free - 2 * self._since < RESERVE
        # At the edge every admission would count again; there, one count in 10 ms must do.
        if now - self._counted > 1.0 or (short and (self._since > 64 or now - self._counted > 0.01)):
            self._count(now)
        return self._free - 2 * self._since >= RESERVE

    def _count(self, now: float) -> None:
        self._counted, self._since = now, 0
        if resource is None or not sys.platform.startswith("linux"):
            self._free = 1 << 30
            return
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._free = limit - len(os.listdir("/proc/self/fd"))
