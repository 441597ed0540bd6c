"""Who has a port, and how one is opened."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from mv_iptel import ports


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_the_holder_of_a_port(kind):
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        if kind == socket.SOCK_STREAM:
            assert ports.holder(port, kind) == (0, "")  # bound, but nobody listens
            sock.listen()
        pid, name = ports.holder(port, kind)
        assert pid == os.getpid() and name
        assert ports.holder(port, kind, besides=pid) == (0, "")
        assert ports.holder(port, kind, address="127.0.0.2") == (0, "")  # it is in nobody's way there
        assert all(ports.holder(port, kind, address=one)[0] == pid for one in ("127.0.0.1", "0.0.0.0"))
        text = f"port {port} is taken by {name} (process {pid}); tried again every 30 s"
        assert ports.taken(port, kind) == text
    assert ports.holder(port, kind) == (0, "")
    assert "another process" in ports.taken(port, kind)
    assert f"port {port}: restart needed" in ports.forbidden(port)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_port_that_listens(address):
    with ports.listen(address, 0, 8) as sock:
        assert not sock.getblocking()
        place = sock.getsockname()[:2]
        with socket.create_connection(place), pytest.raises(OSError) as taken:
            ports.listen(*place, 8)
        assert taken.value.errno == errno.EADDRINUSE
    with ports.listen(*place, 8):  # at once, although a connection has just been closed
        pass


def test_both_families_have_a_port_of_their_own():
    with ports.listen("0.0.0.0", 0, 8) as four, ports.listen("::", four.getsockname()[1], 8) as six:
        assert four.getsockname()[1] == six.getsockname()[1]
