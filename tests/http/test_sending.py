"""The rest of an answer: only content is counted, and a file that changes is noticed."""

from __future__ import annotations

import os
import socket

import pytest

from mv_iptel.http.sending import FILE_TURN, Changed, Sending
from mv_iptel.library import Body


@pytest.fixture
def body(tmp_path):
    """A body that is larger than one turn, not kept in memory."""
    path = tmp_path / "fw.bin"
    path.write_bytes(os.urandom(1 << 20) * 5)
    fd = os.open(path, os.O_RDONLY)
    with Body(fd, os.fstat(fd), path.name, str(path)) as made:
        yield made


class Slow:
    """A socket that takes few octets at once."""

    def __init__(self, most: int):
        self.got = b""
        self._most = most

    def send(self, data) -> int:
        self.got += bytes(data[: self._most])
        return min(len(data), self._most)


@pytest.mark.parametrize("most", [1, 3, 7, 100])
@pytest.mark.parametrize("already", [0, 2, 4, 6])
def test_a_head_is_not_counted(most, already):
    out, sock, rest = b"headcontent", Slow(most), Sending()
    rest.begin(out, 4, already)
    while not rest.done:
        rest.push(sock, False)
        assert rest.sent == max(0, already + len(sock.got) - 4)
    assert (out[:already] + sock.got, rest.sent) == (out, 7)


@pytest.mark.parametrize("secure", [False, True])
def test_a_part_of_a_file_goes_after_its_head(body, secure):
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)
        start, stop = 1000, body.size - 1000
        rest, got = Sending(body, start, stop), bytearray()
        rest.begin(b"head", 4, 0)
        while not rest.done:
            try:
                rest.push(here, secure)
            except BlockingIOError:
                pass
            got += there.recv(FILE_TURN)
        there.setblocking(False)
        try:
            while piece := there.recv(FILE_TURN):
                got += piece
        except BlockingIOError:
            pass
    assert rest.sent == stop - start
    assert bytes(got) == b"head" + os.pread(body.fd, stop - start, start)


@pytest.mark.parametrize("secure", [False, True])
def test_a_file_that_changed_is_not_sent(body, secure):
    here, there = socket.socketpair()
    with here, there:
        rest = Sending(body, 0, body.size)
        os.truncate(body.path, 5)
        with pytest.raises(Changed):
            rest.push(here, secure)
        assert rest.sent == 0
