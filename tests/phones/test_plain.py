"""Two interpreters, one written from the other's sources and not from its code, agree on 10,000 scripts."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import fields

from mv_iptel.phones.evaluate import Evaluation, Switches
from mv_iptel.phones.families import FAMILIES, MODELS, Handset, family_of
from tests.phones.plain import Outcome, Plain

COUNT = 10_000
CHOICES = {
    "get_failure": ("continue", "stop"),
    "get_returns": (False, True),
    "search": ("forward", "whole"),
    "compare": ("folded", "exact"),
    "tags": ("exact", "folded"),
    "inline_comment": ("stripped", "refused"),
    "add": ("ignored", "set"),
    "mac": ("any", "plain", "colons"),
    "substitution": ("any", "listed"),
    "nesting": (10, 2, 3),
    "file_names": ("", "[0-9A-Za-z._-]{1,50}"),
    "name_limit": (0, 30, 8),
    "value_limit": (0, 255, 12),
}
PHONES = {
    family_of(model, signalling).name: Handset(
        model, "00040dabcdef", "5", "", signalling, "app_1_2.bin", "", "hb1.bin"
    )
    for model in MODELS
    for signalling in ("H323", "SIP")
    if any(family_of(model).signalling == signalling or model in ("9640", "9611G", "J179") for _ in "x")
}
TAGS = ("A", "B", "a", "END", "LONG_TAG", "b")
NAMES = ("MCIPADD", "L2QVLAN", "X", "x", "HTTPDIR", "PKCS12URL", "SIG", "A_RATHER_LONG_NAME_OF_A_SETTING")
VALUES = (
    "1", "2", "10.0.0.1,10.0.0.2", '""', '"a b"', '"a b', '"x"   # why', '"x" "y"', "a b", "“v”",
    "$MACADDR.p12", "a\tb  c", "$macaddr_upper-$SERIALNO", '"$MODEL4/$X"', "Off", "off", "v" * 256, "é",
)  # fmt: skip
TESTS = (
    "$GROUP SEQ 5", "$GROUP SEQ 876", "$MODEL4 SEQ {model}", '$model4 SEQ "{model}"', "$SIG SEQ 1",
    "$SIG_IN_USE SEQ h323",
    "$SIG_IN_USE SEQ SIP", "$BOOTNAME  SEQ HB1.BIN", "$MACADDR SEQ 00040dabcdef",
    "$MACADDR SEQ 00:04:0D:AB:CD:EF",
    "$X SEQ 1", "$X SEQ off", '$X SEQ "a b"', "$NEVER SEQ 1", "X SEQ 1", '$X SEQ ""', "$X EQ 1", "$ SEQ 1",
    '$X SEQ "1"x',
    "$APPNAME SEQ app_1_2.bin", "$HWVERS SEQ 1", "$L2QVLAN SEQ 2", "$X SEQ", '$X SEQ "',
)  # fmt: skip
FILES = (
    "one.txt",
    "TWO.txt",
    "two.txt",
    "absent.txt",
    '"one.txt"',
    "$MACADDR.txt",
    "d/three.txt",
    '"',
    '""',
    "one.txt two.txt",
)


def line(chance: random.Random, model: str) -> str:
    """One line of any kind, with the oddities of the field."""
    kind = chance.choices(("set", "if", "goto", "get", "tag", "add", "odd"), (30, 22, 8, 9, 20, 2, 9))[0]
    match kind:
        case "set" | "add":
            text = f"{kind} {chance.choice(NAMES)} {chance.choice(VALUES)}"
        case "if":
            text = f"IF {chance.choice(TESTS).format(model=model)} GOTO {chance.choice(TAGS)}"
        case "goto":
            text = f"GOTO {chance.choice(TAGS)}"
        case "get":
            text = f"GET {chance.choice(FILES)}"
        case "tag":
            text = f"# {chance.choice(TAGS)}"
        case _:
            text = chance.choice((
                "## A", "##A", "#A", "#  A", "# A B", "#\tA", "", "  ", " SET X 2", "\tGOTO A", "SET",
                "SET X",                 "GOTO", "GET", "IF",
                "SETX 1", "text", "SET=X 1", '"10.0.0.1"', "# ", "if $X", "SET X =1", "IFF $X SEQ 1 GOTO A",
            ))  # fmt: skip
    if kind in ("set", "if", "goto", "get", "add"):
        keyword, _, rest = text.partition(" ")
        keyword = chance.choice((keyword.upper(), keyword.upper(), keyword.lower(), keyword.title()))
        text = keyword + chance.choice((" ", " ", " ", "  ", "\t", " \t ")) + rest
        text = text.replace(" SEQ ", chance.choice((" SEQ ", " seq ", "  SEQ\t"))).replace(
            " GOTO ", chance.choice((" GOTO ", " goto ", "\tGOTO  "))
        )
    return text + chance.choice(("", "", "", " ", "\t ", " # note" if kind == "if" else ""))


def script(chance: random.Random, model: str, most: int) -> bytes:
    end = chance.choice(("\n", "\n", "\r\n"))
    lines = [line(chance, model) for _ in range(chance.randint(0, most))]
    return (end.join(lines) + chance.choice(("", end))).encode()


def real(files: dict[str, bytes], name: str, handset: Handset, switches: Switches) -> Outcome:
    """What the evaluator makes of it, in the other's terms."""
    evaluation = Evaluation(handset.variables(), switches, handset.identity())
    running = evaluation.run(name)
    ask = next(running)
    try:
        while True:
            ask = running.send(files.get(ask.name))
    except StopIteration as stop:
        ended = stop.value
    quiet = ("broken", "fault")
    taken = [
        (step.file, step.line) for step in evaluation.trace
        if step.kind not in quiet and step.effect != "no known effect"
    ]  # fmt: skip
    settings = {made.name: (made.value, made.file, made.line) for made in evaluation.parameters.values()}
    return Outcome(taken, evaluation.files, settings, (ended.why, ended.file, ended.line))


def test_they_agree_on_ten_thousand_scripts():
    chance = random.Random(4_600)
    families, ends = sorted(FAMILIES), Counter()
    lines = jumped = 0
    for number in range(COUNT):
        handset = PHONES[families[number % len(families)]]
        switches = handset.family.switches
        if number % 3:
            switches = Switches(**{name: chance.choice(choices) for name, choices in CHOICES.items()})
        model = handset.model[:4]
        files = {
            name: script(chance, model, 24 if name == "main.txt" else 9)
            for name in ("main.txt", "one.txt", "two.txt", "00040dabcdef.txt", "d/three.txt")
        }
        plain = Plain(files, handset.variables(), handset.identity(), switches).play("main.txt")
        got = real(files, "main.txt", handset, switches)
        assert got == plain, "\n".join(
            [f"script {number}, {handset.family.name}, {switches}"]
            + [f"--- {name}\n{data.decode()}" for name, data in files.items()]
        )
        ends[plain.ended[0]] += 1
        lines += len(plain.taken)
        jumped += any(
            b[0] == a[0] and b[1] != a[1] + 1 for a, b in zip(plain.taken, plain.taken[1:], strict=False)
        )
    # They agree on something: every way to end was met, and most scripts went somewhere.
    assert set(ends) == {"end", "no-tag", "get-failed", "get-loop", "goto-loop", "nesting"}
    assert min(ends.values()) > 50, ends
    assert lines > 5 * COUNT and jumped > COUNT / 3, (lines, jumped)


def test_every_switch_was_tried():
    assert set(CHOICES) == {field.name for field in fields(Switches)}
    assert set(PHONES) == set(FAMILIES)
    for family in FAMILIES.values():
        for name, choices in CHOICES.items():
            assert vars(family.switches)[name] in choices, name
