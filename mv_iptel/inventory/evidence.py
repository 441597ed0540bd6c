"""What does a phone run? Drawn from the scripts it read and the files it fetched, or left unknown."""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from dataclasses import dataclass, field

from mv_iptel.phones.evaluate import Evaluation
from mv_iptel.phones.families import FAMILIES, Family, Handset

LOOP_SECONDS = 30 * 60.0
LOOP_DOWNLOADS = 3
# Sets that read all their configuration before the software are believed to run what the script orders
# when they have not asked for it so long after the settings.
SETTLED_SECONDS = 180.0
# Script and settings belong to one boot if they are not further apart.
BOOT_SECONDS = 15 * 60.0
MAX_SCRIPT = 256 << 10
CACHED = 512

SETTINGS = frozenset({"46xxsettings.txt", "46xxsettings.scr", "46vpnsetting.txt"})
SCRIPTS = frozenset(name.casefold() for family in FAMILIES.values() for name in family.scripts)
# The name under which the phones of a roll-out's ring fetch such a script.
_RINGS = re.compile(r"mvr-[0-9a-f]{8}-(.+)")

# What a script may test and we do not know of a phone. Each string that it is compared with is tried.
UNKNOWN = ("GROUP", "BOOTNAME", "APPNAME", "APPNAME_IN_USE", "SIG", "HWVERS", "VPNACTIVE", "SHA2CAPABLE")


@dataclass(slots=True)
class Boot:
    """What one phone did since it read its script. Times in seconds since the epoch."""

    ordered: frozenset[str] = frozenset()  # file names, folded, that the script may order for it
    spelled: dict[str, str] = field(default_factory=dict)  # folded -> as the script writes it
    software_first: bool = True
    script_at: float = 0.0
    fetched: bool = False  # it asked for one of them since
    loaded: str = ""  # the last of them that it has completely fetched, folded
    settle_at: float = 0.0  # when `believed` becomes true, 0 if nothing is pending
    believed: str = ""
    downloads: dict[str, list[float]] = field(default_factory=dict)
    warned_at: float = 0.0


class Orders:
    """Which application a script orders for a model: evaluated once per file and model, then remembered."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[object, ...], dict[str, str] | None] = OrderedDict()

    def of(self, script: str, name: str, model: str, mac: str) -> tuple[dict[str, str], bool]:
        """Applications that `script` (a path, asked for as `name`) may order, and software before settings.

        Folded name -> name as written. Several if it depends on what nobody knows, none if it cannot be
        told. A script that tests the MAC is evaluated for each phone.
        """
        model = model.partition("D0")[0]  # 9620D01A is a 9620
        family = _family(name, model)
        if family is None:
            return {}, True
        try:
            stat = os.stat(script)
        except OSError:
            return {}, True
        if stat.st_size > MAX_SCRIPT:
            return {}, True
        key = (script, stat.st_mtime_ns, stat.st_size, family.name, model)
        found = self._known.get(key)
        if found is None and key in self._known:  # it tests the MAC
            key = (*key, mac)
            found = self._known.get(key)
        if found is None:
            found, tests_mac = _evaluate(script, family, model, mac)
            if tests_mac and key[-1] != mac:
                self._known[key] = None
                key = (*key, mac)
            self._known[key] = found
            while len(self._known) > CACHED:
                self._known.popitem(last=False)
        return found, family.software_first


def script_of(name: str) -> str:
    """The upgrade script, folded, that was asked for; empty if it is another file."""
    last = name.rpartition("/")[2].casefold()
    found = _RINGS.fullmatch(last)
    last = found[1] if found else last
    return last if last in SCRIPTS else ""


def script_read(boot: Boot, orders: dict[str, str], software_first: bool, now: float) -> str:
    """The phone read its script. Returns what it is now believed to run, if the last boot had not settled."""
    settled = settle(boot, now, force=True)
    boot.spelled = orders
    boot.ordered = frozenset(orders)
    boot.software_first = software_first
    boot.script_at, boot.fetched = now, False
    return settled


def asked(boot: Boot, name: str) -> bool:
    """The phone asked for a file; whether that is software which the script orders."""
    if name.rpartition("/")[2].casefold() not in boot.ordered:
        return False
    boot.fetched = True
    boot.settle_at, boot.believed = 0.0, ""
    return True


def downloaded(boot: Boot, name: str, now: float) -> bool:
    """It got that file completely. Returns whether this is a boot loop that has not been told yet."""
    name = name.rpartition("/")[2].casefold()
    boot.loaded = name
    times = [one for one in boot.downloads.get(name, ()) if now - one < LOOP_SECONDS]
    times.append(now)
    # The others stay: a set that loads a boot file and a program in turn loops with both.
    lately = {other: seen for other, seen in boot.downloads.items() if now - seen[-1] < LOOP_SECONDS}
    boot.downloads = {**lately, name: times[-LOOP_DOWNLOADS:]}
    if len(times) < LOOP_DOWNLOADS or now - boot.warned_at < LOOP_SECONDS:
        return False
    boot.warned_at = now
    return True


def settings_read(boot: Boot, now: float) -> str:
    """The phone went on to its settings. Returns what it runs by that, or an empty string."""
    if not boot.script_at or boot.fetched or now - boot.script_at > BOOT_SECONDS or not boot.ordered:
        return ""
    if len(boot.ordered) == 1:
        (runs,) = boot.ordered
    elif boot.loaded in boot.ordered:
        runs = boot.loaded
    else:
        return ""  # the script's answer depends on something that we do not know of this phone
    boot.believed = boot.spelled[runs]
    boot.settle_at = now if boot.software_first else now + SETTLED_SECONDS
    return settle(boot, now)


def settle(boot: Boot, now: float, force: bool = False) -> str:
    """What the phone runs, once its time to fetch something else has passed; else an empty string."""
    if not boot.settle_at or (now < boot.settle_at and not force):
        return ""
    runs, boot.believed, boot.settle_at = boot.believed, "", 0.0
    return runs


def _family(name: str, model: str) -> Family | None:
    """The family of this model that asks for this script, or None."""
    wanted = name.rpartition("/")[2].casefold()
    candidates = [
        family for family in FAMILIES.values()
        if wanted in (script.casefold() for script in family.scripts) and _speaks(model, family)
    ]  # fmt: skip
    return candidates[0] if candidates else None


def _speaks(model: str, family: Family) -> bool:
    for signalling in ("", "H323", "SIP"):
        try:
            if Handset(model, signalling=signalling).family is family:
                return True
        except ValueError:
            continue
    return False


def _evaluate(script: str, family: Family, model: str, mac: str) -> tuple[dict[str, str], bool]:
    """Every application that the script orders, over the values that it compares the unknown with."""
    handset = Handset(model, mac=mac or "000000000000", signalling=family.signalling)
    usual = handset.variables()
    orders: dict[str, str] = {}
    first, compared = _run(script, handset, usual, family)
    if first:
        orders[first.casefold()] = first
    tests = {name for name, _ in compared}
    for name, value in compared:
        if name in UNKNOWN and name in usual and usual[name].casefold() != value.casefold():
            other, _ = _run(script, handset, {**usual, name: value}, family)
            if other:
                orders[other.casefold()] = other
    return orders, "MACADDR" in tests


def _run(
    script: str, handset: Handset, variables: dict[str, str], family: Family
) -> tuple[str, list[tuple[str, str]]]:
    """APPNAME at the end of the upgrade scripts, and what was compared with what. Settings count as empty."""
    evaluation = Evaluation(variables, family.switches, handset.identity())
    folder = os.path.dirname(script)
    reading = evaluation.run(os.path.basename(script))
    try:
        next(reading)
        ask = reading.send(_content(script))
        while True:
            last = ask.name.rpartition("/")[2]
            known = last.casefold() in SETTINGS
            ask = reading.send(b"" if known else _content(os.path.join(folder, last)))
    except StopIteration:
        pass
    compared = [(name.upper(), value) for name, values in evaluation.compared.items() for value in values]
    return evaluation.value("APPNAME"), compared[:32]


def _content(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_SCRIPT + 1)
    except (OSError, ValueError):
        return None
    return data if len(data) <= MAX_SCRIPT else None
