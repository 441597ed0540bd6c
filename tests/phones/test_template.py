"""A settings file as long as the vendor's template: 15,000 lines made here, nearly all of them comments."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import pytest

from mv_iptel.phones.evaluate import Evaluation
from mv_iptel.phones.families import Handset
from mv_iptel.phones.lint.folder import Folder
from mv_iptel.phones.lint.linting import lint
from mv_iptel.phones.parameters import names, parameters
from mv_iptel.phones.script import parse

LINES = 15_000
MODELS = ("1603", "1608", "1616", "9608", "9611", "9621", "9640", "9641", "9650", "J169", "J179", "J189")
LINE_OF = {"16": "16XX", "J1": "J100"}
GROUPS = range(1, 6)


class Template(NamedTuple):
    """The file, and for each word the line where it stands: `SET DNSSRVR`, `# GROUP_2`, `IF J179`."""

    data: bytes
    lines: dict[str, int]


def line_of(model: str) -> str:
    """The product line of a model, as sections are named."""
    return LINE_OF.get(model[:2]) or ("96X0" if model in ("9640", "9650") else "96X1")


@cache
def template() -> Template:
    told: list[bytes] = []
    lines: dict[str, int] = {}

    def add(text: str, key: str = "") -> None:
        told.append(text.encode("cp1252"))
        if key:
            lines[key] = len(told)

    described = sorted(names())

    def talk(count: int) -> None:
        """Comments as the template has them: a rule, a paragraph, and the setting commented out."""
        for number in range(count):
            name = described[(len(told) * 7 + number) % len(described)]
            match len(told) % 9:
                case 0:
                    add("#" * 72)
                case 1:
                    add("##")
                case 2:
                    add(f"##  {name} – what it is “for”, in a sentence that goes on and on " + "and on " * 30)
                case 3:
                    add("##   0 for off; if it is 1, GOTO the next page; SET by the user otherwise")
                case 4:
                    add(f"## SET {name} 1")
                case 5:
                    add(f'##  SET {name} "10.0.0.1,10.0.0.2"')
                case 6:
                    add(f"## IF $MODEL4 SEQ 9640 GOTO SETTINGS{name}")
                case 7:
                    add(f"## # SETTINGS{name}")
                case _:
                    add("")

    talk(900)
    add('SET DNSSRVR "10.1.0.1"', "SET DNSSRVR")
    add("SET SNMPSTRING template", "SET SNMPSTRING")
    add("SET SNMPADD 10.1.0.9", "SET SNMPADD")
    talk(3_000)
    add("# PRODUCT_LINE_SETTINGS", "# PRODUCT_LINE_SETTINGS")
    for model in MODELS:
        add(f"IF $MODEL4 SEQ {model} GOTO SETTINGS{line_of(model)}", f"IF {model}")
    add("GOTO PER_MODEL_SETTINGS")
    for number, name in enumerate(("J100", "96X1", "96X0", "16XX")):
        talk(900)
        add(f"# SETTINGS{name}", f"# {name}")
        talk(600)
        add(f"SET L2QVLAN {100 + number}", f"SET {name}")
        add("GOTO PER_MODEL_SETTINGS", f"GOTO {name}")
    talk(400)
    add("# PER_MODEL_SETTINGS", "# PER_MODEL_SETTINGS")
    for model in MODELS:
        add(f"IF $MODEL4 SEQ {model} GOTO SETTINGS{model}", f"ONE {model}")
    add("GOTO GROUP_SETTINGS")
    for number, model in enumerate(MODELS):
        talk(120)
        add(f"# SETTINGS{model}", f"# {model}")
        add(f"SET BAKLIGHTOFF {10 + number}", f"SET {model}")
        add("GOTO GROUP_SETTINGS", f"GOTO {model}")
    add("# GROUP_SETTINGS", "# GROUP_SETTINGS")
    for group in GROUPS:
        add(f"IF $GROUP SEQ {group} GOTO GROUP_{group}", f"IF GROUP_{group}")
    add("GOTO END", "GOTO END")
    for group in GROUPS:
        talk(100)
        add(f"# GROUP_{group}", f"# GROUP_{group}")
        add(f"SET PHNEMERGNUM {110 + group}", f"SET GROUP_{group}")
        add("GOTO END", f"GOTO GROUP_{group}")
    talk(LINES - len(told) - 2)
    add("# END", "# END")
    add("GET 46xxspecials.txt", "GET")
    return Template(b"\r\n".join(told) + b"\r\n", lines)


def taken(model: str, group: int) -> list[int]:
    """The lines that such a phone takes, from the plan of the file."""
    lines, name = template().lines, line_of(model)
    asked = MODELS.index(model) + 1
    found = [lines["SET DNSSRVR"], lines["SET SNMPSTRING"], lines["SET SNMPADD"]]
    found += [lines["# PRODUCT_LINE_SETTINGS"], *(lines[f"IF {one}"] for one in MODELS[:asked])]
    found += [lines[f"# {name}"], lines[f"SET {name}"], lines[f"GOTO {name}"], lines["# PER_MODEL_SETTINGS"]]
    found += [lines[f"ONE {one}"] for one in MODELS[:asked]]
    found += [lines[f"# {model}"], lines[f"SET {model}"], lines[f"GOTO {model}"], lines["# GROUP_SETTINGS"]]
    if group in GROUPS:
        found += [lines[f"IF GROUP_{one}"] for one in GROUPS[:group]]
        found += [lines[f"# GROUP_{group}"], lines[f"SET GROUP_{group}"], lines[f"GOTO GROUP_{group}"]]
    else:
        found += [*(lines[f"IF GROUP_{one}"] for one in GROUPS), lines["GOTO END"]]
    return [*found, lines["# END"], lines["GET"]]


@pytest.mark.parametrize(("model", "group"), [(model, number % 7) for number, model in enumerate(MODELS)])
def test_each_model_goes_its_way(model, group):
    handset = next(
        Handset(each, group=str(group)) for each in (model, model + "G", model + "SW") if _known(each)
    )
    evaluation = Evaluation(handset.variables(), handset.family.switches, handset.identity())
    running = evaluation.run("46xxsettings.txt")
    next(running)
    running.send(template().data)
    with pytest.raises(StopIteration) as stop:
        running.send(None)
    assert [step.line for step in evaluation.trace] == taken(model, group)
    assert (stop.value.value.why, stop.value.value.line) == ("end", LINES)
    wanted = {
        "DNSSRVR": "10.1.0.1", "SNMPSTRING": "template", "SNMPADD": "10.1.0.9",
        "L2QVLAN": str(100 + ("J100", "96X1", "96X0", "16XX").index(line_of(model))),
        "BAKLIGHTOFF": str(10 + MODELS.index(model)),
    }  # fmt: skip
    if group in GROUPS:
        wanted["PHNEMERGNUM"] = str(110 + group)
    assert {name: made.value for name, made in evaluation.parameters.items()} == wanted


def _known(model: str) -> bool:
    try:
        return bool(Handset(model).family)
    except ValueError:
        return False


def test_it_is_as_the_template_is():
    data = template().data
    script = parse("46xxsettings.txt", data)
    assert (script.lines, data.count(b"\r\n")) == (LINES, LINES)
    assert 700_000 < len(data) < 1_500_000
    with pytest.raises(UnicodeDecodeError):
        data.decode("utf-8")
    assert len(script.statements) == len(set(template().lines.values())) + 2  # two GOTOs have no word
    assert set(names()) & set(parameters())


def test_lint_is_silent_on_it():
    assert lint(Folder({"46xxsettings.txt": template().data})) == []


# A mistake in the middle of it: the line that it stands in, the bad line, the code.
PLANTED = [
    ("SET GROUP_3", b"SET PHNEMERGNUM", "no-value"),
    ("SET 96X1", b"SET L2QVLAN 4711", "value-range"),
    ("SET 9650", b"SET BAKLIGHTOF 18", "misspelt-parameter"),
    ("IF J179", b"IF $MODEL4 SEQ J179 GOTO SETTINGSJ10", "no-tag"),
    ("# GROUP_4", b"## GROUP_4", "tag-commented"),
    ("GOTO J179", b"", "fall-through"),
    ("SET SNMPADD", b" SET SNMPADD 10.1.0.9", "leading-blanks"),
    ("IF GROUP_2", b"IF $GRUOP SEQ 2 GOTO GROUP_2", "unknown-variable"),
]


@pytest.mark.parametrize(("word", "bad", "code"), PLANTED, ids=[code for _, _, code in PLANTED])
def test_lint_finds_what_is_planted_in_it(word, bad, code):
    lines = template().data.split(b"\r\n")
    place = template().lines[word]
    lines[place - 1] = bad
    told = lint(Folder({"46xxsettings.txt": b"\r\n".join(lines)}))
    at = {
        "tag-commented": template().lines["IF GROUP_4"],
        "fall-through": template().lines["# J189"],
    }
    assert (code, at.get(code, place)) in {(one.code, one.line) for one in told}
