"""The branch: asks its central servers for firmware, brings them its users' data, and does what they order.

It has a thread and an event loop of its own: a gigabyte that comes must not hold up phones. Only the hook for
a restore that is not here and the outbox's thread reach in from outside.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from mv_iptel.central import queue
from mv_iptel.central.fetching import Fetcher, Held, Manifest, Wrong, parse
from mv_iptel.central.peers import Away, Link, Peer, Peers, Said
from mv_iptel.central.reporting import Orders, Report, report
from mv_iptel.central.restoring import Restorer
from mv_iptel.central.state import Done, State
from mv_iptel.events import Notice, Stream
from mv_iptel.firmware import generations
from mv_iptel.firmware.releases import PUBLISHED, STAGED, SUPERSEDED
from mv_iptel.userdata.outbox import Outbox

if TYPE_CHECKING:
    from mv_iptel.config import Config
    from mv_iptel.library import Library

GRACE = 5.0  # seconds for the loop's tasks to end
FASTEST = 0.2  # seconds between two questions of one kind
SOON = 0.5  # seconds after the start until the first round


class Publishing(Protocol):
    """What publishes a release: firmware.publishing.Publisher."""

    def publish(self, ident: str, live: str = "stop", losses: bool = False) -> Any: ...


class CentralClient:
    """Runs while UsePrimarySvr or UseSecondarySvr is 1, with RequestUpdates or RequestBackup.

    `publisher` makes what publishes a release, by the configuration of that moment; `phones` counts those
    that are known.
    """

    def __init__(
        self,
        config: Config,
        library: Library,
        publisher: Callable[[Config], Publishing],
        stream: Stream,
        phones: Callable[[], int] = lambda: 0,
    ):
        self.config, self.library, self.stream = config, library, stream
        self._publisher, self._phones = publisher, phones
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._peers = Peers(config)
        self.state = State(config.home)
        self._fetcher = Fetcher(config)
        self._restorer: Restorer | None = None
        self._error = ""  # why the newest generation is not served
        self._told: set[str] = set()  # kinds of trouble that the administrator was told of
        self._now_event: asyncio.Event | None = None
        self._round = asyncio.Lock()
        way = queue.way(lambda: self._peers, lambda: self.config, self._running_loop, self._newer)
        self.outbox = Outbox(config, stream.publish, way=way)
        library.backups.store.listeners.append(self.outbox.add)

    # what the daemon calls, on its own thread

    def start(self) -> None:
        """Begin, if the configuration says so."""
        if self._thread is not None or not wanted(self.config):
            return
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=[ready], name="central", daemon=True)
        self._thread.start()
        ready.wait(10)
        self.outbox.start()
        if queue.wanted(self.config):
            self.library.backups.elsewhere = self._elsewhere

    def stop(self) -> None:
        """End. What was being fetched or sent goes on at the next start."""
        self.library.backups.elsewhere = None
        self.outbox.close()
        self._end()

    def reload(self, config: Config) -> None:
        """Follow a changed configuration."""
        before, self.config = self.config, config
        same = _terms(before) == _terms(config)
        if same and self._thread is not None:
            self.outbox.configure(config)
            return
        self.library.backups.elsewhere = None
        self._end()
        self._peers, self._fetcher, self.state = Peers(config), Fetcher(config), State(config.home)
        self._told, self._error = set(), ""
        self.start()
        self.outbox.configure(config)

    def refresh(self) -> None:
        """Another process changed something: look at everything now."""
        self.outbox.refresh()
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._hurry)

    def status(self) -> dict[str, Any]:
        """What status.json tells of this role. From any thread."""
        peers, fetching = self._peers, self._fetcher.progress
        running = self._thread is not None
        last = peers.last_ok
        return {
            "role": "branch" if running else None,
            "peer": peers.current.place if peers.current else None,
            "last_ok": last or None,
            "lag_s": round(time.time() - last, 1) if last else None,
            "queue": self.outbox.counts()["queued"],
            "generation": self.state.taken[1],
            "error": peers.error or self._error,
            "fetching": fetching._asdict() if fetching.done < fetching.total else None,
        }

    # the thread

    def _run(self, ready: threading.Event) -> None:
        asyncio.run(self._main(ready))

    async def _main(self, ready: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._now_event, self._round = asyncio.Event(), asyncio.Lock()
        config, keys = self.config, self.config.backup_servers
        store = self.library.backups.store
        self._restorer = Restorer(config, store, self._peers, self.state, self.outbox, self._loop)
        self._orders = Orders(
            config, self.state, self.outbox, self._restorer, self._update_now, self._ordered
        )
        ready.set()
        jobs: list[Callable[[], Awaitable[None]]] = [self._follow_orders]
        if keys.request_updates:
            jobs.append(self._updates)
        if keys.request_backup:
            jobs.append(self._follow_changes)
        tasks = [asyncio.create_task(self._guarded(job)) for job in jobs]
        await self._stop.wait()
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in left:
            task.cancel()
        await asyncio.gather(*tasks, *left, return_exceptions=True)
        await self._peers.close()

    async def _guarded(self, job: Callable[[], Awaitable[None]]) -> None:
        """A fault of ours ends a round, not the client."""
        while True:
            try:
                await job()
            except OSError as error:
                self._say("disk", f"{error.filename or 'the disk'}: {error.strerror}")
            except Exception as fault:
                self._say("fault", f"{type(fault).__name__}: {fault}", "error")
            await asyncio.sleep(5.0)

    def _end(self) -> None:
        thread, self._thread = self._thread, None
        loop, self._loop = self._loop, None
        if thread is None or loop is None or self._stop is None:
            return
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self._stop.set)
        thread.join(GRACE)
        self._restorer = None

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise RuntimeError("the client has ended")
        return self._loop

    def _newer(self, name: str) -> None:
        if self._restorer is not None:
            self._restorer.newer(name)

    def _elsewhere(self, kept: Any, done: Callable[[str], None]) -> Callable[[], None]:
        restorer = self._restorer
        if restorer is None:
            done("the server stops")
            return lambda: None
        return restorer.fetch(kept, done)

    def _hurry(self) -> None:
        self._peers.hurry()
        if self._now_event is not None:
            self._now_event.set()

    # firmware

    async def _updates(self) -> None:
        """A round each UpdateInterval, sooner where somebody asks for one, later in quiet hours."""
        assert self._now_event is not None
        pause = SOON
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._now_event.wait(), pause)
            self._now_event.clear()
            interval = self.config.backup_servers.update_interval
            try:
                await self._update_now()
                pause = interval * (0.9 + random.random() / 10)
            except Held as held:
                pause = min(held.seconds + random.random() * 60, interval + held.seconds)
            except (Away, Said):
                pause = min(interval, max(0.2, self._peers.wait()))

    async def _update_now(self) -> str:
        """A round, and the report on it; why the newest generation is not served. Raises Away, Said, Held."""
        async with self._round:
            try:
                await self._peers.first(self._update)
                self._well("updates")
            except Wrong as wrong:
                self._error = str(wrong)
                self._say("updates", f"firmware of the central server is not taken: {wrong}")
            except (Away, Said) as error:
                self._say("updates", f"no firmware from the central server: {error}")
                raise
        await self._report([])
        return self._error

    async def _update(self, link: Link) -> None:
        manifest = await self._manifest(link)
        if manifest is None:
            return
        known, (taken, number, made) = self.state.of(link.peer), self.state.taken
        if manifest.generation < known.generation:
            text = f"it offers generation {manifest.generation}, and had {known.generation} before"
            raise Wrong(f"{text}; if it was installed anew, join it again")
        if manifest.sha256 == known.manifest and taken == manifest.release:
            self._error = await asyncio.to_thread(self._why_not, manifest)
            return
        if not manifest.files:
            return
        if number and not known.generation and manifest.made <= made:
            # The other server is behind the one that we have asked so far: what is served is newer.
            self.state.learn(link.peer, generation=manifest.generation, manifest=manifest.sha256)
            return
        await asyncio.to_thread(self._fetcher.clean, manifest)
        try:
            await self._fetcher.fetch(manifest, link)
        except Held as held:
            self._error = f"QuietHours: it goes on in {held.seconds / 3600:.1f} hours"
            raise
        await asyncio.to_thread(self._publish, manifest, link.peer)

    async def _manifest(self, link: Link) -> Manifest | None:
        """What the centre has published; None: what we have dealt with already."""
        known = self.state.of(link.peer)
        current = known.manifest and self.state.taken[0].endswith(known.manifest[:8])
        headers = {"If-None-Match": f'"{known.manifest}"'} if current and not self._error else {}
        reply = await link.ask("GET", "/v1/manifest", headers)
        return None if reply.status == 304 else parse(reply.body)

    def _publish(self, manifest: Manifest, peer: Peer) -> None:
        """Everything is here. In a thread. Raises OSError."""
        release = self._fetcher.stage(manifest, peer.place)
        self._fetcher.clean()
        error = ""
        if release.state not in (PUBLISHED, SUPERSEDED):
            if self.config.settings.updates_publish == "hold":
                error = _waits(release.id)
                self.stream.publish(Notice("firmware-held", error))
            else:
                # Which models lose their firmware was answered at the centre; what this site has changed by
                # hand and what lint finds is for this site's administrator.
                done = self._publisher(self.config).publish(release.id, losses=True)
                error = "; ".join(getattr(done, "why", ()))
                if error:
                    text = f"{release.id} is held: {error}; `mv-iptel firmware publish {release.id}`"
                    self.stream.publish(Notice("firmware-held", text))
        self._error = error
        self.state.take(peer, release.id, manifest.generation, manifest.made, manifest.sha256)

    def _why_not(self, manifest: Manifest) -> str:
        """Why what was taken is not served, as it is now; empty if it is."""
        release = self._fetcher.releases.get(manifest.release)
        if release is None or release.state in (PUBLISHED, SUPERSEDED):
            return ""
        if release.note or release.state != STAGED:
            return release.note or f"{release.id} is {release.state}"
        return _waits(release.id)

    # orders, changes, reports

    async def _follow_orders(self) -> None:
        last = 0.0
        while True:
            interval = self.config.backup_servers.update_interval
            wait = self._peers.wait()
            if wait:
                await asyncio.sleep(max(0.1, wait))
                continue
            away = bool(self._peers.error)
            # The first question after a failure is a short one: others wait for its answer.
            hold = 0 if away or not last else max(1, min(50, int(interval)))
            began = time.monotonic()
            try:
                done = await self._peers.first(lambda link: self._orders.poll(link, hold))  # noqa: B023
                self._well("away")
                if away:
                    self.outbox.hurry()
                if done or time.monotonic() - last >= interval or not last:
                    await self._report(done)
                    last = time.monotonic()
            except (Away, Said) as error:
                self._say("away", f"the central servers do not do what they should: {error}")
            await _no_faster(began)

    async def _follow_changes(self) -> None:
        assert self._restorer is not None
        restorer = self._restorer
        while True:
            wait = self._peers.wait()
            if wait:
                await asyncio.sleep(max(0.1, wait))
                continue
            began = time.monotonic()
            with suppress(Away, Said):
                await self._peers.first(restorer.follow)
            await _no_faster(began)

    async def _report(self, done: list[Done]) -> None:
        how = Report(
            generation=self.state.taken[1] if not self._error else self._served(),
            error=self._error, queue=self.outbox.counts()["queued"], phones=self._phones(),
        )  # fmt: skip
        await self._peers.first(lambda link: report(link, self.config, how, done))

    def _served(self) -> int:
        """The centre's number of what this branch serves."""
        release = generations.current(self.config.home).release
        told = release.removeprefix("central-g").partition("-")[0]
        return int(told) if release.startswith("central-g") and told.isdigit() else 0

    def _ordered(self, done: Done) -> None:
        text = f"the central server's order {done.id}: {done.text}"
        self.stream.publish(Notice("central-order", text, "info" if done.ok else "warning"))

    def _say(self, what: str, text: str, level: str = "warning") -> None:
        """Trouble is told once, until it is over."""
        if what not in self._told:
            self._told.add(what)
            self.stream.publish(Notice(f"central-{what}", text, level))

    def _well(self, what: str) -> None:
        if what in self._told:
            self._told.discard(what)
            place = self._peers.current.place if self._peers.current else "the central server"
            self.stream.publish(Notice(f"central-{what}", f"{place} answers again", "info"))


async def _no_faster(began: float) -> None:
    """A centre that holds no answer back is not asked without end."""
    await asyncio.sleep(max(0.0, FASTEST - (time.monotonic() - began)))


def _waits(release: str) -> str:
    """What the branch's administrator and the centre's are told of a release that is held for the former."""
    return f"{release} waits (UpdatesPublish=hold); at the branch `mv-iptel firmware publish {release}`"


def wanted(config: Config) -> bool:
    """Whether this server is a branch."""
    keys = config.backup_servers
    return (keys.use_primary_svr or keys.use_secondary_svr) and (keys.request_updates or keys.request_backup)


def _terms(config: Config) -> tuple[Any, ...]:
    https = config.https
    return (
        config.backup_servers, config.home, config.settings.updates_publish, config.http.backup_dir,
        config.http.max_backup_bytes, https.use_proxy, https.proxy_addr, https.proxy_port,
    )  # fmt: skip
