"""What keeps users' data from being saved here, and secrets that anyone may fetch."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from mv_iptel.phones.lint.clients import sounds_secret
from mv_iptel.phones.lint.findings import Finding, finding
from mv_iptel.phones.lint.folder import Site
from mv_iptel.phones.lint.text import Text
from mv_iptel.phones.parameters import Parameter, known
from mv_iptel.phones.script import Statement

_URI = re.compile(r"(https?)://(?:[^/@]*@)?(\[[^\]]*\]|[^/:]*)(?::([0-9]*))?(/.*)?", re.I)
_PLACEHOLDER = re.compile(r"@[A-Z_]+@")
# Where IP Office keeps its phones' data; it asks nobody over SNMP.
_OFFICE = re.compile(r"/user/backuprestore/?$", re.I)
# Codes of the phones themselves: no other file can carry them, and they open no account.
_CODES = frozenset({"PROCPSWD", "ADMIN_PASSWORD", "VPNCODE", "PHONE_LOCK_PIN"})


def check(texts: Mapping[str, Text], site: Site | None) -> Iterator[Finding]:
    """Every finding about backups and secrets in files that belong together."""
    sets = [(text, each) for text in texts.values() for each in text.script.statements if each.kind == "set"]
    has = {each.name for _, each in sets if each.value}
    lacking = [name for name in ("SNMPADD", "SNMPSTRING") if name not in has]
    if "SNMPSTAT" in has:  # an older guide's name
        lacking = [name for name in lacking if name != "SNMPSTRING"]
    if site:
        # Whom the phones shall answer over SNMP is this server, also behind a translated address.
        asking = {one.strip() for _, each in sets if each.name == "SNMPADD" for one in each.value.split(",")}
        names = {one.casefold() for one in (*site.addresses, *site.names, *asking)} - {""}
        site = replace(site, names=frozenset(names))
    for text, each in sets:
        if each.name == "BRURI" and each.value:
            yield from _uri(text, each, lacking, site)
        elif each.name == "FTPSRVR" and each.value:
            yield from _ftp(text, each, lacking, site)
        if not (site and site.lists):
            yield from _secret(text, each, site)


def _uri(text: Text, each: Statement, lacking: list[str], site: Site | None) -> Iterator[Finding]:
    match = _URI.fullmatch(each.value)
    if match is None or "@" in (match[2] or "") or "$" in each.value or _PLACEHOLDER.search(each.value):
        return
    secure, host, port = match[1].lower() == "https", match[2].strip("[]").casefold(), match[3]
    office = bool(_OFFICE.search(match[4] or "")) or text.generated
    ports = (site.https if secure else site.http) if site else None
    if site and not _is_here(host, site):
        if not _is_address(host) or not site.addresses:
            return
        yield finding(
            text.name,
            each.line,
            "backup-elsewhere",
            f"BRURI sends users' data to {host}, which is no address of this server",
            f"write this server's address: {_example(each, site, secure)}",
            "info" if office else None,
        )
        return
    if site is None and office:
        return
    given = int(port) if port and len(port) < 6 else (443 if secure else 80)
    if site and ports is not None and given not in ports:
        what = f"names port {given}" if port else f"names no port, so phones use {given}"
        yield finding(
            text.name,
            each.line,
            "backup-port",
            f"BRURI {what}, where this server does not listen for {match[1]}",
            f"write {_example(each, site, secure)}" if ports else "write a port where this server listens",
        )
    elif site is None and not port:
        yield finding(
            text.name,
            each.line,
            "backup-port",
            f"BRURI names no port, so phones use {given}; file servers of this kind keep user data on 411 "
            "(https) and 81 (http)",
            f"write {match[1]}://{match[2]}:{411 if secure else 81}/ if it points to one",
            "info",
        )
    if lacking and (site is None or site.snmp):
        yield _snmp(text, each, lacking, "info" if site is None else "warning")


def _ftp(text: Text, each: Statement, lacking: list[str], site: Site | None) -> Iterator[Finding]:
    host = each.value.strip().casefold()
    if site and site.addresses and _is_address(host) and not _is_here(host, site):
        yield finding(
            text.name,
            each.line,
            "backup-elsewhere",
            f"FTPSRVR sends users' data to {host}, which is no address of this server",
            f"write this server's address: SET FTPSRVR {_address(site)}",
        )
    elif lacking and (site is None or site.ftp_snmp):
        yield _snmp(text, each, lacking, "warning")


def _snmp(text: Text, each: Statement, lacking: list[str], severity: str) -> Finding:
    names = " and ".join(lacking)
    return finding(
        text.name,
        each.line,
        "backup-snmp",
        f"{each.name} sends users' data to a server that asks the phone over SNMP who it is, but no file "
        f"sets {names}; then it stores nothing",
        f"set {names} too (this server's address, and the same word as Community in the ini)",
        severity,  # type: ignore[arg-type]
    )


def _secret(text: Text, each: Statement, site: Site | None) -> Iterator[Finding]:
    parameter, value = known(each.name), each.value
    if not value or "$" in value or _PLACEHOLDER.search(value) or each.name in ("SNMPSTRING", "SNMPSTAT"):
        return
    secret = sounds_secret(each.name) if parameter is None else parameter.secret
    login = not secret and isinstance(parameter, Parameter) and parameter.exposes(value)
    if not (secret or login):
        return
    code = each.name in _CODES
    if code and site is None:
        return
    what = "holds a login in its URL" if login else "is a secret"
    yield finding(
        text.name,
        each.line,
        "open-secret",
        f"{each.name} {what}, and anyone who can reach the server may fetch this file",
        "keep the file from others with an address list (HTTP_allow_IP.txt, TFTP_allow_IP.txt), or key the "
        "value in at the phone",
        "warning" if site and not code else "info",
    )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_here(host: str, site: Site) -> bool:
    return host in site.names


def _address(site: Site) -> str:
    usable = [one for one in site.addresses if not one.startswith(("127.", "::1"))]
    return min(usable, key=lambda one: (":" in one, one), default="ADDRESS")


def _example(each: Statement, site: Site, secure: bool) -> str:
    ports = site.https if secure else site.http
    usual = 411 if secure else 81
    port = usual if not ports or usual in ports else min(ports)
    host = _address(site)
    host = f"[{host}]" if ":" in host else host
    return f"SET {each.name} {'https' if secure else 'http'}://{host}:{port}/"
