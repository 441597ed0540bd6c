"""A file is replaced whole, with its mode from the start, or not at all."""

from __future__ import annotations

import os
import stat

import pytest

from mv_iptel import files


def test_a_new_file_has_its_content_and_mode(tmp_path):
    path = tmp_path / "key.pem"
    files.replace(path, b"secret", 0o600)
    assert path.read_bytes() == b"secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_open_reader_keeps_the_old_file(tmp_path):
    path = tmp_path / "cert.pem"
    files.replace(path, b"old")
    with open(path, "rb") as reader:
        files.replace(path, b"new and longer")
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new and longer"


def test_nothing_is_left_behind_when_it_fails(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError):
        files.replace(tmp_path / "taken", b"x")
    assert os.listdir(tmp_path) == ["taken"]


def test_a_missing_directory_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        files.replace(tmp_path / "no" / "file", b"x")


def test_a_link_is_replaced_and_not_followed(tmp_path):
    target = tmp_path / "target"
    target.write_bytes(b"keep")
    (tmp_path / "link").symlink_to(target)
    files.replace(tmp_path / "link", b"new")
    assert target.read_bytes() == b"keep"
    assert not (tmp_path / "link").is_symlink()


def test_states_tell_a_change_a_replacement_and_a_missing_file(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"1")
    before = files.states((one, other))
    assert before == files.states((one, other)) and before[1] == ()
    files.replace(one, b"1")
    replaced = files.states((one, other))
    other.write_bytes(b"2")
    assert len({str(seen) for seen in (before, replaced, files.states((one, other)))}) == 3
