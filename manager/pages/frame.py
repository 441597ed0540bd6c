"""What stands around every page: the server's state, the list of long work, a sign of life."""

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


async def _health(call: Call) -> web.StreamResponse:
    """For whoever watches the service: it answers, and its database does."""
    await call.run(call.site.store.ask, "SELECT 1")
    return web.Response(text="ok\n")


ROUTES = (
    Route("GET", "/healthz", _health, None),
    Route("GET", "/state", _state, VIEWER),
    Route("GET", "/operations", _operations, VIEWER),
)
