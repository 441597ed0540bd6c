"""How a certificate is made: kind of key, hash, how long, whose name, where its revocations are told."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mv_iptel.certs.reading import CertError

# The first is what all sets know. P-256 and P-384 are for browsers and branches; 1024 bits, and SHA-1, for
# sets that know nothing better, on a port of their own.
KINDS = ("rsa2048", "rsa3072", "rsa4096", "rsa1024", "p256", "p384")
DIGESTS = ("sha256", "sha384", "sha512", "sha1")
LONGEST = 100 * 365  # days

# Phones boot with a clock that may be hours behind, so certificates begin a day ago.
EARLIER = timedelta(days=1)


@dataclass(frozen=True)
class Shape:
    """What an administrator may wish. No days: as long as usual; no subject: the first of the names."""

    kind: str = KINDS[0]
    digest: str = DIGESTS[0]
    days: int = 0
    subject: x509.Name | None = None
    crl: str = ""

    @classmethod
    def of(cls, certificate: x509.Certificate) -> Shape:
        """That of a certificate, so that the next one is like it."""
        try:
            algorithm = certificate.signature_hash_algorithm
        except UnsupportedAlgorithm:
            algorithm = None
        name = algorithm.name if algorithm is not None else ""
        span = certificate.not_valid_after_utc - certificate.not_valid_before_utc - EARLIER
        return cls(
            digest=name if name in DIGESTS else DIGESTS[0],
            days=max(1, round(span / timedelta(days=1))),
            subject=certificate.subject,
            crl=next(iter(crl_points(certificate)), ""),
        )

    def key(self) -> Any:
        """A new private key of this kind."""
        if self.kind.startswith("rsa"):
            return rsa.generate_private_key(65537, int(self.kind[3:]))
        return ec.generate_private_key(ec.SECP384R1() if self.kind == "p384" else ec.SECP256R1())

    def sign(self, builder: x509.CertificateBuilder, key: Any) -> x509.Certificate:
        """The certificate, signed. Raises CertError."""
        if self.crl:
            builder = builder.add_extension(_crl(self.crl), critical=False)
        algorithm: dict[str, hashes.SHA256 | hashes.SHA384 | hashes.SHA512] = {
            "sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512(),
            "sha1": hashes.SHA256(),
        }  # fmt: skip
        made = builder.sign(key, algorithm[self.digest])
        return _with_sha1(made, key) if self.digest == "sha1" else made


def shape(kind: str = "", digest: str = "", days: int = 0, subject: str = "", crl: str = "") -> Shape:
    """From the texts that were given; empty is the usual. Raises CertError."""
    if not 0 <= days <= LONGEST:
        raise CertError(f"{days} days: a certificate lasts from 1 to {LONGEST}")
    name = None
    if subject:
        try:
            name = x509.Name.from_rfc4514_string(subject)
        except ValueError:
            name = None
        if name is None or not list(name):
            raise CertError(f"{subject!r} is not a subject; write one such as CN=files1,O=Example,C=DE")
    if crl:
        try:
            sound = urlsplit(crl).scheme in ("http", "https", "ldap") and crl.isascii()
        except ValueError:
            sound = False
        if not sound or " " in crl:
            raise CertError(f"{crl!r} is not an address of a list; write http://HOST/NAME.crl")
    return Shape(kind or KINDS[0], digest or DIGESTS[0], days, name, crl)


def crl_points(certificate: x509.Certificate) -> list[str]:
    """Where a certificate says that revocations are told."""
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [
        str(name.value)
        for point in points
        for name in point.full_name or ()
        if isinstance(name, x509.UniformResourceIdentifier)
    ]


def _crl(url: str) -> x509.CRLDistributionPoints:
    name = x509.UniformResourceIdentifier(url)
    return x509.CRLDistributionPoints([x509.DistributionPoint([name], None, None, None)])


def _with_sha1(made: x509.Certificate, key: Any) -> x509.Certificate:
    """The same signed anew with SHA-1, which only the layer below still does."""
    if not isinstance(key, rsa.RSAPrivateKey):
        raise CertError("SHA-1 is for old sets, which know RSA only: the authority's key is of another kind")
    from OpenSSL import crypto  # here, because commands start faster without it

    again = crypto.X509.from_cryptography(made)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            again.sign(crypto.PKey.from_cryptography_key(key), "sha1")
    except (AttributeError, crypto.Error, ValueError):
        raise CertError("this host's TLS library signs nothing with SHA-1; use sha256") from None
    return again.to_cryptography()
