"""The status server: page, JSON, metrics, live events, `why`, and the control calls."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hmac
import inspect
import ipaddress
import json
import logging
import os
import secrets
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aiohttp import web

from mv_iptel import ports
from mv_iptel.addresses import address_of, mac_of
from mv_iptel.events import Event, Finished, Listening
from mv_iptel.inventory.scanned import parsed
from mv_iptel.journal import record
from mv_iptel.library.answers import Client, Request
from mv_iptel.status import page
from mv_iptel.status.counters import Counters
from mv_iptel.status.metrics import Metrics
from mv_iptel.status.snapshot import Controls, Snapshot, Sources
from mv_iptel.strangers import wire
from mv_iptel.userdata.names import parse

if TYPE_CHECKING:
    from mv_iptel.config import Config

BACKLOG = 64  # connections that wait to be taken
MAX_WATCHERS = 32
WATCHER_EVENTS = 2000  # a watcher that reads slower than this loses events and is told so
HEARTBEAT_SECONDS = 15.0
PROTOCOLS = ("tftp", "http", "https", "ftp", "ftps")
WRITES = {"PUT", "DELETE", "DELE", "POST", "STOR", "WRQ", "APPE"}
DELETES = {"DELETE", "DELE"}

# What any reader may ask from elsewhere; the rest is for this host.
REMOTE = {"/", "/status.json", "/metrics", "/page.css", "/page.js"}

NOTHING = "there is no such thing here"
# Which home answers, percent-encoded: two homes may name the same status port, and only one server has it.
HOME = "MV-IPTel-Home"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_log = logging.getLogger("mv_iptel.status")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class StatusServer:
    """Serves what `counters` and `sources` know, on the loop it is started on.

    A taken port leaves its listener `failed`, with the holder named, and is tried again every
    `ports.RETRY` seconds; nothing else stops.
    """

    def __init__(
        self,
        counters: Counters,
        sources: Sources,
        controls: Controls | None = None,
        publish: Callable[[Event], None] = lambda event: None,
    ):
        self.counters = counters
        self.sources = sources
        self.controls = controls or Controls()
        self.publish = publish
        self.snapshot = Snapshot(counters, sources)
        self.metrics = Metrics(counters, self.snapshot)
        self._runner: web.AppRunner | None = None
        self._sites: dict[tuple[str, int], dict[str, Any]] = {}  # (address, port) -> listener row
        self._open: dict[tuple[str, int], web.SockSite] = {}
        self._retry: asyncio.Task[None] | None = None
        self._moving: asyncio.Task[None] | None = None
        self._streams: set[asyncio.Task[Any]] = set()

    # running

    async def start(self) -> None:
        """Open the port of each address in `StatusBind`, unless `RunStatus=0`."""
        config = self.sources.config()
        if not config.settings.run_status:
            return
        await asyncio.to_thread(control_token, config.home.token)
        app = web.Application(middlewares=[self._guard], client_max_size=64 * 1024)
        app.router.add_get("/", self._page)
        app.router.add_get("/page.css", _static("page.css", "text/css"))
        app.router.add_get("/page.js", _static("page.js", "text/javascript"))
        app.router.add_get("/status.json", self._status)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/why", self._why)
        app.router.add_get("/events", self._events)
        app.router.add_get("/slots", self._slots)
        app.router.add_post("/control/reload", self._reload)
        app.router.add_post("/control/listeners/{proto}/{what}", self._listener)
        app.router.add_post("/control/slots/{address}/free", self._free)
        app.router.add_post("/control/bans/{address}/lift", self._lift)
        app.router.add_post("/control/phones/{mac}/forget", self._forget)
        app.router.add_post("/control/backups/{file}/unpin", self._unpin)
        app.router.add_post("/control/refresh", self._refresh)
        app.router.add_post("/control/seen", self._seen)
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, keepalive_timeout=30, shutdown_timeout=1,
            logger=wire("mv_iptel.status.wire"), auto_decompress=False,
        )  # fmt: skip
        await self._runner.setup()
        for address in _addresses(config.settings.status_bind):
            await self._bind(address, config.settings.status_port)
        self._retry = asyncio.create_task(self._keep_trying())

    async def stop(self) -> None:
        """Close every port and end the live streams."""
        if self._moving is not None:
            self._moving.cancel()
            self._moving = None
        await self._close()

    async def _close(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        for task in list(self._streams):
            task.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self._open.clear()
        for row in self._sites.values():
            row["state"] = "off"
        self._sites.clear()

    async def reload(self, config: Config) -> None:
        """Follow a changed `RunStatus`, `StatusBind` or `StatusPort`; otherwise nothing is disturbed.

        The move itself is a task of its own: the reload may have been asked for over the very port that
        is being closed.
        """
        wanted = set()
        if config.settings.run_status:
            wanted = {(one, config.settings.status_port) for one in _addresses(config.settings.status_bind)}
        if wanted != set(self._sites):
            self._moving = asyncio.create_task(self._move())

    async def _move(self) -> None:
        await self._close()
        await self.start()

    def listeners(self) -> list[dict[str, Any]]:
        """One row per address, in the form of the other servers' listeners."""
        return [dict(row) for row in self._sites.values()]

    async def _bind(self, address: str, port: int) -> None:
        row = self._sites.setdefault(
            (address, port),
            {"proto": "status", "address": address, "port": port, "state": "off", "error": "", "tls": ""},
        )
        before = row["state"], row["error"]
        assert self._runner is not None
        sock = None
        try:
            sock = ports.listen(address, port, BACKLOG)
            site = web.SockSite(self._runner, sock)
            await site.start()
            self._open[address, port] = site
            row.update(state="up", error="", port=sock.getsockname()[1])
        except OSError as fault:
            if sock is not None:
                sock.close()
            if fault.errno == errno.EADDRINUSE:
                error = await asyncio.to_thread(ports.taken, port, socket.SOCK_STREAM)
            else:
                error = f"cannot listen: {fault.strerror or fault}"
            row.update(state="failed", error=error)
        if before != (row["state"], row["error"]):
            self.publish(Listening("status", address, row["port"], row["state"], row["error"]))

    async def _keep_trying(self) -> None:
        while True:
            await asyncio.sleep(ports.RETRY)
            for (address, port), row in list(self._sites.items()):
                if row["state"] == "failed":
                    await self._bind(address, port)

    # who may ask what

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            refused = self._refuse(request)
            response = refused if refused is not None else await handler(request)
        except web.HTTPException as answer:  # aiohttp's own 404 and 405
            response = _error(answer.status, answer.reason)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            _log.exception("the status server failed at %s", request.path)
            response = _error(500, "the server could not answer; its log says why")
        if not response.prepared:
            response.headers.update(HEADERS)
            if _is_local(request):
                response.headers[HOME] = quote(str(self.sources.config().home.root))
        return response

    def _refuse(self, request: web.Request) -> web.Response | None:
        """Why this reader may not ask that, or None.

        A page of another site whose name was made to point here (DNS rebinding) sends its own name as
        Host: only this host's addresses, localhost and `StatusNames` are answered.
        """
        if not self._host_ok(request):
            return _error(403, "this Host is not one of StatusNames")
        local = _is_local(request)
        if not local and (request.path not in REMOTE or request.method not in ("GET", "HEAD")):
            return _error(403, "only from the server's own host")
        if request.method == "POST":
            scheme, _, given = request.headers.get("Authorization", "").partition(" ")
            token = control_token(self.sources.config().home.token)
            if scheme.lower() != "bearer" or not token:
                return _error(401, "a control call needs the token of var/control.token")
            if not hmac.compare_digest(given.strip().encode(), token.encode()):
                return _error(401, "this is not the token of var/control.token")
        return None

    def _host_ok(self, request: web.Request) -> bool:
        host = _host_of(request.headers.get("Host", ""))
        if not host:
            return False
        if host == "localhost" or host in {n.lower() for n in self.sources.config().settings.status_names}:
            return True
        address = address_of(host)
        if not address:
            return False
        return ipaddress.ip_address(address).is_loopback or self.sources.library.own(address)

    # reading

    async def _page(self, request: web.Request) -> web.Response:
        view = await asyncio.to_thread(self._view)
        body = page.render(view).encode("utf-8", "backslashreplace")  # a path may hold any octets
        return web.Response(body=body, content_type="text/html", charset="utf-8")

    def _view(self) -> page.View:
        now = time.time()
        inventory = self.sources.inventory
        return page.View(
            now=now,
            refresh=max(1, int(self.sources.config().settings.status_refresh)),
            status=self._snapshot(now),
            refusals=list(self.counters.refusals)[::-1][:40],
            notices=list(self.counters.notices)[::-1][:12],
            slots=self.sources.library.slots.snapshot(),
            phones=inventory.phones(limit=40) if inventory is not None else [],
            problems=self.sources.problems(),
            buffers={
                (row["proto"], row["address"], row["port"]): row["buffer"]
                for front in self.sources.fronts()
                for row in front.listeners()
            },
            reload_refused=self.counters.reload_refused,
            restart=self.counters.restart,
            kept=self.counters.kept(),
        )

    def _snapshot(self, now: float) -> dict[str, Any]:
        status = self.snapshot.build(now)
        status["listeners"] += self.listeners()
        return status

    async def _status(self, request: web.Request) -> web.Response:
        return _json(await asyncio.to_thread(self._snapshot, time.time()))

    async def _metrics(self, request: web.Request) -> web.Response:
        body = await asyncio.to_thread(self.metrics.text)
        return web.Response(body=body, headers={"Content-Type": self.metrics.content_type})

    async def _healthz(self, request: web.Request) -> web.Response:
        """200 while phones can be served, 503 when no listener of theirs is up."""
        rows = [row for front in self.sources.fronts() for row in front.listeners()]
        failed = [f"{row['proto']}:{row['port']}" for row in rows if row["state"] == "failed"]
        if not any(row["state"] == "up" for row in rows):
            return web.Response(status=503, text="down: no listener is up\n")
        return web.Response(text=f"degraded: {', '.join(failed)} failed\n" if failed else "ok\n")

    async def _slots(self, request: web.Request) -> web.Response:
        slots = self.sources.library.slots
        return _json(
            {"max": slots.max, "used": slots.used, "refused": slots.refused, "slots": slots.snapshot()}
        )

    async def _why(self, request: web.Request) -> web.Response:
        query = request.query
        if number := query.get("number"):
            if not number.isascii() or not number.isdigit() or len(number) > 15:
                return _error(400, "number: a reference number as the journal prints it")
            inventory = self.sources.inventory
            row = await asyncio.to_thread(inventory.number, int(number)) if inventory is not None else None
            return _json(row) if row is not None else _error(404, f"no refusal has the number {number}")
        asked = question(query)
        if isinstance(asked, str):
            return _error(400, asked)
        return _json(await asyncio.to_thread(self.sources.library.why, *asked))

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events, one per event of the stream; `?phone=` takes an address or a MAC."""
        if len(self._streams) >= MAX_WATCHERS:
            return _error(503, f"{MAX_WATCHERS} watchers are connected already")
        task = asyncio.current_task()
        assert task is not None
        chosen = await asyncio.to_thread(self._chooser, request.query.get("phone", "").strip())
        feed = _Feed(asyncio.get_running_loop(), chosen)
        home = quote(str(self.sources.config().home.root))
        headers = {**HEADERS, HOME: home, "Content-Type": "text/event-stream"}
        response = web.StreamResponse(headers=headers)
        self._streams.add(task)
        self.counters.watch(feed.take)
        try:
            await response.prepare(request)
            await response.write(b": connected\n\n")
            while True:
                await response.write(await feed.next(HEARTBEAT_SECONDS))
        except ConnectionError:
            return response  # the watcher has left, as all of them do
        finally:
            self.counters.unwatch(feed.take)
            self._streams.discard(task)

    def _chooser(self, wanted: str) -> Callable[[Event], bool]:
        """Which events a watcher of `wanted` (an address, a MAC, nothing) is shown."""
        if not wanted:
            return lambda event: True
        mac = mac_of(wanted)
        if not mac:
            address = address_of(wanted) or wanted
            return lambda event: getattr(event, "peer", None) == address
        inventory = self.sources.inventory
        peers = set(inventory.addresses(mac)) if inventory is not None else set()

        def chosen(event: Event) -> bool:
            if not isinstance(event, Finished):
                return getattr(event, "peer", None) in peers
            if event.mac:
                return event.mac == mac
            return event.peer in peers

        return chosen

    # changing

    async def _reload(self, request: web.Request) -> web.Response:
        return await self._call(self.controls.reload)

    async def _listener(self, request: web.Request) -> web.Response:
        proto, what = request.match_info["proto"], request.match_info["what"]
        if proto not in PROTOCOLS or what not in ("start", "stop"):
            return _error(404, f"a protocol ({', '.join(PROTOCOLS)}), then start or stop")
        return await self._call(self.controls.listener, proto, what == "start")

    async def _free(self, request: web.Request) -> web.Response:
        address = request.match_info["address"]
        none = f"{address} has no slot"
        return await self._call(self.sources.library.slots.free, address, none=none)

    async def _lift(self, request: web.Request) -> web.Response:
        return await self._call(self.controls.lift_ban, request.match_info["address"])

    async def _forget(self, request: web.Request) -> web.Response:
        inventory = self.sources.inventory
        if inventory is None:
            return _error(501, "this server keeps no inventory")
        return _done(await asyncio.to_thread(inventory.forget, request.match_info["mac"]))

    async def _refresh(self, request: web.Request) -> web.Response:
        return await self._call(self.controls.refresh)

    async def _seen(self, request: web.Request) -> web.Response:
        """Phones that answered to a scan: a command asks them, and only the server writes the inventory."""
        inventory = self.sources.inventory
        if inventory is None:
            return _error(501, "this server keeps no inventory")
        try:
            told = json.loads(await request.read())
        except (ValueError, RecursionError):
            return _error(400, "the body is no JSON")
        phones = parsed(told, time.time())
        if isinstance(phones, str):
            return _error(400, phones)
        if not await asyncio.to_thread(inventory.scanned, phones):
            return _error(503, "the inventory cannot be written now")
        return _json({"ok": True, "phones": len(phones)})

    async def _unpin(self, request: web.Request) -> web.Response:
        given = request.match_info["file"]
        kept = parse(given)
        if kept is None or "/" in given:
            return _error(404, "a name of user data, as `mv-iptel backups list` shows it")
        none = f"no password is remembered for {kept.file}"
        return await self._call(self.controls.unpin, kept.file, none=none)

    async def _call(
        self, control: Callable[..., Any] | None, *arguments: Any, none: str = NOTHING
    ) -> web.Response:
        if control is None:
            return _error(501, "this server does not offer that")
        result = control(*arguments)
        return _done(await result if inspect.isawaitable(result) else result, none)


class _Feed:
    """A watcher's bounded queue between the stream's thread and the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, chosen: Callable[[Event], bool]):
        self.loop = loop
        self.chosen = chosen
        self.queue: deque[Event] = deque(maxlen=WATCHER_EVENTS)
        self.lost = 0
        self.ready = asyncio.Event()

    def take(self, batch: list[Event]) -> None:
        """Runs on the stream's thread."""
        events = [event for event in batch if self.chosen(event)]
        if events:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self.loop.call_soon_threadsafe(self._push, events)

    def _push(self, events: list[Event]) -> None:
        self.lost += max(0, len(self.queue) + len(events) - WATCHER_EVENTS)
        self.queue.extend(events)
        self.ready.set()

    async def next(self, timeout: float) -> bytes:
        """What waits, in the form of server-sent events; after `timeout` seconds a comment."""
        try:
            await asyncio.wait_for(self.ready.wait(), timeout)
        except TimeoutError:
            return b": still here\n\n"
        self.ready.clear()
        parts = []
        if self.lost:
            parts.append(f'event: lost\ndata: {{"event": "lost", "count": {self.lost}}}\n\n')
            self.lost = 0
        while self.queue:
            event = self.queue.popleft()
            data = json.dumps(record(event), ensure_ascii=True)
            parts.append(f"event: {event.event}\ndata: {data}\n\n")
        return "".join(parts).encode()


def question(query: Any) -> tuple[Client, Request] | str:
    """Client and request from the parts of a `why` question, or what is wrong with them.

    Keys: address, name, protocol (default http), method, agent, mac. A MAC is told to the library as a
    phone tells it, in its User-Agent.
    """
    address = address_of(given := str(query.get("address", "")))
    if not address:
        return f"{given or 'address'}: not an IPv4 or IPv6 address"
    name = str(query.get("name", ""))
    if not name or len(name) > 4096:
        return "name: the file's name as the phone asks for it"
    proto = str(query.get("protocol") or "http").lower()
    if proto not in PROTOCOLS:
        return f"protocol: one of {', '.join(PROTOCOLS)}"
    agent = str(query.get("agent") or "")[:500]
    mac = mac_of(given := str(query.get("mac") or ""))
    if given and not mac:
        return f"{given}: not a MAC, which has twelve hex digits"
    if mac:
        agent = f"{agent or 'AVAYA'} (MAC:{mac})"
    method = str(query.get("method") or "GET").upper()
    client = Client(address, 0, proto, proto)
    asked = Request(name.encode("utf-8", "surrogateescape"), method in WRITES, agent, method in DELETES)
    return client, asked


def control_token(path: os.PathLike[str]) -> str:
    """The token in `path`; a new one is made where there is none. Empty if neither works."""
    try:
        with open(path, encoding="ascii") as file:
            return file.read(200).strip()
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError):
        return ""
    token = secrets.token_urlsafe(32)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(token + "\n")
    except OSError:
        return ""
    return token


def _static(name: str, kind: str) -> Handler:
    body = resources.files("mv_iptel.status").joinpath(name).read_bytes()

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=body, content_type=kind, charset="utf-8")

    return handler


def _json(value: Any, status: int = 200) -> web.Response:
    text = json.dumps(value, indent=1, default=str) + "\n"
    return web.Response(text=text, status=status, content_type="application/json")


def _error(status: int, text: str) -> web.Response:
    response = _json({"error": text}, status)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _done(result: Any, none: str = NOTHING) -> web.Response:
    """A control's answer: a dict as it is, False as 404 with `none`, anything else as done."""
    if isinstance(result, dict):
        return _json(result, 200 if result.get("ok", True) else 409)
    if result is False:
        return _error(404, none)
    return _json({"ok": True})


def _addresses(bind: str | tuple[str, ...]) -> tuple[str, ...]:
    parts = bind.replace(",", " ").split() if isinstance(bind, str) else [str(one) for one in bind]
    return tuple(part for part in parts if part) or ("127.0.0.1",)


def _host_of(header: str) -> str:
    """The host of a Host header, lower case, without port, brackets and a final dot."""
    header = header.strip().lower()
    host = header[1:].partition("]")[0] if header.startswith("[") else header.rpartition(":")[0] or header
    return host.rstrip(".")


def _is_local(request: web.Request) -> bool:
    """Whether this host itself asks. What a proxy passes on comes from elsewhere."""
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False
    address = address_of(request.remote or "")
    return bool(address) and ipaddress.ip_address(address).is_loopback
