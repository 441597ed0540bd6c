"""The command `params`: what a setting of the phones is for, what it may be, who takes it."""

from __future__ import annotations

from typing import Any

import click
from rich.text import Text

from mv_iptel.cli.forms import Columns, beside, window
from mv_iptel.cli.options import NEGATIVE, USAGE, common, console, end, print_json
from mv_iptel.home import Home
from mv_iptel.journal import plain
from mv_iptel.phones.parameters import (
    Name,
    Parameter,
    Preset,
    Spelling,
    Variable,
    elsewhere,
    families,
    known,
    names,
    nearest,
    presets,
    search,
    sources,
    spelling,
    takes,
    titles,
    variables,
)

ORIGINS = {
    "file": "the settings file",
    "dhcp": "the DHCP site option (176 or 242)",
    "lldp": "LLDP",
    "phone": "the phone itself",
    "callserver": "the call server",
}
PLACES = {"upgrade": "only an upgrade script sets it", "nowhere": "no file can set it"}
NOTHING = '""'  # the null value, as a file has it
MOST = 60  # settings that `search` lists before it says that there are more


@click.group()
def params() -> None:
    """Settings of the phones: meaning, values, default, and which phones take them.

    \b
    Examples:
      mv-iptel params search vlan
      mv-iptel params show L2QVLAN
    """


@params.command(name="search")
@click.argument("words", metavar="WORD...", nargs=-1, required=True)
@click.option(
    "--family", default="", help="Only settings that this family is known to take: 96x1, J100-sip, ..."
)
@click.option("--all", "everything", is_flag=True, help="List all that are found, however many.")
@common
def search_params(home: Home, as_json: bool, words: tuple[str, ...], family: str, everything: bool) -> None:
    """Search settings by words in their names, meanings and values; all words must be there.

    \b
    Examples:
      mv-iptel params search vlan
      mv-iptel params search password --family J100-sip
      mv-iptel params search snmp --json
    """
    found = search(words)
    if family:
        family = _family(family)
        found = [each for each in found if takes(each, family) == "yes"]
    if as_json:
        print_json([_as_dict(each, family) for each in found])
    elif not found:
        near = nearest("".join(words))
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        console.print(f"no setting speaks of {plain(' '.join(words))}{hint}", markup=False)
    else:
        shown = found if everything else found[:MOST]
        table = Columns("setting", "value", "default", "meaning")
        for each in shown:
            if isinstance(each, Parameter):
                default = _default(each, family)
                table.add_row(Text(each.name, "bold"), _brief(each), default, _first(each.says))
            else:
                table.add_row(each.name, "", "", Text("only its name is known", "dim"))
        table.show()
        more = f", {len(found) - len(shown)} more with --all" if len(shown) < len(found) else ""
        console.print(f"{len(found)} setting{'s' if len(found) != 1 else ''}{more}", style="dim")
    end(0 if found else NEGATIVE)


@params.command(name="show")
@click.argument("name", metavar="NAME")
@common
def show_param(home: Home, as_json: bool, name: str) -> None:
    """Show all that is known of a setting, or of a variable that scripts test.

    \b
    Examples:
      mv-iptel params show SNMPSTRING
      mv-iptel params show MODEL4
      mv-iptel params show NVVPNCFGPROF --json
    """
    name = name.removeprefix("$")
    each, variable, other = known(name), variables().get(name.upper()), spelling(name)
    if each is None and variable is None:
        near = nearest(name)
        if as_json:
            print_json({"name": name, "known": False, "elsewhere": elsewhere(name), "nearest": near})
        foreign = elsewhere(name)
        text = f"is {foreign}" if foreign else "is no known setting"
        end(NEGATIVE, f"{plain(name)} {text}{'; did you mean ' + ' or '.join(near) + '?' if near else ''}")
    if as_json:
        told: dict[str, Any] = _as_dict(each) if each else {"name": name.upper()}
        if variable:
            told["variable"] = variable._asdict()
        if other:
            told["asked"] = other._asdict()
        print_json(told)
        return
    if isinstance(each, Parameter):
        _show(each, other)
    elif each:
        console.print(each.name, style="bold")
        if other:
            console.print(f"{other.name} is {other.says}", markup=False)
        console.print("The vendor's template has this setting; no more is known of it.")
    if variable:
        _show_variable(variable, alone=each is None)


def _show(each: Parameter, other: Spelling | None) -> None:
    console.print(Text(each.name, "bold") + Text(f"  {titles()[each.table]}", "dim"))
    if other:
        console.print(f"{other.name} is {other.says}", markup=False)
    console.print(each.says, markup=False)
    if each.note:
        console.print(each.note, markup=False)
    console.print()
    _line("value", each.rule.describe() + (", or nothing" if each.rule.empty else ""))
    if len(each.rule.values) > 2 or any(each.rule.values.values()):
        for code, words in each.rule.values.items():
            _line("", f"{code}  {words}".rstrip())
    for family, rule in each.rules.items():
        _line("", f"{family}: {rule.describe()}")
    _line("default", _default(each))
    _line("comes from", ", ".join(ORIGINS[one] for one in each.origins))
    if each.options:
        _line("", f"DHCP's own: {', '.join(_option(one) for one in each.options)}")
    answers = {family: takes(each, family) for family in families()}
    for answer, label in (("yes", "taken by"), ("no", "ignored by"), ("unknown", "not known for")):
        found = [family for family, one in answers.items() if one == answer]
        if found:
            _line(label, " ".join(found))
    for holds, words in (
        (each.file, "it names files to fetch"),
        (each.server, "it names servers"),
        (each.secret, "it is a secret"),
    ):
        if holds:
            _line("besides", words)
    if each.place in PLACES:
        _line("besides", PLACES[each.place])
    if each.before:
        _line("stands before", " ".join(each.before))
    if each.spellings:
        _line("also spelled", " ".join(each.spellings))
    if each.substitutes:
        _line("puts in", " ".join(f"${one}" for one in each.substitutes))
    doubt = f" ({', '.join(each.inferred)} inferred)" if each.inferred else ""
    _line("source", f"{each.mark}{doubt}: {sources()[each.source]}")
    used = [preset for preset in presets().values() if each.name in dict(preset.sets)]
    if used:
        console.print("\nPresets that set it", style="bold")
        table = Columns("preset", "for: what it sets")
        for preset in used:
            table.add_row(preset.name, f"{preset.says}: {_sets(preset)}")
        table.show()


def _show_variable(variable: Variable, alone: bool) -> None:
    if alone:
        console.print(f"${variable.name}", style="bold")
    else:
        console.print()
    console.print(f"As a variable of scripts: {variable.says}", markup=False)
    if variable.note:
        console.print(variable.note, markup=False)
    if variable.values:
        _line("values", " ".join(variable.values))
    for low, high in variable.ranges:
        _line("values", f"{low} to {high}")
    _line("IF tests it on", " ".join(variable.families) or "no phone")
    if variable.put_in:
        _line("besides", "it may stand inside values and file names")


def _line(label: str, text: str) -> None:
    console.print(beside(Text(f"  {label:<15}", "dim"), Text(text), window()))


def _brief(each: Parameter) -> str:
    rule = each.rule
    if rule.values:
        return " ".join(rule.values)
    if rule.ranges:
        spans = ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in rule.ranges)
        return f"{spans} {rule.unit}".rstrip()
    return each.type


def _default(each: Parameter, family: str = "") -> str:
    value = each.default_for(family)
    text = "" if value is None else value or NOTHING
    if each.default_says:
        text = f"{text}, {each.default_says}" if text else each.default_says
    if not family and each.defaults:
        text += "".join(f"; {one}: {own or NOTHING}" for one, own in each.defaults.items())
    return text or "not known"


def _option(text: str) -> str:
    code, _, part = text.partition(".")
    return f"option {code}, part {part}" if part else text if text == "siaddr" else f"option {text}"


def _sets(preset: Preset) -> str:
    return "  ".join(f"{name} {value}" for name, value in preset.sets)


def _first(text: str) -> str:
    """The first sentence."""
    return text.partition(". ")[0].rstrip(".")


def _family(text: str) -> str:
    for family in families():
        if family.casefold() == text.casefold():
            return family
    end(USAGE, f"--family {plain(text)}: known are {', '.join(families())}")


def _as_dict(each: Parameter | Name, family: str = "") -> dict[str, Any]:
    if isinstance(each, Name):
        return {"name": each.name, "known": "name", "secret": each.secret}
    rule = each.rule
    return {
        "name": each.name,
        "known": "described",
        "table": titles()[each.table],
        "meaning": each.says,
        "note": each.note,
        "type": each.type,
        "value": rule.describe(),
        "values": dict(rule.values),
        "ranges": [list(one) for one in rule.ranges],
        "length": list(rule.length) if rule.length else None,
        "unit": rule.unit,
        "empty": rule.empty,
        "default": each.default_for(family),
        "default_says": each.default_says,
        "defaults": dict(each.defaults),
        "from": list(each.origins),
        "options": list(each.options),
        "families": {one: takes(each, one) for one in families()},
        "place": each.place,
        "before": list(each.before),
        "spellings": list(each.spellings),
        "substitutes": list(each.substitutes),
        "secret": each.secret,
        "server": each.server,
        "file": each.file,
        "mark": each.mark,
        "inferred": list(each.inferred),
        "source": sources()[each.source],
        "in_template": each.name in names(),
        "presets": [one.name for one in presets().values() if each.name in dict(one.sets)],
    }


commands: list[click.Command] = [params]
