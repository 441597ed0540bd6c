"""Names a set of phones in a few words: "all 96x1; 4621SW in group 876"."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from mv_iptel.phones.whom import Kind

MODELS_SHOWN = 12
MACS_SHOWN = 3


def name(kinds: Collection[Kind], among: Collection[Kind]) -> str:
    """The kinds in words, where `among` are all that were looked at."""
    if len(kinds) == len(among) and len({kind[:2] for kind in among}) > 1:
        return "every phone"
    everyone: dict[str, set[Kind]] = defaultdict(set)
    for kind in among:
        everyone[kind.family].add(kind)
    ours: dict[str, set[Kind]] = defaultdict(set)
    for kind in kinds:
        ours[kind.family].add(kind)
    parts: dict[str, list[str]] = defaultdict(list)  # qualifier -> whom it holds for
    partly = len(ours) < len(everyone)
    for family in sorted(ours):
        whole = len(ours[family]) == len(everyone[family])
        models = {kind.model for kind in everyone[family]}
        if whole and len(models) > 1:
            parts[""].append(f"all {family}")
            continue
        shared: dict[str, list[str]] = defaultdict(list)
        for model in sorted({kind.model for kind in ours[family]}):
            shared[_which(_of(ours[family], model), _of(everyone[family], model))].append(model)
        for which, found in shared.items():
            label = _listed(found, MODELS_SHOWN)
            if len(found) == len(models) > 1:
                label = f"all {family}"
            else:
                partly = partly or len(found) < len(models)
                label += " (SIP)" if family.endswith("-sip") else ""
            parts[which].append(label)
    if len(parts) == 1 and not partly and len(everyone) > 1:
        return f"every phone{next(iter(parts))}"
    return "; ".join(f"{', '.join(labels)}{which}" for which, labels in sorted(parts.items()))


def _which(ours: set[Kind], everyone: set[Kind]) -> str:
    """Which phones of one model: " in group 3, 5", or nothing if it is all of them."""
    if len(ours) == len(everyone):
        return ""
    words = ""
    groups = {kind.group for kind in ours if not kind.mac}
    all_groups = {kind.group for kind in everyone if not kind.mac}
    others = all_groups - groups
    if groups and others:
        if len(others) < len(groups) and len(groups) > 3:
            words = f" not in group {_listed(sorted(others, key=int))}"
        else:
            words = f" in group {_listed(sorted(groups, key=int))}"
    macs = sorted(kind.mac for kind in ours if kind.mac)
    others_by_mac = {kind.mac for kind in everyone if kind.mac and kind.group in groups} - set(macs)
    if macs and not groups:
        words = f" with MAC {_listed([_colons(mac) for mac in macs], MACS_SHOWN)}"
    elif macs and others:
        words += f" and with MAC {_listed([_colons(mac) for mac in macs], MACS_SHOWN)}"
    elif others_by_mac:
        words += f" except MAC {_listed([_colons(mac) for mac in sorted(others_by_mac)], MACS_SHOWN)}"
    return words


def _of(kinds: Iterable[Kind], model: str) -> set[Kind]:
    return {kind for kind in kinds if kind.model == model}


def _listed(words: list[str], most: int = 8) -> str:
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more


def _colons(mac: str) -> str:
    return ":".join(mac[at : at + 2] for at in range(0, len(mac), 2))
