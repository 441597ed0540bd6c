"""One request as the handlers see it: who asks, what was sent, and the ways to answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from aiohttp import web

from manager.problems import Problem
from manager.routing import Role
from mv_iptel.addresses import address_of

if TYPE_CHECKING:
    from manager.people import User
    from manager.routing import Route
    from manager.sessions import Session
    from manager.site import Site

T = TypeVar("T")


class Call:
    """What a handler gets. `user` and `session` are None only where the route needs no sign-in."""

    def __init__(self, site: Site, request: web.Request, route: Route):
        self.site, self.request, self.route = site, request, route
        self.user: User | None = None
        self.session: Session | None = None
        self.peer = address_of(request.remote or "") or "?"
        self.path = request.match_info
        self.query = request.query

    @property
    def api(self) -> bool:
        """Whether a program asks."""
        return self.request.path.startswith("/api/")

    @property
    def htmx(self) -> bool:
        """Whether only a part of a page is wanted."""
        return self.request.headers.get("HX-Request") == "true"

    def may(self, role: Role) -> bool:
        return self.user is not None and self.user.role >= role

    async def run(self, work: Callable[..., T], *args: Any) -> T:
        """What reads files or the database, or computes: on a thread, never on the loop."""
        return await asyncio.get_running_loop().run_in_executor(self.site.threads, work, *args)

    # what was sent

    def number(self, name: str, default: int, least: int = 0, most: int = 1 << 31) -> int:
        """A number of the query. Raises Problem."""
        text = self.query.get(name, "")
        if not text:
            return default
        if not (text.isascii() and text.isdigit() and len(text) <= 12):
            raise Problem("bad-request", f"{name}={text[:40]}: a number is wanted")
        return min(max(int(text), least), most)

    def choice(self, name: str, choices: Any, default: str) -> str:
        """One of the choices, from the query; anything else is a Problem."""
        text = self.query.get(name, default) or default
        if text not in choices:
            raise Problem("bad-request", f"{name}={text[:40]}: one of {', '.join(sorted(choices))}")
        return text

    async def octets(self) -> bytes:
        """The body, within the route's limit and patience. Raises Problem."""
        data = await self.site.bodies.whole(self.request, self.route.body)
        await self._still()
        return data

    async def parts(self, most: int) -> AsyncIterator[bytes]:
        """A long body, piece by piece. Raises Problem."""
        async for part in self.site.bodies.parts(self.request, most):
            yield part
        await self._still()

    async def _still(self) -> None:
        """Who was signed out or lost his role while a body came changes nothing with it. Raises Problem."""
        if self.session is None:
            return
        now = await self.run(self.site.sessions.again, self.session)
        if now is None:
            raise Problem("sign-in", "the session has ended meanwhile")
        if self.route.role is not None and now.user.role < self.route.role:
            raise Problem("not-allowed", "your role was changed meanwhile")

    async def document(self) -> dict[str, Any]:
        """A JSON object, told as application/json: no form of another site can. Raises Problem."""
        if self.request.content_type != "application/json":
            raise Problem("bad-request", "a JSON document is wanted (Content-Type: application/json)")
        try:
            told = json.loads(await self.octets() or b"{}")
        except (ValueError, RecursionError):
            raise Problem("bad-request", "the body is not JSON") from None
        if not isinstance(told, dict):
            raise Problem("bad-request", "the body is not a JSON object")
        return told

    def text(self, told: dict[str, Any], field: str, most: int = 4096, default: str | None = None) -> str:
        """A string of a document; without a default it must be there. Raises Problem."""
        value = told.get(field, default)
        if not isinstance(value, str):
            raise Problem(
                "invalid", f"{field} is missing or no text", errors=[_error(field, "a text is wanted")]
            )
        if len(value) > most:
            raise Problem(
                "invalid", f"{field}: at most {most} characters", errors=[_error(field, "too long")]
            )
        return value

    def match(self, etag: str) -> None:
        """The change is for this state of the thing: If-Match must name it. Raises Problem."""
        given = self.request.headers.get("If-Match", "")
        if not given:
            raise Problem("match-needed", "send the ETag that was read as If-Match", etag=etag)
        tags = [one.strip().removeprefix("W/").strip('"') for one in given.split(",")]
        if etag not in tags and not (given.strip() == "*" and etag):
            raise Problem("changed", "read it again, then make the change on what is there now", etag=etag)

    # answers

    async def page(self, template: str, status: int = 200, **values: Any) -> web.Response:
        """A page (or, beginning with an underscore, a part of one) from its template."""
        return await self.site.pages.answer(self, template, status, values)

    def json(
        self, value: Any, status: int = 200, etag: str = "", headers: dict[str, str] | None = None
    ) -> web.Response:
        body = json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "backslashreplace")
        answer = web.Response(body=body, status=status, content_type="application/json", headers=headers)
        if etag:
            answer.headers["ETag"] = f'"{etag}"'
        return answer

    def nothing(self) -> web.Response:
        """Done, and there is nothing to tell."""
        return web.Response(status=204)

    def go(self, path: str) -> web.Response:
        """To another page of ours. `path` must be made by us, never taken from a request."""
        if self.htmx:
            return web.Response(status=204, headers={"HX-Redirect": path})
        return web.Response(status=303, headers={"Location": path})

    def download(
        self, data: bytes | Path, name: str, kind: str = "application/octet-stream"
    ) -> web.StreamResponse:
        """A file to keep: never shown by the browser, whatever is in it."""
        plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name) or "file"
        whole = quote(name.encode("utf-8", "surrogateescape"), safe="")
        told = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{whole}"
        headers = {"Content-Disposition": told, "Content-Type": kind,
                   "Content-Security-Policy": "sandbox; default-src 'none'"}  # fmt: skip
        return (
            web.FileResponse(data, headers=headers)
            if isinstance(data, Path)
            else web.Response(body=data, headers=headers)
        )

    def operation(self, kind: str, what: str, work: Callable[..., Any], then: str = "") -> web.Response:
        """Long work: begun on a thread, answered with 202 and where its progress is told (operations.py)."""
        assert self.user is not None
        begun = self.site.operations.begin(kind, what, self.user.name, work, then)
        place = f"/api/v1/operations/{begun.id}"
        return self.json(begun.told(), 202, headers={"Location": place})

    async def audit(self, action: str, what: str, before: str = "", after: str = "") -> None:
        """Into the audit trail, before the answer goes out."""
        who = self.user.name if self.user is not None else "-"
        await self.run(self.site.audit.add, who, self.peer, action, what, before, after)


def _error(field: str, text: str) -> dict[str, str]:
    return {"field": field, "text": text}
