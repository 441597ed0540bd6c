"""The central server: what branches ask, over TLS on `FileServerPort`.

The wire is written down in docs/central.md.
"""

from __future__ import annotations

import asyncio
import json
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from mv_iptel.central import authority
from mv_iptel.central.changes import Changes
from mv_iptel.central.contents import Contents, none_match
from mv_iptel.central.enrolling import Enrolling
from mv_iptel.central.guarding import JSON, Guard, address
from mv_iptel.central.limiting import Bucket, quiet
from mv_iptel.central.listening import Context, Ports
from mv_iptel.central.manifest import Manifests
from mv_iptel.central.orders import Orders
from mv_iptel.central.refusing import No, answer, bad, number
from mv_iptel.central.reports import Reports
from mv_iptel.central.tokens import Branch, Branches
from mv_iptel.central.userdata_api import LONGEST_WAIT, LOOK_AGAIN, UserData
from mv_iptel.certs import CertError
from mv_iptel.events import Notice, Stream
from mv_iptel.firmware.releases import Releases
from mv_iptel.http.tls import CertificateError
from mv_iptel.ports import RETRY
from mv_iptel.strangers import wire
from mv_iptel.userdata.disk import NotAFile

if TYPE_CHECKING:
    from mv_iptel.config import Config
    from mv_iptel.library import Library
    from mv_iptel.userdata.store import Origin, Stored

API = "1"


class CentralServer:
    """Runs while `FileServer=1`, on the loop that `start` runs on."""

    def __init__(self, config: Config, library: Library, stream: Stream):
        self.config, self.library, self.stream = config, library, stream
        self.branches, self.orders = Branches(config.home), Orders(config.home)
        self.manifests, self.reports = Manifests(config.home), Reports(config.home)
        self.releases, self.changes = Releases(config.home), Changes(config)
        self.look_again = LOOK_AGAIN
        self._context: Context | None = None
        self._runner: web.AppRunner | None = None
        self._ports: Ports | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._going = False
        library.backups.store.listeners.append(self._kept)

    # what the daemon calls

    async def start(self) -> None:
        """Open the port, if the configuration says so."""
        config = self.config
        if not config.backup_servers.file_server or self._going:
            return
        self._going = True
        store = self.library.backups.store
        self.contents = Contents(Bucket(config.backup_servers.bandwidth_limit), self._quiet)
        self.userdata = UserData(config, store, self.changes, self.stream.publish)
        self.userdata.look_again = self.look_again
        self.enrolling = Enrolling(config, self.branches, self.stream.publish)
        self.guard = Guard(config, self.branches, self.reports, self.library.bans, self.stream.publish)
        self.changes.config = config
        self._runner = web.AppRunner(
            self._app(), access_log=None, handle_signals=False, keepalive_timeout=60, shutdown_timeout=1,
            handler_cancellation=True, logger=wire("mv_iptel.central.wire"),
            auto_decompress=False,  # nobody packs what he sends here
        )  # fmt: skip
        await self._runner.setup()
        assert self._runner.server is not None
        self._ports = self.guard.ports = Ports(
            self._runner.server, self.stream.publish, self.library.bans.banned
        )
        await self._open()
        self._tasks = [asyncio.create_task(self._care()), asyncio.create_task(self._take_stock(True))]

    async def stop(self, grace: float = 5.0) -> None:
        """Take no more requests; those that run get `grace` seconds. Contents are cut: there is Range."""
        if not self._going:
            return
        self._going = self.guard.open = False
        assert self._ports is not None and self._runner is not None
        for task in self._tasks:
            task.cancel()
        await self._ports.close()
        end = time.monotonic() + grace
        while self.guard.running.total() and time.monotonic() < end:
            await asyncio.sleep(0.05)
        await self._runner.cleanup()
        self._runner = self._ports = None
        await self._save(force=True)

    async def reload(self, config: Config) -> None:
        """Follow a changed configuration; what is being sent goes on, as fast as the new one allows."""
        before, self.config = self.config, config
        keys = config.backup_servers
        if not keys.file_server:
            await self.stop(0)
            return
        if not self._going:
            await self.start()
            return
        self.contents.bucket.rate = keys.bandwidth_limit
        self.guard.config = self.userdata.config = self.enrolling.config = self.changes.config = config
        files = config.pair("central")
        if self._context is not None and self._context.files != files:
            assert self._ports is not None
            await self._ports.close()
            self._context = None
        if self._context is not None:
            self._context.ask(config)
        await self._open()
        if before.http.backup_dir != config.http.backup_dir:
            self.refresh()

    def refresh(self) -> None:
        """Another process has worked on the home: look at the user data anew. On the loop's thread."""
        if self._going:
            self._tasks = [task for task in self._tasks if not task.done()]
            self._tasks.append(asyncio.get_running_loop().create_task(self._take_stock(False)))

    def listeners(self) -> list[dict[str, Any]]:
        """One row for each address. From any thread."""
        return self._ports.listeners() if self._ports is not None else []

    def active(self) -> list[dict[str, Any]]:
        """No phone's transfers run here."""
        return []

    def status(self) -> dict[str, Any]:
        """What status.json tells of this role. From any thread."""
        known = self.reports.all()
        rows = [
            {"name": one.name, **{key: known.get(one.name, {}).get(key) for key in
                                  ("last_seen", "address", "generation", "queue", "error")}}
            for one in self.branches.all() if not one.revoked
        ]  # fmt: skip
        return {
            "role": "server", "peer": None, "last_ok": self.reports.last() or None, "lag_s": None,
            "queue": len(self.orders.waiting()), "branches": rows,
        }  # fmt: skip

    # running

    async def _open(self) -> None:
        assert self._ports is not None
        error = ""
        if self._context is None:
            try:
                ca = await asyncio.to_thread(authority.ensure, self.config.home)
                self._context = Context(self.config, ca, self.stream.publish)
            except (CertificateError, CertError) as fault:
                error = str(fault)
            except OSError as fault:
                error = f"{fault.filename or authority.folder(self.config.home)}: {fault.strerror}"
        await self._ports.open(self.config, self._context, error)

    async def _care(self) -> None:
        """Ports that failed are tried again; what branches said is written down now and then."""
        last = time.monotonic()
        while True:
            await asyncio.sleep(min(5.0, RETRY))
            await self._save()
            if self._ports is not None and self._ports.failed and time.monotonic() - last >= RETRY:
                last = time.monotonic()
                await self._open()

    async def _save(self, force: bool = False) -> None:
        try:
            await asyncio.to_thread(self.reports.save, time.time(), force)
        except OSError as error:
            self._say("central-disk", f"{error.filename}: {error.strerror}", "warning")

    async def _take_stock(self, first: bool) -> None:
        try:
            if first:
                await asyncio.to_thread(self.changes.open)
            await asyncio.to_thread(self.changes.stock)
        except OSError as error:
            self._say("central-disk", f"{error.filename}: {error.strerror}", "warning")

    def _kept(self, stored: Stored, origin: Origin) -> None:
        """The store has a change; on its thread."""
        if self._going:
            self.userdata.kept(stored, None, "")

    def _quiet(self) -> float:
        if not self._going:
            return 1.0
        spans = self.config.backup_servers.quiet_hours
        return quiet(spans, datetime.now()) if spans else 0.0

    def _say(self, kind: str, text: str, level: str = "info", peer: str = "") -> None:
        self.stream.publish(Notice(kind, text, level, peer=peer))

    # the paths

    def _app(self) -> web.Application:
        guard, branch = self.guard, self.guard.for_branch
        app = web.Application(middlewares=[guard.middleware], client_max_size=JSON)
        app.on_response_prepare.append(_dress)
        add = app.router.add_route
        add("GET", "/v1/authority", self._authority)
        add("POST", "/v1/join", self._join)
        add("GET", "/v1/manifest", branch(self._manifest))
        add("HEAD", "/v1/manifest", branch(self._manifest))
        for method in ("GET", "HEAD"):
            add(method, "/v1/content/{sha256}", branch(self._content))
            add(method, "/v1/userdata/{file}", branch(self._get_userdata))
        add("GET", "/v1/userdata", branch(self._since))
        add("PUT", "/v1/userdata/{file}", branch(self._put_userdata))
        add("DELETE", "/v1/userdata/{file}", branch(self._delete_userdata))
        add("GET", "/v1/orders", branch(self._orders))
        add("POST", "/v1/report", branch(self._report))
        return app

    async def _authority(self, request: web.Request) -> web.Response:
        known = await asyncio.to_thread(authority.known_by, self.config)
        headers = {"ETag": f'"{authority.fingerprint(known)}"'}
        return web.Response(text=authority.pem(known), headers=headers, content_type="application/x-pem-file")

    async def _join(self, request: web.Request) -> web.Response:
        told = await _json(request)
        found = await asyncio.to_thread(self.enrolling.join, told, address(request))
        if isinstance(found, str):
            await self.guard.slowly(address(request), f"{address(request)} tried to join: {found}")
            raise No(403, "invite", found)
        manifest = await asyncio.to_thread(self.manifests.current)
        return answer({**found, "generation": manifest.generation})

    async def _manifest(self, request: web.Request, branch: Branch) -> web.Response:
        found = await asyncio.to_thread(self.manifests.current)
        headers = {"ETag": f'"{found.sha256}"'}
        if none_match(request, headers["ETag"]):
            return web.Response(status=304, headers=headers)
        return web.Response(body=found.body, headers=headers, content_type="application/json")

    async def _content(self, request: web.Request, branch: Branch) -> web.StreamResponse:
        try:
            path = self.releases.content(sha256 := request.match_info["sha256"])
        except ValueError:
            raise bad("a content is named by its sha256: 64 digits of 0-9 and a-f") from None
        if wait := self._quiet():
            raise No(503, "quiet", "these are quiet hours of the central server", wait)
        if self.contents.full(branch.name):
            raise No(429, "busy", "this branch fetches several contents already", 2)
        try:
            return await self.contents.send(
                request, path, sha256, branch.name, lambda: self.branches.still(branch)
            )
        except (FileNotFoundError, NotAFile):
            raise No(404, "no-file", "there is no such content; look at the manifest again") from None

    async def _since(self, request: web.Request, branch: Branch) -> web.Response:
        return await self.userdata.since(request, lambda: self._going and self.branches.still(branch))

    async def _get_userdata(self, request: web.Request, branch: Branch) -> web.Response:
        return await self.userdata.get(request)

    async def _put_userdata(self, request: web.Request, branch: Branch) -> web.Response:
        return await self.userdata.put(request, branch.name)

    async def _delete_userdata(self, request: web.Request, branch: Branch) -> web.Response:
        return await self.userdata.delete(request, branch.name)

    async def _orders(self, request: web.Request, branch: Branch) -> web.Response:
        end = time.monotonic() + number(request.query.get("wait", "0"), "wait", 0, LONGEST_WAIT)
        while True:
            found = self.orders.waiting(branch.name)
            left = end - time.monotonic()
            if found or left <= 0 or not self._going or not self.branches.still(branch):
                return answer({"orders": [one.told() for one in found]})
            await asyncio.sleep(min(self.look_again, left))

    async def _report(self, request: web.Request, branch: Branch) -> web.Response:
        told = await _json(request)
        ended = told.get("orders", [])
        if not isinstance(ended, list) or len(ended) > 1000:
            raise bad("orders: a list of at most 1000")
        for one in ended:
            sound = isinstance(one, dict) and isinstance(one.get("id"), str) and type(one.get("ok")) is bool
            if not sound or not isinstance(one.get("text", ""), str):
                raise bad("orders: each has id (text), ok (true or false) and text")
        try:
            self.reports.said(branch.name, told, time.time())
        except ValueError as error:
            raise bad(str(error)) from None
        waiting = {one.id for one in self.orders.waiting(branch.name)}
        for one in [one for one in ended if one["id"] in waiting]:
            done = await asyncio.to_thread(
                self.orders.report, branch.name, one["id"], one["ok"], one.get("text", "")
            )
            if done is not None:
                level, what = ("info", "done") if done.ok else ("warning", "failed")
                self._say("central-order", f"{branch.name}: {done.words}: {what}: {done.text}", level)
        manifest = await asyncio.to_thread(self.manifests.current)
        left = len(self.orders.waiting(branch.name))
        return answer({"ok": True, "generation": manifest.generation, "orders": left})


async def _dress(request: web.Request, response: web.StreamResponse) -> None:
    """What every answer has."""
    response.headers["Server"] = "mv-iptel"
    response.headers["MV-API"] = API
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Cache-Control", "no-store")


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        async with asyncio.timeout(30):
            told = json.loads(await request.read())  # whatever the client says of its charset
    except TimeoutError:
        raise bad("the body did not come in time") from None
    except (ValueError, RecursionError):
        raise bad("the body is no JSON") from None
    if not isinstance(told, dict):
        raise bad("the body is no JSON object")
    return told
