"""What is known to be weak or out of support, and how many phones of the inventory it is about."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from mv_iptel.config import Config
from mv_iptel.firmware import advisories
from mv_iptel.inventory.reader import Reader
from mv_iptel.phones.whom import handset_of, phones_of

AGE = 60.0  # seconds for which phones are not counted again


def advised(config: Config) -> tuple[list[dict[str, Any]], list[str]]:
    """Every advisory, those about most phones first, and what is wrong with the site's own file."""
    known, problems = advisories.known(config)
    kinds = _kinds(config)
    counted: Counter[str] = Counter()
    for kind in kinds:
        runs, count = kind["runs"], kind["count"]
        (phone,) = phones_of([{"key": "", "model": kind["model"], "runs": runs, "mac": ""}], {})
        handset = handset_of(phone)
        family = handset.family.name if handset else ""
        for one in advisories.concerning(known, family, phone.model, runs):
            counted[one.id] += count
    rows = [{**one.as_dict(), "about": about(one), "phones": counted[one.id]} for one in known]
    return sorted(rows, key=lambda row: (-row["phones"], row["kind"] != "weak", row["id"])), problems


def _kinds(config: Config) -> list[dict[str, Any]]:
    """Each model with each firmware, and how many run that; fifty thousand are not counted each time."""
    path, now = str(config.settings.database), time.monotonic()
    at, kinds = _counted.get(path, (float("-inf"), []))
    if now - at > AGE:
        reader = Reader(config.settings.database)
        try:
            kinds = reader.ask("SELECT model, runs, count(*) AS count FROM phones GROUP BY model, runs")
        finally:
            reader.close()
        _counted[path] = (now, kinds)
    return kinds


_counted: dict[str, tuple[float, list[dict[str, Any]]]] = {}


def about(one: advisories.Advisory) -> str:
    """Whom an advisory is about, in words."""
    who = ", ".join((*one.families, *(model.upper() for model in one.models)))
    if one.below:
        return f"{who} below {_version(one.below)}"
    if one.upto:
        return f"{who} up to {_version(one.upto)}"
    return f"{who}, every version"


def _version(parts: tuple[int, ...]) -> str:
    return ".".join(map(str, parts))
