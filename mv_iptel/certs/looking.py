"""What a certificate is, and everything about it that would keep phones or browsers away."""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mv_iptel.certs.making import RENEW_DAYS, due
from mv_iptel.certs.names import names_of
from mv_iptel.certs.reading import CertError, is_root, issued, load_chain, load_key, same_key
from mv_iptel.certs.shape import crl_points
from mv_iptel.config.findings import Finding
from mv_iptel.home import Home

BITS = 2048  # what old sets still verify in time
WEAK = ("md5", "sha1")


def describe(cert_file: Path) -> dict[str, Any]:
    """What the status page shows of a certificate. Raises CertError."""
    leaf = load_chain(cert_file)[0]
    return {
        "file": str(cert_file),
        "subject": leaf.subject.rfc4514_string(),
        "not_after": leaf.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "names": list(names_of(leaf).every),
    }


def details(cert_file: Path) -> dict[str, Any]:
    """The same with all that can be chosen when it is made. Raises CertError."""
    leaf, *above = load_chain(cert_file)
    return {
        **describe(cert_file),
        "not_before": leaf.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "issuer": leaf.issuer.rfc4514_string(),
        "chain": [one.subject.rfc4514_string() for one in above],
        "key": kind_of(leaf),
        "hash": digest_of(leaf),
        "crl": crl_points(leaf),
        "serial": f"{leaf.serial_number:x}",
    }


def check(
    cert_file: Path,
    key_file: Path,
    addresses: Iterable[str] = (),
    now: datetime | None = None,
    phones: bool = True,
) -> list[Finding]:
    """Everything that would keep a phone or a browser from trusting this pair.

    `addresses` are those that phones use for this server; each should be a name in the certificate. Without
    `phones` only browsers and other servers see it, and they know every kind of key.
    """
    now = now or datetime.now(UTC)
    found: list[Finding] = []

    def say(file: Path, text: str, level: str = "error") -> None:
        found.append(Finding(str(file), 0, "", "", text, level))

    try:
        chain = load_chain(cert_file)
    except CertError as error:
        mend = "" if cert_file.exists() else "; run `mv-iptel certs server`, or import one"
        say(cert_file, str(error).removeprefix(f"{cert_file} ") + mend)
        return found
    leaf = chain[0]
    try:
        if not same_key(leaf, load_key(key_file)):
            say(
                key_file,
                f"does not belong to {cert_file}; import the pair again, or run `mv-iptel certs server`",
            )
    except CertError as error:
        say(key_file, str(error).removeprefix(f"{key_file} "))
    renew_it = "run `mv-iptel certs renew`, or import a new one"
    if now < leaf.not_valid_before_utc:
        say(cert_file, f"is valid only from {leaf.not_valid_before_utc:%Y-%m-%d} on; is this clock right?")
    if now > leaf.not_valid_after_utc:
        say(cert_file, f"ended on {leaf.not_valid_after_utc:%Y-%m-%d}; {renew_it}")
    elif due(leaf, now):
        left = (leaf.not_valid_after_utc - now).days
        say(cert_file, f"ends on {leaf.not_valid_after_utc:%Y-%m-%d}, in {left} days; {renew_it}", "finding")
    for text in _weak(leaf, phones):
        say(cert_file, text, "finding")
    for text, level in _chain(chain, now):
        say(cert_file, text, level)
    names = names_of(leaf)
    if not names.dns and not names.addresses:
        say(cert_file, "names no host; make one with `mv-iptel certs server`", "finding")
    missing = [one for one in addresses if str(ipaddress.ip_address(one)) not in names.addresses]
    if missing and (names.dns or names.addresses):
        text = f"does not name {', '.join(missing)}; phones that compare the address refuse it"
        say(cert_file, f"{text}: run `mv-iptel certs server`", "finding")
    return found


def check_authority(home: Home, now: datetime | None = None) -> list[Finding]:
    """The authority's certificate, where the home has one: its dates, and whether phones fetch this one."""
    now = now or datetime.now(UTC)
    if not home.ca_cert.exists():
        return []
    try:
        own = load_chain(home.ca_cert)[0]
    except CertError as error:
        return [Finding(str(home.ca_cert), 0, "", "", str(error).removeprefix(f"{home.ca_cert} "))]
    mend = "--renew` makes its next certificate" if is_root(own) else "--request FILE` asks for the next one"
    if now > own.not_valid_after_utc:
        text = f"ended on {own.not_valid_after_utc:%Y-%m-%d}, and all that it signed with it"
        return [Finding(str(home.ca_cert), 0, "", "", f"{text}; `mv-iptel certs ca {mend}")]
    # What it signs cannot outlive it: while a server's certificate still fits into it there is no haste.
    if own.not_valid_after_utc - now < timedelta(days=365):
        text = f"ends on {own.not_valid_after_utc:%Y-%m-%d}, and phones need time to fetch the next one"
        return [Finding(str(home.ca_cert), 0, "", "", f"{text}; `mv-iptel certs ca {mend}", "finding")]
    return []


def kind_of(certificate: x509.Certificate) -> str:
    """RSA with its bits, EC with its curve."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "unknown"
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    return f"EC {key.curve.name}" if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__


def digest_of(certificate: x509.Certificate) -> str:
    """md5, sha1, sha256 ...; empty where the signature has none."""
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return ""
    return algorithm.name if algorithm is not None else ""


def _chain(chain: list[x509.Certificate], now: datetime) -> Iterator[tuple[str, str]]:
    """What is wrong above the leaf: order, dates, strength. A root needs no strong signature."""
    for lower, upper in itertools.pairwise(chain):
        name = upper.subject.rfc4514_string()
        if not issued(lower, upper):
            text = f"its chain is not in order: {name} did not sign {lower.subject.rfc4514_string()}"
            yield f"{text}; `mv-iptel certs import` puts it in order", "finding"
        if not upper.not_valid_before_utc <= now <= upper.not_valid_after_utc:
            span = f"{upper.not_valid_before_utc:%Y-%m-%d} to {upper.not_valid_after_utc:%Y-%m-%d}"
            yield f"its chain holds {name}, which is valid from {span}; import a new chain", "error"
        elif upper.not_valid_after_utc - now < timedelta(days=RENEW_DAYS):
            yield f"its chain holds {name}, which ends on {upper.not_valid_after_utc:%Y-%m-%d}", "finding"
        if not is_root(upper) and digest_of(upper) in WEAK:
            what = f"its chain holds {name}, signed with {digest_of(upper).upper()}"
            yield f"{what}; newer phones and browsers refuse that", "finding"
    for one in chain[1:]:
        try:
            constraints = one.extensions.get_extension_for_class(x509.BasicConstraints).value
        except (x509.ExtensionNotFound, ValueError):
            constraints = None
        if constraints is not None and not constraints.ca:
            yield f"its chain holds {one.subject.rfc4514_string()}, which is no authority", "finding"


def _weak(leaf: x509.Certificate, phones: bool) -> list[str]:
    texts = []
    try:
        key = leaf.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return ["has a key of a kind that is not known here; use RSA"]
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < BITS:
        texts.append(f"has an RSA key of only {key.key_size} bits; newer phones and browsers want 2048")
    if phones and not isinstance(key, rsa.RSAPublicKey):
        texts.append("has no RSA key; older phones know only RSA")
    if digest_of(leaf) in WEAK:
        texts.append(f"is signed with {digest_of(leaf).upper()}; newer phones and browsers refuse that")
    return texts
