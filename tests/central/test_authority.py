"""The authority that branches check, and the certificates that branches get."""

from __future__ import annotations

import hashlib
import os
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from mv_iptel import certs, config
from mv_iptel.central import authority
from mv_iptel.home import Home


def request_of(key, name="anything", sha=None):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, sha or hashes.SHA256())


def text_of(request):
    return request.public_bytes(serialization.Encoding.PEM).decode()


KEY = ec.generate_private_key(ec.SECP256R1())
GOOD = text_of(request_of(KEY))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("home"))
    home.var.mkdir(parents=True)
    certs.make_authority(home, "here")
    certs.make_server(home, certs.Names(("centre",), ("127.0.0.1",)))
    return home


def test_branches_know_the_server_by_its_authority(home):
    known = authority.known_by(config.defaults(home))
    assert known == certs.load_chain(home.ca_cert)[0]
    der = known.public_bytes(serialization.Encoding.DER)
    assert authority.fingerprint(known) == hashlib.sha256(der).hexdigest()


def test_or_by_what_the_site_imported(tmp_path, home):
    other = Home(tmp_path)
    certs.make_authority(other, "elsewhere")
    (tmp_path / "MV_IPTel" / "certs" / "IPTelcert.pem").write_bytes(home.cert_file.read_bytes())
    assert authority.known_by(config.defaults(other)) == certs.load_chain(home.cert_file)[-1]


def test_a_branch_gets_a_certificate_for_its_key_and_our_name(home):
    made = authority.sign(home, authority.read_request(GOOD), "Oslo")
    assert made.public_key() == KEY.public_key()
    assert [one.value for one in made.subject] == ["Oslo"]
    made.verify_directly_issued_by(certs.load_chain(authority.folder(home) / "ca.pem")[0])
    if os.name == "posix":
        assert (authority.folder(home) / "ca-key.pem").stat().st_mode & 0o077 == 0
    assert authority.sign(home, authority.read_request(GOOD), "Bergen").issuer == made.issuer, "made once"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_verify_locations(authority.folder(home) / "ca.pem")


def test_keys_are_told_apart():
    other = request_of(ec.generate_private_key(ec.SECP256R1()))
    read = authority.read_request(GOOD)
    assert authority.key_of(read) == authority.key_of(request_of(KEY, "x")) != authority.key_of(other)


@pytest.mark.parametrize("text", [
    None, 5, "", "hello", "ü", GOOD * 60, GOOD.replace("M", "N", 3),
    text_of(request_of(ec.generate_private_key(ec.SECP192R1()))),
    text_of(request_of(rsa.generate_private_key(65537, 1024))),
])  # fmt: skip
def test_what_is_no_request(text):
    with pytest.raises(ValueError, match="csr"):
        authority.read_request(text)


def test_a_request_with_a_wrong_signature():
    der = bytearray(request_of(KEY).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    with pytest.raises(ValueError, match="csr"):
        authority.read_request(text_of(x509.load_der_x509_csr(bytes(der))))
