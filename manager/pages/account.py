"""One's own account: the password."""

from __future__ import annotations

from aiohttp import web

from manager.call import Call
from manager.problems import Problem
from manager.routing import VIEWER, Route

SHORTEST = 10


async def _show(call: Call) -> web.StreamResponse:
    return await call.page("account/account.html", shortest=SHORTEST)


async def _password(call: Call) -> web.StreamResponse:
    site, user = call.site, call.user
    assert user is not None
    told = await call.document()
    old, new, again = (call.text(told, key, 1000) for key in ("old", "new", "again"))
    if new != again:
        raise Problem(
            "invalid", "the two new passwords differ", errors=[{"field": "again", "text": "differs"}]
        )
    if len(new) < SHORTEST:
        raise Problem(
            "invalid", f"at least {SHORTEST} characters", errors=[{"field": "new", "text": "too short"}]
        )
    if await call.run(site.people.check, user.name, old) is None:
        raise Problem("invalid", "the old password is another", errors=[{"field": "old", "text": "wrong"}])
    await call.run(site.people.passwd, user.name, new)
    await call.run(site.sessions.end_all, user.name)
    await call.audit("password", user.name)
    return call.nothing()


ROUTES = (
    Route("GET", "/account", _show, VIEWER, fresh=True),
    Route("PUT", "/api/v1/account/password", _password, VIEWER, fresh=True),
)
