"""The table over files that do not belong together."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mv_iptel.phones.families import FAMILIES
from mv_iptel.phones.lint.corpus import handsets, table, traces
from mv_iptel.phones.lint.folder import Folder


def test_a_row_for_each_script(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "46xxsettings.txt").write_bytes(b"SET L2QVLAN 5000\nSET L2Q 0\n")
    (tmp_path / "one" / "96x1Hupgrade.txt").write_bytes(
        b"SET APPNAME gone.tar\nGET 46xxsettings.txt\nGOTO NONE\n"
    )
    (tmp_path / "one" / "app.bin").write_bytes(b"\0" * 100)
    (tmp_path / ".hidden").write_bytes(b"")
    rows = {row["file"]: row for row in table(tmp_path)}
    assert list(rows) == ["46xxsettings.txt", "one/96x1Hupgrade.txt"]
    first, second = rows.values()
    assert first["counts"] == {"error": 1, "warning": 0, "info": 0}
    assert first["findings"][0]["code"] == "value-range" and first["findings"][0]["line"] == 1
    assert set(first["trace"]) == set(FAMILIES)
    assert first["trace"]["16xx"] == {
        "ended": "end",
        "file": "46xxsettings.txt",
        "line": 2,
        "steps": 2,
        "sets": 2,
        "parameters": 2,
        "files": ["46xxsettings.txt"],
    }
    assert [one["code"] for one in second["findings"]] == ["no-tag"], "nothing is missing in a corpus"
    assert second["trace"]["96x1"]["ended"] == "no-tag"
    assert "16xx" not in second["trace"]


def test_one_phone_of_each_family():
    found = handsets()
    assert list(found) == list(FAMILIES)
    assert all(handset.family.name == name for name, handset in found.items())


def test_files_of_a_folder_lead_to_each_other():
    folder = Folder({"46xxupgrade.scr": b"GET a.txt", "a.txt": b"GET 46xxUPGRADE.scr"}, whole=False)
    assert {each["ended"] for each in traces(folder, "46xxupgrade.scr").values()} == {"get-loop"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has shorter paths")
def test_folders_may_lie_deep_and_links_lead_nowhere(tmp_path):
    below = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1200):  # more than functions may call each other
        os.mkdir("a", dir_fd=below)
        deeper = os.open("a", os.O_RDONLY, dir_fd=below)
        os.close(below)
        below = deeper
    os.close(below)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "46xxsettings.txt").write_bytes(b"SET PHNOL 9\n")
    os.mkfifo(tmp_path / "b" / "46xxupgrade.scr")
    (tmp_path / "self").symlink_to(tmp_path)
    try:
        found = {row["file"]: row["counts"]["error"] for row in table(tmp_path)}
        assert found == {"b/46xxsettings.txt": 0, "b/46xxupgrade.scr": 1}
    finally:
        subprocess.run(["rm", "-rf", tmp_path / "a"], check=True)  # what is in Python recurses too
