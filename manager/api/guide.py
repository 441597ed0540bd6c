"""The first-run guide for programs: the steps as they are, and the telephone system in the settings."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from manager.call import Call
from manager.facts import guide, telephony
from manager.facts.changing import Refused
from manager.pages.guide import gathered
from manager.problems import Problem
from manager.routing import OPERATOR, VIEWER, Route
from mv_iptel.history.lines import changes


async def _guide(call: Call) -> web.StreamResponse:
    found = await gathered(call)
    seen = await call.run(guide.first_phone, call.site.inventory)
    steps = [*found["steps"].values(), guide.phone(seen)]
    return call.json(
        {
            "steps": [one._asdict() for one in steps],
            "dhcp": found["dhcp"]._asdict(),
            "software": [one._asdict() for one in found["software"]],
            "phone": seen._asdict() if seen else None,
        },
        etag=found["etag"],
    )


async def _system(call: Call) -> web.StreamResponse:
    """Write the telephone system's addresses into the settings that there are."""
    told = await call.document()
    wanted = {key: call.text(told, key, 300, "").strip() for key in telephony.SYSTEM}
    errors = [
        {"field": key, "text": why}
        for key, value in wanted.items()
        if value and (why := telephony.fault(key, value))
    ]
    if errors or not any(wanted.values()):
        raise Problem("invalid", "an address of the telephone system is wanted", errors=errors)
    config = call.site.config()
    call.match(await call.run(telephony.state_of, config))
    try:
        done = await call.run(telephony.write_system, config, wanted)
    except Refused as no:
        raise Problem(no.kind, no.why) from None
    except OSError as error:
        raise Problem("fault", f"{error.strerror}: {error.filename or 'the settings'}") from None
    for name, (before, after) in done.items():
        await call.audit("telephone system", name, "", _diff(before, after))
    await call.site.link.refresh()
    answer: dict[str, Any] = {"changed": list(done), **wanted}
    return call.json(answer, etag=await call.run(telephony.state_of, config))


def _diff(before: str, after: str) -> str:
    found = changes(before.encode("latin-1"), after.encode("latin-1"))
    return "\n".join(f"{one.sign}{one.text}" for one in found)[:20_000]


ROUTES = (
    Route("GET", "/api/v1/guide", _guide, VIEWER),
    Route("PUT", "/api/v1/guide/telephone-system", _system, OPERATOR),
)
