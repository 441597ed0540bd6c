"""Addresses and MACs as people and programs write them, brought to the one form that is kept."""

from __future__ import annotations

import ipaddress
import re

_MAC = re.compile(r"[0-9a-f]{12}")


def address_of(text: str) -> str:
    """An address as it is kept: no zone, IPv4-mapped as IPv4. Empty if the text is none."""
    try:
        address = ipaddress.ip_address(text.strip().partition("%")[0])
    except ValueError:
        return ""
    return str(getattr(address, "ipv4_mapped", None) or address)


def host_of(address: str) -> str:
    """Who stands for an address: with IPv6 a host may take any address of its network."""
    return str(ipaddress.ip_network(f"{address}/64", strict=False)) if ":" in address else address


def mac_of(text: str) -> str:
    """The twelve digits of a MAC, in lower case; with `:`, `-`, `.`, `_`, blanks or nothing between them.

    Empty if the text is none.
    """
    digits = re.sub(r"[-:. _]", "", text.lower())
    return digits if _MAC.fullmatch(digits) else ""
