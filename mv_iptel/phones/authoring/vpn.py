"""Writes what VPN phones need: `46vpnsetting.txt`, `46xxvpn.scr`, and the branch of GROUP 876."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from mv_iptel.phones.authoring.page import Page
from mv_iptel.phones.authoring.settings import VPN_GROUP, VPN_SETTINGS, telephony
from mv_iptel.phones.authoring.wishes import Item, Wishes, is_vpn
from mv_iptel.phones.parameters import Preset, presets
from mv_iptel.phones.script import parse

VPN_SCRIPT = "46xxvpn.scr"
UPGRADE = "46xxupgrade.scr"


def vpn_families(wishes: Wishes) -> tuple[str, ...]:
    """Which of the wanted families can have this VPN."""
    if not wishes.vpn:
        return ()
    return tuple(family for family in wishes.families if family in presets()[wishes.vpn].families)


def vpn_items(wishes: Wishes) -> list[Item]:
    """The VPN's settings in the order that they must have: the profile writes others, so it comes first."""
    preset = presets()[wishes.vpn]
    families = vpn_families(wishes)
    sets = [("NVVPNMODE", "1"), *_in_order(preset)]
    if wishes.gateways:
        sets.append(("NVSGIP", wishes.gateways))
    given = {name.upper(): value for name, value in wishes.extra if is_vpn(name.upper())}
    sets = [(name, given.pop(name, value)) for name, value in sets]
    sets += given.items()
    if wishes.call_servers and "NVMCIPADD" not in given:
        sets.append(("NVMCIPADD", wishes.call_servers))
    if wishes.server:
        if "4600" in families:
            sets.append(("NVVPNFILESRVR", wishes.server))
        if set(families) - {"4600"}:
            sets.append(("NVHTTPSRVR", wishes.server))
            if wishes.https_ports:
                sets.append(("NVTLSSRVR", wishes.server))
    return [Item("more", name, value, families) for name, value in dict(sets).items()]


def _in_order(preset: Preset) -> list[tuple[str, str]]:
    first = [one for one in preset.sets if one[0] == "NVVPNCFGPROF"]
    return first + [one for one in preset.sets if one[0] != "NVVPNCFGPROF"]


def vpn_settings(wishes: Wishes) -> bytes:
    """`46vpnsetting.txt`."""
    preset = presets()[wishes.vpn]
    page = Page()
    page.say(f"{VPN_SETTINGS}: how phones of group {VPN_GROUP} reach the office: {preset.says}.")
    page.say(
        "NVVPNCFGPROF stands before the rest, because it writes the settings of its profile itself. Keys and "
        "passwords are best keyed on the phone: whoever can fetch this file can read them here."
    )
    page.blank()
    items = vpn_items(wishes)
    for item in items:
        page.set(item.name, item.value)
    if not wishes.gateways:
        page.example("NVSGIP", "192.0.2.1")
    named = {item.name for item in items}
    for name, value in (("NVIKEID", "VPNPHONE"), ("NVVPNUSER", "$MACADDR")):
        if name not in named:
            page.example(name, value)
    return page.data()


def vpn_script(wishes: Wishes, names: Iterable[str] = ()) -> bytes:
    """`46xxvpn.scr`: what the 4600 of this group read instead of the other 4600's settings."""
    page = Page()
    page.say(f"{VPN_SCRIPT}: the 4600 phones of group {VPN_GROUP}; {UPGRADE} leads here.")
    page.say("They read no other settings file, so that their telephone settings stand here too.")
    page.blank()
    # At home nothing is tagged: the VLAN is the office's.
    telephony(page, replace(wishes, vlan=""), "4600", names)
    page.blank()
    page.say("VPN phones may need a program of their own: take the ## away, with its exact name.")
    page.example("APPNAME", "4600vpn_example_2_3_2.bin")
    page.blank()
    page.get(VPN_SETTINGS)
    return page.data()


_FIRST = re.compile(rb"^(?:set|if|goto|get|# )", re.IGNORECASE | re.MULTILINE)


def with_branch(data: bytes) -> bytes:
    """The 4600's upgrade script with a way for group 876; one that knows the group stays as it is."""
    script = parse(UPGRADE, data)
    if any(one.kind == "if" and one.name == "GROUP" and one.value == VPN_GROUP for one in script.statements):
        return data
    used = {one.tag.casefold() for one in script.statements}
    end = b"\r\n" if b"\r\n" in data else b"\n"
    vpn, others, last = (_free(tag, used) for tag in ("VPN876", "OTHERS", "END876"))
    lines = (
        f"## Group {VPN_GROUP}: phones behind a VPN.",
        f"IF $GROUP SEQ {VPN_GROUP} GOTO {vpn}",
        f"GOTO {others}",
        f"# {vpn}",
        f"GET {VPN_SCRIPT}",
        f"GOTO {last}",
        f"# {others}",
    )
    insert = b"".join(line.encode("ascii") + end for line in lines) + end
    match = _FIRST.search(data)
    at = _above(data, match.start()) if match else len(data)
    body = data[:at] + insert + data[at:]
    if not body.endswith(b"\n"):
        body += end
    return body + end + f"# {last}".encode("ascii") + end


def _above(data: bytes, at: int) -> int:
    """Where the comment on the statement at `at` begins; but behind the file's own head."""
    start = at
    while start > 0:
        line = data.rfind(b"\n", 0, start - 1) + 1
        if not data[line:start].strip():
            return start
        start = line
    return at


def _free(tag: str, used: set[str]) -> str:
    while tag.casefold() in used:
        tag += "X"
    return tag
