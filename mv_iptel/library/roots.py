"""Roots: the one function from a clean name to an open file beneath a data directory.

The walk starts at the root's descriptor and follows nothing blindly; what was opened is looked at by its
descriptor, not by its name. A link is followed only if its end lies beneath a configured root.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from mv_iptel.library.contents import Body, Contents, key_of
from mv_iptel.library.names import forbidden

_DIRECTORY = (
    os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
)
# O_NONBLOCK: a FIFO in a data directory must not hold the server up.
_FILE = (os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
         | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))  # fmt: skip
_INDEXES = 256  # directories whose folded names are remembered
_RACY_NS = 50_000_000


class Found(NamedTuple):
    """An open body and how its name was found; or no body and the reason in words."""

    body: Body | None
    detail: str


class Roots:
    """Every configured data directory, and the directories that no protocol ever reaches."""

    def __init__(self, roots: Iterable[Path], forbidden: Iterable[Path], contents: Contents):
        self._real = {os.fspath(root): os.path.realpath(root) for root in roots}
        self._forbidden = tuple(os.path.realpath(path) for path in forbidden)
        self._contents = contents
        self._paths: OrderedDict[tuple[str, str], tuple[tuple[int, ...], str]] = OrderedDict()
        self._turns: dict[tuple[str, str], int] = {}  # in which turn a path was looked at
        self._indexes: OrderedDict[str, tuple[tuple[int, int, int], dict[str, list[str]]]] = OrderedDict()

    def open(self, root: Path, name: str, turn: int = 0, exact: bool = False) -> Found:
        """The file that the clean name `name` stands for beneath `root`. `turn` as in `Session.ask`.

        Exact name first, else the one name that differs by letter case only; with `exact` only the first.
        """
        place = (self._real[os.fspath(root)], name)
        known = self._paths.get(place)
        if known is not None:
            if turn and self._turns.get(place) == turn:
                same = True
            else:
                # One look decides: the same bytes as when the walk found them beneath a root.
                try:
                    same = key_of(os.stat(known[1], follow_symlinks=False)) == known[0]
                except OSError:
                    same = False
            if same:
                body = self._contents.find(known[0], name)
                if body is not None:
                    if turn:
                        self._turns[place] = turn
                    return Found(body, "")
        return self._walk(*place, exact)

    def _walk(self, base: str, name: str, exact: bool) -> Found:
        parts = name.split("/")
        try:
            fd, path, folded = self._descend(base, parts, exact=exact)
        except _NotThere as gone:
            return Found(None, gone.args[0])
        except OSError as error:
            return Found(None, f"cannot be opened: {error.strerror}")
        try:
            found = os.fstat(fd)
        except OSError as error:
            os.close(fd)
            return Found(None, f"cannot be looked at: {error.strerror}")
        if not stat.S_ISREG(found.st_mode):
            os.close(fd)
            what = "a directory" if stat.S_ISDIR(found.st_mode) else "no regular file"
            return Found(None, f"{path} is {what}")
        if self._in_forbidden(path):
            os.close(fd)
            return Found(None, f"{path} lies where no protocol reaches")
        body = self._contents.find(key_of(found), name)
        if body is not None:
            os.close(fd)
        else:
            try:
                body = self._contents.add(fd, found, name, path)
            except OSError as error:
                return Found(None, f"{path} cannot be read: {error.strerror}")
            if body is None:
                return Found(None, f"{path} is being changed in place; write aside and rename")
        if not folded and os.path.join(base, name) == path:  # no link on the way: the short look suffices
            self._paths[base, name] = (body.key, path)
            if len(self._paths) > 4096:
                self._turns.pop(self._paths.popitem(last=False)[0], None)
        return Found(body, f"found as {path[len(base) + 1 :]}" if folded else "")

    def _descend(
        self, base: str, parts: list[str], links: int = 0, exact: bool = False
    ) -> tuple[int, str, bool]:
        """Open `parts` beneath the real directory `base`: descriptor, real path, whether case was folded."""
        here = os.open(base, _DIRECTORY)
        path = base
        folded = False
        try:
            for place, part in enumerate(parts):
                last = place == len(parts) - 1
                flags = _FILE if last else _DIRECTORY
                try:
                    there = os.open(part, flags, dir_fd=here)
                except OSError as error:
                    name = part
                    if error.errno == errno.ENOENT and not exact:
                        name = self._fold(path, part)
                        folded = True
                        try:
                            there = os.open(name, flags, dir_fd=here)
                        except OSError as again:
                            error = again
                        else:
                            part = name
                            error = None  # type: ignore[assignment]
                    if error is not None:
                        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK) and self._is_link(
                            name, here
                        ):
                            return self._follow(os.path.join(path, name), parts[place + 1 :], links, folded)
                        if error.errno in (errno.ENOTDIR, errno.ENOENT):
                            raise _NotThere(f"there is no {part!r} in {path}") from None
                        if error.errno == errno.ENXIO:
                            raise _NotThere(f"{os.path.join(path, name)} is no regular file") from None
                        raise
                os.close(here)
                here = there
                path = os.path.join(path, part)
            result, here = here, -1
            return result, path, folded
        finally:
            if here >= 0:
                os.close(here)

    def _is_link(self, name: str, here: int) -> bool:
        return stat.S_ISLNK(os.stat(name, dir_fd=here, follow_symlinks=False).st_mode)

    def _follow(self, link: str, rest: list[str], links: int, folded: bool) -> tuple[int, str, bool]:
        """Go on where a link ends, if that lies beneath a root; no further link counts as trusted."""
        if links >= 8:
            raise _NotThere(f"{link} leads through too many links")
        end = os.path.realpath(link)
        for real in self._real.values():
            if end == real or end.startswith(real + os.sep):
                parts = [part for part in end[len(real) :].split(os.sep) if part] + rest
                if not parts:
                    raise _NotThere(f"{link} is a directory")
                if never := forbidden("/".join(parts)):
                    raise _NotThere(f"{link} ends at {end}: {never}")
                fd, path, again = self._descend(real, parts, links + 1)
                return fd, path, folded or again
        raise _NotThere(f"{link} is a link that leaves the data directories (it ends at {end})")

    def _fold(self, directory: str, part: str) -> str:
        """The one name in `directory` that equals `part` but for letter case."""
        names = self._index(directory).get(part.casefold(), [])
        if len(names) == 1:
            return names[0]
        if names:
            raise _NotThere(
                f"{directory} has {len(names)} names that differ from {part!r} only by letter case: "
                + ", ".join(sorted(names)[:4])
            )
        raise _NotThere(f"there is no {part!r} in {directory}")

    def _index(self, directory: str) -> dict[str, list[str]]:
        there = os.stat(directory)
        state = (there.st_mtime_ns, there.st_ctime_ns, there.st_ino)
        known = self._indexes.get(directory)
        if known is not None and known[0] == state:
            return known[1]
        index: dict[str, list[str]] = {}
        for name in os.listdir(directory):
            index.setdefault(name.casefold(), []).append(name)
        if (
            abs(time.time_ns() - there.st_mtime_ns) > _RACY_NS
        ):  # else it may change again under the same stamp
            self._indexes[directory] = (state, index)
            if len(self._indexes) > _INDEXES:
                self._indexes.popitem(last=False)
        return index

    def _in_forbidden(self, path: str) -> bool:
        return any(path == place or path.startswith(place + os.sep) for place in self._forbidden)


class _NotThere(Exception):
    """The name leads to no file that may be served; the argument says why."""
