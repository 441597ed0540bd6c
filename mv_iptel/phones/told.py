"""What the settings tell phones of this site: each live line that sets a name, and the hosts it names."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

from mv_iptel.addresses import address_of
from mv_iptel.phones.served import Served

SETTINGS_FILE = "46xxsettings.txt"
OURS = ("SNMPADD", "FTPSRVR", "BRURI")  # settings that name this server
PLACES = {"tftp": "TFTPdata", "http": "HTTPdata", "https": "HTTPSdata"}


class Told(NamedTuple):
    """A setting in a file that phones read."""

    protocol: str
    file: str
    line: int
    name: str
    value: str

    @property
    def place(self) -> str:
        return f"{PLACES[self.protocol]}/{self.file}:{self.line}"


def settings_of(files: Served, names: Iterable[str]) -> list[Told]:
    """Each live line in the settings that sets one of these, a file that two protocols serve once."""
    wanted = {name.casefold() for name in names}
    found: dict[tuple[object, int], Told] = {}
    for protocol in PLACES:
        script = files.script(protocol, SETTINGS_FILE)
        for one in script.statements if script else ():
            if one.kind == "set" and one.name.casefold() in wanted:
                told = Told(protocol, script.name, one.line, one.name.upper(), one.value.strip('"'))  # type: ignore[union-attr]
                found.setdefault((id(script), one.line), told)
    return list(found.values())


def hosts(told: Iterable[Told]) -> list[tuple[str, Told]]:
    """Each host that these lines name, with its line; of a URL its host."""
    found = []
    for one in told:
        for value in one.value.split(","):
            host = _host(value) if "//" in value else value.strip("[] ")
            if host:
                found.append((host, one))
    return found


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # a torn IPv6 address
        return ""


def is_loop(host: str) -> bool:
    """Whether only this host itself is meant."""
    found = address_of(host)
    return host.casefold() == "localhost" or (bool(found) and ipaddress.ip_address(found).is_loopback)
