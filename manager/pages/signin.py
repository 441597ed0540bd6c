"""Signing in and out."""

from __future__ import annotations

from urllib.parse import parse_qs, quote

from aiohttp import web

from manager.call import Call
from manager.guarding import cookie_name
from manager.problems import Problem
from manager.routing import Route


def where(request: web.Request) -> str:
    """The sign-in page, which leads back to the page that was asked for."""
    path = request.path_qs if request.method == "GET" and request.path != "/" else ""
    return f"/sign-in?to={quote(path)}" if path and len(path) < 300 else "/sign-in"


def back(to: str) -> str:
    """A path of ours to go to; anything that could lead elsewhere is `/`."""
    fine = to.startswith("/") and not to.startswith(("//", "/\\")) and to.isprintable() and "\\" not in to
    return to if fine else "/"


async def _show(call: Call) -> web.StreamResponse:
    if call.user is not None:
        return call.go(back(call.query.get("to", "/")))
    return await call.page("signin.html", to=call.query.get("to", ""), told="", name="")


async def _sign_in(call: Call) -> web.StreamResponse:
    site = call.site
    form = parse_qs((await call.octets()).decode("utf-8", "replace"))
    name, password, to = (form.get(key, [""])[0] for key in ("name", "password", "to"))
    wait = site.delays.wait(name, call.peer)
    if wait:
        told = f"Too many attempts. Try again in {max(1, round(wait))} s."
        return await call.page("signin.html", 429, to=to, told=told, name=name)
    user = await call.run(site.people.check, name, password)
    if user is None:
        await call.run(site.delays.failed, name, call.peer)
        await call.run(site.audit.add, name[:60] or "-", call.peer, "sign-in-failed", "")
        told = "This name and password do not belong together."
        return await call.page("signin.html", 403, to=to, told=told, name=name)
    await call.run(site.delays.right, name, call.peer)
    token = await call.run(site.sessions.open, user, call.peer, call.request.headers.get("User-Agent", ""))
    await call.run(site.audit.add, user.name, call.peer, "sign-in", "")
    answer = call.go("/account" if user.fresh else back(to))
    secure = site.manager.settings.use_https
    answer.set_cookie(cookie_name(site), token, path="/", httponly=True, secure=secure, samesite="Lax")
    return answer


async def _sign_out(call: Call) -> web.StreamResponse:
    token = call.request.cookies.get(cookie_name(call.site), "")
    await call.run(call.site.sessions.end, token)
    answer = call.nothing() if call.request.method == "DELETE" else call.go("/sign-in")
    answer.del_cookie(cookie_name(call.site), path="/")
    return answer


async def _problem_page(call: Call) -> web.StreamResponse:
    raise Problem("not-found")


ROUTES = (
    Route("GET", "/sign-in", _show, None),
    Route("POST", "/sign-in", _sign_in, None),
    Route("DELETE", "/api/v1/session", _sign_out, None),
)
