"""The log: the last rows of the inventory, then what happens, as it happens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from manager.api.log import chosen
from manager.call import Call
from manager.facts import log
from manager.routing import VIEWER, Route
from manager.streams import stream
from mv_iptel.status.server import PROTOCOLS
from mv_iptel.status.words import REASONS

ROWS = 100


async def _show(call: Call) -> web.StreamResponse:
    wanted = await chosen(call)
    before = call.query.get("before", "")[:40]
    found = await call.run(log.page, call.site.inventory, wanted, before, ROWS)
    query = urlencode(wanted.query())
    values = {
        "wanted": wanted, "rows": [log.shown(row) for row in found.rows], "found": found, "query": query,
        "live": not before, "older": f"/log?{urlencode({**wanted.query(), 'before': found.before})}",
    }  # fmt: skip
    if call.htmx:
        return await call.page("log/_rows.html", **values)
    return await call.page(
        "log/log.html", protocols=PROTOCOLS, outcomes=log.OUTCOMES, reasons=REASONS, **values
    )


async def _live(call: Call) -> web.StreamResponse:
    """Rows of the page as they come, made by the same template: a phone's words are escaped in one place."""
    site, wanted = call.site, await chosen(call)

    async def events() -> AsyncIterator[tuple[str, Any]]:
        async for name, told in site.relay.follow(wanted.wants):
            if name != "events":
                yield name, told
                continue
            rows = [log.shown(event) for event in told["items"]]
            html = await call.run(site.pages.render, "log/_live.html", {"rows": rows[::-1]})
            yield "rows", {"html": html.decode("utf-8"), "skipped": told["skipped"]}

    return await stream(call, events())


ROUTES = (
    Route("GET", "/log", _show, VIEWER),
    Route("GET", "/log/events", _live, VIEWER),
)
