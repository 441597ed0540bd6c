"""Server-sent events: one way to send them, bounded in number."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from manager.call import Call
from manager.guarding import dress
from manager.problems import Problem

MOST = 64  # streams at once
HEARTBEAT = 15.0  # seconds of silence after which a comment is sent, so that a dead browser is noticed

_open: set[Call] = set()


async def stream(call: Call, events: AsyncIterator[tuple[str, Any]]) -> web.StreamResponse:
    """Send (name, value) pairs until they end or the browser has left. Raises Problem."""
    if len(_open) >= MOST:
        raise Problem("busy", f"{MOST} live pages are open already")
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    dress(answer, call.site.manager.settings.use_https)
    _open.add(call)
    waiting: asyncio.Task[Any] | None = None
    try:
        await answer.prepare(call.request)
        waiting = asyncio.ensure_future(anext(events, None))
        while True:
            done, _ = await asyncio.wait({waiting}, timeout=HEARTBEAT)
            if not done:
                await answer.write(b": still here\n\n")
                continue
            got = waiting.result()
            if got is None:
                await answer.write(b"event: end\ndata: {}\n\n")
                return answer
            name, value = got
            data = json.dumps(value, ensure_ascii=True, default=str)
            await answer.write(f"event: {name}\ndata: {data}\n\n".encode("ascii"))
            waiting = asyncio.ensure_future(anext(events, None))
    except (ConnectionError, Problem):
        return answer
    finally:
        _open.discard(call)
        if waiting is not None and not waiting.done():
            waiting.cancel()
            with contextlib.suppress(BaseException):
                await waiting
        close = getattr(events, "aclose", None)
        if close is not None:
            with contextlib.suppress(Exception):
                await close()
