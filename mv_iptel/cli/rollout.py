"""The command `rollout`: a release for some phones first; it halts by itself when they do not take it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import click

from mv_iptel.cli.asking import changing, installed, refresh
from mv_iptel.cli.options import NEGATIVE, USAGE, common, console, end, errors, failed, print_json
from mv_iptel.config import Config
from mv_iptel.home import Home
from mv_iptel.journal import plain
from mv_iptel.status.words import many


@click.group()
def rollout() -> None:
    """Roll a release out in stages: some phones get the new scripts, all others keep the old ones.

    \b
    Examples:
      mv-iptel rollout plan 96xx-3_2_1 --group 5 --stage to=10.1.0.0/16
      mv-iptel rollout start 96xx-3_2_1 --group 5 --stage to=10.1.0.0/16
      mv-iptel rollout status

    A phone of the ring counts as upgraded when it says that it runs the new firmware, or reads the new script
    and goes on to its settings without loading anything. Three downloads within 30 minutes are a boot loop.
    """


def _ring(command: Callable[..., Any]) -> Callable[..., Any]:
    """Who comes first, and what may be done to the live scripts."""
    options = [
        click.option("--to", multiple=True, metavar="NET", help="First these: 10.1.0.0/16, 10.1.2.3."),
        click.option("--model", "models", multiple=True, metavar="MODEL", help="First models that begin so."),
        click.option("--group", "groups", multiple=True, metavar="N", help="First phones in this GROUP."),
        click.option(
            "--stage", "stages", multiple=True, metavar="WHO",
            help="Then these: 'to=10.1.0.0/16 model=9620 group=5'. May be given again; at the end come all.",
        ),
        click.option("--keep", "live", flag_value="keep", help="Scripts that the site has changed stay."),
        click.option("--replace", "live", flag_value="replace", help="... are replaced."),
        click.option("--merge", "live", flag_value="merge", help="... keep what stands at their top."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def _accepting(command: Callable[..., Any]) -> Callable[..., Any]:
    losses = click.option("--despite-losses", is_flag=True, help="Phones may lose their firmware by it.")
    errors = click.option("--despite-errors", is_flag=True, help="What lint calls errors is known.")
    return losses(errors(command))


# plan


@rollout.command(name="plan")
@click.argument("release", metavar="RELEASE")
@_ring
@click.option(
    "--bandwidth", type=click.FloatRange(0.01), default=100.0, show_default=True, metavar="MBIT",
    help="Megabits a second of the line to the phones.",
)  # fmt: skip
@common
def plan_rollout(
    home: Home, as_json: bool, release: str, to: tuple[str, ...], models: tuple[str, ...],
    groups: tuple[str, ...], stages: tuple[str, ...], live: str | None, bandwidth: float,
) -> None:  # fmt: skip
    """Say beforehand how many phones each stage has, how long it takes, and who would lose its firmware.

    \b
    Examples:
      mv-iptel rollout plan 96xx-3_2_1 --group 5 --stage to=10.1.0.0/16 --bandwidth 20
      mv-iptel rollout plan 96xx-3_2_1 --to 10.1.2.0/28 --model 9620 --json

    Nothing is changed. Phones are those of the inventory; a group is known to the phone alone, so phones that
    may be in it are counted apart. Ends with 1 if something stands against it.
    """
    from mv_iptel.cli import rollout_views as views
    from mv_iptel.firmware import foreseeing
    from mv_iptel.firmware.publishing import reasons
    from mv_iptel.firmware.releases import Releases
    from mv_iptel.inventory import Reader
    from mv_iptel.rollout.estimating import ahead

    config = installed(home)
    chosen = _stages(to, models, groups, stages)
    made = _planned(config, release, live or "stop")
    why = reasons(made, losses=True)
    new = foreseeing.served(config, made.changed(Releases(home)))
    reader = Reader(config.settings.database)
    rows, scripts = reader.phones(limit=1_000_000), reader.upgrade_scripts()
    reader.close()
    parts = ahead(chosen, new, made.release, rows, scripts, bandwidth * 1e6)
    if as_json:
        print_json(views.plan(made, parts, why))
    else:
        views.show_plan(made, parts, why, bandwidth)
    end(NEGATIVE if why or made.losses else 0)


# start


@rollout.command(name="start")
@click.argument("release", metavar="RELEASE")
@_ring
@click.option(
    "--max-failures", "most", default="", metavar="N|PCT%",
    help="Halt at more failures and boot loops than N, or than PCT% of the phones reached. "
    "Default: at a second boot loop, or at two failures that are more than 5%.",
)  # fmt: skip
@_accepting
@common
def start_rollout(
    home: Home, as_json: bool, release: str, to: tuple[str, ...], models: tuple[str, ...],
    groups: tuple[str, ...], stages: tuple[str, ...], live: str | None, most: str, despite_losses: bool,
    despite_errors: bool,
) -> None:  # fmt: skip
    """Begin with the first stage; or go on with the same release after a pause or a halt.

    \b
    Examples:
      mv-iptel rollout start 96xx-3_2_1 --group 5 --stage to=10.1.0.0/16
      mv-iptel rollout start 96xx-3_2_1 --to 10.1.2.0/28 --model 9620 --max-failures 0
      mv-iptel rollout start 96xx-3_2_1

    The release's files are laid out, then the phones of the stage get its scripts when they boot next. Of
    what is named, each sort must fit: --to and --model together mean that model at those addresses.
    """
    from mv_iptel.firmware.releases import called
    from mv_iptel.rollout import plans, steering

    config = changing(home)
    now = time.time()
    old = plans.load(home)
    if old is not None and old.state in (plans.PAUSED, plans.HALTED) and called(old.release, release):
        if any((to, models, groups, stages, live, most)):
            end(
                USAGE,
                f"{old.release} is {old.state}: it goes on as it was begun; or abort it and start anew",
            )
        _did(config, as_json, lambda: steering.resume(home, now), "goes on")
        return
    terms = plans.Terms(live or "stop", despite_losses, despite_errors)
    limits, chosen = _limits(most), _stages(to, models, groups, stages)
    made = _planned(config, release, terms.live)
    _did(
        config, as_json,
        lambda: steering.start(_publisher(config), made, chosen, limits, terms, now),
        f"has begun with {chosen[0].words()}", terms,
    )  # fmt: skip


def _limits(text: str) -> Any:
    from mv_iptel.rollout.plans import Limits

    if not text:
        return Limits()
    number = text.strip().removesuffix("%")
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not 0 <= value <= (100 if "%" in text else 1e6) or ("%" not in text and value != int(value)):
        end(USAGE, f"--max-failures {plain(text)}: a number such as 3, or a share such as 2%")
    return Limits(loops=-1, percent=value) if "%" in text else Limits(most=int(value))


# promote, pause, abort


@rollout.command(name="promote")
@click.option("--force", is_flag=True, help="Although it has halted or is paused.")
@click.option("--keep", "live", flag_value="keep", help="At the end: live scripts that were changed stay.")
@click.option("--replace", "live", flag_value="replace", help="... are replaced.")
@click.option("--merge", "live", flag_value="merge", help="... keep what stands at their top.")
@_accepting
@common
def promote_rollout(
    home: Home, as_json: bool, force: bool, live: str | None, despite_losses: bool, despite_errors: bool
) -> None:
    """Go on to the next stage; after the last one the release is published to every phone.

    \b
    Examples:
      mv-iptel rollout promote
      mv-iptel rollout promote --force --despite-losses
    """
    from mv_iptel.rollout import plans, steering

    config = changing(home)
    old = plans.load(home)
    terms = None
    if old is not None:
        was = old.terms
        terms = plans.Terms(live or was.live, was.losses or despite_losses, was.force or despite_errors)
    _did(config, as_json, lambda: steering.promote(_publisher(config), time.time(), force, terms), "goes on",
         terms)  # fmt: skip


@rollout.command(name="pause")
@common
def pause_rollout(home: Home, as_json: bool) -> None:
    """Freeze it: phones that have the new firmware keep it, no others get it.

    \b
    Example:
      mv-iptel rollout pause
    """
    from mv_iptel.rollout import steering

    _did(changing(home), as_json, lambda: steering.pause(home, time.time()), "is paused")


@rollout.command(name="abort")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common
def abort_rollout(home: Home, as_json: bool, yes: bool) -> None:
    """End it: every phone gets the live scripts again, which send upgraded phones back at their next boot.

    \b
    Example:
      mv-iptel rollout abort --yes
    """
    from mv_iptel.rollout import judging, plans, steering

    config = changing(home)
    old = plans.load(home)
    if old is not None and old.state not in plans.OVER:
        has = judging.counts(plans.read(plans.log_of(home, old.run)).values()).all
        text = (
            f"{many(has, 'phone')} with the new scripts will be sent back when they boot; `pause` keeps them"
        )
        if as_json and not yes:
            end(USAGE, f"{text}; say --yes")
        if not yes and not click.confirm(f"{text}. Abort?", default=False, err=True):
            end(NEGATIVE, "nothing was changed")
    _did(config, as_json, lambda: steering.abort(_publisher(config), time.time(), lambda: refresh(config)),
         "is aborted")  # fmt: skip


# status


@rollout.command(name="status")
@click.option("--all", "everyone", is_flag=True, help="Name every phone, not only those in trouble.")
@common
def status_rollout(home: Home, as_json: bool, everyone: bool) -> None:
    """Show where a roll-out is, what became of its phones, and why it halted.

    \b
    Examples:
      mv-iptel rollout status
      mv-iptel rollout status --all --json

    Ends with 0 if it runs or is done, with 1 if it halted, is paused or aborted, or if there is none.
    """
    from mv_iptel.cli import rollout_views as views
    from mv_iptel.rollout import plans

    installed(home)
    found = plans.load(home)
    if found is None:
        end(NEGATIVE, "no roll-out was ever begun")
    met = plans.read(plans.log_of(home, found.run))
    if as_json:
        print_json(views.status(found, met))
    else:
        views.show_status(found, met, everyone)
    end(0 if found.state in (plans.RUNNING, plans.DONE) else NEGATIVE)


# What they share.


def _stages(
    to: Iterable[str], models: Iterable[str], groups: Iterable[str], more: Iterable[str]
) -> list[Any]:
    from mv_iptel.phones.families import MODELS
    from mv_iptel.rollout.rings import parse, stage_of

    try:
        found = [stage_of(to, models, groups)] if any((to, models, groups)) else []
        found += [parse(text) for text in more]
    except ValueError as error:
        end(USAGE, plain(str(error)))
    known = [model.casefold() for model in MODELS]
    for model in dict.fromkeys(model for stage in found for model in stage.models):
        named = model.casefold()
        if not any(one.startswith(named) or named.startswith(one) for one in known):
            errors.print(f"no known model begins with {plain(model)}", style="yellow", markup=False)
    return found or end(USAGE, "say who comes first: --to, --model, --group or --stage; see --help")


def _planned(config: Config, text: str, live: str) -> Any:
    """What publishing the release that is meant would do; the end if none is, or if it cannot be read."""
    from mv_iptel.cli.firmware import meant, planned

    return planned(config, meant(config, text), live)


def _publisher(config: Config) -> Any:
    from mv_iptel.firmware.publishing import Publisher

    return Publisher(config, lambda event: None)


def _did(config: Config, as_json: bool, work: Callable[[], Any], done: str, terms: Any = None) -> None:
    """Do it, tell the running server, and say what is now."""
    from mv_iptel.cli import rollout_views as views
    from mv_iptel.rollout.steering import Refused

    try:
        found = work()
    except OSError as error:
        failed(error, "it was not done")
    if isinstance(found, Refused):
        if as_json:
            print_json({"done": False, "why": list(found.why) or [found.text]})
            end(NEGATIVE)
        if not found.why:
            end(NEGATIVE, found.text)
        views.against(found.why, found.plan, *(terms[1:] if terms else ()))
        end(NEGATIVE, "nothing was changed")
    refresh(config)
    if as_json:
        print_json(views.told(found))
        return
    what = "is published to every phone" if found.state == "done" else done
    console.print(f"the roll-out of {found.release} {what}", style="green", markup=False)
    if found.state == "running":
        stage = found.stages[found.stage]
        text = f"stage {found.stage + 1} of {len(found.stages)}: {stage.words()}; phones come in as they boot"
        console.print(f"  {text}", markup=False)


commands: list[click.Command] = [rollout]
