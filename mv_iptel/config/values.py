"""What a value of an ini key may look like: one `Kind` each, text to typed value.

Every parser raises `ValueError("what is wrong; what to write instead")`.
"""

from __future__ import annotations

import ipaddress
import ntpath
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from mv_iptel.home import Home

# Where the reference product's trees start; what stands beneath them is laid out as a home is.
REFERENCE_TREES = ("/opt/ecs/mvuser", r"c:\program files\avaya")
SECRET_MAX_BYTES = 4096

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Policy(NamedTuple):
    """One `NET=policy` of `BackupPerNet`."""

    network: Network
    policy: str


@dataclass
class Context:
    """What a parser may look at besides the text; `notes` collects what is worth saying but no error."""

    home: Home
    notes: list[str]


@dataclass(frozen=True)
class Kind:
    """A form of value: how it is described in the documentation, and its parser.

    `blanks` is true where blanks at the ends matter; everywhere else they are removed first.
    """

    values: str
    parse: Callable[[str, Context], Any]
    blanks: bool = False


def _whole(text: str, lowest: int, highest: int, what: str, mend: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise ValueError(f"{_quoted(text)} is not {what}; write {mend}{_inline(text)}")
    number = int(text)
    if not lowest <= number <= highest:
        raise ValueError(f"{number} is out of range; write {mend}")
    return number


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _inline(text: str) -> str:
    return " (a comment needs a line of its own)" if re.search(r"\s[#;]", text) else ""


def _flag(text: str, _context: Context) -> bool:
    if text in ("0", "1"):
        return text == "1"
    word = re.split(r"[\s#;]", text.lower(), maxsplit=1)[0]
    meant = {"yes": "1", "true": "1", "on": "1", "no": "0", "false": "0", "off": "0"}.get(word, "0 or 1")
    raise ValueError(f"{_quoted(text)} is neither 0 nor 1; write {meant}{_inline(text)}")


FLAG = Kind("0, 1", _flag)


def number(lowest: int, highest: int) -> Kind:
    """A whole number."""
    mend = f"a number from {lowest} to {highest}"
    return Kind(f"{lowest} to {highest}", lambda text, _: _whole(text, lowest, highest, "a number", mend))


def _decimal(text: str, _context: Context) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{0,9})?", text):
        raise ValueError(f"{_quoted(text)} is not a number; write days such as 7.0{_inline(text)}")
    return float(text)


DECIMAL = Kind("a number such as 7.0", _decimal)

_UNITS = {"": 1, "ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def _seconds(text: str) -> float | None:
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*(ms|s|m|min|h|d|)", text.lower())
    return float(match[1]) * _UNITS[match[2]] if match else None


def duration(lowest: float, highest: float) -> Kind:
    """Seconds, or a number with ms, s, m, h or d. Gives seconds."""
    span = f"{lowest:g} to {highest:g} seconds"

    def parse(text: str, _context: Context) -> float:
        seconds = _seconds(text)
        if seconds is None:
            raise ValueError(f"{_quoted(text)} is not a time; write seconds, or 30s, 5m, 2h{_inline(text)}")
        if not lowest <= seconds <= highest:
            raise ValueError(f"{text} is out of range; write {span}")
        return seconds

    return Kind(f"{span}; or `30s`, `5m`, `2h`", parse)


# The reference product counts the period in codes; a month is taken as thirty days.
_PERIODS = {"1": 60.0, "2": 3600.0, "3": 86400.0, "4": 30 * 86400.0}


def _period(text: str, _context: Context) -> float:
    if text in _PERIODS:
        return _PERIODS[text]
    seconds = None if text.isdigit() else _seconds(text)
    if seconds is None or not 1 <= seconds <= 366 * 86400:
        raise ValueError(
            f"{_quoted(text)} is not a period; write 1 (minute), 2 (hour), 3 (day), 4 (month), "
            f"or a time with its unit such as 30s or 5m{_inline(text)}"
        )
    return seconds


PERIOD = Kind("1 minute, 2 hour, 3 day, 4 month; or `30s`, `5m`", _period)

_SIZES = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}


def _size(text: str, _context: Context) -> int:
    match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,3})?)\s*([kmgt]?)(?:i?b)?", text.lower())
    if not match or ("." in match[1] and not match[2]):
        raise ValueError(
            f"{_quoted(text)} is not a size; write bytes, or 512 KiB, 20 MiB, 10 GiB{_inline(text)}"
        )
    return int(float(match[1]) * (1 << _SIZES[match[2]]))


SIZE = Kind("bytes; or `512 KiB`, `20 MiB`, `10 GiB`", _size)


def _port(text: str, _context: Context | None = None) -> int:
    return _whole(text, 0, 65535, "a port", "a port from 1 to 65535, or 0 for any free one")


PORT = Kind("0 to 65535; 0 takes any free port", _port)


def _ports(text: str, _context: Context) -> tuple[int, ...]:
    parts = [part for part in re.split(r"[,\s]+", text) if part]
    return tuple(dict.fromkeys(_port(part) for part in parts))


PORTS = Kind("ports with commas; empty for none", _ports)


def _port_range(text: str, _context: Context) -> tuple[int, int] | None:
    if text.lower() in ("", "any"):
        return None
    match = re.fullmatch(r"([0-9]{1,5})\s*-\s*([0-9]{1,5})", text)
    low, high = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= low <= high <= 65535:
        raise ValueError(f"{_quoted(text)} is not a range of ports; write `any` or for example 50000-50999")
    return low, high


PORT_RANGE = Kind("`any`, or `FIRST-LAST`", _port_range)


def _address(text: str, _context: Context | None = None) -> str:
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        raise ValueError(
            f"{_quoted(text)} is not an address; write one such as 192.168.0.5 or ::1{_inline(text)}"
        ) from None


ADDRESS = Kind("an IPv4 or IPv6 address", _address)


def _addresses(text: str, _context: Context) -> tuple[str, ...]:
    if text.lower() in ("", "all"):
        return ()
    parts = [part for part in re.split(r"[,\s]+", text) if part]
    return tuple(dict.fromkeys(_address(part) for part in parts))


ADDRESSES = Kind("`all`, or addresses with commas", _addresses)


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"{_quoted(text)} is neither an address nor a network; write for example 192.168.0.0/24"
        ) from None


def _networks(text: str, _context: Context) -> tuple[Network, ...]:
    if text.lower() in ("", "all"):
        return ()
    return tuple(_network(part) for part in re.split(r"[,\s]+", text) if part)


NETWORKS = Kind("`all`, or addresses and networks with commas", _networks)

POLICIES = ("snmp", "pin", "basic", "none")


def _policies(text: str, _context: Context) -> tuple[Policy, ...]:
    found = []
    for part in re.split(r"[,\s]+", text):
        if not part:
            continue
        net, sign, policy = part.partition("=")
        if not sign or policy.lower() not in POLICIES:
            raise ValueError(
                f"{_quoted(part)} is not NET=policy; write for example 10.8.0.0/16=pin "
                f"(policies: {', '.join(POLICIES)})"
            )
        found.append(Policy(_network(net), policy.lower()))
    return tuple(found)


PER_NET = Kind("`NET=policy` with commas; policies as in `BackupAuth`", _policies)


def choice(*words: str) -> Kind:
    """One of a few words, in any case."""
    mend = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"

    def parse(text: str, _context: Context) -> str:
        if text.lower() not in words:
            raise ValueError(f"{_quoted(text)} is unknown here; write {mend}{_inline(text)}")
        return text.lower()

    return Kind(", ".join(words), parse)


TEXT = Kind("text", lambda text, _: text)
BLANKS = Kind("text; blanks at its ends matter", lambda text, _: text, blanks=True)


def _names(text: str, _context: Context) -> tuple[str, ...]:
    return tuple(part for part in re.split(r"[,\s]+", text) if part)


NAMES = Kind("names with commas", _names)


def _host(text: str, _context: Context) -> str:
    if text:
        try:
            return _address(text)
        except ValueError:
            if not re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})", text):
                raise ValueError(f"{_quoted(text)} is neither a host name nor an address") from None
    return text


HOST = Kind("a host name or an address", _host)


def _host_port(text: str, context: Context) -> str:
    host, colon, port = text.rpartition(":")
    if colon and text.count(":") == 1:
        return f"{_host(host, context)}:{_port(port)}"
    return _host(text, context)


HOST_PORT = Kind("a host name or an address, with `:PORT` if need be", _host_port)


def _quiet(text: str, _context: Context) -> str:
    parts = [part for part in re.split(r"[,\s]+", text) if part]
    clock = r"([01]?[0-9]|2[0-3]):[0-5][0-9]"
    for part in parts:
        if not re.fullmatch(f"{clock}-{clock}", part):
            raise ValueError(f"{_quoted(part)} is not a span of hours; write for example 08:00-18:00")
    return ",".join(parts)


QUIET = Kind("spans such as `08:00-18:00` with commas", _quiet)


def _url(text: str, _context: Context) -> str:
    if text:
        parts = urlsplit(text)  # raises ValueError itself for a torn IPv6 address
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{_quoted(text)} is not a URL; write for example https://server:6090/")
    return text


URL = Kind("an http or https URL", _url)


def _oid(text: str, _context: Context) -> str:
    if not re.fullmatch(r"\.?[0-2](\.[0-9]{1,10}){1,127}", text):
        raise ValueError(f"{_quoted(text)} is not an object identifier; write for example .1.3.6.1.2.1.1.1.0")
    return text


OID = Kind("an object identifier", _oid)


def _secret(text: str, context: Context) -> str:
    if not text.startswith("@"):
        return text
    if text.startswith("@@"):  # a secret that begins with the sign itself
        return text[1:]
    path = context.home.root / text[1:]
    try:
        with open(path, "rb") as file:
            data = file.read(SECRET_MAX_BYTES)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ValueError(
            f"the file {path} cannot be read ({why}); put the secret there, or @@ for a plain @"
        ) from None
    lines = data.decode("utf-8-sig", "replace").splitlines()
    return lines[0].strip() if lines else ""


SECRET = Kind("text, or `@FILE`", _secret)


def _beneath_reference(text: str) -> tuple[str, ...] | None:
    """The components beneath a reference tree, or None for any other path."""
    plain = text.replace("\\", "/")
    for tree in REFERENCE_TREES:
        stem = tree.replace("\\", "/") + "/"
        if plain.lower().startswith(stem):
            return tuple(part for part in plain[len(stem) :].split("/") if part)
    return None


def _path(text: str, context: Context, is_file: bool) -> Path:
    if not text:
        raise ValueError("is empty; write a path, or remove the line for the home's own")
    if text[0] in "\"'":
        raise ValueError(f"{_quoted(text)} stands in quotes; write the path without them")
    beneath = _beneath_reference(text)
    if beneath is not None and ".." not in beneath:
        directory = os.path.dirname(text) if is_file else text
        own = context.home.root.joinpath(*beneath)
        windows = bool(ntpath.splitdrive(text)[0]) and sys.platform != "win32"
        if (windows or not os.path.isdir(directory)) and os.path.abspath(text) != str(own):
            context.notes.append(f"{text} is not on this machine, {own} is used; write that path")
            return own
    if ntpath.splitdrive(text)[0] and sys.platform != "win32":
        raise ValueError(
            f"{_quoted(text)} is a Windows path and this is not Windows; write a path of this machine"
        )
    return context.home.root / text  # an absolute path wins over the home


DIRECTORY = Kind("a directory; relative to HOME", lambda text, context: _path(text, context, False))
FILE = Kind("a file; relative to HOME", lambda text, context: _path(text, context, True))


def _optional(kind: Kind) -> Kind:
    return Kind(
        f"{kind.values}; empty for none", lambda text, context: kind.parse(text, context) if text else None
    )


FILE_OR_NONE = _optional(FILE)
