"""The files that phones fetch: which directories there are, what lies in them, what of it people may see.

Reached by descriptor, never by joining paths (mv_iptel/library/tree.py). What is never served is not here
either: dot files, address lists, the archive, ini files and keys; and no user data, which has its own page.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from pathlib import Path
from typing import NamedTuple

from manager.facts import texts
from mv_iptel.config import Config
from mv_iptel.firmware.placing import role
from mv_iptel.history.places import label_of
from mv_iptel.home import CHECK_FILE
from mv_iptel.library.names import forbidden, mac_in
from mv_iptel.library.tree import Tree
from mv_iptel.userdata.names import parse

ROLES = {"script": "upgrade script", "settings": "settings", "software": "firmware", "language": "language",
         "list": "list", "other": ""}  # fmt: skip
# What a long listing may be narrowed to: by its names, so that no file is opened for it.
KINDS = {
    "scripts": ("script", "settings"),
    "firmware": ("software",),
    "languages": ("language",),
    "phone": (),
}
SORTS = ("name", "size", "changed")
PAGE = 100
HASHING = 3  # long files that are read at once: other pages need threads, too
HASHES = 1000  # that are remembered
_hashing = threading.BoundedSemaphore(HASHING)
_hashes: dict[tuple[Path, str], str] = {}


class Busy(Exception):
    """Others keep the disk busy; it may be asked again in a moment."""


class Area(NamedTuple):
    """A directory that people work in: what it is called, where it lies, what gives it to phones."""

    label: str
    path: Path
    uses: tuple[str, ...]  # TFTP, HTTP, HTTPS, FTP; Updates


class Entry(NamedTuple):
    """One name in a directory."""

    name: str
    folder: bool
    size: int
    changed: float
    what: str
    link: str  # where a link leads; `nowhere` if nobody follows it


class Listing(NamedTuple):
    """A page of a directory."""

    entries: tuple[Entry, ...]
    total: int
    hidden: int  # names that belong to other pages


class Found(NamedTuple):
    """A file as it is now."""

    area: str
    name: str
    path: Path
    size: int
    changed: float
    etag: str
    what: str
    text: bool  # an editor can show it
    fixed: bool  # nobody changes it by hand

    @property
    def key(self) -> str:
        return f"{self.area}/{self.name}"


def areas(config: Config) -> dict[str, Area]:
    """By label, those that a server gives to phones first."""
    uses = (
        ("HTTP", config.http.http_dir), ("HTTPS", config.https.https_dir), ("TFTP", config.tftp.tftp_dir),
        ("FTP", config.ftp.ftp_dir), ("Updates", config.home.updates),
    )  # fmt: skip
    found: dict[str, Area] = {}
    for use, path in uses:
        real = Path(os.path.realpath(path))
        label = label_of(real, config)
        known = found.get(label)
        found[label] = Area(label, real, (*(known.uses if known else ()), use))
    return found


class Data(Tree):
    """The data directories as people see them."""

    def __init__(self, config: Config):
        self.areas = areas(config)
        super().__init__(config, {label: area.path for label, area in self.areas.items()})
        backups = (config.http.backup_dir, config.ftp.ftp_dir)
        self._backups = tuple(os.path.realpath(path) for path in backups)

    def _shown(self, name: str, folder: str) -> bool:
        if forbidden(name) or forbidden(f"{name}/x") or not super()._shown(name, folder):
            return False
        kept = parse(name)
        if kept is None:
            return True
        # A 9610's file may be given to all from HTTPdata; with an extension it is always somebody's.
        inside = any(folder == one or folder.startswith(one + os.sep) for one in self._backups)
        return not (kept.ext or inside)

    def listing(
        self,
        area: str,
        name: str = "",
        query: str = "",
        sort: str = "name",
        down: bool = False,
        page: int = 1,
        kind: str = "",
    ) -> Listing:
        """A page of a directory. Raises OSError."""
        with self._walk([area, *_parts(name)]) as at:
            every = os.listdir(at.fd)
            seen = [one for one in every if self._shown(one, at.real)]
            hidden = sum(not one.startswith(".") for one in every) - len(seen)
            wanted = [
                one for one in seen if query.casefold() in one.casefold() and (not kind or _is(kind, one))
            ]
            if sort == "name":
                folders = {one.name for one in os.scandir(at.fd) if one.is_dir()}
                wanted.sort(key=lambda one: (one.casefold(), one), reverse=down)
                wanted.sort(key=lambda one: one not in folders)
                rows = [self._entry(at, one) for one in wanted[(page - 1) * PAGE : page * PAGE]]
            else:
                rows = [self._entry(at, one) for one in wanted]
                rows.sort(
                    key=lambda one: ((one.size, one.changed)[sort == "changed"], one.name), reverse=down
                )
                rows.sort(key=lambda one: not one.folder)
                rows = rows[(page - 1) * PAGE : page * PAGE]
        return Listing(tuple(rows), len(wanted), hidden)

    def _entry(self, at, name: str) -> Entry:  # type: ignore[no-untyped-def]
        found = os.stat(name, dir_fd=at.fd, follow_symlinks=False)
        link = ""
        if stat.S_ISLNK(found.st_mode):
            try:
                link = "/".join(self._end(at, name))
                found = self.stat(link)
            except OSError:
                link = "nowhere"
        folder = stat.S_ISDIR(found.st_mode)
        what = "" if folder else ROLES[role(name)]
        return Entry(name, folder, found.st_size, found.st_mtime, what, link)

    def look(self, area: str, name: str) -> Found:
        """One file, by its own name. Raises OSError."""
        path = self.resolve(f"{area}/{name}")
        with self.open(path) as body:
            return self._found(path, body.fd)

    def read(self, area: str, name: str) -> tuple[Found, bytes]:
        """A file with its content, of one moment; of a long one only its beginning. Raises OSError."""
        path = self.resolve(f"{area}/{name}")
        with self.open(path) as body:
            found = self._found(path, body.fd)
            data = os.pread(body.fd, texts.EDITABLE + 1, 0)
            return found, data

    def _found(self, path: str, fd: int) -> Found:
        there = os.fstat(fd)
        area, _, name = path.partition("/")
        head = os.pread(fd, 65536, 0)
        text = there.st_size <= texts.EDITABLE and texts.is_text(head)
        if text and there.st_size > len(head):
            text = texts.is_text(os.pread(fd, texts.EDITABLE, 0))
        last = name.rpartition("/")[2]
        return Found(area, name, Path(self.real(path)), there.st_size, there.st_mtime, etag_of(there),
                     ROLES[role(last, head if text else None)], text, last == CHECK_FILE)  # fmt: skip

    def is_folder(self, area: str, name: str) -> bool:
        """Whether this is a folder. Raises OSError for what is not there."""
        return stat.S_ISDIR(self.stat(f"{area}/{name}").st_mode)


def etag_of(found: os.stat_result) -> str:
    """The state of a file: another one after every change, whoever made it.

    Without the time of its last link: a file that is kept gets one more, and is none the newer.
    """
    told = f"{found.st_ino}-{found.st_size}-{found.st_mtime_ns}"
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def sha256_of(data: Data, found: Found) -> str:
    """Of the whole file, however long; found out once for each state of it. Raises OSError, Busy."""
    state = found.path, found.etag
    if state in _hashes:
        return _hashes[state]
    if not _hashing.acquire(blocking=False):
        raise Busy
    try:
        told = _hash(data, found)
    finally:
        _hashing.release()
    while len(_hashes) >= HASHES:
        _hashes.pop(next(iter(_hashes)), None)
    _hashes[state] = told
    return told


def _hash(data: Data, found: Found) -> str:
    told = hashlib.sha256()
    with data.open(found.key) as body:
        at = 0
        while piece := os.pread(body.fd, 1 << 20, at):
            told.update(piece)
            at += len(piece)
    return told.hexdigest()


def _is(kind: str, name: str) -> bool:
    """Whether a name is of one of KINDS."""
    if kind == "phone":
        return bool(mac_in(name))
    return role(name) in KINDS[kind] and not mac_in(name)


def _parts(name: str) -> list[str]:
    return [part for part in name.split("/") if part]
