"""The command `lint`: what is wrong in scripts and settings, line by line, and what can be mended at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import click
from rich.text import Text

from mv_iptel import files, linted
from mv_iptel.cli.forms import Columns
from mv_iptel.cli.options import NEGATIVE, USAGE, common, console, end, print_json
from mv_iptel.cli.settings_writing import history_of, replace_kept
from mv_iptel.config import Config, ConfigError, load
from mv_iptel.history import History
from mv_iptel.home import Home
from mv_iptel.journal import plain
from mv_iptel.phones.families import FAMILIES, MODELS
from mv_iptel.phones.lint import CODES, Finding, Folder, lint
from mv_iptel.phones.lint.corpus import table
from mv_iptel.phones.lint.folder import ENTRY, content
from mv_iptel.phones.lint.mending import diff, mended
from mv_iptel.phones.lint.phones import Kind, kinds_of

TONES = {"error": "red", "warning": "yellow", "info": "dim"}
WORDS = {"error": ("error", "errors"), "warning": ("warning", "warnings"), "info": ("note", "notes")}


class Linted(NamedTuple):
    """One finding with the path of its file."""

    path: Path
    finding: Finding


class Target(NamedTuple):
    """A directory, or some files of one."""

    place: linted.Place
    folder: Folder
    names: tuple[str, ...] | None = None


@click.command(name="lint")
@click.argument("paths", metavar="[PATH...]", nargs=-1, type=click.Path(path_type=Path))
@click.option("--fix", "fixing", is_flag=True, help="Mend what is safe to mend, then tell the rest.")
@click.option("--dry-run", "--dry", is_flag=True, help="With --fix: only show what would change.")
@click.option("--model", default="", help="Only lines that this model reads: 9611G, 4621SW, J179, ...")
@click.option("--family", default="", help="Only lines that this family reads: 96x1, J100-sip, ...")
@click.option("--no-notes", is_flag=True, help="Leave out what is only worth knowing (info).")
@click.option("--codes", "codes", is_flag=True, help="List every code, and end.")
@click.option(
    "--corpus",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="A table over many files that do not belong together.",
)
@common
def lint_command(
    home: Home,
    as_json: bool,
    paths: tuple[Path, ...],
    fixing: bool,
    dry_run: bool,
    model: str,
    family: str,
    no_notes: bool,
    codes: bool,
    corpus: Path | None,
) -> None:
    """Find mistakes in upgrade scripts and settings files; phones never say what they disliked.

    PATH is a file, a directory with scripts, or a server's data (TFTPdata, HTTPdata, ...). Without one,
    everything that this installation serves is looked at. A comment `## lint: ignore CODE` above a line,
    or `## lint: ignore-file CODE`, says that a finding is not wanted. docs/lint.md describes each code.

    \b
    Examples:
      mv-iptel lint
      mv-iptel lint HTTPdata/46xxsettings.txt
      mv-iptel lint HTTPdata --model 9611G
      mv-iptel lint 46xxsettings.txt --fix --dry-run
      mv-iptel lint --corpus collected/ --json

    Exit codes: 0 nothing but notes, 1 errors or warnings, 2 a path that is not there.
    """
    if codes:
        _codes(as_json)
        return
    if corpus is not None:
        _corpus(corpus, as_json)
        return
    if dry_run and not fixing:
        end(USAGE, "--dry-run goes with --fix")
    kinds = _kinds(model, family)
    targets = _targets(home, paths)
    if fixing:
        history = None if dry_run else history_of(_config(home))
        changes = [change for target in targets for change in _fix(target, dry_run, history)]
        if dry_run:
            if as_json:
                print_json({"changes": changes})
            else:
                for change in changes:
                    for line in change["diff"]:
                        tone = {"+": "green", "-": "red"}.get(line[:1], "dim")
                        console.print(Text(plain(line, 400), tone))
                console.print(f"{_count(changes, 'file')} would change", style="dim")
            end(NEGATIVE if changes else 0)
        targets = _targets(home, paths)
    else:
        changes = []
    found = sorted(
        (Linted(target.place.path / one.file, one) for target in targets for one in _lint(target, kinds)),
        key=lambda each: (str(each.path), each.finding.line),
    )
    if no_notes:
        found = [each for each in found if each.finding.severity != "info"]
    if as_json:
        _json(found, changes)
    else:
        _show(found, changes)
    end(NEGATIVE if any(each.finding.severity != "info" for each in found) else 0)


def _kinds(model: str, family: str) -> tuple[Kind, ...]:
    if not model and not family:
        return ()
    kinds = kinds_of(model, family)
    if not kinds:
        known = ", ".join(MODELS) if model else ", ".join(FAMILIES)
        end(USAGE, f"no such phone: {plain(f'{model} {family}'.strip())}; known are {known}")
    return kinds


def _targets(home: Home, paths: tuple[Path, ...]) -> list[Target]:
    config = _config(home)
    if config is None and not paths:
        end(USAGE, f"there is no installation in {home.root} whose files could be looked at; name a PATH")
    served = {place.path.resolve(): place for place in linted.places(config)} if config is not None else {}
    if not paths:
        return [Target(place, place.folder()) for place in served.values()]
    targets: list[Target] = []
    alone: dict[Path, list[str]] = {}
    for path in paths:
        if path.is_dir():
            places = [served.get(place.path.resolve(), place) for place in linted.places_in(path)]
            targets += [Target(place, place.folder()) for place in places]
        elif path.exists():
            alone.setdefault(path.parent, []).append(path.name)
        else:
            end(USAGE, f"{plain(str(path))}: there is no such file or directory")
    for parent, names in alone.items():
        place = served.get(parent.resolve(), linted.Place(parent))
        folder = Folder.read(parent, names, place.elsewhere, place.nearby, _complete(parent))
        targets.append(Target(place, folder, tuple(names)))
    return targets


def _complete(directory: Path) -> bool:
    """Whether a directory looks like one that is served: then what is not in it is missing."""
    names = [path.name.casefold() for path in directory.iterdir() if ENTRY.fullmatch(path.name)]
    return any("upgrade" in name for name in names) and any("settings" in name for name in names)


def _lint(target: Target, kinds: tuple[Kind, ...]) -> list[Finding]:
    return lint(target.folder, target.names, target.place.site, kinds)


def _config(home: Home) -> Config | None:
    """The home's configuration; None if there is none, or it does not load."""
    try:
        return load(home)
    except (ConfigError, OSError):
        return None


def _fix(target: Target, dry_run: bool, history: History | None) -> Iterable[dict[str, Any]]:
    """Mend the files of a target, of which the home's history keeps a copy; what was changed in each."""
    for name in sorted(target.names or target.folder.files):
        if name not in target.folder.files:
            continue
        before = target.folder.files[name]
        after, done = mended(name, before)
        if after == before:
            continue
        path = target.place.path / name
        if not dry_run:
            real = path.resolve()
            try:
                state = files.states([real])
                if content(real) != before:
                    end(NEGATIVE, f"{plain(str(path))} was changed by somebody else meanwhile; try again")
                replace_kept(history, real, after, state)
            except OSError as error:
                end(NEGATIVE, f"{plain(str(path))} cannot be written: {error.strerror}")
        yield {
            "file": str(path),
            "kept": (history.places.key_of(path.resolve()) or "") if history is not None else "",
            "mended": [{"line": one.line, "code": one.code, "text": one.text} for one in done],
            "diff": diff(str(path), before, after) if dry_run else [],
        }


def _show(found: list[Linted], changes: list[dict[str, Any]]) -> None:
    for change in changes:
        undo = f"; `settings undo {change['kept']}` undoes it" if change["kept"] else ""
        console.print(
            f"{plain(change['file'])}: {_count(change['mended'], 'line')} mended{plain(undo)}", markup=False
        )
    for path, one in found:
        place = f"{plain(str(path), 400)}:{one.line}" if one.line else plain(str(path), 400)
        line = Text(f"{place}: ", "bold")
        line.append(f"{WORDS[one.severity][0]} ", TONES[one.severity]).append(f"{one.code}: ", "dim")
        console.print(line.append(plain(one.text, 600)))
        console.print(Text(f"    {plain(one.mend, 400)}", "dim"))
    grades = Counter(each.finding.severity for each in found)
    told = [f"{grades[grade]} {WORDS[grade][grades[grade] != 1]}" for grade in WORDS if grades[grade]]
    console.print(", ".join(told) or "nothing to mend", style="dim")


def _json(found: list[Linted], changes: list[dict[str, Any]]) -> None:
    grades = Counter(each.finding.severity for each in found)
    print_json(
        {
            "findings": [{**one.as_dict(), "file": str(path)} for path, one in found],
            "counts": {grade: grades[grade] for grade in WORDS},
            "changes": changes,
        }
    )


def _codes(as_json: bool) -> None:
    if as_json:
        print_json([{"code": code, **each._asdict()} for code, each in CODES.items()])
        return
    rows = Columns("code", "grade", "what it is")
    for code, each in CODES.items():
        rows.add_row(Text(code, "bold"), Text(WORDS[each.severity][0], TONES[each.severity]), each.title)
    rows.show()


def _corpus(directory: Path, as_json: bool) -> None:
    if not directory.is_dir():
        end(USAGE, f"{plain(str(directory))}: there is no such directory")
    rows = list(table(directory))
    if as_json:
        print_json({"directory": str(directory), "files": rows})
    else:
        shown = Columns("file", ">lines", ">errors", ">warnings", ">notes", "phones end at")
        for row in rows:
            ends = Counter(each["ended"] for each in row["trace"].values())
            counts = row["counts"]
            shown.add_row(
                plain(row["file"], 200),
                str(row["lines"]),
                str(counts["error"]),
                str(counts["warning"]),
                str(counts["info"]),
                ", ".join(f"{why} ({many})" for why, many in ends.most_common()),
            )
        shown.show()
        console.print(_count(rows, "file"), style="dim")
    end(NEGATIVE if any(row["counts"]["error"] or row["counts"]["warning"] for row in rows) else 0)


def _count(things: list[Any], word: str) -> str:
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"


commands: list[click.Command] = [lint_command]
