"""The command `settings-diff`: which phones a change of scripts and settings touches, and how."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from mv_iptel.addresses import mac_of
from mv_iptel.cli.asking import installed
from mv_iptel.cli.forms import beside, window
from mv_iptel.cli.options import NEGATIVE, USAGE, common, console, end, print_json
from mv_iptel.cli.sim_options import handset_of
from mv_iptel.home import Home
from mv_iptel.inventory import Reader
from mv_iptel.journal import plain
from mv_iptel.phones.differences import Change, Lines, Trouble, masked
from mv_iptel.phones.families import MODELS
from mv_iptel.phones.naming import name as named
from mv_iptel.phones.served import Served, pair
from mv_iptel.phones.whom import Block, Comparison, Kind, Phone, compare, phones_of

SHOWN = 12  # lines of one group of phones, unless --all
VALUE = 48  # characters of a value that a line shows


@click.command(name="settings-diff")
@click.argument("old", type=click.Path(exists=True, path_type=Path))
@click.argument("new", type=click.Path(exists=True, path_type=Path))
@click.option("--model", "models", default="", metavar="LIST", help="These models instead of the inventory.")
@click.option(
    "--group",
    "groups",
    default="",
    metavar="LIST",
    help="In these groups. Default: 0, and each that scripts ask for.",
)
@click.option("--sig", type=click.Choice(["h323", "sip"], case_sensitive=False), help="With this signalling.")
@click.option("--mac", default="", help="With --model: that phone's MAC.")
@click.option("--all", "everything", is_flag=True, help="Show every line, however many.")
@common
def settings_diff(
    home: Home, as_json: bool, old: Path, new: Path, models: str, groups: str, sig: str | None, mac: str,
    everything: bool,
) -> None:  # fmt: skip
    """Say which phones a change touches: what OLD and NEW, files or directories, make of each.

    \b
    Examples:
      mv-iptel settings-diff HTTPdata/46xxsettings.txt /tmp/46xxsettings.txt
      mv-iptel settings-diff /srv/HTTPdata /srv/HTTPdata.new --json
      mv-iptel settings-diff old.txt new.txt --model 9611G,4621SW --group 0,876

    Each phone of the inventory is judged: its upgrade script, firmware and settings are played over both.
    Phones that would stop finding firmware or settings come first. Values of secrets are not shown. Nothing
    is changed and nobody is asked. Ends with 0 if no phone notices anything, with 1 if any does.
    """
    chosen = _groups(groups)
    signalling = (sig or "").upper()
    if mac and not models:
        end(USAGE, "--mac goes with --model; without it each phone of the inventory is judged")
    phones, source = (_given(models, sig, mac), "given") if models else _known(home, signalling)
    try:
        sides = pair(old, new)
    except OSError as error:
        end(USAGE, f"{error.filename}: {error.strerror}")
    if isinstance(sides, str):
        end(USAGE, sides)
    if chosen:
        phones = [phone._replace(group=chosen[0]) for phone in phones]
    found = compare(*sides, phones, chosen[1:] if chosen else None)
    if as_json:
        print_json(_as_dict(found, source))
    else:
        _show(found, source, sides, SHOWN if not everything else 1 << 30)
    end(NEGATIVE if found else 0)


def _given(models: str, sig: str | None, mac: str) -> list[Phone]:
    found = []
    for model in filter(None, (one.strip() for one in models.split(","))):
        handset = handset_of(model, sig=sig, **({"mac": mac} if mac else {}))
        found.append(Phone(handset.model, mac_of(mac) or "", signalling=handset.signalling))
    return found or end(USAGE, "--model names no model")


def _known(home: Home, signalling: str) -> tuple[list[Phone], str]:
    """The inventory's phones; every model that there is, where none were seen."""
    found: list[Phone] = []
    if home.ini.exists() or home != Home.find():
        reader = Reader(installed(home).settings.database)
        rows, read = reader.everyone(), reader.upgrade_scripts()
        reader.close()
        found = phones_of(rows, read)
    if found:
        return [phone._replace(signalling=signalling or phone.signalling) for phone in found], "inventory"
    every = [Phone(model, signalling=signalling) for model in MODELS]
    return every, "models"


def _groups(text: str) -> list[str]:
    groups = [one.strip() for one in text.split(",") if one.strip()]
    for one in groups:
        if not (one.isascii() and one.isdigit() and int(one) <= 999):
            end(USAGE, f"--group {plain(one)}: numbers from 0 to 999 are needed, as in 0,876")
    return list(dict.fromkeys(str(int(one)) for one in groups))


# As text.

TITLES = (
    ("breaks", "Would stop finding firmware, settings or files", "bold red"),
    ("mends", "Would find again what is missing now", "bold green"),
    ("changes", "Would have other settings", "bold"),
)
JUDGED = {
    "inventory": "Phones of the inventory",
    "given": "Models",
    "models": "The inventory has no phones, so every known model is judged",
}


def _show(found: Comparison, source: str, sides: tuple[Served, Served], shown: int) -> None:
    counted = source == "inventory"
    supposed = False
    for part, title, style in TITLES:
        blocks: list[Block] = getattr(found, part)
        if blocks:
            console.print(title, style=style)
        for block in blocks:
            supposed = supposed or (counted and not all(found.kinds[kind] for kind in block.kinds))
            _show_block(block, found, counted, part, shown)
    if not found:
        console.print("No phone would notice anything.", style="green")
    kinds = f"{len(found.kinds):,} kinds by model, group and MAC"
    console.print(f"{JUDGED[source]}: {found.kinds.total():,}; {kinds}", style="dim", markup=False)
    for text in _notes(found, counted, supposed, sides):
        console.print(text, style="dim", markup=False)


def _notes(found: Comparison, counted: bool, supposed: bool, sides: tuple[Served, Served]) -> Iterable[str]:
    if supposed:
        yield "The inventory does not know groups: phones are counted as group 0 (or the first of --group)."
    if sides[0].start:
        yield "No upgrade script leads to these files: phones are taken to begin with them."
    if found.scriptless:
        count = f"{found.count(found.scriptless):,} phones, " if counted else ""
        yield f"Find no upgrade script, then and now: {count}{named(found.scriptless, found.kinds)}"
    if found.strange:
        models = ", ".join(plain(model, 30) or "-" for model, _ in found.strange.most_common(8))
        yield f"Not judged, for nobody knows their model: {found.strange.total():,} ({models})"


def _show_block(block: Block, found: Comparison, counted: bool, part: str, shown: int) -> None:
    who = _who(block, found)
    count = f"{block.phones:,} phone{'s' if block.phones != 1 else ''}: " if counted and block.phones else ""
    console.print(beside(Text("  "), Text(f"{count}{who}", "cyan"), window()))
    most = shown if len(block.told) > shown + 1 else len(block.told)
    for told in block.told[:most]:
        line = Text()
        if isinstance(told.what, Trouble):
            line.append(plain(f"was: {told.what.text}" if part == "mends" else told.what.text, 300))
        else:
            line.append_text(_change(told.what))
        line.append(plain(f"  {_where(told.lines)}", 200), "dim")
        console.print(beside(Text("    "), line, window()))
    if len(block.told) > most:
        console.print(f"    and {len(block.told) - most} more; --all shows them", style="dim")


def _who(block: Block, found: Comparison) -> str:
    """The phones of a block, among those that find an upgrade script."""
    return named(block.kinds, found.kinds.keys() - (found.scriptless - block.kinds))


def _change(change: Change) -> Text:
    line = Text(f"{plain(change.name, 80)}  ", "bold")
    old, new = _values(change)
    if change.sort == "rejected":
        line.append(plain(f"SET to {new} fails, {old} stays: ", 200)).append(plain(change.why, 300), "red")
        return line
    line.append(f"{old} → {new}")
    if change.sort == "ignored":
        line.append(f"  ignored: {change.why or 'they do not take it'}", "yellow")
    elif change.sort == "unknown":
        line.append("  no such setting is known", "yellow")
    return line


def _values(change: Change) -> tuple[str, str]:
    """Both values as they may be shown."""
    old = _value(change.name, change.old, change.was_set)
    new = _value(change.name, change.new, change.is_set)
    if old == new:
        new += ", another one" if change.old else ""
    return old, new


def _value(name: str, value: str | None, is_set: bool) -> str:
    if value is None:
        return "not set"
    text = plain(masked(name, value), VALUE) or '""'
    return text if is_set else f"{text} (default)"


def _where(lines: frozenset[Lines]) -> str:
    """The line that makes the change, or both where they are few."""
    new = sorted({each.new for each in lines if each.new})
    old = sorted({each.old for each in lines if each.old})
    if new:
        return _places(new)
    return f"was {_places(old)}" if old else ""


def _places(places: list[tuple[str, int]]) -> str:
    more = f" and {len(places) - 2} more lines" if len(places) > 2 else ""
    return ", ".join(f"{file}:{line}" for file, line in places[:2]) + more


# As JSON.


def _as_dict(found: Comparison, source: str) -> dict[str, Any]:
    counted = source == "inventory"
    return {
        "changed": bool(found),
        "judged": source,
        "phones": found.kinds.total() if counted else None,
        "kinds": len(found.kinds),
        "unknown_models": dict(found.strange),
        "without_script": _kinds(found.scriptless),
        **{part: [_block(block, found, counted) for block in getattr(found, part)] for part, _, _ in TITLES},
    }


def _block(block: Block, found: Comparison, counted: bool) -> dict[str, Any]:
    told = []
    for each in block.told:
        if isinstance(each.what, Trouble):
            told.append({"kind": each.what.kind, "text": each.what.text, **_json_lines(each.lines)})
            continue
        change = each.what
        values = {
            key: None if value is None else masked(change.name, value)
            for key, value in (("old", change.old), ("new", change.new))
        }
        told.append({
            "name": change.name, "effect": change.sort, **values, "old_set": change.was_set,
            "new_set": change.is_set, "why": change.why, **_json_lines(each.lines),
        })  # fmt: skip
    return {
        "phones": block.phones if counted else None,
        "who": _who(block, found),
        "kinds": _kinds(block.kinds),
        "told": told,
    }


def _json_lines(lines: frozenset[Lines]) -> dict[str, list[dict[str, Any]]]:
    return {
        f"{key}_lines": [
            {"file": file, "line": line}
            for file, line in sorted({getattr(one, key) for one in lines} - {None})
        ]
        for key in ("old", "new")
    }


def _kinds(kinds: Iterable[Kind]) -> list[dict[str, str]]:
    return [kind._asdict() for kind in sorted(kinds)]


commands: list[click.Command] = [settings_diff]
