"""The site's own authority and the server certificate: made, renewed, imported, exported, checked.

The authority's key stays in MV_Manager/ca; the server reads only its certificate, its key and the
authority's public certificate. Old sets need RSA keys, and some match the server's IP address against
the subject alternative names, so both DNS and IP names are always there.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mv_iptel import files
from mv_iptel.config.findings import Finding
from mv_iptel.home import Home

BITS = 2048  # what old sets still verify in time
AUTHORITY_DAYS = 20 * 365
SERVER_DAYS = 2 * 365
RENEW_DAYS = 30  # `renew` acts when less than this is left
# Phones boot with a clock that may be hours behind, so certificates begin a day ago.
EARLIER = timedelta(days=1)

KEY_MODE = 0o640  # the service's group reads the server's key
AUTHORITY_KEY_MODE = 0o600
MAX_BYTES = 1 << 20

# The authority's certificate as phones fetch it from HTTPdata, by plain HTTP: SET TRUSTCERTS mv_ca.txt
PUBLIC_NAME = "mv_ca.txt"

_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\Z")
_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


class CertError(Exception):
    """What is wrong and what to do; for the administrator's eyes."""


@dataclass(frozen=True)
class Names:
    """What a certificate stands for: DNS names and IP addresses, both as text."""

    dns: tuple[str, ...]
    addresses: tuple[str, ...]


def host_names(names: Iterable[str] = (), addresses: Iterable[str] = ()) -> Names:
    """The given names and addresses, then this host's own: its name, localhost, every interface."""
    dns = [name for name in (*names, socket.gethostname(), "localhost") if is_dns_name(name)]
    own: list[str] = []
    for interface in psutil.net_if_addrs().values():
        for one in interface:
            if one.family in (socket.AF_INET, socket.AF_INET6):
                own.append(one.address.partition("%")[0])
    found: list[str] = []
    for text in (*addresses, *own, "127.0.0.1", "::1"):
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            if text in own:
                continue
            raise CertError(f"{text!r} is not an address; write one such as 192.168.0.5") from None
        # A link-local address means another host on every link; it names nobody.
        if not address.is_link_local or text not in own:
            found.append(str(address))
    return Names(tuple(dict.fromkeys(dns)), tuple(dict.fromkeys(found)))


def is_dns_name(text: str) -> bool:
    """Whether a certificate can carry `text` as a DNS name (a wildcard counts)."""
    labels = text.removeprefix("*.").split(".")
    return 0 < len(text) <= 253 and all(_LABEL.match(label) for label in labels)


# --- making -----------------------------------------------------------------------------------------


def make_authority(home: Home, name: str, now: datetime | None = None) -> x509.Certificate:
    """A new authority: its key to MV_Manager/ca (0600), its certificate to `certs`."""
    now = now or datetime.now(UTC)
    key = rsa.generate_private_key(65537, BITS)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"mv-iptel authority of {name}"[:64])])
    public = key.public_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLIER)
        .not_valid_after(now + timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    home.ca.mkdir(parents=True, exist_ok=True)
    home.certs.mkdir(parents=True, exist_ok=True)
    files.replace(home.ca_key, _key_pem(key), AUTHORITY_KEY_MODE)
    files.replace(home.ca_cert, _pem(certificate))
    return certificate


def make_server(
    home: Home,
    names: Names,
    cert_file: Path | None = None,
    key_file: Path | None = None,
    now: datetime | None = None,
    keep_key: bool = False,
) -> x509.Certificate:
    """A server certificate for `names`, signed by the home's authority.

    `keep_key` certifies the key that is there: then one rename replaces the certificate, and no
    connection can meet a certificate beside another key. Raises CertError.
    """
    now = now or datetime.now(UTC)
    cert_file, key_file = cert_file or home.cert_file, key_file or home.key_file
    authority, authority_key = _authority(home)
    key = _load_key(key_file) if keep_key else rsa.generate_private_key(65537, BITS)
    public = key.public_key()
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names.dns]
    alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in names.addresses]
    common = (*names.dns, *names.addresses)[0][:64]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)]))
        .issuer_name(authority.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(now - EARLIER, authority.not_valid_before_utc))
        .not_valid_after(min(now + timedelta(days=SERVER_DAYS), authority.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        # Key encipherment: the old suites exchange their key under RSA.
        .add_extension(_usage(digital_signature=True, key_encipherment=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )
    cert_file.parent.mkdir(parents=True, exist_ok=True)
    if not keep_key:
        files.replace(key_file, _key_pem(key), KEY_MODE)
    files.replace(cert_file, _pem(certificate))
    return certificate


def renew(
    home: Home,
    cert_file: Path | None = None,
    key_file: Path | None = None,
    now: datetime | None = None,
    force: bool = False,
) -> x509.Certificate | None:
    """A new server certificate for the same names and key, if less than 30 days are left, or None.

    Raises CertError: also for a certificate that another authority signed, which is not ours to renew.
    """
    now = now or datetime.now(UTC)
    cert_file, key_file = cert_file or home.cert_file, key_file or home.key_file
    old = load_chain(cert_file)[0]
    if not force and old.not_valid_after_utc - now > timedelta(days=RENEW_DAYS):
        return None
    authority, _ = _authority(home)
    if old.issuer != authority.subject:
        raise CertError(
            f"{cert_file} comes from another authority ({old.issuer.rfc4514_string()}); ask there for a "
            "new one and use `mv-iptel certs import`, or make an own one with `mv-iptel certs server`"
        )
    return make_server(home, names_of(old), cert_file, key_file, now, keep_key=True)


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


# --- in and out ---------------------------------------------------------------------------------------


def import_files(
    cert_file: Path, key_file: Path, source: Path, source_key: Path | None, password: bytes | None = None
) -> x509.Certificate:
    """Put somebody else's certificate and key in place: PEM files, or one PKCS#12. Raises CertError.

    Nothing is replaced unless the key belongs to the certificate.
    """
    data = _read(source)
    chain: list[x509.Certificate]
    if source_key is None and _CERTIFICATE not in data:
        try:
            key, leaf, others = pkcs12.load_key_and_certificates(data, password)
        except ValueError as error:
            raise CertError(
                f"{source} cannot be opened ({error}); is it PKCS#12, is the password right?"
            ) from None
        if key is None or leaf is None:
            raise CertError(f"{source} holds no certificate with its key")
        chain = [leaf, *others]
    else:
        chain = load_chain(source)
        key = _load_key(source_key or source, password)
    if not _same_key(chain[0], key):
        raise CertError(
            "the key does not belong to the certificate; the server's certificate must come first"
        )
    files.replace(key_file, _key_pem(key), KEY_MODE)
    files.replace(cert_file, b"".join(map(_pem, _ordered(chain))))
    return chain[0]


def export(home: Home, cert_file: Path, key_file: Path, form: str, password: bytes | None = None) -> bytes:
    """Certificate, key and authority: `pem` for web servers, `p12` (with a password) for Windows."""
    chain = load_chain(cert_file)
    key = _load_key(key_file)
    if not _same_key(chain[0], key):
        raise CertError(f"{key_file} does not belong to {cert_file}")
    others = chain[1:]
    if not others and home.ca_cert.exists():
        authority = load_chain(home.ca_cert)[0]
        others = [authority] if authority.subject == chain[0].issuer else []
    if form == "pem":
        return b"".join(map(_pem, [chain[0], *others])) + _key_pem(key)
    if not password:
        raise CertError("PKCS#12 needs a password; give --password-file")
    encryption = serialization.BestAvailableEncryption(password)
    return pkcs12.serialize_key_and_certificates(b"mv-iptel", key, chain[0], others or None, encryption)


def _ordered(chain: list[x509.Certificate]) -> list[x509.Certificate]:
    """The leaf, then each issuer: the order in which TLS sends them."""
    ordered, rest = [chain[0]], list(chain[1:])
    while found := next((one for one in rest if one.subject == ordered[-1].issuer), None):
        ordered.append(found)
        rest.remove(found)
    return ordered + rest


# --- looking ------------------------------------------------------------------------------------------


def describe(cert_file: Path) -> dict[str, Any]:
    """What the status page shows of a certificate. Raises CertError."""
    leaf = load_chain(cert_file)[0]
    names = names_of(leaf)
    return {
        "file": str(cert_file),
        "subject": leaf.subject.rfc4514_string(),
        "not_after": leaf.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "names": [*names.dns, *names.addresses],
    }


def check(
    cert_file: Path, key_file: Path, addresses: Iterable[str] = (), now: datetime | None = None
) -> list[Finding]:
    """Everything that would keep a phone or a browser from trusting this pair.

    `addresses` are those that phones use for this server; each should be a name in the certificate.
    """
    now = now or datetime.now(UTC)
    found: list[Finding] = []

    def say(file: Path, text: str, level: str = "error") -> None:
        found.append(Finding(str(file), 0, "", "", text, level))

    try:
        leaf = load_chain(cert_file)[0]
    except CertError as error:
        mend = "" if cert_file.exists() else "; run `mv-iptel certs server`, or import one"
        say(cert_file, str(error).removeprefix(f"{cert_file} ") + mend)
        return found
    try:
        if not _same_key(leaf, _load_key(key_file)):
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
    elif leaf.not_valid_after_utc - now < timedelta(days=RENEW_DAYS):
        left = (leaf.not_valid_after_utc - now).days
        say(cert_file, f"ends on {leaf.not_valid_after_utc:%Y-%m-%d}, in {left} days; {renew_it}", "finding")
    for text in _weak(leaf):
        say(cert_file, text, "finding")
    names = names_of(leaf)
    if not names.dns and not names.addresses:
        say(cert_file, "names no host; make one with `mv-iptel certs server`", "finding")
    missing = [one for one in addresses if str(ipaddress.ip_address(one)) not in names.addresses]
    if missing and (names.dns or names.addresses):
        text = f"does not name {', '.join(missing)}; phones that compare the address refuse it"
        say(cert_file, f"{text}: run `mv-iptel certs server`", "finding")
    return found


def _weak(leaf: x509.Certificate) -> list[str]:
    texts = []
    try:
        key = leaf.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return ["has a key of a kind that is not known here; use RSA"]
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < BITS:
        texts.append(f"has an RSA key of only {key.key_size} bits; newer phones and browsers want 2048")
    if not isinstance(key, rsa.RSAPublicKey):
        texts.append("has no RSA key; older phones know only RSA")
    try:
        algorithm = leaf.signature_hash_algorithm
    except UnsupportedAlgorithm:
        algorithm = None
    if algorithm is not None and algorithm.name in ("md5", "sha1"):
        texts.append(f"is signed with {algorithm.name.upper()}; newer phones and browsers refuse that")
    return texts


def names_of(certificate: x509.Certificate) -> Names:
    """The subject alternative names; for a certificate without any, its common name."""
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return Names(tuple(str(one.value) for one in common), ())
    dns = tuple(san.get_values_for_type(x509.DNSName))
    return Names(dns, tuple(str(one) for one in san.get_values_for_type(x509.IPAddress)))


def load_chain(path: Path) -> list[x509.Certificate]:
    """The certificates of a PEM file, the server's first. Raises CertError."""
    data = _read(path)
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError:
        raise CertError(
            f"{path} holds no PEM certificate; is it PKCS#12 or DER? Use `mv-iptel certs import`"
        ) from None


def _load_key(path: Path, password: bytes | None = None) -> Any:
    data = _read(path)
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


def _authority(home: Home) -> tuple[x509.Certificate, Any]:
    if not home.ca_key.exists():
        raise CertError(f"{home.ca_key} is not there: this home has no authority; run `mv-iptel certs ca`")
    certificate, key = load_chain(home.ca_cert)[0], _load_key(home.ca_key)
    if not _same_key(certificate, key):
        raise CertError(
            f"{home.ca_key} does not belong to {home.ca_cert}; restore the pair, or run `mv-iptel certs ca`"
        )
    return certificate, key


def _same_key(certificate: x509.Certificate, key: Any) -> bool:
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    try:
        return bool(certificate.public_key().public_bytes(*form) == key.public_key().public_bytes(*form))
    except (ValueError, UnsupportedAlgorithm):
        return False


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CertError(f"{path} cannot be read ({error.strerror})") from None
    if len(data) > MAX_BYTES:
        raise CertError(f"{path} is larger than 1 MiB; this is no certificate")
    return data


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: Any) -> bytes:
    return bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
