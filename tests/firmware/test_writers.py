"""Writers: a file that a process has open for writing is known, by lease or by the list of open files."""

from __future__ import annotations

import os
import sys

import pytest

from mv_iptel.firmware import writers

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells")


def test_a_writer_is_seen_and_a_reader_is_none(tmp_path):
    path = tmp_path / "one"
    path.write_bytes(b"x")
    assert not writers.is_being_written(path) and not writers._listed(os.stat(path))
    with open(path, "rb"):
        assert not writers.is_being_written(path) and not writers._listed(os.stat(path))
    for mode in ("ab", "r+b"):
        with open(path, mode):
            assert writers.is_being_written(path) and writers._listed(os.stat(path))
    assert not writers.is_being_written(path)


def test_what_is_not_there_has_no_writer(tmp_path):
    assert not writers.is_being_written(tmp_path / "none")
    assert not writers._listed(os.stat(tmp_path), tmp_path / "none")
