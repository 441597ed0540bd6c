"""Roots: from a name to an open file, and every way out of a root that must stay shut."""

from __future__ import annotations

import os
import time

import pytest

from mv_iptel.library.contents import SMALL, Contents
from mv_iptel.library.roots import Roots


@pytest.fixture
def tree(tmp_path):
    data, other, secret = tmp_path / "data", tmp_path / "other", tmp_path / "secret"
    for place in (data / "sub", other / "deep", secret, data / "certs"):
        place.mkdir(parents=True)
    (data / "a.txt").write_text("a")
    (data / "sub" / "b.txt").write_text("b")
    (data / "Mixed.TXT").write_text("m")
    (data / "twin.txt").write_text("1")
    (data / "TWIN.txt").write_text("2")
    (data / "big.bin").write_bytes(os.urandom(SMALL + 1))
    (data / "certs" / "server.pem").write_text("key")
    (other / "o.txt").write_text("o")
    (other / "deep" / "d.txt").write_text("d")
    (secret / "s.txt").write_text("s")
    (data / "link-in.txt").symlink_to(data / "sub" / "b.txt")
    (data / "link-other.txt").symlink_to("../other/o.txt")
    (data / "link-dir").symlink_to(other / "deep")
    (data / "link-out.txt").symlink_to(secret / "s.txt")
    (data / "link-out-dir").symlink_to(secret)
    (data / "link-root").symlink_to("/")
    (data / "link-loop").symlink_to("link-loop")
    (data / "link-chain").symlink_to("link-out.txt")
    os.mkfifo(data / "fifo")
    roots = Roots([data, other], [data / "certs"], Contents())
    roots.data, roots.base = data, tmp_path
    return roots


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", b"a"),
        ("sub/b.txt", b"b"),
        ("A.TXT", b"a"),
        ("mixed.txt", b"m"),
        ("SUB/B.txt", b"b"),
        ("twin.txt", b"1"),
        ("TWIN.txt", b"2"),
        ("link-in.txt", b"b"),
        ("link-other.txt", b"o"),
        ("link-dir/d.txt", b"d"),
        ("LINK-DIR/D.TXT", b"d"),
    ],
)
def test_found(tree, name, content):
    for _ in range(2):  # the second time from what is remembered
        with tree.open(tree.data, name).body as body:
            assert body.data == content
            assert body.fresh()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nothing.txt", "no 'nothing.txt'"),
        ("sub/nothing.txt", "no 'nothing.txt'"),
        ("nowhere/a.txt", "no 'nowhere'"),
        ("sub", "a directory"),
        ("a.txt/b", "no 'a.txt'"),
        ("Twin.txt", "differ"),
        ("link-out.txt", "leaves"),
        ("link-out-dir/s.txt", "leaves"),
        ("link-root/etc/passwd", "leaves"),
        ("link-chain", "leaves"),
        ("link-loop", ""),
        ("link-dir", "a directory"),
        ("fifo", "no regular file"),
        ("certs/server.pem", "no protocol reaches"),
    ],
)
def test_not_found(tree, name, told):
    found = tree.open(tree.data, name)
    assert found.body is None
    assert told in found.detail


def test_big_files_are_shared_and_stay_open_for_the_next_one(tree):
    one = tree.open(tree.data, "big.bin").body
    two = tree.open(tree.data, "big.bin").body
    assert one is two and one.fd >= 0 and one.data is None
    content = (tree.data / "big.bin").read_bytes()
    assert os.pread(one.fd, one.size, 0) == content
    one.close()
    two.close()
    assert tree.open(tree.data, "big.bin").body is one


def test_a_replaced_file_is_a_new_body_and_an_edited_one_is_not_fresh(tree):
    with tree.open(tree.data, "big.bin").body as old:
        (tree.data / "new").write_bytes(b"n" * (SMALL + 5))
        (tree.data / "new").rename(tree.data / "big.bin")
        with tree.open(tree.data, "big.bin").body as new:
            assert new.size == SMALL + 5 and new.etag != old.etag
            assert new.fresh()
            with open(tree.data / "big.bin", "r+b") as file:
                file.write(b"x")
            assert not new.fresh()


def test_a_small_file_changed_in_place_is_seen_at_the_next_request(tree):
    for turn in range(20):
        (tree.data / "a.txt").write_text(str(turn))
        assert tree.open(tree.data, "a.txt").body.data == str(turn).encode()


def test_a_file_that_becomes_a_link_out_is_refused(tree):
    assert tree.open(tree.data, "a.txt").body
    (tree.data / "a.txt").unlink()
    (tree.data / "a.txt").symlink_to(tree.base / "secret" / "s.txt")
    assert tree.open(tree.data, "a.txt").body is None
    (tree.data / "sub").rename(tree.data / "sub2")
    (tree.data / "sub").symlink_to(tree.base / "secret")
    (tree.base / "secret" / "b.txt").write_text("other")
    assert tree.open(tree.data, "sub/b.txt").body is None


def test_a_name_added_later_is_found_by_folded_case(tree):
    past = time.time() - 10
    os.utime(tree.data, (past, past))
    assert tree.open(tree.data, "LATER.txt").body is None
    (tree.data / "later.TXT").write_text("l")
    assert tree.open(tree.data, "LATER.txt").body.data == b"l"


def test_a_root_that_is_itself_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.txt").write_text("a")
    (tmp_path / "root").symlink_to("real")
    roots = Roots([tmp_path / "root"], [], Contents())
    assert roots.open(tmp_path / "root", "a.txt").body.data == b"a"


def test_no_descriptor_is_left_behind(tree):
    before = len(os.listdir("/proc/self/fd"))
    for name in (
        "a.txt",
        "sub/b.txt",
        "link-dir/d.txt",
        "fifo",
        "sub",
        "link-out.txt",
        "Twin.txt",
        "no/no",
        "link-loop",
    ):
        found = tree.open(tree.data, name)
        if found.body:
            found.body.close()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("end", [".hidden", "x.ini", "sub/.git/config", "HTTP_allow_IP.txt"])
def test_what_is_never_served_is_not_served_through_a_link(tree, end):
    (tree.data / end).parent.mkdir(exist_ok=True)
    (tree.data / end).write_text("secret")
    (tree.data / "good.txt").symlink_to(end)
    found = tree.open(tree.data, "good.txt")
    assert found.body is None and "never served" in found.detail


def test_a_directory_from_the_future_is_listed_once(tree):
    os.utime(tree.data, (time.time() + 86400,) * 2)
    assert tree._index(str(tree.data)) is tree._index(str(tree.data))
