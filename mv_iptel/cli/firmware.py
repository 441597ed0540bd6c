"""The command `firmware`: releases from the zip to the phones, and back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mv_iptel.cli.asking import changing, installed, refresh
from mv_iptel.cli.firmware_scan import scan_phones
from mv_iptel.cli.firmware_views import as_dict, show_list, show_plan, show_release, show_verified, ways
from mv_iptel.cli.forms import bar
from mv_iptel.cli.options import NEGATIVE, USAGE, common, console, end, errors, failed, print_json
from mv_iptel.config import Config
from mv_iptel.events import Event
from mv_iptel.firmware import intake
from mv_iptel.firmware.carrying import Step
from mv_iptel.firmware.planning import Plan, plan
from mv_iptel.firmware.publishing import Done, Held, Publisher, reasons
from mv_iptel.firmware.releases import REFUSED, Release, Releases, named
from mv_iptel.firmware.verifying import verify
from mv_iptel.home import Home
from mv_iptel.journal import plain
from mv_iptel.status.words import many


@click.group()
def firmware() -> None:
    """Firmware releases: what is there, publishing it to the phones, and taking it back.

    \b
    Examples:
      mv-iptel firmware install 96x1-IPT-H323-R6_8.zip
      mv-iptel firmware publish 96x1-IPT-H323-R6_8
      mv-iptel firmware rollback
      mv-iptel firmware verify
    """


def _choice(command: Callable[..., Any]) -> Callable[..., Any]:
    """What becomes of scripts that the site has changed, and who is asked."""
    for option in (
        click.option("--force", is_flag=True, help="Although lint finds errors in it."),
        click.option("--yes", is_flag=True, help="Although phones lose firmware or settings; do not ask."),
        click.option(
            "--merge", "live", flag_value="merge", help="Carry over what the site put at their top."
        ),
        click.option("--replace", "live", flag_value="replace", help="Put the vendor's in their place."),
        click.option("--keep", "live", flag_value="keep", help="Scripts that the site has changed stay."),
    ):
        command = option(command)
    return command


# list


@firmware.command(name="list")
@click.option("--all", "everything", is_flag=True, help="Also what was refused or removed.")
@common
def list_releases(home: Home, as_json: bool, everything: bool) -> None:
    """List the releases, the newest first, and what became of each.

    \b
    Example:
      mv-iptel firmware list
    """
    config = installed(home)
    found = Releases(config.home).all()
    if not everything:
        found = [one for one in found if one.state not in ("removed", REFUSED)]
    if as_json:
        print_json([as_dict(one) for one in found])
    else:
        show_list(found, config.home)
    end(0 if found else NEGATIVE)


# show


@firmware.command(name="show")
@click.argument("release")
@common
def show_one(home: Home, as_json: bool, release: str) -> None:
    """Show what is in a release, and what publishing it would do now.

    RELEASE is its id, what stands before the checksum, or the checksum.

    \b
    Example:
      mv-iptel firmware show 96x1-IPT-H323-R6_8
    """
    config = installed(home)
    one = meant(config, release)
    made = planned(config, one, "stop") if one.state in ("staged", "ring", "superseded") else None
    if as_json:
        print_json({**as_dict(one, files=True), "plan": as_dict(made) if made else None})
        return
    show_release(one)
    if made:
        show_plan(made)


# install


@firmware.command(name="install")
@click.argument("archive", metavar="ZIP|TAR", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--publish", "at_once", is_flag=True, help="Publish it when nothing stands against it.")
@_choice
@common
def install_archive(
    home: Home, as_json: bool, archive: Path, at_once: bool, live: str | None, yes: bool, force: bool
) -> None:
    """Take in a zip or tar of the vendor's, and show what is in it and whom publishing it would touch.

    No phone sees anything of it before it is published: with --publish, or later with `firmware publish`.

    \b
    Examples:
      mv-iptel firmware install 96x1-IPT-H323-R6_8.zip
      mv-iptel firmware install J100-IPT-SIP-R4_1_3.zip --publish --merge
    """
    config = changing(home, archive)
    publisher = _publisher(config, as_json)
    try:
        intake.clean(config.home)
        with bar(as_json) as told:
            one = intake.take(config, archive, "command", lambda at: told(at.what, at.done, at.total))
    except OSError as error:
        failed(error)
    if one.state == REFUSED:
        if as_json:
            print_json(as_dict(one))
        end(NEGATIVE, f"{archive.name} is refused: {one.note}")
    made = planned(config, one, live or "stop")
    if not as_json:
        show_release(one)
        show_plan(made)
    if not at_once:
        refresh(config)
        if as_json:
            print_json({**as_dict(one, files=True), "plan": as_dict(made)})
        else:
            console.print(f"`mv-iptel firmware publish {one.id}` publishes it", style="dim", markup=False)
            for option, what in ways(made, yes, force).items():
                console.print(f"  it has to be told {option}: {what}", style="yellow", markup=False)
        return
    _publish(config, publisher, one, made, live, yes, force, as_json)


# publish


@firmware.command(name="publish")
@click.argument("release")
@_choice
@common
def publish_release(
    home: Home, as_json: bool, release: str, live: str | None, yes: bool, force: bool
) -> None:
    """Publish a release to every phone: binaries first, scripts last, the site's settings never.

    It is held where a script was changed by the site (choose --keep, --replace or --merge), where phones
    would lose firmware or settings (--yes) and where lint finds errors (--force). To try it on some phones
    first there is `mv-iptel rollout`.

    \b
    Examples:
      mv-iptel firmware publish 96x1-IPT-H323-R6_8
      mv-iptel firmware publish 96x1-IPT-H323-R6_8 --merge
    """
    config = changing(home)
    publisher = _publisher(config, as_json)
    one = meant(config, release)
    made = planned(config, one, live or "stop")
    if not as_json:
        show_plan(made)
    _publish(config, publisher, one, made, live, yes, force, as_json)


def _publish(
    config: Config, publisher: Publisher, one: Release, made: Plan, live: str | None, yes: bool, force: bool,
    as_json: bool,
) -> None:  # fmt: skip
    asks = console.is_terminal and not as_json
    if made.losses and not yes and asks and not reasons(made, True, force):
        yes = click.confirm("Publish it all the same?")
    _did(
        config, as_json, f"{one.id} is published",
        lambda step: publisher.publish(one.id, live or "stop", losses=yes, force=force, step=step),
        yes, force,
    )  # fmt: skip


# rollback


@firmware.command(name="rollback")
@click.argument("release", required=False)
@click.option("--keep", "live", flag_value="keep", help="Scripts that the site has changed since stay.")
@click.option(
    "--replace", "live", flag_value="replace", help="Replace them too; they are kept in the history."
)
@common
def roll_back(home: Home, as_json: bool, release: str | None, live: str | None) -> None:
    """Serve again what a release replaced: the one published last, or the one named.

    Firmware that a script still names, or that a phone asked for within 14 days, stays.

    \b
    Examples:
      mv-iptel firmware rollback
      mv-iptel firmware rollback 96x1-IPT-H323-R6_8
    """
    config = changing(home)
    publisher = _publisher(config, as_json)
    ident = meant(config, release).id if release else None
    _did(config, as_json, "taken back: ", lambda _: publisher.rollback(ident, live or "stop"))


# remove


@firmware.command(name="remove")
@click.argument("release")
@common
def remove_release(home: Home, as_json: bool, release: str) -> None:
    """Remove a release that is not published: what only it has goes, from what is served and from the disk.

    Refused while a served script names a file of it, or a phone asked for one within 14 days.

    \b
    Example:
      mv-iptel firmware remove 96x1-IPT-H323-R6_6
    """
    config = changing(home)
    publisher = _publisher(config, as_json)
    one = meant(config, release)
    _did(config, as_json, f"{one.id} is removed", lambda _: publisher.remove(one.id))


# verify


@firmware.command(name="verify")
@common
def verify_published(home: Home, as_json: bool) -> None:
    """Read everything that is published again, and name what is not as it was.

    Ends with 1 where a file is missing or was changed behind our back. Settings are the site's own: they are
    told, and no fault.

    \b
    Example:
      mv-iptel firmware verify
    """
    config = installed(home)
    try:
        with bar(as_json) as told:
            found = verify(config, lambda done, total: told("reading", done, total))
    except OSError as error:
        failed(error)
    if as_json:
        print_json({**found._asdict(), "found": [one._asdict() for one in found.found]})
    else:
        show_verified(found)
    end(0 if found.sound else NEGATIVE)


# What they share.


def meant(config: Config, text: str) -> Release:
    """The release that somebody named; the end if there is none, or more than one."""
    found = named(Releases(config.home).all(), text)
    if not found:
        end(NEGATIVE, f"there is no release {plain(text)}; `mv-iptel firmware list` shows all")
    if len(found) > 1:
        names = ", ".join(one.id for one in found)
        end(USAGE, f"{plain(text)} may be {names}; name one by its whole id")
    return found[0]


def _publisher(config: Config, as_json: bool) -> Publisher:
    """One that says what happens; what a crash left is finished or undone before anything else."""

    def tell(event: Event) -> None:
        if not as_json and getattr(event, "kind", "") in ("firmware-recovered", "firmware-fault"):
            errors.print(plain(getattr(event, "text", ""), 1000), style="yellow", markup=False)

    publisher = Publisher(config, tell)
    try:
        publisher.recover()
    except OSError as error:
        failed(error, "what a crash left could not be finished")
    return publisher


def planned(config: Config, one: Release, live: str) -> Plan:
    """What publishing it would do now; the end if that cannot be found out."""
    try:
        return plan(config, one, live)
    except OSError as error:
        failed(error, f"{one.id} cannot be looked at")


def _did(
    config: Config, as_json: bool, text: str, work: Callable[[Step], Done | Held], yes: bool = False,
    force: bool = False,
) -> None:  # fmt: skip
    try:
        with bar(as_json) as told:
            done = work(lambda count, total: told("publishing", count, total))
    except OSError as error:
        failed(error, "nothing was changed")
    if isinstance(done, Held):
        more = ways(done.plan, yes, force) if done.plan else {}
        if as_json:
            print_json({"done": False, "why": list(done.why), "options": list(more)})
            end(NEGATIVE)
        lines = [*(f"  {one}" for one in done.why), *(f"{option}: {what}" for option, what in more.items())]
        end(NEGATIVE, "\n".join(["Nothing was changed:", *lines]))
    refresh(config)
    if as_json:
        told = {"done": True, "generation": done.generation, "changed": done.changed, "left": list(done.left)}
        print_json({**as_dict(done.release), **told})
        return
    text += done.release.id if text.endswith(" ") else ""
    told = f"; {many(done.changed, 'file')} changed" if done.changed else ""
    console.print(f"{text}{told}", style="green", markup=False)
    for one in done.left:
        console.print(f"  {plain(one, 300)}", style="dim", markup=False)


firmware.add_command(scan_phones)
commands: list[click.Command] = [firmware]
