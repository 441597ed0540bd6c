"""Access as JSON: lists with their checks and history, the tester, slots, bans."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import psutil
from aiohttp import web

from manager.call import Call
from manager.facts import access, lists
from manager.problems import Problem
from manager.routing import OPERATOR, TEXT, VIEWER, Route
from mv_iptel.addresses import address_of
from mv_iptel.library.access import MAX_LIST

T = TypeVar("T")


def kind_of(call: Call) -> lists.Kind:
    """The list that the path names. Raises Problem."""
    kind = lists.KINDS.get(call.path["list"])
    if kind is None:
        raise Problem("not-found", f"the lists are {', '.join(lists.KINDS)}")
    return kind


async def put_question(call: Call, asked: Mapping[str, str]) -> dict[str, Any]:
    """Ask the running server, else the home: its answer, and in words. Raises Problem."""
    site = call.site
    config = site.config()
    address, mac = await _work(call, access.whom, site.inventory, asked["address"])
    if not asked["name"]:
        raise Problem("invalid", "name: the file as the phone asks for it",
                      errors=[{"field": "name", "text": "is missing"}])  # fmt: skip
    put = {**asked, "address": address, "mac": mac}
    running = await site.link.status(5.0) is not None
    if running:
        try:
            told = await site.link.get(f"/why?{urlencode(put, errors='surrogateescape')}")
        except Problem as problem:
            if problem.kind == "bad-request":
                raise Problem("invalid", problem.detail) from None
            raise
    else:
        told = await _work(call, access.by_home, config, put)
    words = access.answer(told)
    key = await call.run(access.list_of, config, words["source"])
    return {**told, "running": running, "mac": mac, "answer": {**words, "list": key}}


async def slots_now(call: Call) -> dict[str, Any] | None:
    """Who has a slot; None: the server does not run."""
    if await call.site.link.status(5.0) is None:
        return None
    try:
        told: dict[str, Any] = await call.site.link.get("/slots")
    except Problem:
        return None
    return told


# lists


async def _lists(call: Call) -> web.StreamResponse:
    config = call.site.config()
    found = await call.run(lambda: [_row(lists.state(config, key)) for key in lists.KINDS])
    return call.json({"items": found, "total": len(found), "next": None})


async def _list(call: Call) -> web.StreamResponse:
    found = await call.run(lists.state, call.site.config(), kind_of(call).key)
    return call.json({**_row(found), "text": found.text}, etag=found.etag)


async def _check(call: Call) -> web.StreamResponse:
    """What is wrong with a text, and whom it would touch; nothing is changed."""
    kind = kind_of(call)
    text = call.text(await call.document(), "text", MAX_LIST)
    return call.json(await _work(call, _looked_at, call, kind, text))


async def _save(call: Call) -> web.StreamResponse:
    kind, config = kind_of(call), call.site.config()
    told = await call.document()
    text = call.text(told, "text", MAX_LIST)
    wrong = [] if told.get("anyway") is True else await call.run(access.checked, kind, text)
    if wrong:
        errors = [{"field": "text", **one} for one in wrong[: access.SHOWN]]
        raise Problem("invalid", f"{_lines(wrong)}; mend it, or save it anyway", errors=errors)
    before, after = await _work(call, lists.save, config, kind.key, call.match, lambda _: text)
    await _told(call, "list saved", before, after)
    return call.json(_row(after), etag=after.etag)


async def _remove(call: Call) -> web.StreamResponse:
    kind, config = kind_of(call), call.site.config()
    before, after = await _work(call, lists.save, config, kind.key, call.match, lambda _: None)
    await _told(call, "list removed", before, after)
    return call.nothing()


async def _history(call: Call) -> web.StreamResponse:
    kept = await _work(call, lists.versions, call.site.config(), kind_of(call).key)
    items = [{"id": one.id, "time": one.time, "size": one.size, "removed": one.gone} for one in kept]
    return call.json({"items": items, "total": len(items), "next": None})


async def _version(call: Call) -> web.StreamResponse:
    text = await _work(call, lists.version, call.site.config(), kind_of(call).key, call.path["copy"])
    return call.json({"id": call.path["copy"], "text": text})


async def _undo(call: Call) -> web.StreamResponse:
    kind, config = kind_of(call), call.site.config()
    copy = call.text(await call.document(), "copy", 100)
    text = await _work(call, lists.version, config, kind.key, copy)
    gone = None if copy.endswith("-removed") else text
    before, after = await _work(call, lists.save, config, kind.key, call.match, lambda _: gone)
    await _told(call, "list put back", before, after)
    return call.json(_row(after), etag=after.etag)


# the tester


async def _test(call: Call) -> web.StreamResponse:
    asked = {
        key: call.query.get(key, "")[:4096] for key in ("address", "name", "protocol", "method", "agent")
    }
    return call.json(await put_question(call, asked))


# slots


async def _slots(call: Call) -> web.StreamResponse:
    told = await call.site.link.get("/slots")
    return call.json({**told, "items": told.pop("slots"), "total": told["used"], "next": None})


async def _free(call: Call) -> web.StreamResponse:
    address = address_of(call.path["address"])
    if not address:
        raise Problem("invalid", "an IPv4 or IPv6 address, as the list of slots shows it")
    await call.site.link.post(f"/control/slots/{quote(address, safe='')}/free")
    await call.audit("slot freed", address)
    return call.nothing()


# bans


async def _bans(call: Call) -> web.StreamResponse:
    found = await call.run(access.bans, call.site.config(), 1 << 30)
    return call.json({"items": found, "total": len(found), "next": None})


async def _ban(call: Call) -> web.StreamResponse:
    """A ban of phones that are known is asked for twice: `anyway`."""
    site, config = call.site, call.site.config()
    told = await call.document()
    entry, note = call.text(told, "entry", 200), call.text(told, "note", 500, "")
    line = access.ban(entry, note, await call.run(_own))
    if told.get("anyway") is not True:
        phones = await call.run(access.known, site.inventory)
        hit = (await call.run(access.touched, lists.KINDS["banned"], "", line, phones)).out
        if hit:
            names = ", ".join(f"{address} {name}".strip() for address, name in hit[:5])
            more = f" and {len(hit) - 5} more" if len(hit) > 5 else ""
            raise Problem("conflict", f"phones were seen there: {names}{more}; tick that you mean them, too")
    before, after = await _work(
        call, lists.save, config, "banned", lambda etag: None, lambda text: access.with_ban(text, line)
    )
    await _told(call, "banned", before, after)
    return call.json({"entry": line.split("#")[0].strip()}, 201)


async def _lift(call: Call) -> web.StreamResponse:
    entry, config = call.path["entry"], call.site.config()
    before, after = await _work(
        call, lists.save, config, "banned", lambda etag: None, lambda text: access.without_ban(text, entry)
    )
    await _told(call, "ban lifted", before, after)
    return call.nothing()


# helpers


async def _work(call: Call, work: Callable[..., T], *args: Any) -> T:
    """On a thread; what the disk refuses is told in words."""
    try:
        return await call.run(work, *args)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
        text = f"{error.filename or 'the list'}: {error.strerror or type(error).__name__}"
        raise Problem("disk-full" if full else "fault", f"{text}; nothing was changed") from None


async def _told(call: Call, action: str, before: lists.State, after: lists.State) -> None:
    if before.data == after.data:
        return
    changes = await call.run(lists.difference, before.text, after.text, before.path.name)
    await call.audit(action, f"{before.kind.word}: {before.path}", "", changes)


def _looked_at(call: Call, kind: lists.Kind, text: str) -> dict[str, Any]:
    before = lists.state(call.site.config(), kind.key)
    wrong = access.checked(kind, text)
    told: dict[str, Any] = {"problems": wrong[: access.SHOWN], "wrong": len(wrong), "out": [], "into": [],
                            "shut_out": 0, "let_in": 0}  # fmt: skip
    if before.error or text == before.text:
        return told
    phones = access.known(call.site.inventory)
    old = before.text if before.data is not None else None if kind.empty else ""
    found = access.touched(kind, old, text, phones)
    told |= {"shut_out": len(found.out), "let_in": len(found.into), "seen": found.seen,
             "out": [list(one) for one in found.out[: access.SHOWN]],
             "into": [list(one) for one in found.into[: access.SHOWN]]}  # fmt: skip
    return told


def _row(found: lists.State) -> dict[str, Any]:
    return {
        "list": found.kind.key, "governs": found.kind.governs, "file": str(found.path),
        "exists": found.exists, "error": found.error, "entries": len(found.entries),
        "also": list(found.also), "etag": found.etag,
        "problems": [one._asdict() for one in found.problems[: access.SHOWN]],
    }  # fmt: skip


def _lines(wrong: list[dict[str, Any]]) -> str:
    first = wrong[0]
    place = f"line {first['line']}: " if first["line"] else ""
    more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    return f"{place}{first['text']}{more}"


def _own() -> list[str]:
    found = {"127.0.0.1", "::1"}
    for rows in psutil.net_if_addrs().values():
        found.update(address_of(row.address) for row in rows)
    return sorted(found - {""})


ROUTES = (
    Route("GET", "/api/v1/access/lists", _lists, VIEWER),
    Route("GET", "/api/v1/access/lists/{list}", _list, VIEWER),
    Route("PUT", "/api/v1/access/lists/{list}", _save, OPERATOR, body=TEXT),
    Route("DELETE", "/api/v1/access/lists/{list}", _remove, OPERATOR),
    Route("POST", "/api/v1/access/lists/{list}/check", _check, OPERATOR, body=TEXT, asks=True),
    Route("GET", "/api/v1/access/lists/{list}/history", _history, VIEWER),
    Route("GET", "/api/v1/access/lists/{list}/history/{copy}", _version, VIEWER),
    Route("POST", "/api/v1/access/lists/{list}/undo", _undo, OPERATOR),
    Route("GET", "/api/v1/access/test", _test, VIEWER),
    Route("GET", "/api/v1/access/slots", _slots, VIEWER),
    Route("DELETE", "/api/v1/access/slots/{address}", _free, OPERATOR),
    Route("GET", "/api/v1/access/bans", _bans, VIEWER),
    Route("POST", "/api/v1/access/bans", _ban, OPERATOR),
    Route("DELETE", "/api/v1/access/bans/{entry}", _lift, OPERATOR),
)
