"""The command migrate: from an installation of the reference product to a home."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from mv_iptel import certs
from mv_iptel import check as checking
from mv_iptel.cli.options import DONE, NEGATIVE, USAGE, common, console, end, errors, failed, print_json
from mv_iptel.config import ConfigError
from mv_iptel.home import Home
from mv_iptel.journal import plain
from mv_iptel.migrating import moving, old
from mv_iptel.migrating.report import DECIDE, TAKEN, Row

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_STYLES = {"taken": "dim", "changed": "", "decide": "yellow"}


@click.command(name="migrate")
@click.argument("old_home", metavar="OLD_HOME", type=FOLDER)
@click.option("--to", "target", metavar="DIR", help="The home it moves into. Default: --home.")
@click.option("--dry-run", is_flag=True, help="Tell everything, write nothing.")
@click.option("--name", default="", help="The server's name, also in its certificate. Default: the host's.")
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="ADDRESS",
    help="An address that phones use for this server; may be repeated. Default: the host's own.",
)
@click.option(
    "--disk", type=FOLDER, help="Where the old machine's / (or C:) is mounted, for paths outside of OLD_HOME."
)
@click.option("--heartbeat", "ha", type=FOLDER, help="Where ha.cf, haresources and authkeys lie.")
@click.option("--quiet", is_flag=True, help="Leave out the keys that are taken as they are.")
@common
def migrate(
    home: Home,
    as_json: bool,
    old_home: Path,
    target: str | None,
    dry_run: bool,
    name: str,
    addresses: tuple[str, ...],
    disk: Path | None,
    ha: Path | None,
    quiet: bool,
) -> None:
    """Move an installation of the reference product into a home of this one.

    OLD_HOME is /opt/ecs/mvuser, C:\\Program Files\\Avaya, or a copy of either. Its files are only read. Each
    key of its ini files is told as taken, changed, or decide: somebody has to look at it. A move that was cut
    off goes on when it is started again; one that is repeated before the switch brings what is new, and
    leaves alone what was changed here. It ends with what `check` says.

    \b
    Exit code 0: nothing to decide, nothing to mend; 1: there is; 2: it could not be done.

    \b
    Examples:
      mv-iptel migrate /opt/ecs/mvuser --dry-run
      mv-iptel migrate /opt/ecs/mvuser --to /var/lib/mv-iptel
      mv-iptel migrate /mnt/old --disk /mnt/old --address 192.0.2.10 --json
    """  # fmt: skip
    if target:
        home = Home.find(target)
    there = old.find(old_home, disk, ha)
    if isinstance(there, str):
        end(USAGE, there)
    inner, outer = home.root.resolve(), there.base.resolve()
    if inner == outer or outer in inner.parents or inner in outer.parents:
        end(USAGE, f"{home.root} and {there.base} lie in each other; name another home with --to")
    if not dry_run and (pid := checking.running(home)):
        end(NEGATIVE, f"a server runs over {home.root} (process {pid}); stop it first")
    names = certs.host_names()
    try:
        plan = moving.plan(there, home, [*names.dns, *names.addresses, *addresses])
        done = None if dry_run else _move(plan, name, addresses, as_json)
    except (ConfigError, certs.CertError) as error:
        end(USAGE, str(error))
    except OSError as error:
        failed(error, "The move was cut off; start it again")
    rows = [*plan.rows, *(done.rows if done else ())]
    report = None if dry_run else checking.check(home)
    if as_json:
        _json(plan, done, rows, report)
    else:
        _show(plan, done, rows, report, quiet)
    open_ = any(one.verdict == DECIDE for one in rows)
    if report and not report.usable:
        end(USAGE)
    end(NEGATIVE if open_ or (report and report.findings) else DONE)


def _move(plan: moving.Plan, name: str, addresses: tuple[str, ...], as_json: bool) -> moving.Done:
    why = moving.room(plan)
    if why:
        end(NEGATIVE, why)
    columns = TextColumn("copying"), BarColumn(), DownloadColumn()
    with Progress(*columns, console=errors, transient=True, disable=as_json or not errors.is_terminal) as bar:
        task = bar.add_task("", total=plan.octets)
        return moving.move(plan, name, addresses, lambda octets: bar.update(task, advance=octets))


def _json(
    plan: moving.Plan, done: moving.Done | None, rows: list[Row], report: checking.Report | None
) -> None:
    print_json(
        {
            "old": plan.old.base,
            "home": plan.home.root,
            "dry_run": done is None,
            "verdicts": moving.summary(rows),
            "rows": [one._asdict() for one in rows],
            "files": len(plan.found.copies),
            "user_data": len(plan.found.data),
            "octets": plan.octets,
            "done": {key: value for key, value in done._asdict().items() if key != "rows"} if done else None,
            "check": [one._asdict() for one in report.findings] if report else None,
        }
    )


def _show(
    plan: moving.Plan, done: moving.Done | None, rows: list[Row], report: checking.Report | None, quiet: bool
) -> None:
    file = ""
    for one in rows:
        if quiet and one.verdict == TAKEN:
            continue
        if one.file != file:
            file = one.file
            console.print(f"[bold]{escape(plain(file, 500))}[/]")
        key = f"[{one.section}] {one.key}" if one.section else one.key
        place = f"{one.line}: " if one.line else ""
        arrow = (
            f" = {one.old}" + (f" -> {one.new}" if one.new and one.new != one.old else "") if one.key else ""
        )
        told = plain(f"  {one.verdict:<7}  {place}{key}{arrow}".rstrip(), 400)
        console.print(
            told + (f"  ({plain(one.why, 400)})" if one.why else ""), style=_STYLES[one.verdict], markup=False
        )
    verdicts = moving.summary(rows)
    console.print(
        f"{verdicts['taken']} keys taken, {verdicts['changed']} changed, {verdicts['decide']} to decide; "
        f"{len(plan.found.copies)} files and {len(plan.found.data)} of user data, {plan.octets:,} octets"
    )
    if done is None:
        console.print("Nothing was written.")
        return
    console.print(
        f"{done.copied} copied, {done.same} were there; {done.users} users' files, "
        f"{done.archived} older ones archived"
    )
    for one in report.findings if report else ():
        console.print(
            f"{one.level:<7}  {one}", style="red" if one.level == "error" else "yellow", markup=False
        )
    console.print(f"Next: mv-iptel serve --home {plan.home.root}", markup=False)


commands: list[click.Command] = [migrate]
