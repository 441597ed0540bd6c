"""Stands before every handler: whose name was asked, who asks, is it his page that asks, may he."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import psutil
from aiohttp import web

from manager.call import Call
from manager.problems import Problem
from manager.routing import Route
from manager.site import Site
from mv_iptel.addresses import address_of
from mv_iptel.certs import CertError, load_chain, names_of

HEADERS = {
    # No inline script or style anywhere; nothing from elsewhere; in nobody's frame.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; font-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
SAFE = {"GET", "HEAD"}
COOKIE, PLAIN_COOKIE = "__Host-mv_session", "mv_session"

_log = logging.getLogger("manager")


class Guard:
    """Wraps the handlers of one site."""

    def __init__(self, site: Site):
        self._site = site
        self._names: tuple[object, frozenset[str]] = (None, frozenset())

    def wrap(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """The handler that aiohttp calls for this route."""

        async def handler(request: web.Request) -> web.StreamResponse:
            call = Call(self._site, request, route)
            try:
                await self._check(call)
                answer = await route.handler(call)
            except Problem as problem:
                answer = await self._refusal(call, problem)
            if answer.prepared:
                return answer
            return dress(answer, self._site.manager.settings.use_https)

        return handler

    @web.middleware
    async def outer(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """What no route of ours answers, and faults of ours."""
        try:
            return await handler(request)
        except web.HTTPException as other:
            kind = {404: "not-found", 405: "method", 413: "too-big"}.get(other.status, "bad-request")
            problem = Problem(kind)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            _log.exception("the manager failed at %s", request.path)
            problem = Problem("fault", "the manager's log says why")
        call = Call(self._site, request, Route("GET", request.path, _none, None))
        try:
            self._host(request)
            await self._session(call)
            if (
                call.user is None and problem.status < 500
            ):  # what is here and what is not is no stranger's business
                problem = Problem("sign-in")
        except Problem as other:
            problem = other
        answer = await self._refusal(call, problem)
        return dress(answer, self._site.manager.settings.use_https)

    async def _check(self, call: Call) -> None:
        request, route = call.request, call.route
        self._host(request)
        await self._session(call)
        if request.method not in SAFE:
            self._same_origin(request)
        if route.role is None:
            return
        if call.user is None:
            raise Problem("sign-in", "the session has ended, or there was none")
        if call.user.fresh and not route.fresh:
            raise Problem("not-allowed", "choose a new password first, on the account page")
        if call.user.role < route.role:
            raise Problem(
                "not-allowed", f"this needs the role {route.role.word}; yours is {call.user.role.word}"
            )
        if request.method not in SAFE:
            assert call.session is not None
            given = request.headers.get("X-CSRF-Token", "")
            if not hmac.compare_digest(given.encode(), call.session.csrf.encode()):
                raise Problem("forged", "the page is older than the session; load it again")

    async def _session(self, call: Call) -> None:
        token = call.request.cookies.get(cookie_name(self._site), "")
        if token:
            # A page that refreshes itself keeps nobody signed in.
            touch = call.request.headers.get("X-Background") != "1"
            call.session = await call.run(self._site.sessions.of, token, touch)
            call.user = call.session.user if call.session is not None else None

    def _host(self, request: web.Request) -> None:
        """A name that was made to point here (DNS rebinding) is not one of this manager's."""
        host = host_of(request.headers.get("Host", ""))
        if host == "localhost" or host in self._known():
            return
        address = address_of(host)
        if address and (ipaddress.ip_address(address).is_loopback or address in _interfaces()):
            return
        raise Problem("bad-host", "use a name or an address that stands in this manager's certificate")

    def _known(self) -> frozenset[str]:
        """The names and addresses of the certificate: those are this host's."""
        path = self._site.manager.settings.cert_file
        try:
            there = path.stat()
            state: object = (there.st_mtime_ns, there.st_ino)
        except OSError:
            state = None
        if state != self._names[0]:
            try:
                names = names_of(load_chain(path)[0])
                found = frozenset(one.lower() for one in (*names.dns, *names.addresses))
            except (CertError, OSError, ValueError):
                found = frozenset()
            self._names = (state, found)
        return self._names[1]

    def _same_origin(self, request: web.Request) -> None:
        """The browser says which page asks; another site's is refused before anything is read."""
        site = request.headers.get("Sec-Fetch-Site", "")
        origin = request.headers.get("Origin", "")
        own = request.headers.get("Host", "").lower()
        if site not in ("", "same-origin", "none"):
            raise Problem("forged", "another site's page asked for this")
        if origin and (origin == "null" or urlsplit(origin).netloc.lower() != own):
            raise Problem("forged", "another site's page asked for this")

    async def _refusal(self, call: Call, problem: Problem) -> web.Response:
        headers = problem.headers
        if call.api:
            told = problem.document(call.request.path)
            answer = call.json(told, problem.status, headers=headers)
            answer.content_type = "application/problem+json"
            return answer
        if problem.kind == "sign-in" and not call.htmx:
            from manager.pages.signin import where

            return web.Response(status=303, headers={"Location": where(call.request)})
        if problem.kind == "sign-in":
            return web.Response(status=401, headers={"HX-Redirect": "/sign-in"})
        if call.user is not None and call.user.fresh and not call.htmx:
            return web.Response(status=303, headers={"Location": "/account"})
        template = "_problem.html" if call.htmx else "problem.html"
        answer = await call.page(template, problem.status, problem=problem)
        answer.headers.update(headers)
        return answer


def dress(answer: web.StreamResponse, https: bool) -> web.StreamResponse:
    """The headers that every answer has, unless its handler set its own."""
    for name, value in HEADERS.items():
        answer.headers.setdefault(name, value)
    if https:
        answer.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    return answer


def cookie_name(site: Site) -> str:
    """With the prefix the browser takes it over TLS only, and no other host can set it."""
    return COOKIE if site.manager.settings.use_https else PLAIN_COOKIE


def host_of(header: str) -> str:
    """The name or address of a Host header, without port and brackets, in small letters."""
    text = header.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.rpartition(":")[0] if text.count(":") == 1 else text


def _interfaces() -> set[str]:
    found = set()
    for rows in psutil.net_if_addrs().values():
        found.update(address_of(row.address.partition("%")[0]) for row in rows)
    return found


async def _none(call: Call) -> web.StreamResponse:
    raise Problem("not-found")
