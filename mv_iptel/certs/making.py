"""The site's own authority and what it signs: for this server, for its listeners, for other machines.

The authority's key stays in MV_Manager/ca. It may be an intermediate one, signed by the company's: then
`ca.pem` holds those above it too, and what it signs is sent with them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mv_iptel import files
from mv_iptel.certs.names import Names, names_of
from mv_iptel.certs.reading import (
    CertError,
    is_root,
    issued,
    key_pem,
    load_chain,
    load_key,
    owned_as,
    pem,
    same_key,
    write_pair,
)
from mv_iptel.certs.shape import EARLIER, Shape
from mv_iptel.home import Home

AUTHORITY_DAYS = 20 * 365
SERVER_DAYS = 2 * 365
RENEW_DAYS = 30  # `renew` acts when less than this is left, or less than a third of a short life
AUTHORITY_KEY_MODE = 0o600

Signer = tuple[x509.Certificate, Any]  # an authority and its key; to open the key takes its time

# The authority's certificate as phones fetch it from HTTPdata, by plain HTTP: SET TRUSTCERTS mv_ca.txt
PUBLIC_NAME = "mv_ca.txt"


def make_authority(
    home: Home,
    name: str,
    now: datetime | None = None,
    shape: Shape = Shape(),  # noqa: B008
) -> x509.Certificate:
    """A new authority: its key to MV_Manager/ca (0600), its certificate to `certs`. Raises CertError."""
    key = shape.key()
    certificate = _self_signed(shape, key, shape.subject or _common(f"mv-iptel authority of {name}"), now)
    put_authority(home, [certificate], key)
    return certificate


def renew_authority(home: Home, now: datetime | None = None, days: int = 0) -> x509.Certificate:
    """The same authority, name and key, with new dates: what it signed stays valid. Raises CertError.

    Phones that trust the old certificate trust both: the key and the name are what counts.
    """
    old, key = authority(home)
    if not is_root(old):
        raise CertError(
            f"{old.subject.rfc4514_string()} was signed by {old.issuer.rfc4514_string()}; ask there for a "
            "new certificate: `mv-iptel certs ca --request FILE`, then `certs ca --import FILE`"
        )
    shape = Shape(digest=Shape.of(old).digest, days=days)
    certificate = _self_signed(shape, key, old.subject, now)
    files.replace(home.ca_cert, pem(certificate))
    return certificate


def put_authority(home: Home, chain: list[x509.Certificate], key: Any) -> None:
    """In place of the one that was there. Raises OSError."""
    home.ca.mkdir(parents=True, exist_ok=True)
    home.certs.mkdir(parents=True, exist_ok=True)
    files.replace(home.ca_key, key_pem(key), AUTHORITY_KEY_MODE)
    owned_as(home.ca_key, home.ca)  # root's command must not keep the manager from renewing
    files.replace(home.ca_cert, pem(*chain))


def authority(home: Home) -> Signer:
    """The authority that signs here, and its key. Raises CertError."""
    if not home.ca_key.exists():
        raise CertError(f"{home.ca_key} is not there: this home has no authority; run `mv-iptel certs ca`")
    certificate, key = load_chain(home.ca_cert)[0], load_key(home.ca_key)
    if not same_key(certificate, key):
        raise CertError(
            f"{home.ca_key} does not belong to {home.ca_cert}; restore the pair, or run `mv-iptel certs ca`"
        )
    return certificate, key


def public_pem(home: Home) -> bytes:
    """What phones are given to trust: the root above all that this server shows. Raises CertError."""
    chain = load_chain(home.ca_cert)
    return pem(next((one for one in chain if is_root(one)), chain[-1]))


def make_server(
    home: Home,
    names: Names,
    cert_file: Path | None = None,
    key_file: Path | None = None,
    now: datetime | None = None,
    keep_key: bool = False,
    shape: Shape = Shape(),  # noqa: B008
    signer: Signer | None = None,
) -> x509.Certificate:
    """A server certificate for `names`, signed by the home's authority.

    `keep_key` certifies the key that is there: then one rename replaces the certificate, and no
    connection can meet a certificate beside another key. Raises CertError.
    """
    cert_file, key_file = cert_file or home.cert_file, key_file or home.key_file
    signer = signer or authority(home)
    key = load_key(key_file) if keep_key else shape.key()
    chain = issue(home, names, key.public_key(), shape, now, signer)
    write_pair(cert_file, key_file, chain, key, not keep_key)
    return chain[0]


def issue(
    home: Home,
    names: Names,
    public: Any,
    shape: Shape,
    now: datetime | None = None,
    signer: Signer | None = None,
) -> list[x509.Certificate]:
    """A certificate for a server's public key, then the authorities between it and the root.

    Raises CertError.
    """
    now = now or datetime.now(UTC)
    if not names.every:
        raise CertError("a certificate has to name something: a DNS name or an address")
    own, signing_key = signer or authority(home)
    if own.not_valid_after_utc <= now:
        ended = f"the authority ended on {own.not_valid_after_utc:%Y-%m-%d}"
        raise CertError(f"{ended}; `mv-iptel certs ca --renew` makes its next certificate")
    builder = (
        x509.CertificateBuilder()
        .subject_name(shape.subject or _common(names.every[0]))
        .issuer_name(own.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(now - EARLIER, own.not_valid_before_utc))
        .not_valid_after(min(now + timedelta(days=shape.days or SERVER_DAYS), own.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        # Key encipherment: the old suites exchange their key under RSA.
        .add_extension(_usage(digital_signature=True, key_encipherment=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names.general()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(_issuer(own), critical=False)
    )
    between = [one for one in load_chain(home.ca_cert) if not is_root(one)]
    return [shape.sign(builder, signing_key), *between]


def due(certificate: x509.Certificate, now: datetime) -> bool:
    """Whether it is time for the next one: 30 days before the end, of a short life the last third."""
    span = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return certificate.not_valid_after_utc - now <= min(timedelta(days=RENEW_DAYS), span / 3)


def is_ours(home: Home, certificate: x509.Certificate) -> bool:
    """Whether the authority whose certificate lies here signed it. Raises CertError."""
    return issued(certificate, load_chain(home.ca_cert)[0])


def renew(
    home: Home,
    cert_file: Path | None = None,
    key_file: Path | None = None,
    now: datetime | None = None,
    force: bool = False,
) -> x509.Certificate | None:
    """The next certificate for the same names and key, if it is time for it, or None.

    Raises CertError: also for a certificate that another authority signed, which is not ours to renew.
    """
    now = now or datetime.now(UTC)
    cert_file, key_file = cert_file or home.cert_file, key_file or home.key_file
    old = load_chain(cert_file)[0]
    if not force and not due(old, now):
        return None
    signer = authority(home)
    if old.issuer != signer[0].subject:
        raise CertError(
            f"{cert_file} comes from another authority ({old.issuer.rfc4514_string()}); ask there for a "
            "new one and use `mv-iptel certs import`, or make an own one with `mv-iptel certs server`"
        )
    return make_server(home, names_of(old), cert_file, key_file, now, True, Shape.of(old), signer)


def request(names: Names, shape: Shape, key: Any, authority_name: str = "") -> bytes:
    """What another authority signs: PEM. With `authority_name` it asks to become an authority itself."""
    name = f"mv-iptel authority of {authority_name}" if authority_name else names.every[0]
    builder = x509.CertificateSigningRequestBuilder().subject_name(shape.subject or _common(name))
    if authority_name:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
    else:
        builder = builder.add_extension(x509.SubjectAlternativeName(names.general()), critical=False)
        builder = builder.add_extension(_usage(digital_signature=True, key_encipherment=True), critical=True)
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        builder = builder.add_extension(usage, critical=False)
    # The authority chooses the hash of its certificate; this one only shows that the key is ours.
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _self_signed(shape: Shape, key: Any, subject: x509.Name, now: datetime | None) -> x509.Certificate:
    now = now or datetime.now(UTC)
    public = key.public_key()
    return shape.sign(
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLIER)
        .not_valid_after(now + timedelta(days=shape.days or AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False),
        key,
    )


def _common(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _issuer(signer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """As the signer calls itself: another maker of certificates may count the identifier differently."""
    try:
        own = signer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except (x509.ExtensionNotFound, ValueError):
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())  # type: ignore[arg-type]
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _usage(**on: bool) -> x509.KeyUsage:
    every = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: on.get(name, False) for name in every})
