"""One's own account: the password, and the browsers that are signed in."""

from __future__ import annotations

from aiohttp import web

from manager.call import Call
from manager.people import SHORTEST
from manager.routing import VIEWER, Route
from manager.sessions import browser


async def _show(call: Call) -> web.StreamResponse:
    assert call.user is not None and call.session is not None
    site, user = call.site, call.user
    sessions = [] if user.fresh else await call.run(site.sessions.all, user)
    sessions.sort(key=lambda one: one.id != call.session.id)  # type: ignore[union-attr]
    # It went when he signed in with it, unless the file cannot be written.
    lies = not user.fresh and await call.run(site.people.lies_there, user.name)
    return await call.page(
        "account/account.html", shortest=SHORTEST, sessions=sessions, here=call.session.id, browser=browser,
        file=str(site.home.passwords) if lies else "",
    )  # fmt: skip


ROUTES = (Route("GET", "/account", _show, VIEWER, fresh=True),)
