"""Which kinds of phones may come to a line, as sets of bits: rather too many than too few."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import NamedTuple

from mv_iptel.phones.families import FAMILIES, MODELS, Handset
from mv_iptel.phones.parameters import Variable, variables


class Kind(NamedTuple):
    """A model with one software. `family` is empty for models that are known by their name only."""

    model4: str
    family: str


# Which upgrade script is read by which families; any other file may be read by all.
_SCRIPTS: dict[str, tuple[str, ...]] = {
    "46xxupgrade": ("4600", "4600-old"),
    "46upgrade": ("4600", "4600-old"),
    "46vpnupgrade": ("4600", "4600-old"),
    "96xxupgrade": ("96x0", "96x0-sip"),
    "96x1hupgrade": ("96x1", "B189", "96x1-sip"),
    "96x1supgrade": ("96x1-sip", "96x1"),
    "16xxupgrade": ("16xx",),
    "1600upgrade": ("16xx",),
    "j100supgrade": ("J100-sip", "J100"),
    "j100hupgrade": ("J100", "J100-sip"),
    "k1xxsupgrade": ("K1xx",),
    "b189hupgrade": ("B189",),
}


# Families whose last software is older than $SIG_IN_USE.
_OLDER = frozenset({"4600", "4600-old", "16xx", "96x0", "96x0-sip"})


class Phones:
    """The kinds of phones that are thought of; a set of them is a number with a bit for each.

    Besides the models of the table there is a kind for each other model that the scripts compare with,
    so that a section for a model that we do not know is not taken for a dead one.
    """

    def __init__(self, strange: Iterable[str] = (), only: Iterable[Kind] = ()):
        known = tuple(only) or _known()
        ours = {kind.model4.casefold() for kind in known}
        more = (
            [] if only else [Kind(name, "") for name in dict.fromkeys(strange) if name.casefold() not in ours]
        )
        self.kinds = (*known, *more[:200])
        self.all = (1 << len(self.kinds)) - 1
        self._families = {
            family: sum(1 << at for at, kind in enumerate(self.kinds) if kind.family == family)
            for family in {kind.family for kind in self.kinds}
        }
        self._strange = self._families.get("", 0)
        self._holds: dict[tuple[str, str], tuple[int, int]] = {}

    def of_families(self, families: Iterable[str]) -> int:
        """The set of these families' phones."""
        return sum(self._families.get(family, 0) for family in families)

    def first(self, name: str) -> int:
        """Who may read a file of this name without being sent to it."""
        families = readers_of(name)
        return self.of_families(families) | self._strange if families else self.all

    def families(self, some: int) -> list[str] | None:
        """The families in a set; None if there are phones in it of which no family is known."""
        if some & self._strange:
            return None
        return [family for family in FAMILIES if some & self._families.get(family, 0)]

    def holds(self, variable: str, value: str) -> tuple[int, int]:
        """For which phones a condition may be true, and for which it may be false."""
        key = (variable, value.casefold())
        found = self._holds.get(key)
        if found is None:
            true = false = 0
            for at, kind in enumerate(self.kinds):
                may = _may(kind, variable, key[1])
                true |= may[0] << at
                false |= may[1] << at
            found = self._holds[key] = (true, false)
        return found


def readers_of(name: str) -> tuple[str, ...]:
    """The families that ask for an upgrade script of this name; none if any phone may read it."""
    return _SCRIPTS.get(name.casefold().rpartition(".")[0].removeprefix("fxd_"), ())


@cache
def _known() -> tuple[Kind, ...]:
    kinds: dict[Kind, None] = {}
    for model in MODELS:
        for signalling in ("H323", "SIP"):
            try:
                kinds[Kind(model[:4], Handset(model, signalling=signalling).family.name)] = None
            except ValueError:
                continue
    # Newer releases bring H.323 to more models than our table of families boots.
    for model4 in sorted({kind.model4 for kind in kinds if kind.model4[0] == "J"}):
        kinds[Kind(model4, "J100")] = kinds[Kind(model4, "J100-sip")] = None
    for model4 in ("4601", "4602", "4610", "4620", "4621", "4622", "4625"):
        kinds[Kind(model4, "4600-old")] = None
    kinds[Kind("H175", "K1xx")] = None
    return tuple(kinds)


def kinds_of(model: str = "", family: str = "") -> tuple[Kind, ...]:
    """The kinds that a model or a family stands for; none if there is no such one."""
    return tuple(
        kind
        for kind in _known()
        if (not model or kind.model4.casefold() == model[:4].casefold())
        and (not family or kind.family.casefold() == family.casefold())
    )


def _may(kind: Kind, variable: str, value: str) -> tuple[bool, bool]:
    """Whether `$variable SEQ value` may be true for such a phone, and whether it may be false."""
    if variable == "MODEL4":
        if kind.family and kind.family not in _variable("MODEL4").families:
            return False, True  # it does not know the variable, so it passes over the line
        equal = kind.model4.casefold() == value
        return equal, not equal
    if variable == "MODEL":
        return value.startswith(kind.model4.casefold()), True
    if not kind.family:
        return True, True
    sip = FAMILIES[kind.family].signalling == "SIP"
    if variable == "SIG_IN_USE":
        if kind.family in _OLDER:
            return False, True
        # Others may not know it either, as a 96x1 before release 6.0; then they pass over the line.
        return value == ("sip" if sip else "h323"), "J100" not in kind.family or value != (
            "sip" if sip else "h323"
        )
    if variable == "SIG" and kind.family in ("96x0", "96x0-sip") and value in ("1", "2"):
        return (value == "2") == sip, (value == "2") != sip
    return True, True


@lru_cache(maxsize=64)
def _variable(name: str) -> Variable:
    return variables()[name]


def strange_models(values: Iterable[str]) -> list[str]:
    """Of the values that MODEL4 is compared with those that may be models of phones."""
    return [value for value in values if re.fullmatch(r"[A-Za-z0-9]{3,4}", value)]
