"""Which families of phones will accept a certificate on a port, and why not: facts about sets, as a table.

Where a guide does not say what a set does, the verdict is `perhaps` and the reason tells what to look at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from mv_iptel.certs.looking import WEAK, digest_of
from mv_iptel.certs.names import Names, host_names, names_of
from mv_iptel.certs.reading import CertError, is_root, issued, load_any_chain, load_chain

if TYPE_CHECKING:
    from mv_iptel.config import Config

YES, PERHAPS, NO = "yes", "perhaps", "no"
_RANK = {YES: 0, PERHAPS: 1, NO: 2}


@dataclass(frozen=True)
class Family:
    """What is known of how sets look at a server's certificate.

    versions     TLS versions that they speak; they need one that the port offers
    suites       suites of which they need one; empty: not known to need old ones
    trust        vendor: only what their vendor signed; taught: what TRUSTCERTS names; taught or any: anybody
                 while nothing was taught; any: nobody is checked
    names        how they compare: name (RFC 2818: the name or address that they were told), address (an IP
                 name is a must), dns (a DNS name even for an address), off
    bits, sha1   smallest RSA key, and whether SHA-1 is accepted
    between      intermediates that they surely handle; None: not documented
    clock        they look at the dates with a clock that must be right first
    """

    name: str
    versions: tuple[str, ...]
    suites: tuple[str, ...] = ()
    trust: str = "taught"
    names: str = "name"
    bits: int = 0
    sha1: bool = True
    sha2: bool = True
    between: int | None = None
    clock: bool = False
    always: str = ""  # why none of this helps
    sure: str = ""  # what is not known of them


_BOTH = ("TLSv1.0", "TLSv1.2")
_NOW = ("TLSv1.2",)
_CBC = ("AES128-SHA", "AES256-SHA")
_OWN_NAME = "TLSSRVRID=0 in the settings ends the comparing"

FAMILIES = (
    Family("4600", ("TLSv1.0",), ("NULL-SHA",), trust="vendor"),
    Family("96x0 of 2005 to 2007", ("TLSv1.0",), ("NULL-SHA",), trust="vendor"),
    Family("96x0 H.323", ("TLSv1.0",), (*_CBC, "NULL-SHA"), sha2=False),
    Family("96x0 SIP", ("TLSv1.0",), (*_CBC, "NULL-SHA"), sha2=False),
    Family("96x1 H.323", _BOTH, names="off", between=1),
    Family("96x1 SIP", _BOTH, between=1),
    Family("J100 H.323", _BOTH, names="off", between=1),
    Family("J100 SIP", _NOW, trust="taught or any", between=1),
    Family("B189 H.323", _BOTH, names="off", between=1),
    Family("Vantage", _BOTH, bits=1024, between=1),
    Family(
        "16xx",
        (),
        always="these sets are known to break off TLS with current servers; let them use HTTP",
    ),
    Family("11xx, 12xx SIP", ("TLSv1.0", "TLSv1.2"), _CBC, names="address"),
    Family("B179", _NOW, trust="taught or any", names="off", bits=2048, sha1=False, clock=True),
    Family("E129", _NOW, trust="any", names="dns"),
    Family("OpenScape", _NOW, names="off", sure="what its own deployment service taught it counts"),
)


class Verdict(NamedTuple):
    """Whether one family accepts what one port shows."""

    family: str
    accepts: str  # yes, perhaps, no
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Shown:
    """A port, and what phones were told: the server's names, and whom to trust."""

    chain: Sequence[x509.Certificate]
    offer: Mapping[str, tuple[str, ...]]  # TLS versions to suites
    hosts: tuple[str, ...]  # as phones are told to call this server
    anchors: tuple[x509.Certificate, ...]  # what TRUSTCERTS makes them fetch
    taught: tuple[str, ...]  # the names in TRUSTCERTS
    clock: bool  # whether phones are told of a time server


def verdicts(shown: Shown, now: datetime) -> list[Verdict]:
    """For every family."""
    return [_verdict(family, shown, now) for family in FAMILIES]


def _verdict(family: Family, shown: Shown, now: datetime) -> Verdict:
    if family.always:
        return Verdict(family.name, NO, (family.always,))
    leaf = shown.chain[0]
    if family.trust == "vendor" and "avaya" not in shown.chain[-1].issuer.rfc4514_string().lower():
        why = "accepts only certificates that its vendor signed and cannot be taught another authority"
        return Verdict(family.name, NO, (why,))
    found = [
        *_speaks(family, shown),
        *_trusts(family, shown),
        *_strong(family, leaf),
        *_named(family, shown, names_of(leaf)),
        *_timely(family, shown, now),
    ]
    if family.sure:
        found.append((PERHAPS, family.sure))
    worst = max((word for word, _ in found), key=_RANK.__getitem__, default=YES)
    return Verdict(family.name, worst, tuple(dict.fromkeys(text for _, text in found)))


def _speaks(family: Family, shown: Shown) -> Iterable[tuple[str, str]]:
    common = [version for version in family.versions if version in shown.offer]
    # A set whose suites are old ones has them in each of its versions.
    fits = [one for one in common if not family.suites or set(family.suites) & set(shown.offer[one])]
    if fits:
        if fits == ["TLSv1.2"] and not family.suites and "TLSv1.0" in family.versions:
            yield (
                PERHAPS,
                "TLS 1.2 only: releases that still begin with TLS 1.0 need LegacyTLS=1 and HTTPSPort",
            )
        return
    if not isinstance(shown.chain[0].public_key(), rsa.RSAPublicKey):
        yield NO, "its old suites need a certificate with an RSA key"
        return
    key = "IPTel=1" if family.suites == ("NULL-SHA",) else "LegacyTLS=1"
    speaks = " and ".join(version.replace("v", " ") for version in family.versions)
    what = f"with {' or '.join(family.suites)}" if family.suites else "only"
    yield NO, f"speaks {speaks} {what}: set {key} and let it use HTTPSPort"


def _trusts(family: Family, shown: Shown) -> Iterable[tuple[str, str]]:
    if family.trust in ("any", "vendor"):
        return
    if family.trust == "taught or any" and not shown.taught:
        return
    if not shown.taught:
        yield NO, "the settings name no TRUSTCERTS, so it knows no authority but its vendor's"
        return
    top = shown.chain[-1]
    if not any(one == anchor or issued(one, anchor) for one in shown.chain for anchor in shown.anchors):
        names = ", ".join(shown.taught)
        yield NO, f"TRUSTCERTS ({names}) does not lead to {top.issuer.rfc4514_string()}"
    between = sum(not is_root(one) for one in shown.chain[1:])
    if between > (family.between or 0):
        known = "is not documented for these sets" if family.between is None else "is more than is documented"
        yield PERHAPS, f"a chain with {between} intermediate{'s' * (between > 1)} {known}; try one first"


def _strong(family: Family, leaf: x509.Certificate) -> Iterable[tuple[str, str]]:
    try:
        key = leaf.public_key()
    except ValueError:
        yield NO, "the key is of a kind that no set knows"
        return
    if not isinstance(key, rsa.RSAPublicKey):
        yield PERHAPS, "no guide promises keys other than RSA"
    else:
        if key.key_size < family.bits:
            yield NO, f"wants {family.bits} bits, the key has {key.key_size}"
        if key.key_size > 2048:
            yield PERHAPS, f"guides name keys of 1024 and 2048 bits, the key has {key.key_size}"
    digest = digest_of(leaf)
    if digest in WEAK and not family.sha1:
        yield NO, f"refuses signatures with {digest.upper()}"
    if digest not in WEAK and not family.sha2:
        yield PERHAPS, f"older releases may not know {digest.upper()}; one with sha1 on HTTPSPort serves them"


def _named(family: Family, shown: Shown, names: Names) -> Iterable[tuple[str, str]]:
    if family.names == "off" or not shown.hosts:
        return
    if family.names == "name":
        missing = [host for host in shown.hosts if not names.covers(host)]
        mend = f"`mv-iptel certs server` adds it, or {_OWN_NAME}"
    elif family.names == "address":
        missing = [host for host in shown.hosts if _is_address(host) and not names.covers(host)]
        mend = "it has to be an IP name in the certificate: `mv-iptel certs server --address`"
        if not names.addresses:
            missing = missing or list(shown.hosts)
    else:
        dns = {name.lower() for name in names.dns}
        missing = [host for host in shown.hosts if host.lower() not in dns]
        mend = (
            "it has to be a DNS name in the certificate, even where it is an address: `certs server --name`"
        )
    if missing:
        yield NO, f"is told to call {', '.join(missing)}, which the certificate does not name; {mend}"


def _timely(family: Family, shown: Shown, now: datetime) -> Iterable[tuple[str, str]]:
    leaf = shown.chain[0]
    if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
        yield NO, "the certificate is not valid today"
    elif family.clock and not shown.clock and family.trust != "any" and shown.taught:
        yield PERHAPS, "looks at the dates and is told of no time server (SNTPSRVR, DHCP option 42)"
    elif now - leaf.not_valid_before_utc < timedelta(hours=12):
        yield PERHAPS, "the certificate began a few hours ago; a set whose clock is behind refuses it"


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


# --- what this site shows and tells ---------------------------------------------------------------------

_SET = re.compile(rb"^[ \t]*SET[ \t]+(TRUSTCERTS|TLSSRVR|SNTPSRVR)[ \t]+\"?([^\"\r\n#]*)", re.I | re.M)
_SETTINGS = "46xxsettings.txt"
_LARGEST = 4 << 20


class Told(NamedTuple):
    """What the site's settings tell phones, wherever in them it stands."""

    trust: tuple[str, ...]
    servers: tuple[str, ...]
    clock: bool


def told(config: Config) -> Told:
    """TRUSTCERTS, TLSSRVR and SNTPSRVR of the served settings."""
    found: dict[str, dict[str, None]] = {"TRUSTCERTS": {}, "TLSSRVR": {}, "SNTPSRVR": {}}
    for folder in dict.fromkeys((config.https.https_dir, config.http.http_dir)):
        try:
            with open(folder / _SETTINGS, "rb") as file:
                data = file.read(_LARGEST)
        except OSError:
            continue
        for name, value in _SET.findall(data):
            names = re.split(r"[,\s]+", value.decode("utf-8", "replace").strip())
            found[name.decode().upper()].update(dict.fromkeys(filter(None, names)))
    return Told(tuple(found["TRUSTCERTS"]), tuple(found["TLSSRVR"]), bool(found["SNTPSRVR"]))


def anchors(config: Config, names: Iterable[str]) -> tuple[x509.Certificate, ...]:
    """The certificates in the files that TRUSTCERTS names; a URL is taken by its last part."""
    found: list[x509.Certificate] = []
    for name in names:
        plain = Path(name.rpartition("/")[2]).name
        for folder in dict.fromkeys((config.http.http_dir, config.https.https_dir)):
            try:
                found += load_any_chain(folder / plain) if plain else []
                break
            except CertError:
                continue
    return tuple(found)


def hosts(config: Config) -> tuple[str, ...]:
    """What phones are likely to call this server where no setting says: its first IPv4 address."""
    own = config.settings.bind_address or host_names().addresses
    return tuple(one for one in own if ":" not in one and not one.startswith("127."))[:1]


class Port(NamedTuple):
    """What one HTTPS port means for each family."""

    listener: str
    verdicts: tuple[Verdict, ...]

    def short(self) -> str:
        """One line: who accepts it, who may, and that others do not."""
        by = {word: [one.family for one in self.verdicts if one.accepts == word] for word in _RANK}
        parts = [f"accepted by {', '.join(by[YES])}" if by[YES] else "accepted by no family for sure"]
        if by[PERHAPS]:
            parts.append(f"perhaps by {', '.join(by[PERHAPS])}")
        return f"{self.listener}: {'; '.join(parts)}; `mv-iptel certs check` says why the others do not"


def ports(config: Config, hosts: Iterable[str], now: datetime) -> list[Port]:
    """Every HTTPS port; two that show the same in the same way stand together. Raises CertError.

    `hosts` is what phones call this server where the settings do not say.
    """
    from mv_iptel.http import tls  # the engine's offer, and only here

    https, site = config.https, told(config)
    if not https.run_https or https.refused:
        return []
    grouped: dict[tuple[object, object], list[int]] = {}
    for port in dict.fromkeys((https.https_port, *https.https_alt_ports)):
        grouped.setdefault((tls.pair(config, port), tls.policy(https, port)), []).append(port)
    found = []
    for places in grouped.values():
        chain = load_chain(tls.pair(config, places[0]).cert_file)
        kind = "RSA" if isinstance(chain[0].public_key(), rsa.RSAPublicKey) else "ECDSA"
        shown = Shown(
            chain, tls.announce(https, places[0], kind), site.servers or tuple(hosts),
            anchors(config, site.trust), site.trust, site.clock,
        )  # fmt: skip
        found.append(Port(f"HTTPS {', '.join(map(str, places))}", tuple(verdicts(shown, now))))
    return found
