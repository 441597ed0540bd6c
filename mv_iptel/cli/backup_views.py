"""How the command `backups` finds and shows users' data: rows of a list, one name with its versions."""

from __future__ import annotations

import time
import zlib
from typing import TYPE_CHECKING, Any, TextIO

from rich.text import Text

from mv_iptel.cli.forms import Columns, day, moment, write_csv
from mv_iptel.cli.options import NEGATIVE, USAGE, console, end
from mv_iptel.config import Config
from mv_iptel.journal import plain
from mv_iptel.status.words import HOWS, mac, size
from mv_iptel.userdata import compare, history, versions
from mv_iptel.userdata.names import Kept, parse

if TYPE_CHECKING:
    from mv_iptel.userdata.policies import Pins

FIELDS = ("extension", "class", "file", "size", "since", "changed", "op", "address", "mac", "model", "over",
          "how", "versions", "archived", "bytes", "password")  # fmt: skip
DAMAGED = (OSError, EOFError, zlib.error)  # what reading a version may come to; the last two from the archive
TONES = {compare.ADDED: "green", compare.REMOVED: "red", compare.CHANGED: "yellow"}
_BY = ("op", "address", "mac", "model", "proto", "how")


# what is meant


def pins_of(config: Config) -> Pins:
    """The remembered passwords of this home."""
    from mv_iptel.userdata.policies import Pins

    return Pins(config.home.var / "pins", time.time)


def pinned(config: Config) -> dict[str, float]:
    """Since when a password is remembered, by file; nothing if this user may not read that."""
    try:
        return dict(pins_of(config).all())
    except (OSError, ValueError):
        return {}


def _class(kept: Kept) -> str:
    return kept.cls + (" SIP" if kept.sip else "")


def wanted_of(who: str) -> str:
    """A canonical name, or an extension; ends the command for anything else."""
    kept = parse(who)
    if kept is not None and "/" not in who:
        return kept.file
    if who.isascii() and who.isdigit():
        return who
    end(USAGE, f"{plain(who)}: neither an extension nor a name such as 4711_96xxdata.txt")


def names_of(config: Config, who: str) -> list[str]:
    """The names that are meant, of which something is kept; ends the command if there is none."""
    wanted = wanted_of(who)
    if wanted.isdigit():
        found = [held.name for held in versions.listing(config) if held.kept.ext == wanted]
    else:
        found = [wanted] if versions.of(config, wanted) else []
    if not found:
        end(NEGATIVE, f"nothing is kept of {wanted}; `mv-iptel backups list` shows what is")
    return found


def only(names: list[str]) -> str:
    """The one that is meant; ends the command where an extension has several."""
    if len(names) > 1:
        end(USAGE, f"there are several: {', '.join(names)}; name the one you mean")
    return names[0]


def find(config: Config, name: str, version: str) -> versions.Version:
    """The version that is meant; ends the command if there is none."""
    try:
        return versions.find(config, name, version)
    except LookupError as error:
        end(NEGATIVE, f"{error}; `mv-iptel backups show {name}` lists them")


def read(config: Config, name: str, version: str) -> bytes:
    """A content; ends the command if it is gone or cannot be read."""
    try:
        return versions.read(config, name, version)
    except LookupError as error:
        end(NEGATIVE, str(error))
    except PermissionError as error:
        end(USAGE, f"{name}: {words_of(error)}; run as a user who may read it")
    except DAMAGED as error:
        end(NEGATIVE, f"{name}: version {version} cannot be read: {words_of(error)}")


def words_of(error: Exception) -> str:
    """What a fault of the disk or of a lookup says to people."""
    if isinstance(error, OSError):
        return ": ".join(filter(None, (str(error.filename or ""), error.strerror or str(error))))
    return str(error.args[0] if error.args else error)


# a list


def rows_of(config: Config, chosen: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """What is kept, as plain rows. `chosen` are extensions and names; none is everything."""
    wanted = {wanted_of(one) for one in chosen}
    pins = pinned(config)
    rows = []
    for held in versions.listing(config):
        if wanted and held.name not in wanted and held.kept.ext not in wanted:
            continue
        changes = history.latest(versions.folder_of(config, held.name))
        last = changes[0] if changes else history.Change(0.0, "")
        rows.append(
            {
                "extension": held.kept.ext, "class": _class(held.kept), "file": held.name,
                "size": held.current.size if held.current else None, "since": held.since,
                "changed": last.time or held.changed, "op": last.op, "address": last.address,
                "mac": last.mac, "model": last.model, "over": last.proto, "how": last.how,
                "versions": held.versions, "archived": held.archived, "bytes": held.octets,
                "password": held.name in pins,
            }
        )  # fmt: skip
    return sorted(rows, key=lambda row: (len(row["extension"]), row["file"]))  # 4711 before 20001


def write_table(rows: list[dict[str, Any]], out: TextIO) -> None:
    """The same as CSV, with times that programs read."""
    told = (
        {
            **row, "since": moment(row["since"]), "changed": moment(row["changed"]),
            "size": "" if row["size"] is None else row["size"], "password": int(row["password"]),
        }
        for row in rows
    )  # fmt: skip
    write_csv(FIELDS, told, out)


# one name


def shown(config: Config, name: str, version: str) -> dict[str, Any]:
    """One name with its content and versions, for people and for programs."""
    kept = parse(name)
    assert kept is not None
    every = versions.of(config, name)
    changes = versions.changes(config, name)
    meant = find(config, name, version) if version else every[0]
    content = compare.parse(read(config, name, meant.id))
    rows = []
    for one in every:
        by = history.stored_by(changes, one.sha8, one.time)
        rows.append({**one._asdict(), **{key: getattr(by, key) for key in _BY}})
    return {
        "file": name, "extension": kept.ext, "class": _class(kept),
        "deleted": every[0].id != versions.CURRENT,
        "shown": meant.id, "summary": content.summary(), "encoding": content.encoding, "ends": content.ends,
        "entries": [entry._asdict() for entry in content.entries], "more": content.more, "versions": rows,
        "changes": [change._asdict() for change in changes],
        "password_since": pinned(config).get(name),
    }  # fmt: skip


def show(told: dict[str, Any]) -> None:
    """What `shown` found, for people."""
    every, current = told["versions"], told["shown"]
    row = next(one for one in every if one["id"] == current)
    console.print(plain(told["file"]), style="bold", markup=False)
    if told["deleted"]:
        last = told["changes"][-1] if told["changes"] else None
        when = f" on {day(last['time'])}" if last and last["op"] == "delete" else ""
        console.print(f"  deleted{when}; this is the newest version", style="yellow", markup=False)
    form = ", ".join(filter(None, (told["encoding"], told["ends"])))
    facts = [
        ("extension", told["extension"] or "none in its name"),
        ("phones", told["class"]),
        ("content", f"{told['summary']}; {size(row['size'])}{', ' + form if form else ''}"),
        ("stored", f"{day(row['time'])} {_by(row)}".rstrip()),
    ]
    if told["password_since"]:
        facts.append(("password", f"remembered since {day(told['password_since'])}"))
    for what, value in facts:
        console.print(f"  {what:<11} {value}", markup=False)
    console.print()
    if told["entries"]:
        for entry in told["entries"]:
            term = f"{plain(entry['term'], 60)}  " if entry["term"] else ""
            console.print(Text(f"  {term}", "dim") + Text(plain(entry["value"], 300)))
        if told["more"]:
            console.print(f"  and {told['more']:,} more lines; --raw shows all", style="dim")
    elif not told["encoding"]:
        console.print("  this is no text; --raw gives its bytes", style="yellow")
    console.print("\nVersions", style="bold")
    table = Columns("version", "stored", ">size", "where", "by")
    for one in every:
        mark = "*" if one["id"] == current and len(every) > 1 else ""
        place = "archive" if one["place"] == "archive" else ""
        table.add_row(f"{one['id']}{mark}", day(one["time"]), size(one["size"]), place, _by(one) or "-")
    table.show()


def _by(row: dict[str, Any]) -> str:
    """Who stored it, in words."""
    if not row.get("op"):
        return ""
    who = " ".join(filter(None, (plain(row["model"]), mac(row["mac"]), plain(row["address"]))))
    over = f"over {plain(row['proto'])}" if row["proto"] else ""
    how = HOWS.get(row["how"], plain(row["how"]))
    text = " ".join(filter(None, (f"from {who}" if who else "", over)))
    return f"{text}, {how}" if text and how else text or how


# two versions


def show_differences(found: list[compare.Difference]) -> None:
    """What changed, a sentence a line."""
    if not found:
        console.print("  no difference", style="green")
    tones = {one.words(): TONES.get(one.what, "") for one in found}
    for sentence in compare.sentences(found):
        console.print(f"  {plain(sentence)}", style=tones.get(sentence, ""), markup=False)
