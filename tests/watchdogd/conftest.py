"""A home as `init` makes it, and something that answers as servers do, or does not."""

from __future__ import annotations

import shutil
import socket
import threading

import pytest

from mv_iptel import init
from mv_iptel.home import Home


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """Made once: its keys take their time."""
    made = Home(tmp_path_factory.mktemp("whole") / "home")
    init.create(made, "localhost", ["127.0.0.1"])
    return made


@pytest.fixture
def home(tmp_path, whole):
    """Complete, with samples; nobody serves it."""
    shutil.copytree(whole.root, tmp_path / "home")
    return Home(tmp_path / "home")


@pytest.fixture
def says():
    """`says(reply)`: a port where every connection gets these bytes; None: nothing at all, for ever."""
    opened: list[socket.socket] = []

    def listen(reply: bytes | None) -> int:
        sock = socket.create_server(("127.0.0.1", 0))
        opened.append(sock)

        def serve() -> None:
            while True:
                try:
                    link, _ = sock.accept()
                except OSError:
                    return
                opened.append(link)
                if reply is not None:
                    link.recv(4096)
                    link.sendall(reply)
                    link.close()

        threading.Thread(target=serve, daemon=True).start()
        return sock.getsockname()[1]

    yield listen
    for sock in opened:
        sock.close()
