"""Copies of users' data that wait to be fetched: one ZIP each, for the manager alone, not for long."""

from __future__ import annotations

import io
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from manager.problems import Problem
from mv_iptel.config import Config
from mv_iptel.home import Home
from mv_iptel.userdata import exporting
from mv_iptel.userdata.disk import make_folder

KEPT = 3600.0  # seconds: names and numbers of people lie nowhere longer than they must
_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[A-Za-z0-9_-]{22}\Z")


def folder_of(home: Home) -> Path:
    return home.manager / "data" / "exports"


def make(
    config: Config, who: tuple[str, ...], old: bool, say: Callable[[str, int, int], None], now: float
) -> dict[str, Any]:
    """Write the ZIP, of all or of some extensions and files; tell what is in it. Raises Problem."""
    from mv_iptel.cli.backup_views import rows_of, write_table

    prune(config.home, now)
    say("looking at what is kept", 0, 0)
    rows = rows_of(config, who)
    if not rows:
        raise Problem("not-found", f"nothing is kept{' of ' + ', '.join(who)[:200] if who else ' yet'}")
    text = io.StringIO()
    write_table(rows, text)

    def names() -> Iterator[str]:
        for number, row in enumerate(rows):
            say(row["file"], number, len(rows))
            yield row["file"]

    made = f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}-{secrets.token_urlsafe(16)}"
    folder = folder_of(config.home)
    make_folder(folder)
    folder.chmod(0o700)
    path, table = folder / f"{made}.zip", text.getvalue().encode("utf-8")
    taken = exporting.to_zip(config, names(), path, old, False, table)
    say(f"{taken.files} files", len(rows), len(rows))
    return {"id": made, "files": taken.files, "octets": taken.octets, "left": list(taken.left[:100])}


def find(home: Home, key: str, now: float) -> tuple[Path, str]:
    """The file of an export, and what it is called when it is fetched. Raises LookupError."""
    prune(home, now)
    path = folder_of(home) / f"{key}.zip"
    if not _ID.match(key) or not path.is_file():
        raise LookupError("this copy is gone: copies are removed after an hour; make another one")
    return path, f"userdata-{key[:15]}.zip"


def prune(home: Home, now: float) -> int:
    """Remove what is older than `KEPT`, and what a crash left half written."""
    gone = 0
    with suppress(OSError):
        for path in folder_of(home).iterdir():
            with suppress(OSError):
                if now - path.stat().st_mtime > KEPT:
                    path.unlink()
                    gone += 1
    return gone
