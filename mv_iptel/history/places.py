"""Which directories have a history, what each file in them is called there, and back again."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mv_iptel.config import Config
from mv_iptel.history.judging import Place
from mv_iptel.history.kinds import LARGEST, is_script, may_be_script
from mv_iptel.library.names import forbidden

# O_NONBLOCK: a FIFO under the name of a file must not hold a thread up.
_FLAGS = (os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
          | getattr(os, "O_BINARY", 0))  # fmt: skip
DEPTH = 4  # folders below a data directory: HTTPDIR of some site, of some model
MANY = 50_000  # files looked at in one directory


@dataclass(frozen=True)
class Content:
    """A file as it was read."""

    data: bytes
    changed: float


class TooLarge(OSError):
    """Longer than any script."""


@dataclass(frozen=True)
class Places:
    """The data directories by their label, which is the first part of every key."""

    roots: dict[str, Path]
    https: Path  # what is missing here is taken from `http`
    http: Path

    @classmethod
    def of(cls, config: Config) -> Places:
        """TFTPdata, HTTPdata and HTTPSdata, or what stands in their place; one label for each."""
        found: dict[str, Path] = {}
        every = (config.tftp.tftp_dir, config.http.http_dir, config.https.https_dir)
        for path in dict.fromkeys(Path(os.path.realpath(each)) for each in every):
            found[label_of(path, config)] = path
        return cls(found, https=Path(os.path.realpath(every[2])), http=Path(os.path.realpath(every[1])))

    def key_of(self, path: Path) -> str | None:
        """What the file at this path is called in the history; None: it lies in no data directory."""
        real = Path(os.path.realpath(path.parent)) / path.name
        for label, root in self.roots.items():
            if real.is_relative_to(root) and real != root:
                return f"{label}/{real.relative_to(root).as_posix()}"
        return None

    def root_of(self, path: Path) -> Path | None:
        """The data directory that the file at this path lies in."""
        key = self.key_of(path)
        return None if key is None else self.roots[key.partition("/")[0]]

    def judged(self, root: Path) -> Place:
        """A data directory as lint is to look at it."""
        return Place(os.fspath(root), (os.fspath(self.http),) if root == self.https != self.http else ())

    def path_of(self, key: str) -> Path | None:
        """Where the file of this key lies; None if its directory is none of ours any more."""
        label, _, name = key.partition("/")
        root = self.roots.get(label)
        return root / name if root is not None and name else None

    def candidates(self) -> Iterator[tuple[str, Path]]:
        """Every file that may be a script, by key. Links to folders are not followed."""
        for label, root in self.roots.items():
            left = MANY
            todo = [(root, "")]
            while todo and left > 0:
                folder, below = todo.pop()
                try:
                    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
                except OSError:
                    continue
                for entry in entries:
                    left -= 1
                    name = below + entry.name
                    if entry.is_dir(follow_symlinks=False):
                        if (
                            entry.name[0] != "."
                            and entry.name.lower() != "archive"
                            and name.count("/") < DEPTH
                        ):
                            todo.append((Path(entry.path), name + "/"))
                    elif may_be_script(name):
                        yield f"{label}/{name}", Path(entry.path)

    def read(self, path: Path, known: bool = False) -> Content | None:
        """The file's content if it is a script; `known`: it was one before. None: it is none, or not there.

        A link counts if it ends in a data directory, as for phones: what else root's command can read is
        nobody's history. Raises OSError for what cannot be read, TooLarge for what is longer than any script.
        """
        if not known and not may_be_script(path.name):
            return None
        try:
            fd = self._open(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                return None
            pieces, left = [], LARGEST + 1
            while left > 0 and (piece := os.read(fd, left)):
                pieces.append(piece)
                left -= len(piece)
        finally:
            os.close(fd)
        data = b"".join(pieces)
        if not known and not is_script(path.name, data):
            return None
        if len(data) > LARGEST:
            raise TooLarge(0, f"has more than {LARGEST >> 20} MiB", os.fspath(path))
        return Content(data, found.st_mtime)

    def _open(self, path: Path) -> int:
        real = Path(os.path.realpath(path))
        for root in self.roots.values():
            if (
                real.is_relative_to(root)
                and real != root
                and not forbidden(real.relative_to(root).as_posix())
            ):
                return _beneath(root, real.relative_to(root).parts)
        raise FileNotFoundError(0, "leads out of the data directories", os.fspath(path))


def label_of(path: Path, config: Config) -> str:
    """What a data directory, by its real path, is called: by its name, in its usual place."""
    if path.name and path.parent == Path(os.path.realpath(config.home.data)):
        return path.name
    # Elsewhere two of them may have one name; a label must not depend on the others.
    return f"{path.name}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"


def _beneath(root: Path, parts: tuple[str, ...]) -> int:
    """A descriptor, from the root down without links: one that is put there meanwhile is not followed."""
    if os.open not in os.supports_dir_fd:
        return os.open(root.joinpath(*parts), _FLAGS)
    here = os.open(root, _FLAGS | os.O_DIRECTORY)
    for part in parts:
        try:
            there = os.open(part, _FLAGS | os.O_NOFOLLOW, dir_fd=here)
        finally:
            os.close(here)
        here = there
    return here
