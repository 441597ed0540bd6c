"""Rings: which phones a stage of a roll-out is for, as far as a server can tell, and what only they know.

Address and model can be told here. The group is known to the phone alone, and often so is the model: then
the phone is asked by its own script (`Clause`).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import cached_property
from typing import NamedTuple

_LONG = re.compile(r"D\d\d[A-Z]?$", re.I)  # a 9620D01A is a 9620
_MODEL = re.compile(r"[A-Za-z0-9]{2,12}")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Stage(NamedTuple):
    """Who comes in with one stage: of each sort one must fit, and every sort that is named must."""

    to: tuple[str, ...] = ()  # addresses and networks
    models: tuple[str, ...] = ()  # beginnings of model names
    groups: tuple[str, ...] = ()

    def words(self) -> str:
        """For people."""
        named = (("", self.to), ("model ", self.models), ("group ", self.groups))
        return ", ".join(f"{word}{' or '.join(values)}" for word, values in named if values) or "everybody"


class Clause(NamedTuple):
    """What a phone must be asked: in the ring is who has one of these models and one of these groups."""

    models: tuple[str, ...]  # values of MODEL4; empty: it is known that the model fits
    groups: tuple[str, ...]


class Ring:
    """All stages up to the present one together."""

    def __init__(self, stages: Iterable[Stage]):
        self.stages = tuple(stages)

    def holds(self, address: str, model: str) -> bool | tuple[Clause, ...]:
        """Whether a phone is in; or what it must be asked, because only it can tell."""
        asked = []
        for stage, networks in zip(self.stages, self._networks, strict=True):
            if not _within(address, networks):
                continue
            models: tuple[str, ...] = ()
            if stage.models:
                if model:
                    if not fits(model, stage.models):
                        continue
                else:
                    models = tuple(one for one in stage.models if len(one) == 4)
                    if not models:
                        continue  # scripts can ask for four characters only
            if not models and not stage.groups:
                return True
            asked.append(Clause(models, stage.groups))
        return tuple(asked)

    @cached_property
    def _networks(self) -> list[tuple[Network, ...]]:
        return [tuple(map(ipaddress.ip_network, stage.to)) for stage in self.stages]


def fits(model: str, beginnings: Iterable[str]) -> bool:
    """Whether a model begins as one of these: 9640 means 9640G too."""
    model = _LONG.sub("", model.strip()).casefold()
    return any(model.startswith(one.casefold()) for one in beginnings)


def stage_of(to: Iterable[str], models: Iterable[str], groups: Iterable[str]) -> Stage:
    """A stage as somebody wrote it. ValueError says what is wrong with it."""
    found = Stage(
        tuple(dict.fromkeys(map(_network, to))),
        tuple(dict.fromkeys(map(_model, models))),
        tuple(dict.fromkeys(map(_group, groups))),
    )
    if not any(found):
        raise ValueError("a stage needs an address, a network, a model or a group")
    return found


def parse(text: str) -> Stage:
    """`to=10.1.0.0/16 model=9620 group=5`, each as often as wanted. ValueError as in `stage_of`."""
    named: dict[str, list[str]] = {"to": [], "model": [], "group": []}
    for part in re.split(r"[\s,;]+", text.strip()):
        name, sign, value = part.partition("=")
        if not sign or name not in named or not value:
            raise ValueError(f"{part!r}: write it like to=10.1.0.0/16 model=9620 group=5")
        named[name].append(value)
    return stage_of(named["to"], named["model"], named["group"])


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text.strip(), strict=False))
    except ValueError:
        raise ValueError(f"{text!r} is no address and no network such as 10.1.0.0/16") from None


def _model(text: str) -> str:
    if not _MODEL.fullmatch(text.strip()):
        raise ValueError(f"{text!r} is no model such as 9620 or J179")
    return text.strip()


def _group(text: str) -> str:
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 5 and int(text) <= 999):
        raise ValueError(f"{text!r} is no group: a number from 0 to 999 is needed")
    return str(int(text))


def _within(address: str, networks: tuple[Network, ...]) -> bool:
    if not networks:
        return True
    try:
        one = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return any(one.version == network.version and one in network for network in networks)
