"""Uploads on their way into an operation: each is a file below `var/` that is gone when the work is over."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from manager.problems import Problem
from mv_iptel.userdata.disk import make_folder

if TYPE_CHECKING:
    from manager.call import Call

MOST = 4 << 30  # octets; the largest package of a vendor is near 1 GiB
AT_ONCE = 4
MARGIN = 64 << 20  # octets of the disk that stay free


class Incoming:
    """Those of one home; there is one manager for each, so what lies there at its start is nobody's."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._taking = 0
        for old in folder.glob("*.part"):
            with contextlib.suppress(OSError):
                old.unlink()

    async def take(self, call: Call, most: int = MOST) -> Path:
        """Write the request's body; who gets the path removes it. Raises Problem."""
        if self._taking >= AT_ONCE:
            raise Problem("busy", f"{AT_ONCE} uploads are on their way already; try again in a minute")
        self._taking += 1
        try:
            return await self._take(call, most)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise _full() from None
            raise Problem("fault", f"{self.folder}: {error.strerror}") from None
        finally:
            self._taking -= 1

    async def _take(self, call: Call, most: int) -> Path:
        file, path = await call.run(self._begin)
        kept = False

        def write(part: bytes) -> None:
            self._room(len(part))  # others write, too
            file.write(part)

        try:
            await call.run(self._room, call.request.content_length or 0)
            written = 0
            async for part in call.parts(most):
                written += len(part)
                await call.run(write, part)
            if not written:
                raise Problem("bad-request", "the upload is empty")
            await call.run(file.close)
            kept = True
            return path
        finally:
            if not kept:
                with contextlib.suppress(OSError):
                    file.close()
                with contextlib.suppress(OSError):
                    path.unlink()

    def _room(self, size: int) -> None:
        if size > shutil.disk_usage(self.folder).free - MARGIN:
            raise _full()

    def _begin(self) -> tuple[BinaryIO, Path]:
        make_folder(self.folder)
        path = self.folder / f"{secrets.token_hex(8)}.part"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        file = open(os.open(path, flags, 0o600), "wb", buffering=0)  # noqa: SIM115
        return file, path


def _full() -> Problem:
    return Problem("disk-full", "remove a release that nobody needs, or make room, and send it again")
