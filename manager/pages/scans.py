"""Scans of the phones: what each runs beside what the scripts order for it."""

from __future__ import annotations

from urllib.parse import urlencode

from aiohttp import web

from manager.api.firmware import reports
from manager.api.scans import FILTERS, KIND, the_scan
from manager.call import Call
from manager.facts.reports import SORTS
from manager.routing import VIEWER, Route
from mv_iptel.firmware.scanning import MOST
from mv_iptel.snmp.sweep import RATE

ROWS = 50
COLUMNS = (("worst", "State"), ("address", "Address"), ("mac", "MAC"), ("ext", "Ext."),
           ("model", "Model"), ("runs", "Runs"), ("ordered", "Ordered"))  # fmt: skip


async def _list(call: Call) -> web.StreamResponse:
    running = next((one for one in call.site.operations.running() if one["kind"] == KIND), None)
    return await call.page(
        "firmware/scans.html", tab="scans", scans=await call.run(reports(call).scans), most=MOST,
        rate=int(RATE), running=running,
    )  # fmt: skip


async def _one(call: Call) -> web.StreamResponse:
    one = await the_scan(call)
    state, sort = call.choice("state", FILTERS, ""), call.choice("sort", SORTS, "worst")
    text, down = call.query.get("q", "")[:100], call.query.get("order") == "down"
    page = call.number("page", 1, 1, 1_000_000)
    kept = reports(call)
    total, rows = await call.run(kept.phones, one["id"], state, text, sort, down, ROWS, (page - 1) * ROWS)
    base = f"/firmware/scans/{one['id']}"
    query = {"state": state, "q": text, "sort": sort, "order": "down" if down else "up"}
    ways = {key: "down" if key == sort and not down else "up" for key, _ in COLUMNS}
    values = {
        "one": one, "rows": rows, "total": total, "page": page, "pages": max(1, -(-total // ROWS)),
        "base": base, "link": f"{base}?{urlencode(query)}", "state": state, "q": text, "sort": sort,
        "down": down, "columns": COLUMNS,
        "sorted": {key: f"{base}?{urlencode({**query, 'sort': key, 'order': way})}"
                   for key, way in ways.items()},
    }  # fmt: skip
    return await call.page("firmware/_phones.html" if call.htmx else "firmware/scan.html", **values)


ROUTES = (
    Route("GET", "/firmware/scans", _list, VIEWER),
    Route("GET", "/firmware/scans/{number}", _one, VIEWER),
)
