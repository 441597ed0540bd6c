"""How releases, plans and what `verify` found are shown: as tables, and as plain values for JSON."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich.text import Text

from mv_iptel.cli.forms import Columns, beside, day, moment, window
from mv_iptel.cli.options import console
from mv_iptel.firmware import generations
from mv_iptel.firmware.planning import Plan
from mv_iptel.firmware.releases import Release
from mv_iptel.firmware.verifying import Verified
from mv_iptel.home import Home
from mv_iptel.journal import plain
from mv_iptel.status.words import many, size

TONES = {"published": "green", "ring": "cyan", "staged": "", "refused": "red", "arriving": "yellow"}
WORDS = {
    "new": "come",
    "replaced": "replace another content",
    "merged": "replace one, with the site's lines at the top",
    "same": "are there already",
    "kept": "stay as the site has them",
}
SHOWN = 12


def show_list(found: list[Release], home: Home) -> None:
    if not found:
        console.print("no release is here; `mv-iptel firmware install ZIP` takes one in", markup=False)
        return
    table = Columns("release", "state", ">size", "changed", "")
    for one in found:
        state = Text(one.state, TONES.get(one.state, "dim"))
        table.add_row(plain(one.id), state, size(one.size), day(one.changed)[:16], plain(one.note, 200))
    table.show()
    now = generations.current(home)
    if now.number:
        text = f"generation {now.number}, since {day(now.time)}: {many(len(now.files), 'file')} published"
        console.print(text, style="dim", markup=False)


def show_release(one: Release) -> None:
    state = f"{one.state}, {size(one.size)}, by {one.source}, {day(one.arrived)}"
    console.print(Text(plain(one.id), "bold") + Text(f"  {state}", "dim"))
    if one.note:
        console.print(f"  {plain(one.note, 500)}", style="yellow", markup=False)
    roles = Counter(file.role for file in one.files)
    places = Counter(file.place for file in one.files)
    what = ", ".join(f"{count:,} {role}" for role, count in roles.most_common())
    where = ", ".join(f"{count:,} to {place}" for place, count in sorted(places.items()))
    console.print(f"  {what}; {where}" if one.files else "  it has no files", markup=False)
    for file in [file for file in one.files if file.role in ("script", "software")][:SHOWN]:
        console.print(
            f"    {plain(file.place)}/{plain(file.name)}  {size(file.size)}", style="dim", markup=False
        )


def show_plan(made: Plan) -> None:
    told = [f"{made.count(what):,} {words}" for what, words in WORDS.items() if made.count(what)]
    console.print(f"Publishing it: {'; '.join(told) or 'nothing'}", markup=False)
    if made.needs:
        console.print(
            f"  {size(made.needs)} more on the disk, {size(made.free)} are free", style="dim", markup=False
        )
    for one in made.gains[:SHOWN]:
        who = f"{one.who} ({many(one.phones, 'phone')} known)" if one.phones else one.who
        _line("gives to   ", f"{who}: {one.text}", "green")
    if len(made.gains) > SHOWN:
        console.print(f"  and {len(made.gains) - SHOWN} more", style="dim")
    for one in made.losses:
        who = f"{one.who} ({many(one.phones, 'phone')} known)" if one.phones else one.who
        _line("takes from ", f"{who}: {one.text}", "bold red")
    for text in made.problems:
        _line("cannot be  ", text, "red")
    for one in made.conflicts:
        _line("changed    ", f"{one.place}/{one.name}: {one.text}; --keep, --replace or --merge", "yellow")
    for text in made.errors[:SHOWN]:
        _line("lint       ", text, "red")
    if len(made.errors) > SHOWN:
        console.print(f"  and {len(made.errors) - SHOWN} more errors", style="dim")


def ways(
    made: Plan, losses: bool = False, errors: bool = False, words: tuple[str, str] = ("--yes", "--force")
) -> dict[str, str]:
    """The options that would have it done all the same, and what each says; none where none helps."""
    if made.problems or made.full:
        return {}
    found = {}
    if made.conflicts:
        found["--keep, --replace or --merge"] = "what becomes of scripts that the site has changed"
    if made.losses and not losses:
        found[words[0]] = "although phones lose firmware or settings"
    if made.errors and not errors:
        found[words[1]] = "although lint finds errors in it"
    return found


def _line(head: str, text: str, tone: str) -> None:
    console.print(beside(Text(f"  {head}", tone), Text(plain(text, 600)), window()))


def show_verified(found: Verified) -> None:
    for one in found.found:
        tone = "red" if one.fault else "dim"
        where = f"{one.place}/{one.name}" if one.place else one.name
        whose = f" ({one.release})" if one.release else ""
        _line(f"{one.what:<11}", f"{where}{whose}: {one.text}", tone)
    text = f"generation {found.generation}: {many(found.files, 'file')} published, {size(found.octets)} read"
    if found.sound:
        console.print(f"{text}; all is as it was published", style="green", markup=False)
    else:
        faults = sum(one.fault for one in found.found)
        console.print(f"{text}; {many(faults, 'file')} not as published", style="red", markup=False)


def as_dict(one: Release | Plan, files: bool = False) -> dict[str, Any]:
    """For JSON."""
    if isinstance(one, Plan):
        return {
            "counts": {what: one.count(what) for what in WORDS},
            "files": [
                {"place": each.file.place, "name": each.file.name, "what": each.what} for each in one.items
            ],
            "conflicts": [each._asdict() for each in one.conflicts],
            "problems": one.problems,
            "errors": one.errors,
            "gains": [each._asdict() for each in one.gains],
            "losses": [each._asdict() for each in one.losses],
            "needs": one.needs,
            "free": one.free,
        }
    told = {
        "id": one.id, "state": one.state, "source": one.source, "archive": one.archive,
        "arrived": moment(one.arrived), "changed": moment(one.changed), "note": one.note, "size": one.size,
    }  # fmt: skip
    return {**told, "files": [each._asdict() for each in one.files] if files else len(one.files)}
