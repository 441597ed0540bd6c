"""Changes to files: written aside, made under `var/lock` if nobody was faster, and nothing is ever lost.

What is replaced or deleted is kept first: of scripts and settings in the history that also `mv-iptel settings
log` shows, of everything else under another name of the same file (kept.py).
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from manager.facts.files import Data, Found, etag_of
from manager.facts.kept import Kept, Past
from mv_iptel.config import Config
from mv_iptel.events import Event
from mv_iptel.firmware.names import folded, wrong
from mv_iptel.history import History
from mv_iptel.history.kinds import LARGEST, may_be_script
from mv_iptel.home import CHECK_FILE
from mv_iptel.library.answers import Reason, Refuse
from mv_iptel.library.names import forbidden
from mv_iptel.library.tree import Upload
from mv_iptel.userdata.disk import locked
from mv_iptel.userdata.names import parse

LONGEST = 1 << 30  # octets of one file
SPARE = 64 << 20  # octets that stay free on the disk
LEFT = 3600.0  # seconds after which what a crash left half written is removed
_swept: set[Path] = set()
_sweeping = threading.Lock()


class Refused(Exception):
    """It was not done. `kind` as in manager/problems.py; `etag` is the state of what is there."""

    def __init__(self, kind: str, why: str, etag: str = ""):
        super().__init__(why)
        self.kind, self.why, self.etag = kind, why, etag


class Step(NamedTuple):
    """One content of a file in its past, or that it was removed then."""

    id: str
    time: float
    size: int
    gone: bool
    now: bool  # it is what the file is now
    script: bool  # it stands in the history of scripts, with its differences


class Changes:
    """What may be done to the files of one installation. All methods raise Refused, OSError."""

    def __init__(self, config: Config, now: Callable[[], float] = time.time):
        self.data = Data(config)
        self.kept = Kept(config.home.var / "kept", now)
        self._config, self._now, self._lock = config, now, config.home.lock
        self._unkept: list[Event] = []
        self.history = History(config, self._unkept.append, now)

    # new contents

    def draft(self, area: str, name: str, etag: str | None, size: int = 0) -> Draft:
        """A new content. `etag` is the state that it replaces; None: there must be no such file."""
        self._sweep()
        name = self._good(area, name) if etag is None else self._own(area, name)
        self._space(area, name, size)
        path = f"{area}/{name}"
        if etag is None:
            self._absent(area, name)
        else:
            self._is_still(path, etag)
        return Draft(self, area, name, self.data.draft(path), etag)

    def put(self, area: str, name: str, content: bytes, etag: str | None) -> Found:
        """The same for what is in memory."""
        draft = self.draft(area, name, etag, len(content))
        try:
            draft.write(content)
            return draft.commit()
        finally:
            draft.abort()

    def _commit(self, area: str, name: str, upload: Upload, etag: str | None) -> Found:
        path = f"{area}/{name}"
        real = Path(upload.file)
        held = etag is None or self._held(real)

        @contextmanager
        def turn() -> Iterator[None]:
            with locked(self._lock):
                if etag is None:
                    self._absent(area, name)
                else:
                    self._is_still(path, etag)
                past = None if held else self._keep(path, real)
                try:
                    yield
                except BaseException:
                    if past is not None:
                        self.kept.forget(path, past)
                    raise

        done = upload.finish(turn())
        if isinstance(done, Refuse):
            raise Refused("disk-full" if done.reason is Reason.DISK_FULL else "fault", done.detail)
        self.history.take(real)
        self.kept.prune()
        return self.data.look(area, name)

    # everything else

    def remove(self, area: str, name: str, etag: str) -> None:
        """Delete a file; it is kept."""
        name = self._own(area, name)
        path = f"{area}/{name}"
        found = self.data.look(area, name)
        held = self._held(found.path)
        with locked(self._lock):
            self._is_still(path, etag)
            past = None if held else self._keep(path, found.path)
            try:
                self.data.remove(path)
            except OSError:
                if past is not None:
                    self.kept.forget(path, past)
                raise
        self.history.take(found.path)
        self.kept.prune()

    def rename(self, area: str, name: str, new: str, etag: str) -> Found:
        """Give a file another name in its area."""
        name, new = self._own(area, name), self._good(area, new)
        old = self.data.look(area, name)
        self.history.take(old.path)
        with locked(self._lock):
            self._is_still(f"{area}/{name}", etag)
            self._absent(area, new, besides=name)
            self.data.rename(f"{area}/{name}", f"{area}/{new}")
        found = self.data.look(area, new)
        self.history.take(old.path)
        self.history.take(found.path)
        return found

    def make_folder(self, area: str, name: str) -> str:
        """Make a folder in one that is there."""
        name = self._good(area, name)
        with locked(self._lock):
            self._absent(area, name)
            self.data.mkdir(f"{area}/{name}")
        return name

    def remove_folder(self, area: str, name: str) -> None:
        """Remove an empty folder."""
        with locked(self._lock):
            try:
                self.data.rmdir(f"{area}/{name}")
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    raise Refused("conflict", "there are files in it; delete or move them first") from None
                raise

    # the past

    def past(self, area: str, name: str, take: bool = True) -> list[Step]:
        """What the file was, the newest first; of one that is not there any more too."""
        key = self._key(area, name)
        path = self.history.places.path_of(key)
        if path is not None and take and may_be_script(name):
            self.history.take(path)
        scripts = self.history.copies.of(key) if path is not None else []
        there = self._there(area, name)
        steps = [
            Step(one.id, one.time, one.size, one.gone, there and at == 0 and not one.gone, True)
            for at, one in enumerate(scripts)
        ]
        steps += [Step(one.id, one.time, one.size, False, False, False) for one in self.kept.of(key)]
        return sorted(steps, key=lambda one: one.time, reverse=True)

    def content(self, area: str, name: str, step: str) -> bytes:
        """One of them."""
        key = self._key(area, name)
        kept = self.kept.path(key, step)
        if kept is not None:
            return kept.read_bytes()
        if any(one.id == step and not one.gone for one in self.history.copies.of(key)):
            return self.history.copies.read(key, step)
        raise Refused("not-found", "no such content is kept of this file")

    def kept_file(self, area: str, name: str, step: str) -> Path | None:
        """Where it lies, if it is one of those that are kept besides the history."""
        return self.kept.path(self._key(area, name), step)

    def put_back(self, area: str, name: str, step: str, etag: str | None) -> Found:
        """Make an earlier content the file's; what it replaces is kept, so that this can be undone too."""
        kept = self.kept_file(area, name, step)
        if kept is None:
            return self.put(area, name, self.content(area, name, step), etag)
        draft = self.draft(area, name, etag, kept.stat().st_size)
        try:
            with kept.open("rb") as file:
                while piece := file.read(1 << 20):
                    draft.write(piece)
            return draft.commit()
        finally:
            draft.abort()

    def deleted(self, area: str) -> list[tuple[str, float]]:
        """Files of an area that are not there any more, and until when they were; the newest first."""
        found: dict[str, float] = {}
        for key in self.history.copies.files():
            label, _, name = key.partition("/")
            newest = next(iter(self.history.copies.of(key)), None)
            if label == area and newest is not None and not self._there(area, name):
                found[name] = newest.time
        for name in self.kept.names(area):
            if not self._there(area, name):
                found[name] = max(found.get(name, 0.0), self.kept.of(f"{area}/{name}")[0].time)
        visible = [(name, when) for name, when in found.items() if _seen(name)]
        return sorted(visible, key=lambda one: (-one[1], one[0]))

    # what holds before a change

    def _key(self, area: str, name: str) -> str:
        """What a file is called in the past: beside it lie users' data, whose versions look the same."""
        parts = name.split("/")
        if area not in self.data.areas or not _seen(name) or {"", ".", ".."} & set(parts) or "\0" in name:
            raise Refused("not-found", "there is no such file here")
        return f"{area}/{name}"

    def _good(self, area: str, name: str) -> str:
        """The name, if a file or folder may be made under it."""
        if area not in self.data.areas:
            raise Refused("not-found", "there is no such directory")
        last = name.rpartition("/")[2]
        if why := wrong(name):
            raise Refused("invalid", why)
        if name.lower().endswith("allow_ip.txt"):
            raise Refused("invalid", "address lists are edited on the page Access")
        if parse(last) is not None and parse(last).ext:  # type: ignore[union-attr]
            raise Refused(
                "invalid", "this is the name of a user's data, which is restored on the page User data"
            )
        if last.casefold() == CHECK_FILE:
            raise Refused("invalid", "the server writes this file for the watchdog")
        if not _seen(name):
            raise Refused("invalid", forbidden(name) or "a file of this name is never served")
        return name

    def _own(self, area: str, name: str) -> str:
        """The name of what is there, if it may be changed."""
        try:
            own = self.data.resolve(f"{area}/{name}")
        except FileNotFoundError:
            raise Refused("changed", "this file is not there any more") from None
        if own != f"{area}/{name}":
            raise Refused("conflict", f"this is a link; change what it leads to: {own}")
        if name.rpartition("/")[2].casefold() == CHECK_FILE:
            raise Refused("conflict", "the server writes this file for the watchdog")
        return name

    def _absent(self, area: str, name: str, besides: str = "") -> None:
        """Refuse where there is such a file, or one that phones cannot tell from it."""
        folder, _, last = name.rpartition("/")
        names = self.data.listdir(f"{area}/{folder}" if folder else area)
        same = [one for one in names if folded(one) == folded(last)]
        if besides and folder == besides.rpartition("/")[0] and last not in same:
            same = [one for one in same if one != besides.rpartition("/")[2]]
        if last in same:
            found = self.data.stat(f"{area}/{name}")
            raise Refused("conflict", f"{last} is there already", etag_of(found))
        if same:
            raise Refused("conflict", f"{same[0]} is there, which phones cannot tell from {last}")

    def _is_still(self, path: str, etag: str) -> None:
        try:
            now = etag_of(self.data.stat(path))
        except FileNotFoundError:
            raise Refused("changed", "somebody else has deleted this file meanwhile") from None
        if etag != now:
            raise Refused("changed", "somebody else has saved this file meanwhile; nothing was changed", now)

    def _there(self, area: str, name: str) -> bool:
        try:
            self.data.stat(f"{area}/{name}")
        except OSError:
            return False
        return True

    def _held(self, path: Path) -> bool:
        """Whether the history has what the file is now; then it need not be kept besides."""
        key = self.history.places.key_of(path)
        if key is None or not may_be_script(path.name):
            return False
        self._unkept.clear()
        self.history.take(path)
        newest = next(iter(self.history.copies.of(key)), None)
        if self._unkept or newest is None or newest.gone or newest.size > LARGEST:
            return False
        try:
            content = self.history.places.read(path, known=True)
            return content is not None and content.data == self.history.copies.read(key, newest.id)
        except OSError:
            return False

    def _keep(self, key: str, path: Path) -> Past:
        try:
            return self.kept.keep(key, path)
        except OSError as error:
            kind = "disk-full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "fault"
            why = f"what is there cannot be kept: {error.strerror}; nothing was changed"
            raise Refused(kind, why) from None

    def _space(self, area: str, name: str, size: int) -> None:
        if size > LONGEST:
            raise Refused("too-big", f"a file has at most {LONGEST >> 20} MiB")
        if hasattr(os, "statvfs"):
            disk = os.statvfs(self.data.areas[area].path)
            if size + SPARE > disk.f_bavail * disk.f_frsize:
                raise Refused("disk-full", f"there is no room for {name}")

    def _sweep(self) -> None:
        """Once in a process: what a crash left half written goes."""
        root = self._config.home.root
        with _sweeping:
            if root not in _swept:
                _swept.add(root)
                self.data.sweep(self._now() - LEFT)


class Draft:
    """A file that is being written aside."""

    def __init__(self, changes: Changes, area: str, name: str, upload: Upload, etag: str | None):
        self._changes, self._area, self._name, self._etag = changes, area, name, etag
        self._upload = upload

    def write(self, data: bytes) -> None:
        """Append. Raises Refused."""
        # Looked at again and again: how long a body in chunks is nobody has said, and others write, too.
        self._changes._space(self._area, self._name, len(data))
        refuse = self._upload.write(data)
        if refuse is not None:
            raise Refused("disk-full" if refuse.reason is Reason.DISK_FULL else "fault", refuse.detail)

    def commit(self) -> Found:
        """Sync it and put it in its place. Raises Refused, OSError."""
        return self._changes._commit(self._area, self._name, self._upload, self._etag)

    def abort(self) -> None:
        """Forget it; nothing after a commit."""
        self._upload.abort()


def _seen(name: str) -> bool:
    """Whether a file of this name is for the page Files at all."""
    last = name.rpartition("/")[2]
    kept = parse(last)
    if not name or "" in name.split("/"):
        return False
    return not forbidden(name) and not forbidden(f"{name}/x") and not (kept is not None and kept.ext)
