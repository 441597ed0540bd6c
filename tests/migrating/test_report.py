"""The report's rows."""

from __future__ import annotations

from mv_iptel.migrating.report import CHANGED, about


def test_a_row_on_a_whole_file():
    row = about("x.zip", "look at it")
    assert (row.file, row.line, row.verdict, row.key) == ("x.zip", 0, "decide", "")
    assert about("x", "y", CHANGED, "z").new == "z"
