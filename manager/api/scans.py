"""Scans as JSON: phones are asked what they run; the report is kept, paged, and given as CSV."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from manager.api.firmware import reports
from manager.behalf import Behalf
from manager.call import Call
from manager.facts.reports import SORTS
from manager.operations import Operation
from manager.problems import Problem
from manager.routing import OPERATOR, VIEWER, Route
from mv_iptel.cli.firmware_scan import FIELDS
from mv_iptel.cli.forms import moment, write_csv
from mv_iptel.firmware.compliance import STATES, STUCK_SECONDS
from mv_iptel.firmware.scanning import scan, targets
from mv_iptel.inventory.scanned import MOST, Scanned
from mv_iptel.snmp.sweep import RATE

KIND = "firmware-scan"
FILTERS = ("", *STATES, "advised")
NETS = 200  # networks of one scan
DAY = 86_400.0


async def _list(call: Call) -> web.StreamResponse:
    found = await call.run(reports(call).scans)
    return call.json({"items": found, "total": len(found), "next": None})


async def _begin(call: Call) -> web.StreamResponse:
    asked = await call.document()
    nets = asked.get("nets", [])
    if not isinstance(nets, list) or not all(isinstance(one, str) for one in nets) or len(nets) > NETS:
        raise _wrong("nets", f"a list of at most {NETS} networks, ranges and addresses")
    nets = [one.strip() for one in nets if one.strip()]
    found = await call.run(targets, nets)
    if isinstance(found, str):
        raise _wrong("nets", found)
    days = _number(asked, "seen_days", 30, 1, 3650)
    rate = _number(asked, "rate", RATE, 1, 2000)
    stuck = _number(asked, "stuck_hours", STUCK_SECONDS / 3600, 0, 8760)
    if any(one["kind"] == KIND for one in call.site.operations.running()):
        raise Problem("conflict", "a scan runs already; wait until it is over")
    config, behalf, kept = await call.run(call.site.config), Behalf(call), reports(call)

    def work(operation: Operation) -> dict[str, Any]:
        operation.say("Asking phones")

        def told(done: int, total: int) -> None:
            operation.say(f"{done:,} of {total:,} asked", done, total)

        report = scan(config, nets, days * DAY, rate, stuck * 3600, told)
        if isinstance(report, str):
            raise Problem("invalid", report)
        operation.say("Keeping what they answered")
        unkept = _keep(behalf, report.kept)
        number = kept.scanned(report, behalf.who, nets, unkept)
        text = f"{report.asked:,} asked, {report.answered:,} phones answered"
        behalf.audit("phones scanned", ", ".join(nets)[:500] or "the inventory's phones", "", text)
        operation.then = f"/firmware/scans/{number}"
        operation.say(text)
        return {"id": number, "asked": report.asked, "answered": report.answered, "states": report.states}

    return call.operation(KIND, "Asking phones what they run", work)


def _keep(behalf: Behalf, found: list[Scanned]) -> str:
    """Hand what phones answered to the running server, which alone writes the inventory; why not."""
    try:
        for at in range(0, len(found), MOST):
            behalf.post("/control/seen", {"phones": [one.as_dict() for one in found[at : at + MOST]]})
    except Problem as problem:
        return problem.detail or problem.title
    return ""


async def the_scan(call: Call) -> dict[str, Any]:
    """The one that the path names. Raises Problem."""
    text = call.path["number"]
    known = text.isascii() and text.isdigit() and len(text) < 10
    found = await call.run(reports(call).scan, int(text)) if known else None
    if found is None:
        raise Problem("not-found", "there is no such scan; only the last ones are kept")
    return found


async def _one(call: Call) -> web.StreamResponse:
    return call.json(await the_scan(call))


async def _phones(call: Call) -> web.StreamResponse:
    one = await the_scan(call)
    state, sort = call.choice("state", FILTERS, ""), call.choice("sort", SORTS, "worst")
    limit, offset = call.number("limit", 50, 1, 500), call.number("offset", 0)
    text, down = call.query.get("q", "")[:100], call.query.get("order") == "down"
    total, rows = await call.run(reports(call).phones, one["id"], state, text, sort, down, limit, offset)
    following = None
    if offset + limit < total:
        query = {"state": state, "q": text, "sort": sort, "order": "down" if down else "up", "limit": limit,
                 "offset": offset + limit}  # fmt: skip
        following = f"/api/v1/firmware/scans/{one['id']}/phones?{urlencode(query)}"
    return call.json({"items": rows, "total": total, "next": following})


async def _csv(call: Call) -> web.StreamResponse:
    one = await the_scan(call)
    state = call.choice("state", FILTERS, "")
    data = await call.run(_written, reports(call), one["id"], state)
    return call.download(data, f"scan-{one['id']}.csv", "text/csv; charset=utf-8")


def _written(kept: Any, number: int, state: str) -> bytes:
    _, rows = kept.phones(number, state, limit=1_000_000)
    out = io.StringIO(newline="")
    write_csv(FIELDS, (
        {**row, "seen": moment(row["seen"]) if row["seen"] else "",
         "advisories": " ".join(one["id"] for one in row["advisories"])}
        for row in rows
    ), out)  # fmt: skip
    return out.getvalue().encode("utf-8", "replace")


def _number(told: dict[str, Any], key: str, default: float, least: float, most: float) -> float:
    value = told.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise _wrong(key, f"a number from {least:g} to {most:g}")
    return float(value)


def _wrong(field: str, text: str) -> Problem:
    return Problem("invalid", f"{field}: {text}", errors=[{"field": field, "text": text}])


ROUTES = (
    Route("GET", "/api/v1/firmware/scans", _list, VIEWER),
    Route("POST", "/api/v1/firmware/scans", _begin, OPERATOR),
    Route("GET", "/api/v1/firmware/scans/{number}", _one, VIEWER),
    Route("GET", "/api/v1/firmware/scans/{number}/phones", _phones, VIEWER),
    Route("GET", "/api/v1/firmware/scans/{number}/phones.csv", _csv, VIEWER),
)
