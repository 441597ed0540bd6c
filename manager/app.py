"""The application: every module's routes, behind one guard."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import pkgutil
from collections.abc import AsyncIterator, Iterator

from aiohttp import web

import manager.api
import manager.pages
from manager import assets
from manager.guarding import Guard
from manager.routing import Route
from manager.site import Site

PATIENCE = 10.0  # seconds that changes get to their end when the manager ends


def routes() -> Iterator[Route]:
    """Those of every module in `pages` and `api`."""
    yield from assets.ROUTES
    for package in (manager.pages, manager.api):
        for found in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{package.__name__}.{found.name}")
            yield from getattr(module, "ROUTES", ())


def application(site: Site) -> web.Application:
    """All of one site."""
    guard = Guard(site)
    # The limit is not aiohttp's: each route has its own (bodies.py).
    app = web.Application(middlewares=[guard.outer], client_max_size=0)
    app.cleanup_ctx.append(lambda _: _beside(site, guard))
    for route in routes():
        handler = guard.wrap(route)
        app.router.add_route(route.method, route.path, handler)
        lives = route.path.startswith("/api/") or route.path.endswith("/events")
        if route.method == "GET" and not lives:  # the head of what never ends is of no use
            app.router.add_route("HEAD", route.path, handler)
    return app


async def _beside(site: Site, guard: Guard) -> AsyncIterator[None]:
    """What goes on while the manager runs, whether anybody asks or not."""
    following = asyncio.create_task(site.pulse.follow(site))
    yield
    await guard.settle(PATIENCE)
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following
