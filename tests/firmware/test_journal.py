"""The journal: what is written is read, and what is damaged is told as such."""

from __future__ import annotations

import json

import pytest

from mv_iptel.firmware import journal
from mv_iptel.firmware.generations import Entry, Generation
from mv_iptel.firmware.journal import Change, Damaged, Journal
from mv_iptel.home import Home

SHA = "5f" * 32
ENTRY = Entry("HTTPdata", "a.txt", 3, SHA, "script", "a-01234567", "", 3)
ONE = Journal(
    "0123abcd", 5.0, Generation(3, 5.0, "publish", "a-01234567", (ENTRY,)),
    (("a-01234567", "published", ""),), (Change("/data/a.txt", "", SHA, "script"),),
)  # fmt: skip


def test_what_is_written_is_read(tmp_path):
    home = Home(tmp_path)
    assert journal.read(home) is None
    journal.write(home, ONE)
    assert journal.read(home) == ONE
    journal.write(home, ONE.turned())
    assert journal.read(home).back
    journal.clear(home)
    journal.clear(home)
    assert journal.read(home) is None
    assert ONE.changes[0].back() == Change("/data/a.txt", SHA, "", "script")


@pytest.mark.parametrize(
    ("field", "value"),
    [("tag", "../../x"), ("changes", [{"path": "a", "before": "", "after": "", "role": "script"}]),
     ("changes", [{"path": "/a", "before": "x", "after": "", "role": "script"}]), ("changes", 5),
     ("generation", {"number": 1}), ("states", [[1]]), ("time", "soon")],
)  # fmt: skip
def test_what_is_damaged(tmp_path, field, value):
    home = Home(tmp_path)
    journal.write(home, ONE)
    told = {**json.loads(journal.path_of(home).read_bytes()), field: value}
    journal.path_of(home).write_text(json.dumps(told))
    with pytest.raises(Damaged):
        journal.read(home)
    assert journal.set_aside(home).exists() and journal.read(home) is None
