"""Contents: what is kept in memory stays bounded, and the same bytes are one body."""

from __future__ import annotations

import os

from mv_iptel.library import contents
from mv_iptel.library.contents import SMALL, Contents, key_of


def add(made, path):
    fd = os.open(path, os.O_RDONLY)
    return made.add(fd, os.fstat(fd), path.name, str(path))


def test_small_files_are_kept_within_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "KEPT", 3000)
    made = Contents()
    keys = []
    for number in range(5):
        path = tmp_path / str(number)
        path.write_bytes(bytes(1000))
        add(made, path)
        keys.append((key_of(os.stat(path)), path.name))
    assert [made.find(*key) is not None for key in keys] == [False, False, True, True, True]


def test_the_etag_tells_name_size_and_time_apart(tmp_path):
    made = Contents()
    path = tmp_path / "a"
    path.write_bytes(b"1")
    one = add(made, path).etag
    assert len(one) == 10 and int(one, 16) >= 0
    os.utime(path, (1, 1))
    assert add(made, path).etag != one
    assert add(made, path).etag == add(made, path).etag


def test_an_empty_file_is_a_small_one(tmp_path):
    path = tmp_path / "empty"
    path.touch()
    assert add(Contents(), path).data == b""


def test_the_border_between_small_and_big(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(bytes(SMALL))
    assert add(Contents(), path).data is not None
    path.write_bytes(bytes(SMALL + 1))
    with add(Contents(), path) as body:
        assert body.data is None
