"""What the commands of `sim` share: where the servers are, whom a phone trusts, and the phone itself."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mv_iptel import config as configuration
from mv_iptel.addresses import mac_of
from mv_iptel.cli.options import USAGE, console, end
from mv_iptel.home import Home
from mv_iptel.phones.boot import Servers
from mv_iptel.phones.families import MODELS, Handset


def model_option(default: str) -> Callable[..., Any]:
    """The phone's model."""
    text = "Such as 4621SW, 9640, 9611G, 1616, J179."
    return click.option("--model", default=default, show_default=True, metavar="MODEL", help=text)


mac_option = click.option("--mac", default="00:04:0d:00:00:01", metavar="MAC", show_default=True)
sig_option = click.option(
    "--sig",
    type=click.Choice(["H323", "SIP"], case_sensitive=False),
    default=None,
    help="Signalling. Default: what most phones of the model run.",
)


def patience_option(text: str) -> Callable[..., Any]:
    """How long the phone waits."""
    return click.option(
        "--patience",
        type=click.FloatRange(1, 3600),
        default=60.0,
        metavar="SECONDS",
        show_default=True,
        help=text,
    )


def servers_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say where the servers are."""
    for option in reversed((  # click lists first what was added last
        click.option("--server", default="127.0.0.1", metavar="HOST", show_default=True,
                     help="The file server, as DHCP would tell it to the phone."),
        click.option("--ports-offset", "offset", type=click.IntRange(0, 60000), default=0, metavar="N",
                     help="Add N to the standard ports 21, 69, 80, 81 and 411."),
        click.option("--http-port", type=click.IntRange(0, 65535), default=0, metavar="PORT",
                     help="HTTPPORT, instead of 80 or 81."),
        click.option("--tls-port", type=click.IntRange(0, 65535), default=0, metavar="PORT",
                     help="TLSPORT, instead of 411."),
        click.option("--ca", type=click.Path(exists=True, dir_okay=False, path_type=Path),
                     help="The authority that the phone trusts. Default: the home's own."),
        click.option("--insecure", is_flag=True, help="Take any certificate."),
    )):  # fmt: skip
        command = option(command)
    return command


def snmp_options(command: Callable[..., Any], *, port: str = "--snmp-port") -> Callable[..., Any]:
    """Options that say what a phone's SNMP agent is asked with."""
    for option in reversed((
        click.option("--community", default=None, metavar="WORD",
                     help="The community that it answers to. Default: the home's, else public."),
        click.option(port, "snmp_port", type=click.IntRange(0, 65535), default=None, metavar="PORT",
                     help="The port that it answers on. Default: the home's SNMPPort, else 161."),
    )):  # fmt: skip
        command = option(command)
    return command


def snmp_of(home: Home, community: str | None, port: int | None) -> tuple[str, int]:
    """Community and port: as given, else as the home's server asks."""
    snmp = configuration.defaults(home).snmp
    if community is None or port is None:
        try:
            snmp = configuration.load(home).snmp
        except (configuration.ConfigError, OSError):
            pass  # there is no home here, or we may not read it
    return community if community is not None else snmp.community, snmp.snmp_port if port is None else port


def handset_of(
    model: str, group: str = "0", mac: str = "00:04:0d:00:00:01", ext: str = "", sig: str | None = None,
    runs: str = "", boot_file: str = "", agent: str = "",
) -> Handset:  # fmt: skip
    """The phone that the options describe."""
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


def ports_of(where: dict[str, Any]) -> dict[str, Any]:
    """Of the options that say where the servers are, those that name places."""
    return {name: where[name] for name in ("server", "offset", "http_port", "tls_port")}


def servers_of(
    protocol: str, directory: str, server: str, offset: int, http_port: int, tls_port: int
) -> Servers:
    """What a phone is told that shall use this protocol; with TLS it needs HTTP for its software."""
    return Servers(
        tftp=(server,) if protocol == "tftp" else (),
        http=(server,) if protocol != "tftp" else (),
        https=(server,) if protocol == "https" else (),
        http_port=http_port, tls_port=tls_port, offset=offset, directory=directory,
    )  # fmt: skip


def trust(home: Home, where: dict[str, Any], old: bool, check_name: bool) -> ssl.SSLContext:
    """The TLS side of a phone that trusts --ca, else the home's authority, else the system's."""
    from mv_iptel.phones.live import tls_context

    own = (home.ca_cert, home.http_data / "mv_ca.txt")
    ca = where["ca"] or next((path for path in own if path.is_file()), None)
    try:
        return tls_context(ca, where["insecure"], old, check_name)
    except OSError as error:
        end(USAGE, f"{ca}: this is no certificate in PEM form ({error.strerror or error})")


def say(what: Any) -> None:
    """Print; `:100:` in a file's line number is no picture."""
    console.print(what, emoji=False)


def colons(mac: str) -> str:
    """A MAC address as labels show it."""
    return ":".join(mac[at : at + 2] for at in range(0, 12, 2))
