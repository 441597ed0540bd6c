"""What stands around every page: the server's state, and the list of long work."""

from __future__ import annotations

from aiohttp import web

from manager.call import Call
from manager.routing import VIEWER, Route


async def _state(call: Call) -> web.StreamResponse:
    return await call.page("_state.html", server=await call.site.link.status(5.0))


async def _operations(call: Call) -> web.StreamResponse:
    found = await call.run(call.site.operations.all, 100)
    template = "operations/_rows.html" if call.htmx else "operations/list.html"
    return await call.page(template, operations=found)


ROUTES = (
    Route("GET", "/state", _state, VIEWER),
    Route("GET", "/operations", _operations, VIEWER),
)
