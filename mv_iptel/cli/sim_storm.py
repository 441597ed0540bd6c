"""The command `sim storm`: phones by the thousand against a real server."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from mv_iptel import config as configuration
from mv_iptel.cli.options import NEGATIVE, UNREACHABLE, USAGE, common, end, errors, print_json
from mv_iptel.cli.sim_options import ports_of, say, servers_of, servers_option, snmp_of, snmp_options, trust
from mv_iptel.home import Home
from mv_iptel.phones import boot, sample
from mv_iptel.phones.arrival import CURVES
from mv_iptel.phones.boot import Fetch, Fetched


@click.command(name="storm")
@click.option("--phones", type=click.IntRange(1, 100_000), default=1000, show_default=True, metavar="N")
@click.option(
    "--arrival",
    type=click.FloatRange(0, 3600),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="The time in which all of them are switched on.",
)
@click.option(
    "--curve",
    type=click.Choice(CURVES),
    default=CURVES[0],
    show_default=True,
    help="s: most of them in the middle; burst: all at once.",
)
@click.option(
    "--mix",
    default="tftp=50,http=50",
    show_default=True,
    metavar="P=SHARE,...",
    help="4621SW over tftp, 9640 over http and https.",
)
@click.option(
    "--loss",
    type=click.FloatRange(0, 50),
    default=0.0,
    metavar="PCT",
    help="TFTP datagrams lost each way, in per cent.",
)
@click.option(
    "--size",
    type=click.IntRange(0, 1 << 30),
    default=None,
    metavar="OCTETS",
    help="Firmware of this size, instead of what the server's scripts order.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed, the same storm.")
@click.option(
    "--within",
    type=click.FloatRange(1, 3600),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="A phone that is not ready in this time has failed.",
)
@click.option(
    "--dry",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Compare with the files in this directory, not with a first download.",
)
@click.option(
    "--groups",
    default="",
    metavar="N=SHARE,...",
    help="Phones in these groups, as in 5=20,0=80. Scripts are not compared then.",
)
@click.option(
    "--looping",
    multiple=True,
    metavar="FILE",
    help="Firmware that does not run: phones load it, restart with what they had, and load it again.",
)
@click.option("--backups", is_flag=True, help="Each phone also stores its user's data and fetches it again.")
@snmp_options
@servers_option
@common
def storm_command(
    home: Home, as_json: bool, phones: int, arrival: float, curve: str, mix: str, loss: float,
    size: int | None, seed: int, within: float, dry: Path | None, groups: str, looping: tuple[str, ...],
    backups: bool, community: str | None, snmp_port: int | None, **where: Any,
) -> None:  # fmt: skip
    """Boot many simulated phones at once, each with an address of its own in 127/8.

    Each reads its script, loads its firmware, restarts, reads its settings. Every octet is compared
    with the copy that a first phone of each kind got (or with --dry DIR). With --size the firmware is
    a file mv_storm_OCTETS.bin: the server's, or lent to the home's data directories for the storm.

    With --backups a phone that has booted stores its user's data and fetches it again, the 4621SW over
    FTP, the 9640 by HTTP or HTTPS, while its agent answers the server's SNMP on its own address. What is
    stored stays in the server's home, under extensions from 20001 on.

    With --groups each phone tells its scripts that it is in a group: a roll-out to one of them reaches just
    those. With --looping the firmware named is one that a roll-out has to stop for.

    \b
    Examples:
      mv-iptel sim storm --phones 1000 --size 1048576 --ports-offset 6000
      mv-iptel sim storm --phones 200 --arrival 30 --loss 2 --mix tftp=100
      mv-iptel sim storm --phones 500 --mix tftp=20,http=40,https=40 --json
      mv-iptel sim storm --phones 500 --mix http=100 --groups 5=20,0=80 --looping S9640_R2_0_0.bin
      mv-iptel sim storm --phones 300 --backups --snmp-port 6161 --ports-offset 6000

    Exit codes: 0 all ready, 1 some failed, 2 usage, 3 no server answered.
    """
    from mv_iptel.phones import storm
    from mv_iptel.phones.live import Live

    shares = _mix(mix)
    if size is not None and dry is not None:
        end(USAGE, "--size makes its own firmware to compare with; leave --dry out")
    context = trust(home, where, False, True) if "https" in shares else None
    servers = {protocol: servers_of(protocol, "", **ports_of(where)) for protocol in shares}
    plan = storm.Plan(
        phones, servers, shares, arrival, curve, loss / 100, seed, within=within, context=context,
        own_addresses=where["server"].startswith("127.") or where["server"] == "localhost",
        groups=_groups(groups), rejects=frozenset(looping),
    )  # fmt: skip
    if not plan.own_addresses:
        errors.print("the server is not on this machine: all phones share one address", style="yellow")
    if backups:
        plan = replace(plan, backups=_backups(plan, *snmp_of(home, community, snmp_port)))
    storm.raise_descriptors()
    with contextlib.ExitStack() as stack:
        live = stack.enter_context(Live(context=context, patience=10.0))
        fetch = boot.dry(dry) if dry is not None else live.fetch
        if size is not None:
            plan = stack.enter_context(_sized(plan, size, home, fetch))
        references, reports = storm.scout(plan, fetch)
        for protocol, report in reports.items():
            if not report.booted.ready:
                silent = all(line.got.result == "failed" for line in report.requests)
                model = report.booted.handset.model
                text = f"the first {model} over {protocol} did not boot: {report.booted.why}"
                end(UNREACHABLE if silent else NEGATIVE, text)
        result = _run(storm.Storm, plan, references, as_json)
    if as_json:
        print_json(result.as_dict())
    else:
        _show_storm(result, plan)
    if result.failed:
        end(NEGATIVE)


def _backups(plan: Any, community: str, port: int) -> Any:
    """What the phones need for their user's data; the end, where they could not answer SNMP."""
    from mv_iptel.phones import agent, storm
    from mv_iptel.phones.families import Handset

    if not plan.own_addresses:
        end(USAGE, "--backups needs a server on this machine: each phone answers SNMP on its own address")
    address = storm.own_address(0)
    try:
        agent.Agent(address, port, agent.Says(Handset("4621SW"))).close()
    except OSError as error:
        text = f"cannot answer SNMP on {address} port {port}: {(error.strerror or str(error)).lower()}"
        end(USAGE, f"{text}; set SNMPPort in the home's [SNMP] to a port above 1023, or give --snmp-port")
    return storm.Backups(community, port)


def _run(make: Callable[..., Any], plan: Any, references: Any, quiet: bool) -> Any:
    """Run the storm under a progress bar."""
    columns = (TextColumn("phones ready"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
               TextColumn("{task.fields[more]}"))  # fmt: skip
    with Progress(*columns, console=errors, disable=quiet) as progress:
        task = progress.add_task("", total=plan.phones, more="")

        def told(storm: Any) -> None:
            speed = storm.octets / (1 << 20) / storm.result.seconds if storm.result.seconds else 0.0
            failed = sum(1 for phone in storm.result.failed if phone.why)
            more = f", [red]{failed} failed[/]" if failed else ""
            more = f"{storm.active} booting, {speed:.0f} MiB/s{more}"
            progress.update(task, completed=storm.finished, more=more)

        return make(plan, references, told).run()


def _show_storm(result: Any, plan: Any) -> None:
    figures = result.as_dict()
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column()
    failed = len(result.failed)
    colour = "red" if failed else "green"
    table.add_row("phones", f"{figures['ready']} ready, [{colour}]{failed} failed[/] of "
                            f"{figures['phones']} in {figures['seconds']:.1f} s")  # fmt: skip
    table.add_row("boot time", _times(figures["boot_seconds"]))
    if len(figures["by_protocol"]) > 1:
        for protocol, part in figures["by_protocol"].items():
            table.add_row(f"  {protocol}", f"{_times(part['boot_seconds'])} ({part['phones']} phones)")
    table.add_row("bodies", f"{figures['bytes']:,} octets compared, {figures['mib_per_second']} MiB/s")
    again = figures["repeated"]
    table.add_row("asked again", f"{again['rrq']} RRQ, {again['ack']} ACK, {again['busy']} after 503, "
                                 f"{again['connect']} connections, {again['reset']} restarts")  # fmt: skip
    if plan.loss:
        table.add_row("lost on purpose", f"{figures['dropped']:,} datagrams ({plan.loss:.1%})")
    saved = figures["user_data"]
    if saved:
        failed = f"[{'red' if saved['failed'] else 'green'}]{saved['failed']} failed[/]"
        told = f"{saved['stored']} stored, {saved['restored']} restored, {failed}"
        table.add_row("user data", f"{told}; both took {_times(saved['seconds'])}")
    if plan.groups or plan.rejects:
        told = ", ".join(
            f"{count} run {runs or 'what they had'}" for runs, count in figures["by_firmware"].items()
        )
        table.add_row("firmware", escape(told))
    if figures["unverified"]:
        table.add_row("not compared", f"{figures['unverified']} bodies that the first phone did not ask for")
    say(table)
    for phone in result.failed[:20]:
        say(escape(f"{phone.address} {phone.model} over {phone.protocol}: {phone.why}"))


def _times(seconds: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items())


@contextlib.contextmanager
def _sized(plan: Any, size: int, home: Home, fetch: Callable[[Fetch], Fetched]) -> Iterator[Any]:
    """The plan with firmware of `size` octets: the server's own file, or one lent to the home meanwhile."""
    name = f"mv_storm_{size}.bin"
    content = sample.made_up(name, size)

    def everywhere() -> bool:
        for protocol, servers in plan.servers.items():
            wire = "http" if protocol == "https" else protocol
            port = {"tftp": boot.TFTP, "http": boot.HTTP}[wire] + servers.offset
            host = (servers.tftp or servers.http)[0]
            if wire == "http" and servers.http_port:
                port = servers.http_port
            got = fetch(Fetch(boot.Server(wire, host, port), name, "software", agent="AVAYA"))
            if got.result == "failed":
                end(UNREACHABLE, f"{wire} port {port} of {host}: {got.detail}")
            if got.result != "ok" or got.data != content:
                return False
        return True

    with contextlib.ExitStack() as stack:
        if not everywhere():
            try:
                config = configuration.load(home)
                directories = {config.tftp.tftp_dir, config.http.http_dir}
            except (configuration.ConfigError, OSError):
                directories = {home.tftp_data, home.http_data}
            for directory in directories:
                if directory.is_dir():
                    path = directory / name
                    path.write_bytes(content)
                    stack.callback(path.unlink, missing_ok=True)
            if not everywhere():
                text = f"the server does not serve {name} of {size} octets, and {home.root} is not its home"
                end(USAGE, f"{text}; name its home with --home, or leave --size out")
        yield replace(plan, firmware=name)


def _groups(text: str) -> dict[str, float]:
    """`5=20,0=80` as shares."""
    found: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        group, _, share = part.strip().partition("=")
        if not re.fullmatch(r"[0-9]{1,3}", group) or not re.fullmatch(r"[0-9]+(\.[0-9]+)?", share):
            end(USAGE, f"--groups {text}: write it like 5=20,0=80; groups go from 0 to 999")
        if float(share):
            found[str(int(group))] = float(share)
    return found


def _mix(text: str) -> dict[str, float]:
    """`tftp=50,http=50` as shares."""
    found: dict[str, float] = {}
    for part in text.split(","):
        protocol, _, share = part.strip().partition("=")
        if protocol not in ("tftp", "http", "https") or not re.fullmatch(r"[0-9]+(\.[0-9]+)?", share):
            end(USAGE, f"--mix {text}: write it like tftp=50,http=30,https=20")
        if float(share):
            found[protocol] = float(share)
    if not found:
        end(USAGE, f"--mix {text}: no share is above 0")
    return found


commands = [storm_command]
