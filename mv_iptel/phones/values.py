"""Says whether a text is a value that a setting can have, and if not, why, in a sentence.

Where public sources are unsure the answer is too: `Problem.sure` is false then.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

UNITS = {"s": "seconds", "min": "minutes", "h": "hours", "%": "percent"}
SHOWN = 40  # characters of a wrong value that a sentence repeats
DIGITS = 12  # a longer number is too large for anything
LABELLED = 4  # more values than this are listed without their meaning
_LISTS = frozenset({"hosts", "urls", "files", "list", "map", "controllers", "subnets"})
WORDED = frozenset({"text"})  # the only type that may hold blanks
_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(.*)", re.S)
_DAYS, _MONTHS = "Sun|Mon|Tue|Wed|Thu|Fri|Sat", "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
# The day of a month, or L for its last, may stand instead of "second Sunday"; L is local time, U universal.
_DST = re.compile(rf"([1-5L]({_DAYS})|L|0?[1-9]|[12][0-9]|3[01])({_MONTHS})([01]?[0-9]|2[0-3])[LU]", re.I)
# What a URL holds before its server: a password does not belong in a sentence.
_LOGIN = re.compile(r"(://)[^/]*@")
_DIALLED = re.compile(r"[0-9*#+,]*")


class Problem(NamedTuple):
    """Why a value cannot be: `kind` for programs, `text` for administrators.

    kind is empty, number, range, value, length, blank, form or address. Not `sure`: the sources are
    silent or disagree, so a phone may well take it.
    """

    kind: str
    text: str
    sure: bool = True

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Rule:
    """What a setting's value must be; docs/parameters.md describes each field."""

    name: str
    type: str
    values: Mapping[str, str] = field(default_factory=dict)
    ranges: tuple[tuple[int, int], ...] = ()
    length: tuple[int, int] | None = None
    pattern: str = ""
    chars: str = ""
    form: str = ""
    schemes: tuple[str, ...] = ()
    suffix: tuple[str, ...] = ()
    most: int = 0
    unit: str = ""
    port: bool = False
    url: bool = False
    accepts: tuple[str, ...] = ()
    secret: bool = False
    loose: bool = False

    def check(self, value: str) -> Problem | None:
        """What is wrong with a value that stands without its quotes, or None."""
        if value in self.accepts or (value == "" and self.empty):
            return None
        problem = self._problem(value)
        return problem._replace(sure=False) if problem and self.loose else problem

    @property
    def empty(self) -> bool:
        """Whether nothing is a value too: for texts as a rule, for numbers never."""
        if self.type in ("flag", "enum", "dstrule") or self.type in _NUMBERS:
            return False
        return not (self.length and self.length[0]) and (
            not self.pattern or bool(re.fullmatch(self.pattern, ""))
        )

    def describe(self) -> str:
        """What the value is: "a port from 0 to 65535"."""
        words = _DESCRIBED[self.type](self)
        if self.length and self.length != (0, 255) and self.type in (*_LISTS, *_SIZED):
            low, high = self.length
            words += f", {low} to {high} characters" if low else f", at most {high} characters"
        return words

    def says(self, kind: str, trouble: str, sure: bool = True) -> Problem:
        """The whole sentence."""
        return Problem(kind, f"{self.name} is {self.describe()}; {trouble}", sure)

    def shown(self, value: str) -> str:
        """The value as a sentence may repeat it: short, printable, and never a secret."""
        if self.secret:
            return "this value"
        value = _LOGIN.sub(r"\1...@", value)
        text = value if len(value) <= SHOWN else value[: SHOWN - 1] + "…"
        text = "".join(one if one.isprintable() else "?" for one in text)
        return text if text.isascii() and text.isdigit() else f"'{text}'"

    def _problem(self, value: str) -> Problem | None:
        if value == "":
            return self.says("empty", "an empty value is ignored", sure=False)
        if self.type not in WORDED and any(one.isspace() for one in value):
            what = "a list has commas and no blanks" if self.type in _LISTS else "no blank belongs there"
            return self.says("blank", f"{self.shown(value)} has a blank in it, and {what}")
        if self.length and not self.length[0] <= len(value) <= self.length[1]:
            return self.says("length", f"{self.shown(value)} has {len(value)}")
        return _CHECKS[self.type](self, value)


def ranges_of(text: str) -> tuple[tuple[int, int], ...]:
    """`0, 20-999` as pairs."""
    pairs = (part.partition("-") for part in text.replace(" ", "").split(",") if part)
    return tuple((int(low), int(high or low)) for low, _, high in pairs)


def host_problem(text: str) -> str:
    """Why this is neither an IP address nor a name: "is no IPv4 address"; empty if it is one."""
    if re.fullmatch(r"[0-9.]+", text):
        parts = text.split(".")
        good = len(parts) == 4 and all(1 <= len(part) <= 3 and int(part) <= 255 for part in parts)
        return "" if good else "is no IPv4 address"
    if "://" in text:
        return "is a whole URL, but only an address or a name belongs there"
    if text.count(":") > 1 or text[:1] == "[":
        bare = text[1:-1] if text[0] == "[" and text[-1] == "]" else text
        try:
            ipaddress.IPv6Address(bare.partition("%")[0])
        except ValueError:
            return "is no IPv6 address"
        return ""
    return "" if _HOST.fullmatch(text) and len(text) <= 253 else "is neither an address nor a name"


# Sentences.


def _span(rule: Rule) -> str:
    ranges = [str(low) if low == high else f"from {low} to {high}" for low, high in rule.ranges]
    if len(ranges) < 2:
        return "".join(f" {part}" for part in ranges)
    return f": {', '.join(ranges[:-1])}, or {ranges[-1]}"


def _of_number(rule: Rule) -> str:
    if rule.type in ("port", "dscp"):
        return f"a {'port' if rule.type == 'port' else 'DSCP'}{_span(rule)}"
    if rule.unit in ("", "per second"):
        return f"a number{rule.unit and ' ' + rule.unit}{_span(rule)}"
    return f"a number of {UNITS.get(rule.unit, rule.unit)}{_span(rule)}"


def _of_choice(rule: Rule) -> str:
    brief = len(rule.values) > LABELLED
    each = [f"{code} ({words})" if words and not brief else code for code, words in rule.values.items()]
    if len(each) == 2:
        return " or ".join(each)
    return f"one of {', '.join(each)}"


def _of_list(rule: Rule) -> str:
    if rule.values:
        return f"a list of {', '.join(rule.values)}"
    return f"a list of numbers{_span(rule)}" if rule.ranges else "a list"


def _always(words: str) -> Callable[[Rule], str]:
    return lambda rule: rule.form or words


def _of_url(rule: Rule) -> str:
    return f"a URL that begins with {' or '.join(f'{one}://' for one in rule.schemes or ('http', 'https'))}"


def _of_file(rule: Rule) -> str:
    words, end = ("a list of files", "end") if rule.type == "files" else ("a file's name", "ends")
    return words + (f" that {end} in {' or '.join(rule.suffix)}" if rule.suffix else "")


def _of_hosts(rule: Rule) -> str:
    if rule.type == "hosts":
        return "a list of addresses or names"
    return f"an address or a name{', with a port if need be' if rule.port else ''}"


# Checks, one for each type. What comes here is not empty, and has blanks only if it is a text.


def _number(rule: Rule, value: str) -> Problem | None:
    minus = value[:1] == "-" and value[1:].isascii() and value[1:].isdigit()
    if minus and rule.ranges:
        return rule.says("range", f"{rule.shown(value)} is too small")
    if not (value.isascii() and value.isdigit()):
        return rule.says("number", f"{rule.shown(value)} is no whole number")
    return _out_of_range(rule, value)


def _out_of_range(rule: Rule, value: str) -> Problem | None:
    number = int(value) if len(value) <= DIGITS else 10**DIGITS
    if not rule.ranges or any(low <= number <= high for low, high in rule.ranges):
        return None
    if number > max(high for _, high in rule.ranges):
        return rule.says("range", f"{rule.shown(value)} is too large")
    if number < min(low for low, _ in rule.ranges):
        return rule.says("range", f"{rule.shown(value)} is too small")
    return rule.says("range", f"{rule.shown(value)} lies between")


def _choice(rule: Rule, value: str) -> Problem | None:
    if value.casefold() in (code.casefold() for code in rule.values):
        return None
    if (
        value.isascii()
        and value.isdigit()
        and value.lstrip("0") in (code.lstrip("0") for code in rule.values)
    ):
        return None  # 01 is 1 to every parser of numbers
    many = "neither" if len(rule.values) == 2 else "none of them"
    return rule.says("value", f"{rule.shown(value)} is {many}")


def _text(rule: Rule, value: str) -> Problem | None:
    if rule.chars and not re.fullmatch(f"[{rule.chars}]*", value):
        return rule.says("form", f"{rule.shown(value)} holds other characters", sure=False)
    if rule.pattern and not re.fullmatch(rule.pattern, value, re.S):
        return rule.says("form", f"{rule.shown(value)} is not")
    return None


def _digits(rule: Rule, value: str) -> Problem | None:
    return (
        None
        if re.fullmatch(r"[0-9]*", value)
        else rule.says("form", f"{rule.shown(value)} holds something else")
    )


def _dial(rule: Rule, value: str) -> Problem | None:
    if _DIALLED.fullmatch(value):
        return None
    return rule.says("form", f"{rule.shown(value)} holds something else", sure=False)


def _host(rule: Rule, value: str) -> Problem | None:
    host, port = (value, None) if "://" in value else _without_port(value)
    trouble = host_problem(host)
    if not trouble and port is not None and not _is_port(port):
        trouble = "has no port behind its colon"
    if trouble:
        return rule.says("address", f"{rule.shown(value)} {trouble}")
    if port is not None and not rule.port:
        return rule.says("address", f"{rule.shown(value)} names a port too", sure=False)
    return None


def _each(check: Callable[[Rule, str], Problem | None]) -> Callable[[Rule, str], Problem | None]:
    """The check of a list whose items are checked so."""

    def checked(rule: Rule, value: str) -> Problem | None:
        items = value.split(",")
        for item in items:
            problem = check(rule, item) if item else None
            if problem:
                return problem
        if rule.most and len(items) > rule.most:
            return rule.says("length", f"there are {len(items)}")
        if "" in items:
            return rule.says(
                "form", f"{rule.shown(value)} has a comma with nothing behind or before it", sure=False
            )
        return None

    return checked


def _item(rule: Rule, value: str) -> Problem | None:
    if rule.values:
        return _choice(rule, value)
    return _number(rule, value) if rule.ranges else None


def _path(rule: Rule, value: str) -> Problem | None:
    if "://" in value:
        return rule.says("form", f"{rule.shown(value)} is a whole URL", sure=False)
    if "\\" in value:
        return rule.says(
            "form", f"{rule.shown(value)} has a backslash, but folders are parted by /", sure=False
        )
    return None


def _url(rule: Rule, value: str) -> Problem | None:
    parts = _URL.fullmatch(value)
    if parts is None:
        lacks = re.match(r"https?:(?!//)|https?/", value, re.I)  # a host without a scheme may be taken
        return rule.says("form", f"{rule.shown(value)} does not", sure=lacks is not None)
    if parts[1].lower() not in (rule.schemes or ("http", "https")):
        return rule.says("form", f"{rule.shown(value)} does not", sure=bool(rule.schemes))
    host, port = _without_port(parts[2].rpartition("@")[2])
    if port and not _is_port(port):
        return rule.says("address", f"the port in {rule.shown(value)} is none")
    trouble = "" if "$" in host else host_problem(host)
    return rule.says("address", f"what {rule.shown(value)} leads to {trouble}") if trouble else None


def _file(rule: Rule, value: str) -> Problem | None:
    if rule.url and "://" in value:
        return _url(rule, value)
    if any(one in '\\*?<>|":' for one in value):
        return rule.says("form", f"{rule.shown(value)} has characters that do not belong in one", sure=False)
    if rule.suffix and not value.lower().endswith(rule.suffix):
        return rule.says("form", f"{rule.shown(value)} does not", sure=False)
    return None


def _pair(rule: Rule, value: str) -> Problem | None:
    name, equals, address = value.partition("=")
    if not equals:
        return rule.says("form", f"{rule.shown(value)} has no =")
    for part in (name, address):
        trouble = host_problem(part)
        if trouble:
            return rule.says("address", f"{rule.shown(part)} {trouble}")
    return None


def _controller(rule: Rule, value: str) -> Problem | None:
    host, semicolon, rest = value.partition(";")
    key, _, transport = rest.partition("=")
    if semicolon and (key.lower() != "transport" or transport.lower() not in ("tls", "tcp", "udp", "auto")):
        return rule.says(
            "form", f"behind the ; stands transport=tls, tcp, udp or auto, not {rule.shown(rest)}"
        )
    return _host(rule, host)


def _subnet(rule: Rule, value: str) -> Problem | None:
    address, slash, bits = value.partition("/")
    if not slash or host_problem(address) or not re.fullmatch(r"[0-9.]+", address):
        return rule.says("address", f"{rule.shown(value)} is none")
    if not (bits.isascii() and bits.isdigit() and len(bits) < 3 and int(bits) <= 32):
        return rule.says("address", f"behind the / of {rule.shown(value)} stands a number from 0 to 32")
    return None


def _dst_rule(rule: Rule, value: str) -> Problem | None:
    return None if _DST.fullmatch(value) else rule.says("form", f"{rule.shown(value)} is not")


def _without_port(text: str) -> tuple[str, str | None]:
    """`host:514` as its parts; an IPv6 address has a port only behind its brackets."""
    host, colon, port = text.rpartition(":")
    if not colon or "]" in port or (":" in host and not host.endswith("]")):
        return text, None
    return host, port


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535


_NUMBERS = frozenset({"integer", "duration", "port", "dscp"})
_SIZED = frozenset({"text", "digits", "dial", "path", "file", "url", "host"})
# Type -> its check, and the words for it.
TYPES: dict[str, tuple[Callable[[Rule, str], Problem | None], Callable[[Rule], str]]] = {
    "flag": (_choice, _of_choice),
    "enum": (_choice, _of_choice),
    "integer": (_number, _of_number),
    "duration": (_number, _of_number),
    "port": (_number, _of_number),
    "dscp": (_number, _of_number),
    "text": (_text, _always("a text")),
    "digits": (_digits, _always("a row of digits")),
    "dial": (_dial, _always("a row of digits, * and #")),
    "path": (_path, _always("a folder's path")),
    "host": (_host, _of_hosts),
    "hosts": (_each(_host), _of_hosts),
    "url": (_url, _of_url),
    "urls": (_each(_url), _always("a list of URLs that begin with http:// or https://")),
    "file": (_file, _of_file),
    "files": (_each(_file), _of_file),
    "list": (_each(_item), _of_list),
    "map": (_each(_pair), _always("a list of name=address")),
    "controllers": (_each(_controller), _always("a list of address:port;transport=...")),
    "subnets": (_each(_subnet), lambda rule: f"a list of at most {rule.most} networks such as 192.0.2.0/24"),
    "dstrule": (_dst_rule, _always("a day and hour such as 2SunMar2L")),
}
_CHECKS = {name: check for name, (check, _) in TYPES.items()}
_DESCRIBED = {name: words for name, (_, words) in TYPES.items()}
