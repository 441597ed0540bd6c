"""Whose the home's files are, where the three processes have users of their own.

What several of them change belongs to their group, and directories hand it on. What only one needs is his:
the authority's key and the first passwords are the manager's. Configuration and the alert script are root's:
no process may write what another one runs or believes.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from mv_iptel.home import Home

GROUP = "mvuser"
SERVER, MANAGER, WATCHDOG = "mv-iptel", "mv-manager", "mv-watchdog"
USERS = (SERVER, MANAGER, WATCHDOG)
ROOT = "root"

SHARED = 0o2770  # group may write, and what is made inside belongs to the group
SHOWN = 0o2750  # one writes, the group reads

_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)


class Owned(NamedTuple):
    """A directory of the home: who owns it, its group, its mode."""

    path: str
    user: str
    group: str
    mode: int


# packaging/tmpfiles.d/mv-iptel.conf says the same; a test compares them.
DIRECTORIES = (
    Owned("", ROOT, ROOT, 0o755),
    Owned("MV_IPTel", ROOT, ROOT, 0o755),
    Owned("MV_IPTel/bin", ROOT, GROUP, 0o750),
    *(Owned(f"MV_IPTel/data{part}", SERVER, GROUP, SHARED)
      for part in ("", "/TFTPdata", "/FTPdata", "/HTTPdata", "/HTTPSdata", "/Updates")),
    Owned("MV_IPTel/certs", MANAGER, GROUP, SHOWN),
    Owned("MV_IPTel/docs", ROOT, ROOT, 0o755),
    Owned("MV_IPTel/log", SERVER, GROUP, SHOWN),
    *(Owned(f"MV_IPTel/var{part}", SERVER, GROUP, SHARED)
      for part in ("", "/releases", "/versions", "/history", "/queue", "/lists")),
    Owned("MV_Manager", ROOT, ROOT, 0o755),
    Owned("MV_Manager/bin", ROOT, GROUP, 0o750),
    Owned("MV_Manager/ca", MANAGER, GROUP, 0o700),
    Owned("MV_Manager/data", MANAGER, GROUP, 0o700),
    Owned("MV_Manager/log", MANAGER, GROUP, SHOWN),
    Owned("MV_WatchDog", ROOT, ROOT, 0o755),
    Owned("MV_WatchDog/bin", ROOT, GROUP, 0o755),
    Owned("MV_WatchDog/data", WATCHDOG, GROUP, SHOWN),
    Owned("MV_WatchDog/log", WATCHDOG, GROUP, SHOWN),
)  # fmt: skip


class Accounts(NamedTuple):
    """The numbers behind the names."""

    group: int
    users: dict[str, int]


def accounts() -> Accounts | None:
    """The service users of this host, or None: then everything stays whose it is."""
    if os.name != "posix":
        return None
    import grp
    import pwd

    try:
        return Accounts(grp.getgrnam(GROUP).gr_gid, {name: pwd.getpwnam(name).pw_uid for name in USERS})
    except KeyError:
        return None


def hand_over(home: Home, here: Accounts) -> None:
    """Give each part to whom it belongs; needs root. Raises OSError.

    Below what a service may write, only what root made is given away, and nothing is reached through a link:
    who has a service must not have root next time.
    """
    ids = {**here.users, ROOT: 0}
    groups = {GROUP: here.group, ROOT: 0}
    for one in DIRECTORIES:
        _give(home.root / one.path, ids[one.user], groups[one.group], one.mode)
    for top, user in ((home.data, SERVER), (home.var, SERVER), (home.certs, MANAGER), (home.ca, MANAGER)):
        _beneath(top, ids[user], here.group)
    for path, user in ((home.log, SERVER), (home.manager / "log", MANAGER), (home.manager / "data", MANAGER),
                       (home.watchdog / "log", WATCHDOG), (home.watchdog / "data", WATCHDOG)):  # fmt: skip
        _beneath(path, ids[user], here.group)
    for path in (home.ini, home.manager_ini, home.watchdog_ini):
        if path.is_file():
            os.chown(path, -1, here.group, follow_symlinks=False)
    if home.passwords.is_file():
        os.chown(home.passwords, ids[MANAGER], here.group, follow_symlinks=False)


@contextmanager
def as_owner(folder: Path, reads: Iterable[Path] = ()) -> Iterator[None]:
    """Root acts as the user to whom a directory belongs: what is done within he could have done himself.

    So links that he has laid out there lead to nothing that is root's. It does nothing where `folder` is
    root's or missing, where he cannot come to it or not read what is to be read, and for everybody else. Not
    for a process with threads.
    """
    is_root = hasattr(os, "setresuid") and os.getuid() == os.geteuid() == 0
    there = os.stat(folder) if is_root and folder.is_dir() else None
    if there is None or there.st_uid == 0:
        yield
        return
    group, groups, umask = os.getegid(), os.getgroups(), os.umask(0o007)
    try:
        os.setgroups([])
        os.setresgid(there.st_gid, there.st_gid, 0)
        os.setresuid(there.st_uid, there.st_uid, 0)  # programs that are started have no way back
        if not os.access(folder, os.W_OK | os.X_OK) or not all(os.access(one, os.R_OK) for one in reads):
            _back(group, groups)
        yield
    finally:
        _back(group, groups)
        os.umask(umask)


def _back(group: int, groups: list[int]) -> None:
    os.setresuid(0, 0, 0)
    os.setresgid(group, group, group)
    os.setgroups(groups)


def _give(path: Path, user: int, group: int, mode: int) -> None:
    try:
        descriptor = os.open(path, _FOLDER if path.parent.stat().st_uid == 0 else _FOLDER | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        os.fchown(descriptor, user, group)
        os.fchmod(descriptor, mode)  # after the owner: a change of owner may take bits away
    finally:
        os.close(descriptor)


def _beneath(top: Path, user: int, group: int) -> None:
    for descriptor, folders, files in _walk(top):
        for name in files:
            _give_file(name, descriptor, user, group)
        for name in folders:
            inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=descriptor)
            try:
                there = os.fstat(inner)
                if there.st_uid == 0:
                    os.fchown(inner, user, group)
                    above = stat.S_IMODE(os.fstat(descriptor).st_mode)
                    os.fchmod(inner, above)
            finally:
                os.close(inner)


def _give_file(name: str, descriptor: int, user: int, group: int) -> None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        file = os.open(name, flags, dir_fd=descriptor)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno == errno.ELOOP:  # it is a link since it was looked at
            return
        raise
    try:
        there = os.fstat(file)  # of what is given, whatever has the name by then
        # A second name may lead to a file of another directory.
        if stat.S_ISREG(there.st_mode) and there.st_uid == 0 and there.st_nlink == 1:
            os.fchown(file, user, group)
    finally:
        os.close(file)


def _walk(top: Path) -> Iterator[tuple[int, list[str], list[str]]]:
    """Each directory's descriptor, with the names of its real directories and of its regular files."""
    if not top.is_dir():
        return
    for _, folders, files, descriptor in os.fwalk(top, follow_symlinks=False):

        def kind(name: str, at: int = descriptor) -> int:
            return stat.S_IFMT(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode)

        folders[:] = [name for name in folders if kind(name) == stat.S_IFDIR]
        yield descriptor, list(folders), [name for name in files if kind(name) == stat.S_IFREG]
