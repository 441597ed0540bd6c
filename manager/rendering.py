"""Pages from templates. Whatever a phone, a file or a user said is escaped; nothing is marked safe."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import jinja2
from aiohttp import web

from manager import assets
from manager.routing import Role
from mv_iptel.home import Home
from mv_iptel.journal import plain
from mv_iptel.status import words

if TYPE_CHECKING:
    from manager.call import Call
    from manager.site import Site

# The menu, in its order: path, word. Rows of later capabilities are added when they are there.
MENU = (
    ("/", "Overview"),
    ("/phones", "Phones"),
    ("/files", "Files"),
    ("/firmware", "Firmware"),
    ("/access", "Access"),
    ("/userdata", "User data"),
    ("/log", "Log"),
)


class Pages:
    """The templates of one manager."""

    def __init__(self, site: Site):
        self._site = site
        folder = Path(str(resources.files("manager") / "templates"))
        self.jinja = jinja2.Environment(
            loader=jinja2.FileSystemLoader(folder), autoescape=True, undefined=jinja2.StrictUndefined,
            trim_blocks=True, lstrip_blocks=True, auto_reload=False,
        )  # fmt: skip
        self.jinja.filters |= {
            "size": words.size, "span": words.span, "count": words.count, "mac": words.mac,
            "ago": ago, "when": when, "stamp": stamp, "plain": printable, "part": part,
            "short": shortener(site.home),
        }  # fmt: skip
        self.jinja.globals |= {"asset": assets.path, "Role": Role, "now": time.time}

    async def answer(self, call: Call, template: str, status: int, values: dict[str, Any]) -> web.Response:
        """A response; a whole page also knows the menu, the user and the server's state."""
        if not template.rpartition("/")[2].startswith("_"):
            values = {**await self._frame(call), **values}
        body = await call.run(self.render, template, {"call": call, "user": call.user, **values})
        return web.Response(body=body, status=status, content_type="text/html", charset="utf-8")

    def render(self, template: str, values: dict[str, Any]) -> bytes:
        """On a thread: many rows take their time."""
        text = self.jinja.get_template(template).render(values)
        return text.encode("utf-8", "backslashreplace")

    async def _frame(self, call: Call) -> dict[str, Any]:
        site = self._site
        signed = call.user is not None and not call.user.fresh
        if signed:
            await call.run(site.config)  # what is wrong with it shows on every page
        status = await site.link.status(5.0) if signed else None
        menu = [
            {"path": path, "word": word, "here": _is_here(call.request.path, path)} for path, word in MENU
        ]
        return {
            "menu": menu if signed else [],
            "server": status,
            "unreachable": site.link.error if signed else "",
            "broken": site.broken if signed else (),
            "csrf": call.session.csrf if call.session is not None else "",
            "running": len(site.operations.running()) if signed else 0,
        }


def _is_here(path: str, entry: str) -> bool:
    return path == entry or (entry != "/" and path.startswith(entry + "/"))


def ago(moment: float | None) -> str:
    """`4 min ago`; nothing for never."""
    if not moment:
        return "never"
    return f"{words.span(max(0, int(time.time() - moment)))} ago"


def when(moment: float | None) -> str:
    """The moment as people read it, in the manager's time zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment)) if moment else "never"


def stamp(moment: float | None) -> str:
    """For `<time datetime=…>`."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment)) if moment else ""


def shortener(home: Home) -> Callable[[object], str]:
    """Makes a text say where in the home something lies, without where the home is."""
    folders = (f"{home.data}{os.sep}", f"{home.root}{os.sep}")

    def short(text: object) -> str:
        told = str(text)
        for folder in folders:
            told = told.replace(folder, "")
        return told

    return short


def printable(text: Any, most: int = 200) -> str:
    """What a phone said, without signs that do something to a reader's screen."""
    return plain(str(text), most)


def part(text: Any) -> str:
    """As one part of an address of ours: what a phone or a file is called may have any signs."""
    return quote(str(text).encode("utf-8", "surrogateescape"), safe="")
