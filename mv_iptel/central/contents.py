"""Contents for branches: a piece at a time, so that phones on the same loop wait for no branch.

Between two pieces, whoever wants them, the loop does everything else that is due; `BandwidthLimit` is one
bucket for all; a transfer ends when quiet hours begin, for its branch can go on by Range.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from aiohttp import web

from mv_iptel.central.limiting import Bucket
from mv_iptel.userdata.disk import open_file

AT_ONCE = 4  # contents of one branch at a time
STALLED = 60.0  # seconds in which a branch must take a piece
AHEAD = 8 << 20  # octets that the system is asked to have at hand

_NOWAIT: int | None = getattr(os, "RWF_NOWAIT", None)
_RANGE = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))\Z")


def span_of(header: str, size: int) -> tuple[int, int] | None:
    """First and end (exclusive) of the one range that was asked for; the whole where it is none we know.

    None: there is nothing within (416).
    """
    match = _RANGE.match(header.strip())
    if match is None:
        return 0, size
    first, last, suffix = match.groups()
    if suffix is not None:
        return (max(0, size - int(suffix)), size) if int(suffix) and size else None
    begin, end = int(first), min(size, int(last) + 1) if last else size
    if last and int(last) < begin:
        return 0, size  # RFC 9110, 14.1.2: invalid, so it is as if it was not there
    return (begin, end) if begin < size else None


class Contents:
    """Sends what lies in the content store. `quiet` gives the seconds until quiet hours end, 0 outside."""

    def __init__(self, bucket: Bucket, quiet: Callable[[], float]):
        self.bucket, self.sent = bucket, 0
        self._quiet = quiet
        self._running: Counter[str] = Counter()
        self._turn = asyncio.Lock()

    def running(self) -> int:
        """How many are being sent."""
        return self._running.total()

    def full(self, branch: str) -> bool:
        return self._running[branch] >= AT_ONCE

    async def send(
        self, request: web.Request, path: Path, sha256: str, branch: str, still: Callable[[], bool]
    ) -> web.StreamResponse:
        """Answer with this content, or the part of it that was asked for. OSError: it is not there.

        It is cut when the branch may not have it any more, which `still` tells.
        """
        self._running[branch] += 1
        fd = -1
        try:
            fd = await asyncio.to_thread(open_file, path)
            return await self._answer(request, fd, sha256, still)
        finally:
            if fd >= 0:
                os.close(fd)
            self._running[branch] -= 1
            if not self._running[branch]:
                del self._running[branch]

    async def _answer(
        self, request: web.Request, fd: int, sha256: str, still: Callable[[], bool]
    ) -> web.StreamResponse:
        size, tag = os.fstat(fd).st_size, f'"{sha256}"'
        headers = {"ETag": tag, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream",
                   "Cache-Control": "private, max-age=31536000, immutable"}  # fmt: skip
        if none_match(request, tag):
            return web.Response(status=304, headers=headers)
        begin, end, status = 0, size, 200
        ranged = request.headers.get("Range", "")
        if ranged and request.headers.get("If-Range", tag) == tag:
            span = span_of(ranged, size)
            if span is None:
                return web.Response(status=416, headers={**headers, "Content-Range": f"bytes */{size}"})
            if span != (0, size) or _RANGE.match(ranged.strip()):
                (begin, end), status = span, 206
                headers["Content-Range"] = f"bytes {begin}-{end - 1}/{size}"
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = end - begin
        await response.prepare(request)
        if request.method != "HEAD":
            await self._stream(response, fd, begin, end, still)
        return response

    async def _stream(
        self, response: web.StreamResponse, fd: int, begin: int, end: int, still: Callable[[], bool]
    ) -> None:
        ahead = begin
        while begin < end:
            wait = self.bucket.take(min(self.bucket.piece, end - begin), time.monotonic())
            if wait:
                await asyncio.sleep(wait)
            if self._quiet():
                raise ConnectionResetError("quiet hours have begun")
            if not still():
                raise ConnectionResetError("the branch was revoked")
            if ahead <= begin and hasattr(os, "posix_fadvise"):
                os.posix_fadvise(fd, begin, 2 * AHEAD, os.POSIX_FADV_WILLNEED)
                ahead = begin + AHEAD
            async with self._turn:
                await asyncio.sleep(0)  # whatever else the loop has to do comes between two pieces
                data = await _read(fd, min(self.bucket.piece, end - begin), begin)
            if not data:
                raise ConnectionResetError("the content became shorter")
            begin += len(data)
            self.sent += len(data)
            async with asyncio.timeout(STALLED):
                await response.write(data)
        await response.write_eof()


def none_match(request: web.Request, tag: str) -> bool:
    """Whether the client has what this tag names (RFC 9110, 13.1.2)."""
    given = request.headers.get("If-None-Match", "")
    return any(one.strip().removeprefix("W/") in (tag, "*") for one in given.split(","))


async def _read(fd: int, octets: int, at: int) -> bytes | memoryview:
    """A piece: at once where the system has it in memory, else by a thread that may wait for the disk."""
    if _NOWAIT is not None:
        piece = bytearray(octets)
        with suppress(OSError):
            if count := os.preadv(fd, [piece], at, _NOWAIT):
                return memoryview(piece)[:count]
    return await asyncio.to_thread(_pread, fd, octets, at)


def _pread(fd: int, octets: int, at: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(fd, octets, at)
    os.lseek(fd, at, os.SEEK_SET)  # Windows; nobody else reads from this descriptor
    return os.read(fd, octets)
