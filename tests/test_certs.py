"""Certificates, looked at with OpenSSL as well: made, renewed, imported, exported, checked."""

from __future__ import annotations

import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mv_iptel import certs
from mv_iptel.certs import CertError, Names
from mv_iptel.home import Home

NAMES = Names(("files1", "files1.example.net"), ("192.0.2.10", "2001:db8::10"))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with an authority and a server certificate; tests here do not change it."""
    made = Home(tmp_path_factory.mktemp("certs"))
    certs.make_authority(made, "Site North")
    certs.make_server(made, NAMES)
    return made


@pytest.fixture
def own(home, tmp_path):
    """A copy that a test may change."""
    copy = Home(tmp_path / "own")
    for path in (home.ca_key, home.ca_cert, home.cert_file, home.key_file):
        target = copy.root / path.relative_to(home.root)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return copy


@pytest.fixture
def openssl(program):
    """`openssl(*arguments)`: what the program prints; the test fails if it does not like what it sees."""
    path = program("openssl")

    def run(*arguments: object) -> str:
        done = subprocess.run([path, *map(str, arguments)], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


# --- as OpenSSL sees it -------------------------------------------------------------------------------


def test_openssl_verifies_the_server_for_each_of_its_names(home, openssl):
    for kind, name in (("hostname", "files1.example.net"), ("ip", "192.0.2.10"), ("ip", "2001:db8::10")):
        said = openssl("verify", "-x509_strict", "-purpose", "sslserver", f"-verify_{kind}", name,
                       "-CAfile", home.ca_cert, home.cert_file)  # fmt: skip
        assert said.strip().endswith("OK")


def test_openssl_refuses_other_names(home, program):
    command = [
        program("openssl"),
        "verify",
        "-verify_ip",
        "192.0.2.11",
        "-CAfile",
        home.ca_cert,
        home.cert_file,
    ]
    done = subprocess.run(command, capture_output=True, timeout=30)
    assert done.returncode != 0


def test_openssl_reads_the_properties_that_phones_look_at(home, openssl):
    text = openssl("x509", "-in", home.cert_file, "-noout", "-text")
    for expected in (
        "Public-Key: (2048 bit)",
        "sha256WithRSAEncryption",
        "Digital Signature, Key Encipherment",
        "TLS Web Server Authentication",
        "DNS:files1, DNS:files1.example.net, IP Address:192.0.2.10, IP Address:2001:DB8:0:0:0:0:0:10",
        "CA:FALSE",
    ):
        assert expected in text
    authority = openssl("x509", "-in", home.ca_cert, "-noout", "-text")
    assert "CA:TRUE, pathlen:0" in authority and "Certificate Sign, CRL Sign" in authority
    assert "CN = mv-iptel authority of Site North" in authority.replace("CN=", "CN = ")


def test_keys_belong_to_their_certificates_and_to_nobody_else(home, openssl):
    for cert, key, mode in (
        (home.cert_file, home.key_file, certs.KEY_MODE),
        (home.ca_cert, home.ca_key, certs.AUTHORITY_KEY_MODE),
    ):
        public = openssl("x509", "-in", cert, "-noout", "-pubkey")
        assert public == openssl("pkey", "-in", key, "-pubout")
        assert stat.S_IMODE(key.stat().st_mode) == mode


def test_openssl_opens_the_exports(home, openssl, tmp_path):
    (tmp_path / "one.p12").write_bytes(certs.export(home, home.cert_file, home.key_file, "p12", b"word"))
    said = openssl("pkcs12", "-in", tmp_path / "one.p12", "-passin", "pass:word", "-nodes")
    assert said.count("BEGIN CERTIFICATE") == 2 and "PRIVATE KEY" in said
    pem = certs.export(home, home.cert_file, home.key_file, "pem").decode()
    assert pem.count("BEGIN CERTIFICATE") == 2 and pem.count("PRIVATE KEY") == 2
    with pytest.raises(CertError, match="password"):
        certs.export(home, home.cert_file, home.key_file, "p12")


# --- names --------------------------------------------------------------------------------------------


def test_host_names_are_the_given_ones_first_and_always_the_loop():
    names = certs.host_names(["files1", "not a name!"], ["192.0.2.7"])
    assert names.dns[0] == "files1" and "localhost" in names.dns and "not a name!" not in names.dns
    assert names.addresses[0] == "192.0.2.7" and {"127.0.0.1", "::1"} <= set(names.addresses)
    assert not any(address.startswith("fe80") for address in names.addresses)


def test_a_bad_address_is_told():
    with pytest.raises(CertError, match=r"'192\.0\.2' is not an address"):
        certs.host_names([], ["192.0.2"])


@pytest.mark.parametrize(
    ("name", "good"),
    [("files1", True), ("a.b-c.example", True), ("*.example.net", True), ("_x", True), ("", False),
     ("-a", False), ("a-", False), ("a b", False), ("a..b", False), ("x" * 64, False),
     (".".join(["x" * 60] * 5), False)],
)  # fmt: skip
def test_dns_names(name, good):
    assert certs.is_dns_name(name) == good


# --- renewing -----------------------------------------------------------------------------------------


def test_renew_waits_until_it_is_due(own):
    now = datetime.now(UTC)
    before = own.cert_file.read_bytes()
    assert certs.renew(own, now=now) is None
    assert certs.renew(own, now=now + timedelta(days=certs.SERVER_DAYS - certs.RENEW_DAYS - 1)) is None
    assert own.cert_file.read_bytes() == before
    key = own.key_file.read_bytes()
    later = now + timedelta(days=certs.SERVER_DAYS - certs.RENEW_DAYS + 1)
    new = certs.renew(own, now=later)
    assert new is not None and new.not_valid_after_utc > later + timedelta(days=certs.SERVER_DAYS - 1)
    assert certs.names_of(new) == NAMES
    assert own.key_file.read_bytes() == key, (
        "one rename: no connection meets a certificate beside another key"
    )
    assert certs.check(own.cert_file, own.key_file, now=later) == []


def test_renew_by_force(own, openssl):
    serial = certs.load_chain(own.cert_file)[0].serial_number
    new = certs.renew(own, force=True)
    assert new is not None and new.serial_number != serial
    openssl("verify", "-CAfile", own.ca_cert, own.cert_file)


def test_somebody_elses_certificate_is_not_renewed(own, tmp_path):
    other = Home(tmp_path / "other")
    certs.make_authority(other, "Other")
    certs.make_server(other, NAMES)
    certs.import_files(own.cert_file, own.key_file, other.cert_file, other.key_file)
    with pytest.raises(CertError, match="another authority"):
        certs.renew(own, force=True)


def test_a_certificate_never_outlives_its_authority(own):
    late = datetime.now(UTC) + timedelta(days=certs.AUTHORITY_DAYS - 10)
    new = certs.renew(own, now=late, force=True)
    assert new is not None
    assert new.not_valid_after_utc == certs.load_chain(own.ca_cert)[0].not_valid_after_utc


def test_a_home_without_an_authority_says_so(own):
    own.ca_key.unlink()
    with pytest.raises(CertError, match="certs ca"):
        certs.make_server(own, NAMES)


# --- importing ----------------------------------------------------------------------------------------


def test_what_was_exported_is_imported(home, own, tmp_path):
    for form, password, name in (("p12", b"word", "a.p12"), ("pem", None, "a.pem")):
        source = tmp_path / name
        source.write_bytes(certs.export(home, home.cert_file, home.key_file, form, password))
        own.cert_file.unlink()
        own.key_file.unlink()
        certs.import_files(own.cert_file, own.key_file, source, None, password)
        chain = certs.load_chain(own.cert_file)
        assert [one.subject for one in chain] == [
            certs.load_chain(path)[0].subject for path in (home.cert_file, home.ca_cert)
        ]
        assert certs.check(own.cert_file, own.key_file) == []


def test_a_wrong_pair_replaces_nothing(home, own, tmp_path):
    before = own.cert_file.read_bytes(), own.key_file.read_bytes()
    with pytest.raises(CertError, match="does not belong"):
        certs.import_files(own.cert_file, own.key_file, home.cert_file, home.ca_key)
    (tmp_path / "bad.p12").write_bytes(b"\x30\x82nonsense")
    with pytest.raises(CertError, match="PKCS#12"):
        certs.import_files(own.cert_file, own.key_file, tmp_path / "bad.p12", None, b"x")
    (tmp_path / "good.p12").write_bytes(certs.export(home, home.cert_file, home.key_file, "p12", b"word"))
    with pytest.raises(CertError, match="password right"):
        certs.import_files(own.cert_file, own.key_file, tmp_path / "good.p12", None, b"wrong")
    with pytest.raises(CertError, match="cannot be read"):
        certs.import_files(own.cert_file, own.key_file, tmp_path / "none.pem", None)
    assert (own.cert_file.read_bytes(), own.key_file.read_bytes()) == before


# --- looking ------------------------------------------------------------------------------------------


def test_describe_is_what_the_status_page_shows(home):
    shown = certs.describe(home.cert_file)
    assert shown["file"] == str(home.cert_file)
    assert shown["subject"] == "CN=files1"
    assert shown["names"] == [*NAMES.dns, *NAMES.addresses]
    assert datetime.fromisoformat(shown["not_after"]) > datetime.now(UTC) + timedelta(days=700)


def test_a_good_pair_has_no_findings(home):
    assert certs.check(home.cert_file, home.key_file, ["192.0.2.10", "2001:0db8::10"]) == []


def test_dates_names_and_keys_are_checked(home, own):
    now = datetime.now(UTC)

    def texts(cert: Path, key: Path, addresses=(), when: datetime = now) -> list[tuple[str, str]]:
        return [(one.level, one.text) for one in certs.check(cert, key, addresses, when)]

    (found,) = texts(home.cert_file, home.key_file, when=now + timedelta(days=certs.SERVER_DAYS + 1))
    assert found[0] == "error" and "ended on" in found[1] and "certs renew" in found[1]
    (found,) = texts(home.cert_file, home.key_file, when=now - timedelta(days=2))
    assert found[0] == "error" and "is valid only from" in found[1]
    (found,) = texts(home.cert_file, home.key_file, when=now + timedelta(days=certs.SERVER_DAYS - 10))
    assert found[0] == "finding" and "in 9 days" in found[1]
    (found,) = texts(home.cert_file, home.key_file, ["192.0.2.10", "192.0.2.99"])
    assert found[0] == "finding" and "does not name 192.0.2.99;" in found[1]
    (found,) = texts(home.cert_file, home.ca_key)
    assert found[0] == "error" and "does not belong" in found[1]
    (found,) = texts(home.cert_file, home.root / "no.pem")
    assert found[0] == "error" and "cannot be read" in found[1]
    own.cert_file.write_bytes(b"\x30\x82 not pem")
    (found,) = texts(own.cert_file, own.key_file)
    assert found[0] == "error" and "holds no PEM certificate" in found[1]


def test_weak_certificates_are_told(own, openssl):
    openssl("req", "-x509", "-newkey", "rsa:1024", "-sha1", "-nodes", "-days", "100", "-subj", "/CN=old",
            "-keyout", own.key_file, "-out", own.cert_file)  # fmt: skip
    texts = " ".join(one.text for one in certs.check(own.cert_file, own.key_file))
    assert "only 1024 bits" in texts and "signed with SHA1" in texts
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "100",
            "-subj", "/CN=new", "-keyout", own.key_file, "-out", own.cert_file)  # fmt: skip
    assert "has no RSA key" in " ".join(one.text for one in certs.check(own.cert_file, own.key_file))


def test_an_encrypted_key_wants_its_password(own, openssl, tmp_path):
    locked = tmp_path / "locked.pem"
    openssl("pkey", "-in", own.key_file, "-aes128", "-passout", "pass:word", "-out", locked)
    (found,) = certs.check(own.cert_file, locked)
    assert "is encrypted" in found.text
    certs.import_files(own.cert_file, own.key_file, own.cert_file, locked, b"word")
    assert certs.check(own.cert_file, own.key_file) == []
