"""Each phone beside what the live scripts order for it: compliant, pending, stuck or unknown."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from mv_iptel.config import Config
from mv_iptel.firmware import foreseeing
from mv_iptel.firmware.compliance import STUCK_SECONDS, Known, Order, Orders, Verdict, is_same, judge
from mv_iptel.firmware.scanning import changed
from mv_iptel.phones.whom import Phone, phones_of
from mv_iptel.rollout import plans

STATES = ("compliant", "pending", "stuck", "unknown")
PIECE = 200  # phones after which other threads have their turn


class Judged(NamedTuple):
    """One phone's verdict. `id` is its row's; `order` what is ordered for it."""

    id: int
    verdict: Verdict
    order: Order
    boot: float  # when it read its upgrade script last
    release: str = ""  # of the roll-out in whose ring it is


class Fact(NamedTuple):
    """What else than its row is known of a phone."""

    script: str = ""
    asked: float = 0.0
    group: str = ""


Got = Callable[[set[str]], Mapping[int, Mapping[str, float]]]  # names, folded -> by phone when it got each


class Judging:
    """The scripts as they are now, played once for each kind of phone."""

    def __init__(self, config: Config):
        self._live = Orders(foreseeing.served(config, {}), lambda *name: changed(config, *name))
        self._ring: Orders | None = None
        self._met: Mapping[str, plans.Met] = {}
        self._release = ""
        self._orders: dict[tuple[Phone, str, str], tuple[Order, Callable[[str], bool]]] = {}
        rollout = plans.load(config.home)
        if rollout is not None and rollout.state not in plans.OVER:
            self._release, self._met = rollout.release, plans.read(plans.log_of(config.home, rollout.run))

    def order(self, row: Mapping[str, Any], fact: Fact) -> Order:
        """What the live scripts order for the phone of this row."""
        scripts = {row["key"]: fact.script} if fact.script else {}
        (phone,) = phones_of([row], scripts)
        kind = phone._replace(mac=""), row["model"], fact.group
        found = self._orders.get(kind)
        if found is None:
            order = self._live.of(*kind)
            found = self._orders[kind] = order, self._live.by_mac(*kind)
        order, known = found
        return self._live.of(phone, row["model"], fact.group) if row["mac"] and known(row["mac"]) else order

    def all(
        self, rows: Iterable[Mapping[str, Any]], facts: Mapping[int, Fact], got: Got, now: float
    ) -> Iterator[Judged]:
        """Each phone's verdict. `got` is asked once, about what phones do not run."""
        nothing = Fact()
        parts = []
        for number, row in enumerate(rows):
            if number % PIECE == PIECE - 1:
                time.sleep(0)  # this is one of many threads, and the others have somebody waiting
            parts.append((row, facts.get(row["id"], nothing), self.order(row, facts.get(row["id"], nothing))))
        late = {
            order.software.casefold()
            for row, _, order in parts
            if order.software and row["runs"] and not is_same(row["runs"], order.software)
        }
        fetched = got(late) if late else {}
        for number, (row, fact, order) in enumerate(parts):
            if number % PIECE == PIECE - 1:
                time.sleep(0)
            known = Known(
                row["runs"],
                row["runs_source"],
                row["runs_seen"],
                fact.group,
                fact.asked,
                fetched.get(row["id"], {}),
            )
            verdict = judge(known, order, now, STUCK_SECONDS)
            release = self._release if row["key"] in self._met else ""
            if release:
                verdict = verdict._replace(text=f"in the ring of {release}: {verdict.text}")
            yield Judged(row["id"], verdict, order, fact.asked, release)


def counts(judged: Iterable[Judged]) -> dict[str, int]:
    """How many phones are in each state."""
    counted = Counter(one.verdict.state for one in judged)
    return {state: counted[state] for state in STATES}
