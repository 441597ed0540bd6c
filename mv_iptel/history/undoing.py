"""Puts an earlier content of a script back. What it replaces is kept first, so that an undo can be undone."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

from mv_iptel import files
from mv_iptel.history.copies import Copy
from mv_iptel.history.keeper import History
from mv_iptel.home import Home
from mv_iptel.userdata.disk import locked

_TRIES = 5  # somebody else is saving the file at the same moment


class Undone(NamedTuple):
    """What an undo did: the content before (None: there was no file) and after."""

    path: Path
    copy: Copy  # what is in force again
    before: bytes | None
    after: bytes
    kept: str  # the id of the copy that holds `before`


class Refused(Exception):
    """It was not done; the argument says why."""


class _Edited(Exception):
    """Somebody else saved the file while it was being replaced."""


def _same(path: Path, state: list[tuple[int, ...]]) -> None:
    if files.states([path]) != state:
        raise _Edited


def undo(history: History, home: Home, key: str, copy: Copy) -> Undone:
    """Make this copy the file's content. Raises Refused, OSError."""
    path = history.places.path_of(key)
    if path is None:
        raise Refused(f"{key}: its directory is not among those of this server any more")
    if copy.gone:
        raise Refused(f"{key} was removed then; remove it by hand if that is what you want")
    if path.is_symlink():
        raise Refused(f"{path} is a link; undo what it leads to")
    if history.places.key_of(path) != key:
        raise Refused(f"{path.parent} leads elsewhere now; undo what it leads to")
    after = history.copies.read(key, copy.id)
    for _ in range(_TRIES):
        history.take(path)
        newest = history.copies.of(key)[0]
        with locked(home.lock):
            state = files.states([path])
            content = history.places.read(path, known=True)
            before = None if content is None else content.data
            if before is not None and (newest.gone or history.copies.read(key, newest.id) != before):
                continue  # changed since it was kept
            if before != after:
                mode = 0o644 if content is None else stat.S_IMODE(os.stat(path).st_mode)
                try:
                    files.replace(path, after, mode, last=lambda seen=state: _same(path, seen))
                except _Edited:
                    continue
        history.take(path)
        return Undone(path, copy, before, after, newest.id)
    raise Refused(f"{path} keeps changing; try again")
