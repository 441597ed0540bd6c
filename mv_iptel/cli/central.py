"""The command `central`: invite branches, see how they are, have them back up and restore."""

from __future__ import annotations

import hashlib
import ipaddress
import time
from typing import Any

import click

from mv_iptel import certs
from mv_iptel.addresses import address_of
from mv_iptel.central import authority, reports
from mv_iptel.central.inviting import MOST_ADDRESSES, Invite
from mv_iptel.central.orders import BACKUP, RESTORE, UPDATE, Order, Orders
from mv_iptel.central.tokens import Branch, Branches
from mv_iptel.cli import central_join
from mv_iptel.cli.asking import installed
from mv_iptel.cli.backup_views import find, names_of, only, read
from mv_iptel.cli.forms import Columns, day
from mv_iptel.cli.options import NEGATIVE, USAGE, common, console, end, errors, failed, print_json
from mv_iptel.config import Config
from mv_iptel.firmware import generations
from mv_iptel.home import Home
from mv_iptel.journal import plain
from mv_iptel.status.words import span
from mv_iptel.userdata.names import parse

LOOK_AGAIN = 0.5  # seconds between two looks at an order that is waited for
SHOWN = 10  # orders that have ended


@click.group()
def central() -> None:
    """Central servers and branches: firmware goes to the branches, their users' data comes to the centre.

    \b
    Examples:
      mv-iptel central invite Oslo --address 10.0.0.5
      mv-iptel central status
      mv-iptel central pull Oslo 4711_96xxdata.txt
    """


@central.command()
@click.argument("name")
@click.option("--address", "addresses", multiple=True, metavar="A",
              help="Where the branch finds this server; more than once if there are several. Default: "
                   "BindAddress, else the addresses in its certificate; and its names.")  # fmt: skip
@click.option("--days", default=7.0, show_default=True, metavar="N", help="So long the line can be used.")
@common
def invite(home: Home, as_json: bool, name: str, addresses: tuple[str, ...], days: float) -> None:
    """Print the one line that enrols the branch NAME. It is a secret, and works once.

    Whoever is a branch of this name already is cut off when the line is used.

    \b
    Examples:
      mv-iptel central invite Oslo
      mv-iptel central invite Oslo --address 10.0.0.5 --address centre.example --days 1
    """
    config = installed(home)
    if not 0 < days <= 366:
        end(USAGE, f"--days {days:g}: more than 0, and at most 366")
    try:
        known = authority.known_by(config)
        names = certs.names_of(certs.load_chain(config.pair("central").cert_file)[0])
        where = tuple(_address(one) for one in addresses) or _reachable(config, names)
        if not where:
            end(
                USAGE,
                "the certificate names only this host itself; say with --address where branches find it",
            )
        if len(where) > MOST_ADDRESSES:
            end(USAGE, f"--address: {MOST_ADDRESSES} at most")
        token = Branches(home).invite(name, days)
    except certs.CertError as error:
        end(USAGE, str(error))
    except ValueError as error:
        end(USAGE, f"{name}: {error}")
    except OSError as error:
        failed(error)
    port = config.backup_servers.file_server_port
    made = Invite(where, port, authority.fingerprint(known), token)
    if as_json:
        print_json({"line": made.line, "name": name, "until": round(time.time() + days * 86400),
                    "addresses": list(where), "port": port})  # fmt: skip
    else:
        click.echo(made.line)
    for text in _doubts(config, names, where):
        errors.print(text, style="yellow", markup=False)


def _address(text: str) -> str:
    if address_of(text):
        return address_of(text)
    if certs.is_dns_name(text):
        return text.lower()
    end(USAGE, f"--address {text}: an address or a name, without a port")


def _reachable(config: Config, names: certs.Names) -> tuple[str, ...]:
    """What the certificate names that others can reach: addresses first, for branches may lack the DNS.

    With BindAddress it listens nowhere else.
    """
    bound = config.settings.bind_address
    addresses = bound or [one for one in names.addresses if not ipaddress.ip_address(one).is_loopback]
    hosts = [one for one in names.dns if one != "localhost" and not one.startswith("*")]
    return (*addresses, *hosts)[:MOST_ADDRESSES]


def _doubts(config: Config, names: certs.Names, where: tuple[str, ...]) -> list[str]:
    """What would keep a branch from joining."""
    found = []
    unnamed = [
        one for one in where if one not in names.addresses and one.lower() not in map(str.lower, names.dns)
    ]
    if unnamed:
        mend = f"mv-iptel certs server --address {unnamed[0]}"
        text = f"the certificate does not name {', '.join(unnamed)}, so branches will not trust it there"
        found.append(f"{text}; make a new one: {mend}")
    if not config.backup_servers.file_server:
        found.append(f"FileServer=0: write FileServer=1 in {config.file} and run `mv-iptel reload`")
    return found


@central.command()
@click.option("--revoke", default="", metavar="NAME", help="The branch NAME may ask nothing from now on.")
@common
def status(home: Home, as_json: bool, revoke: str) -> None:
    """Show the branches of a central server, and at a branch its way to the centre.

    \b
    Examples:
      mv-iptel central status
      mv-iptel central status --revoke Oslo
    """
    config = installed(home)
    if revoke:
        return _revoke(home, as_json, revoke)
    told: dict[str, Any] = {"role": None}
    keys = config.backup_servers
    branches, orders = Branches(home), Orders(home)
    branch = central_join.told(config)
    is_centre = keys.file_server or bool(branches.all() or branches.invitations())
    if is_centre:
        told |= {"role": "server", **_centre(home, branches, orders)}
    if branch is not None:
        told |= {"role": "both" if is_centre else "client", "centre": branch}
    if as_json:
        print_json(told)
    else:
        if is_centre:
            _show_centre(told, keys.file_server)
        if branch is not None:
            central_join.show(branch)
    if told["role"] is None:
        end(NEGATIVE, "" if as_json else "this is no central server (FileServer=0) and no branch of one")
    return None


def _revoke(home: Home, as_json: bool, name: str) -> None:
    try:
        done = Branches(home).revoke(name)
    except OSError as error:
        failed(error)
    if not done:
        end(NEGATIVE, f"{plain(name)}: there is no such branch, and no invitation for it; see central status")
    if as_json:
        print_json({"revoked": name})
    else:
        console.print(f"{plain(name)} may ask nothing any more", style="green", markup=False)


def _centre(home: Home, branches: Branches, orders: Orders) -> dict[str, Any]:
    """Everything that this central server knows of its branches; no token, and no hash of one."""
    seen, now = reports.read(home), time.time()
    every = orders.all()
    rows = []
    for one in branches.all():
        row = {"name": one.name, "joined": one.joined, "revoked": one.revoked or None, "server": one.server}
        row |= {key: value for key, value in seen.get(one.name, {}).items() if key not in row or value}
        row["orders"] = sum(1 for order in every if order.branch == one.name and not order.ended)
        rows.append(row)
    return {
        "generation": generations.current(home).number,
        "branches": rows,
        "invitations": [{"name": one.name, "until": one.until} for one in branches.invitations()],
        "orders": [{**one.told(), **_end_of(one), "words": one.words} for one in every],
        "time": now,
    }  # fmt: skip


def _show_centre(told: dict[str, Any], runs: bool) -> None:
    now = told["time"]
    if not runs:
        console.print("FileServer=0: no branch can ask this server", style="yellow")
    if told["branches"]:
        table = Columns(
            "branch", "seen", "address", ">serves", ">waits", ">phones", ">orders", "what is wrong"
        )
        for row in told["branches"]:
            seen = f"{span(now - row['last_seen'])} ago" if row.get("last_seen") else "never"
            wrong = "revoked" if row["revoked"] else row.get("error", "")
            table.add_row(
                plain(row["name"]), seen, plain(str(row.get("address", "") or "-")),
                *(str(row.get(key, "-")) for key in ("generation", "queue", "phones")), str(row["orders"]),
                plain(str(wrong or "")),
            )  # fmt: skip
        table.show()
    number = told["generation"]
    text = f"generation {number} is published here" if number else "nothing is published here yet"
    console.print(text, style="dim")
    for one in told["invitations"]:
        console.print(f"{plain(one['name'])} is invited until {day(one['until'])}", style="dim", markup=False)
    for one in [one for one in told["orders"] if not one["ended"]]:
        console.print(
            f"{plain(one['branch'])}: {plain(one['words'])}: waits since {day(one['made'])}", markup=False
        )
    for one in [one for one in told["orders"] if one["ended"]][-SHOWN:]:
        style, what = ("green", "done") if one["ok"] else ("red", "failed")
        text = (
            f"{plain(one['branch'])}: {plain(one['words'])}: {what} {day(one['ended'])} {plain(one['text'])}"
        )
        console.print(text.rstrip(), style=style, markup=False)


@central.command()
@click.argument("name")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--wait", default=0.0, metavar="SECONDS", help="Wait so long for what becomes of it.")
@common
def pull(home: Home, as_json: bool, name: str, files: tuple[str, ...], wait: float) -> None:
    """Order the branch NAME to send user data now: these FILEs, or all that it has.

    \b
    Examples:
      mv-iptel central pull Oslo
      mv-iptel central pull Oslo 4711_96xxdata.txt --wait 60
    """
    config = installed(home)
    names = tuple(_file(one) for one in files)
    branch = _branch(home, name)
    _order(config, as_json, wait, branch, BACKUP, names=names)


@central.command()
@click.argument("name")
@click.argument("file", required=False, default="", metavar="[FILE|EXT]")
@click.option(
    "--version", default="current", show_default=True, help="Which content: see `backups show FILE`."
)
@click.option("--firmware", is_flag=True, help="Instead: have the branch look for firmware now.")
@click.option("--wait", default=0.0, metavar="SECONDS", help="Wait so long for what becomes of it.")
@common
def push(home: Home, as_json: bool, name: str, file: str, version: str, firmware: bool, wait: float) -> None:
    """Order the branch NAME to fetch user data from here and make it current, or to look for firmware.

    \b
    Examples:
      mv-iptel central push Oslo 4711_96xxdata.txt
      mv-iptel central push Oslo 4711 --version 20260703T1200 --wait 60
      mv-iptel central push Oslo --firmware
    """
    config = installed(home)
    if firmware == bool(file):
        end(USAGE, "name either the FILE that the branch is to restore, or --firmware")
    branch = _branch(home, name)
    if firmware:
        _order(config, as_json, wait, branch, UPDATE)
        return
    wanted = only(names_of(config, file))
    data = read(config, wanted, find(config, wanted, version).id)
    sha256 = hashlib.sha256(data).hexdigest()
    _order(config, as_json, wait, branch, RESTORE, name=wanted, version=sha256, sha256=sha256)


def _file(text: str) -> str:
    kept = parse(text)
    if kept is None or not kept.ext or "/" in text:
        end(USAGE, f"{text}: no name of user data, as 4711_96xxdata.txt is")
    return kept.file


def _branch(home: Home, name: str) -> Branch:
    branches = Branches(home)
    found = branches.get(name)
    if found is None or found.revoked:
        known = ", ".join(one.name for one in branches.all() if not one.revoked) or "none has joined yet"
        end(NEGATIVE, f"{plain(name)} is no branch of this server; known: {known}")
    return found


def _order(config: Config, as_json: bool, wait: float, branch: Branch, kind: str, **more: Any) -> None:
    orders = Orders(config.home)
    try:
        order = orders.add(branch.name, kind, **more)
    except ValueError as error:
        end(NEGATIVE, str(error))
    except OSError as error:
        failed(error)
    until = time.monotonic() + wait
    while not order.ended and time.monotonic() < until:
        time.sleep(min(LOOK_AGAIN, max(0.0, until - time.monotonic())))
        order = orders.get(order.id) or order
    if as_json:
        print_json({**order.told(), **_end_of(order)})
    else:
        _show_order(order)
    if wait and not order.ok:
        end(NEGATIVE)


def _end_of(order: Order) -> dict[str, Any]:
    return {"branch": order.branch, "ended": order.ended or None, "ok": order.ok, "text": order.text}


def _show_order(order: Order) -> None:
    if not order.ended:
        text = f"{order.branch} is told to {order.words}; `mv-iptel central status` shows what becomes of it"
        console.print(plain(text, 400), markup=False)
        return
    style, what = ("green", "done") if order.ok else ("red", "failed")
    console.print(
        plain(f"{order.branch}: {order.words}: {what}: {order.text}", 800), style=style, markup=False
    )


for _command in central_join.commands:
    central.add_command(_command)

commands: list[click.Command] = [central]
