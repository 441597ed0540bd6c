"""The search box of every page: a reference number's refusal, a phone, or the list that fits."""

from __future__ import annotations

import shlex
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from manager.call import Call
from manager.facts.refusals import now_of, numbered
from manager.problems import Problem
from manager.rendering import part
from manager.routing import VIEWER, Route
from mv_iptel.addresses import address_of, mac_of
from mv_iptel.status.words import OPS, OUTCOMES, REASONS, SOURCES


async def _search(call: Call) -> web.StreamResponse:
    q = call.query.get("q", "").strip()[:200]
    found = await call.run(meant, call, q)
    if len(found) == 1:
        return call.go(found[0]["path"])
    if found:
        return await call.page("search/search.html", q=q, found=found)
    return call.go(f"/phones?{urlencode({'q': q})}" if q else "/phones")


def meant(call: Call, q: str) -> list[dict[str, Any]]:
    """What a text may mean, each with its page: a number is a refusal's, an extension, or both."""
    reader, found = call.site.inventory, []
    number = q.removeprefix("#")
    if number.isascii() and number.isdigit() and len(number) <= 15 and not mac_of(q):
        row = reader.number(int(number))
        if row is not None:
            text = f"{row['peer']} asked for {row['name']}: {row['reason'] or row['outcome']}"
            found.append({"path": f"/refusals/{int(number)}", "what": f"Request #{number}", "text": text})
    if q and not q.startswith("#") and (address_of(q) or mac_of(q) or q.isdigit()):
        phone = reader.phone(q)
        if phone is not None:
            text = " ".join(filter(None, (phone["model"], f"at {phone['address']}")))
            what = f"Phone {q}" if not q.isdigit() or phone["ext"] != q else f"The phone with extension {q}"
            found.append({"path": f"/phones/{part(phone['key'])}", "what": what, "text": text})
        elif address_of(q) and reader.timeline(q, 1):
            found.append(
                {"path": f"/phones/{part(address_of(q))}", "what": f"Address {q}", "text": "no phone yet"}
            )
    return found


async def _refusal(call: Call) -> web.StreamResponse:
    text = call.path["number"]
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise Problem("not-found", "a reference number has digits only")
    row, lead = await call.run(numbered, call.site.config(), call.site.inventory, int(text))
    if row is None:
        raise Problem("not-found", "no request has this number; the last 100,000 refusals are kept")
    now, unknown = await now_of(call.site, row)
    again = f"mv-iptel why {row['peer']} {shlex.quote(row['name'])} --protocol {row['proto']}"
    return await call.page(
        "search/refusal.html",
        row=row,
        lead=lead,
        why=now,
        unknown=unknown,
        again=again,
        reasons=REASONS,
        outcomes=OUTCOMES,
        sources=SOURCES,
        ops=OPS,
    )


ROUTES = (
    Route("GET", "/search", _search, VIEWER),
    Route("GET", "/refusals/{number}", _refusal, VIEWER),
)
