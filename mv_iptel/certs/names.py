"""What a certificate stands for: DNS names, addresses and URIs; those of this host and those of others."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

import psutil
from cryptography import x509
from cryptography.x509.oid import NameOID

from mv_iptel.certs.reading import CertError

_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\Z")


@dataclass(frozen=True)
class Names:
    """DNS names, IP addresses and URIs, all as text."""

    dns: tuple[str, ...]
    addresses: tuple[str, ...]
    uris: tuple[str, ...] = ()

    @property
    def every(self) -> tuple[str, ...]:
        return *self.dns, *self.addresses, *self.uris

    def covers(self, host: str) -> bool:
        """Whether a client that compares as RFC 6125 says finds `host`, a name or an address."""
        try:
            return str(ipaddress.ip_address(host.strip("[]"))) in self.addresses
        except ValueError:
            host = host.lower().rstrip(".")
        _, _, parent = host.partition(".")
        known = {name.lower() for name in self.dns}
        return host in known or (bool(parent) and f"*.{parent}" in known)

    def general(self) -> list[x509.GeneralName]:
        """As a certificate carries them."""
        found: list[x509.GeneralName] = [x509.DNSName(name) for name in self.dns]
        found += [x509.IPAddress(ipaddress.ip_address(address)) for address in self.addresses]
        return [*found, *(x509.UniformResourceIdentifier(uri) for uri in self.uris)]


def host_names(names: Iterable[str] = (), addresses: Iterable[str] = (), uris: Iterable[str] = ()) -> Names:
    """The given names and addresses, then this host's own: its name, localhost, every interface.

    Raises CertError.
    """
    dns = [name for name in (*names, socket.gethostname(), "localhost") if is_dns_name(name)]
    own: list[str] = []
    for interface in psutil.net_if_addrs().values():
        for one in interface:
            if one.family in (socket.AF_INET, socket.AF_INET6):
                own.append(one.address.partition("%")[0])
    found = [_address(text) for text in addresses]
    for text in (*own, "127.0.0.1", "::1"):
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            continue
        # A link-local address means another host on every link; it names nobody.
        if not address.is_link_local:
            found.append(str(address))
    return Names(
        tuple(dict.fromkeys(dns)), tuple(dict.fromkeys(found)), tuple(dict.fromkeys(map(_uri, uris)))
    )


def given_names(names: Iterable[str], addresses: Iterable[str] = (), uris: Iterable[str] = ()) -> Names:
    """Only what was given, for another machine; an address among the names is one. Raises CertError."""
    dns: list[str] = []
    found: list[str] = []
    for name in names:
        try:
            found.append(str(ipaddress.ip_address(name)))
        except ValueError:
            if not is_dns_name(name):
                raise CertError(f"{name!r} is neither a DNS name nor an address") from None
            dns.append(name)
    found += [_address(text) for text in addresses]
    return Names(
        tuple(dict.fromkeys(dns)), tuple(dict.fromkeys(found)), tuple(dict.fromkeys(map(_uri, uris)))
    )


def is_dns_name(text: str) -> bool:
    """Whether a certificate can carry `text` as a DNS name (a wildcard counts)."""
    labels = text.removeprefix("*.").split(".")
    return 0 < len(text) <= 253 and all(_LABEL.match(label) for label in labels)


def names_of(certificate: x509.Certificate) -> Names:
    """The subject alternative names; for a certificate without any, its common name."""
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return Names(tuple(str(one.value) for one in common), ())
    return Names(
        tuple(san.get_values_for_type(x509.DNSName)),
        tuple(str(one) for one in san.get_values_for_type(x509.IPAddress)),
        tuple(san.get_values_for_type(x509.UniformResourceIdentifier)),
    )


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise CertError(f"{text!r} is not an address; write one such as 192.168.0.5") from None


def _uri(text: str) -> str:
    try:
        sound = text.isascii() and text.isprintable() and " " not in text and urlsplit(text).scheme
    except ValueError:
        sound = ""
    if not sound:
        raise CertError(f"{text!r} is not a URI; write one such as https://files.example.net/")
    return text
