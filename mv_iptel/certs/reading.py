"""Certificates and keys as files: read with plain words about what is wrong, and written whole."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs7

from mv_iptel import files

KEY_MODE = 0o640  # the service's group reads the server's key
MAX_BYTES = 1 << 20
PEM_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_PEM_KEY = b"PRIVATE KEY-----"


class CertError(Exception):
    """What is wrong and what to do; for the administrator's eyes."""


def load_chain(path: Path) -> list[x509.Certificate]:
    """The certificates of a PEM file, the server's first. Raises CertError."""
    data = read(path)
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError:
        raise CertError(
            f"{path} holds no PEM certificate; is it PKCS#12 or DER? Use `mv-iptel certs import`"
        ) from None


def load_any_chain(path: Path) -> list[x509.Certificate]:
    """The certificates of a file as authorities hand them out: PEM, DER or PKCS#7. Raises CertError."""
    data = read(path)
    for reader in (
        x509.load_pem_x509_certificates,
        lambda given: [x509.load_der_x509_certificate(given)],
        pkcs7.load_pem_pkcs7_certificates,
        pkcs7.load_der_pkcs7_certificates,
    ):
        with contextlib.suppress(ValueError, UnsupportedAlgorithm):
            if found := reader(data):
                return found
    raise CertError(f"{path} holds no certificate: PEM, DER, PKCS#7 and PKCS#12 (with its password) are read")


def load_key(path: Path, password: bytes | None = None) -> Any:
    """A private key of a kind that TLS uses. Raises CertError."""
    data = read(path)
    try:
        key = serialization.load_pem_private_key(data, password)
    except TypeError:
        why = "is encrypted; give its password" if password is None else "is not encrypted; give no password"
        raise CertError(f"{path} {why}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise CertError(f"{path} holds no PEM private key that opens") from None
    if not isinstance(
        key,
        rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey,
    ):
        raise CertError(f"{path} holds a key of a kind that TLS does not use; use RSA")
    return key


def has_key(path: Path) -> bool:
    """Whether this file holds a PEM private key, encrypted or not. Raises CertError."""
    return _PEM_KEY in read(path)


def same_key(certificate: x509.Certificate, key: Any) -> bool:
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    try:
        return bool(certificate.public_key().public_bytes(*form) == key.public_key().public_bytes(*form))
    except (ValueError, UnsupportedAlgorithm):
        return False


def issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether `authority` signed it. Signatures with SHA-1 are not looked at: the library has none."""
    if certificate.issuer != authority.subject:
        return False
    try:
        certificate.verify_directly_issued_by(authority)
    except (TypeError, InvalidSignature):
        return False
    except (ValueError, UnsupportedAlgorithm):  # MD5 and SHA-1: by the names alone
        return True
    return True


def is_root(certificate: x509.Certificate) -> bool:
    return certificate.subject == certificate.issuer


def read(path: Path) -> bytes:
    """The file, which is no more than a certificate can be. Raises CertError."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CertError(f"{path} cannot be read ({error.strerror})") from None
    if len(data) > MAX_BYTES:
        raise CertError(f"{path} is larger than 1 MiB; this is no certificate")
    return data


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


def key_pem(key: Any) -> bytes:
    return bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def write_pair(
    cert_file: Path, key_file: Path, chain: Sequence[x509.Certificate], key: Any, new_key: bool = True
) -> None:
    """A certificate and its key, each by one rename; both into one file where that is one. Raises OSError.

    A key that stays is not written: then no connection can meet a certificate beside another key.
    """
    cert_file.parent.mkdir(parents=True, exist_ok=True)
    key_file.parent.mkdir(parents=True, exist_ok=True)
    if cert_file == key_file:
        files.replace(cert_file, pem(*chain) + key_pem(key), KEY_MODE)
        return
    if new_key:
        files.replace(key_file, key_pem(key), KEY_MODE)
    files.replace(cert_file, pem(*chain))


def owned_as(path: Path, like: Path) -> None:
    """A file that is new belongs to whom its neighbour does: root makes it, the service reads it."""
    if os.name == "posix":
        with contextlib.suppress(OSError):
            there = like.stat()
            os.chown(path, there.st_uid, there.st_gid, follow_symlinks=False)  # a link may have been laid
