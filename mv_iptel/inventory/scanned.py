"""What phones answered to a scan, as the inventory takes it in: checked, for another process sent it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from mv_iptel.addresses import address_of, mac_of

MOST = 100  # phones that one call brings: they fit into the 64 KiB that a call's body may have
# Besides who the phone is and what it runs: told in its identity, by the name of the field.
MORE = ("group", "serial", "boot")
_FORMS = {
    "ext": r"[0-9]{1,20}",
    "model": r"[A-Za-z0-9][A-Za-z0-9 ._+()-]{0,39}",
    "version": r"[A-Za-z0-9][A-Za-z0-9 ._+()-]{0,79}",
    "group": r"[0-9]{1,3}",
    "serial": r"[A-Za-z0-9][A-Za-z0-9-]{0,39}",
    "boot": r"[A-Za-z0-9][A-Za-z0-9 ._+()-]{0,79}",
}


@dataclass(frozen=True, slots=True)
class Scanned:
    """One phone that answered; empty is what it did not tell. It is taken in as a request would be."""

    time: float
    peer: str
    mac: str = ""
    ext: str = ""
    model: str = ""
    version: str = ""
    group: str = ""
    serial: str = ""
    boot: str = ""
    found: bool = False  # the MAC is what is known of its address, not what it said

    outcome: ClassVar[str] = "ok"
    identified: ClassVar[str] = "snmp"
    agent: ClassVar[str] = ""

    def as_dict(self) -> dict[str, Any]:
        """For the call to the server; what is empty is left out."""
        told = {field: getattr(self, field) for field in ("mac", *_FORMS) if getattr(self, field)}
        return {"address": self.peer, "time": self.time, **told}


def parsed(told: object, now: float) -> list[Scanned] | str:
    """The phones of a call's body, or what is wrong with it."""
    phones = told.get("phones") if isinstance(told, dict) else None
    if not isinstance(phones, list):
        return 'write {"phones": [...]}'
    if len(phones) > MOST:
        return f"at most {MOST} phones in a call"
    found = []
    for place, one in enumerate(phones, 1):
        phone = _phone(one, now)
        if isinstance(phone, str):
            return f"phone {place}: {phone}"
        found.append(phone)
    return found


def _phone(told: object, now: float) -> Scanned | str:
    if not isinstance(told, dict):
        return "an object with an address"
    values: dict[str, str] = {}
    when, address = told.get("time", now), told.get("address")
    if isinstance(when, bool) or not isinstance(when, int | float) or not now - 86_400 <= when <= now + 60:
        return "time: seconds since the epoch, of the last day"
    if not isinstance(address, str) or not (peer := address_of(address)):
        return "address: an IPv4 or IPv6 address"
    for field, value in told.items():
        if field in ("address", "time"):
            continue
        if field != "mac" and field not in _FORMS:
            return "a field that there is not"
        if not isinstance(value, str):
            return f"{field}: a text"
        if field == "mac":
            if value and not mac_of(value):
                return "mac: twelve hex digits"
            values[field] = mac_of(value)
        elif value and not re.fullmatch(_FORMS[field], value):
            return f"{field}: it has not the form of one"
        else:
            values[field] = value
    return Scanned(float(min(when, now)), peer, **values)


def owner(ask: Callable[..., Any], phone: Scanned, within: float) -> str:
    """The MAC of the phone that answered without telling it, or nothing: then its address stands for it.

    It is the one phone that was at this address, and nowhere since; unless it is another model, or another
    serial number. `ask` runs a statement; two phones at the address `within` seconds leave it open.
    """
    rows = ask(
        "SELECT phones.id, phones.mac, phones.model, phones.address, addresses.last_seen FROM addresses "
        "JOIN phones ON phones.id = addresses.phone WHERE addresses.address = ? AND phones.mac != '' "
        "ORDER BY addresses.last_seen DESC LIMIT 2",
        phone.peer,
    ).fetchall()
    if not rows or rows[0]["address"] != phone.peer:
        return ""
    if len(rows) > 1 and rows[1]["last_seen"] > phone.time - within:
        return ""
    models = {_short(one) for one in (rows[0]["model"], phone.model) if one}
    if len(models) > 1:
        return ""
    if phone.serial:
        serial = "SELECT value FROM said WHERE phone = ? AND field = 'serial' ORDER BY last_seen DESC LIMIT 1"
        said = ask(serial, rows[0]["id"]).fetchone()
        if said is not None and said["value"] != phone.serial:
            return ""
    return str(rows[0]["mac"])


def _short(model: str) -> str:
    """A 9620D01A is a 9620."""
    return re.sub(r"D\d\d[A-Z]?$", "", model.strip(), flags=re.IGNORECASE).casefold()
