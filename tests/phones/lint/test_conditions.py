"""Findings about IF, GOTO and tags."""

from __future__ import annotations

import pytest

from mv_iptel.phones.lint import conditions
from mv_iptel.phones.lint.flow import walk
from mv_iptel.phones.lint.phones import Phones
from mv_iptel.phones.lint.text import Text


def told(text: str) -> list[tuple[int, str]]:
    file, phones = Text.of("46xxsettings.txt", text.encode()), Phones()
    return [
        (one.line, one.code) for one in conditions.check(file, walk(file.script, phones, phones.all), phones)
    ]


ASKED = {
    "$MODEL4 SEQ 9640": None, "$MODEL4 SEQ J999": None, "$MODEL4 SEQ acw": None, "$model4 seq 9640": None,
    "$MODEL4 SEQ 9640G": "never-true", "$MODEL SEQ 9640": "never-true", "$MODEL SEQ 9640D01A": None,
    "$SIG SEQ 2": None, "$SIG SEQ SIP": "never-true", "$SIG_IN_USE SEQ sip": "value-case",
    "$SIG_IN_USE SEQ 2": "never-true", "$GROUP SEQ 876": None, "$GROUP SEQ 1000": "never-true",
    "$GROUP SEQ 01": "never-true", "$GROUP SEQ x": "never-true", "$MODEL4 SEQ b189": "value-case",
    "$MODLE4 SEQ 9640": "unknown-variable", "$L2QVLAN SEQ 5": None, "$SERIALNO SEQ 1": "unknown-variable",
    "$MODEL4 SEQ 96*": "never-true", "$MACADDR SEQ 00040D": "never-true",
    "$MACADDR SEQ 00:04:0D:00:00:01": None, "$MACADDR SEQ 00040d000001": None, "$PHONECC SEQ 700415540": None,
}  # fmt: skip


@pytest.mark.parametrize("condition", ASKED)
def test_a_condition(condition):
    code = ASKED[condition]
    assert told(f"IF {condition} GOTO A\n# A\n") == ([(1, code)] if code else [])


@pytest.mark.parametrize(
    ("name", "condition", "severity"),
    [
        ("46xxupgrade.scr", "$MODEL4 SEQ 4610", "warning"),
        ("46xxupgrade.scr", "$BOOTNAME SEQ b10d01b2_9.bin", ""),
        ("16xxupgrade.txt", "$SIG_IN_USE SEQ H323", "warning"),
        ("96xxupgrade.txt", "$SIG_IN_USE SEQ SIP", "warning"),
        ("96xxupgrade.txt", "$SHA2CAPABLE SEQ 1", ""),
        ("B189Hupgrade.txt", "$VPNACTIVE SEQ 1", "info"),
        ("46xxsettings.txt", "$SIG_IN_USE SEQ SIP", ""),
    ],
)
def test_a_variable_that_no_reader_of_the_file_knows(name, condition, severity):
    file, phones = Text.of(name, f"IF {condition} GOTO A\n# A\n".encode()), Phones()
    found = list(conditions.check(file, walk(file.script, phones, phones.first(name)), phones))
    assert [(one.code, one.severity) for one in found] == [("unknown-variable", severity)] * bool(severity)


@pytest.mark.parametrize(
    ("condition", "tag", "told_of"),
    [
        ("$MODEL4 SEQ 1616", "SETTINGS16XX", True),
        ("$MODEL4 SEQ J179", "J179SW", True),
        ("$GROUP SEQ 2", "GROUP_2", True),
        ("$GROUP SEQ 2", "GROUP_21", False),
        ("$SIG_IN_USE SEQ SIP", "SIPSETTINGS", True),
        ("$MODEL4 SEQ 1616", "AFTER16XX", False),  # lines that these phones skip
        ("$MODEL4 SEQ 1616", "ONWARD", False),
    ],
)
def test_settings_for_the_rest_run_into_a_section(condition, tag, told_of):
    text = f"IF {condition} GOTO {tag}\nSET L2Q 0\n# {tag}\nSET L2QVLAN 5\n"
    assert told(text) == [(3, "fall-through")] * told_of


def test_a_section_that_only_a_dead_condition_leads_to():
    text = "GOTO A\nIF $GROUP SEQ 1 GOTO B\n# B\nSET L2Q 1\nGOTO A\n# A\n"
    assert told(text) == [(4, "unreachable")]


def test_the_same_question_again():
    again = "IF $GROUP SEQ 1 GOTO A\nIF $GROUP SEQ 1 GOTO A\n# A\nIF $GROUP SEQ 1 GOTO B\n# B"
    assert told(again) == [(2, "never-true")]
    assert told("IF $L2Q SEQ 1 GOTO A\nSET L2Q 1\nIF $L2Q SEQ 1 GOTO A\nSET L2QVLAN 2\n# A") == []


JUMPS = {
    "GOTO A\n# A": [],
    "GOTO A\n# A   ": [],
    "GOTO A": [(1, "no-tag")],
    "GOTO A\n## A": [(1, "tag-commented")],
    "GOTO A\n #  a": [(1, "tag-commented")],
    "# A\nGOTO A": [(2, "tag-behind")],
    "# A\nGOTO A\n## A": [(2, "tag-commented")],
    "GOTO A\n# a": [(1, "tag-case")],
    "GOTO A\n# A\nGOTO B\n# A\nSET L2Q 1\n# B": [(4, "tag-twice")],
    "GOTO A\n# A\nGOTO A\n# A": [],
    "GOTO A\n# one\n# one\n# A": [],
}


@pytest.mark.parametrize("text", JUMPS)
def test_a_jump(text):
    assert told(text) == JUMPS[text]


def test_a_similar_tag_is_named():
    file, phones = Text.of("x", b"GOTO SETTINGS96X1\n# SETINGS96X1"), Phones()
    (one,) = conditions.check(file, walk(file.script, phones, phones.all), phones)
    assert "GOTO SETINGS96X1" in one.mend
