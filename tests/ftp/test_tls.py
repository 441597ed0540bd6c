"""The certificate of FTP: what is offered, what a bad one says, and one that is replaced."""

from __future__ import annotations

import ftplib
import shutil
import socket
import ssl
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization

from mv_iptel import certs
from mv_iptel.events import Notice
from mv_iptel.ftp import tls
from tests.ftp.site import SUPER, Site, fetch, store, tls_context


class Implicit(ftplib.FTP_TLS):
    """TLS before the banner, as on port 990."""

    def connect(self, host="", port=0, timeout=-999, source_address=None):
        self.host, self.port, self.timeout = host, port, timeout
        raw = socket.create_connection((host, port), timeout, source_address=source_address)
        self.af = raw.family
        self.sock = self.context.wrap_socket(raw, server_hostname=host)
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()
        return self.welcome


def explicit(site: Site, context: ssl.SSLContext | None = None) -> ftplib.FTP_TLS:
    client = ftplib.FTP_TLS(context=context or tls_context(site.home), encoding="utf-8")
    site.connect(client=client)
    client.host = "127.0.0.1"
    client.login("anonymous", "phone@")
    return client


def test_stored_and_fetched_over_explicit_and_implicit_tls(site):
    data = bytes(range(256)) * 400
    client = explicit(site)
    client.prot_p()
    assert store(client, "1234_4620data.txt", data).startswith("226")
    assert client.nlst() == []
    client.quit()
    client = Implicit(context=tls_context(site.home), encoding="utf-8")
    site.connect(client=client, proto="ftps")
    client.login("anonymous", "phone@")
    assert client.sock.version() == "TLSv1.3"
    client.prot_p()
    assert fetch(client, "1234_4620data.txt") == data
    client.quit()
    assert site.event(op="read", outcome="ok").proto == "ftps"


def test_data_may_go_in_clear_where_the_client_wants_it(site):
    client = explicit(site)
    store(client, "1234_4620data.txt", b"clear")
    client.prot_p()
    assert fetch(client, "1234_4620data.txt") == b"clear"
    client.prot_c()
    assert fetch(client, "1234_4620data.txt") == b"clear"
    client.quit()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_old_tls_is_refused_and_told_once(site):
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    for _ in range(3):
        with pytest.raises((ssl.SSLError, OSError)):
            explicit(site, old)
    assert "handshake failed" in site.event(Notice, kind="tls-failed").text


def test_a_replaced_certificate_is_used_for_the_next_session(site):
    before = explicit(site)
    old = before.sock.getpeercert(True)
    certs.make_server(site.home, certs.Names(("localhost",), ("127.0.0.1", "::1")))
    after = explicit(site)
    assert after.sock.getpeercert(True) != old
    before.prot_p()
    assert store(before, "1234_4620data.txt", b"the old session goes on").startswith("226")
    (site.home.cert_file).write_text("no certificate")
    third = explicit(site)
    assert third.sock.getpeercert(True) == after.sock.getpeercert(True)
    told = site.events(Notice, kind="certificate")
    assert [one.level for one in told] == ["info", "error"]
    for client in (before, after, third):
        client.quit()


def test_ftps_may_have_a_certificate_of_its_own(home):
    own = home.certs / "ftps.pem"  # certificate and key in one file
    leaf = certs.make_server(home, certs.Names(("localhost",), ("127.0.0.1",)), own, own)
    with Site(home, {"ftps": {"ftps_cert_file": own}}) as site:
        client = explicit(site)
        assert client.sock.getpeercert(True) == leaf.public_bytes(serialization.Encoding.DER)
        client.quit()


def test_without_a_certificate_there_is_plain_ftp_only(home):
    shutil.rmtree(home.certs)
    with Site(home) as site:
        client = site.phone()
        assert "AUTH" not in client.sendcmd("FEAT")
        with pytest.raises(ftplib.error_perm, match="502"):
            client.sendcmd("AUTH TLS")
        assert store(client, "1234_4620data.txt", b"plain").startswith("226")
        client.quit()
        (ftps,) = [one for one in site.server.listeners() if one["proto"] == "ftps"]
        assert ftps["state"] == "failed" and "certs server" in ftps["error"]


def test_what_is_wrong_with_a_certificate_is_said(home, tmp_path):
    with pytest.raises(tls.CertificateError, match="is not there"):
        tls.make_context(tmp_path / "none.pem", home.key_file)
    other = tmp_path / "key.pem"
    subprocess.run(["openssl", "genrsa", "-out", str(other), "2048"], check=True, capture_output=True)
    with pytest.raises(tls.CertificateError, match="not that of"):
        tls.make_context(home.cert_file, other)
    other.write_text("nonsense")
    with pytest.raises(tls.CertificateError, match="cannot be read"):
        tls.make_context(home.cert_file, other)


def test_nothing_said_in_clear_counts_behind_tls(site):
    """Whoever stands between could put commands behind AUTH, for the session to run them in TLS."""
    client = site.connect()
    client.sock.sendall(b"AUTH TLS\r\nUSER anonymous\r\nPASS x\r\n")
    assert client.getresp().startswith("234")
    assert client.sock.recv(100) == b""


def test_half_a_command_in_clear_does_not_count_behind_tls_either(site):
    """It came while a password was looked at, and AUTH had to wait: nothing else is left to be seen of it."""
    client = site.connect()
    client.sock.sendall(b"USER %s\r\nPASS x\r\nAUTH TLS\r\nCWD /some" % SUPER.encode())
    assert client.getresp().startswith("331")
    with pytest.raises(ftplib.error_perm, match="530"):
        client.getresp()
    assert client.getresp().startswith("234")
    assert client.sock.recv(100) == b""


def test_many_commands_in_one_record(site):
    client = explicit(site)
    client.sock.sendall(b"NOOP\r\n" * 1500 + b"PWD\r\n")
    for _ in range(1500):
        assert client.getresp().startswith("200")
    assert client.getresp().startswith("257")
    client.quit()
