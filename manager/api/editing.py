"""What an editor asks while a file is written: lint, who breaks, who asks for it, two edits made one."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from aiohttp import web

from manager.api.files import FILE, last_by, on_disk, place
from manager.call import Call
from manager.facts import texts
from manager.facts.files import Data
from manager.facts.touched import askers
from manager.routing import OPERATOR, TEXT, VIEWER, Route
from mv_iptel.history.lines import changes

SHOWN = 2000  # changed lines that are told of each side


async def _lint(call: Call) -> web.StreamResponse:
    """Of the file as it lies there."""
    area, name = place(call)
    data = await on_disk(call, Data, call.site.config())
    file, content = await on_disk(call, data.read, area, name)
    return call.json(await _findings(call, file.path, content, fixes=False), etag=file.etag)


async def _lint_text(call: Call) -> web.StreamResponse:
    """Of what stands in an editor."""
    area, name = place(call)
    text = call.text(await call.document(), "text", TEXT)
    data = await on_disk(call, Data, call.site.config())
    path, before = await on_disk(call, _whence, data, area, name)
    return call.json(await _findings(call, path, texts.octets_of(text, before), fixes=True))


def _whence(data: Data, area: str, name: str) -> tuple[Path, bytes]:
    """Where a file lies or will lie, and its octets."""
    try:
        found, content = data.read(area, name)
        return found.path, content
    except FileNotFoundError:
        folder = name.rpartition("/")[0]
        data.stat(f"{area}/{folder}" if folder else area)
        return data.areas[area].path / name, b""


async def _findings(call: Call, path: Path, content: bytes, fixes: bool) -> Any:
    return await call.site.lint.ask(
        call, do="lint", folder=str(path.parent), name=path.name, fixes=fixes,
        data=base64.b64encode(content).decode("ascii"),
    )  # fmt: skip


async def _whom(call: Call) -> web.StreamResponse:
    """Which phones would notice; without a text: if the file were gone."""
    area, name = place(call)
    given = await call.document()
    data = await on_disk(call, Data, call.site.config())
    _, before = await on_disk(call, _whence, data, area, name)
    content = (
        texts.octets_of(call.text(given, "text", TEXT), before) if given.get("text") is not None else None
    )
    packed = base64.b64encode(content).decode("ascii") if content is not None else None
    return call.json(await call.site.whom.ask(call, do="whom", area=area, name=name, data=packed))


async def _askers(call: Call) -> web.StreamResponse:
    area, name = place(call)
    data = await on_disk(call, Data, call.site.config())
    file = await on_disk(call, data.look, area, name)
    found = await call.run(askers, call.site.config(), file.path, file.key)
    return call.json({**found._asdict(), "rows": list(found.rows), "needed": found.needed})


async def _merge(call: Call) -> web.StreamResponse:
    """Two edits of one file: the one in the editor, and what was saved meanwhile."""
    area, name = place(call)
    given = await call.document()
    base, mine = call.text(given, "base", TEXT), call.text(given, "text", TEXT)
    data = await on_disk(call, Data, call.site.config())
    file, content = await on_disk(call, data.read, area, name)
    theirs = texts.text_of(content)
    both = await call.run(texts.merged, base, mine, theirs)
    rows = [
        [one._asdict() for one in await call.run(changes, base.encode("utf-8", "replace"), side)]
        for side in (theirs.encode("utf-8", "replace"), mine.encode("utf-8", "replace"))
    ]
    return call.json(
        {
            "theirs": theirs, "their_changes": rows[0][:SHOWN], "my_changes": rows[1][:SHOWN],
            "merged": both.text if both else None, "conflicts": list(both.conflicts) if both else [],
            "by": await call.run(last_by, call, file.key), "etag": file.etag,
        },
        etag=file.etag,
    )  # fmt: skip


ROUTES = (
    Route("GET", f"/api/v1/lint/{FILE}", _lint, VIEWER),
    Route("POST", f"/api/v1/lint/{FILE}", _lint_text, OPERATOR, body=TEXT, asks=True),
    Route("POST", f"/api/v1/who-breaks/{FILE}", _whom, OPERATOR, body=TEXT, asks=True),
    Route("POST", f"/api/v1/merge/{FILE}", _merge, OPERATOR, body=2 * TEXT, asks=True),
    Route("GET", f"/api/v1/askers/{FILE}", _askers, VIEWER),
)
