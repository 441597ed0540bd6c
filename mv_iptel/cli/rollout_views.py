"""How a roll-out is shown: what it will cost, where it is, what became of its phones; also for JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mv_iptel.cli.firmware_views import ways
from mv_iptel.cli.forms import Columns, day, moment
from mv_iptel.cli.options import console
from mv_iptel.firmware.planning import Plan
from mv_iptel.journal import plain
from mv_iptel.rollout.estimating import Ahead
from mv_iptel.rollout.judging import counts
from mv_iptel.rollout.plans import FAILED, LOOPS, OVER, RUNNING, Met, Rollout
from mv_iptel.rollout.steering import scripts_of
from mv_iptel.status.words import mac, many, size, span

DESPITE = ("--despite-losses", "--despite-errors")
SHOWN = 20  # phones that status names, unless --all
STYLES = {"running": "green", "done": "green", "paused": "yellow", "aborted": "yellow", "halted": "bold red"}


def told(rollout: Rollout) -> dict[str, Any]:
    """For JSON."""
    return {
        "release": rollout.release, "run": rollout.run, "state": rollout.state, "stage": rollout.stage + 1,
        "stages": [stage.words() for stage in rollout.stages], "began": moment(rollout.began),
        "changed": moment(rollout.changed), "note": rollout.note,
    }  # fmt: skip


def against(why: Iterable[str], made: Plan | None, losses: bool = False, errors: bool = False) -> None:
    """What stands against it, and which options would have it done all the same."""
    for one in why:
        console.print(f"against it: {plain(one, 500)}", style="red", markup=False)
    for option, what in (ways(made, losses, errors, DESPITE) if made else {}).items():
        console.print(f"  {option}: {what}", style="yellow", markup=False)


# What it will cost.


def plan(made: Plan, parts: Iterable[Ahead], why: list[str]) -> dict[str, Any]:
    """For JSON."""
    return {
        "release": made.release.id, "scripts": _scripts(made), "against": why,
        "losses": [one._asdict() for one in made.losses],
        "stages": [
            {"who": part.stage.words() if part.stage else "everybody else", "phones": part.phones,
             "asked": part.asked, "bytes": part.octets, "seconds": round(part.seconds, 1),
             "models": [load._asdict() for load in part.loads]}
            for part in parts
        ],
    }  # fmt: skip


def show_plan(made: Plan, parts: Iterable[Ahead], why: list[str], megabits: float) -> None:
    names = ", ".join(map(plain, _scripts(made))) or "no new script"
    console.print(f"{made.release.id} brings {names}", markup=False)
    table = Columns("stage", "who", ">phones", ">may be", ">each", ">together", ">takes")
    for number, part in enumerate(parts, 1):
        who = part.stage.words() if part.stage else "everybody else: it is published"
        table.add_row(
            str(number), who, str(part.phones), str(part.asked) if part.asked else "",
            _each(part), size(part.octets), span(part.seconds) if part.seconds >= 1 else "below 1 s",
        )  # fmt: skip
    table.show()
    note = "times suppose that all of a stage load at once, and that all who may be in it are"
    console.print(f"{note}; at {megabits:g} Mbit/s", style="dim", markup=False)
    for one in made.losses:
        known = many(one.phones, "phone") if one.phones else "none seen"
        text = f"comes off worse: {plain(one.who)} ({known}): {plain(one.text)}"
        console.print(text, style="red", markup=False)
    against(why, made)


def _scripts(made: Plan) -> list[str]:
    return sorted({name for named in scripts_of(made).values() for name in named})


def _each(part: Ahead) -> str:
    sizes = sorted({load.octets for load in part.loads if load.octets})
    if not sizes:
        return ""
    return size(sizes[0]) if len(sizes) == 1 else f"{size(sizes[0])} to {size(sizes[-1])}"


# Where it is.


def status(rollout: Rollout, met: Mapping[str, Met]) -> dict[str, Any]:
    """For JSON."""
    return {
        **told(rollout), **counts(met.values())._asdict(),
        "by_stage": [counts(met.values(), stage)._asdict() for stage in range(len(rollout.stages))],
        "phones": [{**one._asdict(), "stage": one.stage + 1, "time": moment(one.time)}
                   for one in sorted(met.values())],
    }  # fmt: skip


def show_status(rollout: Rollout, met: Mapping[str, Met], everyone: bool) -> None:
    style = STYLES[rollout.state]
    console.print(f"{rollout.release} is {rollout.state}", style=style, markup=False)
    if rollout.note:
        console.print(f"  {plain(rollout.note, 500)}", style=style, markup=False)
    times = f"  begun {day(rollout.began)}, {rollout.state} since {day(rollout.changed)}"
    console.print(times, style="dim", markup=False)
    table = Columns("stage", "who", ">run it", ">loaded", ">reached", ">failed", ">loop", ">unknown", "")
    for number, stage in enumerate(rollout.stages):
        one = counts(met.values(), number)
        now = "now" if number == rollout.stage and rollout.state not in OVER else ""
        parts = (one.runs, one.loaded, one.reached, one.failed, one.loops, one.unknown)
        table.add_row(str(number + 1), stage.words(), *(str(part) if part else "" for part in parts), now)
    table.show()
    _name(met.values(), everyone)
    for text in _next(rollout):
        console.print(text, style="dim", markup=False)
    if counts(met.values()).unknown:
        text = "unknown: their model is not known or their address not theirs alone; they count neither way"
        console.print(text, style="dim", markup=False)


def _next(rollout: Rollout) -> list[str]:
    """What may be done now, and what comes of it."""
    if rollout.state in OVER:
        return []
    after = (
        "publishes it to everybody"
        if rollout.last
        else f"gives it to {rollout.stages[rollout.stage + 1].words()} too"
    )
    if rollout.state == RUNNING:
        return [f"`mv-iptel rollout promote` {after}"]
    return [
        "phones that have the new scripts keep them, nobody else gets them",
        f"`mv-iptel rollout start {rollout.release}` goes on in this stage",
        f"`mv-iptel rollout promote --force` {after}",
        "`mv-iptel rollout abort` gives everybody the live scripts again, which send upgraded phones back",
    ]


def _name(met: Iterable[Met], everyone: bool) -> None:
    phones = [one for one in met if everyone or (one.fate in (FAILED, LOOPS) and one.counts)]
    phones.sort(key=lambda one: -one.time)
    for one in phones[: None if everyone else SHOWN]:
        who = " ".join(plain(part) for part in (one.model, mac(one.mac), one.address) if part)
        style = "red" if one.fate in (FAILED, LOOPS) else ""
        text = f"  {day(one.time)}  {who}: {one.fate}, {plain(one.detail)}".rstrip(", ")
        console.print(text, style=style, markup=False)
    if len(phones) > SHOWN and not everyone:
        console.print(f"  and {len(phones) - SHOWN} more; --all names them", style="dim", markup=False)
