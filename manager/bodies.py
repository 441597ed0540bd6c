"""What clients send: read within a limit of octets and of time, so that a slow one costs little."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from manager.problems import Problem
from manager.routing import PATIENCE

SLOWEST = 16 * 1024  # octets a second that an upload must reach, looked at over WINDOW
WINDOW = 20.0  # seconds
CHUNK = 256 * 1024


class Bodies:
    """Reads request bodies."""

    async def whole(self, request: web.Request, most: int) -> bytes:
        """All of a small body. Raises Problem."""
        _look(request, most)
        found = bytearray()
        try:
            async with asyncio.timeout(PATIENCE):
                while chunk := await request.content.read(CHUNK):
                    found += chunk
                    if len(found) > most:
                        raise _too_big(most)
        except TimeoutError:
            request.protocol.force_close()
            raise Problem("bad-request", f"the body did not come within {PATIENCE:g} s") from None
        except (web.RequestPayloadError, HttpProcessingError):
            raise _broken(request) from None
        return bytes(found)

    async def parts(self, request: web.Request, most: int) -> AsyncIterator[bytes]:
        """An upload, piece by piece. Raises Problem when it is too much or too slow."""
        _look(request, most)
        seen = mark = 0
        since = time.monotonic()
        while True:
            try:
                async with asyncio.timeout(WINDOW):
                    chunk = await request.content.read(CHUNK)
            except TimeoutError:
                raise _slow(request) from None
            except (web.RequestPayloadError, HttpProcessingError):
                raise _broken(request) from None
            if not chunk:
                if request.content_length is not None and seen != request.content_length:
                    raise Problem("bad-request", "the upload was cut off")
                return
            seen += len(chunk)
            if seen > most:
                raise _too_big(most)
            now = time.monotonic()
            if now - since >= WINDOW:
                if seen - mark < SLOWEST * (now - since):
                    raise _slow(request)
                mark, since = seen, now
            yield chunk


def _look(request: web.Request, most: int) -> None:
    if (request.content_length or 0) > most:
        raise _too_big(most)
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise Problem("bad-request", "send it as it is, without a Content-Encoding")


def _broken(request: web.Request) -> Problem:
    request.protocol.force_close()
    return Problem("bad-request", "the body is not what its headers say")


def _too_big(most: int) -> Problem:
    size = f"{most >> 20} MiB" if most >= 1 << 20 else f"{most >> 10} KiB"
    return Problem("too-big", f"at most {size} are taken here")


def _slow(request: web.Request) -> Problem:
    request.protocol.force_close()
    return Problem("bad-request", f"the upload came slower than {SLOWEST >> 10} KiB a second")
