"""Contents: open files that many transfers share, small ones kept in memory."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict, deque

SMALL = 64 << 10  # octets; files up to this size are answered from memory
KEPT = 32 << 20  # octets of small files that stay in memory
OPEN = 8  # big files that stay open when nobody sends them: the next phone wants the same firmware

Key = tuple[int, int, int, int, int]


def key_of(found: os.stat_result) -> Key:
    """What identifies a file's bytes: the same key, the same content. ctime tells what mtime hides."""
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def etag_of(name: str, found: os.stat_result) -> str:
    """The ETag, without quotes, of a file that was asked for by this name: 10 hex of name, size and mtime."""
    told = f"{name.rpartition('/')[2]}\0{found.st_size}\0{found.st_mtime_ns}"
    return hashlib.blake2b(told.encode("utf-8", "surrogateescape"), digest_size=5).hexdigest()


class Body:
    """The content of one regular file, as it was when it was opened.

    Shared by all transfers that send it; each calls `close` once (or uses `with`). `data` is the whole
    content of a small file; a big one has a descriptor `fd`. Never map it: a file that shrinks under a map
    ends the process.
    """

    __slots__ = (
        "_lock",
        "_users",
        "data",
        "etag",
        "fd",
        "head",
        "key",
        "mtime",
        "name",
        "path",
        "size",
    )

    def __init__(self, fd: int, found: os.stat_result, name: str, path: str):
        self.name = name
        self.path = path
        self.size = found.st_size
        self.mtime = found.st_mtime_ns / 1e9  # seconds since the epoch
        self.key = key_of(found)
        self.etag = etag_of(name, found)
        self.data: bytes | None = None
        self.fd = fd
        self.head: dict[object, bytes] = {}  # what a protocol wants to remember with these bytes
        self._users = 1
        self._lock = threading.Lock()

    @classmethod
    def made(cls, data: bytes, name: str, path: str, mtime: float) -> Body:
        """A body that lies nowhere as it is; `path` is where it comes from, its ETag that of its octets."""
        body = cls.__new__(cls)
        body._lock, body._users = threading.Lock(), 1
        digest = hashlib.blake2b(data, digest_size=8).digest()
        body.name, body.path, body.size, body.mtime = name, path, len(data), mtime
        body.key = (-1, int.from_bytes(digest, "big"), len(data), int(mtime * 1e9), 0)
        body.etag = digest[:5].hex()
        body.data, body.fd, body.head = data, -1, {}
        return body

    def __enter__(self) -> Body:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def share(self) -> bool:
        """One more user. False: the last one has just closed it."""
        with self._lock:
            if not self._users:
                return False
            self._users += 1
            return True

    def close(self) -> None:
        """Give the body back; the last user closes the file."""
        if self.data is not None:
            return
        with self._lock:
            self._users -= 1
            if self._users:
                return
            os.close(self.fd)
            self.fd = -1

    def fresh(self) -> bool:
        """False once the file was changed in place: what is still to be sent would not fit what went.

        ctime does not count: it changes too when a new file is renamed over this one, and then the open
        one is still whole.
        """
        return self.data is not None or key_of(os.fstat(self.fd))[:4] == self.key[:4]


class Contents:
    """The bodies that are open or kept. May be used from any thread."""

    def __init__(self) -> None:
        self._small: OrderedDict[tuple[Key, str], Body] = OrderedDict()
        self._big: dict[tuple[Key, str], Body] = {}
        self._idle: deque[Body] = deque()  # kept open by us, the oldest first
        self._octets = 0
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let go of the files that are kept open for the next phone; what is being sent stays open."""
        with self._lock:
            while self._idle:
                self._idle.popleft().close()

    def find(self, key: Key, name: str) -> Body | None:
        """The body of these bytes if it is at hand, with one more user."""
        body = self._small.get((key, name))
        if body is not None:
            return body
        body = self._big.get((key, name))
        return body if body is not None and body.share() else None

    def add(self, fd: int, found: os.stat_result, name: str, path: str) -> Body | None:
        """The body of an open regular file; takes the descriptor over. None if it changes meanwhile."""
        body = Body(fd, found, name, path)
        if body.size > SMALL:
            with self._lock:
                self._big[body.key, name] = body
                body.share()
                self._idle.append(body)
                # A file that was deleted or replaced must not hold its place on the disk.
                for old in [b for b in self._idle if os.fstat(b.fd).st_nlink == 0] + [*self._idle][:-OPEN]:
                    if old in self._idle:
                        self._idle.remove(old)
                        old.close()
                for place in [p for p, b in self._big.items() if b.fd < 0]:
                    del self._big[place]
            return body
        try:
            data = os.pread(fd, SMALL + 1, 0)
            same = key_of(os.fstat(fd)) == body.key
        finally:
            os.close(fd)
        body.fd = -1
        if not same or len(data) != body.size:
            return None
        body.data = data
        with self._lock:
            self._small[body.key, name] = body
            self._octets += body.size
            while self._octets > KEPT or len(self._small) > 4096:
                _, old = self._small.popitem(last=False)
                self._octets -= old.size
        return body
