"""One phone that stores and fetches, at servers that we did not write and at servers that misbehave."""

from __future__ import annotations

import socket
import ssl
import threading

import pytest

from mv_iptel import certs
from mv_iptel.home import Home
from mv_iptel.phones import backup, userdata
from mv_iptel.phones.backup import Manner
from mv_iptel.phones.boot import Server
from mv_iptel.phones.families import Handset
from mv_iptel.phones.live import tls_context
from mv_iptel.phones.userdata import Depot
from tests.phones.depots import FtpDepot, HttpDepot

FILE = "4711_4620data.txt"
DATA = {"empty": b"", "text": userdata.made_up(userdata.kept_by(Handset("4621SW", ext="4711"))),
        "bytes": bytes(range(256)) * 4000}  # fmt: skip


def ftp(port: int, directory: str = "") -> Depot:
    return Depot(Server("ftp", "127.0.0.1", port), directory)


def web(port: int, directory: str = "", protocol: str = "http") -> Depot:
    return Depot(Server(protocol, "localhost", port), directory)


@pytest.mark.parametrize("passive", [True, False], ids=["passive", "active"])
@pytest.mark.parametrize("content", DATA)
def test_ftp_gives_back_every_octet(tmp_path, passive, content):
    manner = Manner("127.0.0.5", passive=passive, patience=20)
    (tmp_path / "sub").mkdir()
    with FtpDepot(tmp_path) as server:
        stored = backup.store(ftp(server.port, "sub"), FILE, DATA[content], manner)
        assert (stored.result, stored.size, stored.detail[:3]) == ("ok", len(DATA[content]), "226")
        assert (tmp_path / "sub" / FILE).read_bytes() == DATA[content]
        fetched = backup.fetch(ftp(server.port, "sub"), FILE, manner)
    assert (fetched.result, fetched.data, fetched.sha256) == ("ok", DATA[content], stored.sha256)
    said = [line.split()[0] for line in server.heard]
    move = "PASV" if passive else "PORT"
    assert said == ["USER", "PASS", "CWD", "TYPE", move, "STOR", "QUIT",
                    "USER", "PASS", "CWD", "TYPE", move, "RETR", "QUIT"]  # fmt: skip


def test_type_a_sends_the_same_octets_and_sees_what_a_server_makes_of_them(tmp_path):
    manner = Manner(ascii=True, patience=20)
    with FtpDepot(tmp_path) as server:
        backup.store(ftp(server.port), FILE, b"a=1\r\nb=2\r\n", manner)
        fetched = backup.fetch(ftp(server.port), FILE, manner)
        assert fetched.data == b"a=1\r\nb=2\r\n"
        backup.store(ftp(server.port), FILE, b"a=1\nb=2\n", manner)
        fetched = backup.fetch(ftp(server.port), FILE, manner)
        assert fetched.data == b"a=1\r\nb=2\r\n"  # that server keeps lines, not octets
    assert "TYPE A" in server.heard


def test_ftp_says_no(tmp_path):
    with FtpDepot(tmp_path, rights="elr") as server:
        assert backup.store(ftp(server.port), FILE, b"x", Manner()).result == "refused"
        got = backup.fetch(ftp(server.port), FILE, Manner())
        assert (got.result, got.detail[:3]) == ("refused", "550")
        got = backup.fetch(ftp(server.port, "nowhere"), FILE, Manner())
        assert (got.result, got.detail[:3]) == ("refused", "550")


def test_http_gives_back_every_octet():
    manner = Manner("127.0.0.5", "AVAYA/9640", patience=20)
    with HttpDepot() as server:
        for content in DATA.values():
            stored = backup.store(web(server.port, "/u/r/"), "f.txt", content, manner)
            assert stored.result == "ok"
            fetched = backup.fetch(web(server.port, "/u/r/"), "f.txt", manner)
            assert (fetched.result, fetched.data) == ("ok", content)
        assert [stored.detail, fetched.detail] == ["204 No Content", "200 OK"]
        assert backup.fetch(web(server.port), "g.txt", manner).result == "missing"
    assert {path for _, path, _, _ in server.heard} == {"/u/r/f.txt", "/g.txt"}
    assert {agent for *_, agent in server.heard} == {"AVAYA/9640"}


def test_over_plain_http_the_password_waits_for_a_challenge():
    manner = Manner(user="10.0.0.1", password="secret", patience=20)
    with HttpDepot("10.0.0.1:secret") as server:
        assert backup.store(web(server.port), "f", b"x", manner).result == "ok"
        assert backup.fetch(web(server.port), "f", manner).data == b"x"
        wrong = backup.fetch(web(server.port), "f", Manner(user="10.0.0.1", password="other"))
        none = backup.fetch(web(server.port), "f", Manner())
        embedded = web(server.port)._replace(user="10.0.0.1", password="secret")
        assert backup.fetch(embedded, "f", Manner()).result == "ok"
    assert (wrong.result, wrong.detail[:3], none.result) == ("refused", "401", "refused")
    assert [bool(given) for _, _, given, _ in server.heard[:4]] == [False, True, False, True]
    assert "secret" not in repr(manner)


def test_over_tls_the_password_goes_with_every_request(tmp_path):
    home = Home(tmp_path)
    for place in home.directories():
        place.mkdir(parents=True, exist_ok=True)
    certs.make_authority(home, "localhost")
    certs.make_server(home, certs.Names(("localhost",), ("127.0.0.1",)))
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.load_cert_chain(home.cert_file, home.key_file)
    manner = Manner(user="10.0.0.1", password="secret", context=tls_context(home.ca_cert), patience=20)
    with HttpDepot("10.0.0.1:secret", secure) as server:
        assert backup.store(web(server.port, "", "https"), "f", b"x", manner).result == "ok"
        assert backup.fetch(web(server.port, "", "https"), "f", manner).data == b"x"
        stranger = Manner(context=tls_context(), patience=20)
        got = backup.fetch(web(server.port, "", "https"), "f", stranger)
    assert len(server.heard) == 2
    assert (got.result, got.detail[:4]) == ("failed", "TLS:")


def speak(answers: list[bytes]):
    """A server that answers the first connection's messages with these, then closes; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, listener:
            for answer in answers:
                if answer[:1] != b"2" or answer[:4] != b"220 ":
                    connection.recv(65536)
                connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


FTP_ENDS = {
    "busy": ([b"220 hi\r\n", b"421 Too many\x1b[0m\r\n"], "refused", "421 Too many [0m"),
    "gone": ([b"220 hi\r\n"], "failed", "the server closed the connection"),
    "no FTP": ([b"220 hi\r\n", b"999 what\r\n"], "failed", "999 what"),
}


@pytest.mark.parametrize("case", FTP_ENDS)
def test_an_ftp_server_that_ends_it(case):
    answers, result, detail = FTP_ENDS[case]
    got = backup.store(ftp(speak(answers)), FILE, b"x", Manner(patience=10))
    assert (got.result, got.detail) == (result, detail)


HTTP_ENDS = {
    "405": (b"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n", "refused", "405 No"),
    "507": (b"HTTP/1.1 507 Full\r\nContent-Length: 0\r\n\r\n", "refused", "507 Full"),
    "digest": (b"HTTP/1.1 401 X\r\nWWW-Authenticate:Digest\r\nContent-Length: 0\r\n\r\n", "refused", "401 X"),
    "no HTTP": (b"hello\r\n\r\n", "failed", "an answer without a status line"),
}  # fmt: skip


@pytest.mark.parametrize("case", HTTP_ENDS)
def test_an_http_server_that_says_no(case):
    answer, result, detail = HTTP_ENDS[case]
    got = backup.store(web(speak([answer])), "f", b"x", Manner(user="u", password="p", patience=10))
    assert (got.result, got.detail) == (result, detail)


def test_a_refusal_before_the_body_is_read():
    """A server that takes no more of a body says so and closes; its word is what counts."""
    answer = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, listener:
            connection.recv(100)
            connection.sendall(answer)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass

    threading.Thread(target=serve, daemon=True).start()
    got = backup.store(web(listener.getsockname()[1]), "f", bytes(1 << 20), Manner(patience=10))
    assert (got.result, got.detail) == ("refused", "413 Too Large")


def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    for depot in (ftp(port), web(port)):
        got = backup.fetch(depot, "f", Manner(patience=5))
        assert (got.result, got.detail) == ("failed", "connection refused")
