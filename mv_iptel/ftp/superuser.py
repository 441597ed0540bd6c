"""The superuser over FTP: his login, which takes its time, and his files as pyftpdlib wants to see them."""

from __future__ import annotations

import ipaddress
import os
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from pyftpdlib.filesystems import AbstractedFS

from mv_iptel import passwords
from mv_iptel.library import tree
from mv_iptel.library.answers import NOBODY, Answer, Keep, Refuse, Serve
from mv_iptel.userdata.names import parse
from mv_iptel.userdata.store import Origin

if TYPE_CHECKING:
    from mv_iptel.config import Config
    from mv_iptel.ftp.handler import Handler
    from mv_iptel.library.tree import Tree
    from mv_iptel.userdata.store import Draft

FIRST, LONGEST = 1.0, 30.0  # seconds to wait after the first failed login, and at most
FORGET = 900.0  # seconds after which an address is not waited for any more
WAITING = 4  # logins of one address at once
CHECKED = 16  # logins that may wait for the thread that looks at them
REMEMBERED = 1024  # addresses

# What changes something, and how the record calls it.
CHANGES = {"DELE": "delete", "RMD": "delete", "XRMD": "delete", "MKD": "store", "XMKD": "store",
           "RNTO": "store", "MFMT": "store", "SITE CHMOD": "store"}  # fmt: skip


class _Tries:
    """The failed logins of one address."""

    __slots__ = ("failed", "free", "waiting")

    def __init__(self) -> None:
        self.failed = 0
        self.free = 0.0  # when the next login may be looked at
        self.waiting = 0


class Guard:
    """Makes each failed login slow the next ones of its address, however many connections it uses.

    Nobody is locked out: the right password comes in too, in its turn. Times are in seconds.
    """

    def __init__(self) -> None:
        self._tries: dict[str, _Tries] = {}  # in the order of their last failure

    def enter(self, address: str, now: float) -> float | None:
        """Seconds until this login may be looked at. None: too many of this address wait already."""
        tries = self._tries.get(address)
        if tries is None:
            return 0.0
        if tries.free + FORGET < now and not tries.waiting:
            del self._tries[address]
            return 0.0
        if tries.waiting >= WAITING:
            return None
        tries.waiting += 1
        start = max(now, tries.free)
        tries.free = start + self._pause(tries)
        return start - now

    def leave(self, address: str, good: bool, now: float) -> None:
        """A login was looked at."""
        tries = self._tries.pop(address, None)
        if tries is not None:
            tries.waiting = max(0, tries.waiting - 1)
        if good:
            if tries is not None and tries.waiting:
                self._tries[address] = tries
            return
        tries = tries or _Tries()
        tries.failed += 1
        tries.free = max(tries.free, now + self._pause(tries))
        self._tries[address] = tries
        if len(self._tries) > REMEMBERED:
            del self._tries[next(iter(self._tries))]

    @staticmethod
    def _pause(tries: _Tries) -> float:
        return min(LONGEST, FIRST * 2 ** min(tries.failed - 1, 10)) if tries.failed else 0.0


class Superusers:
    """Looks at logins, one at a time on a thread of its own: a password costs a tenth of a second."""

    def __init__(self, call: Callable[[Callable[[], None]], None], later: Callable[..., object],
                 clock: Callable[[], float]):  # fmt: skip
        self.guard = Guard()
        self._call = call
        self._later = later
        self._clock = clock
        self._pool = ThreadPoolExecutor(1, "superuser-login")
        self._busy = 0
        self._tree: tuple[Config, Tree] | None = None

    def close(self) -> None:
        """Look at no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def tree(self, config: Config) -> Tree:
        """His tree by this configuration."""
        if self._tree is None or self._tree[0] is not config:
            self._tree = (config, tree.Tree(config))
        return self._tree[1]

    def login(self, config: Config, address: str, password: str, done: Callable[[str], None]) -> None:
        """`done` is told what is wrong with a login, on any thread; "" lets him in. On the loop's thread."""
        if not config.ftp.superuser or not tree.AVAILABLE:
            return done("the superuser is switched off (EnableSU, or no password of this site's own)")
        who = _who(address)
        wait = self.guard.enter(who, self._clock())
        if wait is None:
            return done("too many logins of the superuser from one address at once")

        def ended(wrong: str) -> None:
            self._busy -= 1
            self.guard.leave(who, not wrong, self._clock())
            done(wrong)

        def check() -> None:
            # The time that it takes must not tell what was wrong.
            good = passwords.check(config.ftp.su_password, password)
            networks, here = config.ftp.su_allow_from, ipaddress.ip_address(address)
            near = not networks or any(here in network for network in networks)
            wrong = "" if good and near else "wrong password" if near else "not from a network of SUAllowFrom"
            self._call(lambda: ended("superuser: " + wrong if wrong else ""))

        def begin() -> None:
            self._busy += 1
            if self._busy > CHECKED:
                ended("too many logins of the superuser at once")
            else:
                self._pool.submit(check)

        self._later(wait, begin)
        return None


def terms(config: Config) -> tuple[object, ...]:
    """What a login was checked by: when a reload has changed it, his sessions end."""
    ftp = config.ftp
    return ftp.superuser, ftp.su_user_name, ftp.su_password, ftp.su_allow_from


def _who(address: str) -> str:
    """Who is slowed down: an address; with IPv6 the network in which a host may take any."""
    return str(ipaddress.ip_network(f"{address}/64", strict=False)) if ":" in address else address


class Permissions:
    """pyftpdlib asks an authorizer before it asks the file system; ours says no by itself."""

    def has_perm(self, _user: str, _perm: str, _path: str | None = None) -> bool:
        """The file system knows better."""
        return True

    def get_perms(self, _user: str) -> str:
        """What the listing of data says; see `Files.format_mlsx`."""
        return "elradfmwT"


class _Change(NamedTuple):
    """What stands in the place of a draft, where a change is already made."""

    file: str

    def abort(self) -> None:
        """Too late."""


class Files(AbstractedFS):
    """The tree as pyftpdlib's file system. Its paths are those of the tree: `/data/...`."""

    def __init__(self, tree: Tree, handler: Handler):
        super().__init__("/", handler)
        self.tree = tree

    # Names

    def ftp2fs(self, ftppath: str) -> str:
        """A name as the tree wants it, from where he is now."""
        return self.ftpnorm(ftppath)

    def fs2ftp(self, fspath: str) -> str:
        """The same."""
        return fspath

    realpath = fs2ftp

    def validpath(self, path: str) -> bool:
        """The tree says no where something is done."""
        return True

    # STOR and RETR

    def serve(self, path: str) -> Answer:
        """A file to send."""
        try:
            return Serve(self.tree.open(path), path, NOBODY, "superuser", False)
        except OSError as error:
            return tree.refusal(error, path)

    def keep(self, path: str) -> Answer:
        """A file to receive. A user's data goes to the store as a phone's does: what it replaces is kept."""
        try:
            draft = self._backup(path) or self.tree.draft(path)
        except OSError as error:
            return tree.refusal(error, path)
        if isinstance(draft, Refuse):
            return draft._replace(name=path)
        return Keep(draft, path, NOBODY, "superuser", False)  # type: ignore[arg-type]

    def _backup(self, path: str) -> Draft | Refuse | None:
        """A draft of the store's, where this is the name of user data in its directory."""
        folder, _, name = path.rpartition("/")
        kept = parse(name)
        if kept is None or kept.file != name:
            return None
        front, client = self.cmd_channel.front, self.cmd_channel.client
        backups = os.path.realpath(front.config.http.backup_dir)
        if os.path.realpath(self.tree.real(folder)) != backups:
            return None
        origin = Origin(client.address, proto=client.proto, how="superuser")
        return front.library.backups.store.draft(kept, origin)

    def changed(self, path: str, detail: str) -> Answer:
        """The answer that a change which is made already came to."""
        change = _Change(self.tree.real(path))
        return Keep(change, path, NOBODY, f"superuser: {detail}", False)  # type: ignore[arg-type]

    # Everything else

    def chdir(self, path: str) -> None:
        """Go there; the process stays where it is."""
        if not stat.S_ISDIR(self.tree.stat(path).st_mode):
            raise NotADirectoryError(20, os.strerror(20))
        self.cwd = path

    def listdir(self, path: str) -> list[str]:
        """The names there. A link that leads out of the tree is none."""
        return self.tree.listdir(path)

    def mkdir(self, path: str) -> None:
        """Make a directory."""
        self.tree.mkdir(path)

    def rmdir(self, path: str) -> None:
        """Remove a directory."""
        self.tree.rmdir(path)

    def remove(self, path: str) -> None:
        """Remove a file."""
        self.tree.remove(path)

    def rename(self, src: str, dst: str) -> None:
        """Move a file or a directory."""
        self.tree.rename(src, dst)

    def utime(self, path: str, timeval: float) -> None:
        """Set the time of the last change."""
        self.tree.utime(path, timeval)

    def chmod(self, path: str, mode: int) -> None:
        """Set rights, within what the server needs; lftp does it to what it mirrors."""
        self.tree.chmod(path, mode)

    def stat(self, path: str) -> os.stat_result:
        """What is there."""
        return self.tree.stat(path)

    lstat = stat

    def _mode(self, path: str) -> int:
        try:
            return self.tree.stat(path).st_mode
        except OSError:
            return 0

    def isfile(self, path: str) -> bool:
        """Whether a file is there."""
        return stat.S_ISREG(self._mode(path))

    def isdir(self, path: str) -> bool:
        """Whether a directory is there."""
        return stat.S_ISDIR(self._mode(path))

    def lexists(self, path: str) -> bool:
        """Whether anything is there that he may know of."""
        return self._mode(path) != 0

    def getsize(self, path: str) -> int:
        """Octets of a file."""
        return self.tree.stat(path).st_size

    def getmtime(self, path: str) -> float:
        """When it was last changed."""
        return self.tree.stat(path).st_mtime

    def get_user_by_uid(self, uid: int) -> str:
        """Names of the system's users are not told."""
        return "owner"

    def get_group_by_gid(self, gid: int) -> str:
        """Nor of its groups."""
        return "group"

    def format_mlsx(self, basedir: str, listing: list[str], perms: str, facts: list[str],
                    ignore_err: bool = True) -> Iterator[Any]:  # fmt: skip
        """A listing for programs; outside of data nothing can be changed."""
        if not (basedir == "/data" or basedir.startswith("/data/")):
            perms = "elr"
        return super().format_mlsx(basedir, listing, perms, facts, ignore_err)
