"""Files are copied so that a move can be cut off and started again, and nothing of the site's is lost.

Each file is written aside, synced and renamed, with the time of its original. `var/migrate.jsonl` remembers
what was copied: a file that was changed here since stays as it is, and is told. What a copy replaces is kept
in `var/before-migrate`. Originals are opened to be read, and nothing is ever linked to them.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from mv_iptel.home import Home
from mv_iptel.init import MOVED
from mv_iptel.migrating.report import Row, about
from mv_iptel.migrating.trees import Copy
from mv_iptel.userdata.disk import Aside, NotAFile, lasting_folder, look, open_file, own_like, sync_folder

PIECE = 1 << 20
BEFORE = "before-migrate"
INI = "ini"  # what the record calls the ini that was written


class Copier:
    """Copies into a home; `rows` has what needs a look. To be closed."""

    def __init__(self, home: Home):
        self.rows: list[Row] = []
        self.copied = self.same = self.octets = 0
        self._home = home
        self._folders: set[Path] = set()
        self._path = home.var / MOVED
        self._known = _remembered(self._path)
        lasting_folder(home.var)
        self._record = open(_appending(self._path), "a", encoding="utf-8")  # noqa: SIM115 - `close`

    def __enter__(self) -> Copier:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Make names and record last."""
        for folder in self._folders:
            sync_folder(folder)
        self._record.flush()
        os.fsync(self._record.fileno())
        self._record.close()

    def known(self, name: str) -> list[object] | None:
        """What was remembered under a name."""
        return self._known.get(name)

    def remember(self, name: str, state: list[object]) -> None:
        """For the next time."""
        self._known[name] = state
        self._record.write(json.dumps({"name": name, "state": state}) + "\n")
        self._record.flush()

    def copy(self, one: Copy) -> None:
        """One file. Raises OSError for the home's disk; what is wrong with the original is a row."""
        name = os.path.relpath(one.target, self._home.root)
        state: list[object] = [one.size, one.mtime_ns, one.link]
        there = _state(one.target)
        if there == state:
            self.same += 1
            return
        if there is not None and name in self._known and there != self._known[name]:
            if self._known[name] == state:  # the original is what it was
                self.same += 1
                return
            self.rows.append(
                about(one.target, f"was changed here since it was copied from {one.source}; kept")
            )
            return
        try:
            if not one.link and there is not None and _equal(one.source, one.target):
                os.utime(one.target, ns=(one.mtime_ns, one.mtime_ns))
                self.remember(name, state)
                self.same += 1
                return
            reading = None if one.link else open_file(one.source)
        except OSError as error:
            self.rows.append(about(one.source, f"cannot be read ({error.strerror}); left out"))
            return
        if there is not None and name not in self._known:
            self.keep_aside(one.target)
        self._folder(one.target.parent)
        if reading is None:
            one.target.unlink(missing_ok=True)
            os.symlink(one.link, one.target)
            os.utime(one.target, ns=(one.mtime_ns, one.mtime_ns), follow_symlinks=False)
        else:
            self._stream(reading, one)
        self._folders.add(one.target.parent)
        self.remember(name, state)
        self.copied += 1
        self.octets += one.size

    def _folder(self, path: Path) -> None:
        """Make a folder, with the rights of the one above: who reads that one reads this one."""
        if not path.is_dir():
            self._folder(path.parent)
            above = os.stat(path.parent)
            path.mkdir()
            if os.name == "posix":
                fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                try:
                    own_like(fd, above)
                    os.fchmod(fd, stat.S_IMODE(above.st_mode))
                finally:
                    os.close(fd)
            self._folders.add(path.parent)

    def _stream(self, reading: int, one: Copy) -> None:
        with open(reading, "rb") as source:
            aside = Aside(one.target)
            try:
                while piece := source.read(PIECE):
                    aside.write(piece)
                aside.settle(one.mtime_ns, mode=0o644)
                aside.sync()
                aside.place()
            finally:
                aside.discard()

    def keep_aside(self, path: Path) -> None:
        """Put away what is replaced; what was put away before stays."""
        kept = self._home.var / BEFORE / os.path.relpath(path, self._home.root)
        if not kept.exists():
            lasting_folder(kept.parent)
            if path.is_symlink():
                os.symlink(os.readlink(path), kept)
                return
            aside = Aside(kept)  # under a name that nobody knew before
            try:
                with open(open_file(path), "rb") as source:
                    there = os.fstat(source.fileno())
                    while piece := source.read(PIECE):
                        aside.write(piece)
                aside.finish(there.st_mtime_ns)
                aside.place()
            finally:
                aside.discard()


def _appending(path: Path) -> int:
    """A descriptor to append to the record by; a link that lies there is not followed. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    fd = os.open(path, flags, 0o640)
    there = os.fstat(fd)
    if not stat.S_ISREG(there.st_mode) or there.st_nlink > 1:
        os.close(fd)
        raise NotAFile(path, "a second name of another file")
    if hasattr(os, "fchmod"):
        own_like(fd, os.stat(path.parent))
        os.fchmod(fd, 0o640)
    return fd


def _remembered(path: Path) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {}
    try:
        text = path.read_text("utf-8", "replace")
    except FileNotFoundError:
        return found
    for line in text.splitlines():
        try:
            told = json.loads(line)
            found[told["name"]] = list(told["state"])
        except (ValueError, KeyError, TypeError):
            continue  # the last line of a move that was cut off
    return found


def _state(path: Path) -> list[object] | None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(found.st_mode):
        return [0, found.st_mtime_ns, os.readlink(path)]
    return [found.st_size, found.st_mtime_ns, ""]


def _equal(one: Path, other: Path) -> bool:
    """Whether two files hold the same."""
    there = look(other) if not other.is_symlink() else None
    if there is None or there.st_size != os.stat(one).st_size:
        return False
    with open(open_file(one), "rb") as first, open(open_file(other), "rb") as second:
        while piece := first.read(PIECE):
            if piece != second.read(PIECE):
                return False
    return True
