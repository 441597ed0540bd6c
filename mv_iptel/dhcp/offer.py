"""Which options tell phones where the file server is: from a site's configuration and settings to values.

Pure but for `site_of`, which looks at the settings that phones read. What sets accept stands in the
reference: phones 6.1 and 6.2.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mv_iptel.addresses import address_of
from mv_iptel.config import Config
from mv_iptel.phones import told as settings
from mv_iptel.phones.served import Served

EXAMPLE = "192.0.2.10"
CALL_PORT = 1719  # where H.323 sets register
LONGEST = 247  # some DHCP servers cut the site option here
OPTION = 255  # no option is longer
OLD_LIST = 127  # older 4600 sets take no longer list

# Classes of phones and what they are; the first two do not get in each other's way.
CLASSES = {
    "avaya": "Avaya 4600, 1600, 9600, 96x1, J100, B189, K100",
    "cisco": "Cisco sets that ask for SEP<MAC>.cnf.xml",
    "b179": "Avaya B179: option 242 is a URL",
    "e129": "Avaya E129: option 66 is a URL",
    "url": "Yealink, Snom, Grandstream, Poly and others that take a URL from option 66",
}
USUAL = ("avaya", "cisco")

# Sub-options of 43 (SIP software of the 96x1, K100). The first says whose they are.
VENDOR = 1, "6889"


class Site(NamedTuple):
    """What phones are to be told. A port of 0 is one that they know by themselves."""

    servers: tuple[str, ...]  # the first is asked first
    call_servers: tuple[str, ...] = ()
    tftp: bool = True
    http: bool = True
    https: bool = True
    http_port: int = 0
    tls_port: int = 0
    web_port: int = 0  # of a URL: 0 is 80
    vlan: int = 0  # 0: none
    notes: tuple[str, ...] = ()


class Option(NamedTuple):
    """One option. `value` is text, or addresses with commas; of `bytes` it is the hex form of `data`."""

    code: int
    name: str
    kind: str  # text, addresses, bytes
    value: str
    who: str
    data: bytes


class Offer(NamedTuple):
    """All of them, and what is worth knowing."""

    options: tuple[Option, ...]
    notes: tuple[str, ...]


def site_of(
    config: Config,
    files: Served,
    own: Iterable[str],
    servers: Sequence[str] = (),
    call_servers: Sequence[str] = (),
    vlan: int = 0,
) -> Site:
    """A site as its configuration and settings say. Without `servers`: what the settings name, else `own`."""
    notes: list[str] = []
    if not servers:
        named = [host for host, _ in settings.hosts(settings.settings_of(files, settings.OURS))]
        outside = [one for one in own if address_of(one) and not settings.is_loop(one)]
        four = [one for one in outside if ":" not in one]
        found = [one for one in named if not settings.is_loop(one)] or four or outside
        if not found:
            notes.append(f"{EXAMPLE} is an example: this host has no address but its own loop.")
        servers = [(found or [EXAMPLE])[0]]
    http, https, tftp = config.http, config.https, config.tftp
    ports = (http.http_port, *http.http_alt_ports)
    secure = (https.https_port, *https.https_alt_ports)
    if tftp.run_trivial_ftp and tftp.trivial_ftp_port != 69:
        notes.append(f"TFTP listens on port {tftp.trivial_ftp_port}; real 4600 sets ask port 69 only.")
    # Sets with H.323 know port 411 for TLS, SIP software 443.
    known = 411 in secure and (443 in secure or not https.https_alt_ports)
    return Site(
        tuple(dict.fromkeys(servers)),
        tuple(dict.fromkeys(call_servers)),
        tftp.run_trivial_ftp,
        http.run_http,
        https.run_https and not https.refused,
        0 if 80 in ports else http.http_port,
        0 if known else https.https_port,
        0 if 80 in ports else http.http_port,
        vlan,
        tuple(notes),
    )


def calls(files: Served) -> tuple[str, ...]:
    """The H.323 call servers that the settings name; then DHCP need not."""
    found = settings.settings_of(files, ("MCIPADD",))
    return tuple(dict.fromkeys(host for host, _ in settings.hosts(found)))


def offer(site: Site, classes: Iterable[str] = USUAL) -> Offer:
    """The options for these classes of phones."""
    chosen: dict[int, Option] = {}
    notes = list(site.notes)
    for name in dict.fromkeys(classes):
        for one in _MAKERS[name](site):
            other = chosen.setdefault(one.code, one)
            if other.value != one.value:
                notes.append(
                    f"Option {one.code} cannot serve {other.who} and {one.who} in one network: "
                    f"{one.value} is left out; give those phones a network of their own."
                )
    for one in chosen.values():
        if len(one.data) > OPTION:
            notes.append(f"Option {one.code} is {len(one.data)} octets long; an option holds {OPTION}.")
        elif len(one.data) > LONGEST and one.kind == "text":
            notes.append(
                f"Option {one.code} is {len(one.data)} octets long; some servers cut it after {LONGEST}."
            )
    if any(len(_list(one).strip('"')) > OLD_LIST for one in (site.servers, site.call_servers)):
        notes.append(f"A list of more than {OLD_LIST} octets: older 4600 sets do not take it.")
    return Offer(tuple(chosen.values()), tuple(dict.fromkeys(notes)))


def fault(value: str) -> str:
    """Why a host cannot stand in an option; empty: it can."""
    if value and address_of(value) == value:
        return ""
    plain = value.replace("-", "").replace(".", "").replace("_", "")
    if not value or not plain.isascii() or not plain.isalnum() or len(value) > 253:
        return f"{value[:60]!r} is no address and no name; write one such as {EXAMPLE}"
    return ""


def _text(code: int, name: str, value: str, who: str) -> Option:
    return Option(code, name, "text", value, who, value.encode("utf-8"))


def _list(values: Sequence[str]) -> str:
    """A list in a site option: with commas it stands in quotes."""
    return values[0] if len(values) == 1 else f'"{",".join(values)}"' if values else ""


def _site_option(site: Site, *parts: tuple[str, str]) -> str:
    first = [("MCIPADD", _list(site.call_servers))] if site.call_servers else []
    last = [("L2QVLAN", str(site.vlan))] if site.vlan else []
    return ",".join(f"{name}={value}" for name, value in (*first, *parts, *last) if value)


def _avaya(site: Site) -> list[Option]:
    servers = _list(site.servers)
    new = [("HTTPSRVR", servers), ("HTTPPORT", str(site.http_port or ""))] if site.http else []
    if site.https:
        new += [("TLSSRVR", servers), ("TLSPORT", str(site.tls_port or ""))]
    old = [("MCPORT", str(CALL_PORT))] if site.call_servers else []
    if site.tftp:
        old.append(("TFTPSRVR", servers))
    else:  # sets from release 2.2 on speak HTTP
        old += new
    found = [
        _text(242, "avaya-242", _site_option(site, *new), "9600, 96x1, 1600, J100 and newer"),
        _text(176, "avaya-176", _site_option(site, *old), "4600"),
    ]
    if site.tftp:
        found.append(_text(66, "tftp-server-name", site.servers[0], "4600 without option 176"))
    found.append(_encapsulated(site))
    return [one for one in found if one.value]


def _encapsulated(site: Site) -> Option:
    """Option 43: each value as text behind its number and length."""
    servers = ",".join(site.servers)
    pairs = [VENDOR]
    if site.http:
        pairs += [(2, servers), (4, str(site.http_port or ""))]
    if site.https:
        pairs += [(5, servers), (7, str(site.tls_port or ""))]
    if site.vlan:
        pairs.append((10, str(site.vlan)))
    data = b"".join(
        bytes((code, len(text))) + text.encode("ascii") for code, text in pairs if 0 < len(text) < 256
    )
    return Option(43, "avaya-43", "bytes", data.hex(":"), "SIP software of the 96x1, K100", data)


def _cisco(site: Site) -> list[Option]:
    if not site.tftp:
        return []
    four = [one for one in site.servers if ":" not in one and address_of(one) == one]
    data = b"".join(ipaddress.IPv4Address(one).packed for one in four)
    found = [Option(150, "cisco-150", "addresses", ",".join(four), "Cisco", data)] if four else []
    return [*found, _text(66, "tftp-server-name", site.servers[0], "Cisco without option 150")]


def _url(site: Site) -> str:
    host = f"[{site.servers[0]}]" if ":" in site.servers[0] else site.servers[0]
    if site.http:
        return f"http://{host}{f':{site.web_port}' if site.web_port else ''}/"
    return f"https://{host}{f':{site.tls_port}' if site.tls_port else ''}/"


def _b179(site: Site) -> list[Option]:
    return [_text(242, "avaya-242", _url(site), "B179")]


def _e129(site: Site) -> list[Option]:
    return [_text(66, "tftp-server-name", _url(site).rstrip("/"), "E129")]


def _any_url(site: Site) -> list[Option]:
    return [_text(66, "tftp-server-name", _url(site), "phones that take a URL")]


_MAKERS = {"avaya": _avaya, "cisco": _cisco, "b179": _b179, "e129": _e129, "url": _any_url}
