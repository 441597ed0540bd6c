"""Who vouches for whom: the authority that branches know this server by, and the certificates of branches.

A branch's certificate is for the central API alone. It comes from an authority of the central server's own,
`var/central/ca.pem`, whose key lies beside it: the site's authority is the manager's and not at hand here,
and no phone and no browser trusts this one.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mv_iptel.certs import EARLIER, CertError, load_chain
from mv_iptel.home import Home
from mv_iptel.userdata.disk import locked, write_record

if TYPE_CHECKING:
    from pathlib import Path

    from mv_iptel.config import Config

DAYS = 20 * 365  # a branch is turned away by its entry, not by the end of its certificate
LARGEST = 16 << 10  # octets of a request for a certificate


def folder(home: Home) -> Path:
    """Where the central server keeps what it knows of its branches."""
    return home.var / "central"


def known_by(config: Config) -> x509.Certificate:
    """The certificate by which branches know this server: its authority's, or what the site imported.

    Raises CertError.
    """
    chain = load_chain(config.pair("central").cert_file)
    with suppress(CertError):
        own = load_chain(config.home.ca_cert)[0]
        if _issued(chain[0], own):
            return own
    return chain[-1]


def fingerprint(certificate: x509.Certificate) -> str:
    """The SHA-256, in hex, of the whole certificate."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, *form)


def ensure(home: Home, now: datetime | None = None) -> Path:
    """The authority of the branches' certificates, made where there is none. Raises OSError, CertError."""
    ca, key_file = folder(home) / "ca.pem", folder(home) / "ca-key.pem"
    if ca.exists() and key_file.exists():
        return ca
    with locked(home.lock):
        if ca.exists() and key_file.exists():
            return ca
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mv-iptel branches")])
        now = now or datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject).issuer_name(subject).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - EARLIER).not_valid_after(now + timedelta(days=DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_signs(), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )  # fmt: skip
        write_record(key_file, key_pem(key), 0o600)
        write_record(ca, pem(certificate).encode())
    return ca


def read_request(text: object) -> x509.CertificateSigningRequest:
    """A branch's request for a certificate. ValueError for what is none."""
    if not isinstance(text, str) or not text.isascii() or len(text) > LARGEST:
        raise ValueError("csr: a request for a certificate, as PEM")
    try:
        request = x509.load_pem_x509_csr(text.encode())
        key = request.public_key()
        sound = request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm, InvalidSignature):
        raise ValueError("csr: no request for a certificate that can be read") from None
    strong = (isinstance(key, ec.EllipticCurvePublicKey) and key.key_size >= 256) or (
        isinstance(key, rsa.RSAPublicKey) and 2048 <= key.key_size <= 8192
    )
    if not strong:
        raise ValueError("csr: its key must be EC with 256 bits or more, or RSA with 2048 or more")
    if not sound:
        raise ValueError("csr: its signature is wrong")
    return request


def key_of(request: x509.CertificateSigningRequest) -> str:
    """What tells one key from another: the SHA-256 of the public key, in hex."""
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    told = hashes.Hash(hashes.SHA256())
    told.update(request.public_key().public_bytes(*form))
    return told.finalize().hex()


def sign(
    home: Home,
    request: x509.CertificateSigningRequest,
    name: str,
    now: datetime | None = None,
) -> x509.Certificate:
    """A certificate for the branch `name`; nothing of the request but its key goes into it.

    Raises OSError, CertError.
    """
    now = now or datetime.now(UTC)
    issuer = load_chain(ensure(home, now))[0]
    try:
        key = serialization.load_pem_private_key((folder(home) / "ca-key.pem").read_bytes(), None)
    except ValueError:
        raise CertError(f"{folder(home) / 'ca-key.pem'} holds no private key") from None
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    public = request.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer.subject).public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(now - EARLIER, issuer.not_valid_before_utc))
        .not_valid_after(min(now + timedelta(days=DAYS), issuer.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip


def _issued(leaf: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _signs() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
