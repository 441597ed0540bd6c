"""The telephone system's addresses, written into the settings where those have a line for them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from manager.facts.changing import Changes, Refused
from mv_iptel.addresses import address_of
from mv_iptel.certs import is_dns_name
from mv_iptel.config import Config
from mv_iptel.phones.told import SETTINGS_FILE

SYSTEM = {"h323": "MCIPADD", "sip": "SIP_CONTROLLER_LIST"}

_CONTROLLER = re.compile(r"[0-9A-Za-z.\[\]:-]+(;transport=(tls|tcp|udp))?", re.I)
_PORT = re.compile(r"(.*?)(:[0-9]{1,5})?(;.*)?", re.S)


def files_of(config: Config) -> list[tuple[str, str]]:
    """The settings that there are: area and name."""
    data = Changes(config).data
    found = {}
    for label, area in data.areas.items():
        if {"TFTP", "HTTP", "HTTPS"} & set(area.uses):
            try:
                one = data.look(label, SETTINGS_FILE)
            except (OSError, ValueError):
                continue
            found[one.path] = (label, one.name)
    return list(found.values())


def state_of(config: Config) -> str:
    """The ETag of all settings together; empty without any."""
    data = Changes(config).data
    tags = [data.look(area, name).etag for area, name in files_of(config)]
    return hashlib.sha256(" ".join(tags).encode()).hexdigest()[:16] if tags else ""


def fault(key: str, value: str) -> str:
    """What is wrong with an address of a telephone system; empty: nothing."""
    if re.search(r"[^0-9A-Za-z.,:;=\[\]-]", value):  # a blank or a line's end would be another statement
        return "only an address, several with commas and without blanks"
    parts = value.split(",")
    if len(value) > 255 or len(parts) > 8:
        return "at most eight addresses"
    for part in parts:
        if key == "sip" and not _CONTROLLER.fullmatch(part):
            return f"{part[:60]}: write it as 192.0.2.20:5061;transport=tls"
        host = (_PORT.fullmatch(part)[1] if key == "sip" else part).strip("[]")  # type: ignore[index]
        if not address_of(host) and not is_dns_name(host):
            return f"{part[:60] or 'nothing'} is no address and no name; write one such as 192.0.2.10"
    return ""


def write_system(config: Config, wanted: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Put the telephone system where the settings have a line for it, live or as an example behind `##`.

    By file what it was and what it is now. Raises Refused, OSError.
    """
    changes = Changes(config)
    done: dict[str, tuple[str, str]] = {}
    lacking = {key for key, value in wanted.items() if value}
    for area, name in files_of(config):
        found, data = changes.data.read(area, name)
        text = new = data.decode("latin-1")
        for key, value in wanted.items():
            if value:
                line = re.compile(rf"^(?:##[ \t]*)?SET[ \t]+{SYSTEM[key]}[ \t][^\r\n]*", re.I | re.M)
                new, many = line.subn(f"SET {SYSTEM[key]} {value}", new)
                if many:
                    lacking.discard(key)
        if new != text:
            changes.put(area, name, new.encode("latin-1"), found.etag)
            done[f"{area}/{name}"] = text, new
    if lacking and not done:
        names = " and ".join(SYSTEM[key] for key in sorted(lacking))
        raise Refused("conflict", f"the settings have no line for {names}; add one in Files")
    return done
