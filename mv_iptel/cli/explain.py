"""The command `explain`: what a phone ends up with for one setting, and which lines made it so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.text import Text

from mv_iptel.cli.asking import installed
from mv_iptel.cli.forms import beside, window
from mv_iptel.cli.options import NEGATIVE, common, console, end, print_json
from mv_iptel.cli.sim_options import handset_of
from mv_iptel.home import Home
from mv_iptel.journal import plain
from mv_iptel.phones.differences import masked, secret, troubles
from mv_iptel.phones.effects import Effects, anyone, effects, judge
from mv_iptel.phones.evaluate import Assignment
from mv_iptel.phones.parameters import Parameter, elsewhere, known, nearest, spelling, takes, written
from mv_iptel.phones.served import Served

LINES_SHOWN = 8
TAKES = {
    "yes": "yes",
    "no": "no: what files set has no effect",
    "unknown": "not known: no source says so, nor the contrary",
}


@click.command()
@click.argument("param", metavar="PARAM")
@click.option("--model", required=True, help="The phone's model: 9611G, 4621SW, J179, ...")
@click.option("--group", default="0", show_default=True, help="Its GROUP.")
@click.option("--sig", type=click.Choice(["h323", "sip"], case_sensitive=False), help="Its signalling.")
@click.option("--mac", default="", help="Its MAC, where scripts ask for that.")
@click.option("--ext", default="", help="Its extension.")
@click.option("--dir", "directory", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="The folder with the scripts, instead of the home's.")  # fmt: skip
@common
def explain(
    home: Home, as_json: bool, param: str, model: str, group: str, sig: str | None, mac: str, ext: str,
    directory: Path | None,
) -> None:  # fmt: skip
    """Say what value a phone ends up with for PARAM, which line set it, and which lines did not count.

    \b
    Examples:
      mv-iptel explain BRURI --model 9611G
      mv-iptel explain L2QVLAN --model 4621SW --group 876 --dir ./TFTPdata
      mv-iptel explain SNMPSTRING --model J179 --sig h323 --mac c8:1f:ea:83:e8:5a --json

    The scripts are played as they lie on disk; no phone and no server is asked. What DHCP, the call server or
    a user told the phone besides is not known here. Values of secrets are not shown.
    Ends with 1 if the setting is unknown, or the phone ignores it or never comes to its settings.
    """
    param = param.removeprefix("$").upper()
    handset = handset_of(model, group, mac or "00:04:0d:00:00:01", ext, sig)
    if not mac:
        handset = anyone(handset)
    found = effects(served(home, directory), handset)
    family, row, other = found.family.name, known(param), spelling(param)
    name = row.name if row and not (other and other.families and family not in other.families) else param
    told = _told(found, name)
    if row is None and not told["lines"]:
        near = nearest(param)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        if as_json:
            print_json({**told, "nearest": near})
        foreign = elsewhere(param)
        end(NEGATIVE, f"{plain(param)} {f'is {foreign}' if foreign else 'is no known setting'}{hint}")
    if as_json:
        print_json(told)
    else:
        _show(told, found, row if isinstance(row, Parameter) else None, other and other.says)
    lost = any(each["kind"] in ("script", "settings", "loop") for each in told["troubles"])
    end(NEGATIVE if told["taken"] == "no" or row is None or lost else 0)


def served(home: Home, directory: Path | None) -> Served:
    """A folder's files, or those of the home's server."""
    if directory is not None:
        return Served.directory(directory)
    config = installed(home)
    return Served.split(config.tftp.tftp_dir, config.http.http_dir, config.https.https_dir)


def _told(found: Effects, name: str) -> dict[str, Any]:
    """All that there is to say, for JSON."""
    family, row = found.family.name, known(name)
    made, profile = found.parameters.get(name), found.profiled.get(name, "")
    ignored = found.ignored.get(name)
    taken = "no" if ignored else takes(row, family) if row else "unknown"
    default = row.default_for(family) if isinstance(row, Parameter) else None
    effective = default if made is None else made.value
    read = _read(found)
    lines = [_line(each, "overridden") for each in found.overridden.get(name, ())]
    lines += [{**_line(each.made, "rejected"), "why": each.why} for each in found.rejected.get(name, ())]
    if ignored:
        lines.append({**_line(ignored.made, "ignored"), "why": ignored.why})
    if made:
        lines.append(_line(made, "profile" if profile else "set"))
    lines += [
        _line(each, "not read") for each in _elsewhere(found, name) if (each.file, each.line) not in read
    ]
    return {
        "name": name, "model": found.handset.model, "family": family, "group": found.handset.group,
        "value": None if profile or effective is None else masked(name, effective),
        "source": "profile" if profile else "file" if made else "default",
        "set_by": _place(made), "profile": profile, "default": default, "secret": secret(name),
        "taken": taken, "lines": lines,
        "scripts": [script.name for script in found.scripts],
        "by_mac": sorted(found.compared.get("MACADDR", ())),
        "troubles": [trouble._asdict() for trouble in troubles(found)],
    }  # fmt: skip


def _read(found: Effects) -> set[tuple[str, int]]:
    return {(step.file, step.line) for step in found.trace if step.kind == "set"}


def _elsewhere(found: Effects, name: str) -> list[Assignment]:
    """Every line of the files that were read which sets this, whether the phone came to it or not."""
    return [
        Assignment(each.name, each.value, script.name, each.line)
        for script in found.scripts
        for each in script.statements
        if each.kind == "set" and judge(each.name, found.family.name, each.value).name == name
    ]


def _line(made: Assignment, what: str) -> dict[str, Any]:
    return {"file": made.file, "line": made.line, "what": what, "text": _set(made)}


def _set(made: Assignment) -> str:
    value = masked(made.name, made.value)
    return f"SET {made.name} {written(value)}"


def _place(made: Assignment | None) -> dict[str, Any] | None:
    return {"file": made.file, "line": made.line} if made else None


LABELS = {
    "overridden": "overrode", "rejected": "failed", "ignored": "ignored", "set": "set by",
    "profile": "set by", "not read": "not read",
}  # fmt: skip


def _show(told: dict[str, Any], found: Effects, row: Parameter | None, says: str | None) -> None:
    handset = found.handset
    heading = Text(plain(told["name"], 80), "bold")
    heading.append(f"  on a {handset.model} ({found.family.name}) in group {handset.group}", "dim")
    console.print(heading)
    if says:
        console.print(f"{told['name']}: asked for by {says}", style="dim", markup=False)
    for trouble in troubles(found):
        where = f" ({trouble.file}:{trouble.line})" if trouble.file else ""
        _print("trouble", plain(f"{trouble.text}{where}", 400), "yellow")
    _print("value", _value(told, row), "green" if told["source"] != "default" else "")
    order = ("set", "profile", "overridden", "rejected", "ignored", "not read")
    for what in order:
        lines = [line for line in told["lines"] if line["what"] == what]
        if what == "overridden":
            lines.reverse()  # the last one that lost comes first
        for number, line in enumerate(lines[:LINES_SHOWN]):
            text = f"{line['file']}:{line['line']}  {line['text']}"
            why = f": {line['why']}" if line.get("why") else ""
            _print("" if number else LABELS[what], plain(text + why, 400), "red" if why else "")
        if len(lines) > LINES_SHOWN:
            _print("", f"and {len(lines) - LINES_SHOWN} more")
    if told["default"] is not None and told["source"] != "default":
        _print("default", masked(told["name"], told["default"]) or '""')
    elif row and row.default_says:
        _print("default", row.default_says)
    _print("taken", f"{told['family']}: {TAKES[told['taken']]}")
    if row:
        _print("meaning", row.says)
        if row.note:
            _print("", row.note)
    elif known(told["name"]):
        _print("meaning", "only its name is known")
    else:
        near = nearest(told["name"])
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        _print("meaning", f"no such setting is known{hint}")
    if told["by_mac"] and handset.mac not in told["by_mac"]:
        macs = ", ".join(plain(mac, 20) for mac in told["by_mac"][:5])
        _print("besides", f"scripts ask for the MAC {macs}: see --mac")


def _value(told: dict[str, Any], row: Parameter | None) -> str:
    if told["taken"] == "no":
        return "none: this phone does not take it"
    if told["source"] == "profile":
        return f"as the profile of {told['profile']} sets it"
    if told["value"] is None:
        return "not set, and no default is known"
    value = plain(told["value"]) or '""'
    if told["source"] == "default":
        return f"{value}, the default: no line sets it"
    words = row.rule.values.get(told["value"], "") if row else ""
    return f"{value}  ({words})" if words else value


def _print(label: str, text: str, style: str = "") -> None:
    console.print(beside(Text(f"  {label:<9} ", "dim"), Text(text, style), window()))


commands: list[click.Command] = [explain]
