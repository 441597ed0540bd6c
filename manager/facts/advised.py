"""What is known to be weak or out of support, and how many phones of the inventory it is about."""

from __future__ import annotations

from collections import Counter
from typing import Any

from mv_iptel.config import Config
from mv_iptel.firmware import advisories
from mv_iptel.inventory.reader import Reader
from mv_iptel.phones.whom import handset_of, phones_of


def advised(config: Config) -> tuple[list[dict[str, Any]], list[str]]:
    """Every advisory, those about most phones first, and what is wrong with the site's own file."""
    known, problems = advisories.known(config)
    reader = Reader(config.settings.database)
    try:
        kinds = Counter((one["model"], one["runs"]) for one in reader.everyone())
    finally:
        reader.close()
    counted: Counter[str] = Counter()
    for (model, runs), count in kinds.items():
        (phone,) = phones_of([{"key": "", "model": model, "runs": runs, "mac": ""}], {})
        handset = handset_of(phone)
        family = handset.family.name if handset else ""
        for one in advisories.concerning(known, family, phone.model, runs):
            counted[one.id] += count
    rows = [{**one.as_dict(), "about": about(one), "phones": counted[one.id]} for one in known]
    return sorted(rows, key=lambda row: (-row["phones"], row["kind"] != "weak", row["id"])), problems


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
