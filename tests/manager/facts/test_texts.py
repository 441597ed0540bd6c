"""Text out of octets and back: what nobody edited stays, secrets stay hidden, two edits become one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manager.facts.texts import differences, is_text, masked, merged, octets_of, text_of


@given(st.binary(max_size=200).filter(lambda one: b"\0" not in one))
def test_what_was_not_edited_is_saved_as_it_was(data):
    lone = data.replace(b"\r", b"")  # a CR alone is a line end to an editor, and becomes one
    assert octets_of(text_of(lone), lone) == lone


@pytest.mark.parametrize("before, text, after", [
    (b"a\r\nb\r\n", "a\nx\nb\n", b"a\r\nx\r\nb\r\n"),
    (b"a\nb\n", "a\nx\nb\n", b"a\nx\nb\n"),
    (b"a\r\nb\nc\r\n", "a\nb\nc\nd\n", b"a\r\nb\nc\r\nd\r\n"),
    (b"a\r\nb", "a\nb\n", b"a\r\nb\r\n"),
    (b"a\r\nb\r\n", "a\nb", b"a\r\nb"),
    (b"## K\xf6ln\nSET A 1\n", "## Köln\nSET A 2\n", b"## K\xf6ln\nSET A 2\n"),
    (b"## K\xf6ln\n", "## Köln\n## Bö\n", b"## K\xf6ln\n## B\xf6\n"),
    ("## Köln\n".encode(), "## Köln\n## Bö\n", "## Köln\n## Bö\n".encode()),
    ("## Köln\n## K\xf6ln\n".encode(), "## x\n", b"## x\n"),
    (b"\xef\xbb\xbfSET A 1\n", "\ufeffSET A 1\nSET B 2\n", b"\xef\xbb\xbfSET A 1\nSET B 2\n"),
    (b"a\rb\r", "a\nc\n", b"a\nc\n"),
    (b"", "a\r\nb", b"a\nb"),
    (b"a\n", "", b""),
    (b"x\nx\nx\n", "x\nx\n", b"x\nx\n"),
])  # fmt: skip
def test_edited_lines_are_written_as_the_file_is(before, text, after):
    assert octets_of(text, before) == after


@pytest.mark.parametrize("data, is_one", [
    (b"", True), (b"SET A 1\n", True), ("## Köln\t\r\n".encode(), True), (b"## K\xf6ln", True),
    (b"\n" * 100_000, True), (b"\n" * 100_001, False),
    (b"a\0b", False), ("SET A".encode("utf-16"), False), (bytes(range(1, 200)), False),
])  # fmt: skip
def test_what_an_editor_can_show(data, is_one):
    assert is_text(data) is is_one


def test_secrets_are_hidden_line_by_line():
    script = b"SET L2Q 1\r\nSET SNMPSTRING public\r\nSET MCIPADD 192.0.2.1\r\nSET PROCPSWD\r\n27238\r\n"
    shown = masked("46xxsettings.txt", script)
    assert "public" not in shown and "27238" not in shown and "192.0.2.1" in shown
    assert shown.count("\n") == text_of(script).count("\n")


@pytest.mark.parametrize("name, data", [
    ("1140e.xml", b"<user>bob</user>\n<AdminPassword>4711</AdminPassword>\n"),
    ("notes.txt", b"the pin is 4711\n"),
    ("server.pem", b"-----BEGIN PRIVATE KEY-----\n4711\n-----END PRIVATE KEY-----\n"),
    ("1120e.cfg", b"DEVICE_CONFIG x\nSNMP_COMMUNITY 4711\n"),
])  # fmt: skip
def test_of_other_languages_too(name, data):
    assert "4711" not in masked(name, data)
    assert not any("4711" in one.text for one in differences(name, data, data.replace(b"4711", b"47110")))


def test_two_edits_of_different_places_become_one():
    base = "a\nb\nc\nd\ne\n"
    both = merged(base, "a\nB\nc\nd\ne\n", "top\na\nb\nc\nd\ne\nend\n")
    assert both.text == "top\na\nB\nc\nd\ne\nend\n" and both.conflicts == ()


def test_the_same_edit_twice_is_one():
    assert merged("a\nb\n", "a\nx\n", "a\nx\n").text == "a\nx\n"


def test_where_both_edited_both_stand():
    both = merged("a\nb\nc", "a\nmine\nc", "a\ntheirs\nc")
    assert both.text.split("\n") == [
        "a", "## both changed this place; saved meanwhile:", "theirs",
        "## both changed this place; yours:", "mine", "c",
    ]  # fmt: skip
    assert both.conflicts == (2,)


LINES = st.lists(st.sampled_from(["a", "b", "SET A 1", ""]), max_size=12).map("\n".join)


@given(LINES, LINES, LINES)
def test_no_line_of_either_edit_is_lost(base, mine, theirs):
    both = merged(base, mine, theirs).text.split("\n")
    for side, other in ((mine, theirs), (theirs, mine)):
        for line in set(side.split("\n")) - set(base.split("\n")):
            assert line in both
        if side == base:
            assert both == other.split("\n")


def test_very_long_texts_are_not_compared():
    long = "\n".join(map(str, range(30_000)))
    assert merged(long, long + "x", long) is None
