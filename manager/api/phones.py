"""The phones as JSON: the list, one phone, its time line, its boot; forgetting one; the inbox."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import web

from manager.call import Call
from manager.facts import boots, strangers
from manager.facts.phone import kept, timeline, warnings
from manager.facts.refusals import now_of, numbered
from manager.pages.phones import (
    PROTOCOLS,
    asked_of,
    choice_of,
    found,
    play,
    query_of,
)
from manager.problems import Problem
from manager.rendering import part
from manager.routing import OPERATOR, VIEWER, Route
from mv_iptel.cli.forms import moment, write_csv
from mv_iptel.status.words import OUTCOMES

MOST = 500  # of a list in one answer
FIELDS = (
    "mac",
    "ext",
    "model",
    "runs",
    "runs_source",
    "address",
    "first_seen",
    "last_seen",
    "boot",
    "state",
    "ordered",
    "requests",
    "refused",
    "failed",
    "bytes",
)


async def _list(call: Call) -> web.StreamResponse:
    choice, limit = choice_of(call), call.number("limit", 50, 1, MOST)
    listed = await call.run(call.site.phones.list, choice, limit)
    following = None
    if listed.page < listed.pages:
        query = query_of(choice, page=listed.page + 1)
        following = f"/api/v1/phones?{query}&limit={limit}"
    rows = [{key: value for key, value in row.items() if key != "id"} for row in listed.rows]
    return call.json({"items": rows, "total": listed.total, "next": following})


async def _csv(call: Call) -> web.StreamResponse:
    choice = choice_of(call)._replace(page=1)

    def write() -> bytes:
        out = io.StringIO()
        listed = call.site.phones.list(choice, 1_000_000)
        times = ("first_seen", "last_seen", "boot")
        write_csv(FIELDS, ({**row, **{key: moment(row[key]) for key in times}} for row in listed.rows), out)
        return out.getvalue().encode("utf-8", "backslashreplace")

    return call.download(await call.run(write), "phones.csv", "text/csv; charset=utf-8")


async def _one(call: Call) -> web.StreamResponse:
    known = await found(call)
    if known.phone is None:
        raise Problem("not-found", "this address is no phone; its time line may say more")
    phone = known.phone

    def read() -> dict[str, Any]:
        told = {key: value for key, value in phone.items() if key != "id"}
        noted = [one.as_dict() for one in warnings(known.config, phone)]
        return {
            **told,
            "compliance": call.site.phones.verdict(phone),
            "advisories": noted,
            "userdata": kept(known.config, phone["ext"]),
        }

    return call.json(await call.run(read))


async def _timeline(call: Call) -> web.StreamResponse:
    known = await found(call)
    proto, outcome = call.choice("proto", {"", *PROTOCOLS}, ""), call.choice("outcome", {"", *OUTCOMES}, "")
    limit, before = call.number("limit", 100, 1, MOST), call.number("before", 0, 0, 1 << 62)
    rows = await call.run(timeline, call.site.inventory, known.key, proto, outcome, before, limit + 1)
    following = None
    if len(rows) > limit:
        rows = rows[:limit]
        following = (
            f"/api/v1/phones/{part(known.key)}/timeline?before={rows[-1]['id']}&limit={limit}"
            f"&proto={proto}&outcome={outcome}"
        )
    return call.json({"items": rows, "total": None, "next": following})


async def _boot(call: Call) -> web.StreamResponse:
    known, asked = await found(call), asked_of(call)
    if known.phone is None:
        raise Problem("not-found", "this address is no phone, so nobody knows how it boots")

    def read() -> dict[str, Any]:
        played = play(known, asked)
        settings = boots.settings(played.effects) if played.effects else []
        return {
            "ready": played.ready,
            "why": played.why,
            "protocol": played.protocol,
            "group": played.group,
            "group_known": played.group_known,
            "reboots": played.reboots,
            "runs": played.handset.runs if played.handset else "",
            "requests": [one._asdict() for one in played.answers],
            "troubles": [one._asdict() for one in played.troubles],
            "lines": [one._asdict() for one in boots.lines(played.trace)],
            "settings": [one._asdict() for one in settings],
        }

    return call.json(await call.run(read))


async def _forget(call: Call) -> web.StreamResponse:
    known = await found(call)
    if known.phone is None:
        raise Problem("not-found", "this address is no phone")
    phone = known.phone
    await call.site.link.post(f"/control/phones/{quote(known.key)}/forget")
    told = ", ".join(f"{key} {phone[key]}" for key in ("mac", "ext", "model", "address") if phone[key])
    await call.audit("phone forgotten", known.key, told, "")
    return call.nothing()


async def _refusal(call: Call) -> web.StreamResponse:
    text = call.path["number"]
    row = None
    if text.isascii() and text.isdigit() and len(text) <= 15:
        row, lead = await call.run(numbered, call.site.config(), call.site.inventory, int(text))
    if row is None:
        raise Problem("not-found", "no request has this number; the last 100,000 refusals are kept")
    why, unknown = await now_of(call.site, row)
    return call.json({**row, "sent_by": lead, "now": why, "unknown": unknown})


async def _strangers(call: Call) -> web.StreamResponse:
    def read() -> dict[str, Any]:
        hidden = strangers.ignored(call.site.store)
        every = strangers.strangers(call.site.config(), hidden, time.time())
        return {"items": [one._asdict() for one in every], "total": len(every), "next": None}

    return call.json(await call.run(read))


def _key(call: Call) -> str:
    key = strangers.key_of(call.path["key"])
    if not key:
        raise Problem("bad-request", "an address or a MAC is wanted")
    return key


async def _ignore(call: Call) -> web.StreamResponse:
    key = _key(call)
    assert call.user is not None
    if await call.run(strangers.ignore, call.site.store, key, call.user.name, True):
        await call.audit("unknown device ignored", key)
    return call.nothing()


async def _heed(call: Call) -> web.StreamResponse:
    key = _key(call)
    assert call.user is not None
    if await call.run(strangers.ignore, call.site.store, key, call.user.name, False):
        await call.audit("unknown device shown again", key)
    return call.nothing()


async def _all_known(call: Call) -> web.StreamResponse:
    assert call.user is not None
    await call.run(strangers.all_known, call.site.store, call.user.name, time.time())
    await call.audit("all phones taken as known", "unknown devices")
    return call.nothing()


async def _none_known(call: Call) -> web.StreamResponse:
    assert call.user is not None
    if await call.run(strangers.ignore, call.site.store, strangers.EVERYONE, call.user.name, False):
        await call.audit("new phones shown again", "unknown devices")
    return call.nothing()


async def _listed(call: Call) -> web.StreamResponse:
    """One more line in the list that governs a protocol."""
    key, told = _key(call), await call.document()
    protocol = call.text(told, "protocol", 10)
    assert call.user is not None
    governs = await call.run(strangers.lists, call.site.config())
    if protocol not in governs:
        raise Problem("conflict", f"no list governs {protocol}: everybody may download there")
    path = governs[protocol]
    remark = f"{call.text(told, 'remark', 60, '')} {call.user.name} {time.strftime('%Y-%m-%d')}".strip()
    before, after = await call.run(strangers.add, call.site.home, path, key, remark)
    await call.audit("address added to a list", Path(path).name, before[-20_000:], after[-20_000:])
    return call.json({"list": Path(path).name, "address": key})


ROUTES = (
    Route("GET", "/api/v1/phones", _list, VIEWER),
    Route("GET", "/api/v1/phones.csv", _csv, VIEWER),
    Route("GET", "/api/v1/phones/{key}", _one, VIEWER),
    Route("DELETE", "/api/v1/phones/{key}", _forget, OPERATOR),
    Route("GET", "/api/v1/phones/{key}/timeline", _timeline, VIEWER),
    Route("GET", "/api/v1/phones/{key}/boot", _boot, VIEWER),
    Route("GET", "/api/v1/refusals/{number}", _refusal, VIEWER),
    Route("GET", "/api/v1/strangers", _strangers, VIEWER),
    Route("PUT", "/api/v1/strangers/known", _all_known, OPERATOR),
    Route("DELETE", "/api/v1/strangers/known", _none_known, OPERATOR),
    Route("PUT", "/api/v1/strangers/{key}/ignored", _ignore, OPERATOR),
    Route("DELETE", "/api/v1/strangers/{key}/ignored", _heed, OPERATOR),
    Route("POST", "/api/v1/strangers/{key}/lists", _listed, OPERATOR),
)
