"""The watchdog's process: its page on loopback, its signs of life for systemd, its end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import json
import logging
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any

from aiohttp import web

from mv_iptel import notify, ports
from mv_iptel.addresses import address_of
from mv_iptel.alone import hold
from mv_iptel.config import WatchDogConfig
from mv_iptel.logfile import LogFile
from mv_iptel.status.server import HEADERS
from mv_iptel.strangers import wire
from watchdogd import page
from watchdogd.loop import Watch
from watchdogd.metrics import CONTENT_TYPE, Metrics
from watchdogd.snapshot import document, state

BACKLOG = 16
HOST = "127.0.0.1"

_log = logging.getLogger("mv-watchdog")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def run(config: WatchDogConfig, said: Callable[[str], None] = print) -> None:
    """Watch until SIGTERM or Ctrl-C. Raises OSError, AlreadyRunning."""
    ended = asyncio.Event()
    _signals(asyncio.get_running_loop(), ended)
    lock = config.home.watchdog / "data" / "watchdog.lock"
    # Two watchdogs of one home would restart twice.
    with hold(lock, 0o640), LogFile(config.settings.log_file, "mv-watchdog"):
        for finding in config.findings:
            _log.warning("%s", finding)
        watch = Watch(config)
        served = Page(watch)
        tasks = [
            asyncio.create_task(served.run(config.settings.status_port)),
            asyncio.create_task(_pulse(watch)),
        ]
        watch.start()
        place = f"http://{HOST}:{config.settings.status_port}/"
        try:
            _log.info(
                "up: watching %s, page %s, process %d", config.settings.host_address, place, os.getpid()
            )
            said(f"the watchdog is up: {place}  (process {os.getpid()})")
            notify.ready()
            await ended.wait()
        finally:
            notify.stopping()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.to_thread(watch.stop)
            _log.info("ended")


async def _pulse(watch: Watch) -> None:
    """Signs of life while the watching goes on; the state, when it changes."""
    pause = notify.patience() / 3 or 5.0
    told = ""
    while True:
        word = state(watch.view)[0]
        if word != told:
            notify.status(word)
            told = word
        if not watch.stuck(time.monotonic()):
            notify.alive()
        await asyncio.sleep(min(pause, 5.0))


class Page:
    """Page, JSON and figures, for this host only. A taken port stops no watching."""

    def __init__(self, watch: Watch):
        self.watch = watch
        self.started = time.time()
        self.port = 0  # that it has, once it is up
        self.metrics = Metrics(lambda: document(watch.view, self.started))
        self.app = web.Application(middlewares=[self._guard], client_max_size=1024)
        self.app.router.add_get("/", self._page)
        self.app.router.add_get("/status.json", self._status)
        self.app.router.add_get("/metrics", self._metrics)
        self.app.router.add_get("/healthz", self._healthz)
        for name, kind in (("page.css", "text/css"), ("page.js", "text/javascript")):
            self.app.router.add_get(f"/{name}", _static(name, kind))

    async def run(self, port: int) -> None:
        """Serve until cancelled; a port that is taken is tried again."""
        runner = web.AppRunner(
            self.app, access_log=None, handle_signals=False, keepalive_timeout=30, shutdown_timeout=1,
            logger=wire("mv-watchdog.wire"), auto_decompress=False,
        )  # fmt: skip
        await runner.setup()
        said = ""
        try:
            while True:
                try:
                    sock = ports.listen(HOST, port, BACKLOG)
                    self.port = sock.getsockname()[1]
                    await web.SockSite(runner, sock).start()
                    break
                except OSError as fault:
                    text = f"port {port}: {fault.strerror or fault}"
                    if fault.errno == errno.EADDRINUSE:
                        text = await asyncio.to_thread(ports.taken, port, socket.SOCK_STREAM)
                    if text != said:
                        _log.error("the page is not there: %s", text)
                    said = text
                    await asyncio.sleep(ports.RETRY)
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """A page of another site whose name was made to point here sends its own name as Host."""
        try:
            response = (
                await handler(request) if _ours(request) else _plain(403, "only from this host, by its name")
            )
        except web.HTTPException as answer:
            response = _plain(answer.status, answer.reason)
        response.headers.update(HEADERS)
        return response

    async def _page(self, request: web.Request) -> web.Response:
        body = page.render(self.watch.view, self.started, time.time()).encode("utf-8", "backslashreplace")
        return web.Response(body=body, content_type="text/html", charset="utf-8")

    async def _status(self, request: web.Request) -> web.Response:
        text = json.dumps(document(self.watch.view, self.started), indent=1) + "\n"
        return web.Response(text=text, content_type="application/json")

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self.metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    async def _healthz(self, request: web.Request) -> web.Response:
        """200 while the watching goes on, whatever it finds."""
        if self.watch.stuck(time.monotonic()):
            return _plain(503, "down: the watching stands still")
        return _plain(200, state(self.watch.view)[0].lower())


def _ours(request: web.Request) -> bool:
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False
    header = request.headers.get("Host", "").strip().lower()
    host = header[1:].partition("]")[0] if header.startswith("[") else header.rpartition(":")[0] or header
    if host == "localhost":
        return True
    address = address_of(host)
    return bool(address) and ipaddress.ip_address(address).is_loopback


def _plain(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text + "\n")


def _static(name: str, kind: str) -> Handler:
    body = resources.files("mv_iptel.status").joinpath(name).read_bytes()

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=body, content_type=kind, charset="utf-8")

    return handler


def _signals(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    def end(*_: Any) -> None:
        loop.call_soon_threadsafe(ended.set)

    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, ended.set)
        except NotImplementedError:  # Windows
            with contextlib.suppress(ValueError):
                signal.signal(number, end)
