"""What a roll-out will cost, said beforehand: how many phones, how many octets, how long over the line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from mv_iptel.firmware.releases import Release
from mv_iptel.phones.effects import effects
from mv_iptel.phones.served import Served
from mv_iptel.phones.whom import Phone, handset_of, phones_of
from mv_iptel.rollout.rings import Ring, Stage


class Load(NamedTuple):
    """What the phones of one model fetch in a stage."""

    model: str
    phones: int  # that are in for certain
    asked: int  # that may be: their group, or their model, only they know
    octets: int  # that one of them fetches


class Ahead(NamedTuple):
    """One stage beforehand. `octets` and `seconds` suppose that all who may be in are in."""

    stage: Stage | None  # None: everybody else, when the release is published
    loads: tuple[Load, ...]
    bandwidth: float  # bits a second

    @property
    def phones(self) -> int:
        return sum(one.phones for one in self.loads)

    @property
    def asked(self) -> int:
        return sum(one.asked for one in self.loads)

    @property
    def octets(self) -> int:
        return sum((one.phones + one.asked) * one.octets for one in self.loads)

    @property
    def seconds(self) -> float:
        return self.octets * 8 / self.bandwidth


def ahead(
    stages: Iterable[Stage],
    new: Served,
    release: Release,
    rows: list[dict[str, Any]],
    scripts: Mapping[str, str],
    bandwidth: float,
) -> list[Ahead]:
    """Each stage, and everybody else at the end. `rows` and `scripts` are the inventory's."""
    sizes = {one.name.rpartition("/")[2].casefold(): one.size for one in release.files}
    octets: dict[Phone, int] = {}
    left = list(zip(rows, phones_of(rows, scripts), strict=True))
    found = []
    for stage in (*stages, None):
        ring = Ring((stage,)) if stage is not None else None
        inside: Counter[tuple[str, int]] = Counter()
        maybe: Counter[tuple[str, int]] = Counter()
        rest = []
        for row, phone in left:
            held = ring is None or ring.holds(row["address"], row["model"])
            if not held:
                rest.append((row, phone))
                continue
            like = phone._replace(mac="")
            if like not in octets:
                octets[like] = _fetches(new, like, sizes)
            (inside if held is True else maybe)[phone.model or "unknown", octets[like]] += 1
            if held is not True:
                rest.append((row, phone))  # if it is not in, a later stage has it
        loads = (Load(model, inside[model, size], maybe[model, size], size) for model, size in inside | maybe)
        found.append(Ahead(stage, tuple(sorted(loads)), bandwidth))
        left = rest
    return found


def _fetches(new: Served, phone: Phone, sizes: Mapping[str, int]) -> int:
    """The octets of the release's software that such a phone fetches."""
    handset = handset_of(phone)
    if handset is None:
        return 0
    names = {asked.name.rpartition("/")[2].casefold() for asked in effects(new, handset).asked
             if asked.kind == "software"}  # fmt: skip
    return sum(sizes.get(name, 0) for name in names)
