"""The first-run guide: what is still to be done until the first phone boots, found out and not asked."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from manager.call import Call
from manager.facts import guide, telephony
from manager.routing import VIEWER, Route
from mv_iptel import certs

PARTS = {"": "guide.html", "phone": "_phone.html"}


async def _show(call: Call) -> web.StreamResponse:
    part = call.choice("part", PARTS, "")
    seen = await call.run(guide.first_phone, call.site.inventory)
    values: dict[str, Any] = {"seen": seen, "phone": guide.phone(seen)}
    if seen is None:
        values["strangers"] = await call.run(call.site.inventory.refusals, 3)
    if not part:
        values |= await gathered(call)
    return await call.page(f"guide/{PARTS[part]}", **values)


async def gathered(call: Call) -> dict[str, Any]:
    """All steps but the last."""
    status = await call.site.link.status()
    return await call.run(_gathered, call, status)


def _gathered(call: Call, status: dict[str, Any] | None) -> dict[str, Any]:
    site, user = call.site, call.user
    config, own = site.config(), certs.host_names()
    named = (*own.dns, *own.addresses)
    files = guide.served(config)
    firmware, rows = guide.software(files)
    steps = [
        guide.password(site.home, user is not None and user.fresh),
        guide.server(status, site.link.error),
        guide.address(files, named),
        guide.system(files),
        firmware,
        guide.certificate(config, files, time.time()),
    ]
    return {
        "steps": {one.key: one for one in steps},
        "software": rows,
        "dhcp": guide.dhcp(config, files, own.addresses),
        "settings": telephony.files_of(config),
        "etag": telephony.state_of(config),
        "ours": guide.OURS,
        "cert_name": certs.PUBLIC_NAME,
    }


ROUTES = (Route("GET", "/guide", _show, VIEWER),)
