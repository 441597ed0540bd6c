"""The only wiring: makes the parts of the file server, starts, reloads and stops them.

Threads: the asyncio loop (HTTP, HTTPS, status, central API) runs in the main thread; the TFTP engine, FTP,
the questions to phones and the event stream have one each; a few keep user data and compute passwords; and
one of the watchdog library sees files change. While TFTP is busy its thread serves the connections of HTTP
and HTTPS too (`http/poller.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mv_iptel import __version__, notify
from mv_iptel.alone import hold
from mv_iptel.central.client import CentralClient
from mv_iptel.central.server import CentralServer
from mv_iptel.config import Config, ConfigError, restart_needed
from mv_iptel.events import Event, Listener, Notice, Reloaded, Started, Stopped, Stream
from mv_iptel.firmware.publishing import Publisher
from mv_iptel.firmware.service import Firmware
from mv_iptel.ftp.server import Server as FtpServer
from mv_iptel.history import History
from mv_iptel.home import write_check_files
from mv_iptel.http.server import Server as HttpServer
from mv_iptel.inventory import Inventory
from mv_iptel.journal import Journal
from mv_iptel.library import Library, Phone
from mv_iptel.rollout.rolling import Rolling
from mv_iptel.status.counters import Counters
from mv_iptel.status.server import StatusServer
from mv_iptel.status.snapshot import Controls, Sources
from mv_iptel.tftp.server import Server as TftpServer
from mv_iptel.userdata.outbox import Outbox
from mv_iptel.watching import Watching

GRACE = 5.0  # seconds that running transfers get to end

try:
    import pwd
    import resource
except ImportError:  # Windows has no users to change to and no descriptors to count
    pwd = resource = None  # type: ignore[assignment]


class Daemon:
    """One file server over one home. `load` reads the configuration again at a reload."""

    def __init__(self, config: Config, load: Callable[[], Config], listeners: tuple[Listener, ...] = ()):
        self.config = config
        self.generation = 1
        self._load = load
        self._first = config  # as it was at the start
        self._written = config  # as the file has it; `config` may have listeners stopped by hand
        self._stop = asyncio.Event()
        self._why = ""
        self._lock = hold(config.home.var / "server.lock")  # one server, one writer of the inventory
        _raise_descriptors()
        with _as_user(config.settings.user):
            self.journal = Journal.of(config.settings)
            self.inventory = Inventory(config.settings.database)
        self.counters = Counters()
        self.stream = Stream(
            self.journal, self.inventory, self.counters, *listeners, first_id=self.inventory.first_id()
        )
        self._ticks = _Ticks()
        self.stream.listeners.append(self._ticks)
        self.journal.publish = self.inventory.publish = self.stream.publish
        self.library = Library(config, self.stream)
        self.library.identity.preload(
            (row["address"], Phone(row["mac"], row["ext"], row["model"], row["version"]), row["ago"])
            for row in self.inventory.recent(time.time())
        )
        self.rolling = Rolling(config, self.library, self.stream.publish)
        self.stream.listeners.append(self.rolling)
        self.tftp = TftpServer(config.tftp, config.settings.bind_address, self.library, self.stream)
        self.http = HttpServer(config, self.library, self.stream, lend=self.tftp.lend)
        self.ftp = FtpServer(config, self.library, self.stream)
        self.outbox = Outbox(config, self.stream.publish)
        self.library.backups.store.listeners.append(self.outbox.add)
        self.history = History(config, self.stream.publish)
        self.firmware = Firmware(config, self.stream.publish)
        self.central = CentralServer(config, self.library, self.stream)
        self.branch = CentralClient(
            config, self.library,
            lambda config: Publisher(config, self.stream.publish, apart=True), self.stream,
            lambda: self.inventory.counts(time.time())["known"],
        )  # fmt: skip
        self.status = StatusServer(
            self.counters,
            Sources(
                config=lambda: self.config,
                library=self.library,
                fronts=lambda: [self.tftp, self.ftp, self.http, self.central],
                inventory=self.inventory,
                stream=self.stream,
                journal=self.journal,
                legacy=lambda: self.config.legacy(),
                more_problems=self._problems,
                backups=lambda: {**self.library.backups.store.counts(), **self.outbox.counts()},
                central=self._central,
                firmware=self.firmware.status,
                rollout=self.rolling.status,
            ),
            Controls(
                reload=self.reload,
                listener=self.switch,
                lift_ban=lambda address: asyncio.to_thread(self.library.bans.lift, address),
                refresh=self.refresh,
                unpin=lambda file: asyncio.to_thread(self.library.backups.pins.release, file),
            ),
            publish=self.stream.publish,
        )

    async def run(self, ready: Callable[[Daemon], None] = lambda daemon: None) -> None:
        """Serve until a signal or `stop` ends it. `ready` is called once everything is up."""
        config = self.config
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._fault)
        self._signals(loop)
        handler = _Faults(self.stream)
        logging.getLogger().addHandler(handler)
        watching = Watching(self._changed)
        pulse: asyncio.Task[None] | None = None
        self.stream.start()
        # `serve --dir` leaves the folder that it was given as it is.
        for folder, error in write_check_files(config) if config.file else ():
            text = f"the watchdog's file cannot be written ({error.strerror}); make the directory writable"
            self.stream.publish(Notice("check-file", text, source=str(folder)))
        try:
            if config.file is not None:
                with _as_user(config.settings.user):
                    self.firmware.recover()
            self.tftp.start()
            self.ftp.start()
            await self.http.start()
            await self.status.start()
            await self.central.start()
            _become(config.settings.user)
            self.library.backups.store.open()
            self.outbox.start()
            self.branch.start()
            if config.file is not None:  # a folder that is served as it is has no history
                self.history.start()
                self.firmware.start()
            watching.start(self._watched())
            self.stream.publish(Started(__version__, str(config.home.root), config.legacy()))
            notify.ready(self._told())
            pulse = loop.create_task(self._live())
            ready(self)
            await self._stop.wait()
        finally:
            notify.stopping(self._why)
            if pulse is not None:
                pulse.cancel()
            watching.stop()
            await asyncio.to_thread(self.history.close)
            await asyncio.to_thread(self.branch.stop)
            await asyncio.to_thread(self.firmware.stop)
            await self.status.stop()
            stops = [asyncio.to_thread(front.stop, GRACE) for front in (self.tftp, self.ftp)]
            await asyncio.gather(*stops, self.http.stop(GRACE), self.central.stop(GRACE))
            await asyncio.to_thread(self.library.close)
            self.outbox.close()
            self.stream.publish(Stopped(self._why or "it ended by itself"))
            self.stream.stop()
            logging.getLogger().removeHandler(handler)
            self.journal.close()
            self.inventory.close()
            self._lock.close()

    def stop(self, why: str) -> None:
        """End `run`. Call it on the loop's thread."""
        self._why = why
        self._stop.set()

    async def reload(self) -> dict[str, object]:
        """Put a changed configuration in force without dropping a transfer; a bad one changes nothing."""
        notify.reloading()
        try:
            return await self._reload()
        finally:
            notify.ready(self._told())

    async def _reload(self) -> dict[str, object]:
        file = str(self.config.file or "")
        try:
            config = await asyncio.to_thread(self._load)
        except ConfigError as error:
            findings = tuple(str(finding) for finding in error.findings)
            self.stream.publish(Reloaded(file, False, self.generation, findings))
            return {"ok": False, "generation": self.generation, "findings": list(findings), "restart": []}
        except OSError as error:
            findings = (f"{file}: cannot be read: {error.strerror}; make it readable for the server",)
            self.stream.publish(Reloaded(file, False, self.generation, findings))
            return {"ok": False, "generation": self.generation, "findings": list(findings), "restart": []}
        restart = restart_needed(self._as_running(), config)
        self._written = config
        await self._apply(config)
        self.generation += 1
        self.journal.configure(config.settings)
        findings = tuple(str(finding) for finding in config.findings)
        self.stream.publish(Reloaded(file, True, self.generation, findings, restart))
        return {
            "ok": True,
            "generation": self.generation,
            "findings": list(findings),
            "restart": list(restart),
        }

    async def _live(self) -> None:
        """Signs of life for systemd, while this loop, TFTP's, FTP's and the events' thread all go on."""
        patience = notify.patience()
        if not patience:
            return
        parts = {"tftp": self.tftp.call, "ftp": self.ftp.call, "events": self._ticks.ask}
        pulse = notify.Pulse(parts)
        missed = 0
        while True:
            silent = pulse.tick()
            missed = missed + 1 if silent else 0
            if missed == 2:  # one look may come early on a busy machine
                text = f"no answer from {', '.join(silent)} for {patience / 2:g} s; systemd will restart us"
                self.stream.publish(Notice("fault", text, "error"))
                notify.status(text)
            await asyncio.sleep(patience / 4)

    def _told(self) -> str:
        """One line on how it is."""
        rows = [row for front in (self.tftp, self.ftp, self.http) for row in front.listeners()]
        up = sum(row["state"] == "up" for row in rows)
        return f"serving on {up} of {len(rows)} listeners, configuration {self.generation}"

    def _problems(self) -> list[tuple[str, int, str]]:
        return [*self.http.problems(), *self.history.problems(), *self.rolling.problems()]

    def _as_running(self) -> Config:
        """What is really in force: some keys are those of the start, whatever was reloaded since."""
        first, written = self._first.settings, self._written
        return replace(written, settings=replace(written.settings, user=first.user, database=first.database))

    def refresh(self) -> bool:
        """Look at lists and data directories anew, after somebody else worked on the home."""
        self.library.reload(self.config)
        self.library.backups.store.refresh()
        self.outbox.refresh()
        self.rolling.refresh()
        self.firmware.refresh()
        self.central.refresh()
        self.branch.refresh()
        return True

    def _central(self) -> dict[str, object]:
        """What status.json tells of the part that this server has among others. From any thread."""
        centre = self.central.status() if self.config.backup_servers.file_server else {}
        branch = self.branch.status()
        if not branch["role"]:
            return centre
        return {**centre, **branch, "role": "both", "orders": centre["queue"]} if centre else branch

    async def switch(self, proto: str, run: bool) -> bool:
        """Start or stop one protocol's listeners until the next reload. False: no such protocol."""
        config = self.config
        if proto == "tftp":
            config = replace(config, tftp=replace(config.tftp, run_trivial_ftp=run))
        elif proto == "ftp":
            config = replace(config, ftp=replace(config.ftp, run_ftp=run))
        elif proto == "ftps":
            config = replace(config, ftps=replace(config.ftps, run_ftps=run))
        elif proto == "http":
            config = replace(config, http=replace(config.http, run_http=run))
        elif proto == "https":
            config = replace(config, https=replace(config.https, run_https=run))
        else:
            return False
        await self._apply(config)
        return True

    async def _apply(self, config: Config) -> None:
        self.library.reload(config)
        self.config = config
        await asyncio.to_thread(self.tftp.reload, config.tftp, config.settings.bind_address)
        await asyncio.to_thread(self.ftp.reload, config)
        self.rolling.configure(config)
        self.outbox.configure(config)
        await asyncio.to_thread(self.branch.reload, config)
        self.history.configure(config)
        self.firmware.configure(config)
        await self.http.reload(config)
        await self.central.reload(config)
        await self.status.reload(config)

    def _signals(self, loop: asyncio.AbstractEventLoop) -> None:
        for name in ("SIGTERM", "SIGINT"):
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(getattr(signal, name), self.stop, f"{name} ended it")
        if hasattr(signal, "SIGHUP"):
            loop.add_signal_handler(signal.SIGHUP, self._reload_soon)

    def _reload_soon(self) -> None:
        task = asyncio.get_running_loop().create_task(self.reload())
        self._task = task  # the loop itself keeps only a weak reference

    def _watched(self) -> dict[Path, str]:
        """The directories whose changes matter, and what lies in each."""
        config = self.config
        watched = {
            folder: "data" for folder in (config.tftp.tftp_dir, config.http.http_dir, config.https.https_dir)
        }
        if config.file is not None:
            watched[config.file.parent] = "configuration"
        return watched

    def _changed(self, what: str, path: Path) -> None:
        """A watched file changed; on the watcher's thread."""
        if what == "data":
            self.history.seen(path)
        if what == "data" and path.name.lower().endswith("allow_ip.txt"):
            self.library.problems()  # reads the list, and reports what is broken in it
        elif what == "configuration" and path == self.config.file:
            try:
                new = self._load()
                text = "was changed and is not in force yet; run `mv-iptel reload`"
                if new == self._written:
                    return
            except ConfigError as error:
                text = f"was changed and is not valid ({len(error.findings)} problems); run `mv-iptel check`"
            except OSError as error:
                text = f"cannot be read ({error.strerror}); the configuration in force stays"
            self.stream.publish(Notice("config-changed", text, source=str(path)))

    def _fault(self, loop: asyncio.AbstractEventLoop, context: dict) -> None:
        logging.getLogger("mv_iptel").error("%s", context.get("message"), exc_info=context.get("exception"))


class _Ticks:
    """Listens to the stream only to tell that its thread goes on."""

    def __init__(self) -> None:
        self._asked: deque[Callable[[], None]] = deque()

    def ask(self, done: Callable[[], None]) -> None:
        """`done` is called when the thread comes by."""
        self._asked.append(done)

    def receive(self, batch: list[Event]) -> None:
        """What happened is for others."""

    def tick(self, now: float) -> None:
        """On the stream's thread."""
        while self._asked:
            self._asked.popleft()()


class _Faults(logging.Handler):
    """What our own code logs is a fault: it becomes an event, so that it is seen."""

    def __init__(self, stream: Stream):
        super().__init__(logging.WARNING)
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            text += f": {type(error).__name__}: {error}"
        level = "error" if record.levelno >= logging.ERROR else "warning"
        self._stream.publish(Notice("fault", text, level, source=record.name))


def _raise_descriptors() -> None:
    if resource is not None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < hard:
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextlib.contextmanager
def _as_user(name: str):
    """Make files as the user that will own the process, while the ports still need root."""
    if not name or pwd is None or os.geteuid() != 0:
        yield
        return
    entry = pwd.getpwnam(name)
    os.umask(0o007)  # manager and watchdog share the group (DESIGN section 3)
    os.setegid(entry.pw_gid)
    os.seteuid(entry.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def _become(name: str) -> None:
    """Give up root for good, once the ports are open."""
    if not name or pwd is None or os.geteuid() != 0:
        return
    entry = pwd.getpwnam(name)
    os.initgroups(name, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
