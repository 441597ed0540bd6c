"""Stands before every handler: whose name was asked, who asks, is it his page that asks, may he."""

from __future__ import annotations

import asyncio
import errno
import hmac
import ipaddress
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import psutil
from aiohttp import web

from manager.call import Call
from manager.problems import NO_ROOM, Problem, full
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
    "Server": "mv-iptel",  # not which library in which version
    # No Strict-Transport-Security: it would hold for all ports of this host, the status page's too.
}
SAFE = {"GET", "HEAD"}
NEVER_THERE = (errno.ENAMETOOLONG, errno.ELOOP)  # a name that no file can have here
INTERFACES = 5.0  # seconds that this host's addresses are taken to stay the same
COOKIE, PLAIN_COOKIE = "__Host-mv_session", "mv_session"

_log = logging.getLogger("manager")


class Guard:
    """Wraps the handlers of one site."""

    def __init__(self, site: Site):
        self._site = site
        self._names: tuple[object, frozenset[str]] = (None, frozenset())
        self._addresses: frozenset[str] = frozenset()
        self._looked = float("-inf")
        self._changing: set[asyncio.Task[web.StreamResponse]] = set()

    def wrap(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """The handler that aiohttp calls for this route."""

        async def handler(request: web.Request) -> web.StreamResponse:
            if request.method in SAFE or route.asks:
                return await handled(request)
            return await self._to_its_end(handled(request))

        async def handled(request: web.Request) -> web.StreamResponse:
            call = Call(self._site, request, route)
            try:
                await self._check(call)
                answer = await route.handler(call)
            except Problem as problem:
                answer = await self._refusal(call, problem)
            except OSError as fault:
                if full(fault):
                    problem = Problem("disk-full", NO_ROOM)
                elif fault.errno in NEVER_THERE:
                    problem = Problem("not-found")
                else:
                    raise
                answer = await self._refusal(call, problem)
            if answer.prepared:
                return answer
            return dress(answer)

        return handler

    async def _to_its_end(self, work: Coroutine[Any, Any, web.StreamResponse]) -> web.StreamResponse:
        """A change and its line in the audit trail are one: who leaves at once cuts neither off."""
        task = asyncio.ensure_future(work)
        self._changing.add(task)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_told)  # nobody waits for its answer any more
            raise
        finally:
            task.add_done_callback(self._changing.discard)

    async def settle(self, patience: float) -> None:
        """Before the manager ends: changes whose sender has left are made to their end."""
        if self._changing:
            await asyncio.wait(self._changing, timeout=patience)

    @web.middleware
    async def outer(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Around every request: its connection is busy meanwhile; what no route answers, and our faults."""
        guests = self._site.guests
        if guests is None:
            return await self._answer(request, handler)
        guests.busy(request.protocol)
        try:
            return await self._answer(request, handler)
        finally:
            guests.idle(request.protocol)

    async def _answer(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPMethodNotAllowed as other:
            problem = Problem("method", headers={"Allow": ", ".join(sorted(other.allowed_methods))})
        except web.HTTPException as other:
            problem = Problem({404: "not-found", 413: "too-big"}.get(other.status, "bad-request"))
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            _log.exception("the manager failed at %s", request.path)
            problem = Problem("fault", "the manager's log says why")
        call = Call(self._site, request, Route("GET", request.path, _none, None))
        try:
            self._host(request)
            await self._session(call)
            # What is here and what is not is no stranger's business.
            if call.user is None and problem.status < 500:
                problem = Problem("sign-in")
        except Problem as other:
            problem = other
        try:
            answer = await self._refusal(call, problem)
        except Exception:  # the page that should tell it is broken, too
            _log.exception("the manager failed at what it says of %s", request.path)
            answer = web.Response(status=problem.status, text=f"{problem.title}\n")
        return dress(answer)

    async def _check(self, call: Call) -> None:
        request, route = call.request, call.route
        self._host(request)
        await self._session(call)
        self._same_origin(request)
        if "%00" in request.rel_url.raw_path or "%00" in request.rel_url.raw_query_string:
            raise Problem("not-found")  # no name and no word here has that sign; much below stumbles over it
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
            if not hmac.compare_digest(given.encode("utf-8", "replace"), call.session.csrf.encode()):
                raise Problem("forged", "the page is older than the session; load it again")

    async def _session(self, call: Call) -> None:
        token = call.request.cookies.get(cookie_name(self._site), "")
        if token:
            # A page that refreshes itself keeps nobody signed in.
            touch = call.request.headers.get("X-Background") != "1"
            call.session = await call.run(self._site.sessions.of, token, touch)
            call.user = call.session.user if call.session is not None else None
        guests = self._site.guests
        if guests is None or call.session is None:
            return
        if not guests.known(call.request.protocol, call.session.id):
            call.request.protocol.force_close()
            raise Problem("busy", "this browser has too many connections", {"Retry-After": "5"})

    def _host(self, request: web.Request) -> None:
        """A name that was made to point here (DNS rebinding) is not one of this manager's."""
        told = request.headers.getall("Host", [])
        host = host_of(told[0]) if len(told) == 1 else ""
        if host_of(request.host) != host:  # the request's own line may name another one (a proxy's form)
            host = ""
        if host == "localhost" or host in self._known() or f"*.{host.partition('.')[2]}" in self._known():
            return
        address = address_of(host)
        if address and (ipaddress.ip_address(address).is_loopback or address in self._interfaces()):
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
        """The browser says which page asks; another site's is refused before anything is read.

        Another site may link to a page of ours, nothing else.
        """
        site = request.headers.get("Sec-Fetch-Site", "")
        linked = request.method in SAFE and request.headers.get("Sec-Fetch-Mode", "") == "navigate"
        if site not in ("", "same-origin", "none") and not linked:
            raise Problem("forged", "another site's page asked for this")
        if request.method in SAFE:
            return
        origin = request.headers.get("Origin", "")
        own = request.headers.get("Host", "").lower()
        if origin and (origin == "null" or _netloc(origin) != own):
            raise Problem("forged", "another site's page asked for this")

    def _interfaces(self) -> frozenset[str]:
        """This host's addresses, at most a few seconds old."""
        now = time.monotonic()
        if now - self._looked > INTERFACES:
            rows = [row for rows in psutil.net_if_addrs().values() for row in rows]
            self._addresses = frozenset(address_of(row.address) for row in rows) - {""}
            self._looked = now
        return self._addresses

    async def _refusal(self, call: Call, problem: Problem) -> web.Response:
        headers = problem.headers
        if problem.kind != "sign-in":  # that one is no news: a session has ended
            who = call.user.name if call.user is not None else "-"
            _log.info("refused %s at %s: %s %s: %s", who, call.peer, call.request.method, call.request.path,
                      problem.kind)  # fmt: skip
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


def _told(task: asyncio.Task[web.StreamResponse]) -> None:
    fault = None if task.cancelled() else task.exception()
    if fault is not None and not isinstance(fault, ConnectionError):
        _log.error("the manager failed at a change whose sender had left", exc_info=fault)


def dress(answer: web.StreamResponse) -> web.StreamResponse:
    """The headers that every answer has, unless its handler set its own."""
    for name, value in HEADERS.items():
        answer.headers.setdefault(name, value)
    return answer


def cookie_name(site: Site) -> str:
    """With the prefix the browser takes it over TLS only, and no other host can set it."""
    return COOKIE if site.manager.settings.use_https else PLAIN_COOKIE


def host_of(header: str) -> str:
    """The name or address of a Host header, without port and brackets, in small letters."""
    text = header.strip().lower()
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host if not rest or rest.startswith(":") else ""
    return text.rpartition(":")[0] if text.count(":") == 1 else text


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


async def _none(call: Call) -> web.StreamResponse:
    raise Problem("not-found")
