"""Manual pages, written from the commands' own help: manpages.py DIR.

One page for each command (mv-iptel.1, mv-manager.1, mv-watchdog.1) and one for each verb of mv-iptel
(mv-iptel-serve.1); the verbs beneath a verb (backups list) stand in its page.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click

from mv_iptel import __version__

# Command: where its click command stands.
COMMANDS = {
    "mv-iptel": "mv_iptel.cli:group",
    "mv-manager": "manager.cli:group",
    "mv-watchdog": "watchdogd.cli:command",
}
PAGES_OF_VERBS = {"mv-iptel"}  # the others are short enough for one page

EXIT = (
    ("0", "done"),
    ("1", "findings, or a negative answer"),
    ("2", "usage or configuration"),
    ("3", "the server is not reachable"),
)
ENVIRONMENT = (("MV_IPTEL_HOME", "the home that is meant without --home"),)
FILES = (
    ("/var/lib/mv-iptel", "the home; every file that is not the package's"),
    ("/var/lib/mv-iptel/MV_IPTel/bin/MV_IPTel.ini", "the server's configuration"),
    ("/var/lib/mv-iptel/MV_Manager/bin/MV_Manager.ini", "the manager's"),
    ("/var/lib/mv-iptel/MV_WatchDog/bin/MV_WatchDog.ini", "the watchdog's"),
    ("/usr/share/doc/mv-iptel", "every key explained, and how things are done"),
)


def text(value: str) -> str:
    """`value` as roff reads it literally."""
    value = value.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join("\\&" + line if line[:1] in {".", "'"} else line for line in value.split("\n"))


def paragraphs(help_text: str) -> Iterator[tuple[bool, str]]:
    """(as it stands, text) of each paragraph of a command's help; click's \\b keeps lines as they are."""
    for part in re.split(r"\n\s*\n", inspect.cleandoc(help_text)):
        if part.startswith("\b"):
            yield True, part[1:].strip("\n")
        elif part.strip():
            # Exit codes have a section of their own, wherever the help tells them.
            told, codes, rest = " ".join(part.split()).partition("Exit codes:")
            yield from ((False, one.strip()) for one in (told, codes + rest) if one.strip())


def page(name: str, command: click.Command, seen: list[str], *, deep: bool) -> str:
    """One manual page; `deep` puts the commands beneath it into it too, `seen` is SEE ALSO."""
    context = click.Context(command, info_name=name)
    title = name.replace(" ", "-")
    out = [
        f'.TH "{text(title.upper())}" "1" "" "mv\\-iptel {text(__version__)}" "mv\\-iptel"',
        ".SH NAME",
        f"{text(title)} \\- {text(_summary(command).rstrip('.'))}",
        ".SH SYNOPSIS",
        *_synopsis(context, command),
        ".SH DESCRIPTION",
        *_help(command, examples=False),
        *_options(context, command, ".SH OPTIONS"),
    ]
    beneath = list(_beneath(context, command))
    if beneath and not deep:
        out += [".SH COMMANDS"]
        for sub, one in beneath:
            out += _entry(sub, f"{_summary(one)} See {title}-{sub}(1).")
    elif beneath:
        out += [".SH COMMANDS", *_commands(context, command)]
    out += _examples(command)
    codes = [told for _, told in paragraphs(command.help or "") if told.startswith("Exit codes:")]
    out += (
        [".SH EXIT STATUS", text(codes[0].removeprefix("Exit codes:").strip())]
        if codes
        else _table("EXIT STATUS", EXIT)
    )
    out += _table("ENVIRONMENT", ENVIRONMENT) + _table("FILES", FILES)
    if seen:
        rows = [f".BR {text(one)} (1)" for one in seen]
        out += [".SH SEE ALSO", *(row + "," for row in rows[:-1]), rows[-1]]
    return "\n".join(out) + "\n"


def _summary(command: click.Command) -> str:
    """The first sentence of the help, whole: click's own would cut it."""
    return command.get_short_help_str(400).rstrip(".") + "."


def _synopsis(context: click.Context, command: click.Command) -> list[str]:
    pieces = " ".join(command.collect_usage_pieces(context))
    return [f".B {text(context.command_path)}", text(pieces)]


def _help(command: click.Command, *, examples: bool) -> list[str]:
    """The help's paragraphs; those of examples apart, they have a section of their own."""
    out: list[str] = []
    for verbatim, told in paragraphs(command.help or ""):
        first, _, rest = told.partition("\n")
        if verbatim and first.strip() in {"Examples:", "Example:"}:
            if examples:
                out += [".nf", *_lines(rest), ".fi"]
        elif not examples and not told.startswith("Exit codes:"):
            out += [".PP"] + ([".nf", *_lines(told), ".fi"] if verbatim else [text(told)])
    return out


def _lines(told: str) -> list[str]:
    return [text(line.rstrip()) for line in textwrap.dedent(told).split("\n")]


def _options(context: click.Context, command: click.Command, heading: str) -> list[str]:
    rows = [
        record
        for one in command.get_params(context)
        if (record := one.get_help_record(context)) and record[1]
    ]
    return [heading, *(line for row in rows for line in _entry(*row))] if rows else []


def _examples(command: click.Command) -> list[str]:
    found = _help(command, examples=True)
    return [".SH EXAMPLES", *found] if found else []


def _commands(context: click.Context, command: click.Command) -> list[str]:
    """Each command beneath, whole, however deep."""
    out = []
    for name, one in _beneath(context, command):
        inner = click.Context(one, info_name=name, parent=context)
        usage = f"{inner.command_path} {' '.join(one.collect_usage_pieces(inner))}"
        out += [f'.SS "{text(usage)}"', *_help(one, examples=False)]
        out += _options(inner, one, ".PP")
        shown = _help(one, examples=True)
        if shown:
            out += [".PP", *shown]
        out += _commands(inner, one)
    return out


def _beneath(context: click.Context, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            one = command.get_command(context, name)
            if one is not None and not one.hidden:
                yield name, one


def _entry(term: str, told: str) -> list[str]:
    return [".TP", f"\\fB{text(term)}\\fR", text(" ".join(told.split()))]


def _table(title: str, rows: tuple[tuple[str, str], ...]) -> list[str]:
    return [f".SH {title}", *(line for row in rows for line in _entry(*row))]


def commands() -> dict[str, click.Command]:
    """Every command that is installed, by its name."""
    places = {name: place.split(":") for name, place in COMMANDS.items()}
    return {name: getattr(importlib.import_module(place), what) for name, (place, what) in places.items()}


def pages() -> Iterator[tuple[str, str]]:
    """(file name, content) of every page."""
    every = commands()
    for name, group in every.items():
        others = [one for one in every if one != name]
        split = name in PAGES_OF_VERBS
        yield f"{name}.1", page(name, group, others, deep=not split)
        if split:
            for verb, command in _beneath(click.Context(group, info_name=name), group):
                yield f"{name}-{verb}.1", page(f"{name} {verb}", command, [name], deep=True)


def main(folder: Path) -> None:
    """Write all pages into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in pages():
        (folder / name).write_text(content, "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
