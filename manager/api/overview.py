"""The overview for programs: what the server does, what wants attention; and its listeners' switches."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from manager.call import Call
from manager.facts import overview
from manager.pages.overview import live, watched
from manager.problems import Problem
from manager.routing import ADMINISTRATOR, VIEWER, Route


async def _overview(call: Call) -> web.StreamResponse:
    call.site.pulse.watch()
    status = await call.site.link.status()
    now, later = await live(call, status), await watched(call, status)
    storm = now["storm"]
    return call.json({
        "running": status is not None,
        "why_not": call.site.link.error or None,
        "transfers": status["transfers"] if status else None,
        "phones": later["known"],
        "storm": {**storm._asdict(), "text": now["storm_text"]} if storm else None,
        "matters": [one._asdict() for one in later["matters"]],
        "refused": [one._asdict() for one in later["refused"]],
        "listeners": [one._asdict() for one in later["listeners"]],
        "fallback": (await call.run(call.site.inquiry.on_fallback))._asdict(),
    })  # fmt: skip


async def _pulse(call: Call) -> web.StreamResponse:
    call.site.pulse.watch()
    points = await call.run(call.site.pulse.points, time.time())
    return _list([one._asdict() for one in points], call)


async def _listeners(call: Call) -> web.StreamResponse:
    status = await call.site.link.status()
    if status is None:
        raise Problem("unreachable", call.site.link.error)
    return _list([one._asdict() for one in overview.listeners(status)], call)


async def _switch(call: Call) -> web.StreamResponse:
    """Start or stop. It says the whole state that is wanted, so it needs no If-Match."""
    proto = call.path["proto"]
    if proto not in overview.KEYS:
        raise Problem("not-found", f"one of {', '.join(overview.KEYS)} can be started and stopped")
    run = (await call.document()).get("run")
    if not isinstance(run, bool):
        text = "true to start it, false to stop it"
        raise Problem("invalid", f"run: {text}", errors=[{"field": "run", "text": text}])
    before = await _state(call, proto)
    await call.site.link.post(f"/control/listeners/{proto}/{'start' if run else 'stop'}")
    after = await _state(call, proto)
    await call.audit("start listener" if run else "stop listener", proto, before["state"], after["state"])
    return call.json(after)


async def _state(call: Call, proto: str) -> dict[str, Any]:
    status = await call.site.link.status(0)
    if status is None:
        raise Problem("unreachable", call.site.link.error)
    return next(one._asdict() for one in overview.listeners(status) if one.proto == proto)


async def _reload(call: Call) -> web.StreamResponse:
    """Load MV_IPTel.ini as it lies there. With mistakes in it nothing changes."""
    told = await call.site.link.post("/control/reload")
    if not told.get("ok"):
        findings = [str(one) for one in told.get("findings", ())]
        raise Problem("invalid", "; ".join(findings) or "the server refused it", findings=findings)
    await call.audit(
        "reload", str(call.site.home.ini), "", "\n".join(str(one) for one in told.get("findings", ()))
    )
    return call.json(told)


def _list(items: list[dict[str, Any]], call: Call) -> web.Response:
    return call.json({"items": items, "total": len(items), "next": None})


ROUTES = (
    Route("GET", "/api/v1/overview", _overview, VIEWER),
    Route("GET", "/api/v1/overview/pulse", _pulse, VIEWER),
    Route("GET", "/api/v1/listeners", _listeners, VIEWER),
    Route("PUT", "/api/v1/listeners/{proto}", _switch, ADMINISTRATOR),
    Route("POST", "/api/v1/server/reload", _reload, ADMINISTRATOR),
)
