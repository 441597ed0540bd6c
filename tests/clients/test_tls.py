"""What other people's TLS programs find on the phones' ports: exactly what is announced."""

from __future__ import annotations

import re
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.clients.daemon import Daemon

SETTINGS = b"SET SNMPSTRING made-up\n"


def scan(program, port: int) -> tuple[set[str], dict[str, set[str]]]:
    """(protocols that are on, version to its suites) as sslscan sees them."""
    done = subprocess.run(
        [program("sslscan"), "--no-colour", "--no-heartbleed", "--xml=-", f"127.0.0.1:{port}"],
        capture_output=True, text=True, timeout=110,
    )  # fmt: skip
    test = ElementTree.fromstring(done.stdout[done.stdout.index("<?xml") :]).find("ssltest")
    on = {one.get("type").upper() + "v" + one.get("version")
          for one in test.findall("protocol") if one.get("enabled") == "1"}  # fmt: skip
    suites: dict[str, set[str]] = {}
    for cipher in test.findall("cipher"):
        suites.setdefault(cipher.get("sslversion"), set()).add(cipher.get("cipher"))
    return on, suites


def s_client(program, port: int, ca: Path, *options: str) -> subprocess.CompletedProcess:
    """`openssl s_client` asks for the settings file; what it shows, and the answer, come back."""
    return subprocess.run(
        [program("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", str(ca), "-ign_eof",
         *options],
        input=b"GET /46xxsettings.txt HTTP/1.0\r\n\r\n", capture_output=True, timeout=60,
    )  # fmt: skip


@pytest.fixture(scope="module")
def phones(tmp_path_factory):
    """A daemon with every mode for old phones on."""
    keys = {("HTTPS", "IPTel"): 1, ("HTTPS", "LegacyTLS"): 1}
    with Daemon(tmp_path_factory.mktemp("legacy"), keys) as running:
        running.write(running.home.https_data, "46xxsettings.txt", SETTINGS)
        yield running


def test_authenticate_only_over_tls_1_0(phones, program):
    """A 9600 set of 2007: TLS 1.0, a suite that signs and does not encrypt."""
    for version in ("-tls1", "-tls1_1", "-tls1_2"):
        suite = ("-cipher", "NULL-SHA:@SECLEVEL=0")
        done = s_client(program, phones.https, phones.home.ca_cert, version, *suite)
        assert done.returncode == 0, done.stderr
        assert b"\r\n\r\n" + SETTINGS in done.stdout
        assert b"Cipher is NULL-SHA" in done.stdout and b"Verify return code: 0 (ok)" in done.stdout


def test_legacy_suites(phones, program):
    done = s_client(program, phones.https, phones.home.ca_cert, "-tls1", "-cipher", "AES128-SHA:@SECLEVEL=0")
    assert SETTINGS.rstrip() in done.stdout and b"Cipher is AES128-SHA" in done.stdout


def test_modern_sets_share_the_port(phones, program):
    """The modern suites come first: a new set on 411 gets TLS 1.3."""
    done = s_client(program, phones.https, phones.home.ca_cert)
    assert SETTINGS.rstrip() in done.stdout and re.search(rb"New, TLSv1\.3", done.stdout)


def test_the_old_port_shows_what_is_announced(phones, program):
    on, suites = scan(program, phones.https)
    assert on == {"TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"}
    for version in ("TLSv1.0", "TLSv1.1", "TLSv1.2"):
        assert {"NULL-SHA", "AES128-SHA", "AES256-SHA"} <= suites[version], version
    everything = set().union(*suites.values())
    assert not [suite for suite in everything if re.search(r"RC4|DES|EXP|MD5|ADH|AECDH|anon", suite)]
    legacy = phones.seen()["server"]["legacy"]
    assert legacy, "every legacy mode is announced"


def test_only_one_port_is_ever_old(phones, program):
    on, suites = scan(program, phones.https_alt)
    assert on == {"TLSv1.2", "TLSv1.3"}
    assert not [suite for suite in set().union(*suites.values()) if "NULL" in suite or "CBC" in suite]


def test_a_fresh_installation_is_modern(daemon, program):
    for port in (daemon.https, daemon.https_alt):
        on, suites = scan(program, port)
        assert on == {"TLSv1.2", "TLSv1.3"}
        assert not [suite for suite in set().union(*suites.values()) if "NULL" in suite]
    assert daemon.seen()["server"]["legacy"] == []


def test_authenticate_only_is_refused_where_it_is_off(daemon, program):
    done = s_client(program, daemon.https, daemon.home.ca_cert, "-tls1", "-cipher", "NULL-SHA:@SECLEVEL=0")
    assert done.returncode != 0


def test_a_replaced_certificate_is_used_from_the_next_connection(daemon, program):
    def serial() -> bytes:
        done = s_client(program, daemon.https_alt, daemon.home.ca_cert)
        pem = re.search(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", done.stdout, re.DOTALL)
        assert b"Verify return code: 0 (ok)" in done.stdout
        return subprocess.run([program("openssl"), "x509", "-noout", "-serial"],
                              input=pem.group(), capture_output=True, check=True).stdout  # fmt: skip

    before = serial()
    daemon.run("certs", "server")
    assert serial() != before


def test_a_bad_certificate_on_disk_is_a_finding_and_the_loaded_one_goes_on(daemon, program):
    good = daemon.home.cert_file.read_bytes()
    daemon.home.cert_file.write_bytes(b"no certificate\n")
    try:
        done = s_client(program, daemon.https_alt, daemon.home.ca_cert)
        assert b"Verify return code: 0 (ok)" in done.stdout
        assert any("stays in use" in finding for finding in daemon.seen()["config"]["findings"])
    finally:
        daemon.write(daemon.home.certs, daemon.home.cert_file.name, good)
    s_client(program, daemon.https_alt, daemon.home.ca_cert)
    assert not any("stays in use" in finding for finding in daemon.seen()["config"]["findings"])
