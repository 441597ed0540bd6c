"""User data: whose is kept, its versions in the user's words, what changed, and how it comes back."""

from __future__ import annotations

import os
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from manager.api.userdata import ask, exported, file_of, page_of, version_of
from manager.call import Call
from manager.facts import userdata
from manager.problems import Problem
from manager.routing import OPERATOR, VIEWER, Route
from mv_iptel.config import Config
from mv_iptel.status.words import HOWS
from mv_iptel.userdata import check

FIELDS = ("q", "kind", "state", "sort", "order")
ROWS = 50
VERSIONS = 40  # of one name that its page shows at once
CHANGES = 25


async def _show(call: Call) -> web.StreamResponse:
    here = call.number("page", 1, 1, 1_000_000)
    told = await page_of(call, (here - 1) * ROWS, ROWS)
    chosen = {name: call.query.get(name, "") for name in FIELDS}
    values = {
        "told": told, "page": here, "pages": max(1, -(-told["total"] // ROWS)), "chosen": chosen,
        "link": _link(chosen), "sorts": {name: _sort(chosen, name) for name in userdata.SORTS},
        "kinds": userdata.KINDS, "states": userdata.STATES, "hows": HOWS,
    }  # fmt: skip
    if call.htmx:
        return await call.page("userdata/_rows.html", **values)
    status = await call.site.link.status(5.0)
    return await call.page(
        "userdata/list.html", **values, backups=(status or {}).get("backups"),
        findings=await ask(call, _findings),
    )  # fmt: skip


def _link(chosen: dict[str, str]) -> str:
    told = urlencode({name: value for name, value in chosen.items() if value})
    return f"/userdata?{told}" if told else "/userdata"


def _sort(chosen: dict[str, str], name: str) -> dict[str, str]:
    """Where the head of a column leads, and how it is sorted now."""
    mine = (chosen["sort"] or "extension") == name
    down = chosen["order"] == "down"
    first = "up" if name == "extension" else "down"  # the newest and the largest are asked for
    order = ("up" if down else "down") if mine else first
    return {
        "link": _link({**chosen, "sort": name, "order": order}),
        "aria": ("descending" if down else "ascending") if mine else "",
    }


def _findings(config: Config) -> list[dict[str, Any]]:
    """What `mv-iptel check` says of user data; where it is said is told by the file's name alone."""
    return [{**one._asdict(), "file": os.path.basename(one.file)} for one in check.check(config)]


async def _one(call: Call) -> web.StreamResponse:
    told = await ask(call, userdata.one, file_of(call))
    every = told["versions"]
    here, then = call.number("page", 1, 1, 100_000), call.number("changes", 1, 1, 100_000)
    values: dict[str, Any] = {"shown": None, "content": None, "fault": ""}
    if every and call.may(OPERATOR):
        wanted = version_of(call, "version") or every[0]["id"]
        values["shown"] = wanted
        try:
            values["content"] = await ask(call, userdata.content, told["file"], wanted)
            values["shown"] = values["content"]["version"]
        except Problem as problem:
            if problem.kind == "not-found":
                raise
            values["fault"] = problem.detail
    changes = told["changes"]
    return await call.page(
        "userdata/one.html", told=told, hows=HOWS, path=f"/userdata/{told['file']}",
        every=every[(here - 1) * VERSIONS :][:VERSIONS], page=here, pages=-(-len(every) // VERSIONS),
        changes=changes[(then - 1) * CHANGES :][:CHANGES], then=then, thens=-(-len(changes) // CHANGES),
        replaced=dict(pairwise(one["id"] for one in every)), **values,
    )  # fmt: skip


async def _differences(call: Call) -> web.StreamResponse:
    told = await ask(call, userdata.one, file_of(call))
    if not told["versions"]:
        raise Problem("not-found", f"nothing is kept of {told['file']}")
    new = version_of(call, "new") or told["versions"][0]["id"]
    old = version_of(call, "old") or await ask(call, userdata.before, told["file"], new)
    found = await ask(call, userdata.differences, told["file"], old, new)
    return await call.page("userdata/differences.html", told=told, found=found)


ROUTES = (
    Route("GET", "/userdata", _show, VIEWER),
    Route("GET", "/userdata/{file}", _one, VIEWER),
    Route("GET", "/userdata/{file}/differences", _differences, OPERATOR),
    Route("GET", "/userdata/exports/{id}", exported, OPERATOR),
)
