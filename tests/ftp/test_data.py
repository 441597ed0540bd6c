"""How data connections end: what is an end of a file and what is none, in clear and over TLS."""

from __future__ import annotations

import ftplib
import os
import socket
import ssl

import pytest

from tests.ftp.site import PATIENCE, Site, fetch, store, tls_context, wait_for
from tests.ftp.test_handler import NAME, abort, begin, closed

BIG = os.urandom(900_000)


def secure(site: Site) -> ftplib.FTP_TLS:
    client = ftplib.FTP_TLS(context=tls_context(site.home), encoding="utf-8")
    site.connect(client=client)
    client.host = "127.0.0.1"
    client.login("anonymous", "phone@")
    client.prot_p()
    return client


def begin_tls(client: ftplib.FTP_TLS, line: str) -> ssl.SSLSocket:
    """A data connection with its handshake done."""
    data = begin(client, line)
    assert client.getresp().startswith("150")
    return client.context.wrap_socket(data, server_hostname="127.0.0.1")


def test_over_tls_only_a_close_notify_is_an_end(site):
    client = secure(site)
    store(client, NAME, b"old")
    data = begin_tls(client, f"STOR {NAME}")
    data.sendall(b"a part that somebody on the way let through")
    socket.socket(fileno=data.detach()).close()  # FIN, and no close_notify
    with pytest.raises(ftplib.error_temp, match="426"):
        client.getresp()
    assert fetch(client, NAME) == b"old"
    data = begin_tls(client, f"STOR {NAME}")
    data.sendall(b"all")
    data.unwrap()
    data.close()
    assert client.getresp().startswith("226")
    assert fetch(client, NAME) == b"all"
    client.quit()
    assert [one.outcome for one in site.events(op="store")] == ["ok", "aborted", "ok"]


def test_a_data_connection_without_tls_where_tls_was_agreed(site):
    client = secure(site)
    data = begin(client, f"STOR {NAME}")
    assert client.getresp().startswith("150")
    data.sendall(b"this is no handshake at all, it is user data in clear")
    data.shutdown(socket.SHUT_WR)
    with pytest.raises(ftplib.error_perm, match="522"):
        client.getresp()
    assert list(site.home.ftp_data.iterdir()) == []
    client.quit()


@pytest.mark.parametrize("make", [Site.phone, secure])
def test_big_files_go_and_come(home, make):
    with Site(home, {"http": {"max_backup_bytes": 1 << 20}}) as site:
        client = make(site)
        assert store(client, NAME, BIG).startswith("226")
        assert fetch(client, NAME) == BIG
        assert fetch(client, NAME, 800_000) == BIG[800_000:]
        client.set_pasv(False)
        assert fetch(client, NAME) == BIG
        client.quit()
        assert [one.bytes for one in site.events(op="read")] == [900_000, 100_000, 900_000]


@pytest.mark.parametrize("make", [Site.phone, secure])
def test_a_reader_that_goes_is_seen(home, make):
    with Site(home, {"http": {"max_backup_bytes": 1 << 26}}) as site:
        client = make(site)
        (home.ftp_data / NAME).write_bytes(b"x" * (60 << 20))  # more than any socket takes
        data = begin(client, f"RETR {NAME}")
        assert client.getresp().startswith("150")
        if make is secure:
            data = client.context.wrap_socket(data, server_hostname="127.0.0.1")
        assert data.recv(10)
        (row,) = wait_for("a row", site.server.active)
        assert row["total"] == 60 << 20
        abort(data)
        with pytest.raises(ftplib.error_temp, match="426"):
            client.getresp()
        assert client.pwd() == "/"
        client.quit()
        cut = site.event(op="read")
        assert cut.outcome == "aborted" and 0 < cut.bytes < 60 << 20


def test_a_file_that_changes_under_a_reader_is_told(home):
    with Site(home) as site:
        client = site.phone()
        (home.ftp_data / NAME).write_bytes(b"x" * (30 << 20))
        data = begin(client, f"RETR {NAME}")
        assert client.getresp().startswith("150")
        assert data.recv(10)
        os.truncate(home.ftp_data / NAME, 1000)
        while data.recv(1 << 20):
            pass
        with pytest.raises(ftplib.error_temp, match="451"):
            client.getresp()
        data.close()
        client.quit()
        assert site.event().outcome == "failed"


def test_a_stalled_transfer_ends_by_itself(home):
    with Site(home, {"ftp": {"ftp_idle_timeout": 0.3}}) as site:
        client = site.phone()
        data = begin(client, f"STOR {NAME}")
        assert client.getresp().startswith("150")
        data.sendall(b"x")
        with pytest.raises(ftplib.error_temp, match="421"):
            client.getresp()
        assert closed(data)
        assert client.sock.recv(1) == b""
        assert site.event().outcome == "timeout"
        assert list(home.ftp_data.iterdir()) == []


def test_what_comes_before_its_time_is_kept_for_it(site):
    """The data connection stands and is full before STOR: nothing of it is lost, and nothing is an end."""
    client = site.phone()
    client.sendcmd("TYPE I")
    data = socket.create_connection(client.makepasv(), PATIENCE)
    data.sendall(b"x" * 5000)
    data.close()
    assert client.pwd() == "/"
    client.putcmd(f"STOR {NAME}")
    assert client.getresp().startswith("150")
    assert client.getresp().startswith("226")
    assert (site.home.ftp_data / NAME).read_bytes() == b"x" * 5000
    client.quit()


def test_a_data_connection_that_broke_before_its_time(site):
    client = site.phone()
    client.sendcmd("TYPE I")
    data = socket.create_connection(client.makepasv(), PATIENCE)
    assert client.pwd() == "/"
    abort(data)
    assert client.sendcmd(f"STOR {NAME}").startswith("150")
    with pytest.raises(ftplib.error_temp, match="426"):
        client.getresp()
    assert list(site.home.ftp_data.iterdir()) == []
    client.quit()
