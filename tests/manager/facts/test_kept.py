"""What is kept of files that are no scripts: by another name of the same file, with an end to it."""

from __future__ import annotations

import itertools

import pytest

from manager.facts.kept import COPIES, Kept


@pytest.fixture
def times():
    return itertools.count(1_700_000_000.0)


@pytest.fixture
def kept(tmp_path, times):
    return Kept(tmp_path / "kept", lambda: next(times), total=1000)


def test_a_content_is_kept_and_read_again(kept, tmp_path):
    file = tmp_path / "a.bin"
    file.write_bytes(b"old")
    past = kept.keep("HTTPdata/sub/a.bin", file)
    file.unlink()
    file.write_bytes(b"new")
    assert kept.of("HTTPdata/sub/a.bin") == [past] and past.size == 3
    assert kept.path("HTTPdata/sub/a.bin", past.id).read_bytes() == b"old"
    assert kept.path("HTTPdata/sub/a.bin", "../../x") is None
    assert kept.names("HTTPdata") == ["sub/a.bin"]
    kept.forget("HTTPdata/sub/a.bin", past)
    assert kept.of("HTTPdata/sub/a.bin") == []


def test_it_is_the_same_file_and_no_copy(kept, tmp_path):
    file = tmp_path / "a.bin"
    file.write_bytes(b"x" * 100)
    past = kept.keep("A/a.bin", file)
    assert kept.path("A/a.bin", past.id).stat().st_ino == file.stat().st_ino


def test_a_link_is_not_followed(kept, tmp_path):
    (tmp_path / "link").symlink_to("/etc/hostname")
    with pytest.raises(OSError):
        kept.keep("A/link", tmp_path / "link")
    with pytest.raises(FileNotFoundError):
        kept.keep("A/none", tmp_path / "none")


def test_there_is_an_end_to_it(kept, tmp_path):
    for number in range(COPIES + 5):
        file = tmp_path / f"{number}"
        file.write_bytes(bytes([number]) * 10)
        kept.keep("A/a.bin", file)
    kept.prune()
    assert len(kept.of("A/a.bin")) == COPIES
    big = tmp_path / "big"
    big.write_bytes(b"x" * 950)
    kept.keep("A/b.bin", big)
    kept.prune()
    left = kept.of("A/a.bin")
    assert len(left) == 5 and left[0].size == 10 and kept.of("A/b.bin")
