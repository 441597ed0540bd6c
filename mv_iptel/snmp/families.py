"""Which objects of a phone's agent hold its extension and type, and what its answer is worth.

Nothing that an agent said leaves this module unless it has the form of an extension or of a type: an
extension becomes part of a file's name, a type part of events and tables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mv_iptel.config import Config

SYS_OBJECT = "1.3.6.1.2.1.1.2.0"
_ENTERPRISE = "1.3.6.1.4.1.6889"
_IDENTITY = re.compile(re.escape(_ENTERPRISE) + r"\.1\.69\.([0-9]{1,4})(?![0-9])")
_EXTENSION = re.compile(rb"[0-9]{1,20}\Z")
_TYPE = re.compile(rb"[A-Za-z0-9][A-Za-z0-9 ._+()-]{0,39}\Z")
_AROUND = b" \t\r\n\0\"'"  # some agents pad their strings, some quote them
_EXCERPT = 32  # octets of a bad answer that an event tells


class Strange(NamedTuple):
    """A value that is neither text nor an object identifier, by the name of its type."""

    kind: str
    number: int | None = None  # of an integer


# What an agent has for an object: octets, an object identifier with dots, nothing, or something else.
Value = bytes | str | Strange | None


class Terms(NamedTuple):
    """How phones are asked."""

    community: str
    version: str = "2c"  # or 1
    port: int = 161
    timeout: float = 1.0  # seconds between attempts
    retries: int = 2
    limit: float = 5.0  # seconds for everything together
    ext_object: str = ""  # instead of a 4600's own ones
    type_object: str = ""

    @classmethod
    def of(cls, config: Config) -> Terms:
        """The terms that the configuration sets."""
        said = config.snmp
        return cls(
            community=said.community,
            version=said.snmp_version,
            port=said.snmp_port,
            timeout=said.snmp_timeout,
            retries=said.snmp_retries,
            limit=config.ftp.ftp_time_out,
            ext_object=said.ext_object,
            type_object=said.type_object,
        )

    def __repr__(self) -> str:
        return f"Terms(..., version={self.version!r}, port={self.port!r}, limit={self.limit!r})"


class Shown(NamedTuple):
    """What a phone said of itself, in a form that may go anywhere."""

    ext: str  # empty only with `guessed`
    model: str  # empty only with `guessed`
    family: str
    guessed: bool = False  # no source confirms this family's extension object, and it has none there


class Silence(NamedTuple):
    """Why there is no proper answer, and what came instead: short, printable, without a secret."""

    text: str
    means: str = ""  # what is likely wrong at the phone, for the administrator


# What a kind of silence means.
UNASKED = (
    "A phone answers only if its settings have SET SNMPADD (this server's address) and SET SNMPSTRING "
    "(the Community of [SNMP])"
)
NO_AGENT = "It is no phone's agent, or one with another SNMPVersion or Community"
_LOGGED_OUT = "Then there is nobody whose data it could be; it is kept after the next login"
_NO_PHONE = "No phone says that: look at what has this address, and at ExtObject and TypeObject of [SNMP]"


def _other_object(key: str) -> str:
    return f"It is a phone that keeps no data here, or {key} of [SNMP] does not fit it"


class Family(NamedTuple):
    """Phones whose agent has the same objects. `number` stands behind 1.69 in their sysObjectID."""

    name: str
    number: int
    ext_object: str
    type_object: str
    guessed: bool = False


def _leaf(number: int, rest: str) -> str:
    return f"{_ENTERPRISE}.2.69.{number}.{rest}.0"


# Families that keep their data with a file server (reference: phones 5). SIP sets of the 9600 and J100
# do not. Of the 96x1 and J100 no source names the extension; the place is where their forerunners have it.
# The module of a B189 is not known: it is asked by the same question, and counts as whose objects it has.
FAMILIES = (
    Family("4600", 1, _leaf(1, "4.9"), _leaf(1, "1.2")),
    Family("96x0", 2, _leaf(2, "6.3"), _leaf(2, "1.43")),
    Family("16xx", 3, _leaf(3, "6.3"), _leaf(3, "1.43")),
    Family("96x1", 5, _leaf(5, "6.3"), _leaf(5, "1.43"), guessed=True),
    Family("J100", 6, _leaf(6, "6.3"), _leaf(6, "1.52"), guessed=True),
)


def families(terms: Terms) -> tuple[Family, ...]:
    """The families, the first with the objects that the administrator named for it."""
    first, *others = FAMILIES
    replaced = first._replace(
        ext_object=terms.ext_object.lstrip(".") or first.ext_object,
        type_object=terms.type_object.lstrip(".") or first.type_object,
    )
    return (replaced, *others)


def objects(terms: Terms) -> tuple[str, ...]:
    """What one question asks of a phone of any family."""
    wanted = [SYS_OBJECT]
    for family in families(terms):
        wanted += (family.ext_object, family.type_object)
    return tuple(dict.fromkeys(wanted))


def family_of(values: Mapping[str, Value], terms: Terms) -> Family:
    """Whose objects count: by sysObjectID, else the first family whose extension is there, else the 4600."""
    known = families(terms)
    said = values.get(SYS_OBJECT)
    match = _IDENTITY.match(said) if isinstance(said, str) else None
    if match:
        for family in known:
            if family.number == int(match[1]):
                return family
    for family in known:
        if values.get(family.ext_object) is not None:
            return family
    return known[0]


def judge(values: Mapping[str, Value], terms: Terms) -> Shown | Silence:
    """What the answered objects show."""
    family = family_of(values, terms)
    ext, model = values.get(family.ext_object), values.get(family.type_object)
    if ext is None and not family.guessed:
        return Silence(
            f"it answered, and has no extension object ({family.ext_object})", _other_object("ExtObject")
        )
    if model is None and not family.guessed:
        return Silence(
            f"it answered, and has no type object ({family.type_object})", _other_object("TypeObject")
        )
    for value, what, key in ((ext, "extension", "ExtObject"), (model, "type", "TypeObject")):
        if not isinstance(value, bytes | None):
            kind = value.kind if isinstance(value, Strange) else "object identifier"
            return Silence(f"it answered its {what} as {kind}, not as text", _other_object(key))
    digits = ext.strip(_AROUND) if ext is not None else None
    if digits == b"":
        return Silence("the extension is empty: is a user logged in at this phone?", _LOGGED_OUT)
    if digits is not None and not _EXTENSION.match(digits):
        return Silence(f"it answered an extension that is no number: {excerpt(digits)}", _NO_PHONE)
    name = model.strip(_AROUND) if model is not None else None
    if name == b"":
        return Silence("the type is empty", _NO_PHONE)
    if name is not None and not _TYPE.match(name):
        return Silence(f"it answered a type that is none: {excerpt(name)}", _NO_PHONE)
    return Shown(_text(digits), _text(name), family.name, family.guessed and digits is None)


def _text(data: bytes | None) -> str:
    return (data or b"").decode("ascii")


def excerpt(data: bytes) -> str:
    """The beginning of what came, printable whatever it is."""
    shown = ascii(data[:_EXCERPT].decode("latin-1"))
    return shown if len(data) <= _EXCERPT else f"{shown}... ({len(data)} octets)"
