"""Who gets in, by which token and certificate; how the server says no; orders, reports, reload, its end."""

from __future__ import annotations

import gzip
import json
import logging
import random
import socket
import ssl
import threading
import time

import pytest

from mv_iptel import certs
from mv_iptel.central import authority, guarding, inviting
from mv_iptel.central.orders import BACKUP, UPDATE
from mv_iptel.central.refusing import No
from mv_iptel.guests import IDLE
from tests.central.branch import until
from tests.central.office import Branch, Key, Office


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    with Office(tmp_path_factory.mktemp("office"), settings={"server_name": "Head office"}) as office:
        yield office


@pytest.fixture(scope="module")
def oslo(office):
    return Branch(office, "Oslo")


@pytest.fixture
def fast(monkeypatch):
    """Wrong tokens are counted, and not waited for."""
    monkeypatch.setattr("mv_iptel.central.limiting.SLOWEST", 0.0)


PATHS = [
    ("GET", "/v1/manifest"), ("GET", "/v1/content/" + "0" * 64), ("GET", "/v1/userdata"),
    ("GET", "/v1/orders"),
    ("GET", "/v1/userdata/4711_96xxdata.txt"), ("PUT", "/v1/userdata/4711_96xxdata.txt"),
    ("DELETE", "/v1/userdata/4711_96xxdata.txt"), ("POST", "/v1/report"),
]  # fmt: skip


# enrolment


def test_the_authority_is_told_to_everybody(office):
    got = office.ask("GET", "/v1/authority")
    known = certs.load_chain(office.home.ca_cert)[0]
    assert got.status == 200 and got.body.decode() == authority.pem(known)
    assert got.headers["etag"] == f'"{authority.fingerprint(known)}"'
    assert got.headers["mv-api"] == "1" and got.headers["server"] == "mv-iptel"


def test_a_branch_joins(office, oslo):
    told = oslo.joined
    assert (told["name"], told["server"], told["generation"]) == ("Oslo", "Head office", 0)
    assert told["authority"] == office.ask("GET", "/v1/authority").body.decode()
    assert inviting.TOKEN.fullmatch(told["token"])
    assert oslo.ask("GET", "/v1/manifest").status == 200
    assert any("Oslo has joined" in text for text in office.notices("central-joined"))
    assert office.server.branches.get("Oslo").server == "At Oslo"


def test_an_answer_that_was_lost(office):
    once, key = office.server.branches.invite("Lost", 7), Key()
    body = json.dumps({"token": once, "csr": key.csr}).encode()
    first, again = (office.ask("POST", "/v1/join", body).json for _ in range(2))
    assert first["token"] != again["token"]
    assert office.server.branches.who(first["token"]) is None
    assert office.server.branches.who(again["token"]).name == "Lost"


def test_an_invitation_is_used_up(office, fast):
    once = office.server.branches.invite("Used", 7)
    for status in (200, 403):
        got = office.ask("POST", "/v1/join", json.dumps({"token": once, "csr": Key().csr}).encode())
        assert got.status == status
    assert got.json["error"] == "invite" and "used already" in got.json["text"]
    assert any("tried to join" in text for text in office.notices("central-token"))


@pytest.mark.parametrize("told", [
    b"", b"{", b"[]", b"5", b'{"token": 5}', b'{"token": "x"}', b'{"token": "x", "csr": 5}', b"[" * 5000,
    json.dumps({"token": "x" * 43, "csr": "-----BEGIN"}).encode(), b"\xff", b'{"token":"x","server":5}',
])  # fmt: skip
def test_what_is_no_request_to_join(office, told, fast):
    assert office.ask("POST", "/v1/join", told).json["error"] == "bad-request"


def test_a_request_to_join_that_is_too_large(office):
    assert office.ask("POST", "/v1/join", b" " * (guarding.JSON + 1)).json["error"] == "too-big"


# tokens and certificates


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer x", f"Bearer {'x' * 43}", "Basic eDp5"])
def test_without_its_token_nobody_gets_anything(office, method, path, header, fast):
    given = {} if header is None else {"Authorization": header}
    got = office.ask(method, path, b"" if method in ("PUT", "POST") else None, given)
    assert (got.status, got.json["error"]) == (401, "token") and got.headers["www-authenticate"] == "Bearer"


def test_wrong_tokens_are_slow_and_told(office, tmp_path):
    with Office(tmp_path) as alone:
        begun = time.monotonic()
        alone.ask("GET", "/v1/manifest", headers={"Authorization": "Bearer " + "s3cret" * 8})
        assert time.monotonic() - begun >= 0.9
        (text,) = alone.notices("central-token")
        assert "127.0.0.1" in text and "s3cret" not in text


def test_not_all_who_guess_are_held_back(office, monkeypatch):
    monkeypatch.setattr(guarding, "LATE", 0)
    assert office.ask("GET", "/v1/manifest").json["error"] == "busy"


def test_a_revoked_branch_is_nobody(office, fast):
    gone = Branch(office, "Gone")
    assert gone.ask("GET", "/v1/manifest").status == 200
    office.server.branches.revoke("Gone")
    assert gone.ask("GET", "/v1/manifest").status == 401


def test_user_data_wants_a_certificate_if_the_site_does(office, oslo):
    other = Branch(office, "Other")
    path = "/v1/userdata?limit=1"
    assert oslo.ask("GET", path).status == 200
    office.reload(https={"client_auth": True})
    got = oslo.ask("GET", path)
    assert (got.status, got.json["error"]) == (403, "certificate")
    assert oslo.ask("GET", path, shows=True).status == 200
    assert oslo.ask("GET", "/v1/manifest").status == 200 == oslo.ask("GET", "/v1/manifest", shows=True).status
    given = {"Authorization": f"Bearer {oslo.token}"}
    assert office.ask("GET", path, headers=given, files=other.files).json["error"] == "certificate"
    assert any("Oslo showed no certificate" in text for text in office.notices("central-token"))
    office.reload(https={"client_auth": False})
    assert oslo.ask("GET", path).status == 200


def test_a_certificate_of_somebody_else_is_none(office, oslo, tmp_path):
    certs.make_server(office.home, certs.Names(("x",), ()), tmp_path / "c.pem", tmp_path / "k.pem")
    both = tmp_path / "both.pem"
    both.write_bytes((tmp_path / "c.pem").read_bytes() + (tmp_path / "k.pem").read_bytes())
    office.reload(https={"client_auth": True})
    with pytest.raises(OSError):
        office.ask("GET", "/v1/userdata", headers={"Authorization": f"Bearer {oslo.token}"}, files=both)
    office.reload(https={"client_auth": False})


def test_a_banned_address(office, oslo):
    banned = office.home.lists / "banned.txt"
    banned.write_text("127.0.0.1\n")
    with socket.create_connection(("127.0.0.1", office.port)) as plain:
        plain.settimeout(10)
        assert plain.recv(1) == b"", "it gets no handshake either"
    banned.unlink()
    assert oslo.ask("GET", "/v1/manifest").status == 200


def test_too_many_at_once(office, oslo):
    office.server.guard.running["Oslo"] = guarding.EACH
    got = oslo.ask("GET", "/v1/manifest")
    del office.server.guard.running["Oslo"]
    assert got.status == 429 and got.headers["retry-after"] == "2"


# the wire


@pytest.mark.parametrize(("method", "path", "status", "error"), [
    ("GET", "/", 404, "no-path"), ("GET", "/v1", 404, "no-path"), ("GET", "/v1/manifest/", 404, "no-path"),
    ("PUT", "/v1/manifest", 405, "method"), ("DELETE", "/v1/orders", 405, "method"),
    ("PATCH", "/v1/join", 405, "method"), ("GET", "/v1/join", 405, "method"),
    ("GET", "//v1/manifest", 404, "no-path"), ("GET", "/v1/%2e%2e/x", 404, "no-path"),
    ("PUT", "/v1/content/" + "0" * 64, 405, "method"), ("GET", "/%00", 404, "no-path"),
])  # fmt: skip
def test_paths_that_are_none(oslo, method, path, status, error):
    got = oslo.ask(method, path)
    assert (got.status, got.json["error"]) == (status, error)
    assert got.headers["content-type"].startswith("application/json")


def test_only_modern_tls(office):
    assert office.server.listeners()[0]["tls"] == "TLS 1.2, 1.3"
    context = office.context()
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", office.port)) as plain:
        context.wrap_socket(plain, server_hostname="127.0.0.1")


def raw(office, data):
    """What comes back to these octets within TLS."""
    with socket.create_connection(("127.0.0.1", office.port)) as plain:
        plain.settimeout(10)
        with office.context().wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            got = b""
            try:
                while piece := connection.recv(65536):
                    got += piece
            except OSError:
                pass
            return got


@pytest.mark.parametrize("data", [
    b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x00" * 5000,
    b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 50000 + b"\r\n",
    b"POST /v1/join HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    b"POST /v1/join HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
])  # fmt: skip
def test_garbage(office, oslo, data, caplog):
    assert not raw(office, data).startswith(b"HTTP/1.1 200")
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING] == []
    assert oslo.ask("GET", "/v1/manifest").status == 200


def test_any_octets_end_in_an_answer_or_a_close(office, oslo, caplog):
    dice = random.Random(11)
    good = b"GET /v1/manifest HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nRange: bytes=0-\r\n\r\n"
    for _ in range(60):
        data = bytearray(good)
        for _ in range(dice.randrange(1, 9)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        if b"Bearer" in data and b"\r\n\r\n" in data:
            continue  # it would be answered late, as a wrong token is
        raw(office, bytes(data))
    assert oslo.ask("GET", "/v1/manifest").status == 200
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING] == []


def test_who_never_asks_is_closed(office):
    """A connection that begins a request and does not end it."""
    with socket.create_connection(("127.0.0.1", office.port)) as plain:
        plain.settimeout(10)
        connection = office.context().wrap_socket(plain, server_hostname="127.0.0.1")
        connection.sendall(b"GET /v1/man")
        guests = office.server._ports.guests

        async def later():
            guests.forget(time.monotonic() + IDLE + 1)

        while not any(one.transport for one in list(guests.by)):
            pass
        office.call(later())
        with pytest.raises(OSError):
            assert connection.recv(1) == b""
            raise ConnectionResetError


def limited(office, monkeypatch, **limits):
    guests = office.server._ports.guests
    monkeypatch.setattr(guests, "limits", guests.limits._replace(**limits))


def test_nobody_keeps_the_branches_out(office, oslo, monkeypatch):
    """One host that opens connections and says nothing loses them; branches come in all the while."""
    limited(office, monkeypatch, strange=6)
    held = [socket.create_connection(("127.0.0.1", office.port)) for _ in range(30)]
    try:
        with socket.create_connection(("127.0.0.1", office.port), source_address=("127.0.0.2", 0)) as plain:
            context = office.context()
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as other:
                head = f"GET /v1/manifest HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {oslo.token}\r\n\r\n"
                other.sendall(head.encode())
                assert other.recv(12) == b"HTTP/1.1 200"
        hosts = [one.host for one in office.server._ports.guests.here]
        assert hosts.count("127.0.0.1") <= 6 + 1  # those of the other tests
    finally:
        for one in held:
            one.close()


def test_strangers_of_many_hosts_make_room(office, oslo, monkeypatch):
    limited(office, monkeypatch, strangers=8)
    held = [
        socket.create_connection(("127.0.0.1", office.port), source_address=(f"127.0.1.{at}", 0))
        for at in range(1, 21)
    ]
    try:
        assert oslo.ask("GET", "/v1/manifest").status == 200
    finally:
        for one in held:
            one.close()


def test_a_branch_has_only_so_many_connections(office, monkeypatch):
    limited(office, monkeypatch, named=2)
    many = Branch(office, "Many")
    context, held = office.context(), []
    head = f"GET /v1/manifest HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {many.token}\r\n\r\n".encode()
    for _ in range(3):
        plain = socket.create_connection(("127.0.0.1", office.port))
        held.append(context.wrap_socket(plain, server_hostname="127.0.0.1"))
        held[-1].sendall(head)
    try:
        assert sorted(one.recv(12) for one in held) == [b"HTTP/1.1 200"] * 2 + [b"HTTP/1.1 429"]
    finally:
        for one in held:
            one.close()


@pytest.mark.parametrize("kind", ["nonsense", "zlib", "undefined", "idna"])
def test_strangers_do_not_choose_how_a_body_is_read(office, kind, fast, caplog):
    got = office.ask(
        "POST", "/v1/join", b'{"token": 5}', {"Content-Type": f"application/json; charset={kind}"}
    )
    assert got.json["error"] == "bad-request" and not caplog.records


@pytest.mark.parametrize("data", [b"no gzip", gzip.compress(b" " * (8 << 20))])
def test_packed_bodies_are_not_unpacked(office, data, fast, caplog):
    got = office.ask("POST", "/v1/join", data, {"Content-Encoding": "gzip"})
    assert got.json["error"] == "bad-request" and not caplog.records


# orders and reports


def test_orders_wait_for_their_branch(office, oslo):
    got = []
    thread = threading.Thread(target=lambda: got.append(oslo.ask("GET", "/v1/orders?wait=50").json["orders"]))
    thread.start()
    made = office.server.orders.add("Oslo", BACKUP, names=("4711_96xxdata.txt",))
    thread.join()
    assert got == [[made.told()]] == [oslo.ask("GET", "/v1/orders").json["orders"]]
    assert office.server.status()["queue"] == 1
    told = {"generation": 0, "queue": 2, "orders": [{"id": made.id, "ok": True, "text": "sent 1 file"}]}
    done = oslo.ask("POST", "/v1/report", json.dumps(told).encode())
    assert done.json == {"ok": True, "generation": 0, "orders": 0}
    assert office.server.orders.get(made.id).text == "sent 1 file"
    assert any("Oslo: back up 4711_96xxdata.txt: done" in text for text in office.notices("central-order"))


def test_another_branch_cannot_report_it(office, oslo):
    made = office.server.orders.add("Oslo", UPDATE)
    other = Branch(office, "Stavanger")
    other.ask("POST", "/v1/report", json.dumps({"orders": [{"id": made.id, "ok": True}]}).encode())
    assert not office.server.orders.get(made.id).ended and other.ask("GET", "/v1/orders").json["orders"] == []


@pytest.mark.parametrize("told", [
    b"", b"[]", b'{"orders": 5}', b'{"orders": [5]}', b'{"orders": [{"id": "x"}]}', b'{"queue": "many"}',
    b'{"orders": [{"id": "x", "ok": 1}]}', b'{"orders": [{"id": "x", "ok": true, "text": 5}]}',
    b'{"error": []}',
])  # fmt: skip
def test_what_is_no_report(oslo, told):
    assert oslo.ask("POST", "/v1/report", told).json["error"] == "bad-request"


def test_what_the_status_tells(office, oslo):
    oslo.ask("POST", "/v1/report", b'{"generation": 3, "queue": 7, "error": "the disk is full"}')
    told = office.server.status()
    assert told["role"] == "server" and abs(told["last_ok"] - time.time()) < 60
    (row,) = [one for one in told["branches"] if one["name"] == "Oslo"]
    assert (row["generation"], row["queue"], row["error"]) == (3, 7, "the disk is full")
    assert oslo.token not in json.dumps(told)


# running


def test_the_manifest_has_a_tag(office, oslo, tmp_path):
    got = oslo.ask("GET", "/v1/manifest")
    assert oslo.ask("GET", "/v1/manifest", If_None_Match=got.headers["etag"]).status == 304
    assert oslo.ask("HEAD", "/v1/manifest").headers["content-length"] == got.headers["content-length"]


def test_a_certificate_that_is_renewed(tmp_path):
    with Office(tmp_path) as alone:

        def shown():
            with socket.create_connection(("127.0.0.1", alone.port)) as plain:
                connection = alone.context().wrap_socket(plain, server_hostname="127.0.0.1")
                with connection:
                    return connection.getpeercert()["serialNumber"]

        first = shown()
        certs.renew(alone.home, force=True)
        shown()  # this handshake sees that it was replaced
        second = shown()
        assert first != second
        alone.home.key_file.write_bytes(b"broken")
        shown()
        assert shown() == second and "stays in use" in alone.notices("certificate")[0]


def test_switched_off_and_on_and_moved(tmp_path):
    with Office(tmp_path) as alone:
        oslo, port = Branch(alone, "Oslo"), alone.port
        alone.reload(backup_servers={"file_server": False})
        assert alone.server.listeners() == []
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", port), 5)
        alone.reload(backup_servers={"file_server": True})
        assert oslo.ask("GET", "/v1/manifest").status == 200
        alone.reload(settings={"bind_address": ("127.0.0.1", "::1")})
        assert [row["state"] for row in alone.server.listeners()] == ["up", "up"]


def test_a_port_that_is_taken(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with Office(tmp_path, backup_servers={"file_server_port": port}) as alone:
            (row,) = alone.server.listeners()
            assert row["state"] == "failed" and f"port {port} is taken" in row["error"]
            taken.close()
            alone.call(alone.server._open())
            (row,) = alone.server.listeners()
            assert (row["state"], row["error"]) == ("up", "")


def test_no_certificate(tmp_path):
    with Office(tmp_path) as alone:
        alone.home.cert_file.rename(alone.home.cert_file.with_suffix(".old"))
    with Office(tmp_path) as alone:
        (row,) = alone.server.listeners()
        assert row["state"] == "failed" and "certs server" in row["error"]


def test_a_long_poll_does_not_hold_up_the_end(tmp_path):
    with Office(tmp_path) as alone:
        oslo = Branch(alone, "Oslo")
        got = []
        thread = threading.Thread(target=lambda: got.append(oslo.ask("GET", "/v1/orders?wait=55").status))
        thread.start()
        until(lambda: alone.server.guard.running["Oslo"])
        begun = time.monotonic()
        alone.call(alone.server.stop(20))
        assert time.monotonic() - begun < 15
        thread.join()
        assert got == [200]


def test_what_was_seen_is_there_after_a_restart(tmp_path):
    with Office(tmp_path) as alone:
        Branch(alone, "Oslo").ask("POST", "/v1/report", b'{"queue": 5}')
    with Office(tmp_path) as alone:
        (row,) = alone.server.status()["branches"]
        assert (row["name"], row["queue"]) == ("Oslo", 5)


def test_a_refusal_says_how_long_to_wait():
    assert No(503, "busy", "x", 0.2).response().headers["Retry-After"] == "1"
    assert "Retry-After" not in No(404, "no-file", "x").response().headers
