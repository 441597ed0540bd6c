"""The superuser's tree: data, docs and log of MV_IPTel by descriptor, and nothing beside them.

`bin`, `certs` and `var` do not exist here. Every name is walked component by component from one of the
three, without following links; a link is taken only if its end lies in one of the three, and then the walk
begins anew at its end. Only what lies in data can be changed. Names are `/data/HTTPdata/46xxsettings.txt`.
The manager has a tree of the data directories themselves, wherever they lie (`tops`).

Methods raise OSError for what cannot be; its `strerror` may be told to the superuser.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, NamedTuple

from mv_iptel.library.answers import Reason, Refuse
from mv_iptel.library.contents import Body

if TYPE_CHECKING:
    from pathlib import Path

    from mv_iptel.config import Config

TOPS = ("data", "docs", "log")
AVAILABLE = os.open in os.supports_dir_fd  # Windows has no names relative to a descriptor

_LINKS = 8
_DIRECTORY = (
    os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
)
# O_NONBLOCK: a FIFO in a data directory must not hold the server up.
_READ = (
    os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
)
_ASIDE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_OURS = re.compile(r"\.[0-9a-f]{16}\.part\Z")  # an upload of ours that is under way, or that a crash left
_HIDDEN = re.compile(r"\..*\.part\Z", re.DOTALL)  # these, and what the store of user data is writing
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_REASONS = {
    errno.ENOENT: Reason.NO_FILE, errno.ENOTDIR: Reason.NO_FILE, errno.EISDIR: Reason.BAD_NAME,
    errno.EINVAL: Reason.BAD_NAME, errno.ENAMETOOLONG: Reason.BAD_NAME, errno.ELOOP: Reason.BAD_NAME,
    errno.EEXIST: Reason.NOT_ALLOWED, errno.ENOTEMPTY: Reason.NOT_ALLOWED, errno.EACCES: Reason.NOT_ALLOWED,
    errno.EPERM: Reason.NOT_ALLOWED, errno.EROFS: Reason.NOT_ALLOWED, errno.EXDEV: Reason.NOT_ALLOWED,
}  # fmt: skip


def _no(code: int) -> OSError:
    """An error without our paths in it."""
    return OSError(code, os.strerror(code))


def refusal(error: OSError, name: str) -> Refuse:
    """What an error of the tree means to the client, and what the operator is told."""
    code = error.errno or 0
    reason = Reason.DISK_FULL if code in _FULL else _REASONS.get(code, Reason.FAULT)
    return Refuse(reason, error.strerror or type(error).__name__, name=name)


class Put(NamedTuple):
    """What became of an upload, after file and directory were synced."""

    file: str
    size: int


class _At:
    """A directory that is held open: its descriptor, its real path, and which of the three it lies in."""

    __slots__ = ("fd", "real", "top")

    def __init__(self, fd: int, real: str, top: str):
        self.fd, self.real, self.top = fd, real, top

    def __enter__(self) -> _At:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the descriptor back; may be called again."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


def _parts(path: str) -> list[str]:
    parts = [part for part in path.split("/") if part and part != "."]
    if ".." in parts or _CONTROL.search(path):
        raise _no(errno.EINVAL)
    return parts


class Tree:
    """What the superuser sees of one installation; with `tops` these directories by name, all changeable."""

    def __init__(self, config: Config, tops: Mapping[str, Path] | None = None):
        home = config.home
        self._root = home.mv_iptel
        given = {name: home.mv_iptel / name for name in TOPS} if tops is None else tops
        self._tops = {name: os.path.realpath(path) for name, path in given.items()}
        self._changeable = frozenset(("data",) if tops is None else tops)
        never = [home.bin, home.certs, home.var]
        if tops is not None:  # these may be anywhere, so that the other trees may lie beneath them
            never += [home.manager, home.watchdog, home.log, home.passwords]
        self._never = tuple(os.path.realpath(path) for path in never)
        settings = (config.tftp.tftp_dir, config.ftp.ftp_dir, config.http.http_dir, config.https.https_dir,
                    config.http.backup_dir)  # fmt: skip
        usual = (home.tftp_data, home.ftp_data, home.http_data, home.https_data, home.updates)
        self._kept = self._kept_paths((*settings, *usual))

    def _kept_paths(self, folders: Iterable[Path]) -> set[str]:
        """The data directories and what is above them: their places are not the superuser's to change.

        Where an administrator has put a link in the place of one, the link is meant too.
        """
        bases = tuple(self._tops[name] + os.sep for name in self._changeable)
        kept = set()
        for folder in folders:
            for real in (
                os.path.realpath(folder),
                os.path.join(os.path.realpath(folder.parent), folder.name),
            ):
                while real.startswith(bases):
                    kept.add(real)
                    real = os.path.dirname(real)
        return kept

    # Looking

    def listdir(self, path: str) -> list[str]:
        """The names in a directory, without those of uploads under way."""
        parts = _parts(path)
        if not parts:
            return [name for name, real in self._tops.items() if os.path.isdir(real)]
        with self._walk(parts) as at:
            return [name for name in os.listdir(at.fd) if self._shown(name, at.real)]

    def stat(self, path: str) -> os.stat_result:
        """What is there, behind a link that may be followed."""
        parts = _parts(path)
        for _ in range(_LINKS):
            if not parts:
                return os.stat(self._root)
            if len(parts) == 1:
                with self._walk(parts) as at:
                    return os.fstat(at.fd)
            with self._walk(parts[:-1]) as at:
                self._visible(parts[-1], at.real)
                found = os.stat(parts[-1], dir_fd=at.fd, follow_symlinks=False)
                if not stat.S_ISLNK(found.st_mode):
                    if self._in_never(os.path.join(at.real, parts[-1])):
                        raise _no(errno.ENOENT)
                    return found
                parts = self._end(at, parts[-1])
        raise _no(errno.ELOOP)

    def open(self, path: str) -> Body:
        """A file to read."""
        parts = _parts(path)
        for _ in range(_LINKS):
            if len(parts) < 2:
                raise _no(errno.EISDIR)
            with self._walk(parts[:-1]) as at:
                name = parts[-1]
                self._visible(name, at.real)
                if stat.S_ISLNK(os.stat(name, dir_fd=at.fd, follow_symlinks=False).st_mode):
                    parts = self._end(at, name)
                    continue
                if self._in_never(os.path.join(at.real, name)):
                    raise _no(errno.ENOENT)
                fd = os.open(name, _READ, dir_fd=at.fd)
                found = os.fstat(fd)
                if not stat.S_ISREG(found.st_mode):
                    os.close(fd)
                    raise _no(errno.EISDIR if stat.S_ISDIR(found.st_mode) else errno.EINVAL)
                return Body(fd, found, path, os.path.join(at.real, name))
        raise _no(errno.ELOOP)

    def resolve(self, path: str) -> str:
        """The same by its own name, without the links that lead there."""
        parts = _parts(path)
        for _ in range(_LINKS):
            if len(parts) < 2:
                return "/".join(parts)
            with self._walk(parts[:-1]) as at:
                self._visible(parts[-1], at.real)
                if stat.S_ISLNK(os.stat(parts[-1], dir_fd=at.fd, follow_symlinks=False).st_mode):
                    parts = self._end(at, parts[-1])
                    continue
                inner = os.path.relpath(at.real, self._tops[at.top])
                return "/".join((at.top, *(inner.split(os.sep) if inner != "." else ()), parts[-1]))
        raise _no(errno.ELOOP)

    def real(self, path: str) -> str:
        """Where that lies on the disk, for events; as far as it can be told."""
        top, *rest = _parts(path) or ["data"]
        return os.path.join(self._tops.get(top, os.fspath(self._root)), *rest)

    # Changing

    def mkdir(self, path: str) -> None:
        """Make a directory."""
        at, name = self._change(path)
        with at:
            os.mkdir(name, 0o775, dir_fd=at.fd)

    def rmdir(self, path: str) -> None:
        """Remove an empty directory; never a data directory."""
        at, name = self._change(path)
        with at:
            self._movable(at, name)
            os.rmdir(name, dir_fd=at.fd)

    def remove(self, path: str) -> None:
        """Remove a file, or a link itself."""
        at, name = self._change(path)
        with at:
            if stat.S_ISDIR(os.stat(name, dir_fd=at.fd, follow_symlinks=False).st_mode):
                raise _no(errno.EISDIR)
            self._movable(at, name)
            os.unlink(name, dir_fd=at.fd)

    def rename(self, old: str, new: str) -> None:
        """Give a file or a directory another name; both lie in data."""
        source, name = self._change(old)
        with source:
            target, other = self._change(new)
            with target:
                self._movable(source, name)
                self._movable(target, other)
                os.rename(name, other, src_dir_fd=source.fd, dst_dir_fd=target.fd)

    def utime(self, path: str, seconds: float) -> None:
        """Set the time of the last change."""
        at, name = self._change(path)
        with at:
            os.utime(name, (seconds, seconds), dir_fd=at.fd, follow_symlinks=False)

    def chmod(self, path: str, mode: int) -> None:
        """Set rights: the server keeps its own, and everybody else cannot be let write."""
        at, name = self._change(path)
        with at:
            self._movable(at, name)
            fd = os.open(name, _READ, dir_fd=at.fd)
            try:
                found = os.fstat(fd).st_mode
                own = 0o700 if stat.S_ISDIR(found) else 0o600
                os.fchmod(fd, (found & 0o7000) | (mode & 0o775) | own)
            finally:
                os.close(fd)

    def draft(self, path: str) -> Upload:
        """A new content for a file, to be filled and committed, or aborted."""
        at, name = self._change(path)
        try:
            mode = None
            try:
                found = os.stat(name, dir_fd=at.fd, follow_symlinks=False)
            except FileNotFoundError:
                pass
            else:
                if stat.S_ISDIR(found.st_mode):
                    raise _no(errno.EISDIR)
                self._movable(at, name)
                if stat.S_ISREG(found.st_mode):
                    mode = stat.S_IMODE(found.st_mode) & 0o777
            return Upload(at, name, mode)
        except OSError:
            at.close()
            raise

    def sweep(self, before: float) -> int:
        """Remove what uploads left that a crash ended, if it is older than `before`. Walks all of data."""
        removed = 0
        for top in filter(os.path.isdir, (self._tops[name] for name in sorted(self._changeable))):
            for _, _, files, fd in os.fwalk(top, follow_symlinks=False):
                for name in filter(_OURS.match, files):
                    try:
                        if os.stat(name, dir_fd=fd, follow_symlinks=False).st_mtime < before:
                            os.unlink(name, dir_fd=fd)
                            removed += 1
                    except OSError:
                        continue
        return removed

    # The walk

    def _walk(self, parts: list[str]) -> _At:
        """Hold that directory open."""
        for _ in range(_LINKS):
            top, *rest = parts
            real = self._tops.get(top, "")
            if not real:
                raise _no(errno.ENOENT)
            at = _At(os.open(real, _DIRECTORY), real, top)
            try:
                for place, part in enumerate(rest):
                    self._visible(part, at.real)
                    try:
                        fd = os.open(part, _DIRECTORY, dir_fd=at.fd)
                    except OSError as error:
                        if error.errno not in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
                            raise _no(error.errno or errno.EIO) from None
                        if not stat.S_ISLNK(os.stat(part, dir_fd=at.fd, follow_symlinks=False).st_mode):
                            raise _no(errno.ENOTDIR) from None
                        parts = self._end(at, part) + rest[place + 1 :]
                        break
                    os.close(at.fd)
                    at.fd, at.real = fd, os.path.join(at.real, part)
                else:
                    if self._in_never(at.real):
                        raise _no(errno.ENOENT)
                    held, at = at, _At(-1, "", "")
                    return held
            finally:
                at.close()
        raise _no(errno.ELOOP)

    def _end(self, at: _At, link: str) -> list[str]:
        """Where a link ends, if that is in the tree."""
        end = os.path.realpath(os.path.join(at.real, link))
        for top, real in self._tops.items():
            if end == real or end.startswith(real + os.sep):
                return [top, *(part for part in end[len(real) :].split(os.sep) if part)]
        raise _no(errno.ENOENT)  # as if it were not there

    def _change(self, path: str) -> tuple[_At, str]:
        """The directory of a name that may be changed, held open, and the name in it."""
        parts = _parts(path)
        if len(parts) < 2:
            raise _no(errno.EACCES if not parts or parts[0] in self._tops else errno.ENOENT)
        at = self._walk(parts[:-1])
        # What counts is where the walk ended: a link in data may lead to docs.
        try:
            self._visible(parts[-1], at.real)
            if at.top not in self._changeable or self._in_never(os.path.join(at.real, parts[-1])):
                raise _no(errno.EACCES)
        except OSError:
            at.close()
            raise
        return at, parts[-1]

    def _movable(self, at: _At, name: str) -> None:
        """Refuse a data directory, by whatever name it was come to."""
        if os.path.join(at.real, name) in self._kept:
            raise _no(errno.EACCES)
        try:
            found = os.stat(name, dir_fd=at.fd, follow_symlinks=False)
        except FileNotFoundError:
            return
        for path in self._kept:
            try:
                if os.path.samestat(found, os.stat(path)):
                    raise _no(errno.EACCES)
            except FileNotFoundError:
                continue

    def _in_never(self, real: str) -> bool:
        return any(real == never or real.startswith(never + os.sep) for never in self._never)

    def _shown(self, name: str, _folder: str) -> bool:
        """Whether a name in a folder, given by its real path, is there for who uses this tree."""
        return not _HIDDEN.match(name)

    def _visible(self, name: str, folder: str) -> None:
        if not self._shown(name, folder):
            raise _no(errno.ENOENT)


class Upload:
    """A file that is being written aside; it takes its name when it is whole and on the disk.

    A `Draft` as the store's: its methods never raise for the disk's faults.
    """

    __slots__ = ("_aside", "_at", "_fd", "_name", "_refuse", "_taken", "file", "size")

    def __init__(self, at: _At, name: str, mode: int | None):
        self.file = os.path.join(at.real, name)
        self.size = 0
        self._at, self._name = at, name
        self._aside = f".{secrets.token_hex(8)}.part"
        self._refuse: Refuse | None = None
        self._taken = False  # it is being committed, on another thread
        self._fd = os.open(self._aside, _ASIDE, 0o664, dir_fd=at.fd)
        if mode is not None:
            try:
                os.fchmod(self._fd, mode)
            except OSError:
                pass

    def write(self, data: bytes) -> Refuse | None:
        """Append. After a Refuse it is good for nothing."""
        if self._refuse is None and self._fd < 0:
            self._refuse = Refuse(Reason.FAULT, "written to after its end")
        view = memoryview(data)
        while view and self._refuse is None:
            try:
                view = view[os.write(self._fd, view) :]
            except OSError as error:
                self._refuse = refusal(error, "")
        self.size += len(data)
        return self._refuse

    def commit(self, done: Callable[[Put | Refuse], None]) -> None:
        """Sync and rename, on a thread of its own; then `done` is called there."""
        self._taken = True
        threading.Thread(target=lambda: done(self.finish()), name="superuser").start()

    def finish(self, turn: AbstractContextManager[object] | None = None) -> Put | Refuse:
        """Sync and rename, here and now. The rename is made within `turn`; what that raises stops it."""
        self._taken = True
        if self._refuse is not None or self._fd < 0:
            self._forget()
            return self._refuse or Refuse(Reason.FAULT, "committed after its end")
        try:
            os.fsync(self._fd)
            with turn or nullcontext():
                os.rename(self._aside, self._name, src_dir_fd=self._at.fd, dst_dir_fd=self._at.fd)
            os.fsync(self._at.fd)
        except OSError as error:
            self._forget()
            return refusal(error, "")
        except BaseException:
            self._forget()
            raise
        self._close()
        return Put(self.file, self.size)

    def abort(self) -> None:
        """Forget it; may be called again, and does nothing after a commit."""
        if not self._taken:
            self._forget()

    def _forget(self) -> None:
        if self._fd >= 0:
            try:
                os.unlink(self._aside, dir_fd=self._at.fd)
            except OSError:
                pass
            self._close()

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
        self._at.close()
