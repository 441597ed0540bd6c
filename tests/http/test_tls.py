"""What each TLS port offers, certificates that change on disk, and failures in plain words."""

from __future__ import annotations

import dataclasses
import shutil
import socket
import ssl
import subprocess
import threading
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mv_iptel import certs, config
from mv_iptel.events import Event, Notice
from mv_iptel.http import connection, tls
from mv_iptel.http.tls import Contexts, Failures, Hello, Policy
from tests.http.site import Site, ask

MODES = {
    "modern": Policy(),
    "authenticate only": Policy(iptel=True),
    "legacy": Policy(legacy=True),
    "both": Policy(iptel=True, legacy=True),
}
SETTINGS = b"SET SNMPSTRING made-up\n"


def https(home, offer: Policy) -> config.HTTPS:
    return dataclasses.replace(config.defaults(home).https, iptel=offer.iptel, legacy_tls=offer.legacy)


@pytest.mark.parametrize("mode", MODES)
def test_only_one_port_is_ever_old(home, mode):
    keys = https(home, MODES[mode])
    assert tls.policy(keys, keys.https_port) == MODES[mode]
    for port in (443, 8443, 6092):
        assert tls.policy(keys, port) == Policy()
        assert set(tls.announce(keys, port)) == {"TLSv1.2", "TLSv1.3"}


@pytest.mark.parametrize("mode", MODES)
def test_a_context_holds_what_is_announced(home, mode):
    keys = https(home, MODES[mode])
    context = tls.make_context(home.cert_file, home.key_file, MODES[mode])
    announced = tls.announce(keys, keys.https_port)
    held = [suite["name"] for suite in context.get_ciphers() if "ECDSA" not in suite["name"]]
    assert sorted(held) == sorted({suite for suites in announced.values() for suite in suites})
    old = mode != "modern"
    assert (context.minimum_version < ssl.TLSVersion.TLSv1_2) == old
    # The modern ones come first: a client that knows both gets the better.
    assert [name.startswith(("TLS_", "ECDHE")) for name in held] == sorted(
        [name.startswith(("TLS_", "ECDHE")) for name in held], reverse=True
    )


def test_a_policy_in_words():
    assert str(MODES["modern"]) == "TLS 1.2, 1.3"
    assert "NULL-SHA, not encrypted" in str(MODES["both"]) and "AES-CBC-SHA" in str(MODES["both"])


@pytest.fixture(params=MODES)
def scanned(request, home, program):
    """(what sslscan finds, what is announced) for 411 and 443 in one mode."""
    offer = MODES[request.param]
    with Site(home, {"https": {"iptel": offer.iptel, "legacy_tls": offer.legacy, "https_port": 0,
                               "https_alt_ports": (free_port(),)}}) as site:  # fmt: skip
        found = []
        for port in site.ports("https"):
            done = subprocess.run(
                [program("sslscan"), "--no-colour", "--no-heartbleed", "--xml=-", f"127.0.0.1:{port}"],
                capture_output=True, text=True, timeout=100,
            )  # fmt: skip
            scan = ElementTree.fromstring(done.stdout[done.stdout.index("<?xml") :]).find("ssltest")
            suites: dict[str, set[str]] = {}
            for one in scan.findall("cipher"):
                suites.setdefault(one.get("sslversion"), set()).add(one.get("cipher"))
            on = {f"{one.get('type').upper()}v{one.get('version')}"
                  for one in scan.findall("protocol") if one.get("enabled") == "1"}  # fmt: skip
            found.append((on, suites))
        keys = site.config.https
        announced = [{version: set(suites) for version, suites in tls.announce(keys, port).items()}
                     for port in (keys.https_port, *keys.https_alt_ports)]  # fmt: skip
        yield found, announced


def test_a_scanner_finds_exactly_what_is_announced(scanned):
    found, announced = scanned
    for (on, suites), offered in zip(found, announced, strict=True):
        assert on == set(offered)
        assert suites == offered


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("authenticate only", ("-tls1", "-cipher", "NULL-SHA:@SECLEVEL=0")),
        ("authenticate only", ("-tls1_2", "-cipher", "NULL-SHA:@SECLEVEL=0")),
        ("legacy", ("-tls1", "-cipher", "AES128-SHA:@SECLEVEL=0")),
        ("legacy", ("-tls1_1", "-cipher", "AES256-SHA:@SECLEVEL=0")),
        ("both", ("-tls1_3",)),
        ("modern", ("-tls1_2",)),
    ],
)
def test_a_file_over_each_protocol(home, program, mode, options):
    with Site(home, {"https": {"iptel": MODES[mode].iptel, "legacy_tls": MODES[mode].legacy}}) as site:
        site.write("46xxsettings.txt", SETTINGS, secure=True)
        done = subprocess.run(
            [program("openssl"), "s_client", "-connect", f"127.0.0.1:{site.ports('https')[0]}", "-quiet",
             "-verify_return_error", "-CAfile", str(home.ca_cert), *options],
            input=b"GET /46xxsettings.txt HTTP/1.0\r\n\r\n", capture_output=True, timeout=30,
        )  # fmt: skip
        assert done.stdout.startswith(b"HTTP/1.1 200 OK\r\n") and done.stdout.endswith(SETTINGS), done.stderr
        (event,) = site.finished()
        assert (event.proto, event.outcome, event.bytes) == ("https", "ok", len(SETTINGS))


# --- certificates ------------------------------------------------------------------------------


def peer_serial(site: Site) -> int:
    with site.connect("https") as sock:
        return int(sock.getpeercert()["serialNumber"], 16)


def notices(site: Site, kind: str) -> list[Notice]:
    return [event for event in site.events() if isinstance(event, Notice) and event.kind == kind]


def test_a_replaced_certificate_is_used_from_the_next_connection_on(site, home):
    site.write("a.txt", SETTINGS)
    with site.connect("https") as old:
        assert ask(old, "/a.txt").status == 200
        before = peer_serial(site)
        new = certs.make_server(home, certs.Names(("localhost",), ("127.0.0.1",)))
        assert peer_serial(site) == new.serial_number != before
        assert ask(old, "/a.txt").status == 200
    (notice,) = notices(site, "certificate")
    assert notice.level == "info" and "replaced" in notice.text


def test_a_broken_new_certificate_keeps_the_old_one(site, home):
    before = peer_serial(site)
    home.cert_file.write_text("-----BEGIN CERTIFICATE-----\nbroken\n")
    for _ in range(3):
        assert peer_serial(site) == before
    (notice,) = notices(site, "certificate")
    assert notice.level == "error" and "stays in use" in notice.text and str(home.cert_file) in notice.text
    site.listener.events.clear()
    new = certs.make_server(home, certs.Names(("localhost",), ("127.0.0.1",)))
    assert peer_serial(site) == new.serial_number
    assert [notice.level for notice in notices(site, "certificate")] == ["info"]


def test_a_key_of_another_certificate_is_named(home, tmp_path):
    other = tmp_path / "other.pem"
    shutil.copy(home.ca_key, other)
    with pytest.raises(tls.CertificateError, match="is not that of"):
        tls.make_context(home.cert_file, other, Policy())
    with pytest.raises(tls.CertificateError, match="is not there"):
        tls.make_context(home.cert_file, tmp_path / "none.pem", Policy())


def test_a_context_is_made_once_for_each_pair_of_files(home):
    said: list[Event] = []
    contexts = Contexts(home.cert_file, home.key_file, said.append)
    first = contexts.get(Policy())
    assert contexts.get(Policy()) is first
    certs.make_server(home, certs.Names(("localhost",), ()))
    second = contexts.get(Policy())
    assert second is not first and contexts.get(Policy()) is second
    assert len(said) == 1


def test_a_missing_certificate_fails_the_port_until_it_is_there(home, tmp_path):
    missing = tmp_path / "new.pem"
    with Site(home, {"https": {"cert_file": missing}}) as site:
        (one,) = [one for one in site.server.listeners() if one["proto"] == "https"]
        assert (one["state"], "is not there" in one["error"]) == ("failed", True)
        (plain,) = [one for one in site.server.listeners() if one["proto"] == "http"]
        assert plain["state"] == "up"
        shutil.copy(home.cert_file, missing)
        site.pass_time(31)
        (one,) = [one for one in site.server.listeners() if one["proto"] == "https"]
        assert (one["state"], one["error"]) == ("up", "")


def own_pair(home, names: certs.Names) -> dict[str, object]:
    """A certificate for HTTPSAltPorts alone, with a key of another kind; the keys that name it."""
    files = home.certs / "alt.pem", home.certs / "alt-key.pem"
    certs.make_server(home, names, *files, shape=certs.Shape("p256"))
    return dict(zip(("https_alt_cert_file", "https_alt_key_file"), files, strict=True))


def serials(site: Site) -> list[int]:
    """What each HTTPS port shows."""
    found = []
    for port in site.ports("https"):
        context = ssl.create_default_context(cafile=site.home.ca_cert)
        with (
            socket.create_connection(("127.0.0.1", port), 20) as sock,
            context.wrap_socket(sock, server_hostname="127.0.0.1") as secure,
        ):
            found.append(int(secure.getpeercert()["serialNumber"], 16))
    return found


def test_further_ports_may_show_another_certificate(home):
    names = certs.Names(("localhost",), ("127.0.0.1",))
    keys = own_pair(home, names)
    with Site(home, {"https": {**keys, "https_alt_ports": (free_port(),)}}) as site:
        first, second = serials(site)
        assert first == certs.load_chain(home.cert_file)[0].serial_number != second
        # Each is picked up by itself, and a broken one is told by its own name.
        own_pair(home, names)
        assert serials(site)[0] == first and serials(site)[1] != second
        keys["https_alt_cert_file"].write_bytes(b"broken")
        assert serials(site)[0] == first
        ((file, _, text),) = site.server.problems()
        assert file == str(keys["https_alt_cert_file"]) and "stays in use" in text
        # Without the key it shows what HTTPSPort shows; that one is not read anew for it.
        site.reload({"https": {"https_alt_cert_file": None, "https_alt_key_file": None}})
        assert serials(site) == [first, first] and site.server.problems() == []


# --- failures ----------------------------------------------------------------------------------


def hello_of(program, *options: str) -> bytes:
    """The first octets that `openssl s_client` sends."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = subprocess.Popen(
            [program("openssl"), "s_client", "-connect", f"127.0.0.1:{server.getsockname()[1]}", *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            sock, _ = server.accept()
            with sock:
                sock.settimeout(20)
                return sock.recv(4096)
        finally:
            client.kill()
            client.wait()


def test_a_real_hello_is_read(program):
    assert tls.read_hello(hello_of(program, "-tls1", "-cipher", "NULL-SHA:AES128-SHA:@SECLEVEL=0")) == Hello(
        "TLS 1.0", ("NULL-SHA", "AES128-SHA")
    )
    modern = tls.read_hello(hello_of(program))
    assert modern is not None and modern.version == "TLS 1.3"
    assert {"TLS_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"} <= set(modern.suites)


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda rest: b"\x16\x03\x01\0\xc8\x01" + rest))
def test_any_octets_are_a_hello_or_none(data):
    assert isinstance(tls.read_hello(data), Hello | None)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("-tls1", "-cipher", "AES128-SHA:@SECLEVEL=0"), ("TLS 1.0 with AES128-SHA", "set LegacyTLS=1")),
        (("-tls1", "-cipher", "NULL-SHA:@SECLEVEL=0"), ("TLS 1.0 with NULL-SHA", "set IPTel=1")),
        (
            ("-tls1_2", "-cipher", "AES256-SHA"),
            ("no shared cipher", "TLS 1.2 with AES256-SHA", "LegacyTLS=1"),
        ),
    ],
)
def test_what_a_phone_would_have_needed_is_said(site, program, options, said):
    port = site.ports("https")[0]
    done = subprocess.run([program("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", *options],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=30)  # fmt: skip
    assert done.returncode != 0
    site.until(lambda: bool(notices(site, "tls-failed")))
    (notice,) = notices(site, "tls-failed")
    assert all(words in notice.text for words in said), notice.text
    assert notice.peer == "127.0.0.1"


def test_a_client_that_does_not_trust_us_is_told(site):
    context = ssl.create_default_context()
    with socket.create_connection(("127.0.0.1", site.ports("https")[0])) as sock, pytest.raises(ssl.SSLError):
        context.wrap_socket(sock, server_hostname="127.0.0.1")
    site.until(lambda: bool(notices(site, "tls-failed")))
    assert "TRUSTCERTS" in notices(site, "tls-failed")[0].text


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"GET / HTTP/1.1\r\n\r\n", "plain HTTP was spoken to a TLS port"), (b"\x01\x02\x03", "other than TLS"),
     (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03" + b"\0" * 100, "handshake")],
)  # fmt: skip
def test_something_else_on_a_tls_port(site, data, said):
    with socket.create_connection(("127.0.0.1", site.ports("https")[0]), 20) as sock:
        sock.sendall(data)
        try:
            while sock.recv(100):
                pass
        except ConnectionResetError:
            pass
    site.until(lambda: bool(notices(site, "tls-failed")))
    assert said in notices(site, "tls-failed")[0].text
    assert site.server.failures.count == 1


def test_a_handshake_that_is_not_finished_in_time(site):
    with socket.create_connection(("127.0.0.1", site.ports("https")[0]), 20) as sock:
        sock.sendall(b"\x16\x03\x01\x02\x00\x01")
        site.until(lambda: any(c.fd >= 0 and c._hello for c in site.server._connections))
        site.pass_time(connection.HANDSHAKE + 1)
        assert sock.recv(1) == b""
    assert "in time" in notices(site, "tls-failed")[0].text


def test_a_hello_in_pieces_and_slow_clients_hold_nobody_up(site, program):
    site.write("a.txt", SETTINGS)
    hello = hello_of(program)
    with socket.create_connection(("127.0.0.1", site.ports("https")[0]), 20) as sock:
        sock.sendall(hello[:3])
        assert site.get("/a.txt", "https").status == 200
        sock.sendall(hello[3:])
        assert sock.recv(1) == b"\x16"


def test_failures_are_told_once_in_a_while():
    said: list[Event] = []
    failures = Failures(said.append)
    for second in range(20):
        failures.tell("10.0.0.1", "https:411", "no shared cipher: this", float(second))
    failures.tell("10.0.0.1", "https:411", "plain HTTP was spoken to a TLS port", 20.0)
    failures.tell("10.0.0.2", "https:411", "no shared cipher: that", 20.0)
    assert (len(said), failures.count) == (3, 22)
    failures.tell("10.0.0.1", "https:411", "no shared cipher: this", tls.SAY_AGAIN)
    assert "19 more" in said[-1].text
    for number in range(tls.REMEMBERED * 2):
        failures.tell(f"10.1.{number >> 8}.{number & 255}", "https:411", "x", 0.0)
    assert len(failures._said) <= tls.REMEMBERED


@pytest.mark.parametrize(
    ("reason", "said"),
    [("TLSV1_ALERT_UNKNOWN_CA", "TRUSTCERTS"), ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "expired"),
     ("SSLV3_ALERT_HANDSHAKE_FAILURE", "gave up"), ("BAD_DIGEST", "bad digest")],
)  # fmt: skip
def test_reasons_in_plain_words(reason, said):
    error = ssl.SSLError(1, "x")
    error.reason = reason
    assert said in tls.explain(error, None, Policy())
    assert "16xx" in tls.explain(ConnectionResetError(), None, Policy())
    assert "SSL 3" in tls.explain(error, Hello("SSL 3", ("RC4-MD5",)), Policy()) or "gave up" not in said


def test_handshakes_at_once(site):
    """Slow and quick clients beside each other, all on one loop."""
    site.write("a.txt", SETTINGS)
    got: list[int] = []

    def client() -> None:
        got.append(site.get("/a.txt", "https").status)

    threads = [threading.Thread(target=client) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [200] * 20
