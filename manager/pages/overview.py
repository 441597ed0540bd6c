"""The overview: what the server does now, and what wants attention."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from aiohttp import web

from manager.call import Call
from manager.facts import overview, pulse
from manager.routing import VIEWER, Route
from manager.site import Site
from mv_iptel.certs import CertError, load_chain
from mv_iptel.status.words import central, firmware

SHOWN = 40  # transfers with a bar of their own
PARTS = {"": "overview.html", "live": "_live.html", "watch": "_watch.html"}


async def _show(call: Call) -> web.StreamResponse:
    part = call.choice("part", PARTS, "")
    call.site.pulse.watch()
    status = await call.site.link.status()
    values: dict[str, Any] = {
        "part": part,
        "seen": status,
        "moment": time.time(),
        "gone": call.site.link.error,
    }
    if part != "watch":
        values |= await live(call, status)
    if part != "live":
        values |= await watched(call, status)
    return await call.page(f"overview/{PARTS[part]}", **values)


async def live(call: Call, status: dict[str, Any] | None) -> dict[str, Any]:
    """What changes from second to second."""
    now = time.time()
    storm = await call.run(call.site.inquiry.storm)
    active = sorted(status["transfers"]["active"], key=lambda one: one["started"]) if status else []
    return {
        "charts": await call.run(lambda: pulse.charts(call.site.pulse.points(now))),
        "storm": storm,
        "storm_text": overview.worded(storm, now) if storm else "",
        "transfers": active[:SHOWN],
        "more": max(0, status["transfers"]["now"] - SHOWN) if status else 0,
    }


async def watched(call: Call, status: dict[str, Any] | None) -> dict[str, Any]:
    """What is looked at now and then."""
    site, now = call.site, time.time()
    refused, fxd = await asyncio.gather(call.run(site.inquiry.refusals), call.run(site.inquiry.on_fallback))
    matters = await call.run(lambda: overview.matters(status, site.config(), fxd, now, own(site, status)))
    return {
        "matters": matters,
        "refused": refused,
        "listeners": overview.listeners(status) if status else [],
        "firmware": firmware(status["firmware"], status["rollout"]) if status else "",
        "central": central(status["central"], now) if status else "",
        "known": status["phones"] if status else await call.run(site.inventory.counts, now),
    }


def own(site: Site, status: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Certificates of which the server does not tell: the manager's, and all while it does not run."""
    told = {one["file"] for one in status["certs"]} if status else set()
    settings = site.manager.settings
    files = {site.config().https.cert_file, *([settings.cert_file] if settings.use_https else [])}
    found = []
    for file in files:
        if str(file) in told:
            continue
        try:
            leaf = load_chain(file)[0]
        except CertError:
            continue
        ends = leaf.not_valid_after_utc.timestamp()
        found.append({"file": str(file), "subject": leaf.subject.rfc4514_string(), "not_after": ends})
    return found


ROUTES = (Route("GET", "/", _show, VIEWER),)
