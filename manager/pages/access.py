"""Access: which list governs what, the tester, slots and bans; and a page for each list."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from manager.api.access import kind_of, put_question, slots_now
from manager.call import Call
from manager.facts import access, lists
from manager.problems import Problem
from manager.routing import VIEWER, Route
from mv_iptel.status.server import PROTOCOLS

LARGEST = 32 * 1024  # characters of a list that stand in its page; a longer one is fetched by its script
OPS = {"GET": "fetch", "PUT": "store", "DELETE": "delete"}


async def _show(call: Call) -> web.StreamResponse:
    asked = {key: call.query.get(key, "").strip()[:500] for key in ("address", "name", "agent")}
    asked["protocol"] = call.choice("protocol", PROTOCOLS, "tftp")
    asked["method"] = call.choice("method", OPS, "GET")
    values: dict[str, Any] = {
        "asked": asked,
        "told": None,
        "refused": None,
        "protocols": PROTOCOLS,
        "ops": OPS,
    }
    if asked["address"] or asked["name"]:
        try:
            values["told"] = await put_question(call, asked)
        except Problem as problem:
            values["refused"] = problem
    if call.htmx:
        return await call.page("access/_answer.html", **values)
    config = call.site.config()
    values["lists"] = await call.run(
        lambda: [lists.state(config, key) for key in lists.KINDS if key != "banned"]
    )
    values["banned"] = await call.run(lists.state, config, "banned")
    values["bans"] = await call.run(access.bans, config)
    values["slots"] = await slots_now(call)
    return await call.page("access/access.html", **values)


async def _slots(call: Call) -> web.StreamResponse:
    return await call.page("access/_slots.html", slots=await slots_now(call))


async def _list(call: Call) -> web.StreamResponse:
    site, kind = call.site, kind_of(call)
    config = site.config()
    found = await call.run(lists.state, config, kind.key)
    kept = await call.run(lists.versions, config, kind.key)
    copy, changes = call.query.get("copy", ""), ""
    if copy:
        text = await call.run(lists.version, config, kind.key, copy)
        changes = await call.run(lists.difference, text, found.text)
    rows = [row for row in changes.splitlines() if row not in ("--- list before", "+++ list after")]
    return await call.page(
        "access/list.html", one=found, kept=kept[:50], copy=copy, changes=rows[:400],
        line=call.number("line", 0), inside=len(found.text) <= LARGEST,
    )  # fmt: skip


ROUTES = (
    Route("GET", "/access", _show, VIEWER),
    Route("GET", "/access/slots", _slots, VIEWER),
    Route("GET", "/access/lists/{list}", _list, VIEWER),
)
