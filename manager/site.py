"""What all handlers of one manager share; wired here and nowhere else."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from manager.audit import Audit
from manager.bodies import Bodies
from manager.delaying import Delays
from manager.facts import exports
from manager.facts.forecasts import Forecasts
from manager.facts.lint import Judge
from manager.facts.overview import Inquiry
from manager.facts.phones import Table
from manager.facts.pulse import Pulse
from manager.incoming import Incoming
from manager.link import Link
from manager.operations import Operations
from manager.people import People
from manager.relaying import Relay
from manager.rendering import Pages
from manager.sessions import Sessions
from manager.store import Store
from mv_iptel.config import Config, ConfigError, ManagerConfig, defaults, load
from mv_iptel.files import states
from mv_iptel.guests import Guests
from mv_iptel.home import Home
from mv_iptel.inventory.reader import Reader

END = 30.0  # seconds that long work gets when the manager ends
THREADS = 8  # for reading files and databases; long work has its own


class Site:
    """One manager: its home, its database, its line to the server."""

    def __init__(self, config: ManagerConfig):
        """Raises OSError, sqlite3.Error."""
        self.manager = config
        self.home: Home = config.home
        self.store = Store(self.home.manager / "data" / "manager.db")
        self.threads = ThreadPoolExecutor(THREADS, "manager")
        self.people = People(self.store, self.home)
        self.sessions = Sessions(self.store, self.people, config.settings.session_time)
        self.delays = Delays(self.store)
        self.audit = Audit(self.store)
        self.operations = Operations(self.store)
        self.bodies = Bodies()
        self.incoming = Incoming(self.home.var / "incoming")
        exports.prune(self.home, float("inf"))  # nobody fetches a copy of users' data over a restart
        self.forecasts = Forecasts()
        self._server: Config | None = None
        self._state: object = None
        self._loading = threading.Lock()
        self.broken: tuple[str, ...] = ()  # why the ini that lies there is not the one we go by
        self._reader: Reader | None = None
        self.phones = Table(self.config)
        self.lint = Judge(self.home.root)
        self.whom = Judge(self.home.root)  # of its own: whom a change breaks takes longer
        self.link = Link(self.config, config.settings.server_url)
        self.relay = Relay(self.link)
        self.ending = asyncio.Event()  # the manager ends: live pages let go
        self.guests: Guests | None = None  # the connections, where serving.py takes them
        self.pulse = Pulse()  # the last minutes, for the Overview's chart
        self.inquiry = Inquiry(lambda: self.inventory)
        self.pages = Pages(self)

    def config(self) -> Config:
        """`MV_IPTel.ini` as it is now; while it is broken the last good one, and `broken` says why."""
        with self._loading:
            state = states([self.home.ini])
            if self._server is None or state != self._state:
                self._state = state
                try:
                    self._server = load(self.home) if self.home.ini.exists() else defaults(self.home)
                    self.broken = ()
                except ConfigError as error:
                    self.broken = tuple(str(one) for one in error.findings)
                except OSError as error:
                    self.broken = (f"{self.home.ini}: {error.strerror}",)
                if self._server is None:
                    self._server = defaults(self.home)
            return self._server

    @property
    def inventory(self) -> Reader:
        """The server's inventory, read only."""
        path = self.config().settings.database
        with self._loading:
            if self._reader is None or self._reader.path != str(path):
                self._reader = Reader(path)  # one that is still being read from closes by itself
            return self._reader

    async def close(self, patience: float = END) -> bool:
        """Whether all work has ended; long work that runs gets `patience` seconds for it."""
        await self.link.close()
        self.lint.close()
        self.whom.close()
        ended = await asyncio.to_thread(self.operations.close, patience)
        self.threads.shutdown(wait=ended, cancel_futures=True)
        self.phones.close()
        if ended:
            self.store.close()
        return ended
