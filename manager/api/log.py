"""The log as JSON, live and as a file to keep."""

from __future__ import annotations

import io
import json
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from manager.call import Call
from manager.facts import log
from manager.guarding import dress
from manager.rendering import stamp
from manager.routing import VIEWER, Route
from manager.streams import stream
from mv_iptel.cli.forms import write_csv
from mv_iptel.status.server import PROTOCOLS
from mv_iptel.status.words import REASONS

PART = 2000  # rows of a download that are read at once
MOST = 100_000  # of one download
FORMS = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl; charset=utf-8"}


async def chosen(call: Call) -> log.Chosen:
    """What the query wants to see. Raises Problem."""
    protocol = call.choice("protocol", ("", *PROTOCOLS), "")
    outcome = call.choice("outcome", log.OUTCOMES, "")
    reason = call.choice("reason", ("", *REASONS), "")
    who, text = (call.query.get(key, "")[:100] for key in ("who", "text"))
    return await call.run(log.chosen, call.site.inventory, who, protocol, outcome, reason, text)


async def _page(call: Call) -> web.StreamResponse:
    wanted, limit = await chosen(call), call.number("limit", 100, 1, 1000)
    found = await call.run(log.page, call.site.inventory, wanted, call.query.get("before", ""), limit)
    following = None
    if found.before:
        query = {**wanted.query(), "limit": limit, "before": found.before}
        following = f"/api/v1/log?{urlencode(query)}"
    return call.json({"items": found.rows, "total": None, "next": following})


async def _events(call: Call) -> web.StreamResponse:
    wanted = await chosen(call)
    return await stream(call, call.site.relay.follow(wanted.wants))


async def _download(call: Call) -> web.StreamResponse:
    """Some rows at a time, the newest first: a browser that reads slowly holds no memory."""
    wanted, form = await chosen(call), call.choice("format", FORMS, "csv")
    reader, write = call.site.inventory, _csv if form == "csv" else _lines
    found = await call.run(log.page, reader, wanted, "", PART)
    answer = dress(web.StreamResponse(headers={
        "Content-Type": FORMS[form], "Content-Disposition": f'attachment; filename="log.{form}"',
    }))  # fmt: skip
    await answer.prepare(call.request)
    sent, first = 0, True
    while True:
        rows = found.rows[: MOST - sent]
        await answer.write((await call.run(write, rows, first)).encode("utf-8", "backslashreplace"))
        sent, first = sent + len(rows), False
        if not found.before or sent >= MOST:
            break
        found = await call.run(log.page, reader, wanted, found.before, PART)
    await answer.write_eof()
    return answer


def _csv(rows: list[dict[str, Any]], first: bool) -> str:
    """Cells that no spreadsheet takes for formulas: what phones say stands in them."""
    out = io.StringIO()
    told = ({**log.row_of(row), "time": stamp(row["time"])} for row in rows)
    write_csv(log.COLUMNS, told, out, 400, head=first)
    return out.getvalue()


def _lines(rows: list[dict[str, Any]], first: bool) -> str:
    return "".join(json.dumps(row, ensure_ascii=True) + "\n" for row in rows)


ROUTES = (
    Route("GET", "/api/v1/log", _page, VIEWER),
    Route("GET", "/api/v1/log/events", _events, VIEWER),
    Route("GET", "/api/v1/log/download", _download, VIEWER),
)
