"""What becomes of the phones of a ring, told from what they fetch; and when too much goes wrong.

The evidence is that of the inventory (DESIGN section 10): a phone runs the new firmware if it says so, or if
it read the script that orders it and went on to its settings without fetching it; three finished downloads
in half an hour are a boot loop.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Container, Iterable
from typing import NamedTuple

from mv_iptel.events import Finished
from mv_iptel.inventory import evidence
from mv_iptel.inventory.evidence import Boot, Orders
from mv_iptel.phones.families import version_of
from mv_iptel.rollout.plans import FAILED, LOADED, LOOPS, REACHED, RUNS, Met, Rollout

# A phone that loaded the new firmware and does not show within this time that it runs it has failed.
LATE_SECONDS = 30 * 60.0
# So long may a file be missing on one server before the phone gets it from the next.
MISSING_SECONDS = 60.0
TWIN_SECONDS = 24 * 3600.0
ADDRESSES = 100_000  # whose phones are remembered, to see that two share one
# Anybody may say any MAC. Beyond so many phones of one address, and in all, nothing more is written down.
AT_ONE, PHONES = 1000, 200_000


class Counts(NamedTuple):
    """The phones of a roll-out, or of one stage of it; those that say nothing are in `unknown` only."""

    reached: int = 0  # they have the new script, and nothing more is known yet
    loaded: int = 0  # they have the new firmware, and were not seen to run it yet
    runs: int = 0
    failed: int = 0
    loops: int = 0
    unknown: int = 0

    @property
    def all(self) -> int:
        return sum(self)


class Judge:
    """Follows the phones of one roll-out; `met` is what is known of them, by MAC or address.

    `paths` are the paths of the ring's scripts, as `Finished.file` tells them.
    """

    def __init__(self, met: dict[str, Met], orders: Orders | None = None):
        self.met = met
        self._orders = orders or Orders()
        self._boots: dict[str, Boot] = {}
        self._missing: dict[str, tuple[float, str]] = {}  # software that a phone was refused: when, which
        self._macs: dict[str, dict[str, float]] = {}  # address -> MACs seen there
        self._at = Counter(one.address for one in met.values())
        self._pieces: dict[str, tuple[str, int]] = {}  # a file that comes by Range, and octets of it

    def take(self, event: Finished, stage: int, paths: Container[str]) -> Met | None:
        """Learn from one request; gives the phone if something of it is new."""
        if event.op != "read":
            return None
        got = event.outcome == "ok" and event.bytes > 0
        # A datagram may come from anybody; who has taken an answer is there.
        if event.mac and got:
            self._saw(event)
        key = event.mac or event.peer
        met = self.met.get(key)
        if got and event.file in paths:
            return self._ordered(key, met, event, stage)
        boot = self._boots.get(key)
        if met is None or boot is None:
            return None
        if evidence.asked(boot, event.name):
            return self._software(met, boot, event, got)
        if got and event.name.rpartition("/")[2].casefold() in evidence.SETTINGS:
            runs = evidence.settings_read(boot, event.time)
            if runs:
                return self._now(met, RUNS, event.time, runs)
        return None

    def tick(self, now: float) -> list[Met]:
        """What time alone has decided."""
        found = []
        for key, boot in self._boots.items():
            if boot.settle_at and (runs := evidence.settle(boot, now)):
                found.append(self._now(self.met[key], RUNS, now, runs))
        for key, (when, name) in list(self._missing.items()):
            if now - when > MISSING_SECONDS:
                del self._missing[key]
                found.append(self._now(self.met[key], FAILED, now, f"{name} was refused to it"))
        for met in list(self.met.values()):
            if met.fate == LOADED and now - met.time > LATE_SECONDS:
                text = f"it loaded {met.detail}, and was not seen to run it within 30 minutes"
                found.append(self._now(met, FAILED, now, text))
        return [one for one in found if one is not None]

    def _ordered(self, key: str, met: Met | None, event: Finished, stage: int) -> Met | None:
        """It was given a script of the ring."""
        new = met is None
        alone = self._alone(event)
        if met is None:
            if len(self.met) >= PHONES or self._at[event.peer] >= AT_ONE:
                return None
            self._at[event.peer] += 1
            met = Met(key, event.peer, event.mac, event.model, stage, REACHED, event.time,
                      bool(event.model) and alone)  # fmt: skip
            self.met[key] = met
        elif (not alone and met.counts) or (event.model and not met.model):
            met = met._replace(model=event.model or met.model, counts=bool(event.model) and alone)
            self.met[key] = met
            new = True
        script = evidence.script_of(event.name)
        if not script:
            return met if new else None
        boot = self._boots.get(key)
        if boot is None:
            boot = self._boots[key] = Boot()
        orders: dict[str, str] = {}
        first = True
        if met.counts:
            orders, first = self._orders.of(event.file, script, event.model or met.model, event.mac)
        runs = evidence.script_read(boot, orders, first, event.time)
        says = version_of(event.version) or event.version
        if says and not runs:
            runs = next((name for name in orders.values() if version_of(name) == says), "")
        if runs and (changed := self._now(met, RUNS, event.time, runs)):
            return changed
        return met if new else None

    def _software(self, met: Met, boot: Boot, event: Finished, got: bool) -> Met | None:
        name = event.name.rpartition("/")[2]
        if not got:
            if event.outcome == "refused" and event.reason != "no-slot":
                self._missing.setdefault(met.key, (event.time, name))
            return None
        self._missing.pop(met.key, None)
        if not self._whole(met.key, event):
            return None
        loops = evidence.downloaded(boot, event.name, event.time)
        if not self._alone(event):
            return None
        if loops:
            text = f"it loaded {name} {evidence.LOOP_DOWNLOADS} times within 30 minutes"
            return self._now(met, LOOPS, event.time, text)
        if met.fate in (LOOPS, RUNS):
            return None  # a set that runs it may load it again; once in a loop, only running it gets it out
        return self._now(met, LOADED, event.time, name)

    def _now(self, met: Met, fate: str, now: float, detail: str) -> Met | None:
        """Its fate has changed; None if it has not."""
        if met.fate == fate and fate != LOADED:
            return None
        if fate == RUNS:
            self._missing.pop(met.key, None)
        changed = self.met[met.key] = met._replace(fate=fate, time=now, detail=detail)
        return changed

    def _whole(self, key: str, event: Finished) -> bool:
        """Whether it has all of the file now: it may have come in pieces."""
        try:
            size = os.stat(event.file).st_size
        except OSError:
            return True
        name, octets = self._pieces.pop(key, ("", 0))
        octets = event.bytes + (octets if name == event.file else 0)
        if octets < size:
            self._pieces[key] = event.file, octets
        return octets >= size

    def _saw(self, event: Finished) -> None:
        macs = self._macs.get(event.peer)
        if macs is None:
            if len(self._macs) >= ADDRESSES:
                self._macs.clear()
            macs = self._macs[event.peer] = {}
        if len(macs) < 4 or event.mac in macs:
            macs[event.mac] = event.time
        before = self.met.get(event.peer)
        if before is not None and before.counts:  # what it did before it said its MAC: not another phone
            self.met[event.peer] = before._replace(counts=False)

    def _alone(self, event: Finished) -> bool:
        """Whether nobody else showed a MAC at this address within a day."""
        macs = self._macs.get(event.peer, {})
        return not any(event.time - seen < TWIN_SECONDS for mac, seen in macs.items() if mac != event.mac)


def counts(met: Iterable[Met], stage: int | None = None, since: float = 0.0) -> Counts:
    """How many there are of each fate: of all stages or of one. Trouble from before `since` is no trouble."""
    found = dict.fromkeys(Counts._fields, 0)
    for one in met:
        if stage is not None and one.stage != stage:
            continue
        fate = one.fate if one.fate not in (FAILED, LOOPS) or one.time >= since else ""
        if fate:
            found[fate if one.counts else "unknown"] += 1
    return Counts(**found)


def verdict(rollout: Rollout, met: Collection[Met]) -> str:
    """Why the present stage must not go on; empty while it may.

    One looping phone, or one that failed, may have a reason of its own: more than that, and more than the
    share that is allowed, has not.
    """
    limits = rollout.limits
    # A phone of an earlier stage that begins to loop now is this stage's trouble too.
    found = counts(met, None, rollout.since)
    trouble = found.failed + found.loops
    told = f"{found.loops} in a boot loop, {found.failed} failed"
    if limits.most >= 0:
        return f"{told}: more than the {limits.most} that are allowed" if trouble > limits.most else ""
    if 0 <= limits.loops < found.loops:
        return f"{told}: more than {limits.loops} in a boot loop"
    here = counts(met, rollout.stage)
    known = here.all - here.unknown
    if trouble > max(1, limits.loops, known * limits.percent / 100):
        return f"{told} of {known} that were reached: more than {limits.percent:g} %"
    return ""
