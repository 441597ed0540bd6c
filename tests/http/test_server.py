"""The ports, reload and stop, requests held for a slot, clients turned away; and curl."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import threading

import pytest

from mv_iptel import ports
from mv_iptel.config import defaults
from mv_iptel.events import Listening
from mv_iptel.http import server
from mv_iptel.http.connection import HOLD
from mv_iptel.http.protocol import Reply
from mv_iptel.http.server import Place, wanted
from mv_iptel.http.tls import Policy
from tests.http.site import Site, answer, ask, read_all
from tests.http.test_connection import more

SMALL = b"SET A 1\n"
BIG = bytes(range(256)) * (5 << 12)


def states(site) -> list[tuple[str, str, str]]:
    return [(one["proto"], one["address"], one["state"]) for one in site.server.listeners()]


def said(site, state: str) -> list[Listening]:
    return [event for event in site.events() if isinstance(event, Listening) and event.state == state]


# --- ports -------------------------------------------------------------------------------------


def test_the_ports_that_a_configuration_wants(home):
    config = defaults(home)
    assert wanted(config) == {
        Place("http", host, port): None for port in (81, 80) for host in ("0.0.0.0", "::")
    }
    site = Site(home, {"https": {"https_port": 411, "https_alt_ports": (443,), "iptel": True}})
    assert {
        (place.port, offer) for place, offer in wanted(site.config).items() if place.proto == "https"
    } == {
        (411, Policy(iptel=True)),
        (443, Policy()),
    }
    site.loop.close()


def test_both_families(home):
    with Site(home, {"settings": {"bind_address": ()}}) as site:
        assert states(site) == [("http", "0.0.0.0", "up"), ("http", "::", "up"),
                                ("https", "0.0.0.0", "up"), ("https", "::", "up")]  # fmt: skip
        site.write("a.txt", SMALL)
        four, six = site.ports("http")
        for family, host, port in [(socket.AF_INET, "127.0.0.1", four), (socket.AF_INET6, "::1", six)]:
            with socket.socket(family) as sock:
                sock.connect((host, port))
                assert bytes(ask(sock, "/a.txt").body) == SMALL
        assert [event.peer for event in site.finished()] == ["127.0.0.1", "::1"]


def test_a_taken_port_names_its_holder_and_is_tried_again(home):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with Site(home, {"http": {"http_alt_ports": (port,)}}) as site:
            assert [state for _, _, state in states(site)] == ["up", "failed", "up"]
            (failed,) = said(site, "failed")
            assert f"port {port} is taken by " in failed.error and f"(process {os.getpid()})" in failed.error
            site.write("a.txt", SMALL)
            assert site.get("/a.txt").status == 200  # the rest serves
            site.pass_time(ports.RETRY + 1)
            assert len(said(site, "failed")) == 1  # told once
            taken.close()
            site.pass_time(ports.RETRY + 1)
            assert [state for _, _, state in states(site)] == ["up", "up", "up"]
            with socket.create_connection(("127.0.0.1", port)) as sock:
                assert ask(sock, "/a.txt").status == 200


@pytest.mark.parametrize("key", ["sslv2", "sslv3"])
def test_a_protocol_that_nobody_has_stops_https_and_nothing_else(home, key):
    with Site(home, {"https": {key: True}}) as site:
        assert states(site) == [("http", "127.0.0.1", "up"), ("https", "127.0.0.1", "failed")]
        assert "no maintained TLS library" in said(site, "failed")[0].error
        site.pass_time(ports.RETRY + 1)
        assert states(site)[1][2] == "failed"
        site.reload({"https": {key: False}})
        assert states(site)[1][2] == "up"
        site.reload({"https": {key: True}})
        assert states(site)[1][2] == "failed"


def test_what_the_status_page_is_told(home):
    with Site(home, {"https": {"legacy_tls": True}}) as site:
        http, https = site.server.listeners()
        assert http == {"proto": "http", "address": "127.0.0.1", "port": site.ports()[0], "state": "up",
                        "error": "", "tls": "", "buffer": 0}  # fmt: skip
        assert https["tls"] == str(Policy(legacy=True))
        assert [event.tls for event in said(site, "up")] == ["", str(Policy(legacy=True))]
    assert len(said_after(site, "off")) == 2


def said_after(site, state: str) -> list[Listening]:
    site.stream.drain()
    return [e for e in site.listener.events if isinstance(e, Listening) and e.state == state]


# --- reload and stop ---------------------------------------------------------------------------


def begin_big(site, proto: str = "http") -> socket.socket:
    """A connection whose answer does not fit into the socket's buffers."""
    site.write("fw.bin", BIG)
    sock = site.connect(proto)
    sock.sendall(b"GET /fw.bin HTTP/1.1\r\n\r\n" * 3)
    site.until(lambda: bool(site.server.active()))
    return sock


def test_reload_opens_and_closes_ports_and_drops_no_transfer(site):
    port = site.ports()[0]
    site.write("a.txt", SMALL)
    with begin_big(site) as running, site.connect() as idle:
        assert ask(idle, "/a.txt").status == 200
        site.reload({"http": {"run_http": False}})
        assert states(site) == [("https", "127.0.0.1", "up")]
        assert idle.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        reply, left = Reply(), b""
        while not reply.complete:
            left = reply.receive(left or more(running))
        assert bytes(reply.body) == BIG
    site.reload({"http": {"run_http": True}})
    assert [state for _, _, state in states(site)] == ["up", "up"]
    assert site.get("/a.txt").status == 200


def test_reload_leaves_what_did_not_change(site):
    site.write("a.txt", SMALL)
    ports = site.ports(), site.ports("https")
    with site.connect() as plain, site.connect("https") as secure:
        for sock in (plain, secure):
            ask(sock, "/a.txt")
        site.reload({"https": {"iptel": True}})
        assert (site.ports(), site.ports("https")) == ports
        assert "NULL-SHA" in site.server.listeners()[1]["tls"]
        for sock in (plain, secure):
            assert ask(sock, "/a.txt").status == 200


def test_stop_waits_for_what_is_being_sent(home):
    with Site(home) as site, begin_big(site) as sock, site.connect() as idle:
        got: list[bytes] = []
        reader = threading.Thread(target=lambda: got.append(read_all(sock)))
        reader.start()
        site.call(site.server.stop(20))
        reader.join()
        assert idle.recv(1) == b""
        reply = Reply()
        rest = reply.receive(got[0])
        assert bytes(reply.body) == BIG
        assert {event.outcome for event in site.finished()} == {"ok"}
        assert rest == b"" or reply.keep


def test_stop_without_grace_counts_as_aborted(home):
    with Site(home) as site, begin_big(site):
        site.call(site.server.stop(0))
        assert [event.outcome for event in site.finished()][-1] == "aborted"
        assert site.server.active() == []


def test_what_is_being_sent_is_told(site):
    with begin_big(site) as sock:
        (one,) = site.server.active()
        assert (one["proto"], one["peer"], one["name"], one["total"]) == (
            "http",
            "127.0.0.1",
            "fw.bin",
            len(BIG),
        )
        assert 0 < one["bytes"] < len(BIG) and one["started"] > 0 and one["id"] > 0
        sock.shutdown(socket.SHUT_RDWR)
    site.until(lambda: site.server.active() == [])


# --- slots -------------------------------------------------------------------------------------


def from_address(site, address: str) -> socket.socket:
    """A connection from another of the loopback's addresses; only 127.0.0.1 is this host's own."""
    return site.connect(source_address=(address, 0))


@pytest.fixture
def narrow(home):
    """One slot, that ends after 5 seconds."""
    with Site(home, {"settings": {"max_clients": 1, "client_session_time": 5.0}}) as site:
        site.write("a.txt", SMALL)
        with from_address(site, "127.0.0.2") as first:
            assert ask(first, "/a.txt").status == 200
        site.until(lambda: not site.server._connections)
        yield site


def hold(site, address: str) -> socket.socket:
    """A request that waits for a slot."""
    before = len(site.server._held)
    sock = from_address(site, address)
    sock.sendall(b"GET /a.txt HTTP/1.1\r\nHost: s\r\n\r\n")
    site.until(lambda: len(site.server._held) == before + 1)
    return sock


def test_a_request_is_held_until_a_slot_ends(narrow):
    with hold(narrow, "127.0.0.3") as sock:
        narrow.pass_time(6)
        narrow.call(narrow.server._wake)
        assert bytes(answer(sock).body) == SMALL
    *_, event = narrow.finished()
    assert (event.peer, event.outcome, event.seconds >= 6) == ("127.0.0.3", "ok", True)


def test_a_slot_freed_by_hand_goes_to_the_first_in_the_row(narrow):
    with hold(narrow, "127.0.0.3") as first, hold(narrow, "127.0.0.4") as second:
        assert narrow.library.slots.free("127.0.0.2")
        assert answer(first).status == 200
        assert len(narrow.server._held) == 1
        narrow.library.slots.free("127.0.0.3")
        assert answer(second).status == 200


def test_nobody_is_held_for_ever(narrow):
    narrow.reload({"settings": {"client_session_time": 0.0}})  # slots without end
    with hold(narrow, "127.0.0.3") as sock:
        narrow.pass_time(HOLD - 1)
        assert len(narrow.server._held) == 1
        narrow.pass_time(2)
        reply = answer(sock)
        assert (reply.status, reply.headers["etag"], reply.headers["retry-after"]) == (503, '"no-slot"', "60")
        assert reply.keep
    *_, event = narrow.finished()
    assert (event.outcome, event.reason) == ("refused", "no-slot")
    assert narrow.library.slots.refused == 1


def test_who_has_a_slot_and_who_needs_none_is_not_held(narrow):
    for address in ("127.0.0.2", "127.0.0.1"):
        with from_address(narrow, address) as sock:
            assert ask(sock, "/a.txt").status == 200


def test_a_held_client_that_gives_up_takes_no_slot(narrow):
    hold(narrow, "127.0.0.3").close()
    narrow.until(lambda: not narrow.server._held)
    *_, event = narrow.finished()
    assert (event.outcome, event.reason) == ("aborted", "no-slot")
    narrow.library.slots.free("127.0.0.2")
    assert narrow.library.slots.used == 0


def test_so_many_are_held_and_no_more(narrow, monkeypatch):
    monkeypatch.setattr(server, "MAX_HELD", 3)
    held = [hold(narrow, f"127.0.0.{number}") for number in (3, 4, 5)]
    with from_address(narrow, "127.0.0.6") as sock:
        reply = ask(sock, "/a.txt")
        assert (reply.status, int(reply.headers["retry-after"]) <= 6) == (503, True)
    for sock in held:
        sock.close()


def test_stop_answers_those_who_wait(narrow):
    with hold(narrow, "127.0.0.3") as sock:
        narrow.call(narrow.server.stop(1))
        reply = answer(sock)
        assert (reply.status, reply.keep) == (503, False)


# --- turned away -------------------------------------------------------------------------------


def test_the_banned_get_nothing(site):
    (site.home.lists / "banned.txt").write_text("127.0.0.9\n")
    for proto in ("http", "https"):
        with socket.create_connection(
            ("127.0.0.1", site.ports(proto)[0]), 20, source_address=("127.0.0.9", 0)
        ) as sock:
            assert sock.recv(1) == b""
    assert site.finished() == []


def test_an_unlisted_phone_is_refused(site):
    site.write("a.txt", SMALL)
    site.write("HTTP_allow_IP.txt", b"10.0.0.0/8\n")
    reply = site.get("/a.txt")
    assert (reply.status, reply.headers["etag"], bytes(reply.body)) == (403, '"not-listed"', b"Forbidden\n")
    (event,) = site.finished()
    assert (event.reason, event.source.endswith("HTTP_allow_IP.txt")) == ("not-listed", True)


def test_without_descriptors_clients_are_turned_away_with_503(site):
    site.write("a.txt", SMALL)
    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd"))
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 100, old[1]))
        site.ahead += 2  # the count of descriptors is taken now and then
        reply = site.get("/a.txt")
        assert (reply.status, reply.headers["etag"], reply.keep) == (503, '"busy"', False)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, old)
    site.ahead += 2
    assert site.get("/a.txt").status == 200
    assert site.server._turned_away == 0


# --- curl --------------------------------------------------------------------------------------


@pytest.fixture
def curl(site, program):
    """`curl(proto, name, *options)`: what it printed."""
    site.write("46xxsettings.txt", SMALL)
    site.write("fw.bin", BIG)

    def run(proto: str, name: str, *options: str) -> bytes:
        url = f"{proto}://127.0.0.1:{site.ports(proto)[0]}"
        done = subprocess.run(
            [program("curl"), "-sS", "--cacert", str(site.home.ca_cert), *options,
             *(url + one for one in name.split())],
            capture_output=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.mark.parametrize("proto", ["http", "https"])
def test_curl(curl, proto):
    assert curl(proto, "/fw.bin") == BIG
    assert curl(proto, "/fw.bin", "--http1.0") == BIG
    assert curl(proto, "/fw.bin", "-r", "100-199") == BIG[100:200]
    assert b"\r\nContent-Length: 5242880\r\n" in curl(proto, "/fw.bin", "-I")
    count = ("-o", "/dev/null", "-o", "/dev/null", "-w", "%{http_code} %{num_connects}\n")
    assert curl(proto, "/fw.bin /46xxsettings.txt", *count) == b"200 1\n200 0\n"
    etag = curl(proto, "/fw.bin", "-o", "/dev/null", "-w", "%header{etag}").decode()
    code = ("-o", "/dev/null", "-w", "%{http_code}")
    assert curl(proto, "/fw.bin", *code, "-H", f"If-None-Match: {etag}") == b"304"
    assert curl(proto, "/fw.bin", *code, "-r", "9999999-") == b"416"
    assert curl(proto, "/fw.bin", *code, "-r", "0-1", "-H", f"If-Range: {etag}") == b"206"
    assert curl(proto, "/fw.bin", *code, "-r", "0-1", "-H", 'If-Range: "old"') == b"200"
    assert curl(proto, "/fw.bin", *code, "-T", __file__) == b"405"
