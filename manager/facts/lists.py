"""The address lists of a home: which file governs what, what is wrong in it, saving it, how it was before."""

from __future__ import annotations

import difflib
import hashlib
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from manager.problems import Problem
from mv_iptel import files
from mv_iptel.config import Config
from mv_iptel.history.copies import Copies, Copy
from mv_iptel.library import access
from mv_iptel.userdata.disk import locked, sync_folder


class Kind(NamedTuple):
    """What a list is for."""

    key: str
    word: str
    governs: str
    absent: str  # what holds while there is no such file
    empty: str  # what a list without a valid line does


_EVERYBODY = "No list: everybody may."
_NOBODY = "the list has no valid line, so it lists nobody"
KINDS = {
    one.key: one
    for one in (
        Kind("tftp", "TFTP", "downloads over TFTP", _EVERYBODY, _NOBODY),
        Kind("http", "HTTP", "downloads over HTTP", _EVERYBODY, _NOBODY),
        Kind("https", "HTTPS", "downloads over HTTPS", _EVERYBODY, _NOBODY),
        Kind("backup", "User data", "storing and fetching user data over every protocol",
             "No list: everybody may who shows by the policy that the data is theirs.", _NOBODY),
        Kind("ftp", "FTP", "user data that FTP gives back",
             "No list: everybody may who shows by the policy that the data is theirs.", _NOBODY),
        Kind("banned", "Banned", "who is turned away from everything", "Nobody is banned.", ""),
    )
}  # fmt: skip
DOWNLOADS = ("tftp", "http", "https")
ABSENT = "absent"  # the ETag of a list that is not there
_TRIES = 5  # somebody else is saving the file at the same moment
_COMPARED = 4000  # lines; longer lists are compared as sets, as a diff of them takes minutes
_FLAGS = (os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
          | getattr(os, "O_BINARY", 0))  # fmt: skip


class State(NamedTuple):
    """One list as it is now. `error`: it is there and cannot be read."""

    kind: Kind
    path: Path
    data: bytes | None  # None: there is no such file
    error: str
    entries: list[access.Entry]
    problems: list[access.Problem]
    also: tuple[str, ...]  # other protocols that go by the same file

    @property
    def exists(self) -> bool:
        return self.data is not None or bool(self.error)

    @property
    def text(self) -> str:
        return decoded(self.data or b"")

    @property
    def etag(self) -> str:
        return ABSENT if self.data is None else hashlib.sha256(self.data).hexdigest()[:20]


def place(config: Config, key: str) -> Path:
    """The file that governs, or the one that would be made."""
    folder, names = _names(config, key)
    if key in DOWNLOADS:
        with suppress(OSError):
            # The server does not mind the case either.
            there = {name.lower(): name for name in os.listdir(folder)}
            for name in names:
                if name.lower() in there:
                    return folder / there[name.lower()]
    return folder / names[0]


def state(config: Config, key: str) -> State:
    """One list as it is now."""
    path = place(config, key)
    also = tuple(
        KINDS[other].word for other in DOWNLOADS if key != other and key in DOWNLOADS
        and place(config, other) == path
    )  # fmt: skip
    error = ""
    data: bytes | None = None
    try:
        data = _read(path)
    except FileNotFoundError:
        if path.is_symlink():
            error = "is a link that leads nowhere"
    except OSError as fault:
        error = fault.strerror or type(fault).__name__
    entries, problems = access.parse(decoded(data or b""))
    return State(KINDS[key], path, data, error, entries, problems, also)


def decoded(data: bytes) -> str:
    """A list as text with plain line ends. Comments of old lists are in whatever their editor wrote."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def encoded(text: str, before: bytes | None) -> bytes:
    """As it is written: each line with an end, and with those ends that the file had."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text and not text.endswith("\n"):
        text += "\n"
    ends = "\r\n" if before and before.count(b"\r\n") * 2 > before.count(b"\n") else "\n"
    return text.replace("\n", ends).encode("utf-8", "replace")


def save(
    config: Config, key: str, match: Callable[[str], None], change: Callable[[str], str | None]
) -> tuple[State, State]:
    """Write what `change(text)` makes of the list, None: remove it; what it was and what it is now.

    `match(etag)` raises when the change was meant for another state. Raises Problem, OSError. What it was
    stays in the history; at any moment the file is the old one or the new one.
    """
    copies = history(config)
    for _ in range(_TRIES):
        before = state(config, key)
        _writable(before)
        match(before.etag)
        made = change(before.text)
        data = None if made is None else encoded(made, before.data)
        if data == before.data:
            return before, before
        if data is not None and len(data) > access.MAX_LIST:
            raise Problem("too-big", f"a list has at most {access.MAX_LIST >> 20} MiB")
        _keep(copies, config, before)
        with locked(config.home.lock):
            if state(config, key)[1:3] != before[1:3]:
                continue  # somebody was faster: what they saved is looked at first
            if data is None:
                before.path.unlink(missing_ok=True)
                sync_folder(before.path.parent)
            else:
                mode = 0o644 if before.data is None else stat.S_IMODE(os.stat(before.path).st_mode)
                before.path.parent.mkdir(parents=True, exist_ok=True)
                files.replace(before.path, data, mode)
        after = state(config, key)
        _keep(copies, config, after._replace(path=before.path))
        return before, after
    raise Problem("busy", f"{before.path.name} keeps changing; try again")


def history(config: Config) -> Copies:
    """Copies of all lists."""
    return Copies(config.home.lists / "history", config.home.lock)


def versions(config: Config, key: str) -> list[Copy]:
    """What is kept of the file that governs, the newest first; what it is now is the first of them."""
    current = state(config, key)
    copies = history(config)
    with suppress(OSError):  # made by hand since: it is to be there when somebody wants it back
        _keep(copies, config, current)
    return copies.of(_key(current.path))


def version(config: Config, key: str, copy: str) -> str:
    """The text of one copy. Raises Problem."""
    kept = history(config)
    name = _key(place(config, key))
    found = next((one for one in kept.of(name) if one.id == copy), None)
    if found is None:
        raise Problem("not-found", "no such version of this list is kept")
    return "" if found.gone else decoded(kept.read(name, found.id))


def difference(before: str, after: str, name: str = "list") -> str:
    """What changed, as a unified diff; of long lists which lines went and came."""
    old, new = before.splitlines(), after.splitlines()
    if len(old) + len(new) <= _COMPARED:
        return "\n".join(difflib.unified_diff(old, new, f"{name} before", f"{name} after", lineterm="", n=2))
    gone, come = set(old) - set(new), set(new) - set(old)
    rows = [f"-{line}" for line in old if line in gone] + [f"+{line}" for line in new if line in come]
    return "\n".join(rows[:_COMPARED])


def _names(config: Config, key: str) -> tuple[Path, tuple[str, ...]]:
    if key == "banned":
        return config.home.lists, ("banned.txt",)
    if key == "backup":
        return config.http.backup_dir, ("backup_allow_IP.txt",)
    folder = {
        "tftp": config.tftp.tftp_dir, "http": config.http.http_dir, "https": config.https.https_dir,
        "ftp": config.ftp.ftp_dir,
    }[key]  # fmt: skip
    return folder, access.Lists(folder, key, None, alone=key == "ftp").names


def _read(path: Path) -> bytes:
    descriptor = os.open(path, _FLAGS)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(22, "is no file")
        data = file.read(access.MAX_LIST + 1)
    if len(data) > access.MAX_LIST:
        raise OSError(27, f"is longer than {access.MAX_LIST >> 20} MiB and is not read")
    return data


def _writable(found: State) -> None:
    if found.path.is_symlink():
        raise Problem("conflict", f"{found.path} is a link; edit what it leads to")
    if found.error:
        raise Problem("conflict", f"{found.path}: {found.error}; mend that on the server's host first")


def _key(path: Path) -> str:
    mark = hashlib.sha256(os.fsencode(os.path.realpath(path.parent))).hexdigest()[:8]
    return f"{path.parent.name or 'root'}-{mark}/{path.name}"


def _keep(copies: Copies, config: Config, found: State) -> None:
    if found.error:
        return
    now = time.time()
    if found.data is None:
        if copies.of(_key(found.path)):
            copies.gone(_key(found.path), now)
        return
    try:
        changed = os.stat(found.path).st_mtime
    except OSError:
        changed = now
    copies.keep(_key(found.path), found.data, changed, now)
