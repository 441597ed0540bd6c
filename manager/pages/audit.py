"""The audit trail, and each change in it with what was before and after."""

from __future__ import annotations

from urllib.parse import urlencode

from aiohttp import web

from manager.api.audit import asked, entry, look
from manager.audit import DAYS, difference
from manager.call import Call
from manager.routing import ADMINISTRATOR, Route

ROWS = 50


async def _show(call: Call) -> web.StreamResponse:
    told = asked(call)
    total = await look(call, call.site.audit.count, told)
    pages = max(1, -(-total // ROWS))
    here = min(call.number("page", 1, 1), pages)
    rows = await look(call, call.site.audit.find, told, ROWS, (here - 1) * ROWS)
    names, actions = await look(call, call.site.audit.choices)
    query = {"who": told.who, "action": told.action, "q": told.text}
    query = {key: value for key, value in query.items() if value}
    link = "?" + urlencode(query) if query else ""
    return await call.page(
        "audit/_rows.html" if call.htmx else "audit/audit.html", rows=rows, total=total, pages=pages,
        here=here, told=told, names=names, actions=actions, link=link, days=DAYS, short=_short,
    )  # fmt: skip


async def _one(call: Call) -> web.StreamResponse:
    row = await entry(call)
    lines = await call.run(difference, row["before"], row["after"])
    return await call.page("audit/entry.html", row=row, lines=lines)


def _short(row: dict[str, str]) -> str:
    """Before and after in one line, if they are as short as that."""
    before, after = row["before"], row["after"]
    if "\n" in before.strip() or "\n" in after.strip() or len(before) + len(after) > 120:
        return ""
    return f"{before} → {after}" if before and after else f"was {before}" if before else after


ROUTES = (
    Route("GET", "/audit", _show, ADMINISTRATOR),
    Route("GET", "/audit/{number}", _one, ADMINISTRATOR),
)
