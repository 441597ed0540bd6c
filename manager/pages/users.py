"""Who may sign in: for administrators."""

from __future__ import annotations

from aiohttp import web

from manager.call import Call
from manager.routing import ADMINISTRATOR, Role, Route

ROWS = 30
MAY = {
    Role.VIEWER: "sees everything but users' data and secrets, and changes nothing",
    Role.OPERATOR: "also changes files, lists, firmware and user data",
    Role.ADMINISTRATOR: "also keeps the users, reads the audit trail, and starts and stops listeners",
}


async def _show(call: Call) -> web.StreamResponse:
    site = call.site
    total = await call.run(site.people.count)
    pages = max(1, -(-total // ROWS))
    here = min(call.number("page", 1, 1), pages)
    users = await call.run(site.people.all, ROWS, (here - 1) * ROWS)
    lies = await call.run(site.people.lies_there)
    return await call.page(
        "users/users.html", users=users, counts=await call.run(site.sessions.counts), may=MAY, here=here,
        pages=pages, total=total, file=str(site.home.passwords) if lies else "",
    )  # fmt: skip


ROUTES = (Route("GET", "/users", _show, ADMINISTRATOR),)
