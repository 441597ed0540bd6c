"""One's own account as JSON: a new password, the sessions and their end."""

from __future__ import annotations

import asyncio

from aiohttp import web

from manager.call import Call
from manager.pages.signin import give_cookie, take_cookie
from manager.people import No, User, poor
from manager.problems import Problem
from manager.routing import VIEWER, Route
from manager.sessions import Session, browser


async def _me(call: Call) -> web.StreamResponse:
    assert call.user is not None
    return call.json(call.user.told())


async def _password(call: Call) -> web.StreamResponse:
    site, user = call.site, call.user
    assert user is not None
    told = await call.document()
    old, new, again = (call.text(told, key, 1000) for key in ("old", "new", "again"))
    if new != again:
        raise _invalid("again", "the two new passwords differ")
    wrong = poor(new, user.name)
    if wrong:
        raise _invalid("new", wrong)
    # Counted apart from sign-ins: whoever fails there keeps nobody from changing his password here.
    await asyncio.shield(_prove(call, user, old))
    if new == old:
        raise _invalid("new", "it is the old one")
    done = await call.run(site.people.passwd, user.name, new)
    if isinstance(done, No):
        raise Problem(done.kind, done.text)
    await call.audit("password changed", user.name, after="all other sessions ended")
    await call.run(site.people.clear, user.name)
    # A new session for this browser: what somebody may have read of the old one is worth nothing.
    token = await call.run(site.sessions.open, done, call.peer, call.request.headers.get("User-Agent", ""))
    answer = call.nothing()
    give_cookie(call, answer, token)
    return answer


async def _prove(call: Call, user: User, old: str) -> None:
    """Raises Problem unless this is the user's password."""
    # One counter, wherever the session is used from. No name that is typed at the sign-in begins with a
    # blank: nobody can fail there for this one.
    site, own = call.site, f" account of {user.name}"
    peer = own
    async with site.delays.turn(own, peer):
        wait = await call.run(site.delays.wait, own, peer)
        if wait:
            raise Problem("slow-down", f"try again in {max(1, round(wait))} s")
        if await call.run(site.people.check, user.name, old) is None:
            await call.run(site.delays.failed, own, peer)
            await call.audit("own password wrong", user.name)
            raise _invalid("old", "the old password is another")
        await call.run(site.delays.right, own, peer)


async def _sessions(call: Call) -> web.StreamResponse:
    assert call.user is not None
    found = await call.run(call.site.sessions.all, call.user)
    return call.json({"items": [_told(call, one) for one in found], "total": len(found), "next": None})


async def _end_one(call: Call) -> web.StreamResponse:
    assert call.user is not None and call.session is not None
    key = call.path["id"]
    if not await call.run(call.site.sessions.end_one, call.user.name, key):
        raise Problem("not-found", "this session has ended already")
    await call.audit("signed out", "one browser")
    answer = call.nothing()
    if key == call.session.id:
        take_cookie(call, answer)
    return answer


async def _end_all(call: Call) -> web.StreamResponse:
    """With `?but=this` all the others."""
    assert call.user is not None and call.session is not None
    stays = call.choice("but", {"none", "this"}, "none") == "this"
    count = await call.run(call.site.sessions.end_all, call.user.name, call.session.id if stays else "")
    await call.audit("signed out", f"{count} browsers" if count != 1 else "one browser")
    answer = call.nothing()
    if not stays:
        take_cookie(call, answer)
    return answer


def _told(call: Call, one: Session) -> dict[str, object]:
    assert call.session is not None
    return {
        "id": one.id, "browser": browser(one.agent), "agent": one.agent, "peer": one.peer,
        "created": round(one.created, 3), "last": round(one.last, 3), "this": one.id == call.session.id,
    }  # fmt: skip


def _invalid(field: str, text: str) -> Problem:
    return Problem("invalid", text, errors=[{"field": field, "text": text}])


ROUTES = (
    Route("GET", "/api/v1/account", _me, VIEWER, fresh=True),
    Route("PUT", "/api/v1/account/password", _password, VIEWER, fresh=True),
    Route("GET", "/api/v1/account/sessions", _sessions, VIEWER),
    Route("DELETE", "/api/v1/account/sessions", _end_all, VIEWER),
    Route("DELETE", "/api/v1/account/sessions/{id}", _end_one, VIEWER),
)
