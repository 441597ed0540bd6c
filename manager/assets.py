"""The files that pages need: styles, scripts, icons; named by what is in them, so that browsers keep them."""

from __future__ import annotations

import functools
import hashlib
from importlib import resources

from aiohttp import web

from manager.problems import Problem
from manager.routing import Route

KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@functools.cache
def _known() -> dict[str, tuple[bytes, str, str]]:
    """File name -> content, kind, first digits of its hash."""
    found = {}
    for file in (resources.files("manager") / "static").iterdir():
        kind = KINDS.get("." + file.name.rpartition(".")[2])
        if kind:
            data = file.read_bytes()
            found[file.name] = (data, kind, hashlib.sha256(data).hexdigest()[:12])
    return found


def path(name: str) -> str:
    """The address of an asset; a changed one has another."""
    return f"/static/{_known()[name][2]}/{name}"


async def _give(call) -> web.Response:  # type: ignore[no-untyped-def]
    asset = _known().get(call.path["name"])
    if asset is None:
        raise Problem("not-found")
    data, kind, mark = asset
    keep = "public, max-age=31536000, immutable" if call.path["mark"] == mark else "no-cache"
    answer = web.Response(body=data, content_type=kind, charset="utf-8", headers={"Cache-Control": keep})
    if len(data) > 1024:
        answer.enable_compression()  # nothing secret is in them
    return answer


ROUTES = (Route("GET", "/static/{mark}/{name}", _give, None),)
