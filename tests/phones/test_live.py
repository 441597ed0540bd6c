"""One simulated phone over real sockets: against the real servers, and against servers that misbehave."""

from __future__ import annotations

import hashlib
import socket
import threading

import pytest

from mv_iptel.phones.boot import Fetch, Server
from mv_iptel.phones.live import Live, address_towards, explain, get, tls_context
from tests.phones.stands import Stand

BIG = bytes(range(256)) * 1200  # 300 KiB, a multiple of 512: TFTP ends with an empty block
FILES = {"empty.txt": b"", "one.txt": b"1", "block.bin": b"x" * 512, "big.bin": BIG}


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    with Stand(tmp_path_factory.mktemp("stand")) as stand:
        for folder in (stand.home.tftp_data, stand.home.http_data):
            for name, content in FILES.items():
                (folder / name).write_bytes(content)
        yield stand


def server(stand: Stand, protocol: str) -> Server:
    return Server(protocol, "127.0.0.1", {"tftp": 69, "http": 81, "https": 411}[protocol] + stand.offset)


@pytest.mark.parametrize("protocol", ["tftp", "http", "https"])
@pytest.mark.parametrize("name", FILES)
def test_every_byte_arrives(stand, protocol, name):
    with Live(context=tls_context(stand.home.ca_cert)) as live:
        for keep in (True, False):
            got = live.fetch(Fetch(server(stand, protocol), name, "file", keep=keep))
            assert (got.result, got.size, got.tries, got.resent) == ("ok", len(FILES[name]), 1, 0)
            assert got.data == (FILES[name] if keep else None)
            assert got.sha256 == hashlib.sha256(FILES[name]).hexdigest()


@pytest.mark.parametrize("protocol", ["tftp", "http", "https"])
def test_what_is_not_there_is_missing(stand, protocol):
    with Live(context=tls_context(stand.home.ca_cert)) as live:
        got = live.fetch(Fetch(server(stand, protocol), "absent.txt", "file"))
    assert got.result == "missing"
    assert ("404" if protocol != "tftp" else "error 1") in got.detail


def test_a_phone_has_an_address_and_a_name_of_its_own(stand):
    agent = "AVAYA/9640-3.2 (MAC:00040dabcdef)"
    with Live("127.0.0.77") as live:
        live.fetch(Fetch(server(stand, "http"), "one.txt", "file", agent=agent))
        live.fetch(Fetch(server(stand, "tftp"), "one.txt", "file"))
    seen = [(event.proto, event.mac) for event in stand.seen("127.0.0.77", 2)]
    assert seen == [("http", "00040dabcdef"), ("tftp", "00040dabcdef")]


def test_a_server_of_2005_and_its_phone(stand):
    """TLS 1.0, and the certificate checked over a suite that does not encrypt."""
    with Live(context=tls_context(stand.home.ca_cert, old=True)) as live:
        got = live.fetch(Fetch(server(stand, "https"), "big.bin", "file"))
        assert got.data == BIG
        (connection,) = live._open.values()
        assert (connection.version(), connection.cipher()[0]) == ("TLSv1", "NULL-SHA")


def test_a_certificate_of_a_stranger_is_refused(stand):
    with Live(context=tls_context()) as live:
        got = live.fetch(Fetch(server(stand, "https"), "one.txt", "file"))
    assert got.result == "failed"
    assert "the certificate is not accepted" in got.detail
    with Live(context=tls_context(insecure=True)) as live:
        assert live.fetch(Fetch(server(stand, "https"), "one.txt", "file")).result == "ok"


def test_tls_to_a_port_without_it(stand):
    with Live(context=tls_context(stand.home.ca_cert)) as live:
        got = live.fetch(Fetch(Server("https", "127.0.0.1", 81 + stand.offset), "one.txt", "file"))
    assert got.result == "failed"
    assert got.detail.startswith("TLS: ")


def test_a_broken_authority_file_is_an_error(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(OSError):
        tls_context(tmp_path / "ca.pem")


def speak(*answers: bytes | None):
    """An HTTP server that gives each connection's requests the next answers; None closes without one."""
    listener = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []

    def serve() -> None:
        connection = None
        for answer in answers:
            if connection is None:
                connection, _ = listener.accept()
            request = connection.recv(65536)
            if not request:  # the phone came over a new connection
                connection.close()
                connection, _ = listener.accept()
                request = connection.recv(65536)
            heard.append(request)
            if answer is None:
                connection.close()
                connection = None
                continue
            connection.sendall(answer)
            if b"close" in answer:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()
        listener.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return Server("http", "127.0.0.1", listener.getsockname()[1]), heard, thread


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CASES = {
    "200": ((OK,), "ok", "200 OK", 1),
    "until the end": ((b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nok",), "ok", "200 OK", 1),
    "403": ((b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",), "refused", "403 Forbidden", 1),
    "500": ((b"HTTP/1.1 500 Fault\r\nContent-Length: 0\r\n\r\n",), "failed", "500 Fault", 1),
    "503 without a time": ((b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",), "failed", "503 Busy", 1),
    "503, then 200": (
        (b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", OK),
        "ok", "200 OK", 2,
    ),
    "cut off": (
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nok",),
        "failed", "closed after 2 octets of the body", 1,
    ),
    "closed at once": ((None,), "failed", "closed before an answer came", 1),
    "no HTTP": ((b"SSH-2.0-x close\r\n\r\n",), "failed", "an answer without a status line", 1),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_http_answers(case):
    answers, result, detail, tries = CASES[case]
    place, heard, thread = speak(*answers)
    with Live(patience=5) as live:
        got = live.fetch(Fetch(place, "a.txt", "file", agent="AVAYA/9640"))
    thread.join(5)
    assert (got.result, got.detail, got.tries) == (result, detail, tries)
    assert heard[0].startswith(b"GET /a.txt HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"User-Agent: AVAYA/9640\r\n" in heard[0]


def test_a_kept_connection_that_the_server_closed_is_opened_anew():
    place, heard, thread = speak(OK, None, OK)
    with Live(patience=5) as live:
        first = live.fetch(Fetch(place, "a.txt", "file"))
        second = live.fetch(Fetch(place, "b.txt", "file"))
    thread.join(5)
    assert (first.data, second.data) == (b"ok", b"ok")
    assert [request.split()[1] for request in heard] == [b"/a.txt", b"/b.txt", b"/b.txt"]


def test_the_address_that_a_server_sees():
    assert address_towards(Server("ftp", "127.0.0.1", 21)) == "127.0.0.1"
    with pytest.raises(OSError):
        address_towards(Server("ftp", "no.such.host.invalid", 21))


def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with Live(patience=5) as live:
        got = live.fetch(Fetch(Server("http", "127.0.0.1", port), "a.txt", "file"))
    assert (got.result, got.detail) == ("failed", "connection refused")


def test_a_silent_tftp_server_is_asked_each_second():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.settimeout(1)
        with Live(patience=2.2) as live:
            got = live.fetch(Fetch(Server("tftp", "127.0.0.1", silent.getsockname()[1]), "a", "file"))
        requests = [silent.recv(600) for _ in range(got.tries)]
    assert (got.result, got.tries, got.resent) == ("failed", 3, 0)
    assert set(requests) == {b"\0\1a\0octet\0"}
    assert "never answered within 2.2 s" in got.detail


def test_a_tftp_server_that_comes_late_and_a_stranger():
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as main,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as transfer,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger,
    ):
        for sock in (main, transfer, stranger):
            sock.bind(("127.0.0.1", 0))
            sock.settimeout(10)

        def serve() -> None:
            main.recv(600)  # lost
            _, phone = main.recvfrom(600)
            transfer.sendto(b"\0\3\0\1" + b"a" * 512, phone)
            transfer.recv(600)
            stranger.sendto(b"\0\3\0\2bad", phone)
            heard.append(stranger.recv(600))
            transfer.sendto(b"\0\3\0\2good", phone)
            heard.append(transfer.recv(600))

        heard: list[bytes] = []
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with Live(patience=10) as live:
            got = live.fetch(Fetch(Server("tftp", "127.0.0.1", main.getsockname()[1]), "a", "file"))
        thread.join(10)
    assert (got.result, got.tries, got.data) == ("ok", 2, b"a" * 512 + b"good")
    assert heard == [b"\0\5\0\5Unknown transfer ID\0", b"\0\4\0\2"]


def test_the_request_names_the_port_unless_it_is_the_usual_one():
    assert b"Host: [::1]:81\r\n" in get(Fetch(Server("http", "::1", 81), "a", "file"))
    assert b"Host: s\r\n" in get(Fetch(Server("https", "s", 443), "a", "file"))
    assert b"Host: s:80\r\n" in get(Fetch(Server("https", "s", 80), "a", "file"))


WORDS = {
    "no answer in time": TimeoutError(),
    "connection refused": ConnectionRefusedError(111, "Connection refused"),
    "odd": ValueError("odd"),
}


@pytest.mark.parametrize("text", WORDS)
def test_trouble_in_words(text):
    assert explain(WORDS[text]) == text
