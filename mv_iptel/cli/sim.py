"""The group `sim` and its command `boot`: a phone that we made up, against a real server or a directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich import box
from rich.markup import escape
from rich.table import Table

from mv_iptel.cli import sim_data, sim_storm
from mv_iptel.cli.options import NEGATIVE, UNREACHABLE, common, end, print_json
from mv_iptel.cli.sim_options import (
    colons,
    handset_of,
    mac_option,
    model_option,
    patience_option,
    ports_of,
    say,
    servers_of,
    servers_option,
    sig_option,
    trust,
)
from mv_iptel.home import Home
from mv_iptel.phones import boot
from mv_iptel.phones.boot import Line, Reboot, Report

RESULTS = {"ok": "green", "missing": "yellow", "refused": "red", "failed": "red"}


@click.group(name="sim")
def sim() -> None:
    """Simulated phones: what a phone asks for and gets, alone or by the thousand.

    \b
    Examples:
      mv-iptel sim boot --model 9640 --server 192.0.2.10
      mv-iptel sim storm --phones 200 --arrival 30
      mv-iptel sim backup --model 4621SW --ext 4711 --server 192.0.2.10
    """


for _command in (*sim_storm.commands, *sim_data.commands):
    sim.add_command(_command)


@sim.command(name="boot")
@model_option("9640")
@click.option("--group", default="0", metavar="N", help="GROUP as keyed on the phone, 0 to 999.")
@mac_option
@click.option("--ext", default="", metavar="NUMBER", help="The user's extension.")
@sig_option
@click.option(
    "--protocol",
    type=click.Choice(["tftp", "http", "https"]),
    default=None,
    help="The server the phone was told of. Default: 4600 tftp, 96x0 and 96x1 https, others http.",
)
@click.option("--runs", default="", metavar="FILE", help="The application in its flash. Default: none.")
@click.option("--boot-file", default="", metavar="FILE", help="The boot file in its flash ($BOOTNAME).")
@click.option("--directory", default="", metavar="PATH", help="HTTPDIR, TLSDIR or TFTPDIR.")
@click.option("--agent", default="", help="Another User-Agent.")
@click.option("--address", default="", metavar="IP", help="The phone's own address, such as 127.0.0.7.")
@click.option("--old-tls", is_flag=True, help="Speak TLS 1.0 with NULL-SHA, like a set of 2005.")
@patience_option("How long the phone keeps asking for one file.")
@click.option(
    "--dry",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="No server: answer from this directory, or from the TFTPdata and HTTPdata in it.",
)
@click.option("--trace", is_flag=True, help="Also print each script line that was taken.")
@servers_option
@common
def boot_command(
    home: Home, as_json: bool, model: str, group: str, mac: str, ext: str, sig: str | None,
    protocol: str | None, runs: str, boot_file: str, directory: str, agent: str, address: str, old_tls: bool,
    patience: float, dry: Path | None, trace: bool, **where: Any,
) -> None:  # fmt: skip
    """Boot one simulated phone and print what it asked for and got.

    Ready means: upgrade script read, the firmware that it orders loaded, settings read.

    \b
    Examples:
      mv-iptel sim boot --model 4621SW                        over TFTP
      mv-iptel sim boot --model 9640 --ports-offset 6000      over HTTPS 6411 and HTTP 6081
      mv-iptel sim boot --model J179 --dry ./data --trace     without a server, line by line

    Exit codes: 0 ready, 1 not ready, 2 usage, 3 no server answered.
    """
    from mv_iptel.phones.live import Live  # brings the protocols along

    handset = handset_of(model, group, mac, ext, sig, runs, boot_file, agent)
    family = handset.family
    told = servers_of(protocol or family.protocol, directory, **ports_of(where))
    if dry is not None:
        report = boot.drive(boot.play(handset, told), boot.dry(dry))
    else:
        context = trust(home, where, old_tls, family.checks_name) if told.https else None
        with Live(address, context, patience) as live:

            def hear(what: Line | Reboot) -> None:
                if isinstance(what, Reboot):
                    live.close()

            report = boot.drive(boot.play(handset, told), live.fetch, hear)
    if as_json:
        print_json(report.as_dict())
    else:
        show(report, trace)
    if not report.booted.ready:
        silent = all(line.got.result == "failed" for line in report.requests)
        end(UNREACHABLE if silent and dry is None else NEGATIVE)


def show(report: Report, trace: bool = False) -> None:
    """Print a boot as a table: one row a request."""
    booted = report.booted
    handset = booted.handset
    title = f"{handset.model} ({handset.family.name}), {colons(handset.mac)}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("server", no_wrap=True)
    table.add_column("file", overflow="fold")
    table.add_column("octets", justify="right", no_wrap=True)
    table.add_column("s", justify="right", no_wrap=True)
    table.add_column("sha256", no_wrap=True)
    table.add_column("result", overflow="fold")
    power_on = 1
    for line in report.requests:
        if line.power_on != power_on:
            table.add_section()
            power_on = line.power_on
        got, wants = line.got, line.fetch
        result = f"[{RESULTS[got.result]}]{got.result}[/]"
        if got.result != "ok":
            named = f" (named by {wants.file}:{wants.line})" if wants.file else ""
            result += escape(f" {got.detail}{named}")
        if got.tries > 1 or got.resent:
            result += f" [yellow](asked {got.tries} times, {got.resent} repeats)[/]"
        table.add_row(
            f"{wants.server.protocol}:{wants.server.port}", escape(wants.name),
            f"{got.size:,}" if got.result == "ok" else "", f"{got.seconds:.2f}", got.sha256[:8], result,
        )  # fmt: skip
    say(table)
    for name, one in booted.parameters.items():
        say(f"{escape(one.file)}:{one.line}  {name} = {escape(one.value)}")
    if trace:
        say("")
        for step in booted.trace:
            say(escape(f"{step.file}:{step.line}  {step.text}  -> {step.effect}"))
    restarts = f", {booted.reboots} restart{'s' if booted.reboots != 1 else ''}" if booted.reboots else ""
    word = "[green]booted[/]" if booted.ready else "[red]NOT READY[/]"
    say(f"{handset.model} {word}: {escape(booted.why)} ({report.seconds:.2f} s{restarts})")


commands = [sim]
