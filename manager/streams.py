"""Server-sent events: one way to send them; bounded in number, and no longer than their session."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from asyncio import FIRST_COMPLETED
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from manager.call import Call
from manager.guarding import cookie_name, dress
from manager.problems import Problem

MOST = 64  # streams at once
EACH = 4  # of one browser: it has six connections, and pages need some
HEARTBEAT = 15.0  # seconds of silence after which a comment is sent, so that a dead browser is noticed
PATIENCE = 30.0  # seconds in which a browser must take what was sent

OF_ONE = 16  # of one user, with however many browsers: he keeps nobody out

_open: dict[int, tuple[str, str]] = {}  # stream -> session and user
_log = logging.getLogger("manager")


async def stream(call: Call, events: AsyncIterator[tuple[str, Any]]) -> web.StreamResponse:
    """Send (name, value) pairs until they end, the browser has left or is signed out. Raises Problem."""
    session = call.session.id if call.session is not None else ""
    user = call.user.name if call.user is not None else ""
    if len(_open) >= MOST:
        raise Problem("busy", f"{MOST} live pages are open already")
    if [one for one, _ in _open.values()].count(session) >= EACH:
        raise Problem("busy", f"{EACH} live pages of this browser are open already; close one")
    if [one for _, one in _open.values()].count(user) >= OF_ONE:
        raise Problem("busy", f"{OF_ONE} live pages of {user} are open already; close one")
    answer = dress(web.StreamResponse(headers={"Content-Type": "text/event-stream"}))
    _open[id(call)] = session, user
    try:
        await answer.prepare(call.request)
        await _send(call, answer, events)
    except (ConnectionError, TimeoutError, Problem):
        call.request.protocol.force_close()
    except Exception:
        _log.exception("a stream failed at %s", call.request.path)
        call.request.protocol.force_close()
    finally:
        del _open[id(call)]
        close = getattr(events, "aclose", None)
        if close is not None:
            with contextlib.suppress(Exception):
                await close()
    return answer


async def _send(call: Call, answer: web.StreamResponse, events: AsyncIterator[tuple[str, Any]]) -> None:
    loop = asyncio.get_running_loop()
    looked = loop.time()
    waiting: asyncio.Task[Any] = asyncio.ensure_future(anext(events, None))
    ending = asyncio.ensure_future(call.site.ending.wait())
    try:
        while True:
            done, _ = await asyncio.wait({waiting, ending}, timeout=HEARTBEAT, return_when=FIRST_COMPLETED)
            if ending in done:
                return
            if loop.time() - looked >= HEARTBEAT:
                looked = loop.time()
                if not await _allowed(call):
                    return
            if not done:
                await _write(answer, b": still here\n\n")
                continue
            got = waiting.result()
            if got is None:
                await _write(answer, b"event: end\ndata: {}\n\n")
                return
            name, value = got
            data = json.dumps(value, ensure_ascii=True, default=str)
            await _write(answer, f"event: {name}\ndata: {data}\n\n".encode("ascii", "backslashreplace"))
            waiting = asyncio.ensure_future(anext(events, None))
    finally:
        ending.cancel()
        waiting.cancel()
        with contextlib.suppress(BaseException):
            await waiting


async def _write(answer: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(PATIENCE):
        await answer.write(data)


async def _allowed(call: Call) -> bool:
    """Whether the session still is one, and its user may still see this."""
    token = call.request.cookies.get(cookie_name(call.site), "")
    session = await call.run(call.site.sessions.of, token, False)
    return session is not None and (call.route.role is None or session.user.role >= call.route.role)
