"""What an administrator does with a roll-out: start it, let it go on, hold it, end it.

A refusal is a `Refused` with a sentence. Everything happens under the lock of those who work on releases;
`tell` reaches the running server where it must know before the next step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple

from mv_iptel.firmware.planning import Plan
from mv_iptel.firmware.publishing import Held, Publisher, reasons
from mv_iptel.firmware.working import alone
from mv_iptel.home import Home
from mv_iptel.rollout import plans
from mv_iptel.rollout.plans import ABORTED, DONE, HALTED, OVER, PAUSED, RUNNING, Limits, Rollout, Terms
from mv_iptel.rollout.rings import Stage


class Refused(NamedTuple):
    """It was not done, and nothing was changed. `why` and `plan`: what stands against the release."""

    text: str
    why: tuple[str, ...] = ()
    plan: Plan | None = None


def scripts_of(plan: Plan) -> dict[str, dict[str, str]]:
    """What the ring gets: the scripts as they would be published, merged where the site has its own lines."""
    found: dict[str, dict[str, str]] = {}
    for one in plan.items:
        if one.file.role == "script" and one.entry is not None and one.what in ("new", "replaced", "merged"):
            found.setdefault(one.file.place, {})[one.entry.name] = one.entry.sha256
    return found


def start(
    publisher: Publisher, plan: Plan, stages: Iterable[Stage], limits: Limits, terms: Terms, now: float
) -> Rollout | Refused:
    """Begin: the files are put where phones can fetch them, then the first stage's phones get the scripts.

    `plan` is what publishing the release by these terms would do.
    """
    home, release = publisher.home, plan.release
    with alone(home):
        old = plans.load(home)
        if old is not None and old.state not in OVER:
            text = f"the roll-out of {old.release} is {old.state}; promote it to its end, or abort it first"
            return Refused(text)
        why = reasons(plan, terms.losses, terms.force)
        if why:
            return Refused("; ".join(why), tuple(why), plan)
        scripts = scripts_of(plan)
        if not scripts:
            return Refused(f"{release.id} changes no script, so no phone would notice; publish it instead")
        for sha256 in {one for named in scripts.values() for one in named.values()}:
            if not publisher.releases.content(sha256).is_file():  # swept since it was planned
                return Refused("somebody else worked on releases meanwhile; try again")
        done = publisher.expose(release.id)
        if isinstance(done, Held):
            return Refused("; ".join(done.why), done.why, done.plan)
        begun = Rollout(
            plans.new_run(), release.id, RUNNING, tuple(stages), 0, now, now, now, terms, scripts, limits
        )
        return _saved(home, begun)


def resume(home: Home, now: float) -> Rollout | Refused:
    """Go on after a pause or a halt; what went wrong before is forgiven."""
    with alone(home):
        old = _under_way(home)
        if isinstance(old, Refused):
            return old
        if old.state == RUNNING:
            return Refused(f"the roll-out of {old.release} is running already")
        return _saved(home, replace(old.to(RUNNING, now), since=now))


def pause(home: Home, now: float) -> Rollout | Refused:
    """Freeze it: who has the new firmware keeps it, nobody else gets it."""
    with alone(home):
        old = _under_way(home)
        if isinstance(old, Refused):
            return old
        if old.state != RUNNING:
            return Refused(f"the roll-out of {old.release} is {old.state} already")
        return _saved(home, old.to(PAUSED, now))


def promote(
    publisher: Publisher, now: float, force: bool = False, terms: Terms | None = None
) -> Rollout | Refused:
    """The next stage; after the last one everybody: the release is published, by the terms of the start."""
    home = publisher.home
    with alone(home):
        old = _under_way(home)
        if isinstance(old, Refused):
            return old
        if old.state == HALTED and not force:
            return Refused(f"the roll-out of {old.release} has halted: {old.note}; --force goes on")
        if old.state == PAUSED and not force:
            return Refused(f"the roll-out of {old.release} is paused; start it again, or give --force")
        if not old.last:
            return _saved(home, replace(old.to(RUNNING, now), stage=old.stage + 1, since=now))
        done = publisher.publish(old.release, **(terms or old.terms)._asdict(), promoted=True)
        if isinstance(done, Held):
            return Refused("; ".join(done.why), done.why, done.plan)
        return _saved(home, old.to(DONE, now))


def abort(publisher: Publisher, now: float, tell: Callable[[], None] = lambda: None) -> Rollout | Refused:
    """End it: everybody gets the live scripts again, and those send phones back to the old firmware."""
    home = publisher.home
    with alone(home):
        old = _under_way(home)
        if isinstance(old, Refused):
            return old
        ended = _saved(home, old.to(ABORTED, now))
        tell()  # no phone is sent to files that are about to go
        publisher.withdraw(old.release)
        return ended


def _under_way(home: Home) -> Rollout | Refused:
    found = plans.load(home)
    if found is None or found.state in OVER:
        return Refused("no roll-out is under way; begin one with `mv-iptel rollout start`")
    return found


def _saved(home: Home, rollout: Rollout) -> Rollout:
    plans.save(home, rollout)
    return rollout
