"""A manager within the test's own process: the real application over plain HTTP, users with any role."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from manager.app import application
from manager.guarding import cookie_name
from manager.routing import Role
from manager.site import Site
from mv_iptel.config import load_manager
from mv_iptel.config.editing import changed
from mv_iptel.home import Home
from mv_iptel.strangers import wire
from tests.clients.daemon import copied, free_ports
from tests.clients.manager import Person

PASSWORD = "a password of a test"


class Here:
    """One manager on a free port of 127.0.0.1. `with Here(home) as here:`."""

    def __init__(self, home: Home):
        self.home = home
        keys = {("Settings", "UseHTTPS"): "0"}
        home.manager_ini.write_text(changed(home.manager_ini.read_text("utf-8"), keys), "utf-8")
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.url = ""

    def __enter__(self) -> Here:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self.loop).result(30)
        return self

    async def _start(self) -> None:
        self.site = Site(load_manager(self.home))
        self._runner = web.AppRunner(
            application(self.site), access_log=None, handler_cancellation=True, auto_decompress=False,
            logger=wire("manager.wire"),
        )  # fmt: skip
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}"

    async def _stop(self) -> None:
        await self._runner.cleanup()
        await self.site.close()

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self.loop).result(30)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

    def person(self, role: Role = Role.ADMINISTRATOR, name: str = "") -> Person:
        """Somebody with this role who is signed in already (by a session of our own, without the form)."""
        name = name or role.word
        user = self.site.people.get(name)
        if user is None:
            self.site.people.add(name, role, PASSWORD, fresh=False)
            user = self.site.people.get(name)
        token = self.site.sessions.open(user, "127.0.0.1", "a test")
        person = Person(self)
        person.cookies[cookie_name(self.site)] = token
        person.csrf = self.site.sessions.of(token).csrf
        return person

    @property
    def connections(self) -> list:
        """Those that are open."""
        return self._runner.server.connections

    def waits(self) -> bool:
        """Whether a handler waits for more of a body."""
        found = [one._current_request for one in self.connections]
        return any(one is not None and one.content._waiter is not None for one in found)

    @property
    def netloc(self) -> str:
        return urlsplit(self.url).netloc


def made(folder: Path) -> Home:
    """A home as `init` makes it, without the time that its keys take; its status port is nobody's."""
    home = copied(folder)
    keys = {("Settings", "StatusPort"): str(free_ports(1)[0])}
    home.ini.write_text(changed(home.ini.read_text("utf-8"), keys), "utf-8")
    return home
