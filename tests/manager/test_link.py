"""The line to the file server: what it says, when it says nothing, when it is another home's."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from aiohttp import web

from manager import link as module
from manager.link import Link
from manager.problems import Problem
from mv_iptel.config import load
from mv_iptel.config.editing import changed
from tests.manager.here import made


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return made(tmp_path_factory.mktemp("home"))


@contextlib.asynccontextmanager
async def server(home, handler):
    """A link to a status port that answers so."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    keys = {("Settings", "StatusPort"): str(runner.addresses[0][1])}
    home.ini.write_text(changed(home.ini.read_text("utf-8"), keys), "utf-8")
    home.token.parent.mkdir(parents=True, exist_ok=True)
    home.token.write_text("t0ken\n", "ascii")
    config = load(home)
    link = Link(lambda: config)
    try:
        yield link
    finally:
        await link.close()
        await runner.cleanup()


def test_the_status_is_asked_once_for_all(home):
    asked = []

    async def handler(request):
        asked.append(request.path)
        await asyncio.sleep(0)
        return web.json_response({"server": {"name": "x"}})

    async def story():
        async with server(home, handler) as link:
            got = await asyncio.gather(*(link.status() for _ in range(20)))
            assert all(one == {"server": {"name": "x"}} for one in got) and link.error == ""
            await link.status(age=100)
            assert asked == ["/status.json"]
            await link.status(age=-1)
            assert len(asked) == 2

    asyncio.run(story())


def test_a_server_that_is_stuck_holds_up_no_page(home, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    go = asyncio.Event()

    async def handler(request):
        await go.wait()
        return web.json_response({"up": True})

    async def story():
        async with server(home, handler) as link:
            assert await link.status() is None and "does not answer" in link.error
            assert await link.status() is None  # at once: it was waited for already
            go.set()
            assert await link._asking is None
            assert await link.status() == {"up": True} and link.error == ""

    asyncio.run(story())


def test_nobody_is_there(home):
    async def story():
        link = Link(lambda: load(home), "http://127.0.0.1:9/")
        assert await link.status() is None and "start it with" in link.error
        await link.refresh()
        with pytest.raises(Problem) as told:
            await link.post("/control/slots")
        assert told.value.kind == "unreachable"
        with pytest.raises(Problem):
            async for _ in link.events():
                pass
        await link.close()

    asyncio.run(story())


def test_another_homes_server(home):
    async def handler(request):
        return web.json_response({}, headers={"MV-IPTel-Home": "/somewhere/else"})

    async def story():
        async with server(home, handler) as link:
            assert await link.status() is None and "/somewhere/else" in link.error

    asyncio.run(story())


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [(400, '{"error": "no such slot"}', "bad-request"), (404, "{}", "not-found"), (409, "[]", "conflict"),
     (500, '"x"', "conflict"), (302, "{}", "conflict"), (200, "<html>", "unreachable")],
)  # fmt: skip
def test_what_the_server_refuses(home, status, body, kind):
    async def handler(request):
        good = request.method == "GET"
        return web.Response(status=200 if good else status, text="{}" if good else body,
                            headers={"Location": "http://192.0.2.1/"} if status == 302 else {})  # fmt: skip

    async def story():
        async with server(home, handler) as link:
            with pytest.raises(Problem) as told:
                await link.post("/control/slots", {"a": 1})
            assert told.value.kind == kind
            await link.refresh()  # nobody minds

    asyncio.run(story())


def test_the_token_goes_to_control_calls_only(home):
    seen = []

    async def handler(request):
        seen.append((request.method, request.headers.get("Authorization", "")))
        return web.json_response({"ok": True})

    async def story():
        async with server(home, handler) as link:
            assert await link.post("/control/reload") == {"ok": True}
            await link.get("/status.json")

    asyncio.run(story())
    assert seen == [("GET", ""), ("POST", "Bearer t0ken"), ("GET", "")]


def test_events(home):
    async def handler(request):
        if request.query.get("full"):
            return web.Response(status=503)
        return web.Response(text="data: 1\n\ndata: 2\n\n")

    async def story():
        async with server(home, handler) as link:
            assert [line async for line in link.events()] == [b"data: 1\n", b"\n", b"data: 2\n", b"\n"]
            with pytest.raises(Problem) as told:
                async for _ in link.events("?full=1"):
                    pass
            assert told.value.kind == "busy"

    asyncio.run(story())
