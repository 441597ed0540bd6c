"""Certificates in and out: PEM, DER, PKCS#7 and PKCS#12, of other authorities and for other machines."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from mv_iptel.certs.making import put_authority
from mv_iptel.certs.reading import (
    PEM_CERTIFICATE,
    CertError,
    has_key,
    issued,
    key_pem,
    load_any_chain,
    load_chain,
    load_key,
    pem,
    read,
    same_key,
    write_pair,
)
from mv_iptel.config import Pair
from mv_iptel.home import Home

# pem: certificates and key; chain: certificates alone; p12-old: as Windows before 10 and old devices open it
FORMS = ("pem", "chain", "p12", "p12-old")


class Brought(NamedTuple):
    """A chain, the server's (or the authority's) certificate first, and its key."""

    chain: list[x509.Certificate]
    key: Any


def bring(
    source: Path, source_key: Path | None, password: bytes | None = None, waiting: Iterable[Path] = ()
) -> Brought:
    """What a file holds; the key from `source_key`, the file itself, or from those that wait for it.

    Raises CertError, also where the key does not belong to the certificate.
    """
    data = read(source)
    if source_key is None and PEM_CERTIFICATE not in data and (packed := _pkcs12(data, password)):
        chain, key = packed
    else:
        if PEM_CERTIFICATE not in data and source_key is None and password is not None:
            raise CertError(f"{source} cannot be opened; is it PKCS#12, is the password right?")
        chain = load_any_chain(source)
        key = _key_for(chain, source, source_key, password, waiting)
    # Authorities hand out their own certificate first, or in the order of PKCS#7, which is none.
    own = next((one for one in chain if same_key(one, key)), None)
    if own is None:
        raise CertError(
            "the key does not belong to the certificate; give --key FILE, or make another request"
        )
    chain = [own, *(one for one in chain if one != own)]
    return Brought(ordered(chain), key)


def import_files(
    cert_file: Path,
    key_file: Path,
    source: Path,
    source_key: Path | None,
    password: bytes | None = None,
    waiting: Iterable[Path] = (),
) -> x509.Certificate:
    """Put somebody else's certificate and key in place. Raises CertError.

    Nothing is replaced unless the key belongs to the certificate.
    """
    return put(Pair(cert_file, key_file), bring(source, source_key, password, waiting))


def put(pair: Pair, brought: Brought) -> x509.Certificate:
    """Put it in place. Raises OSError."""
    write_pair(*pair, *brought)
    return brought.chain[0]


def import_authority(
    home: Home,
    source: Path,
    source_key: Path | None,
    password: bytes | None = None,
    waiting: Path | None = None,
) -> x509.Certificate:
    """Make another authority, and those above it, the one that signs here. Raises CertError."""
    keys = [one for one in (waiting, home.ca_key) if one is not None]
    chain, key = bring(source, source_key, password, keys)
    try:
        constraints = chain[0].extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, ValueError):
        constraints = None
    if constraints is None or not constraints.ca:
        raise CertError(
            f"{chain[0].subject.rfc4514_string()} is not an authority: its certificate does not let it sign"
        )
    put_authority(home, chain, key)
    return chain[0]


def export(home: Home, cert_file: Path, key_file: Path, form: str, password: bytes | None = None) -> bytes:
    """Certificate, key and authority: `pem` for web servers, `p12` (with a password) for Windows."""
    chain = load_chain(cert_file)
    key = load_key(key_file)
    if not same_key(chain[0], key):
        raise CertError(f"{key_file} does not belong to {cert_file}")
    return packed(whole(home, chain), key, form, password)


def whole(home: Home, chain: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """The chain, with the home's authorities where they belong to it and are not in it."""
    with contextlib.suppress(CertError):
        own = load_chain(home.ca_cert)
        missing = [one for one in own if one not in chain]
        if any(issued(chain[0], one) for one in own):
            return [*chain, *missing]
    return list(chain)


def packed(chain: Sequence[x509.Certificate], key: Any, form: str, password: bytes | None = None) -> bytes:
    """A chain and its key in one of the FORMS. Raises CertError."""
    if form == "chain":
        return pem(*chain)
    if form == "pem":
        return pem(*chain) + key_pem(key)
    if not password:
        raise CertError("PKCS#12 needs a password; give --password-file")
    encryption: serialization.KeySerializationEncryption
    if form == "p12-old":
        encryption = (
            serialization.PrivateFormat.PKCS12.encryption_builder()
            .kdf_rounds(20_000)
            .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
            .hmac_hash(hashes.SHA1())  # noqa: S303 - what old systems open
            .build(password)
        )
    else:
        encryption = serialization.BestAvailableEncryption(password)
    return pkcs12.serialize_key_and_certificates(b"mv-iptel", key, chain[0], chain[1:] or None, encryption)


def ordered(chain: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """The leaf, then each issuer: the order in which TLS sends them."""
    found, rest = [chain[0]], list(chain[1:])
    while one := next((one for one in rest if one.subject == found[-1].issuer), None):
        found.append(one)
        rest.remove(one)
    return found + rest


def _pkcs12(data: bytes, password: bytes | None) -> Brought | None:
    try:
        key, leaf, others = pkcs12.load_key_and_certificates(data, password)
    except ValueError:
        return None
    if key is None or leaf is None:
        raise CertError("this PKCS#12 holds no certificate with its key")
    return Brought([leaf, *others], key)


def _key_for(
    chain: Sequence[x509.Certificate],
    source: Path,
    given: Path | None,
    password: bytes | None,
    waiting: Iterable[Path],
) -> Any:
    if given is not None or has_key(source):
        return load_key(given or source, password)
    for path in waiting:
        with contextlib.suppress(CertError):
            key = load_key(path)
            if any(same_key(one, key) for one in chain):
                return key
    raise CertError(f"{source} holds no key, and no key that waits here belongs to it; give --key FILE")
