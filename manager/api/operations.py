"""Long work as JSON: what runs, how far it is, live."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from manager.call import Call
from manager.problems import Problem
from manager.routing import OPERATOR, VIEWER, Route
from manager.streams import stream


def _shown(call: Call, told: dict[str, Any]) -> dict[str, Any]:
    """What came of it may tell what a viewer must not see; who began it, and operators, may."""
    assert call.user is not None
    if call.may(OPERATOR) or told["who"] == call.user.name:
        return told
    return {**told, "result": None}


async def _all(call: Call) -> web.StreamResponse:
    limit = call.number("limit", 50, 1, 200)
    found = [_shown(call, one) for one in await call.run(call.site.operations.all, limit)]
    return call.json({"items": found, "total": len(found), "next": None})


async def _known(call: Call) -> dict[str, Any]:
    told = await call.run(call.site.operations.get, call.path["id"])
    if told is None:
        raise Problem("not-found", "there is no such operation, or it ended long ago")
    return _shown(call, told)


async def _one(call: Call) -> web.StreamResponse:
    return call.json(await _known(call))


async def _watch(call: Call) -> web.StreamResponse:
    key = (await _known(call))["id"]

    async def events() -> AsyncIterator[tuple[str, Any]]:
        async for told in call.site.operations.watch(key):
            yield "operation", _shown(call, told)

    return await stream(call, events())


ROUTES = (
    Route("GET", "/api/v1/operations", _all, VIEWER),
    Route("GET", "/api/v1/operations/{id}", _one, VIEWER),
    Route("GET", "/api/v1/operations/{id}/events", _watch, VIEWER),
)
