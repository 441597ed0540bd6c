"""The script language as statements: each rule of a line is a row; any bytes parse; what check finds."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mv_iptel.phones.script import Statement, decode, parse


def one(line: bytes) -> Statement | None:
    """The statement of a file with this one line."""
    statements = parse("x.txt", line).statements
    assert len(statements) <= 1
    return statements[0] if statements else None


RULES = {
    "tag": (b"# TAG", "tag", "", "", "TAG"),
    "tag with trailing blanks": (b"# TAG  \t", "tag", "", "", "TAG"),
    "tag keeps its letter case": (b"# skipCopytos", "tag", "", "", "skipCopytos"),
    "tag in a CR LF file": (b"# TAG\r\n", "tag", "", "", "TAG"),
    "set": (b"SET NAME value", "set", "NAME", "value", ""),
    "set in lower case": (b"set name Value", "set", "NAME", "Value", ""),
    "set in mixed case": (b"SeT Name x", "set", "NAME", "x", ""),
    "runs of blanks between words": (b"SET   NAME    value", "set", "NAME", "value", ""),
    "tabs between words": (b"SET\tNAME\t\tvalue\t", "set", "NAME", "value", ""),
    "trailing blanks after a value": (b"SET NAME value   ", "set", "NAME", "value", ""),
    "quoted value": (b'SET NAME "a b,  c"', "set", "NAME", "a b,  c", ""),
    "null value": (b'SET NAME ""', "set", "NAME", "", ""),
    "if": (b"IF $GROUP SEQ 876 GOTO VPN", "if", "GROUP", "876", "VPN"),
    "if in lower case": (b"if $model seq 9620D01A goto x", "if", "MODEL", "9620D01A", "x"),
    "if with runs of blanks": (b"IF $MODEL  SEQ 9620D02L  goto X  ", "if", "MODEL", "9620D02L", "X"),
    "if with a quoted string": (b'IF $A SEQ "b c" GOTO X', "if", "A", "b c", "X"),
    "if with the empty string": (b'IF $A SEQ "" GOTO X', "if", "A", "", "X"),
    "goto": (b"GOTO END", "goto", "", "", "END"),
    "goto in lower case with a tab": (b"goto\tEND ", "goto", "", "", "END"),
    "get": (b"GET 46xxsettings.txt", "get", "46xxsettings.txt", "", ""),
    "get with a variable": (b"GET $MACADDR.txt", "get", "$MACADDR.txt", "", ""),
    "get of a quoted name": (b'GET "46xxsettings.txt"', "get", "46xxsettings.txt", "", ""),
    "add": (b"ADD NAME value", "add", "NAME", "value", ""),
    "cp1252 in a value": (b"SET NAME caf\xe9\x80", "set", "NAME", "caf\xe9€", ""),
}


@pytest.mark.parametrize("rule", RULES)
def test_statement(rule):
    line, kind, name, value, tag = RULES[rule]
    assert one(line) == Statement(1, kind, name, value, tag)


COMMENTS = {
    "two hashes": b"## TAG",
    "no space": b"#TAG",
    "two spaces": b"#  TAG",
    "a tab": b"#\tTAG",
    "two words": b"# two words",
    "a lone hash": b"#",
    "a hash and a space": b"# ",
    "text": b"just text",
    "a keyword inside": b"do not SET NAME value",
    "a longer word": b"SETTING NAME value",
    "a keyword joined by punctuation": b"SET=NAME",
    "nothing": b"",
    "blanks": b" \t ",
    "other white space": b"\x0b",
}


@pytest.mark.parametrize("rule", COMMENTS)
def test_comment(rule):
    assert one(COMMENTS[rule]) is None


NOTED = {
    "leading blanks": (b" SET NAME value", "comment", "leading blanks"),
    "a leading tab": (b"\tGOTO END", "comment", "leading blanks"),
    "byte-order mark": ("\ufeff## first".encode(), "comment", "byte-order mark"),
    "set without a value": (b"SET NAME", "broken", "without a value"),
    "set without a name": (b"SET", "broken", "names nothing"),
    "curly quotes": ("SET NAME “v”".encode(), "broken", "curly quotes"),
    "curly quotes of cp1252": (b"SET NAME \x93v\x94", "broken", "curly quotes"),
    "unquoted blanks": (b"SET NAME a b", "set", "needs quotes"),
    "an open quote": (b'SET NAME "a b', "set", "not closed"),
    "text behind a quoted value": (b'SET NAME "v"   # note', "set", "after the quoted value"),
    "if without a dollar": (b"IF MODEL4 SEQ 9640 GOTO X", "broken", "not of the form"),
    "if without a tag": (b"IF $MODEL4 SEQ 9640 GOTO", "broken", "not of the form"),
    "if with another comparison": (b"IF $MODEL4 EQ 9640 GOTO X", "broken", "not of the form"),
    "if with unquoted blanks": (b"IF $A SEQ b c GOTO X", "broken", "not of the form"),
    "goto nothing": (b"GOTO ", "broken", "names nothing"),
    "goto two words": (b"GOTO A B", "goto", "after the tag"),
    "get nothing": (b"GET", "broken", "names nothing"),
    "get an empty name": (b'GET ""', "broken", "names nothing"),
    "get two words": (b"GET a.txt b.txt", "get", "after the file name"),
}


@pytest.mark.parametrize("rule", NOTED)
def test_noted(rule):
    line, kind, note = NOTED[rule]
    statement = one(line)
    assert statement.kind == kind
    assert note in statement.note


def test_lines_are_counted_over_both_line_ends():
    script = parse("x", b"## one\r\nSET A 1\n\n# TAG\r\nGET b\n")
    assert [(each.line, each.kind) for each in script.statements] == [(2, "set"), (4, "tag"), (5, "get")]
    assert script.lines == 5


def test_find_searches_forward_unless_told():
    script = parse("x", b"# A\nGOTO A\n# a\n# A\n")
    assert script.find("A", 1) == 3
    assert script.find("A", 3) is None
    assert script.find("A", 3, whole=True) == 0
    assert script.find("A", 1, folded=True) == 2
    assert script.find("B", 0, whole=True, folded=True) is None


def test_utf16_and_binary_are_no_scripts():
    assert "UTF-16" in parse("x", "SET A 1\n".encode("utf-16")).fault
    assert "NUL" in parse("x", b"\0\1\2\3").fault
    assert parse("x", b"SET A 1\n").fault == ""


@given(st.binary())
def test_any_bytes_parse(data):
    script = parse("x", data)
    assert script.lines >= len(script.statements)
    assert [each.line for each in script.statements] == sorted({each.line for each in script.statements})
    assert isinstance(decode(data), str)


pieces = st.sampled_from(
    [b"SET ", b"IF $", b" SEQ ", b"GOTO ", b"GET ", b"# ", b'"', b" ", b"\t", b"\n", b"X", b"\r", b"\xe9"]
)


@given(st.lists(pieces, max_size=60).map(b"".join))
def test_near_statements_parse(data):
    for statement in parse("x", data).statements:
        assert statement.kind in {"tag", "set", "if", "goto", "get", "add", "broken", "comment"}
        if statement.kind in ("broken", "comment"):
            assert statement.note
        if statement.kind in ("if", "goto", "tag"):
            assert statement.tag and " " not in statement.tag


@pytest.mark.parametrize("line", [b" ", b'"', b"SET A ", b"IF $A SEQ ", b"IF $", b"# ", b"GOTO A\n", b"\t\r"])
def test_time_is_linear(line):
    def seconds(count: int) -> float:
        data = line * count
        best = 9.0
        for _ in range(3):
            began = time.thread_time()
            parse("x", data)
            best = min(best, time.thread_time() - began)
        return best

    def fits() -> bool:
        small, big = seconds(10_000), seconds(80_000)
        return big < 0.01 or big < 24 * small  # eight times the work; quadratic would be 64 times

    assert any(fits() for _ in range(5))
