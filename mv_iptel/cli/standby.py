"""The commands of a pair of servers with one shared address: its check, and the converter of an old pair."""

from __future__ import annotations

from pathlib import Path

import click

from mv_iptel import files, heartbeat
from mv_iptel.addresses import address_of
from mv_iptel.cli.options import DONE, NEGATIVE, USAGE, common, console, end, errors, failed, print_json
from mv_iptel.home import Home
from mv_iptel.standby import checking, converting

FILE = click.Path(dir_okay=False, path_type=Path)
LARGEST = 1 << 20  # octets of each old file


@click.group(name="standby")
def standby() -> None:
    """A pair of servers with one shared address (docs/standby.md).

    \b
    Examples:
      mv-iptel standby check
      mv-iptel standby convert /etc/ha.d/ha.cf /etc/ha.d/haresources /etc/ha.d/authkeys
    """


@standby.command(name="check")
@click.option(
    "--limit",
    type=click.FloatRange(0.1, 60),
    default=checking.LIMIT,
    show_default=True,
    metavar="SECONDS",
    help="All downloads together may take so long.",
)
@common
def check(home: Home, as_json: bool, limit: float) -> None:
    """Download a file from this server over TLS and TFTP, and compare it with that on the disk.

    It is what keepalived asks once a second. Exit code 0: phones get their files here; 1: they do not;
    2: there is nothing that could be asked. A server that the ini has switched off is not asked; a check file
    that is nowhere on the disk is told and no failure; certificates are not looked at.

    \b
    Examples:
      mv-iptel standby check
      mv-iptel standby check --limit 5 --json
    """
    try:
        results = checking.check(checking.targets(home), limit)
    except checking.Unusable as error:
        end(USAGE, str(error))
    good = all(one.good for one in results)
    if as_json:
        rows = [
            {"proto": one.target.proto, "host": one.target.host, "port": one.target.port,
             "good": one.good, "text": one.text, "seconds": round(one.seconds, 3)}
            for one in results
        ]  # fmt: skip
        print_json({"good": good, "downloads": rows})
    else:
        for one in results:
            told = one.text or "the file is the one on the disk"
            line = f"{one.target.proto} {one.target.port}: {told} ({one.seconds:.2f} s)"
            console.print(line, style="" if one.good else "red", markup=False)
    end(DONE if good else NEGATIVE)


@standby.command(name="convert")
@click.argument("ha_cf", metavar="HA.CF", type=FILE)
@click.argument("haresources", metavar="HARESOURCES", type=FILE)
@click.argument("authkeys", metavar="[AUTHKEYS]", type=FILE, required=False)
@click.option("--out", type=FILE, help="Write the configuration there; without it, to the screen.")
@click.option("--force", is_flag=True, help="Replace the file that is there.")
@click.option("--interface", default="", metavar="NAME", help="Where the two servers hear each other.")
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="NODE=ADDRESS",
    help="A server's own address; twice, and they need no multicast.",
)
@click.option(
    "--router-id",
    type=click.IntRange(1, 255),
    help="The pair's number on its network. Default: the shared address's last octet.",
)
@common
def convert(
    home: Home,
    as_json: bool,
    ha_cf: Path,
    haresources: Path,
    authkeys: Path | None,
    out: Path | None,
    force: bool,
    interface: str,
    addresses: tuple[str, ...],
    router_id: int | None,
) -> None:
    """Make a configuration of keepalived from the three files of a heartbeat pair; they stay as they are.

    It is the same file for both servers. What was changed and what needs a decision is told beside it (on
    standard error where the configuration goes to the screen). Exit code 1: something needs a decision.

    \b
    Examples:
      mv-iptel standby convert ha.cf haresources authkeys --out keepalived.conf
      mv-iptel standby convert ha.cf haresources --interface eth0 \\
          --address files1=192.0.2.11 --address files2=192.0.2.12
    """
    if interface and not converting.INTERFACE.fullmatch(interface):
        end(USAGE, f"--interface {interface}: no name of an interface")
    told: list[bytes] = []
    for path in (ha_cf, haresources, authkeys):
        try:
            told.append(_read(path) if path else b"")
        except OSError as error:
            failed(error, "the old files could not be read")
    pair = heartbeat.parse(*told)
    wishes = converting.Wishes(interface=interface, addresses=_addresses(addresses), router_id=router_id or 0)
    try:
        done = converting.convert(pair, wishes)
    except converting.NotConverted as error:
        end(USAGE, str(error))
    if out is not None:
        if out.exists() and not force:
            end(USAGE, f"{out} is there; --force replaces it")
        try:
            files.replace(out, done.text.encode(), 0o644)
        except OSError as error:
            failed(error, "the configuration was not written")
    open_ends = bool(done.decisions or pair.findings)
    if as_json:
        print_json({
            "configuration": done.text,
            "rows": [row._asdict() for row in done.rows],
            "findings": [finding._asdict() for finding in pair.findings],
            "written": out,
        })  # fmt: skip
    else:
        _show(done, [str(finding) for finding in pair.findings], out)
    end(NEGATIVE if open_ends else DONE)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LARGEST)


def _addresses(given: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for one in given:
        node, equals, text = one.partition("=")
        address = address_of(text.strip())
        if not (node and equals and address):
            end(USAGE, f"--address {one}: write NODE=ADDRESS, as in files1=192.0.2.11")
        found[node.strip()] = str(address)
    return found


def _show(done: converting.Converted, findings: list[str], out: Path | None) -> None:
    """What became of each thing; on standard error where the configuration goes to the screen."""
    if out is None:
        click.echo(done.text, nl=False)
    place = errors if out is None else console
    styles = {converting.DECISION: "yellow", converting.DROPPED: "dim"}
    for row in done.rows:
        was = " ".join(filter(None, (row.file, row.what, row.value)))
        place.print(f"{row.outcome:<8}  {was}: {row.text}", style=styles.get(row.outcome, ""), markup=False)
    for finding in findings:
        place.print(f"finding   {finding}", style="yellow", markup=False)
    if out is not None:
        console.print(f"written to {out}; try it with: keepalived -t -f {out}", markup=False)


commands: list[click.Command] = [standby]
