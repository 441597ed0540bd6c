"""The audit trail as JSON, and as a file to keep."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar
from urllib.parse import urlencode

from aiohttp import web

from manager.audit import MOST, Filter
from manager.call import Call
from manager.guarding import dress
from manager.problems import Problem
from manager.rendering import stamp
from manager.routing import ADMINISTRATOR, Route
from mv_iptel.cli.forms import write_csv

FIELDS = ("id", "time", "who", "peer", "action", "what", "before", "after")

T = TypeVar("T")


def asked(call: Call) -> Filter:
    """The filter of a query."""
    return Filter(*(call.query.get(key, "").strip()[:200] for key in ("who", "action", "q")))


async def look(call: Call, work: Callable[..., T], *args: Any) -> T:
    """What searches the trail, on a thread. Raises Problem."""
    try:
        return await call.run(work, *args)
    except TimeoutError:
        raise Problem("busy", "this search takes too long; choose who or an action, too") from None


async def _all(call: Call) -> web.StreamResponse:
    told, limit = asked(call), call.number("limit", 50, 1, 200)
    found = await look(call, call.site.audit.find, told, limit + 1, 0, call.number("before", 0))
    items = found[:limit]
    following = None
    if len(found) > limit:
        query = {
            "who": told.who,
            "action": told.action,
            "q": told.text,
            "limit": limit,
            "before": items[-1]["id"],
        }
        following = "/api/v1/audit?" + urlencode({key: value for key, value in query.items() if value})
    total = await look(call, call.site.audit.count, told)
    return call.json({"items": items, "total": total, "next": following})


async def _one(call: Call) -> web.StreamResponse:
    return call.json(await entry(call))


async def entry(call: Call) -> dict[str, Any]:
    """The one whose number stands in the path. Raises Problem."""
    number = call.path["number"]
    fine = number.isascii() and number.isdigit() and len(number) <= 12
    found = await look(call, call.site.audit.get, int(number)) if fine else None
    if found is None:
        raise Problem("not-found", "the audit trail has no such number, or it is too old to be kept")
    return found


async def _csv(call: Call) -> web.StreamResponse:
    return await _file(call, "audit.csv", "text/csv; charset=utf-8", _rows)


async def _lines(call: Call) -> web.StreamResponse:
    return await _file(call, "audit.jsonl", "application/jsonl; charset=utf-8", _documents)


async def _file(
    call: Call, name: str, kind: str, form: Callable[[Iterable[dict[str, Any]], bool], str]
) -> web.StreamResponse:
    """Streamed some at a time, and written down itself: it is the whole history that leaves."""
    told = asked(call)
    pieces = call.site.audit.pieces(told)
    part: list[dict[str, Any]] | None = await look(call, next, pieces, None)
    await call.audit("audit trail exported", name, after=", ".join(filter(None, told)))
    answer = web.StreamResponse(headers={
        "Content-Type": kind, "Content-Disposition": f'attachment; filename="{name}"',
    })  # fmt: skip
    dress(answer)
    await answer.prepare(call.request)
    first = True
    while part is not None or first:
        await answer.write((await call.run(form, part or [], first)).encode("utf-8", "backslashreplace"))
        first = False
        part = await look(call, next, pieces, None) if part is not None else None
    await answer.write_eof()
    return answer


def _rows(rows: Iterable[dict[str, Any]], first: bool) -> str:
    """Cells that no spreadsheet takes for formulas: names of files and phones stand in them."""
    out = io.StringIO()
    write_csv(FIELDS, ({**row, "time": stamp(row["time"])} for row in rows), out, MOST, head=first)
    return out.getvalue()


def _documents(rows: Iterable[dict[str, Any]], first: bool) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


ROUTES = (
    Route("GET", "/api/v1/audit", _all, ADMINISTRATOR),
    Route("GET", "/api/v1/audit/{number}", _one, ADMINISTRATOR),
    Route("GET", "/api/v1/audit.csv", _csv, ADMINISTRATOR),
    Route("GET", "/api/v1/audit.jsonl", _lines, ADMINISTRATOR),
)
