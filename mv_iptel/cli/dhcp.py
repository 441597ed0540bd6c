"""The command dhcp: ready lines for the DHCP server."""

from __future__ import annotations

import click

from mv_iptel import certs, config
from mv_iptel.cli.options import NEGATIVE, USAGE, common, end, errors, print_json
from mv_iptel.config import ConfigError
from mv_iptel.dhcp.lines import SERVERS
from mv_iptel.dhcp.offer import CLASSES, USUAL, calls, fault, offer, site_of
from mv_iptel.home import Home
from mv_iptel.journal import plain
from mv_iptel.phones.served import Served


@click.command(name="dhcp")
@click.option(
    "--server",
    "kind",
    type=click.Choice(list(SERVERS)),
    default="isc",
    show_default=True,
    help="The DHCP server that the lines are for.",
)
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="ADDRESS",
    help="This server as phones reach it; a second one is asked when the first is silent. "
    "Default: what the settings name, else this host's.",
)
@click.option(
    "--call-server",
    "systems",
    multiple=True,
    metavar="ADDRESS",
    help="The H.323 call server; may be repeated. Default: the settings tell it.",
)
@click.option("--vlan", type=click.IntRange(1, 4094), metavar="N", help="The phones' VLAN (L2QVLAN).")
@click.option(
    "--phones",
    "classes",
    multiple=True,
    type=click.Choice(list(CLASSES)),
    help="For which phones; may be repeated. Default: avaya and cisco. b179, e129 and url want an "
    "option for themselves: a network of their own.",
)
@common
def dhcp(
    home: Home,
    as_json: bool,
    kind: str,
    addresses: tuple[str, ...],
    systems: tuple[str, ...],
    vlan: int | None,
    classes: tuple[str, ...],
) -> None:
    """Print the lines with which a DHCP server tells phones where this server is.

    Ports and protocols come from MV_IPTel.ini, the address from the settings that phones read. What is worth
    knowing goes to standard error, so that the lines alone can be kept in a file. Exit code 1: there is
    something of that kind.

    \b
    Examples:
      mv-iptel dhcp > phones.conf
      mv-iptel dhcp --server dnsmasq --address 192.0.2.10 --address 192.0.2.11
      mv-iptel dhcp --server kea --call-server 192.0.2.1 --vlan 20
      mv-iptel dhcp --server windows --phones e129
    """  # fmt: skip
    for option, values in (("--address", addresses), ("--call-server", systems)):
        wrong = next(filter(None, map(fault, values)), "")
        if wrong:
            end(USAGE, f"{option}: {wrong}")
    try:
        loaded = config.load(home)
    except ConfigError as error:
        end(USAGE, str(error))
    files = Served.split(loaded.tftp.tftp_dir, loaded.http.http_dir, loaded.https.https_dir)
    site = site_of(loaded, files, certs.host_names().addresses, addresses, systems, vlan or 0)
    told = offer(site, classes or USUAL)
    notes = list(told.notes)
    if not systems and not calls(files) and "avaya" in (classes or USUAL):
        errors.print("note: neither settings nor --call-server name a call server (MCIPADD)", style="yellow")
    label, write = SERVERS[kind]
    lines = write(told)
    if as_json:
        options = [one._replace(data=one.data.hex())._asdict() for one in told.options]
        print_json(
            {"for": label, "servers": site.servers, "options": options, "lines": lines, "notes": notes}
        )
    else:
        click.echo(lines, nl=False)
        for note in notes:
            errors.print(f"note: {plain(note, 500)}", style="yellow", markup=False)
    if notes:
        end(NEGATIVE)


commands: list[click.Command] = [dhcp]
