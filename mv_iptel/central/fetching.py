"""What the centre has published, fetched: a manifest that is read with care, contents that go on after a cut.

A content lies in `var/releases/arriving-content/` until it is whole and its hash is right: `<sha256>.part`
while it comes, `<sha256>` then. Only when all that a generation names is here does it become a release.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from mv_iptel.central.limiting import Bucket, quiet
from mv_iptel.central.peers import Away, Link, Said, sha256_of
from mv_iptel.config import Config
from mv_iptel.firmware import names, placing
from mv_iptel.firmware.carrying import EDITED
from mv_iptel.firmware.keeping import MODE
from mv_iptel.firmware.releases import PLACES, ROLES, SHA256, STAGED, File, Release, Releases
from mv_iptel.firmware.working import alone
from mv_iptel.history.kinds import LARGEST
from mv_iptel.home import CHECK_FILE, Home
from mv_iptel.library.names import forbidden
from mv_iptel.userdata.disk import lasting_folder, sync_folder
from mv_iptel.userdata.names import parse as user_data

MOST_FILES = 50_000
MOST_ONE, MOST_ALL = 4 << 30, 256 << 30  # octets of one file, and of all
SPARE = 64 << 20  # octets of the disk that stay free
TRIES = 5  # cuts of one content before the round ends; the next one goes on there

_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")


class Manifest(NamedTuple):
    """One generation of the centre. `sha256` is of the body that said it."""

    generation: int
    made: float
    files: tuple[File, ...]
    sha256: str

    @property
    def release(self) -> str:
        """The id of the release that it becomes here."""
        return f"central-g{self.generation}-{self.sha256[:8]}"

    def contents(self) -> dict[str, int]:
        """Each content once, with its size."""
        return {one.sha256: one.size for one in self.files}


class Wrong(Exception):
    """What the centre sent is not taken; the text says why."""


class Held(Exception):
    """Nothing is fetched now, for so many seconds: quiet hours."""

    def __init__(self, seconds: float):
        super().__init__("QuietHours")
        self.seconds = seconds


def parse(body: bytes) -> Manifest:
    """What a manifest says. Raises Wrong: whoever writes it could write any file that phones are served."""
    try:
        told = json.loads(body)
        if told["schema"] != 1:
            raise Wrong("the central server's manifest is of a kind that this version does not know")
        generation, made, rows = told["generation"], told["made"], told["files"]
        if len(rows) > MOST_FILES:
            raise Wrong("the central server's manifest names more than a server can hold")
        files = tuple(_file(row) for row in rows)
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        raise Wrong("the central server's manifest is damaged") from None
    timed = type(made) in (int, float) and 0 <= made < 1 << 53
    if type(generation) is not int or not 0 <= generation < 1 << 53 or not timed:
        raise Wrong("the central server's manifest has no proper generation")
    if sum(one.size for one in files) > MOST_ALL:
        raise Wrong("the central server's manifest names more than a server can hold")
    for place in PLACES:
        if pair := names.collision(one.name for one in files if one.place == place):
            raise Wrong(f"the manifest names one file twice: {', '.join(map(names.shown, pair))}")
    sizes: dict[str, int] = {}
    for one in files:
        if sizes.setdefault(one.sha256, one.size) != one.size:
            raise Wrong("the manifest gives one content two sizes")
    return Manifest(generation, float(made), files, sha256_of(body))


def _file(row: Any) -> File:
    place, name, size, sha256, role = (row[key] for key in ("place", "name", "size", "sha256", "role"))
    if not isinstance(name, str) or place not in PLACES or role not in ROLES:
        raise Wrong("the manifest names a file for no place of ours")
    shown = names.shown(name)
    if told := names.wrong(name):
        raise Wrong(f"{told}: {shown}")
    is_list = "/" not in name and placing.role(name) == "list"
    if name.rpartition("/")[2].lower() == CHECK_FILE.lower() or (forbidden(name) and not is_list):
        raise Wrong(f"the manifest names a file that is never served: {shown}")
    if user_data(name) is not None or (place == "FTPdata" and "/" in name):
        raise Wrong(f"the manifest names what may be a user's data: {shown}")
    if type(size) is not int or not 0 <= size <= MOST_ONE:
        raise Wrong(f"the manifest gives no proper size for {shown}")
    if not isinstance(sha256, str) or not SHA256.fullmatch(sha256):
        raise Wrong(f"the manifest gives no hash for {shown}")
    return File(place, name, size, sha256, role)


class Progress(NamedTuple):
    """How far a fetch is."""

    done: int  # octets
    total: int


class Fetcher:
    """Brings contents here. For one event loop and one fetch at a time."""

    def __init__(self, config: Config, now: Callable[[], float] = time.time):
        self.config, self._now = config, now
        self.releases = Releases(config.home)
        self.folder = config.home.var / "releases" / "arriving-content"
        self.bucket = Bucket(config.backup_servers.bandwidth_limit)
        self.progress = Progress(0, 0)

    def missing(self, manifest: Manifest) -> dict[str, int]:
        """The contents that are not here yet, with their sizes."""
        return {
            sha: size for sha, size in manifest.contents().items()
            if not self.releases.has(sha, size) and _size(self.folder / sha, -1) != size
        }  # fmt: skip

    async def fetch(self, manifest: Manifest, link: Link) -> None:
        """Every content that is not here. Raises Away, Said, Wrong, Held, OSError; what came stays."""
        missing = await asyncio.to_thread(self.missing, manifest)
        came = {sha: _size(self.folder / f"{sha}.part") for sha in missing}
        total = sum(missing.values())
        done = sum(min(came[sha], size) for sha, size in missing.items())
        self.progress = Progress(done, total)
        if missing:
            lasting_folder(self.folder)
            free = shutil.disk_usage(self.folder).free
            if total - done + SPARE > free:
                raise Wrong(f"{total - done >> 20} MiB are to come and the disk has {free >> 20} MiB free")
        for sha, size in sorted(missing.items(), key=lambda one: (one[1], one[0])):
            await self._one(link, sha, size)

    async def _one(self, link: Link, sha: str, size: int) -> None:
        for attempt in range(TRIES):
            before = _size(self.folder / f"{sha}.part")
            try:
                return await self._attempt(link, sha, size)
            except Away:
                if attempt == TRIES - 1 or _size(self.folder / f"{sha}.part") <= before:
                    raise  # it was not cut, it is away
        return None

    async def _attempt(self, link: Link, sha: str, size: int) -> None:
        part = self.folder / f"{sha}.part"
        have = _size(part)
        if have > size:
            part.unlink()
            have = 0
        with open(part, "ab") as file:
            told = hashlib.sha256()
            if have:
                told = await asyncio.to_thread(_hash, part)
            if have < size:
                await self._stream(link, sha, size, have, file, told)
            elif not size:
                told = hashlib.sha256()
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        if told.hexdigest() != sha:
            self.progress = self.progress._replace(done=max(0, self.progress.done - size))
            part.unlink()
            raise Wrong(f"the content {sha[:12]} came with another hash; it is thrown away")
        os.replace(part, self.folder / sha)

    async def _stream(self, link: Link, sha: str, size: int, have: int, file: Any, told: Any) -> None:
        headers = {"Range": f"bytes={have}-", "If-Range": f'"{sha}"'} if have else {}
        try:
            async with link.open("GET", f"/v1/content/{sha}", headers) as answer:
                if answer.status == 206:
                    span = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
                    if not span or (int(span[1]), int(span[3])) != (have, size):
                        raise Wrong(f"the central server gives another part of {sha[:12]} than was asked for")
                elif have:
                    raise _Anew
                async for data in answer.content.iter_any():
                    have += len(data)
                    if have > size:
                        raise Wrong(f"the content {sha[:12]} is longer than the manifest says")
                    file.write(data)
                    told.update(data)
                    self.progress = self.progress._replace(done=self.progress.done + len(data))
                    await self._pace(len(data))
        except Said as said:
            if said.status != 416:
                raise
            raise _again(file) from None
        except _Anew:
            raise _again(file) from None
        finally:
            file.flush()
        if have < size:
            raise Away("the connection was cut")

    async def _pace(self, octets: int) -> None:
        keys = self.config.backup_servers
        if keys.quiet_hours and (held := quiet(keys.quiet_hours, datetime.fromtimestamp(self._now()))):
            raise Held(held)
        if wait := self.bucket.take(octets, time.monotonic()):
            await asyncio.sleep(wait)

    def stage(self, manifest: Manifest, place: str) -> Release:
        """Everything is here: make it a release. Raises OSError."""
        with alone(self.config.home):
            found = self.releases.get(manifest.release)
            for sha, size in manifest.contents().items():
                keep(self.config.home, self.folder / sha, sha, size)
            if found is not None and found.state != "removed":
                return found
            now = self._now()
            files = tuple(one._replace(role=self._role(one)) for one in manifest.files)
            made = Release(
                manifest.release, STAGED, "central", f"generation {manifest.generation} of {place}", now, now,
                "", sum(manifest.contents().values()), files,
            )  # fmt: skip
            self.releases.put(made)
            return made

    def _role(self, file: File) -> str:
        """What a file is to phones: what people write in is told by itself, whatever the centre calls it."""
        data = None
        if placing.needs_content(file.name) and file.size <= LARGEST:
            data = self.releases.content(file.sha256).read_bytes()
        own = placing.role(file.name, data)
        return own if own in EDITED and file.role not in EDITED else file.role

    def clean(self, wanted: Manifest | None = None) -> None:
        """Remove what no generation waits for any more."""
        keep_shas = wanted.contents() if wanted is not None else {}
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self.folder):
                if name.removesuffix(".part") not in keep_shas:
                    (self.folder / name).unlink(missing_ok=True)


class _Anew(Exception):
    """What came so far is of no use."""


def _again(file: Any) -> Away:
    file.truncate(0)
    return Away("it begins anew")


def keep(home: Home, arrived: Path, sha: str, size: int) -> None:
    """Move a whole content to where all are kept, unless it is there. Raises OSError."""
    releases = Releases(home)
    target = releases.content(sha)
    if releases.has(sha, size):
        arrived.unlink(missing_ok=True)
        return
    lasting_folder(target.parent)
    os.chmod(arrived, MODE)
    os.replace(arrived, target)
    sync_folder(target.parent)


def _size(path: Path, nothing: int = 0) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return nothing


def _hash(path: Path) -> Any:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256")
