"""The lines that make a DHCP server tell an offer: ISC dhcpd, Kea, dnsmasq, Windows, RouterOS. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable

from mv_iptel.dhcp.offer import Offer, Option

# Names of options that a server knows by itself.
_STANDARD = {66: "tftp-server-name", 43: "vendor-encapsulated-options"}


def _say(offer: Offer, mark: str) -> list[str]:
    return [f"{mark} {one.code}: {one.who}" for one in offer.options]


def isc(offer: Offer) -> str:
    """For dhcpd.conf: the definitions belong to the top, the values there too or into a subnet."""
    out = _say(offer, "#")
    for one in offer.options:
        if one.code not in _STANDARD:
            kind = "array of ip-address" if one.kind == "addresses" else "string"
            out.append(f"option {one.name} code {one.code} = {kind};")
    for one in offer.options:
        name = _STANDARD.get(one.code, one.name)
        if one.kind == "addresses":
            value = one.value.replace(",", ", ")
        else:
            value = one.value if one.kind == "bytes" else f'"{_escaped(one.value)}"'
        out.append(f"option {name} {value};")
    return _joined(out)


def kea(offer: Offer) -> str:
    """For kea-dhcp4.conf: a whole file with nothing else in it; the two lists go to `Dhcp4` or a subnet."""
    definitions = []
    data = []
    for one in offer.options:
        if one.code not in _STANDARD:
            definition = {"name": one.name, "code": one.code, "space": "dhcp4",
                          "type": "ipv4-address" if one.kind == "addresses" else "string"}  # fmt: skip
            definitions.append({**definition, "array": True} if one.kind == "addresses" else definition)
        if one.kind == "addresses":
            value, text = one.value.replace(",", ", "), True
        else:
            # A text in single quotes, or octets: of anything else Kea takes the commas for ends of fields.
            value, text = f"'{one.value}'" if one.kind == "text" else one.data.hex(), False
        entry = {
            "name": _STANDARD.get(one.code, one.name),
            "code": one.code,
            "csv-format": text,
            "data": value,
        }
        data.append(entry)
    body = json.dumps({"Dhcp4": {"option-def": definitions, "option-data": data}}, indent=2)
    return _joined([*_say(offer, "//"), body])


def dnsmasq(offer: Offer) -> str:
    """For dnsmasq.conf."""
    out = _say(offer, "#")
    for one in offer.options:
        value = f'"{_escaped(one.value)}"' if one.kind == "text" else one.value
        out.append(f"dhcp-option={one.code},{value}")
    return _joined(out)


def windows(offer: Offer) -> str:
    """For PowerShell on the DHCP server, as an administrator; without -ScopeId for all scopes."""
    out = [
        *_say(offer, "#"),
        "# For one scope only: add -ScopeId 192.0.2.0 to each Set-DhcpServerv4OptionValue.",
    ]
    for one in offer.options:
        if one.code not in _STANDARD:
            kind = {"addresses": "IPv4Address -MultiValued", "bytes": "BinaryData"}.get(one.kind, "String")
            out.append(
                f"Add-DhcpServerv4OptionDefinition -OptionId {one.code} -Name '{one.name}' -Type {kind} "
                "-ErrorAction SilentlyContinue"
            )
        out.append(f"Set-DhcpServerv4OptionValue -OptionId {one.code} -Value {_powershell(one)}")
    return _joined(out)


def _powershell(one: Option) -> str:
    if one.kind == "bytes":
        return ",".join(f"0x{octet:02x}" for octet in one.data)
    values = one.value.split(",") if one.kind == "addresses" else [one.value]
    return ",".join("'" + value.replace("'", "''") + "'" for value in values)


def routeros(offer: Offer) -> str:
    """For the RouterOS console; the last line gives them to every network, or name yours in it."""
    out = _say(offer, "#")
    for one in offer.options:
        # Octets in every case: how a text is to be quoted has changed between releases.
        out.append(
            f"/ip dhcp-server option add name={_routeros_name(one)} code={one.code} value=0x{one.data.hex()}"
        )
        if one.kind != "bytes":
            out.append(f"#   {one.value}")
    names = ",".join(_routeros_name(one) for one in offer.options)
    out.append(f"/ip dhcp-server option sets add name=phones options={names}")
    out.append("/ip dhcp-server network set [find] dhcp-option-set=phones")
    return _joined(out)


def _routeros_name(one: Option) -> str:
    return f"phones-{one.code}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _joined(out: list[str]) -> str:
    return "\n".join(out) + "\n"


# Who can be written for: the command's word, what people call it, and the writer.
SERVERS: dict[str, tuple[str, Callable[[Offer], str]]] = {
    "isc": ("ISC dhcpd", isc),
    "kea": ("Kea", kea),
    "dnsmasq": ("dnsmasq", dnsmasq),
    "windows": ("Windows (PowerShell)", windows),
    "routeros": ("RouterOS", routeros),
}
