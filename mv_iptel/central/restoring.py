"""User data from the centre: what a waiting phone asks for and is not here, and what others have changed.

What comes is kept by the same store as a phone's own backup, with `Origin(how="central")`: what it replaces
is a version, and the outbox does not send it back.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mv_iptel.central.peers import Away, Link, Peers, Said, sha256_of
from mv_iptel.central.queue import Centre
from mv_iptel.central.state import State
from mv_iptel.library.answers import Reason, Refuse
from mv_iptel.library.contents import etag_of
from mv_iptel.userdata import disk
from mv_iptel.userdata.names import Kept, parse
from mv_iptel.userdata.store import Origin, Store, Stored

if TYPE_CHECKING:
    from mv_iptel.config import Config
    from mv_iptel.userdata.outbox import Outbox

AT_ONCE = 64  # phones for which is asked at once; who comes later is told that there is nothing
LONGEST = 60.0  # seconds until the place of one who waits no longer is free again
HOLD = 50  # seconds that the centre may hold an answer back
PAGE = 1000
AGAIN, AGAIN_MOST = 0.05, 60.0  # seconds between two tries to bring what is newer at the centre


class Here(NamedTuple):
    """A current file of ours."""

    sha256: str
    etag: str


class Restorer:
    """For the client's event loop; only `fetch` and `newer` may be called from other threads."""

    def __init__(
        self, config: Config, store: Store, peers: Peers, state: State, outbox: Outbox,
        loop: asyncio.AbstractEventLoop,
    ):  # fmt: skip
        self._config, self._store, self._peers, self._state = config, store, peers, state
        self._outbox, self._loop = outbox, loop
        self._waiting: dict[str, asyncio.Task[str]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    # for a phone that waits

    def fetch(self, kept: Kept, done: Callable[[str], None]) -> Callable[[], None]:
        """Bring this name here, if the centre has it: `done("")`, or `done(why not)`; gives a cancel.

        `done` is called once, within `FTP_TimeOut`, on the client's thread.
        """
        try:
            future = asyncio.run_coroutine_threadsafe(self._fetch(kept), self._loop)
        except RuntimeError:
            done("the server stops")
            return lambda: None

        def ended(_: object) -> None:
            if future.cancelled():
                done("it was given up")
            elif error := future.exception():
                done(f"{type(error).__name__}")
            else:
                done(future.result())

        future.add_done_callback(ended)
        return lambda: None  # it goes on: the phone will ask again, and then it is here

    async def _fetch(self, kept: Kept) -> str:
        name = kept.file
        if self._outbox.waits(name):
            return "its removal is on its way to the central server"
        task = self._waiting.get(name)
        if task is None:
            if len(self._waiting) >= AT_ONCE:
                return f"{AT_ONCE} others are being fetched already"
            task = self._waiting[name] = asyncio.create_task(self._absent(kept))
            task.add_done_callback(lambda _: self._waiting.pop(name, None))
        try:
            async with asyncio.timeout(self._config.ftp.ftp_time_out):
                return await asyncio.shield(task)
        except TimeoutError:
            return f"the central server did not answer within {self._config.ftp.ftp_time_out:g} s"

    async def _absent(self, kept: Kept) -> str:
        try:
            async with asyncio.timeout(LONGEST):
                said = await self._peers.first(lambda link: self.bring(link, kept, absent=True))
        except TimeoutError:
            return f"no central server answered within {LONGEST:g} s"
        except Away as error:
            return f"no central server answers: {error}"
        except Said as said:
            return f"the central server refuses: {said}"
        if isinstance(said, Refuse) and said.reason is not Reason.CHANGED:
            return said.detail or said.reason.value
        return said if isinstance(said, str) else ""

    async def bring(
        self, link: Link, kept: Kept, version: str = "", sha256: str = "", how: str = "central",
        match: str = "", absent: bool = False,
    ) -> Stored | Refuse | str:  # fmt: skip
        """Fetch a content and make it current here; a sentence if the centre has none. Raises Away, Said."""
        params = {"version": version} if version else None
        most = self._config.http.max_backup_bytes
        try:
            reply = await link.ask("GET", f"/v1/userdata/{kept.file}", params=params, most=most)
        except Said as said:
            if said.status == 404:
                return "the central server has none either"
            raise
        told = sha256_of(reply.body)
        if told != reply.headers.get("MV-Sha256", "") or told != (sha256 or told):
            raise Away(f"{kept.file} came with another hash")
        return await self.keep(kept, reply.body, how, match, absent)

    async def keep(
        self, kept: Kept, data: bytes, how: str, match: str = "", absent: bool = False
    ) -> Stored | Refuse:
        """Make it current here. With `absent` only if there still is nothing."""
        draft = self._store.draft(kept, Origin(proto="central", how=how), match)
        if isinstance(draft, Refuse):
            return draft
        if absent:
            path = draft.file

            def still() -> Refuse | None:
                there = os.path.lexists(path)
                return Refuse(Reason.CHANGED, f"{path} is there now") if there else None

            draft.also = still
        refuse = draft.write(data)
        if refuse is not None:
            draft.abort()
            return refuse
        return await self._committed(draft)

    async def _committed(self, draft: Any) -> Stored | Refuse:
        future: asyncio.Future[Stored | Refuse] = self._loop.create_future()

        def done(outcome: Stored | Refuse) -> None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(lambda: future.done() or future.set_result(outcome))

        draft.commit(done)
        return await future

    # what others have changed

    async def follow(self, link: Link, hold: int = HOLD) -> bool:
        """Read on in the centre's changes, and take those of names that are here; whether there were any."""
        cursor = self._state.of(link.peer).cursor
        params = {"limit": str(PAGE), "wait": str(hold)} | ({"since": cursor} if cursor else {})
        told = (await link.ask("GET", "/v1/userdata", params=params, silence=hold + 30)).json()
        changes, cursor = told.get("changes"), told.get("cursor")
        if not isinstance(changes, list) or not isinstance(cursor, str) or len(cursor) > 200:
            raise Away("its list of changes is damaged")
        sent = await asyncio.to_thread(self._outbox.sent, Centre(link.peer)) if changes else {}
        for change in changes:
            if isinstance(change, dict):
                await self._changed(link, change, sent)
        if cursor != self._state.of(link.peer).cursor:
            self._state.learn(link.peer, cursor=cursor)
        return bool(changes)

    async def _changed(self, link: Link, change: dict[str, Any], sent: dict[str, str]) -> None:
        name = change.get("name")
        kept = parse(name) if isinstance(name, str) else None
        if kept is None or kept.file != name or self._outbox.waits(name):
            return
        here = await asyncio.to_thread(self._here, name)
        if here is None or here.sha256 == change.get("sha256"):
            return
        if sent.get(name) != here.sha256:
            self._outbox.push([name])  # the centre has not seen ours: it decides which is newer
        elif change.get("removed"):
            draft = self._store.removal(kept, Origin(proto="central", how="central"), f'"{here.etag}"')
            if not isinstance(draft, Refuse):
                await self._committed(draft)
        else:
            await self.bring(link, kept, match=f'"{here.etag}"')

    def newer(self, name: str) -> None:
        """The centre keeps something newer than what was sent: bring it. From any thread."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._begin, name)

    def _begin(self, name: str) -> None:
        async def bring() -> None:
            kept, pause = parse(name), AGAIN
            while kept is not None:
                # What was just sent may not be off the queue yet. Something newer of ours goes first.
                if not self._outbox.waits(name):
                    here = await asyncio.to_thread(self._here, name)
                    if here is None:
                        return
                    match = f'"{here.etag}"'
                    try:
                        await self._peers.first(lambda link: self.bring(link, kept, match=match))  # noqa: B023
                    except Away:
                        pass  # nothing else would tell it again: the list's cursor is behind it
                    except Said:
                        return
                    else:
                        return
                await asyncio.sleep(pause)
                pause = min(2 * pause, AGAIN_MOST)

        task = asyncio.create_task(bring())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _here(self, name: str) -> Here | None:
        path = Path(self._config.http.backup_dir / name)
        try:
            with open(disk.open_file(path), "rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                return Here(sha256, etag_of(name, os.fstat(file.fileno())))
        except OSError:
            return None
