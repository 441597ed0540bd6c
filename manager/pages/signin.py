"""Signing in and out."""

from __future__ import annotations

import asyncio
import math
from urllib.parse import parse_qs, quote

from aiohttp import web

from manager.audit import FAILED
from manager.call import Call
from manager.guarding import cookie_name
from manager.people import User
from manager.problems import Problem
from manager.routing import Route

NAME, PASSWORD = 60, 1000  # characters that are looked at


def where(request: web.Request) -> str:
    """The sign-in page, which leads back to the page that was asked for."""
    path = request.path_qs if request.method == "GET" and request.path != "/" else ""
    return f"/sign-in?to={quote(path)}" if path and len(path) < 300 else "/sign-in"


def back(to: str) -> str:
    """A path of ours to go to; anything that could lead elsewhere is `/`."""
    fine = to.startswith("/") and not to.startswith(("//", "/\\")) and to.isprintable() and "\\" not in to
    return quote(to, safe="/?&=%:,;+@!$'()*~-._") if fine else "/"


def give_cookie(call: Call, answer: web.StreamResponse, token: str) -> None:
    """The browser keeps it until it is closed, shows it to no script and sends it to nobody else."""
    secure = call.site.manager.settings.use_https
    answer.set_cookie(cookie_name(call.site), token, path="/", httponly=True, secure=secure, samesite="Lax")


def take_cookie(call: Call, answer: web.StreamResponse) -> None:
    # Without Secure a browser takes nothing back whose name begins with __Host-.
    secure = call.site.manager.settings.use_https
    answer.del_cookie(cookie_name(call.site), path="/", httponly=True, secure=secure, samesite="Lax")


async def _show(call: Call) -> web.StreamResponse:
    if call.user is not None:
        return call.go(back(call.query.get("to", "/")))
    return await call.page("signin.html", to=call.query.get("to", ""), told="", name="")


async def _sign_in(call: Call) -> web.StreamResponse:
    try:
        form = parse_qs((await call.octets()).decode("utf-8", "replace"), max_num_fields=20)
    except ValueError:
        raise Problem("bad-request", "this is not what the sign-in page sends") from None
    name, password, to = (form.get(key, [""])[0] for key in ("name", "password", "to"))
    name = name.strip()
    # A client that leaves early must not keep its try from being counted.
    user, told, wait = await asyncio.shield(_attempt(call, name, password))
    if user is None:
        answer = await call.page("signin.html", 429 if wait else 403, to=to, told=told, name=name[:NAME])
        if wait:
            answer.headers["Retry-After"] = str(wait)
        return answer
    token = await call.run(
        call.site.sessions.open, user, call.peer, call.request.headers.get("User-Agent", "")
    )
    if call.session is not None:  # who signs in once more leaves no session behind
        old = call.request.cookies.get(cookie_name(call.site), "")
        await call.run(call.site.sessions.end, old)
    answer = call.go("/account" if user.fresh else back(to))
    give_cookie(call, answer, token)
    return answer


async def _attempt(call: Call, name: str, password: str) -> tuple[User | None, str, int]:
    """The user; or why not, and how many seconds to wait (0: just wrong)."""
    site = call.site
    wait = await call.run(site.delays.wait, name, call.peer)
    if wait:
        return None, *_too_early(wait)
    try:
        async with site.delays.turn(name, call.peer):
            # Others of this name or address may have failed while we waited.
            wait = await call.run(site.delays.wait, name, call.peer)
            if wait:
                return None, *_too_early(wait)
            return await call.run(_look, call, name, password)
    except Problem as problem:
        return None, f"{problem.title}: {problem.detail}.", 5


def _look(call: Call, name: str, password: str) -> tuple[User | None, str, int]:
    """Compare, count, write down; on a thread."""
    site = call.site
    fits = len(name) <= NAME and len(password) <= PASSWORD
    user = site.people.check(name, password) if fits else site.people.check("", "")
    if user is None:
        site.delays.failed(name, call.peer)
        # What is no name of ours may be a password that was typed into the wrong field.
        known = site.people.get(name) if fits else None
        site.audit.add(known.name if known else "-", call.peer, FAILED, "" if known else "an unknown name")
        return None, "This name and password do not belong together.", 0
    site.delays.right(name, call.peer)
    site.people.signed_in(user.name)
    site.audit.add(user.name, call.peer, "signed in", "")
    if user.fresh and site.people.lies_there(user.name, password):
        site.people.clear(user.name)
    return user, "", 0


def _too_early(wait: float) -> tuple[str, int]:
    seconds = max(1, math.ceil(wait))
    spoken = f"{seconds} s" if seconds < 120 else f"{math.ceil(seconds / 60)} min"
    return f"Too many attempts. Try again in {spoken}.", seconds


async def _sign_out(call: Call) -> web.StreamResponse:
    token = call.request.cookies.get(cookie_name(call.site), "")
    if call.session is not None:
        await call.run(call.site.sessions.end, token)
        await call.audit("signed out", "")
    answer = call.nothing()
    take_cookie(call, answer)
    return answer


ROUTES = (
    Route("GET", "/sign-in", _show, None),
    Route("POST", "/sign-in", _sign_in, None),
    Route("DELETE", "/api/v1/session", _sign_out, None),
)
