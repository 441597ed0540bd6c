"""Which ports a configuration wants, and what happens at their doors."""

from __future__ import annotations

import errno
import socket
from dataclasses import replace

from mv_iptel import config
from mv_iptel.ftp.listening import Place, wanted
from mv_iptel.home import Home
from tests.ftp.site import Site, wait_for


def test_what_a_configuration_wants(tmp_path):
    base = config.defaults(Home(tmp_path))
    assert wanted(base) == [Place("ftp", "0.0.0.0", 21), Place("ftp", "::", 21)]
    both = replace(base, ftps=replace(base.ftps, run_ftps=True),
                   settings=replace(base.settings, bind_address=("127.0.0.1",)))  # fmt: skip
    assert wanted(both) == [Place("ftp", "127.0.0.1", 21), Place("ftps", "127.0.0.1", 990)]
    assert wanted(replace(base, ftp=replace(base.ftp, run_ftp=False))) == []


class Short:
    """A listening socket for which there are no descriptors, a few times."""

    def __init__(self, sock: socket.socket, times: int):
        self._sock, self.times = sock, times

    def accept(self):
        if self.times:
            self.times -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return self._sock.accept()

    def __getattr__(self, name: str):
        return getattr(self._sock, name)


def test_without_descriptors_the_port_rests_and_goes_on(home, monkeypatch):
    monkeypatch.setattr("mv_iptel.ftp.listening.REST", 0.05)
    with Site(home) as site:
        door = next(iter(site.server._listeners.values())).door
        door.socket = short = Short(door.socket, 2)
        client = site.phone()
        assert client.pwd() == "/" and short.times == 0
        client.quit()


def test_doors_are_shut(home):
    with Site(home) as site:
        site.reload({"ftp": {"run_ftp": False}, "ftps": {"run_ftps": False}})
        wait_for("no door", lambda: len(site.server.ioloop.socket_map) == 1)
