"""Users' data as JSON: who has any, what a version says, what changed, restoring, copies, passwords."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from aiohttp import web

from manager.call import Call
from manager.facts import exports, userdata
from manager.operations import Operation
from manager.problems import NO_ROOM, Problem, full
from manager.rendering import when
from manager.routing import OPERATOR, VIEWER, Route
from mv_iptel.journal import plain
from mv_iptel.library.answers import Reason, Refuse
from mv_iptel.status.words import REASONS
from mv_iptel.userdata import versions
from mv_iptel.userdata.names import parse

T = TypeVar("T")
PAGE = 50
MOST_CHOSEN = 1000  # extensions and files of one export
_REFUSED = {Reason.CHANGED: "changed", Reason.DISK_FULL: "disk-full", Reason.QUOTA: "conflict"}


async def ask(call: Call, work: Callable[..., T], *args: Any) -> T:
    """Work on the store, with what may be wrong there said as a Problem."""
    try:
        return await call.run(work, call.site.config(), *args)
    except LookupError as error:
        raise Problem("not-found", str(error.args[0] if error.args else error)) from None
    except OSError as error:
        if full(error):
            raise Problem("disk-full", NO_ROOM) from None
        if not isinstance(error, PermissionError):
            raise Problem("fault", f"it cannot be read: {plain(error.strerror or str(error))}") from None
        raise Problem("fault", "the manager may not read it; run it as the user of the server") from None
    except (EOFError, zlib.error) as error:
        raise Problem("fault", f"it cannot be read: {plain(str(error))}") from None


async def page_of(call: Call, offset: int, limit: int) -> dict[str, Any]:
    """What the query asks for; the page shows the same."""
    values = (
        call.query.get("q", "")[:100],
        call.choice("kind", userdata.KINDS, "all"),
        call.choice("state", userdata.STATES, "all"),
        call.choice("sort", userdata.SORTS, "extension"),
        call.choice("order", ("up", "down"), "up") == "down",
    )
    return await ask(call, userdata.listing, *values, offset, limit)


def file_of(call: Call) -> str:
    """The canonical name that the path says. Raises Problem."""
    name = call.path["file"]
    kept = parse(name)
    if kept is None or "/" in name:
        raise Problem("not-found", f"{plain(name, 80)} is no name of user data, as 4711_96xxdata.txt is")
    return kept.file


def version_of(call: Call, field: str, default: str = "") -> str:
    return call.query.get(field, default)[:80]


async def _list(call: Call) -> web.StreamResponse:
    offset, limit = call.number("offset", 0), call.number("limit", PAGE, 1, 500)
    told = await page_of(call, offset, limit)
    after = offset + limit
    if after < told["total"]:
        query = {**call.query, "offset": str(after), "limit": str(limit)}
        told["next"] = f"/api/v1/userdata?{urlencode(query)}"
    else:
        told["next"] = None
    return call.json(told)


async def _one(call: Call) -> web.StreamResponse:
    told = await ask(call, userdata.one, file_of(call))
    return call.json(told, etag=told["etag"])


async def _content(call: Call) -> web.StreamResponse:
    told = await ask(call, userdata.content, file_of(call), version_of(call, "version", versions.CURRENT))
    return call.json(told)


async def _raw(call: Call) -> web.StreamResponse:
    """The octets as the phone gave them."""
    name, version = file_of(call), version_of(call, "version", versions.CURRENT)
    found = await ask(call, versions.find, name, version)
    data = await ask(call, versions.read, name, found.id)
    await call.audit("user data copied", name, after=f"version {found.id}")
    return call.download(data, name if found.id == versions.CURRENT else f"{found.id}-{name}")


async def _differences(call: Call) -> web.StreamResponse:
    name, new = file_of(call), version_of(call, "new", versions.CURRENT)
    old = version_of(call, "old") or await ask(call, userdata.before, name, new)
    return call.json(await ask(call, userdata.differences, name, old, new))


async def _restore(call: Call) -> web.StreamResponse:
    config = call.site.config()
    told = await call.document()
    before = await ask(call, userdata.one, file_of(call))
    name, tag = before["file"], before["etag"]
    wanted = await ask(call, versions.find, name, call.text(told, "version", 80))
    call.match(tag)
    # Where there is a current content, the store compares again, under its lock.
    match = "" if before["deleted"] else f'"{tag}"'

    def work() -> Any:
        return versions.restore(config, name, wanted.id, match=match)

    stored = await ask(call, lambda _: work())
    if isinstance(stored, Refuse):
        kind, text = _REFUSED.get(stored.reason, "fault"), plain(stored.detail)
        if kind == "changed":
            text = "its phone has just stored something newer; look at that first"
        raise Problem(kind, f"{name} was not restored: {REASONS.get(stored.reason, '')}; {text}")
    after = await ask(call, userdata.one, name)
    if not stored.same:
        await call.audit("user data restored", name, _words(before), f"{_words(after)}, version {wanted.id}")
        await call.site.link.refresh()
    return call.json({**after, "same": stored.same}, etag=after["etag"])


def _words(told: dict[str, Any]) -> str:
    """The state of a name without anything of its content."""
    if told["deleted"]:
        return "no current content"
    current = told["versions"][0]
    return f"{current['sha8']}, {current['size']} B, stored {when(current['time'])}"


async def _unpin(call: Call) -> web.StreamResponse:
    name = file_of(call)
    if await call.site.link.status() is not None:
        await call.site.link.post(f"/control/backups/{quote(name)}/unpin")
    else:
        home = call.site.home
        if not await ask(call, lambda _: userdata.pins_of(home).release(name)):
            raise Problem("not-found", f"no password is remembered for {name}")
    await call.audit("password of user data forgotten", name)
    return call.nothing()


async def _export(call: Call) -> web.StreamResponse:
    told = await call.document()
    who, old = told.get("who", []), told.get("versions", False)
    if not isinstance(who, list) or len(who) > MOST_CHOSEN or not isinstance(old, bool):
        raise Problem("invalid", f"who: at most {MOST_CHOSEN} extensions or files; versions: true or false")
    chosen = tuple(_chosen(one) for one in who)
    what = f"Copy of {'all users' if not chosen else ', '.join(chosen)[:80]}' data"
    await call.audit("user data copied", ", ".join(chosen) or "all", after="with versions" if old else "")
    config, home, now = call.site.config(), call.site.home, time.time()

    def work(operation: Operation) -> dict[str, Any]:
        try:
            made = exports.make(config, chosen, old, operation.say, now)
        except OSError as error:
            if full(error):
                raise Problem("disk-full", NO_ROOM) from None
            raise Problem("fault", f"the copy cannot be written: {error.strerror}") from None
        operation.then = f"/userdata/exports/{made['id']}"
        return {**made, "download": f"/api/v1/userdata-exports/{made['id']}"}

    # A copy that nobody asks for any more goes without being asked; after a restart, at the next look.
    loop, late = asyncio.get_running_loop(), exports.KEPT + 60
    loop.call_later(late, loop.run_in_executor, None, exports.prune, home, now + late)
    return call.operation("export", what, work)


def _chosen(one: Any) -> str:
    kept = parse(one) if isinstance(one, str) and "/" not in one else None
    if kept is not None:
        return kept.file
    if isinstance(one, str) and one.isascii() and one.isdigit() and len(one) <= 20:
        return one
    raise Problem("invalid", "an extension or a name such as 4711_96xxdata.txt is wanted",
                  errors=[{"field": "who", "text": f"{plain(str(one), 60)}"}])  # fmt: skip


async def exported(call: Call) -> web.StreamResponse:
    """A copy that an operation has made, to keep."""
    try:
        path, name = await call.run(exports.find, call.site.home, call.path["id"], time.time())
    except LookupError as error:
        raise Problem("not-found", str(error)) from None
    return call.download(path, name, "application/zip")


ROUTES = (
    Route("GET", "/api/v1/userdata", _list, VIEWER),
    Route("GET", "/api/v1/userdata/{file}", _one, VIEWER),
    Route("GET", "/api/v1/userdata/{file}/content", _content, OPERATOR),
    Route("GET", "/api/v1/userdata/{file}/raw", _raw, OPERATOR),
    Route("GET", "/api/v1/userdata/{file}/differences", _differences, OPERATOR),
    Route("POST", "/api/v1/userdata/{file}/restore", _restore, OPERATOR),
    Route("DELETE", "/api/v1/userdata/{file}/password", _unpin, OPERATOR),
    Route("POST", "/api/v1/userdata-exports", _export, OPERATOR),
    Route("GET", "/api/v1/userdata-exports/{id}", exported, OPERATOR),
)
