"""What phones tell of themselves besides their extension: software, boot file, MAC, GROUP, serial number.

A survey asks twice: what the phone is, then what phones of its module have. Both questions are small, for
old agents refuse an answer that grows too large. Nothing that an agent said leaves this module unless it
has the form of what it should be.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from mv_iptel.addresses import mac_of
from mv_iptel.phones.families import version_of
from mv_iptel.snmp.families import SYS_OBJECT, Silence, Strange, Terms, Value, excerpt
from mv_iptel.snmp.protocol import Dialogue, new_id

_ENTERPRISE = "1.3.6.1.4.1.6889"
_IDENTITY = re.compile(re.escape(_ENTERPRISE) + r"\.1\.69\.([0-9]{1,4})(?![0-9])")
_AROUND = b" \t\r\n\0\"'"
_STRANGER = "it answered, and has none of a phone's objects"
FIELDS = ("ext", "model", "mac", "software", "boot", "group", "serial")


class Module(NamedTuple):
    """Phones with the same objects: for each field the leaves that may hold it, the better source first.

    `number` stands behind 1.69 in the sysObjectID and behind 2.69 in the objects. What no source confirms
    is in `guessed`.
    """

    name: str
    number: int
    leaves: dict[str, tuple[str, ...]]
    guessed: frozenset[str] = frozenset()

    def objects(self, field: str, terms: Terms) -> tuple[str, ...]:
        """The object identifiers of a field."""
        named = (
            {"ext": terms.ext_object, "model": terms.type_object}.get(field, "") if self.number == 1 else ""
        )
        if named:
            return (named.lstrip("."),)
        return tuple(f"{_ENTERPRISE}.2.69.{self.number}.{leaf}.0" for leaf in self.leaves.get(field, ()))


# The leaves that public sources name, and where those differ both. Only one is carried over to a sister
# module without a source, the firmware of the 96x0: a name of software proves itself. A MAC or a GROUP
# does not, a wrong object could hold another one, so none is guessed.
MODULES = (
    Module("4600", 1, {"ext": ("4.9",), "model": ("1.2",), "serial": ("1.6",)}),
    Module("96x0", 2, {"ext": ("6.3",), "model": ("1.43",), "software": ("1.58",),
                       "serial": ("1.59", "1.46")}, frozenset({"software"})),
    Module("16xx", 3, {"ext": ("6.3",), "model": ("1.43",), "mac": ("1.42",), "software": ("1.58",),
                       "serial": ("1.46", "1.59")}),
    Module("96x0-sip", 4, {"ext": ("7.27",), "model": ("1.52",), "mac": ("1.50",), "software": ("1.4",),
                           "boot": ("1.7",), "group": ("1.31",)}),
    Module("96x1", 5, {"ext": ("6.3", "7.27"), "model": ("1.43",), "serial": ("1.79",)},
           frozenset({"ext", "model"})),
    Module("J100", 6, {"ext": ("7.27", "6.3"), "model": ("1.52",), "software": ("1.4",),
                       "serial": ("1.57",)}),
)  # fmt: skip


class Surveyed(NamedTuple):
    """What a phone said of itself, in a form that may go anywhere; empty is what it did not say."""

    module: str
    ext: str = ""
    model: str = ""
    mac: str = ""
    software: str = ""
    boot: str = ""
    group: str = ""
    serial: str = ""
    guessed: tuple[str, ...] = ()  # fields from objects that no source confirms
    strange: tuple[str, ...] = ()  # what it said in a form that cannot be true, as sentences


def _texts(pattern: str) -> Callable[[Value], str | None]:
    form = re.compile(pattern.encode() + rb"\Z")

    def clean(value: Value) -> str | None:
        if not isinstance(value, bytes):
            return None
        told = value.strip(_AROUND)
        if not told:
            return ""
        return told.decode("ascii") if form.match(told) else None

    return clean


def _mac(value: Value) -> str | None:
    """Six octets, or digits with anything between them; no group's address, and not nothing."""
    if not isinstance(value, bytes):
        return None
    told = value.hex() if len(value) == 6 else mac_of(value.strip(_AROUND).decode("latin-1"))
    if not told:
        return None if value.strip(_AROUND) else ""
    return told if int(told, 16) and not int(told[:2], 16) & 1 else None


def _group(value: Value) -> str | None:
    if isinstance(value, Strange):
        number = value.number
    elif isinstance(value, bytes) and re.fullmatch(rb"[0-9]{1,3}", value.strip(_AROUND)):
        number = int(value.strip(_AROUND))
    else:
        return None
    return str(number) if number is not None and 0 <= number <= 999 else None


_FILE = r"[A-Za-z0-9][A-Za-z0-9 ._+()-]{0,79}"
# A field's value as it may go anywhere: empty if the phone has none, None if it cannot be true.
CLEAN: dict[str, Callable[[Value], str | None]] = {
    "ext": _texts(r"[0-9]{1,20}"),
    "model": _texts(r"[A-Za-z0-9][A-Za-z0-9 ._+()-]{0,39}"),
    "mac": _mac,
    "software": _texts(_FILE),
    "boot": _texts(_FILE),
    "group": _group,
    "serial": _texts(r"[A-Za-z0-9][A-Za-z0-9-]{0,39}"),
}


class Survey(Dialogue):
    """All that is said with one phone until `result` is there: a `Surveyed` or a `Silence`.

    Each question has its own time, all attempts of it together.
    """

    def __init__(self, terms: Terms, now: float, ids: Callable[[], int] = new_id):
        self._module: Module | None = None
        super().__init__(terms, now, ids)

    def _first(self) -> tuple[str, ...]:
        if not self._wide:
            return (SYS_OBJECT,)
        models = [one for module in MODULES for one in module.objects("model", self._terms)]
        return tuple(dict.fromkeys((SYS_OBJECT, *models)))

    def _ask(self, wanted: tuple[str, ...], now: float) -> None:
        self._end = now + self._terms.timeout * (self._terms.retries + 1)
        super()._ask(wanted, now)

    def _go_on(self, now: float) -> None:
        if self._module is not None:
            self.result = judge(self._module, self._values, self._terms)
            return
        found = self._module = module_of(self._values, self._terms, self._wide)
        if found is None:
            self.result = Silence(_STRANGER, "Another device with an SNMP agent")
            return
        self._wide = False
        every = [one for field in FIELDS for one in found.objects(field, self._terms)]
        left = tuple(one for one in dict.fromkeys(every) if one not in self._values)
        if left:
            self._ask(left, now)
        else:
            self._go_on(now)

    def _error(self, error: int, index: int, now: float) -> None:
        if not self._wide and self._module is not None and 1 <= index <= len(self._wanted):
            error = 2  # whatever it has against that object, the others may do
        super()._error(error, index, now)

    def _give_up(self) -> None:
        """A phone that told what it is, and then no more, is no silent one."""
        super()._give_up()
        if self._module is not None:
            told = judge(self._module, self._values, self._terms)
            if isinstance(told, Surveyed):
                self.result = told


def module_of(values: Mapping[str, Value], terms: Terms, asked_models: bool = True) -> Module | None:
    """Whose objects count: by sysObjectID, else the first whose model is there; None: it is no phone.

    Where only the sysObjectID was asked, an unknown one counts as a 4600's, as in the question for user data.
    """
    said = values.get(SYS_OBJECT)
    match = _IDENTITY.match(said) if isinstance(said, str) else None
    for module in MODULES:
        if match and int(match[1]) == module.number:
            return module
    for module in MODULES:
        if any(CLEAN["model"](values.get(one)) for one in module.objects("model", terms)):
            return module
    return None if asked_models else MODULES[0]


def judge(module: Module, values: Mapping[str, Value], terms: Terms) -> Surveyed | Silence:
    """What the answered objects show."""
    told: dict[str, str] = {}
    guessed, strange = [], []
    for field in FIELDS:
        for one in module.objects(field, terms):
            value = values.get(one)
            if value is None:
                continue
            clean = CLEAN[field](value)
            if clean is None or (field == "software" and field in module.guessed and not version_of(clean)):
                shown = (
                    excerpt(value) if isinstance(value, bytes) else getattr(value, "kind", "an identifier")
                )
                strange.append(f"it answered as its {field} {shown}")
            elif clean:
                told[field] = clean
                if field in module.guessed:
                    guessed.append(field)
                break
    if not told and not strange:
        return Silence(_STRANGER, "Another device with an SNMP agent")
    return Surveyed(module.name, **told, guessed=tuple(guessed), strange=tuple(strange))
