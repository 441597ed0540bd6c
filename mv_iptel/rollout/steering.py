"""What an administrator does with a roll-out: start it, let it go on, hold it, end it.

A refusal is a `Refused` with a sentence. Everything happens under the lock of those who work on releases;
`tell` reaches the running server where it must know before the next step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

from mv_iptel.firmware.releases import RING, STAGED, Release, Releases
from mv_iptel.firmware.working import alone
from mv_iptel.home import Home
from mv_iptel.rollout import plans
from mv_iptel.rollout.plans import ABORTED, DONE, HALTED, OVER, PAUSED, RUNNING, Limits, Rollout
from mv_iptel.rollout.rings import Stage

Scripts = Mapping[str, Mapping[str, str]]  # place -> name -> sha256


class Refused(NamedTuple):
    """It was not done, and nothing was changed."""

    text: str


class Publisher(Protocol):
    """What of `firmware.publishing.Publisher` a roll-out needs; each may give or raise what is wrong."""

    def expose(self, ident: str) -> Any: ...

    def withdraw(self, ident: str) -> Any: ...

    def publish(self, ident: str, live: str = "stop") -> Any: ...


def start(
    home: Home, release: Release, stages: Iterable[Stage], limits: Limits, live: str, scripts: Scripts,
    publisher: Publisher, now: float,
) -> Rollout | Refused:  # fmt: skip
    """Begin: the files are put where phones can fetch them, then the first stage's phones get the scripts."""
    with alone(home):
        old = plans.load(home)
        if old is not None and old.state not in OVER:
            return Refused(
                f"the roll-out of {old.release} is {old.state}; promote it to its end, or abort it first"
            )
        found = Releases(home).get(release.id)
        if found is None or found.state not in (STAGED, RING):
            state = "gone" if found is None else found.state
            return Refused(f"{release.id} is {state}; only a release that is staged can be rolled out")
        if not any(scripts.values()):
            return Refused(f"{release.id} changes no script, so no phone would notice; publish it instead")
        publisher.expose(release.id)
        begun = Rollout(
            plans.new_run(), release.id, RUNNING, tuple(stages), 0, now, now, now, live, scripts, limits
        )
        plans.save(home, begun)
        return begun


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
    home: Home, publisher: Publisher, now: float, force: bool = False, live: str = ""
) -> Rollout | Refused:
    """The next stage; after the last one everybody: the release is published."""
    with alone(home):
        old = _under_way(home)
        if isinstance(old, Refused):
            return old
        if old.state == HALTED and not force:
            return Refused(f"the roll-out of {old.release} has halted: {old.note}. --force goes on")
        if old.state == PAUSED and not force:
            return Refused(f"the roll-out of {old.release} is paused; start it again, or give --force")
        if not old.last:
            return _saved(home, replace(old.to(RUNNING, now), stage=old.stage + 1, since=now))
        publisher.publish(old.release, live=live or old.live)
        return _saved(home, old.to(DONE, now))


def abort(
    home: Home, publisher: Publisher, now: float, tell: Callable[[], None] = lambda: None
) -> Rollout | Refused:
    """End it: everybody gets the live scripts again, and those send phones back to the old firmware."""
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
