"""The commands `sim boot` and `sim storm`: phones that we made up, against a real server or a directory."""

from __future__ import annotations

import contextlib
import re
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from mv_iptel import config as configuration
from mv_iptel.addresses import mac_of
from mv_iptel.cli.options import NEGATIVE, UNREACHABLE, USAGE, common, console, end, errors, print_json
from mv_iptel.home import Home
from mv_iptel.phones import boot, sample
from mv_iptel.phones.boot import Fetch, Fetched, Line, Reboot, Report, Servers
from mv_iptel.phones.families import MODELS, Handset

RESULTS = {"ok": "green", "missing": "yellow", "refused": "red", "failed": "red"}


@click.group(name="sim")
def sim() -> None:
    """Simulated phones: what a phone asks for and gets, alone or by the thousand.

    \b
    Examples:
      mv-iptel sim boot --model 9640 --server 192.0.2.10
      mv-iptel sim storm --phones 200 --arrival 30
    """


def servers_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say where the servers are."""
    for option in (
        click.option("--server", default="127.0.0.1", metavar="HOST", show_default=True,
                     help="The file server, as DHCP would tell it to the phone."),
        click.option("--ports-offset", "offset", type=click.IntRange(0, 60000), default=0, metavar="N",
                     help="Add N to the standard ports 69, 80, 81 and 411."),
        click.option("--http-port", type=click.IntRange(0, 65535), default=0, metavar="PORT",
                     help="HTTPPORT, instead of 80 or 81."),
        click.option("--tls-port", type=click.IntRange(0, 65535), default=0, metavar="PORT",
                     help="TLSPORT, instead of 411."),
        click.option("--ca", type=click.Path(exists=True, dir_okay=False, path_type=Path),
                     help="The authority that the phone trusts. Default: the home's own."),
        click.option("--insecure", is_flag=True, help="Take any certificate."),
    ):  # fmt: skip
        command = option(command)
    return command


@sim.command(name="boot")
@click.option(
    "--model", default="9640", show_default=True, metavar="MODEL", help="Such as 4621SW, 9611G, J179."
)
@click.option("--group", default="0", metavar="N", help="GROUP as keyed on the phone, 0 to 999.")
@click.option("--mac", default="00:04:0d:00:00:01", metavar="MAC", show_default=True)
@click.option("--ext", default="", metavar="NUMBER", help="The user's extension.")
@click.option(
    "--sig",
    type=click.Choice(["H323", "SIP"], case_sensitive=False),
    default=None,
    help="Signalling. Default: what most phones of the model run.",
)
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
@click.option(
    "--patience",
    type=click.FloatRange(1, 3600),
    default=60.0,
    metavar="SECONDS",
    show_default=True,
    help="How long the phone keeps asking for one file.",
)
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

    handset = _handset(model, group, mac, ext, sig, runs, boot_file, agent)
    family = handset.family
    told = _servers(protocol or family.protocol, directory, **_ports(where))
    if dry is not None:
        report = boot.drive(boot.play(handset, told), boot.dry(dry))
    else:
        context = _trust(home, where, old_tls, family.checks_name) if told.https else None
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
    title = f"{handset.model} ({handset.family.name}), {_colons(handset.mac)}"
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
    _say(table)
    for name, one in booted.parameters.items():
        _say(f"{escape(one.file)}:{one.line}  {name} = {escape(one.value)}")
    if trace:
        _say("")
        for step in booted.trace:
            _say(escape(f"{step.file}:{step.line}  {step.text}  -> {step.effect}"))
    restarts = f", {booted.reboots} restart{'s' if booted.reboots != 1 else ''}" if booted.reboots else ""
    word = "[green]booted[/]" if booted.ready else "[red]NOT READY[/]"
    _say(f"{handset.model} {word}: {escape(booted.why)} ({report.seconds:.2f} s{restarts})")


def _say(what: Any) -> None:
    """Print; `:100:` in a file's line number is no picture."""
    console.print(what, emoji=False)


@sim.command(name="storm")
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
    type=click.Choice(["s", "uniform", "burst"]),
    default="s",
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
@servers_option
@common
def storm_command(
    home: Home, as_json: bool, phones: int, arrival: float, curve: str, mix: str, loss: float,
    size: int | None, seed: int, within: float, dry: Path | None, **where: Any,
) -> None:  # fmt: skip
    """Boot many simulated phones at once, each with an address of its own in 127/8.

    Each reads its script, loads its firmware, restarts, reads its settings. Every octet is compared
    with the copy that a first phone of each kind got (or with --dry DIR). With --size the firmware is
    a file mv_storm_OCTETS.bin: the server's, or lent to the home's data directories for the storm.

    \b
    Examples:
      mv-iptel sim storm --phones 1000 --size 1048576 --ports-offset 6000
      mv-iptel sim storm --phones 200 --arrival 30 --loss 2 --mix tftp=100
      mv-iptel sim storm --phones 500 --mix tftp=20,http=40,https=40 --json

    Exit codes: 0 all ready, 1 some failed, 2 usage, 3 no server answered.
    """
    from mv_iptel.phones import storm
    from mv_iptel.phones.live import Live

    shares = _mix(mix)
    if size is not None and dry is not None:
        end(USAGE, "--size makes its own firmware to compare with; leave --dry out")
    context = _trust(home, where, False, True) if "https" in shares else None
    servers = {protocol: _servers(protocol, "", **_ports(where)) for protocol in shares}
    plan = storm.Plan(
        phones, servers, shares, arrival, curve, loss / 100, seed, within=within, context=context,
        own_addresses=where["server"].startswith("127.") or where["server"] == "localhost",
    )  # fmt: skip
    if not plan.own_addresses:
        errors.print("the server is not on this machine: all phones share one address", style="yellow")
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
    if figures["unverified"]:
        table.add_row("not compared", f"{figures['unverified']} bodies that the first phone did not ask for")
    _say(table)
    for phone in result.failed[:20]:
        _say(escape(f"{phone.address} {phone.model} over {phone.protocol}: {phone.why}"))


def _times(seconds: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items())


@contextlib.contextmanager
def _sized(plan: Any, size: int, home: Home, fetch: Callable[[Fetch], Fetched]) -> Iterator[Any]:
    """The plan with firmware of `size` octets: the server's own file, or one lent to the home meanwhile."""
    from dataclasses import replace

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


def _handset(
    model: str, group: str, mac: str, ext: str, sig: str | None, runs: str, boot_file: str, agent: str
) -> Handset:
    known = {name.casefold(): name for name in MODELS}
    plain = mac_of(mac)
    if not plain:
        end(USAGE, f"--mac {mac}: twelve hex digits are needed, such as 00:04:0d:00:00:01")
    if not (group.isascii() and group.isdigit() and int(group) <= 999):
        end(USAGE, f"--group {group}: a number from 0 to 999 is needed")
    handset = Handset(
        known.get(model.casefold(), model), plain, group, ext, (sig or "").upper(), runs, "", boot_file, agent
    )
    try:
        _ = handset.family
    except ValueError as error:
        end(USAGE, str(error))
    return handset


def _ports(where: dict[str, Any]) -> dict[str, Any]:
    return {name: where[name] for name in ("server", "offset", "http_port", "tls_port")}


def _servers(
    protocol: str, directory: str, server: str, offset: int, http_port: int, tls_port: int
) -> Servers:
    """What a phone is told that shall use this protocol; with TLS it needs HTTP for its software."""
    return Servers(
        tftp=(server,) if protocol == "tftp" else (),
        http=(server,) if protocol != "tftp" else (),
        https=(server,) if protocol == "https" else (),
        http_port=http_port, tls_port=tls_port, offset=offset, directory=directory,
    )  # fmt: skip


def _trust(home: Home, where: dict[str, Any], old: bool, check_name: bool) -> ssl.SSLContext:
    """The TLS side of a phone that trusts --ca, else the home's authority, else the system's."""
    from mv_iptel.phones.live import tls_context

    own = (home.ca_cert, home.http_data / "mv_ca.txt")
    ca = where["ca"] or next((path for path in own if path.is_file()), None)
    try:
        return tls_context(ca, where["insecure"], old, check_name)
    except OSError as error:
        end(USAGE, f"{ca}: this is no certificate in PEM form ({error.strerror or error})")


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


def _colons(mac: str) -> str:
    return ":".join(mac[at : at + 2] for at in range(0, 12, 2))


commands = [sim]
