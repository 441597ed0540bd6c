"""The overview: what the server does now, and what wants attention."""

from __future__ import annotations

from aiohttp import web

from manager.call import Call
from manager.routing import VIEWER, Route


async def _show(call: Call) -> web.StreamResponse:
    return await call.page("overview/overview.html")


ROUTES = (Route("GET", "/", _show, VIEWER),)
