"""One phone: what is kept for its user, what is known against its firmware, what it did and was refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mv_iptel.cli.leads import Leads, words
from mv_iptel.config import Config
from mv_iptel.firmware import advisories
from mv_iptel.inventory import Reader
from mv_iptel.phones.whom import handset_of, phones_of
from mv_iptel.userdata import names, versions

LOOKED_AT = 300  # refusals of a phone that are put together
MOST = 40  # different ones that are told


def kept(config: Config, ext: str) -> list[dict[str, Any]]:
    """The names of user data that are kept for an extension, how big each is and since when."""
    if not re.fullmatch(r"[0-9]{1,20}", ext):
        return []
    found = []
    for cls in ("4610", "4620", "96xx", "16xx", "9610"):
        for sip in (False, True):
            name = names.Kept(ext, cls, sip).file
            # The archive has every user's versions: it is looked through only for a name that there is.
            there = (config.http.backup_dir / name).exists() or versions.folder_of(config, name).is_dir()
            held = versions.of(config, name) if there else []
            if held:
                current = next((one for one in held if one.id == versions.CURRENT), None)
                older = sum(one.id != versions.CURRENT for one in held)
                found.append(
                    {
                        "file": name,
                        "size": current.size if current else None,
                        "older": older,
                        "time": max(one.time for one in held),
                    }
                )
    return found


def warnings(config: Config, phone: dict[str, Any]) -> tuple[advisories.Advisory, ...]:
    """What is known against what the phone runs."""
    (told,) = phones_of([phone], {})
    handset = handset_of(told)
    family = handset.family.name if handset else ""
    return advisories.concerning(advisories.known(config)[0], family, told.model, phone["runs"])


def timeline(
    reader: Reader, key: str, proto: str = "", outcome: str = "", before: int = 0, most: int = 50
) -> list[dict[str, Any]]:
    """A phone's requests, the newest first: over one protocol, with one outcome, below a number."""

    def chosen(row: dict[str, Any]) -> bool:
        return (not proto or row["proto"] == proto) and (not outcome or row["outcome"] == outcome)

    return reader.timeline(key, most, before, chosen)[::-1]


def refused(
    config: Config, reader: Reader, key: str, phone: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    """What the phone was refused lately: each name and reason once, with the line that sent it there."""
    rows = timeline(reader, key, outcome="refused", most=LOOKED_AT)
    leads = Leads(config)
    together: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in rows:
        what = row["name"], row["reason"], row["proto"]
        one = together.get(what)
        if one is None:
            if len(together) >= MOST:
                continue
            one = together[what] = {**row, "times": 0, "sent_by": ""}
            if row["reason"] == "no-file" and row["op"] == "read":
                lead = leads.line(row["name"], phone)
                one["sent_by"] = words(lead) if lead else ""
        one["times"] += row["count"]
    return list(together.values())
