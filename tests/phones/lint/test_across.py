"""Findings between files: missing ones, circles, letter case."""

from __future__ import annotations

import time

from mv_iptel.phones.lint import Folder
from mv_iptel.phones.lint.across import check, circles, loops
from mv_iptel.phones.lint.text import Text


def told(name: str, data: bytes, others: frozenset[str] = frozenset(), whole: bool = True):
    folder = Folder({name: data}, others, whole=whole)
    return [(one.line, one.code, one.severity) for one in check(Text.of(name, data), folder)]


def test_one_of_several_is_enough():
    data = b"GET 46xxsettings.scr\nGET 46xxsettings.txt\n"
    assert told("46xxupgrade.scr", data, frozenset({"46xxsettings.txt"})) == []
    assert told("46xxupgrade.scr", data) == [(1, "no-file", "error"), (2, "no-file", "error")]
    assert told("46xxupgrade.scr", data, whole=False) == []
    assert told("46xxsettings.txt", b"GET more.txt") == [(1, "no-file", "warning")]
    assert told("46xxsettings.txt", b"GET 46xxspecials.txt\nSET L2Q 0\nGET $MACADDR.txt\nGET a/b.txt") == []


def test_firmware_and_other_files():
    data = b'SET APPNAME a.bin\nSET RFSNAME ""\nSET LANG1FILE x.txt\nSET TRUSTCERTS ca.txt,cb.txt'
    assert told("96x1Hupgrade.txt", data, frozenset({"A.BIN", "cb.txt"})) == [
        (3, "no-file", "info"), (4, "no-file", "warning"), (1, "file-case", "info"),
    ]  # fmt: skip


def test_a_circle_is_told_at_the_step_too_many():
    texts = {
        name: Text.of(name, data)
        for name, data in {
            "46xxupgrade.scr": b"GET 46xxsettings.txt",
            "46xxsettings.txt": b"\nGET a.txt",
            "a.txt": b"\n\nGET 46XXupgrade.scr",
        }.items()
    }
    folder = Folder({name: text.data for name, text in texts.items()})
    assert [(one.file, one.line) for one in loops(texts, folder)] == [("a.txt", 3)]


def test_a_diamond_is_no_circle():
    leads = {"a": [(1, "b"), (2, "c")], "b": [(1, "d")], "c": [(1, "d")], "d": []}
    assert list(circles(leads)) == []
    assert list(circles({**leads, "d": [(7, "a")]})) == [("d", 7, "a")]
    assert list(circles({"a": [(3, "a")]})) == [("a", 3, "a")]


def test_of_a_circle_the_step_to_a_script_that_phones_begin_with_is_too_many():
    leads = {
        "96xxupgrade.txt": [(1, "a")],
        "a": [(1, "46xxupgrade.scr"), (2, "96xxupgrade.txt")],
        "46xxupgrade.scr": [(1, "b")],
        "b": [(1, "b"), (2, "a"), (3, "46xxupgrade.scr")],
    }
    assert list(circles(leads)) == [
        ("b", 1, "b"),
        ("a", 1, "46xxupgrade.scr"),  # b leads back to a, on whose way a script begins anew
        ("a", 2, "96xxupgrade.txt"),
        ("b", 3, "46xxupgrade.scr"),
    ]


def test_a_file_that_closes_thousands_of_circles_is_told_in_linear_time():
    leads = {f"f{at}": [(1, f"f{at + 1}")] for at in range(3000)}
    leads["f3000"] = [(line, "f0") for line in range(20_000)]
    began = time.process_time()
    assert sum(1 for _ in circles(leads)) == 20_000
    assert time.process_time() - began < 5  # walked each time it takes minutes
