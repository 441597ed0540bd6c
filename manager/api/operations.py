"""Long work as JSON: what runs, how far it is, live."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from manager.call import Call
from manager.problems import Problem
from manager.routing import VIEWER, Route
from manager.streams import stream


async def _all(call: Call) -> web.StreamResponse:
    return call.json(
        {"operations": await call.run(call.site.operations.all, call.number("limit", 50, 1, 200))}
    )


async def _one(call: Call) -> web.StreamResponse:
    told = await call.run(call.site.operations.get, call.path["id"])
    if told is None:
        raise Problem("not-found", "there is no such operation, or it ended long ago")
    return call.json(told)


async def _watch(call: Call) -> web.StreamResponse:
    key = call.path["id"]
    if await call.run(call.site.operations.get, key) is None:
        raise Problem("not-found", "there is no such operation, or it ended long ago")

    async def events() -> AsyncIterator[tuple[str, Any]]:
        async for told in call.site.operations.watch(key):
            yield "operation", told

    return await stream(call, events())


ROUTES = (
    Route("GET", "/api/v1/operations", _all, VIEWER),
    Route("GET", "/api/v1/operations/{id}", _one, VIEWER),
    Route("GET", "/api/v1/operations/{id}/events", _watch, VIEWER),
)
