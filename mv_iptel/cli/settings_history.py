"""The commands `settings log` and `settings undo`: what scripts were before, and how that comes back."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from mv_iptel.cli.asking import changing
from mv_iptel.cli.forms import day, moment
from mv_iptel.cli.options import NEGATIVE, USAGE, common, console, end, print_json
from mv_iptel.events import Event, Notice
from mv_iptel.history import History
from mv_iptel.history.copies import Copy, choose
from mv_iptel.history.judging import found_in
from mv_iptel.history.lines import Change, changes, counted
from mv_iptel.history.undoing import Refused, undo
from mv_iptel.home import Home
from mv_iptel.journal import plain
from mv_iptel.status.words import many, size

LATELY = 20  # changes that the log of all files shows
LINES = 6  # changed lines that it shows of each
TONES = {"+": "green", "-": "red"}
VERSION = "the beginning of its time or of its checksum, as `settings log FILE` lists them"


def _history(home: Home) -> History:
    """The history with stock just taken: works without a server, and beside one."""
    config = changing(home)

    def told(event: Event) -> None:
        if isinstance(event, Notice) and not refused:
            refused.append(event)
            console.print(f"{plain(event.source)}: {plain(event.text)}", style="yellow", markup=False)

    refused: list[Notice] = []  # one word is enough where a directory cannot be written
    history = History(config, told)
    try:
        history.take_stock()
    except OSError as error:
        told(Notice("settings-history", f"{error.strerror}", source=str(error.filename or home.var)))
    return history


def _keys(history: History, wanted: str) -> list[str]:
    """The files that are meant: by path, by HTTPdata/NAME or by NAME alone."""
    keys = history.copies.files()
    by_path = history.places.key_of(Path(wanted).absolute())
    for found in (
        [key for key in keys if key in (wanted, by_path)],
        [key for key in keys if key.casefold() == wanted.casefold()],
        [key for key in keys if key.rpartition("/")[2].casefold() == wanted.casefold()],
    ):
        if found:
            return found
    end(NEGATIVE, f"no copy is kept of {plain(wanted)}; `mv-iptel settings log` lists what has changed")


def _row(history: History, key: str, copy: Copy, older: Copy | None) -> dict[str, Any]:
    """One change, with the lines that came and went."""
    row: dict[str, Any] = {
        "file": key, "version": copy.id, "time": moment(copy.time), "size": copy.size, "removed": copy.gone,
        "first": older is None,
    }  # fmt: skip
    try:
        before = b"" if older is None or older.gone else history.copies.read(key, older.id)
        after = b"" if copy.gone else history.copies.read(key, copy.id)
        found = [] if older is None else changes(before, after)
    except OSError as error:
        row["error"] = error.strerror or type(error).__name__
        found = []
    came, went = counted(found)
    return row | {"added": came, "removed_lines": went, "changes": found}


def _rows(history: History, key: str) -> list[tuple[float, dict[str, Any]]]:
    kept = history.copies.of(key)
    return [
        (copy.time, _row(history, key, copy, kept[at + 1] if at + 1 < len(kept) else None))
        for at, copy in enumerate(kept)
    ]


@click.command(name="log")
@click.argument("file", metavar="[FILE]", required=False, default="")
@click.option("--all", "everything", is_flag=True, help="All changes, with all their lines.")
@click.option("--raw", metavar="VERSION", default="", help=f"Print that copy as it was: {VERSION}.")
@common
def log_settings(home: Home, as_json: bool, file: str, everything: bool, raw: str) -> None:
    """Say when scripts and settings files changed, and in which lines, whoever edited them.

    A copy is kept at every change that the running server sees; this command looks for further ones first.
    FILE is a name, HTTPdata/NAME or a path. Who edited a file is not known. Secrets are not shown.

    \b
    Examples:
      mv-iptel settings log
      mv-iptel settings log 46xxsettings.txt
      mv-iptel settings log TFTPdata/46xxsettings.txt --raw 20260703T1200
    """
    history = _history(home)
    keys = _keys(history, file) if file else history.copies.files()
    if raw:
        if not file or len(keys) > 1:
            end(USAGE, f"--raw needs one file: {', '.join(keys) or 'name it'}")
        copy = _one(history, keys[0], raw)
        if copy.gone:
            end(NEGATIVE, f"{keys[0]} was removed then")
        sys.stdout.buffer.write(history.copies.read(keys[0], copy.id))
        sys.stdout.buffer.flush()
        return
    if file:
        rows = [row for key in keys for _, row in _rows(history, key)]
    else:
        lately = _lately(history, keys, everything or as_json)
        rows = [_row(history, key, copy, older) for key, copy, older in lately]
    if as_json:
        print_json([{**row, "changes": [one._asdict() for one in row["changes"]]} for row in rows])
    elif not rows:
        console.print("nothing is kept yet")
    else:
        _show(rows, everything)
        if not file and not everything:
            console.print(f"{many(len(keys), 'file')}; the last changes of all, more with --all", style="dim")
    end(0 if rows else NEGATIVE)


def _lately(history: History, keys: list[str], everything: bool) -> list[tuple[str, Copy, Copy | None]]:
    """The last changes of all files, the newest first. That a file was there at all is no change."""
    found = []
    for key in keys:
        kept = history.copies.of(key)
        older: list[Copy | None] = [*kept[1:], None]
        found += [(copy.id, key, copy, before) for copy, before in zip(kept, older, strict=True)]
    found.sort(key=lambda one: one[:2], reverse=True)
    changed = [one[1:] for one in found if one[3] is not None]
    return [one[1:] for one in found] if everything or not changed else changed[:LATELY]


def _show(rows: list[dict[str, Any]], everything: bool) -> None:
    for row in rows:
        head = Text(day(_time_of(row)), "dim") + Text(f"  {plain(row['file'])}", "bold")
        if row["removed"]:
            head.append("  removed", "red")
        else:
            head.append(f"  {size(row['size'])}")
            if row["first"]:
                head.append("  first copy", "dim")
            else:
                head.append(f"  +{row['added']}", "green").append(f" -{row['removed_lines']}", "red")
        # The checksum alone names a content; a removal has none.
        version = row["version"] if row["removed"] else row["version"].rpartition("-")[2]
        console.print(head.append(f"  {version}", "dim"))
        if "error" in row:
            console.print(f"    the copy cannot be read: {row['error']}", style="yellow", markup=False)
        if not row["removed"]:
            show_changes(row["changes"], None if everything else LINES)


def _time_of(row: dict[str, Any]) -> float:
    from mv_iptel.userdata.versions import time_of

    return time_of(row["version"])


def show_changes(found: list[Change], most: int | None = None) -> None:
    """Changed lines with their numbers."""
    shown = found if most is None else found[:most]
    for one in shown:
        console.print(Text(f"    {one.line:>5} {one.sign} {plain(one.text)}", TONES[one.sign]))
    if len(shown) < len(found):
        console.print(f"          and {len(found) - len(shown)} more lines", style="dim")


def _one(history: History, key: str, wanted: str) -> Copy:
    """The one copy that is meant, or the end."""
    found = list(choose(history.copies.of(key), wanted))
    if not found:
        end(NEGATIVE, f"{key} has no copy {plain(wanted)}; give {VERSION}")
    if len({copy.sha8 for copy in found}) > 1:
        end(USAGE, f"{plain(wanted)} may be {', '.join(copy.id for copy in found[:5])}; write more of it")
    return found[0]


@click.command(name="undo")
@click.argument("file")
@click.argument("version", required=False, default="")
@click.option("--dry", is_flag=True, help="Only show what would change.")
@common
def undo_settings(home: Home, as_json: bool, file: str, version: str, dry: bool) -> None:
    """Put a script or settings file back as it was: before its last change, or at VERSION.

    What is replaced is kept, so an undo can be undone. VERSION is the beginning of a copy's time or checksum,
    as `settings log FILE` lists them. Works with and without a running server.

    \b
    Examples:
      mv-iptel settings undo HTTPdata/46xxsettings.txt
      mv-iptel settings undo 46xxsettings.txt 20260703T1200 --dry
    """
    history = _history(home)
    keys = _keys(history, file)
    if len(keys) > 1:
        end(USAGE, f"{plain(file)} is kept of {', '.join(keys)}; say which")
    key = keys[0]
    kept = history.copies.of(key)
    before_that = (one for one in kept[1:] if not one.gone and one.sha8 != kept[0].sha8)
    copy = _one(history, key, version) if version else next(before_that, None)
    if copy is None:
        end(NEGATIVE, f"{key}: no earlier content is kept; there is nothing to go back to")
    try:
        if dry:
            before = b"" if kept[0].gone else history.copies.read(key, kept[0].id)
            found = changes(before, b"" if copy.gone else history.copies.read(key, copy.id))
            told: dict[str, Any] = {"done": False}
        else:
            done = undo(history, home, key, copy)
            found = changes(done.before or b"", done.after)
            told = {"done": done.before != done.after, "replaced": done.kept}
    except Refused as error:
        end(NEGATIVE, str(error))
    except OSError as error:
        end(NEGATIVE, f"{error.filename or key}: {error.strerror or error}; nothing was changed")
    broken = [] if dry else _broken(history, key)
    if as_json:
        told |= {"file": key, "version": copy.id, "changes": [one._asdict() for one in found]}
        print_json(told | {"broken": [one._asdict() for one in broken]})
        return
    if dry:
        console.print(f"{plain(key)} would be as it was on {day(copy.time)}", markup=False)
    elif told["done"]:
        console.print(f"{plain(key)} is as it was on {day(copy.time)}", style="green", markup=False)
        console.print(f"  what it replaced is kept as {told['replaced']}", style="dim", markup=False)
    else:
        console.print(f"{plain(key)} has that content already; nothing was changed", markup=False)
    show_changes(found, 40)
    for one in broken:
        console.print(f"{plain(one.file)}:{one.line}: {plain(one.text)}", style="yellow", markup=False)


def _broken(history: History, key: str) -> list[Any]:
    """The errors in the file as it is now."""
    path = history.places.path_of(key)
    root = history.places.root_of(path) if path is not None else None
    if path is None or root is None:
        return []
    return [one for one in found_in(history.places.judged(root)) if one.file == os.fspath(path)]


commands: list[click.Command] = [log_settings, undo_settings]
