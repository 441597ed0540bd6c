"""A file while it is being written."""

from __future__ import annotations

import pytest

from mv_iptel.phones.authoring.page import WIDTH, Page
from mv_iptel.phones.script import parse


def test_lines_are_statements_and_comments():
    page = Page()
    page.say("word " * 60)
    page.head("Part")
    page.set("DOMAIN", "")
    page.set("LOGSRVR", "a b")
    page.example("L2QVLAN", "20")
    page.jump("GROUP", "1", "THERE")
    page.goto("END")
    page.tag("THERE")
    page.get("46xxsettings.txt")
    lines = page.data().decode().splitlines()
    assert all(len(line) <= WIDTH for line in lines)
    kinds = [(one.kind, one.note) for one in parse("x", page.data()).statements]
    assert kinds == [(kind, "") for kind in ("set", "set", "if", "goto", "tag", "get")]
    assert 'SET LOGSRVR "a b"' in lines and 'SET DOMAIN ""' in lines
    assert page.wants("THERE") and page.wants("END") and not page.wants("ELSEWHERE")


def test_a_tag_stands_once_and_comments_are_ascii():
    page = Page()
    page.say("Zürich")
    page.tag("A")
    with pytest.raises(AssertionError):
        page.tag("A")
    assert page.data() == b"## Z?rich\n\n# A\n"
