"""What user data asks of the disk: lasting folders, files written aside, one lock, what an error means."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mv_iptel import files
from mv_iptel.library.answers import Reason, Refuse
from mv_iptel.turn import away

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

MODE = 0o640  # the group of the service (manager, commands) may read
LOCK_SECONDS = 10.0  # nobody holds var/lock longer than a rename takes; then something is wrong

_ASIDE = (os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
          | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))  # fmt: skip
# O_NONBLOCK: a FIFO under the name of a file must not hold a thread up.
_READ = (os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
         | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))  # fmt: skip
_FOLDER = (os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
           | getattr(os, "O_CLOEXEC", 0))  # fmt: skip
_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}

_PART = re.compile(r"\..+\.[0-9a-f]{8}\.part\Z")
_lasting: set[Path] = set()
_open: set[Path] = set()  # what this process is writing aside
_turn = threading.Lock()  # the threads of one process do not poll against each other


class NotAFile(OSError):
    """A link, a folder or a device lies where a file of user data belongs. It is never followed."""

    def __init__(self, path: Path, what: str):
        super().__init__(errno.EINVAL, f"is {what}, not a file; move it away", os.fspath(path))


def refusal(error: OSError, path: Path) -> Refuse:
    """What a fault of the disk means to a client; the path and the system's words are for the operator."""
    name = error.filename if isinstance(error.filename, str) else os.fspath(path)
    reason = Reason.DISK_FULL if error.errno in _FULL else Reason.FAULT
    return Refuse(reason, f"{name}: {error.strerror or type(error).__name__}")


def look(path: Path) -> os.stat_result | None:
    """What lies there: the state of a regular file, or None for nothing. Raises NotAFile, OSError."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        kinds = ((stat.S_ISLNK, "a link"), (stat.S_ISDIR, "a folder"))
        raise NotAFile(
            path, next((word for is_one, word in kinds if is_one(found.st_mode)), "something else")
        )
    return found


def open_file(path: Path) -> int:
    """A descriptor of a regular file to read from; raises NotAFile for what is none, OSError."""
    look(path)
    fd = os.open(path, _READ)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise NotAFile(path, "something else")
    return fd


def hash_of(fd: int) -> str:
    """The sha256, in hex, of an open file."""
    told = hashlib.sha256()
    while data := os.read(fd, 1 << 20):
        told.update(data)
    return told.hexdigest()


def hash_file(path: Path) -> str:
    """The sha256, in hex, of a regular file. Raises NotAFile, OSError."""
    fd = open_file(path)
    try:
        return hash_of(fd)
    finally:
        os.close(fd)


def sync_folder(path: Path) -> None:
    """Make the names in a folder last. Only POSIX can."""
    if os.name != "posix":
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with away():
            os.fsync(fd)
    finally:
        os.close(fd)


def make_folder(path: Path) -> bool:
    """Make a folder and its missing parents. False: it was there.

    Each gets the rights and, where root makes it, the owner of the one above: what root's command made, the
    service must be able to write to.
    """
    try:
        above = os.stat(path.parent)
        mode = stat.S_IMODE(above.st_mode) & 0o2770 | 0o700
        os.mkdir(path, mode & 0o770)
    except FileExistsError:
        return False
    except FileNotFoundError:
        make_folder(path.parent)
        return make_folder(path)
    with suppress(OSError):
        if os.name != "posix":
            return True
        fd = os.open(path, _FOLDER)
        try:
            own_like(fd, above)
            # The kernel hands the group's bit on; a service may be kept from setting it.
            if stat.S_IMODE(os.fstat(fd).st_mode) != mode:
                os.fchmod(fd, mode)
        finally:
            os.close(fd)
    return True


def lasting_folder(path: Path) -> None:
    """Make a folder, and make its name last: at most once in a process, for a crash may have come before."""
    if make_folder(path) or path not in _lasting:
        for above in (path.parent, path.parent.parent):
            with suppress(PermissionError):  # not ours, so it was not made by us
                sync_folder(above)
        _lasting.add(path)


def own_like(file: Path | int, model: os.stat_result) -> None:
    """Give a file that root made to the owner of another one. Never what a link leads to."""
    if hasattr(os, "geteuid") and os.geteuid() == 0 and (model.st_uid or model.st_gid):
        with suppress(OSError):
            if isinstance(file, int):
                os.fchown(file, model.st_uid, model.st_gid)
            else:
                os.chown(file, model.st_uid, model.st_gid, follow_symlinks=False)


def settle(path: Path, mode: int, model: os.stat_result) -> None:
    """Give a file that this process has just made its rights, and root's the owner of another one.

    Where a service may write it may have laid a link in its place meanwhile, and waits for root to open what
    that leads to. Raises OSError.
    """
    if not hasattr(os, "fchmod"):
        return
    fd = os.open(path, _READ)
    try:
        there = os.fstat(fd)
        if not stat.S_ISREG(there.st_mode) or there.st_nlink != 1:
            raise NotAFile(path, "not what was just written here")
        os.fchmod(fd, mode)
        own_like(fd, model)
    finally:
        os.close(fd)


def write_record(path: Path, data: bytes, mode: int = MODE) -> None:
    """Write a record that lasts, and that belongs to whom its folder belongs: root's command is not alone.

    Raises OSError.
    """
    lasting_folder(path.parent)
    files.replace(path, data, mode)
    own_like(path, os.stat(path.parent))


@contextmanager
def locked(path: Path, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold `var/lock` against the other processes. Raises OSError when somebody keeps it for `seconds`."""
    end = time.monotonic() + seconds
    kept = OSError(errno.ETIMEDOUT, "somebody keeps this lock", os.fspath(path))
    with away():
        mine = _turn.acquire(timeout=seconds)
    if not mine:
        raise kept
    try:
        fd = open_lock(path)
        try:
            pause = 0.001
            while not take_lock(fd):
                if time.monotonic() > end:
                    raise kept
                with away():
                    time.sleep(pause)
                pause = min(2 * pause, 0.05)
            yield
        finally:
            os.close(fd)  # gives the lock back
    finally:
        _turn.release()


def open_lock(path: Path) -> int:
    """A descriptor of a lock, which is made where it is missing. Raises OSError."""
    flags = os.O_RDWR if fcntl is None else os.O_RDONLY  # a lock of root's making is enough to read
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        make_folder(path.parent)
        fd = os.open(path, flags | os.O_CREAT, 0o640)
        own_like(fd, os.stat(path.parent))
        return fd


def take_lock(fd: int) -> bool:
    """Take a lock, which ends with its descriptor. False: another descriptor has it. Raises OSError."""
    try:
        if fcntl is not None:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
            return False
        raise
    return True


def remove_parts(folder: Path, before: float) -> int:
    """Remove what a crash left half written in a folder: files of our own form, older than `before`."""
    gone = 0
    try:
        names = [name for name in os.listdir(folder) if _PART.match(name)]
    except OSError:
        return 0
    for name in names:
        path = folder / name
        with suppress(OSError):
            found = look(path)
            if found is not None and found.st_mtime < before and path not in _open:
                os.unlink(path)
                gone += 1
    return gone


class Aside:
    """A file that is being written beside its target: `.<name>.<8 hex>.part`. Raises OSError, never half."""

    def __init__(self, target: Path):
        self.target = target
        self.path = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        try:
            self._fd = os.open(self.path, _ASIDE, 0o600)
        except FileNotFoundError:
            lasting_folder(target.parent)
            self._fd = os.open(self.path, _ASIDE, 0o600)

        _open.add(self.path)

    def write(self, data: bytes) -> None:
        """Append all of it."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def finish(self, mtime_ns: int, like: os.stat_result | None = None) -> None:
        """Give it its rights and its time, and make it last."""
        self.settle(mtime_ns, like)
        with away():
            self.sync()

    def settle(self, mtime_ns: int, like: os.stat_result | None = None, mode: int = MODE) -> None:
        """Give it its rights and its time. May be called again with another time."""
        if hasattr(os, "fchmod"):
            os.fchmod(self._fd, mode)
            own_like(self._fd, like or os.stat(self.target.parent))
        where: int | Path = self._fd if os.utime in os.supports_fd else self.path
        os.utime(where, ns=(mtime_ns, mtime_ns))

    def hurry(self) -> None:
        """Have the disk begin: where many are written, one write of its journal is then enough for all."""
        if hasattr(os, "posix_fadvise"):
            with suppress(OSError):
                os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def sync(self) -> None:
        """Make it last."""
        os.fsync(self._fd)

    def place(self) -> os.stat_result:
        """Rename it over its target; gives what lies there then."""
        fd = self._fd
        if os.name == "posix":
            os.replace(self.path, self.target)
            found = os.fstat(fd)  # the rename has changed its ctime
        else:
            found = os.fstat(fd)
            self._close()  # Windows renames no open file
            os.replace(self.path, self.target)
        _open.discard(self.path)
        self._close()
        return found

    def discard(self) -> None:
        """Remove it, if it was not placed. May be called again."""
        self._close()
        if self.path in _open:
            with suppress(OSError):
                os.unlink(self.path)
            _open.discard(self.path)

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with suppress(OSError):  # what could fail was synced
                os.close(fd)
