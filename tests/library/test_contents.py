"""Contents: what is kept in memory stays bounded, and the same bytes are one body."""

from __future__ import annotations

import os

from mv_iptel.library import contents
from mv_iptel.library.contents import SMALL, Body, Contents, key_of


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


def test_a_few_big_files_stay_open_and_no_more(tmp_path):
    made = Contents()
    bodies = []
    for number in range(contents.OPEN + 4):
        path = tmp_path / f"{number}.bin"
        path.write_bytes(bytes([number]) * (SMALL + 1))
        body = add(made, path)
        body.close()
        bodies.append(body)
    assert [body.fd >= 0 for body in bodies] == [False] * 4 + [True] * contents.OPEN
    assert made.find(bodies[0].key, "0.bin") is None
    again = made.find(bodies[-1].key, bodies[-1].name)
    assert again is bodies[-1] and os.pread(again.fd, 1, 0) == bytes([contents.OPEN + 3])
    again.close()


def test_at_the_end_nothing_stays_open_but_what_is_being_sent(tmp_path):
    made = Contents()
    for name in ("sent", "idle"):
        (tmp_path / name).write_bytes(bytes(SMALL + 1))
    sent = add(made, tmp_path / "sent")
    idle = add(made, tmp_path / "idle")
    idle.close()
    assert idle.fd >= 0
    made.close()
    assert idle.fd == -1 and os.pread(sent.fd, 1, 0) == b"\0"
    sent.close()
    assert sent.fd == -1


def test_a_deleted_file_gives_its_place_on_the_disk_back(tmp_path):
    made = Contents()
    for name in ("old.bin", "new.bin"):
        (tmp_path / name).write_bytes(bytes(SMALL + 1))
    old = add(made, tmp_path / "old.bin")
    used = add(made, tmp_path / "old.bin")  # somebody still sends it
    old.close()
    (tmp_path / "old.bin").unlink()
    add(made, tmp_path / "new.bin").close()
    assert old.fd == -1 and used.fd >= 0 and used.fresh()
    used.close()
    assert used.fd == -1


def test_a_body_that_lies_nowhere():
    one, other = (Body.made(text, "a.txt", "/there", 5.0) for text in (b"one", b"two"))
    assert (one.data, one.size, one.mtime, one.path) == (b"one", 3, 5.0, "/there")
    assert one.key != other.key and one.etag != other.etag and len(one.etag) == 10
    assert one.key == Body.made(b"one", "a.txt", "/there", 5.0).key
    with one:
        pass
    assert one.fresh() and one.share()
