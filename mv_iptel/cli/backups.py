"""The command `backups`: whose data is kept, what changed in it, and how it comes back."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from urllib.parse import quote

import click
from rich.text import Text

from mv_iptel.cli.asking import Refused, Unreachable, changing, did, get, installed, post, refresh
from mv_iptel.cli.backup_views import (
    DAMAGED,
    find,
    names_of,
    only,
    pinned,
    pins_of,
    read,
    rows_of,
    show,
    show_differences,
    shown,
    wanted_of,
    words_of,
    write_table,
)
from mv_iptel.cli.forms import Columns, day
from mv_iptel.cli.options import NEGATIVE, USAGE, common, console, end, print_json
from mv_iptel.config import Config
from mv_iptel.home import Home
from mv_iptel.journal import plain
from mv_iptel.library.answers import Refuse
from mv_iptel.status.words import REASONS, count, mac, many, size
from mv_iptel.userdata import compare, exporting, versions
from mv_iptel.userdata.names import parse

VERSION = "the beginning of its time or of its checksum, as `backups show` lists them, or `current`"


@click.group()
def backups() -> None:
    """Users' data that the phones gave to keep: labels, speed dials, options.

    \b
    Examples:
      mv-iptel backups list
      mv-iptel backups show 4711
      mv-iptel backups diff 4711_96xxdata.txt
      mv-iptel backups restore 4711_96xxdata.txt 20260703T1200
    """


# list


@backups.command(name="list")
@click.argument("ext", metavar="[EXT|FILE]...", nargs=-1)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV: who has data, and since when.")
@common
def list_backups(home: Home, as_json: bool, ext: tuple[str, ...], as_csv: bool) -> None:
    """List whose data is kept, since when, and from which phone it came last.

    \b
    Examples:
      mv-iptel backups list
      mv-iptel backups list 4711
      mv-iptel backups list --csv > who-has-data.csv
    """
    config = installed(home)
    rows = rows_of(config, ext)
    if as_json:
        print_json(rows)
    elif as_csv:
        write_table(rows, sys.stdout)
    elif not rows:
        console.print("nothing is kept" + (f" of {plain(', '.join(ext))}" if ext else " yet"), markup=False)
    else:
        table = Columns("extension", "class", ">size", "since", "changed", "from", "", ">versions",
                        ">archived", ">on disk")  # fmt: skip
        for row in rows:
            what = "deleted" if row["size"] is None else size(row["size"])
            tone = "" if row["size"] else "yellow"
            who = "restored" if row["op"] == "restore" else plain(row["model"] or mac(row["mac"]))
            table.add_row(
                row["extension"] or "-", row["class"], Text(what, tone), day(row["since"])[:10],
                day(row["changed"])[:16], who or "-", plain(row["address"]), count(row["versions"]),
                count(row["archived"]), size(row["bytes"]),
            )  # fmt: skip
        table.show()
        octets = sum(row["bytes"] for row in rows)
        people = len({row["extension"] for row in rows if row["extension"]})
        text = f"{many(len(rows), 'file')} of {many(people, 'extension')}, {size(octets)} on the disk"
        console.print(text, style="dim")
    end(0 if rows else NEGATIVE)


# show


@backups.command(name="show")
@click.argument("who", metavar="EXT|FILE")
@click.option("--version", "version", default="", metavar="ID", help=f"Another content: {VERSION}.")
@click.option("--raw", is_flag=True, help="Print the bytes as they are kept, and nothing else.")
@common
def show_backup(home: Home, as_json: bool, who: str, version: str, raw: bool) -> None:
    """Show a user's data as the user knows it, and the versions that are kept.

    \b
    Examples:
      mv-iptel backups show 4711
      mv-iptel backups show 4711_96xxdata.txt --version 20260703T1200
      mv-iptel backups show 4711_96xxdata.txt --raw > 4711.txt
    """
    config = installed(home)
    names = names_of(config, who)
    if raw:
        sys.stdout.buffer.write(read(config, only(names), version or versions.CURRENT))
        sys.stdout.buffer.flush()
        return
    if version:
        only(names)
    told = [shown(config, name, version) for name in names]
    if as_json:
        print_json(told)
        return
    for number, one in enumerate(told):
        if number:
            console.print()
        show(one)


# diff


@backups.command(name="diff")
@click.argument("file", metavar="EXT|FILE")
@click.argument("old", required=False, default="")
@click.argument("new", required=False, default="")
@common
def diff_backups(home: Home, as_json: bool, file: str, old: str, new: str) -> None:
    """Say what changed from one version to another: the one before the current, and the current.

    OLD and NEW are the beginning of a version's time or checksum, as `backups show` lists them, or `current`.

    \b
    Examples:
      mv-iptel backups diff 4711_96xxdata.txt
      mv-iptel backups diff 4711 20260701
      mv-iptel backups diff 4711_96xxdata.txt 20260701 20260703
    """
    config = installed(home)
    name = only(names_of(config, file))
    every = versions.of(config, name)
    after = find(config, name, new) if new else every[0]
    if old:
        before = find(config, name, old)
    else:
        at = next((number for number, one in enumerate(every) if one.id == after.id), 0)
        if at + 1 >= len(every):
            end(NEGATIVE, f"{name}: no version is older than {after.id}; there is nothing to compare")
        before = every[at + 1]
    found = compare.differences(read(config, name, before.id), read(config, name, after.id))
    if as_json:
        differences = [{**one._asdict(), "words": one.words()} for one in found]
        print_json(
            {"file": name, "old": before._asdict(), "new": after._asdict(), "differences": differences}
        )
        return
    spans = " -> ".join(f"{one.id} ({day(one.time)}, {size(one.size)})" for one in (before, after))
    console.print(f"{name}: {spans}", style="bold", markup=False)
    show_differences(found)


# restore


@backups.command(name="restore")
@click.argument("file", metavar="EXT|FILE")
@click.argument("version")
@common
def restore_backup(home: Home, as_json: bool, file: str, version: str) -> None:
    """Make an earlier version the current one again. What it replaces becomes a version itself.

    VERSION is the beginning of its time or of its checksum, as `backups show` lists them. Works with and
    without a running server. The phone has it at its next restore, which comes with its user's next login.

    \b
    Examples:
      mv-iptel backups restore 4711_96xxdata.txt 20260703T1200
      mv-iptel backups restore 4711 a1b2c3d4
    """
    config = changing(home)
    name = only(names_of(config, file))
    wanted = find(config, name, version)
    data = read(config, name, wanted.id)
    current = versions.of(config, name)[0]
    before = read(config, name, current.id) if current.id == versions.CURRENT else b""
    try:
        stored = versions.restore(config, name, wanted.id)
    except (LookupError, *DAMAGED) as error:
        end(NEGATIVE, f"{name} was not restored: {words_of(error)}")
    if isinstance(stored, Refuse):
        end(NEGATIVE, f"{name} was not restored: {REASONS.get(stored.reason, '')}; {stored.detail}")
    refresh(config)
    found = compare.differences(before, data)
    if as_json:
        told = [{**one._asdict(), "words": one.words()} for one in found]
        print_json({**stored._asdict(), "version": wanted._asdict(), "differences": told})
    elif stored.same:
        console.print(f"{name} has that content already; nothing was changed", markup=False)
    else:
        console.print(f"{name} is as it was on {day(wanted.time)}", style="green", markup=False)
        show_differences(found)
        if current.id == versions.CURRENT:
            kept = next((one.id for one in versions.of(config, name)[1:] if one.sha8 == current.sha8), "")
            text = f"  what it replaced is kept as {kept}" if kept else ""
            console.print(text, style="dim", markup=False)


# export


@backups.command(name="export")
@click.argument("target", metavar="DIR|ZIP", required=False, default="")
@click.argument("who", metavar="[EXT|FILE]...", nargs=-1)
@click.option("--versions", "old", is_flag=True, help="Also the versions, under versions/FILE/.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there already.")
@click.option("--csv", "as_csv", is_flag=True, help="Only the list, as CSV: to the file named, else printed.")
@common
def export_backups(
    home: Home, as_json: bool, target: str, who: tuple[str, ...], old: bool, overwrite: bool, as_csv: bool
) -> None:
    """Copy users' data into a folder or a ZIP, with a list of it: all, or that of some extensions.

    Nothing that is there already is replaced without --overwrite. The bytes are those that the phones gave.

    \b
    Examples:
      mv-iptel backups export /srv/copies/2026-07 --versions
      mv-iptel backups export users.zip 4711 4712
      mv-iptel backups export --csv > who-has-data.csv
    """
    config = installed(home)
    if not target and not as_csv:
        end(USAGE, "name a folder or a ZIP, or ask for the list with --csv; see --help")
    rows = rows_of(config, who)
    if not rows:
        end(NEGATIVE, f"nothing is kept{' of ' + plain(', '.join(who)) if who else ' yet'}")
    text = io.StringIO()
    write_table(rows, text)
    table = text.getvalue().encode("utf-8")
    if not target:
        print_json(rows) if as_json else click.echo(text.getvalue(), nl=False)
        return
    if not who and _is_kept(config, target):
        end(USAGE, f"{plain(target)} is whose data to copy; name the folder or the ZIP before it")
    path = Path(target)
    if root := exporting.served(config, path):
        end(USAGE, f"{path} lies in {root}, where every phone could fetch it; name another place")
    try:
        taken = _export(config, [row["file"] for row in rows], path, old, overwrite, table, as_csv)
    except exporting.Exists as error:
        there = ", ".join(str(one) for one in error.paths[:5]) + (" ..." if len(error.paths) > 5 else "")
        end(NEGATIVE, f"there already: {there}; nothing was written. --overwrite replaces them")
    except OSError as error:
        end(NEGATIVE, f"{path}: {words_of(error)}")
    if as_json:
        print_json({"target": os.fspath(path), **taken._asdict()})
    else:
        for one in taken.left:
            console.print(f"left out: {one}", style="yellow", markup=False)
        what = "the list" if as_csv else f"{many(taken.files, 'file')}, {size(taken.octets)}"
        console.print(f"{what} written to {path}", style="green", markup=False)
    end(NEGATIVE if taken.left else 0)


def _is_kept(config: Config, text: str) -> bool:
    """Whether somebody forgot the target: this is an extension or a file that something is kept of."""
    return any(text in (held.name, held.kept.ext) for held in versions.listing(config))


def _export(
    config: Config, names: list[str], path: Path, old: bool, overwrite: bool, table: bytes, only_list: bool
) -> exporting.Taken:
    if only_list:
        return exporting.to_file(path, table, overwrite)
    write = exporting.to_zip if path.suffix.lower() == ".zip" else exporting.to_folder
    return write(config, names, path, old, overwrite, table)


# unpin


@backups.command(name="unpin")
@click.argument("file", metavar="EXT|FILE")
@common
def unpin_backup(home: Home, as_json: bool, file: str) -> None:
    """Forget the password that belongs to a user's data; the next backup brings a new one.

    For the policy `pin`, when a phone's registration password was changed and its backups are refused with
    pin-mismatch.

    \b
    Example:
      mv-iptel backups unpin 4711_96xxdata.txt
    """
    config = changing(home)
    kept = parse(file)
    if kept is None or "/" in file:
        wanted = wanted_of(file)
        pins = [name for name in pinned(config) if (one := parse(name)) and one.ext == wanted]
        if not pins:
            end(NEGATIVE, f"no password is remembered for extension {wanted}")
        name = only(pins)
    else:
        name = kept.file
    done = f"the password of {name} is forgotten; the next backup brings a new one"
    try:
        get(config, "/slots")
    except (Unreachable, Refused):
        try:
            found = pins_of(config).release(name)
        except (OSError, ValueError) as error:
            end(NEGATIVE, f"{name}: {words_of(error)}")
        if not found:
            end(NEGATIVE, f"no password is remembered for {name}")
        if as_json:
            print_json({"ok": True})
        else:
            console.print(done, style="green", markup=False)
        return
    did(lambda: post(config, f"/control/backups/{quote(name)}/unpin"), as_json, done)


commands: list[click.Command] = [backups]
