"""The command `service`: server, manager and watchdog as services of this host, for installations by pip."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from mv_iptel import services
from mv_iptel.certs import CertError
from mv_iptel.cli.options import NEGATIVE, USAGE, common, console, end, failed, print_json
from mv_iptel.config import Config, ConfigError, load
from mv_iptel.home import Home

ROOT = Path("/")


@click.group()
def service() -> None:
    """Run server, manager and watchdog as services of this host.

    The packages do this by themselves; this is for an installation with pip.

    \b
    Examples:
      mv-iptel service install
      mv-iptel service install --root ./look      only writes the files, below ./look
      mv-iptel service status
      mv-iptel service remove                     data and users stay
    """


@service.command(name="install")
@click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    default=ROOT,
    metavar="DIR",
    help="Write the files below DIR and run nothing: to look at them, or for an image.",
)
@click.option("--no-start", is_flag=True, help="Enable the services for the next boot, and start none now.")
@common
def install(home: Home, as_json: bool, root: Path, no_start: bool) -> None:
    """Make users, home and services, and start them. It can be run again after an upgrade.

    On Linux it needs systemd and root: three units, a daily timer for certificates, users mv-iptel,
    mv-manager and mv-watchdog in group mvuser, directories, receive buffers, and the rule by which the
    watchdog may restart the server. On Windows it makes the three services.

    \b
    Examples:
      mv-iptel service install
      mv-iptel service install --home /srv/phones --no-start
      mv-iptel service install --root ./look
    """
    if sys.platform == "win32":
        _windows(home, as_json, "install", not no_start)
        return
    bin_dir, now = services.programs(), root == ROOT
    if now:
        _may_change()
    outside = _outside(home)
    problems = services.unfit(home, bin_dir, outside)
    if problems and now:
        end(USAGE, "\n".join(["nothing was installed:", *problems]))
    try:
        written = services.install(services.pieces(home, bin_dir, outside), root)
    except OSError as error:
        failed(error, "the services' files were not written")
    notes = list(problems)
    steps = [*services.accounts_steps(), *services.start_steps(not no_start)]
    if now:
        notes += _run(services.accounts_steps(), as_json)
        notes += _home(home)
        notes += _run(services.start_steps(not no_start), as_json)
    else:
        init = services.Step((str(bin_dir / "mv-iptel"), "init", str(home.root)))
        steps.insert(1, init)
    report: dict[str, Any] = {
        "root": root, "written": written, "ran": [one.command for one in steps] if now else [],
        "to_run": [] if now else [one.command for one in steps], "notes": notes,
    }  # fmt: skip
    if as_json:
        print_json(report)
        return
    for path in written:
        console.print(f"  wrote  {path}", markup=False)
    for note in notes:
        console.print(f"  note   {note}", style="yellow", markup=False)
    if now:
        console.print("The services are installed; see `mv-iptel service status`.", markup=False)
        return
    console.print("Nothing was run. In that root, as root, it would be:", markup=False)
    for step in steps:
        console.print(f"  {shlex.join(step.command)}", markup=False)


@service.command(name="remove")
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=ROOT,
    metavar="DIR",
    help="Remove the files below DIR and run nothing.",
)
@common
def remove(home: Home, as_json: bool, root: Path) -> None:
    """Stop the services and remove them. The home, its data and the users stay.

    \b
    Examples:
      mv-iptel service remove
      mv-iptel service remove --root ./look
    """
    if sys.platform == "win32":
        _windows(home, as_json, "remove", False)
        return
    now = root == ROOT
    if now:
        _may_change()
    found = services.pieces(home, services.programs())
    notes = _run(services.stop_steps(), as_json) if now else []
    try:
        removed, kept = services.remove(found, root)
    except OSError as error:
        failed(error, "not all of the services' files were removed")
    if now:
        notes += _run([services.Step(("systemctl", "daemon-reload"), wanted=True)], as_json)
    notes += [f"{folder} holds settings of yours and was kept" for folder in kept]
    if as_json:
        print_json({"root": root, "removed": removed, "notes": notes})
        return
    for path in removed:
        console.print(f"  removed  {path}", markup=False)
    for note in notes:
        console.print(f"  note     {note}", style="yellow", markup=False)
    text = f"{home.root} and the users stay." if removed else "There were no services of this kind."
    console.print(text, markup=False)


@service.command(name="status")
@common
def status(home: Home, as_json: bool) -> None:
    """Tell how the services are. Exit code 1 if one of them does not run.

    \b
    Examples:
      mv-iptel service status
      mv-iptel service status --json
    """
    if sys.platform == "win32":
        _windows(home, as_json, "status", False)
        return
    if not services.RUNNING.is_dir():
        end(NEGATIVE, "systemd does not run on this host; see `mv-iptel status` for the server itself")
    units = services.states()
    good = bool(units) and all(unit["ActiveState"] == "active" for unit in units)
    if as_json:
        print_json({"ok": good, "units": units})
    else:
        for unit in units:
            here = unit["LoadState"] == "loaded"
            state = f"{unit['ActiveState']} ({unit['SubState']})" if here else "not installed"
            more = [unit["UnitFileState"], f"process {unit['MainPID']}" * (unit.get("MainPID", "0") != "0"),
                    f"restarted {unit['NRestarts']} times" * (unit.get("NRestarts", "0") != "0"),
                    unit.get("StatusText", "")]  # fmt: skip
            style = "green" if unit["ActiveState"] == "active" else "red"
            text = "  ".join([f"{unit['Id']:<22}", f"{state:<20}", ", ".join(filter(None, more))])
            console.print(text, style=style, markup=False)
    if not good:
        sys.exit(NEGATIVE)


def _may_change() -> None:
    """This host can have services, from us, by this user."""
    if package := services.packaged(ROOT):
        end(
            NEGATIVE, f"a package has brought the services ({package}); use systemctl and the package's tools"
        )
    if not services.RUNNING.is_dir():
        end(NEGATIVE, "systemd does not run on this host; look at the files with --root DIR")
    if os.geteuid() != 0:
        end(USAGE, "services are root's: run it with sudo, or look at the files with --root DIR")


def _outside(home: Home) -> list[Path]:
    """Directories that the configuration names; none while there is no home."""
    try:
        config = load(home) if home.ini.is_file() else None
    except ConfigError as error:
        end(USAGE, f"{error}\nNothing was installed: mend this first.")
    except OSError as error:
        failed(error, "the configuration cannot be read")
    return [] if config is None else [one for one in _directories(config) if home.root not in one.parents]


def _directories(config: Config) -> list[Path]:
    return list(dict.fromkeys((
        config.tftp.tftp_dir, config.http.http_dir, config.https.https_dir, config.ftp.ftp_dir,
        config.http.backup_dir, config.settings.log_file.parent, config.settings.database.parent,
    )))  # fmt: skip


def _home(home: Home) -> list[str]:
    """A complete home, whose files have their owners; what the administrator should know."""
    from mv_iptel.init import create

    try:
        done = create(home)
    except (ConfigError, CertError) as error:
        end(USAGE, f"{error}\nThe services were not started: mend this first, and run it again.")
    except OSError as error:
        failed(error, "the home was not completed")
    made = [f"passwords were made up; read and empty {home.passwords}"] if home.passwords in done.made else []
    return [*done.notes, *made]


def _run(steps: list[services.Step], as_json: bool) -> list[str]:
    """Run each; the notes of those that failed and may. One that must work ends the command."""
    notes = []
    for step in steps:
        if not as_json:
            console.print(f"  run    {shlex.join(step.command)}", markup=False)
        done = services.system(step.command)
        if done.returncode:
            text = f"{shlex.join(step.command)}: {done.stderr.strip() or f'exit code {done.returncode}'}"
            if not step.wanted:
                end(NEGATIVE, f"{text}\nMend this and run it again; what was done stays.")
            notes.append(text)
    return notes


def _windows(home: Home, as_json: bool, what: str, start: bool) -> None:
    from mv_iptel import windows

    try:
        told = windows.DO[what](home, start)
    except windows.ServiceError as error:
        end(NEGATIVE, str(error))
    if as_json:
        print_json(told)
    else:
        for one in told["services"]:
            console.print(f"{one['name']:<14} {one['state']}", markup=False)
    if what == "status" and not told["ok"]:
        sys.exit(NEGATIVE)


commands = [service]
