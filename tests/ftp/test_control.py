"""The control connection: lines of any kind, clients that say nothing or too much, and faults."""

from __future__ import annotations

import ftplib
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mv_iptel.ftp.control import DEFERRED, LINE, LOGIN
from tests.ftp.site import PATIENCE, SUPER, Site, wait_for
from tests.ftp.test_handler import NAME, begin, closed


def everything(sock: socket.socket) -> bytes:
    """All that comes until the end."""
    found = b""
    try:
        while data := sock.recv(65536):
            found += data
    except ConnectionError:
        pass
    return found


def test_a_line_in_pieces(site):
    client = site.phone()
    for octet in b"PWD\r\n":
        client.sock.sendall(bytes((octet,)))
    assert client.getresp().startswith("257")
    client.quit()


def test_a_line_without_an_end_ends_the_session(site):
    client = site.phone()
    client.sock.sendall(b"STOR " + b"x" * LINE)
    with pytest.raises(ftplib.error_perm, match="500"):
        client.getresp()
    assert closed(client.sock)


def test_a_browser_that_lost_its_way(site):
    client = site.connect()
    client.sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n\r\nSTOR 1234_4620data.txt\r\nQUIT\r\n")
    answers = everything(client.sock)
    assert b"226" not in answers and answers.endswith(b"221 Goodbye.\r\n")
    assert list(site.home.ftp_data.iterdir()) == []


def test_too_many_commands_behind_a_transfer(site):
    client = site.phone()
    data = begin(client, f"STOR {NAME}")
    assert client.getresp().startswith("150")
    client.sock.sendall(b"PWD\r\n" * (DEFERRED + 1))
    with pytest.raises(ftplib.error_temp, match="421"):
        client.getresp()
    assert closed(client.sock) and closed(data)
    assert site.event().outcome == "aborted"


def test_signs_of_life_are_answered_during_a_transfer(site):
    client = site.phone()
    data = begin(client, f"STOR {NAME}")
    assert client.getresp().startswith("150")
    assert client.sendcmd("NOOP").startswith("200")
    assert "Data connection open" in client.sendcmd("STAT")
    data.close()
    assert client.getresp().startswith("226")
    client.quit()


def test_who_says_nothing_is_shown_out(home):
    with Site(home, {"ftp": {"ftp_idle_timeout": 0.2}}) as site:
        client = site.connect()
        with pytest.raises(ftplib.error_temp, match="421"):
            client.getresp()
        assert closed(client.sock)
        client = site.phone()
        with pytest.raises(ftplib.error_temp, match="421"):
            client.getresp()
        quiet = socket.create_connection(("127.0.0.1", site.port("ftps")), PATIENCE)  # and no handshake
        assert closed(quiet)
        wait_for("no session", lambda: not site.server._sessions)


def test_who_does_not_sign_in_is_shown_out(home, monkeypatch):
    monkeypatch.setattr("mv_iptel.ftp.control.LOGIN", 0.2)
    with Site(home) as site:
        signed_in = site.phone()
        client = site.connect()
        with pytest.raises(ftplib.error_temp, match="421"):
            client.getresp()
        assert signed_in.pwd() == "/"
        signed_in.quit()


def test_who_talks_and_does_not_sign_in_is_shown_out(home):
    """No command buys time, nor does a wrong password. The loop's own timer is looked at."""
    with Site(home) as site:
        client = site.connect()
        (session,) = site.server._sessions
        until = session._idler.timeout
        for line in ("NOOP", "SYST", "REIN", "USER x", "PWD", "TYPE I"):
            try:
                client.sendcmd(line)
            except ftplib.Error:
                pass
            assert session._idler.timeout == until, line
        site.ahead += 30.0
        with pytest.raises(ftplib.error_perm, match="530"):
            client.login(SUPER, "wrong")
        wait_for("the timer", lambda: session._idler.timeout < until - 25)
        client.login("anonymous", "x")
        assert session.timeout == session.idle
        wait_for("the other timer", lambda: session._idler.timeout > until)
        before = session._idler.timeout
        client.pwd()
        assert session._idler.timeout > before  # who is signed in buys time by every command
        client.sendcmd("USER x")  # and is as new when he goes
        assert session.timeout == LOGIN and session._idler.timeout < before
        client.close()
        late = site.connect()
        site.ahead += LOGIN
        with pytest.raises(ftplib.error_perm, match="530"):
            late.login(SUPER, "wrong")
        with pytest.raises(ftplib.error_temp, match="421"):
            late.getresp()
        assert closed(late.sock)


def test_who_does_not_read_is_shown_out(site):
    """Else its replies would fill our memory."""
    client = site.phone()
    client.sock.settimeout(PATIENCE)
    with pytest.raises(ConnectionError):
        while True:
            client.sock.sendall(b"HELP\r\n" * 1000)
    wait_for("no session", lambda: not site.server._sessions)


def test_who_does_not_read_the_last_reply(home, monkeypatch):
    monkeypatch.setattr("mv_iptel.ftp.control.LINGER", 0.2)
    monkeypatch.setattr("mv_iptel.ftp.control.UNREAD", 1 << 30)
    with Site(home, {"ftp": {"ftp_idle_timeout": 0.5}}) as site:
        client = site.connect()
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(2000):
            client.sock.sendall(b"HELP\r\n" * 3)
        wait_for("no session", lambda: not site.server._sessions)


def test_help_and_features(site):
    client = site.phone()
    features = client.sendcmd("FEAT")
    for one in ("AUTH TLS", "EPSV", "EPRT", "MLST", "REST STREAM", "SIZE", "UTF8", "PROT"):
        assert one in features
    assert "APPE" not in client.sendcmd("HELP") and client.sendcmd("OPTS UTF8 ON").startswith("200")
    assert client.sendcmd("SYST").startswith("215")
    assert client.sendcmd("ALLO 5").startswith("202")
    client.quit()


@pytest.fixture(scope="module")
def steady(made_home):
    with Site(made_home) as running:
        yield running


VERBS = """USER a,PASS b,PASV,EPSV,EPSV ALL,PORT 127 0 0 1 0 0,TYPE A,REST 5,ABOR,STAT,REIN,AUTH,AUTH TLS-X
PBSZ 0,PROT P,CWD x,LIST,STOR x,RETR ..,MKD,\xff\xf4ABOR,OPTS MLST x,STAT x,HELP x,\u017fTOR x,PA\u00df x
MODE S,STRU F,NOOP,, ,RNTO x,SITE,SITE X,SIZE x,MLST,XPWD,ALLO""".replace("\n", ",").split(",")


@settings(max_examples=60)
@given(st.lists(st.one_of(st.sampled_from(VERBS).map(lambda text: text.encode()),
                          st.binary(max_size=60)), max_size=25))  # fmt: skip
def test_nothing_that_is_sent_is_a_fault(steady, lines):
    """What the site's end checks: no event of a fault. And it goes on."""
    client = steady.connect()
    client.sock.sendall(b"\r\n".join(lines) + b"\r\nQUIT\r\n")
    client.sock.shutdown(socket.SHUT_WR)
    everything(client.sock)
    client.close()
    assert steady.phone().pwd() == "/"
