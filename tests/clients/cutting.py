"""A TCP relay that counts octets, cuts connections at a given count, and stops and goes on when told.

It stands where a network between two sites would. It understands nothing of what passes.
"""

from __future__ import annotations

import selectors
import socket
import threading

PIECE = 1 << 18


class Cutting:
    """`with Cutting(("127.0.0.1", 6093)) as relay:`; clients connect to `relay.port`.

    `down` counts octets from the server; `cut_at` cuts all connections, and refuses new ones until `mend`,
    once `down` has come so far. `hold` stops the flow without a cut, `go` ends that.
    """

    def __init__(self, server: tuple[str, int], cut_at: int = 0):
        self.server, self.cut_at = server, cut_at
        self.down = self.up = self.cuts = 0
        self.cut = threading.Event()
        self._flowing = threading.Event()
        self._flowing.set()
        self._mended = threading.Event()
        self._front = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._front.getsockname()[1]
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Cutting:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._flowing.set()
        self._front.close()
        for thread in self._threads[1:]:
            thread.join(10)

    def hold(self) -> None:
        self._flowing.clear()

    def go(self) -> None:
        self._flowing.set()

    def mend(self) -> None:
        """Connections are let through again, and not cut any more."""
        self.cut_at = 0
        self.cut.clear()

    def _accept(self) -> None:
        self._front.settimeout(0.2)
        while not self._stop.is_set():
            try:
                client, _ = self._front.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            if self.cut.is_set():
                client.close()
                continue
            thread = threading.Thread(target=self._carry, args=[client], daemon=True)
            self._threads.append(thread)
            thread.start()

    def _carry(self, client: socket.socket) -> None:
        with client, selectors.DefaultSelector() as selector:
            try:
                server = socket.create_connection(self.server, 10)
            except OSError:
                return
            with server:
                selector.register(client, selectors.EVENT_READ, server)
                selector.register(server, selectors.EVENT_READ, client)
                while not self._stop.is_set() and not self.cut.is_set():
                    for key, _ in selector.select(0.2):
                        self._flowing.wait()
                        try:
                            data = key.fileobj.recv(PIECE)
                            if not data:
                                return
                            key.data.sendall(data)
                        except OSError:
                            return
                        self._count(key.fileobj is server, len(data))

    def _count(self, down: bool, octets: int) -> None:
        if not down:
            self.up += octets
            return
        self.down += octets
        if self.cut_at and self.down >= self.cut_at:
            self.cuts += 1
            self.cut.set()
