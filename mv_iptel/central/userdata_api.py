"""User data over the central API: what has changed, current contents and versions, what branches store."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from aiohttp import web

from mv_iptel.addresses import mac_of
from mv_iptel.central import late
from mv_iptel.central.changes import Changes
from mv_iptel.central.contents import none_match
from mv_iptel.central.limiting import SAY_AGAIN
from mv_iptel.central.refusing import No, answer, bad, number, of_store
from mv_iptel.events import Event, Notice
from mv_iptel.firmware.releases import SHA256
from mv_iptel.library.answers import Reason, Refuse
from mv_iptel.library.contents import etag_of
from mv_iptel.userdata import versions
from mv_iptel.userdata.disk import NotAFile, look, open_file
from mv_iptel.userdata.names import Kept, parse
from mv_iptel.userdata.store import Draft, Origin, Store, Stored

if TYPE_CHECKING:
    from mv_iptel.config import Config

BODIES = 32  # uploads that are in memory at once,
BODIES_EACH = 4  # and of one branch: a slow one must not hold up the others
BODY_SECONDS = 60.0  # in which an upload must be there
LONGEST_WAIT = 55.0
LOOK_AGAIN = 1.0  # seconds between two looks while an answer is held back
MOST = 5000  # changes in an answer
SAID = 4096  # names of which it is remembered that somebody was told
_FUTURE = 4e9  # seconds since the epoch, in the year 2096

_VERSION = re.compile(r"[0-9A-Za-z.-]{4,80}")
_MODEL = re.compile(r"[A-Za-z0-9 ._+-]{0,40}")


class UserData:
    """Answers for one server. `now` is the time of day."""

    def __init__(
        self,
        config: Config,
        store: Store,
        changes: Changes,
        publish: Callable[[Event], None],
        now: Callable[[], float] = time.time,
    ):
        self.config, self.store, self.changes = config, store, changes
        self._publish, self._now = publish, now
        self._bodies = asyncio.Semaphore(BODIES)
        self._bodies_of: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._said: dict[str, float] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.look_again = LOOK_AGAIN

    # what has changed

    async def since(self, request: web.Request, going: Callable[[], bool]) -> web.Response:
        """The changes after a cursor; held back for `wait` seconds while there is none and `going()`."""
        query = request.query
        most = int(number(query.get("limit", "1000"), "limit", 1, MOST))
        end = time.monotonic() + number(query.get("wait", "0"), "wait", 0, LONGEST_WAIT)
        cursor = query.get("since", "")
        while True:
            found, new, more = self.changes.since(cursor, most)
            left = end - time.monotonic()
            if found or left <= 0 or not going():
                break
            await asyncio.sleep(min(self.look_again, left))
        rows = [
            {"name": one.name, "sha256": one.sha256, "size": one.size, "changed": one.changed,
             "removed": not one.sha256, "branch": one.branch}
            for one in found
        ]  # fmt: skip
        return answer({"cursor": new, "more": more, "changes": rows})

    # contents

    async def get(self, request: web.Request) -> web.Response:
        """The current content, or a version."""
        kept = _kept(request)
        version = request.query.get("version", versions.CURRENT)
        if not _VERSION.fullmatch(version):
            raise bad("version: an id, or the first 8 or more hex digits of a sha256")
        try:
            if version == versions.CURRENT:
                data, tag, changed = await asyncio.to_thread(self._current, kept.file)
            else:
                data, tag, changed = await asyncio.to_thread(self._version, kept.file, version)
        except (LookupError, FileNotFoundError, NotAFile):
            raise No(404, "no-file", f"there is no such content of {kept.file}") from None
        headers = {
            "ETag": f'"{tag}"',
            "MV-Sha256": hashlib.sha256(data).hexdigest(),
            "MV-Changed": f"{changed:.6f}",
        }
        if none_match(request, f'"{tag}"'):
            return web.Response(status=304, headers=headers)
        return web.Response(body=data, headers=headers, content_type="application/octet-stream")

    def _current(self, name: str) -> tuple[bytes, str, float]:
        with open(open_file(self.config.http.backup_dir / name), "rb") as file:
            found, data = os.fstat(file.fileno()), file.read()
        known = self.changes.get(name)
        same = known is not None and known.sha256 == hashlib.sha256(data).hexdigest()
        return data, etag_of(name, found), known.changed if known is not None and same else found.st_mtime

    def _version(self, name: str, version: str) -> tuple[bytes, str, float]:
        one = versions.find(self.config, name, version)
        data = versions.read(self.config, name, one.id)
        return data, f"v{hashlib.sha256(data).hexdigest()[:16]}", one.time

    # changes by a branch

    async def put(self, request: web.Request, branch: str) -> web.Response:
        """Keep what a branch sends."""
        kept, changed = _kept(request), self._changed(request)
        sha256 = request.headers.get("MV-Sha256", "").strip().lower()
        if not SHA256.fullmatch(sha256):
            raise bad("MV-Sha256: the sha256 of the body, in hex")
        origin = _origin(request, branch)
        own = self._bodies_of.setdefault(branch, asyncio.Semaphore(BODIES_EACH))
        async with own, self._bodies:
            data = await _body(request, self.config.http.max_backup_bytes)
            if hashlib.sha256(data).hexdigest() != sha256:
                raise No(400, "hash", "the body is not what MV-Sha256 says; send it again")
            async with self._lock(kept):
                if self._newer(kept, sha256, changed, branch):
                    return await self._late(kept, data, origin, changed, sha256)
                draft = await asyncio.to_thread(self._draft, kept, origin, request, data)
                stored = await self._commit(draft, changed, branch)
        told = _told(stored)
        return answer(told, 201 if stored.created else 200, {"ETag": f'"{stored.etag}"'})

    async def delete(self, request: web.Request, branch: str) -> web.Response:
        """Remove the current content; that there is none is as good."""
        kept, changed = _kept(request), self._changed(request)
        async with self._lock(kept):
            nothing = {"name": kept.file, "sha256": "", "size": 0, "etag": "", "created": False, "same": True}
            if self._newer(kept, "", changed, branch):
                return answer({**nothing, "current": False, "removed": False})
            draft = await asyncio.to_thread(
                self.store.removal, kept, _origin(request, branch), request.headers.get("If-Match", "")
            )
            if isinstance(draft, Refuse) and draft.reason is Reason.NO_FILE:
                return answer({**nothing, "current": True, "removed": True})
            stored = await self._commit(draft, changed, branch)
        return answer({**_told(stored), "removed": True})

    def _newer(self, kept: Kept, sha256: str, changed: float, branch: str) -> bool:
        """Whether another site has changed this later than what comes now."""
        known = self.changes.get(kept.file)
        if known is None or known.sha256 == sha256:
            return False
        return known.branch != branch and known.changed > changed

    async def _late(
        self, kept: Kept, data: bytes, origin: Origin, changed: float, sha256: str
    ) -> web.Response:
        def keep() -> bool:
            return late.keep(self.config, kept, data, origin, changed)

        new = await asyncio.to_thread(self.store.beside, kept, len(data), keep)
        if isinstance(new, Refuse):
            raise of_store(new)
        if new and self._is_news(kept.file):
            text = f"{kept.file} of {origin.proto} is older than the current one; it is kept as a version"
            self._publish(Notice("central-late", text, "info", source=kept.file))
        told = {"name": kept.file, "sha256": sha256, "size": len(data), "etag": "", "created": False}
        return answer({**told, "same": not new, "current": False})

    def _is_news(self, name: str) -> bool:
        """Whether nobody was told of this name lately."""
        now = time.monotonic()
        if now - self._said.get(name, float("-inf")) < SAY_AGAIN:
            return False
        if len(self._said) >= SAID:
            self._said.clear()
        self._said[name] = now
        return True

    def _draft(self, kept: Kept, origin: Origin, request: web.Request, data: bytes) -> Draft | Refuse:
        draft = self.store.draft(kept, origin, request.headers.get("If-Match", ""))
        if isinstance(draft, Refuse):
            return draft
        refuse = draft.write(data)
        if refuse is not None:
            draft.abort()
            return refuse
        return draft

    async def _commit(self, draft: Draft | Refuse, changed: float, branch: str) -> Stored:
        """What became of a draft, when it is synced. Raises No."""
        if isinstance(draft, Refuse):
            raise of_store(draft)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Stored | Refuse] = loop.create_future()

        def done(outcome: Stored | Refuse) -> None:  # on a thread of the store's
            if isinstance(outcome, Stored):
                self.kept(outcome, changed, branch)
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(lambda: future.done() or future.set_result(outcome))

        draft.commit(done)
        outcome = await future
        if isinstance(outcome, Refuse):
            raise of_store(outcome)
        return outcome

    def kept(self, stored: Stored, changed: float | None, branch: str) -> None:
        """Note a change of the store; without `changed` it was made when the file says. On any thread."""
        with suppress(OSError):  # the next start finds it by its content
            found = None if stored.removed else look(Path(stored.file))
            mtime = found.st_mtime_ns if found is not None else 0
            if changed is None:  # not when we hear of it: a branch's store may have come between
                changed = found.st_mtime if found is not None else self._now()
            self.changes.add(stored.name, stored.sha256, stored.size, changed, branch, mtime)

    def _changed(self, request: web.Request) -> float:
        now = self._now()
        given = request.headers.get("MV-Changed")
        return min(now, number(given, "MV-Changed", 0, _FUTURE)) if given else now

    def _lock(self, kept: Kept) -> asyncio.Lock:
        lock = self._locks.get(kept.file)
        if lock is None:
            lock = self._locks[kept.file] = asyncio.Lock()
        return lock


def _kept(request: web.Request) -> Kept:
    name = request.match_info["file"]
    kept = parse(name)
    if kept is None or kept.file != name.lower() or not kept.ext:
        raise bad("the name of user data is like 4711_96xxdata.txt")
    return kept


def _origin(request: web.Request, branch: str) -> Origin:
    mac, model = request.headers.get("MV-Mac", ""), request.headers.get("MV-Model", "")
    if mac and not mac_of(mac):
        raise bad("MV-Mac: a MAC, which has twelve hex digits")
    if not _MODEL.fullmatch(model):
        raise bad("MV-Model: at most 40 letters, digits, blanks and . _ + -")
    return Origin("", mac_of(mac), model, branch, "central")


async def _body(request: web.Request, most: int) -> bytes:
    if (request.content_length or 0) > most:
        raise No(413, "too-big", f"more than MaxBackupBytes ({most})")
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.content.iter_any():
                size += len(part)
                if size > most:
                    raise No(413, "too-big", f"more than MaxBackupBytes ({most})")
                parts.append(part)
    except TimeoutError:
        raise bad(f"the body did not come within {BODY_SECONDS:g} s") from None
    return b"".join(parts)


def _told(stored: Stored) -> dict[str, Any]:
    return {"name": stored.name, "sha256": stored.sha256, "size": stored.size, "etag": stored.etag,
            "created": stored.created, "same": stored.same, "current": True}  # fmt: skip
