"""Firmware: releases, what is in one and whom it touches, publishing and taking back, the disk's check."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from manager.api.firmware import reports, the_release
from manager.call import Call
from manager.facts import firmware as facts
from manager.facts.advised import advised
from manager.facts.forecasts import CHOICES
from manager.problems import Problem
from manager.routing import OPERATOR, VIEWER, Route
from mv_iptel.firmware import generations
from mv_iptel.firmware.releases import PUBLISHED, RING, ROLES, STAGED, SUPERSEDED, Release

ROWS = 25  # releases of a page
FILES = 60
SHOWN = 12  # sentences of each kind on a page; all are in the JSON


async def _list(call: Call) -> web.StreamResponse:
    site = call.site
    page, everything = call.number("page", 1, 1), call.query.get("all") == "1"
    found = await call.run(facts.listed, site.home, everything)
    pages = max(1, -(-len(found) // ROWS))
    page = min(page, pages)
    status = await site.link.status(5.0)
    values: dict[str, Any] = {
        "rows": found[(page - 1) * ROWS : page * ROWS], "total": len(found), "page": page, "pages": pages,
        "everything": everything, "arriving": (status or {}).get("firmware", {}),
        "rollout": await call.run(facts.rollout, site.home), "told": (status or {}).get("rollout", {}),
        "now": await call.run(generations.current, site.home),
    }  # fmt: skip
    if call.htmx:
        return await call.page("firmware/_rows.html", **values)
    config = await call.run(site.config)
    return await call.page(
        "firmware/list.html", **values, tab="releases", past=await call.run(facts.history, site.home),
        publish=config.settings.updates_publish, updates=str(site.home.updates),
        last=facts.last_published(site.home, found), check=await call.run(reports(call).check),
    )  # fmt: skip


async def _one(call: Call) -> web.StreamResponse:
    one = await the_release(call)
    role, text = call.choice("role", ("", *ROLES), ""), call.query.get("q", "")[:100]
    rows = await call.run(facts.contents, one, role, text)
    pages = max(1, -(-len(rows) // FILES))
    page = min(call.number("page", 1, 1), pages)
    link = f"/firmware/releases/{one.id}?{urlencode({'role': role, 'q': text})}"
    values: dict[str, Any] = {
        "one": one, "rows": rows[(page - 1) * FILES : page * FILES], "total": len(rows), "page": page,
        "pages": pages, "link": link, "role": role, "q": text,
    }  # fmt: skip
    if call.htmx:
        return await call.page("firmware/_files.html", **values)
    now = await call.run(generations.current, call.site.home)
    return await call.page(
        "firmware/release.html", **values, **await _foreseen(call, one), told=facts.told(one),
        etag=await call.run(facts.etag, call.site.home, one), served=len(now.of(one.id)),
        rollout=await call.run(facts.rollout, call.site.home),
    )  # fmt: skip


async def _forecast(call: Call) -> web.StreamResponse:
    one = await the_release(call)
    values = await _foreseen(call, one)
    etag = await call.run(facts.etag, call.site.home, one)
    if not call.htmx:  # somebody without scripts follows the link
        return call.go(f"/firmware/releases/{one.id}?live={values['live']}")
    rollout = await call.run(facts.rollout, call.site.home)
    return await call.page("firmware/_forecast.html", one=one, etag=etag, rollout=rollout, **values)


async def _foreseen(call: Call, one: Release) -> dict[str, Any]:
    """What publishing it, or taking it back, would do; `seen` is None while it is being found out."""
    again = call.query.get("again") == "1"  # what is published may be mended by publishing it once more
    action = "rollback" if one.state == PUBLISHED and not again else "publish"
    if one.state not in (PUBLISHED, STAGED, RING, SUPERSEDED):
        return {"action": "", "live": "stop", "again": again, "seen": None, "shown": SHOWN}
    live = call.choice("live", CHOICES["publish"], "stop")
    live = live if live in CHOICES[action] else "stop"
    config = await call.run(call.site.config)
    seen = await call.run(call.site.forecasts.ask, config, action, one.id, live)
    return {"action": action, "live": live, "again": again, "seen": seen, "shown": SHOWN}


async def _file(call: Call) -> web.StreamResponse:
    one = await the_release(call)
    place, name = call.query.get("place", "")[:20], call.query.get("name", "")[:600]
    config = await call.run(call.site.config)
    found = await call.run(facts.look, config, one, place, name, call.may(OPERATOR))
    if found is None:
        raise Problem("not-found", "this release has no such file")
    return await call.page("firmware/file.html", one=one, found=found)


async def _verification(call: Call) -> web.StreamResponse:
    return await call.page(
        "firmware/verification.html", tab="verification", check=await call.run(reports(call).check)
    )


async def _advisories(call: Call) -> web.StreamResponse:
    rows, problems = await call.run(advised, await call.run(call.site.config))
    return await call.page("firmware/advisories.html", tab="advisories", rows=rows, problems=problems)


ROUTES = (
    Route("GET", "/firmware", _list, VIEWER),
    Route("GET", "/firmware/releases/{id}", _one, VIEWER),
    Route("GET", "/firmware/releases/{id}/forecast", _forecast, VIEWER),
    Route("GET", "/firmware/releases/{id}/file", _file, VIEWER),
    Route("GET", "/firmware/verification", _verification, VIEWER),
    Route("GET", "/firmware/advisories", _advisories, VIEWER),
)
