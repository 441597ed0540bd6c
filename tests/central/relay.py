"""A relay between a branch and a central server: a proxy by CONNECT, and a line that is cut."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Relay:
    """Passes connections on to `port`, or where CONNECT says. `cut`: so many octets of answers, then none."""

    def __init__(self, port: int = 0, cut: int | None = None):
        self.asked: list[str] = []
        self.passed = 0
        self.cut = cut
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Relay:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(5)

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=[peer], daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with suppress(OSError), peer:
            port = self._to
            if not port:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += peer.recv(1)
                line = head.split(b"\r\n")[0].decode()
                self.asked.append(line)
                port = int(line.split()[1].rpartition(":")[2])
                peer.sendall(b"HTTP/1.1 200 Yes\r\n\r\n")
            with socket.create_connection(("127.0.0.1", port)) as there:
                back = threading.Thread(target=self._pass, args=[there, peer, True], daemon=True)
                back.start()
                self._pass(peer, there, False)
                back.join(5)

    def _pass(self, one: socket.socket, other: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            while data := one.recv(16384):
                if answers:
                    self.passed += len(data)
                    if self.cut is not None and self.passed > self.cut:
                        self.cut = None
                        for end in (one, other):
                            end.shutdown(socket.SHUT_RDWR)
                        return
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
