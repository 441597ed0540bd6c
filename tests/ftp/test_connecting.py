"""Data connections: only with the client itself, active and passive, IPv4 and IPv6, on ports that are set."""

from __future__ import annotations

import ftplib
import socket

import pytest

from mv_iptel.events import Notice
from tests.ftp.site import PATIENCE, Site, fetch, store, wait_for
from tests.ftp.test_handler import NAME, closed


def refused(client: ftplib.FTP, line: str) -> str:
    with pytest.raises(ftplib.Error) as error:
        client.sendcmd(line)
    return str(error.value)[:3]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("PORT 127,0,0,9,100,0", "501"), ("PORT 192,0,2,1,100,0", "501"), ("PORT 127,0,0,1,3,255", "501"),
        ("PORT 127,0,0,1,0,22", "501"), ("PORT 127,0,0,1,0,0", "501"), ("PORT 1,2,3", "501"),
        ("PORT 127,0,0,1,256,0", "501"), ("PORT a,b,c,d,e,f", "501"), ("PORT 127,0,0,1,-1,300", "501"),
        ("EPRT |1|127.0.0.9|30000|", "501"), ("EPRT |1|127.0.0.1|80|", "501"), ("EPRT |2|::1|30000|", "522"),
        ("EPRT |3|x|30000|", "501"), ("EPRT nonsense", "501"), ("EPRT |1|localhost|30000|", "501"),
        ("EPSV 2", "522"),
    ],
)  # fmt: skip
def test_nobody_is_reached_through_us(site, line, code):
    client = site.phone()
    assert refused(client, line) == code
    assert refused(client, f"RETR {NAME}") == "425"
    client.quit()


def test_a_bounce_is_told_once(site):
    client = site.phone()
    for port in range(3):
        refused(client, f"PORT 192,0,2,1,100,{port}")
    client.quit()
    assert "192.0.2.1" in site.event(Notice, kind="ftp-bounce").text


def test_nothing_is_connected_to_before_there_is_a_job(site):
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    client = site.phone()
    assert client.sendcmd(f"PORT 127,0,0,1,{port >> 8},{port & 255}").startswith("200")
    assert client.pwd() == "/"
    listening.setblocking(False)
    with pytest.raises(BlockingIOError):
        listening.accept()
    client.putcmd("LIST")
    assert client.getresp().startswith("150")
    assert client.getresp().startswith("226")
    listening.accept()[0].close()
    client.quit()


def test_a_client_that_does_not_listen(site):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        client = site.phone()
        client.sendcmd(f"PORT 127,0,0,1,{port >> 8},{port & 255}")
        client.putcmd(f"STOR {NAME}")
        assert client.getresp().startswith("150")
        with pytest.raises(ftplib.error_temp, match="425"):
            client.getresp()
    assert store(client, NAME, b"x").startswith("226")
    client.quit()
    assert [one.outcome for one in site.events()] == ["aborted", "ok"]


def test_a_stranger_at_the_data_port_changes_nothing(site):
    client = site.phone()
    client.sendcmd("TYPE I")
    place = client.makepasv()
    with socket.create_connection(place, PATIENCE, source_address=("127.0.0.9", 0)) as stranger:
        stranger.sendall(b"mine now")
        assert closed(stranger)
    # The client was told nothing, its port is still there, and what follows is its own.
    with socket.create_connection(place, PATIENCE, source_address=("127.0.0.1", 0)) as data:
        client.putcmd(f"STOR {NAME}")
        assert client.getresp().startswith("150")
        data.sendall(b"his own")
    assert client.getresp().startswith("226")
    assert (site.home.ftp_data / NAME).read_bytes() == b"his own"
    client.quit()
    assert "127.0.0.9" in site.event(Notice, kind="ftp-foreign").text


def test_a_data_connection_that_never_comes(home, monkeypatch):
    monkeypatch.setattr("mv_iptel.ftp.connecting.CONNECT", 0.2)
    with Site(home) as site:
        client = site.phone()
        client.sendcmd("PASV")
        client.putcmd(f"STOR {NAME}")
        assert client.getresp().startswith("150")
        with pytest.raises(ftplib.error_temp, match="425"):
            client.getresp()
        assert store(client, NAME, b"x").startswith("226")
        client.quit()


def test_active_connections_come_from_the_data_port(home):
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", 0))
        source = free.getsockname()[1]
    with Site(home, {"ftp": {"ftp_data_port": source}}) as site:
        client = site.phone()
        client.set_pasv(False)
        for _ in range(3):
            client.sendcmd("TYPE I")
            sock = client.transfercmd(f"STOR {NAME}")
            assert sock.getpeername() == ("127.0.0.1", source)
            sock.close()
            assert client.voidresp().startswith("226")
        client.quit()
        assert not site.events(Notice)


def test_without_the_right_to_the_data_port_any_port_will_do(home, monkeypatch):
    """As after the rights were given up: told once, and phones get their data."""

    class Socket(socket.socket):
        """A socket of a process without rights."""

        def bind(self, place: tuple) -> None:
            if place[1] == 20:
                raise PermissionError(13, "Permission denied")
            super().bind(place)

    monkeypatch.setattr(socket, "socket", Socket)
    with Site(home, {"ftp": {"ftp_data_port": 20}}) as site:
        client = site.phone()
        client.set_pasv(False)
        assert store(client, NAME, b"x").startswith("226")
        assert fetch(client, NAME) == b"x"
        client.quit()
        assert "FTPDataPort" in site.event(Notice, kind="ftp-data-port").text


def test_passive_ports_of_a_range(home):
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    first = min(one.getsockname()[1] for one in held)
    with Site(home, {"ftp": {"ftp_passive_ports": (first, first), "ftp_masquerade": "192.0.2.7"}}) as site:
        client = site.phone()
        address, port = ftplib.parse227(client.sendcmd("PASV"))
        assert address == "192.0.2.7" and port != first  # taken: another one, and somebody is told
        assert site.event(Notice, kind="ftp-ports")
        for one in held:
            one.close()
        assert ftplib.parse227(client.sendcmd("PASV")) == ("192.0.2.7", first)
        assert f"|||{first}|" in client.sendcmd("EPSV")
        client.quit()


def test_a_masquerade_that_is_no_address_is_told(home):
    with Site(home, {"ftp": {"ftp_masquerade": "::1"}}) as site:
        client = site.phone()
        assert ftplib.parse227(client.sendcmd("PASV"))[0] == "127.0.0.1"
        client.quit()
        assert site.event(Notice, kind="ftp-masquerade")


@pytest.fixture
def six(home):
    with Site(home, {"settings": {"bind_address": ("::1",)}}) as running:
        yield running


def test_over_ipv6(six):
    client = ftplib.FTP(encoding="utf-8")
    client.connect("::1", six.port("ftp", "::1"), PATIENCE)
    client.login()
    assert store(client, NAME, b"six").startswith("226")  # EPSV
    client.set_pasv(False)
    assert fetch(client, NAME) == b"six"  # EPRT
    assert refused(client, "PASV") == "522"
    assert refused(client, "EPRT |2|::2|30000|") == "501"
    assert refused(client, "EPRT |1|127.0.0.1|30000|") == "501"
    listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
    port = listening.getsockname()[1]
    # Another spelling of the same address is the same address.
    assert client.sendcmd(f"EPRT |2|0:0:0:0:0:0:0:1|{port}|").startswith("200")
    client.putcmd("NLST")
    assert client.getresp().startswith("150")
    listening.accept()[0].close()
    client.getresp()
    assert client.sendcmd(f"EPRT |2|::|{port}|").startswith("200")  # any of its own, says lftp
    client.quit()
    assert {one.peer for one in six.events()} == {"::1"}


def test_a_new_port_replaces_the_old(site):
    client = site.phone()
    places = [ftplib.parse227(client.sendcmd("PASV")) for _ in range(5)]
    loop = site.server.ioloop
    wait_for("one data port", lambda: len(loop.socket_map) == 5)  # waker, two listeners, control, data
    with pytest.raises(OSError):
        socket.create_connection(places[0], PATIENCE).close()
    client.quit()
    wait_for("none", lambda: len(loop.socket_map) == 3)
