"""User data on its way to the centre: the outbox's second way, by PUT instead of FTP.

The outbox keeps order, pauses and what is due; here is how one file gets there. A repeated PUT of the same
content changes nothing there, so what may have arrived is simply sent again.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import hashlib
import os
import time
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, BinaryIO, NamedTuple

from mv_iptel.central.limiting import quiet
from mv_iptel.central.peers import Away, Link, Peer, Peers, Said, words
from mv_iptel.config import Config
from mv_iptel.userdata import history
from mv_iptel.userdata.versions import folder_of
from mv_iptel.userdata.ways import Way

NAME = "central"
LIMIT = 120.0  # seconds that one file may take
ONE_FILE = (400, 404, 405, 412, 413, 507)  # what the centre says about a file, not about us


class Centre(NamedTuple):
    """The central server that user data goes to now."""

    peer: Peer

    @property
    def place(self) -> str:
        return self.peer.place

    @property
    def head(self) -> str:
        """The first line of the record of what is there."""
        return f"# {self.peer.place}"


class Carrier:
    """Sends to one central server, from the outbox's thread over the client's loop."""

    def __init__(
        self, to: Centre, config: Config, peers: Peers, run: Callable[[Coroutine[Any, Any, Any]], Any],
        older: Callable[[str], None],
    ):  # fmt: skip
        self.to = to
        self._config, self._peers, self._older = config, peers, older
        self._start = run
        self._running: concurrent.futures.Future[Any] | None = None

    def connect(self) -> None:
        """Nothing: each request finds its connection."""

    def send(self, name: str, content: BinaryIO) -> str:
        """Bring one file there: "", or why the centre does not keep it. Raises Away, Said."""
        content.seek(0)
        most = self._config.http.max_backup_bytes
        data = content.read(most + 1)
        headers = {"MV-Sha256": hashlib.sha256(data).hexdigest(),
                   "MV-Changed": repr(os.fstat(content.fileno()).st_mtime)}  # fmt: skip
        told = next(iter(history.latest(folder_of(self._config, name))), None)
        for header, value in (("MV-Mac", told.mac), ("MV-Model", told.model)) if told else ():
            if value and value.isascii() and value.isprintable():
                headers[header] = value
        answer = self._ask("PUT", name, headers, data)
        if isinstance(answer, str):
            return answer
        if answer.get("current") is False:
            self._older(name)  # another branch was later: its content is to come here
        return ""

    def remove(self, name: str, when: float) -> str:
        """The user has removed it."""
        answer = self._ask("DELETE", name, {"MV-Changed": repr(when)}, None)
        return answer if isinstance(answer, str) else ""

    def _ask(self, method: str, name: str, headers: dict[str, str], data: bytes | None) -> Any:
        async def put(link: Link) -> dict[str, Any]:
            return (await link.ask(method, f"/v1/userdata/{name}", headers, data)).json()

        self._running = self._start(self._peers.first(put, self.to.peer))
        try:
            return self._running.result(LIMIT)
        except concurrent.futures.CancelledError:
            raise Away("it was given up") from None
        except TimeoutError:
            self._running.cancel()
            raise Away("it does not answer in time") from None
        except Said as said:
            if said.status in ONE_FILE:
                return str(said)
            raise
        finally:
            self._running = None

    def quit(self) -> None:
        """Nothing: the connection is the client's."""

    def drop(self) -> None:
        """Nothing: a broken connection is not used again."""

    def abort(self) -> None:
        """From another thread: what waits for the centre waits no longer."""
        running = self._running
        if running is not None:
            running.cancel()

    def words(self, error: BaseException | str) -> str:
        return error if isinstance(error, str) else words(error)


def way(
    peers: Callable[[], Peers],
    config: Callable[[], Config],
    loop: Callable[[], asyncio.AbstractEventLoop],
    older: Callable[[str], None],
    now: Callable[[], float] = time.time,
) -> Way:
    """The outbox's way to the centre. `older` is told of names of which the centre has something newer."""

    def to(_config: Config) -> Centre:
        usable = peers().usable()
        if not usable:
            raise Away(peers().error or "no central server answers")
        return Centre(usable[0])

    def run(coroutine: Coroutine[Any, Any, Any]) -> concurrent.futures.Future[Any]:
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, loop())
        except RuntimeError:
            coroutine.close()
            raise Away("the server stops") from None

    return Way(
        NAME, "central-userdata",
        lambda config: wanted(config),
        to,
        lambda centre: Carrier(centre, config(), peers(), run, older),
        (Away, Said),
        lambda centre: f"{NAME}-{centre.peer.role}.sent",
        lambda: quiet(config().backup_servers.quiet_hours, datetime.fromtimestamp(now())),
        ours=NAME,
        removals=True,
    )  # fmt: skip


def wanted(config: Config) -> bool:
    """Whether user data goes to a central server."""
    keys = config.backup_servers
    return keys.request_backup and (keys.use_primary_svr or keys.use_secondary_svr)
