"""Watches a server as phones see it: whatever a served script names is there, whole, at every instant.

It fetches scripts and all that they name over HTTP and TFTP, again and again. A server that is away is no
matter, as somebody may just have killed it; a file that is named and not there is.
"""

from __future__ import annotations

import hashlib
import re
import threading

from mv_iptel.phones.boot import Fetch, Fetched, Server
from mv_iptel.phones.live import Live
from tests.clients.sites import HOST, Site

SCRIPTS = {"http": ("96xxupgrade.txt", "96x1Hupgrade.txt"), "tftp": ("46xxupgrade.scr",)}
_NAMES = re.compile(rb"^(?:SET (?:APPNAME|RFSNAME)|GET) (\S+)", re.M)
PAUSE = 0.06  # seconds between two looks, so that others get their turn on a small machine
PATIENCE = 1.5  # seconds for one file; a server that was killed does not answer


class Watcher:
    """`with Watcher(site, protocol, known) as watcher:`; `known` gives the SHA-256 of files by name."""

    def __init__(self, site: Site, protocol: str, known: dict[str, str], address: str):
        self.looked = self.fetched = self.away = 0  # scripts read, files that they named, times without it
        self.wrong: list[str] = []
        self._known = known
        self._address = address
        self._server = Server(protocol, HOST, site.tftp if protocol == "tftp" else site.http)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watcher {self._server}", daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            for script in SCRIPTS[self._server.protocol]:
                with Live(self._address, patience=PATIENCE) as live:
                    self._look(live, script)
                self._stop.wait(PAUSE)

    def _look(self, live: Live, script: str) -> None:
        got = self._get(live, script)
        if got is None:
            return
        if got.result == "missing":
            self.wrong.append(f"{script} is not there")
            return
        self.looked += 1
        for name in dict.fromkeys(_NAMES.findall(got.data)):
            found = self._get(live, name.decode())
            if found is None:
                return  # it was killed in between: what it serves now is another instant
            self.fetched += 1
            if found.result == "missing":
                self.wrong.append(f"{script} names {name.decode()}, which is not there: {found.detail}")
            elif found.sha256 != self._known.get(name.decode(), found.sha256):
                self.wrong.append(f"{name.decode()} is not what was published ({found.size} octets)")

    def _get(self, live: Live, name: str) -> Fetched | None:
        got = live.fetch(Fetch(self._server, name, "script", keep=True, agent="AVAYA"))
        if got.result in ("ok", "missing"):
            return got
        self.away += 1
        self._stop.wait(0.05)
        return None


def known_of(files: dict[str, bytes]) -> dict[str, str]:
    """The hashes of software by name."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()
            if not name.endswith((".txt", ".scr"))}  # fmt: skip
