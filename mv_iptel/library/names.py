"""Names: from what a phone sent to a clean path below a root, or a refusal that says what was wrong."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import NamedTuple

from mv_iptel.userdata.names import Kept, parse

MAX_NAME = 1024  # octets; the longest name that any known phone sends is below 300

_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")
# Only these octets may come with the path; everything else goes through the long way.
_PLAIN = re.compile(rb"/?[A-Za-z0-9_][A-Za-z0-9_.+~-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.+~-]*)*\Z")

ALIASES = {"46upgrade.scr": "46xxupgrade.scr"}  # the VPN guide writes it so

# A download of one of these that a list refuses is answered with an fxd_ file (DESIGN section 5).
_UPGRADE = re.compile(
    r"(?:46xx|46vpn|96xx|96x1[HS]|16xx|1600|J100[HS]|B189H|K1xxS)upgrade\.(?:scr|txt)\Z", re.IGNORECASE
)
_SETTINGS = re.compile(r"(?:46xxsettings\.(?:scr|txt)|46xxspecials\.txt|46vpnsetting\.txt)\Z", re.IGNORECASE)

# A MAC stands at the beginning of a part, alone or behind a maker's prefix (reference: phones 1.1, 10, 12).
# Twelve hex digits anywhere else are a hash or a date, and must not cost a phone its firmware.
_MAC = re.compile(
    r"(?:^|/)(?:(?:CTL|ITL)?SEP|SIP|sip_|cfg|Config|ATA|spa|snom\w{1,8}-|avaya\w{0,8}-|sipconfig-|config\."
    r"|ipst_config_)?([0-9A-Fa-f]{2}(?:[:_-]?[0-9A-Fa-f]{2}){5})(?=[./-]|$)"
)

_NEVER = (".ini", ".key", ".p12", ".tmp", ".part")


def clean(raw: bytes) -> tuple[str, str]:
    """The clean name and an empty string, or an empty name and what is wrong with `raw`.

    Leading slashes go, backslashes become slashes, percent forms are decoded once, empty and `.`
    components vanish. Octets that are not UTF-8 survive as the file system's own form.
    """
    if len(raw) > MAX_NAME:
        return "", f"the name has {len(raw)} octets, more than {MAX_NAME}"
    if len(raw) <= 255 and _PLAIN.match(raw):
        return ALIASES.get(name := raw.lstrip(b"/").decode("ascii"), name), ""
    if b"%" in raw:
        raw = _PERCENT.sub(lambda form: bytes((int(form[1], 16),)), raw)
    for octet in raw:
        if octet < 0x20 or octet == 0x7F:
            return "", f"the name holds the control character 0x{octet:02x}"
    parts = [part for part in raw.replace(b"\\", b"/").split(b"/") if part not in (b"", b".")]
    if not parts:
        return "", "the name is empty"
    if b".." in parts:
        return "", "the name climbs with '..'"
    if len(parts[0]) >= 2 and parts[0][1:2] == b":" and parts[0][:1].isalpha():
        return "", "the name begins with a drive letter"
    if max(map(len, parts)) > 255:
        return "", "a part of the name is longer than 255 octets"
    name = os.fsdecode(b"/".join(parts))
    return ALIASES.get(name, name), ""


def printable(raw: bytes) -> str:
    """A harmless, short form of any octets, for the operator's eyes."""
    text = raw[:200].decode("utf-8", "backslashreplace")
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return text + ("…" if len(raw) > 200 else "")


def forbidden(name: str) -> str:
    """Why this clean name is never served, or an empty string.

    Dot files, address lists, the archive, temporary names, configuration and keys (DESIGN section 3).
    """
    for part in name.split("/"):
        if part[0] == ".":
            return "dot files are never served"
        if part[-1] == "~":
            return "temporary names are never served"
    lower = name.lower()
    if lower.endswith("allow_ip.txt"):
        return "address lists are never served"
    if lower.startswith("archive/") or "/archive/" in lower:
        return "the archive is never served"
    if lower.endswith(_NEVER):
        return "configuration, keys and temporary files are never served"
    return ""


def override(name: str) -> tuple[str, ...]:
    """The `fxd_` names to look for when a list refuses this name; none for other files."""
    last = name.rpartition("/")[2]  # an fxd_ file lies in the root, whatever prefix the phone has
    if _UPGRADE.match(last):
        return (f"fxd_{last}", "fxd_upgrade.scr")
    if _SETTINGS.match(last):
        return (f"fxd_{last}", "fxd_settings.txt")
    return ()


def mac_in(name: str) -> str:
    """The MAC address that a name carries (twelve lower-case hex digits), or an empty string."""
    if len(name) < 12:
        return ""
    match = _MAC.search(name)
    if match is None:
        return ""
    mac = re.sub("[:_-]", "", match[1]).lower()
    return mac if mac.strip("0") else ""  # 000000000000.cfg is the common file of two makers


class Name(NamedTuple):
    """All that can be said of a name without looking at the disk."""

    name: str  # clean; empty if `wrong`
    wrong: str  # why it is no name at all
    never: str  # why it is never served
    mac: str
    kept: Kept | None  # what it says as a name of user data


def understand(raw: bytes) -> Name:
    """Everything about a name as it came from the wire. Phones of one kind all ask the same names."""
    return _understood(raw) if len(raw) <= 128 else _understood.__wrapped__(raw)


@lru_cache(maxsize=2048)
def _understood(raw: bytes) -> Name:
    name, wrong = clean(raw)
    if wrong:
        return Name("", wrong, "", "", None)
    return Name(name, "", forbidden(name), mac_in(name), parse(name))
