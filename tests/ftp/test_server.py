"""Ports, limits, reloads and the end; and that one client's business is not the others'."""

from __future__ import annotations

import ftplib
import io
import socket
import threading

import pytest

from mv_iptel.events import Listening, Notice
from tests.ftp.site import PATIENCE, Site, fetch, store, wait_for
from tests.ftp.test_handler import NAME, begin, closed


def turned_away(site: Site, address: str = "127.0.0.1") -> str:
    with pytest.raises((ftplib.error_temp, ftplib.error_reply, EOFError, OSError)) as error:
        site.connect(address)
    return str(error.value)[:3]


def test_sessions_are_counted(home):
    with Site(home, {"ftp": {"ftp_max_connections": 3}}) as site:
        clients = [site.phone() for _ in range(3)]
        assert turned_away(site) == "421"
        assert store(clients[0], NAME, b"x").startswith("226")  # who is in works
        clients.pop().quit()
        wait_for("room", lambda: len(site.server._sessions) == 2)
        clients.append(site.phone())
        assert site.event(Notice, kind="ftp-full")
        for client in clients:
            client.quit()


def test_sessions_are_counted_by_address(home):
    with Site(home, {"ftp": {"ftp_max_per_address": 2}}) as site:
        clients = [site.phone("127.0.0.61") for _ in range(2)]
        assert turned_away(site, "127.0.0.61") == "421"
        other = site.phone("127.0.0.62")
        clients.pop().close()
        wait_for("room", lambda: len(site.server._sessions) == 2)
        clients.append(site.phone("127.0.0.61"))
        for client in (*clients, other):
            client.quit()
        wait_for("nobody", lambda: not site.server._from)


def test_a_taken_port_is_failed_and_comes_up_when_it_is_free(home):
    holder = socket.create_server(("127.0.0.1", 0))
    port = holder.getsockname()[1]
    with Site(home, {"ftp": {"ftp_port": port}}) as site:
        (ftp,) = [one for one in site.server.listeners() if one["proto"] == "ftp"]
        assert ftp["state"] == "failed" and "is taken by" in ftp["error"]
        assert site.port("ftps")
        site.ahead += 31
        wait_for("a second attempt", lambda: site.server._listeners and site.server._listeners)
        holder.close()
        site.ahead += 31
        wait_for("an open port", lambda: site.server.listeners()[0]["state"] == "up")
        assert site.phone().pwd() == "/"
        assert len([one for one in site.events(Listening) if one.state == "failed"]) == 1


def test_a_reload_keeps_sessions_and_transfers(site):
    client = site.phone()
    data = begin(client, f"STOR {NAME}")
    assert client.getresp().startswith("150")
    before = site.port()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    site.reload({"ftp": {"ftp_port": port, "ftp_idle_timeout": 100.0}, "ftps": {"run_ftps": False}})
    data.sendall(b"goes on")
    data.close()
    assert client.getresp().startswith("226")
    assert fetch(client, NAME) == b"goes on"
    client.quit()
    assert [(one["proto"], one["port"]) for one in site.server.listeners()] == [("ftp", port)]
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", before), PATIENCE)
    assert site.phone().pwd() == "/"
    site.reload({"ftp": {"run_ftp": False}})
    assert site.server.listeners() == []
    site.reload({"ftp": {"run_ftp": True}})
    assert site.phone().pwd() == "/"


def test_the_end_waits_for_what_runs(home):
    site = Site(home)
    with site:
        idle = site.phone()
        client = site.phone()
        data = begin(client, f"STOR {NAME}")
        assert client.getresp().startswith("150")
        ending = threading.Thread(target=site.server.stop, args=(PATIENCE,))
        ending.start()
        with pytest.raises(ftplib.error_temp, match="421"):
            idle.getresp()
        data.sendall(b"whole")
        data.close()
        assert client.getresp().startswith("226")
        with pytest.raises(ftplib.error_temp, match="421"):
            client.getresp()
        ending.join(PATIENCE)
        assert (home.ftp_data / NAME).read_bytes() == b"whole"
    assert [one.state for one in site.events(Listening)] == ["up", "up", "off", "off"]


def test_the_end_does_not_wait_for_ever(home):
    with Site(home) as site:
        client = site.phone()
        data = begin(client, f"STOR {NAME}")
        assert client.getresp().startswith("150")
        site.server.stop(0.0)
        assert closed(client.sock) and closed(data)
        assert site.event().outcome == "aborted"
        assert list(home.ftp_data.iterdir()) == []


def test_many_at_once(site):
    """200 phones at once, each from an address and with data of its own."""
    failed: list[object] = []

    def play(number: int) -> None:
        name, data = f"{number}_4620data.txt", f"of {number}\r\n".encode() * 2000
        try:
            client = site.phone(f"127.0.{number // 100}.{number % 100 + 100}")
            client.storbinary(f"STOR {name}", io.BytesIO(data))
            if fetch(client, name) != data:
                failed.append(number)
            client.quit()
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=play, args=(number,)) for number in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE * 3)
    assert failed == []
    assert len(site.events(op="store", outcome="ok")) == len(site.events(op="read", outcome="ok")) == 200
    assert len(list(site.home.ftp_data.iterdir())) == 200
    wait_for("nobody is left", lambda: not site.server._sessions and not site.server._from)
    assert len(site.server.ioloop.socket_map) == 3


def test_actions_of_other_threads_are_done_after_the_end_too(home):
    with Site(home) as site:
        site.server.stop(0.0)
        done = threading.Event()
        site.server.call(done.set)
        assert done.is_set()


def test_a_fault_in_an_action_is_told_and_survived(home):
    site = Site(home)
    site.__enter__()

    def broken() -> None:
        raise ValueError("a fault")

    site.server.call(broken)
    assert site.phone().pwd() == "/"
    assert "ValueError" in site.event(Notice, kind="fault").text
    site.listener.events.clear()
    site.__exit__()
