"""The commands init and check: an installation and what it stands on."""

from __future__ import annotations

import os
from typing import Any

import click
from rich.markup import escape

from mv_iptel import certs as certificates
from mv_iptel import check as checking
from mv_iptel import config
from mv_iptel.cli.options import DONE, NEGATIVE, USAGE, common, console, end, print_json
from mv_iptel.config import ConfigError, Finding
from mv_iptel.home import Home


def plain(finding: Finding) -> dict[str, Any]:
    """As JSON tells it."""
    return finding._asdict()


def _load(home: Home, as_json: bool = False) -> config.Config:
    """The configuration, or the end with every mistake in it."""
    try:
        return config.load(home)
    except ConfigError as error:
        if as_json:
            print_json({"ok": False, "findings": [plain(one) for one in error.findings]})
        end(USAGE, "" if as_json else str(error))


# --- init ---------------------------------------------------------------------------------------------


@click.command(name="init")
@click.argument("directory", metavar="[DIR]", required=False, type=click.Path(file_okay=False))
@click.option("--name", default="", help="The server's name, also in its certificate. Default: the host's.")
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="ADDRESS",
    help="An address that phones use for this server; may be repeated. Default: the host's own.",
)
@click.option(
    "--ports-offset",
    type=click.IntRange(0, 60000),
    default=0,
    metavar="N",
    help="Add N to the phones' ports (6000: TFTP on 6069, HTTP on 6081 ...), not to 6090 and 6093.",
)
@click.option(
    "--mode",
    type=click.Choice(("1a", "1b", "2", "3", "4")),
    help="Mode of operation: 1a HTTP and HTTPS; 1b TFTP and FTP too; 2 a branch; 3 a central server; 4 both.",
)
@click.option("--no-samples", is_flag=True, help="Leave the sample scripts and settings out.")
@common
def init(
    home: Home,
    as_json: bool,
    directory: str | None,
    name: str,
    addresses: tuple[str, ...],
    ports_offset: int,
    mode: str | None,
    no_samples: bool,
) -> None:
    """Make a complete home: configuration, directories, samples, authority, certificate, passwords.

    What is there already is kept, so it can be run again after an upgrade.

    \b
    Examples:
      mv-iptel init                                     the system's usual place
      mv-iptel init ./site --name files1 --address 192.0.2.10
      mv-iptel init ./try --ports-offset 6000           no root needed for the ports
      mv-iptel init ./branch --mode 2                   a branch of a central server
    """  # fmt: skip
    from mv_iptel.init import create

    if directory:
        home = Home.find(directory)
    try:
        done = create(home, name, addresses, ports_offset, not no_samples, mode or "")
    except ConfigError as error:
        end(USAGE, f"{error}\nThe home was not completed: mend this first.")
    except certificates.CertError as error:
        end(USAGE, str(error))
    except OSError as error:
        end(USAGE, f"{error.filename or home.root}: {error.strerror or error}")
    if as_json:
        print_json({"home": home.root, "made": done.made, "kept": done.kept, "notes": done.notes})
        return
    console.print(
        f"[bold]{escape(str(home.root))}[/] is complete: {len(done.made)} files made, {len(done.kept)} kept"
    )
    for word, paths in (("made", done.made), ("kept", done.kept)):
        for path in paths:
            console.print(f"  {word}  {os.path.relpath(path, home.root)}", markup=False)
    for note in done.notes:
        console.print(f"  note  {note}", style="yellow", markup=False)
    if home.passwords in done.made:
        console.print(f"Passwords were made up; read and empty {home.passwords}", markup=False)
    option = "" if home == Home.find() else f" --home {home.root}"
    console.print(f"Next: mv-iptel check{option}, then mv-iptel serve{option}", markup=False)


# --- check --------------------------------------------------------------------------------------------


@click.command(name="check")
@common
def check(home: Home, as_json: bool) -> None:
    """Look for everything that would keep phones from booting, before they notice.

    Configuration, directories, ports, certificates, access lists, scripts and settings. Exit code 0: nothing
    found, 1: findings, 2: the configuration does not load.

    \b
    Examples:
      mv-iptel check
      mv-iptel check --home /srv/phones --json
    """
    report = checking.check(home)
    if as_json:
        print_json(
            {
                "ok": not report.findings,
                "findings": [plain(one) for one in report.findings],
                "facts": [fact._asdict() for fact in report.facts],
            }
        )
    else:
        _show(report)
    end(USAGE if not report.usable else NEGATIVE if report.findings else DONE)


def _show(report: checking.Report) -> None:
    width = max((len(fact.topic) for fact in report.facts), default=0)
    for fact in report.facts:
        style = "yellow" if fact.topic == "legacy" else ""
        console.print(f"{fact.topic:<{width}}  {fact.text}", style=style, markup=False)
    if report.facts and report.findings:
        console.print()
    show_findings(report.findings)
    count = len(report.findings)
    if not count:
        console.print("nothing to mend", style="green")
    else:
        console.print(f"{count} thing{'s' * (count != 1)} to mend", style="bold")


def show_findings(findings: list[Finding]) -> None:
    """Errors in red."""
    for finding in findings:
        style = "red" if finding.level == "error" else "yellow"
        console.print(f"[{style}]{finding.level:<7}[/]  {escape(str(finding))}")


commands: list[click.Command] = [init, check]
