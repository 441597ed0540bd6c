"""The commands that show and steer a running server: status, watch, why, slots, reload."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
import time
from typing import Any, NoReturn
from urllib.parse import quote, urlencode

import click
from rich.markup import escape
from rich.text import Text

from mv_iptel.addresses import address_of, mac_of
from mv_iptel.cli import leads
from mv_iptel.cli.asking import (
    TIMEOUT,
    Refused,
    Unreachable,
    base,
    config_of,
    did,
    get,
    installed,
    post,
    same_home,
    unreachable,
)
from mv_iptel.cli.forms import TONES, Columns, day, line_of, place
from mv_iptel.cli.options import NEGATIVE, UNREACHABLE, USAGE, common, console, end, print_json
from mv_iptel.config import Config, ConfigError, load
from mv_iptel.home import Home
from mv_iptel.inventory import Reader
from mv_iptel.journal import plain
from mv_iptel.status.words import (
    OPS,
    OUTCOMES,
    REASONS,
    SOURCES,
    central,
    clock,
    firmware,
    mac,
    size,
    span,
    userdata,
)

PROTOCOLS = click.Choice(["tftp", "http", "https", "ftp", "ftps"])


# status


@click.command()
@common
def status(home: Home, as_json: bool) -> None:
    """Show what the running server does: listeners, transfers, phones, slots, certificates.

    \b
    Examples:
      mv-iptel status
      mv-iptel status --json | jq .transfers

    Ends with 1 if a listener failed, with 3 if no server answers.
    """
    config = config_of(home)
    try:
        told = get(config, "/status.json")
    except (Unreachable, Refused) as error:
        end(UNREACHABLE, str(error))
    failed = [row for row in told["listeners"] if row["state"] == "failed"]
    if as_json:
        print_json(told)
    else:
        _show_status(told, time.time())
    end(NEGATIVE if failed else 0)


def _show_status(told: dict[str, Any], now: float) -> None:
    server, transfers, phones = told["server"], told["transfers"], told["phones"]
    console.print(
        f"[bold]{escape(server['name'])}[/]  version {escape(server['version'])}, process {server['pid']}, "
        f"up {span(server['uptime_s'])}, home {escape(server['home'])}"
    )
    for mode in server["legacy"]:
        console.print(f"LEGACY MODE  {mode}", style="bold magenta", markup=False)
    for finding in told["config"]["findings"]:
        console.print(f"finding      {finding}", style="yellow", markup=False)
    console.print()
    table = Columns("server", "address", "port", "state", "")
    for row in told["listeners"]:
        note = "; ".join(filter(None, (row["error"], row["tls"])))
        table.add_row(
            row["proto"], row["address"] or "all", str(row["port"]),
            Text(row["state"], TONES.get(row["state"], "")), plain(note),
        )  # fmt: skip
    table.show()
    console.print()
    slots, disk = told["slots"], told["disk"]
    facts = [
        ("transfers", f"{len(transfers['active'])} now; since the start {transfers['ok']:,} complete, "
                      f"{transfers['refused']:,} refused, {transfers['failed']:,} broken off"),
        ("phones", f"{phones['seen_15m']:,} seen within 15 minutes, {phones['known']:,} known"),
        ("slots", f"{slots['used']} of {slots['max']} taken, {slots['refused']:,} refused" if slots["max"]
                  else "no limit (MaxClients=0)"),
        ("user data", userdata(told["backups"], {})),
        ("firmware", firmware(told["firmware"], told["rollout"])),
        ("other servers", central(told["central"], now)),
        ("configuration", f"{told['config']['file']}, generation {told['config']['generation']}, "
                          f"loaded {clock(told['config']['loaded'], now)}"),
        ("disk", f"{size(disk['free'])} free of {size(disk['total'])}"),
    ]  # fmt: skip
    for one in told["certs"]:
        left = one["not_after"] - now
        ends = f"ends in {span(left)}" if left > 0 else "HAS ENDED"
        facts.append(("certificate", f"{one['subject']}, {ends}"))
    seen = told["watchdog"]["last_seen"]
    facts.append(("watchdog", f"looked {span(now - seen)} ago" if seen else "has not looked since the start"))
    for what, value in facts:
        if value:
            console.print(f"{what:<14} {plain(value)}", markup=False)
    if transfers["active"]:
        console.print()
        table = Columns("phone", "address", "over", "file", ">done", ">of", ">since")
        for row in transfers["active"][:40]:
            who = plain(" ".join(filter(None, (row["model"], mac(row["mac"])))))
            table.add_row(
                who or "-", row["peer"], row["proto"], plain(row["name"]), size(row["bytes"]),
                size(row["total"]), span(now - row["started"]),
            )  # fmt: skip
        table.show()
        if len(transfers["active"]) > 40:
            console.print(f"and {len(transfers['active']) - 40} more", style="dim")


# watch


@click.command()
@click.argument("who", metavar="ADDRESS|MAC", required=False, default="")
@click.option("--last", default=10, show_default=True, metavar="N", help="Begin with its last N requests.")
@common
def watch(home: Home, as_json: bool, who: str, last: int) -> None:
    """Show live what a phone asks for and what it gets, until Ctrl-C; without ADDRESS|MAC every phone.

    \b
    Examples:
      mv-iptel watch 192.0.2.17
      mv-iptel watch 00:04:0d:12:34:56 --last 50
      mv-iptel watch --json | jq 'select(.outcome == "refused")'
    """
    if who and not address_of(who) and not mac_of(who):
        end(USAGE, f"{who}: neither an address nor a MAC; `mv-iptel phones list` shows both")
    config = config_of(home)
    try:
        if last > 0 and who:
            reader = Reader(config.settings.database)
            for row in reader.timeline(who, last):
                _show_event({"event": "finished", **row}, as_json)
            reader.close()
        asyncio.run(_watch(config, who, as_json))
    except Unreachable as error:
        end(UNREACHABLE, str(error))
    except Refused as error:
        end(NEGATIVE, str(error))
    except KeyboardInterrupt:
        end(0)


async def _watch(config: Config, who: str, as_json: bool) -> None:
    import aiohttp

    path = "/events" + (f"?phone={quote(mac_of(who) or who)}" if who else "")
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT, sock_read=60)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, read_bufsize=1 << 20) as session,
            session.get(base(config) + path) as answer,
        ):
            same_home(config, answer.headers)
            if answer.status != 200:
                raise Refused(answer.status, (await answer.json(content_type=None)).get("error", ""))
            if not as_json:
                console.print(f"watching {who or 'every phone'}; Ctrl-C ends", style="dim", markup=False)
            async for line in answer.content:
                if line.startswith(b"data: "):
                    _show_event(json.loads(line[6:]), as_json)
    except (aiohttp.ClientError, TimeoutError, ConnectionError):
        raise unreachable(config) from None


def _show_event(event: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(event))
        sys.stdout.flush()
        return
    if event["event"] != "finished":
        text = f"{day(event.get('time', 0))}  {event.get('kind') or event['event']}: {plain(_told(event))}"
        console.print(text, style="magenta", markup=False)
        return
    console.print(line_of(event), soft_wrap=True)


def _told(event: dict[str, Any]) -> str:
    """What an event that is no request says, in words."""
    if event["event"] == "reloaded":
        word = f"generation {event['generation']} is in force" if event["ok"] else "refused"
        return "; ".join([word, *event["findings"], *(f"{key} needs a restart" for key in event["restart"])])
    if event["event"] == "listening":
        return f"{event['proto']} {event['port']} on {event['address']}: {event['error'] or event['state']}"
    text = str(event.get("text") or event.get("why") or event.get("error") or event.get("state") or "")
    return f"{place(event)}: {text}" if event.get("source") else text


# why


@click.command()
@click.argument("address", metavar="ADDRESS|NUMBER")
@click.argument("name", required=False)
@click.option("--protocol", default="http", show_default=True, type=PROTOCOLS, help="How it is asked for.")
@click.option("--method", default="GET", show_default=True, help="PUT, DELETE, STOR, WRQ: it would write.")
@click.option("--agent", default="", help="The User-Agent of the phone.")
@click.option("--mac", "hardware", default="", help="The phone's MAC, as it tells it itself.")
@common
def why(
    home: Home,
    as_json: bool,
    address: str,
    name: str | None,
    protocol: str,
    method: str,
    agent: str,
    hardware: str,
) -> None:
    """Say what an address would get for a name and why, or what the refusal with a number was about.

    \b
    Examples:
      mv-iptel why 192.0.2.17 46xxsettings.txt
      mv-iptel why 192.0.2.17 9640.bin --protocol https --mac 00:04:0d:12:34:56
      mv-iptel why 192.0.2.17 4711_4620data.txt --protocol ftp --method STOR
      mv-iptel why 48213                     the number that the journal and the status page show

    The running server is asked. If none runs, the home is read; slots and recent sightings are unknown then.
    Nothing is sent to any phone. Ends with 1 if the answer is a refusal.
    """
    config = config_of(home)
    if name is None:
        number = address.lstrip("#")
        if not number.isascii() or not number.isdigit():
            end(USAGE, "why needs an address and a name, or one reference number; see --help")
        _why_number(config, int(number), as_json)
    asked = {"address": address, "name": name, "protocol": protocol, "method": method, "agent": agent,
             "mac": hardware}  # fmt: skip
    unknown = ""
    try:
        told = get(config, f"/why?{urlencode(asked)}")
    except Refused as error:
        end(USAGE, str(error))
    except Unreachable:
        unknown = "No server runs: slots and recent sightings are unknown."
        told = _why_alone(installed(home), asked)
    if told["reason"] == "no-file":
        told["sent_by"] = leads.Leads(config).line(name, leads.phone_at(config, hardware or address))
    if as_json:
        print_json({**told, "unknown": ["slots", "recent sightings"] if unknown else []})
    else:
        _show_why(told, asked, unknown)
    end(NEGATIVE if told["decision"] == "refuse" else 0)


def _why_alone(config: Config, asked: dict[str, str]) -> dict[str, Any]:
    from mv_iptel.events import Stream
    from mv_iptel.library import Library
    from mv_iptel.status.server import question

    question_ = question(asked)
    if isinstance(question_, str):
        end(USAGE, question_)
    return Library(config, Stream()).why(*question_)


def _show_why(told: dict[str, Any], asked: dict[str, str], unknown: str) -> None:
    console.print(
        f"{asked['address']} asks for {plain(asked['name'])} over {asked['protocol'].upper()}", markup=False,
        style="bold",
    )  # fmt: skip
    if unknown:
        console.print(unknown, style="yellow")
    for number, step in enumerate(told["steps"], 1):
        line = Text(f"  {number}. {step['step']:<8} ")
        line.append(plain(str(step["result"])))
        if step["source"]:
            line.append(f"  {place(step)}", "dim")
        console.print(line)
    if told["decision"] == "serve":
        octets = f", {size(told['bytes'])}" if "bytes" in told else ""
        console.print(f"It gets {told['file']}{octets}", style="green", markup=False)
        if told.get("detail"):
            console.print(f"  {plain(told['detail'])}", style="cyan", markup=False)
    elif told["decision"] == "challenge":
        console.print("It depends on what the client shows then", style="cyan")
        console.print(f"  {plain(told.get('detail') or '')}", markup=False)
    elif told["decision"] in OPS:
        console.print(f"It would be {OPS[told['decision']]}", style="green", markup=False)
        if told.get("detail"):
            console.print(f"  {plain(told['detail'])}", style="cyan", markup=False)
    else:
        reason = told["reason"]
        console.print(f"It is refused: {reason}, {REASONS.get(reason, '')}", style="yellow", markup=False)
        if told.get("detail"):
            console.print(f"  {plain(told['detail'])}", markup=False)
        if told.get("sent_by"):
            console.print(f"  {plain(leads.words(told['sent_by']))}", style="cyan", markup=False)


# How `why` is asked about a request that would write: by operation and protocol.
_METHODS = {
    "store": {"ftp": "STOR", "ftps": "STOR", "tftp": "WRQ", "": "PUT"},
    "delete": {"ftp": "DELE", "ftps": "DELE", "": "DELETE"},
}


def _why_number(config: Config, number: int, as_json: bool) -> NoReturn:
    """A reference number: the running server knows the newest, the database all that are kept."""
    row = None
    try:
        row = get(config, f"/why?number={number}")
    except (Unreachable, Refused):
        reader = Reader(config.settings.database)
        row = reader.number(number)
        reader.close()
    if row is None:
        end(NEGATIVE, f"no request has the number {number}; the last 100,000 refusals are kept")
    lead = None
    if row["reason"] == "no-file" and row.get("op", "read") == "read":
        lead = leads.Leads(config).line(row["name"], leads.phone_at(config, row["mac"] or row["peer"]))
    if as_json:
        print_json({**row, "sent_by": lead})
        end(0)
    console.print(line_of(row))
    phone = (row["model"], mac(row["mac"]), row["ext"] and f"extension {row['ext']}", f"at {row['peer']}")
    answer = OUTCOMES.get(row["outcome"], row["outcome"])
    if row["reason"]:
        answer = f"{row['reason']}: {REASONS.get(row['reason'], '')}"
    facts = [
        ("when", day(row["time"])),
        ("phone", plain(" ".join(filter(None, phone)))),
        ("known by", ", ".join(SOURCES.get(one, one) for one in row["identified"].split("+") if one)),
        ("User-Agent", plain(row["agent"])),
        ("asked for", plain(row["name"])),
        ("over", row["listener"]),
        ("answer", answer),
        ("detail", plain(row["detail"])),
        ("decided by", place(row)),
        ("sent there", plain(leads.words(lead)) if lead else ""),
        ("times", f"{row['count']}, until {day(row['last'])}" if row["count"] > 1 else ""),
    ]
    for what, value in facts:
        if value:
            console.print(f"  {what:<11} {value}", markup=False)
    again = f"mv-iptel why {row['peer']} {shlex.quote(plain(row['name']))} --protocol {row['proto']}"
    if row.get("op", "read") != "read":
        again += f" --method {_METHODS[row['op']].get(row['proto'], _METHODS[row['op']][''])}"
    console.print(f"  {'now':<11} {again}", style="dim", markup=False)
    end(0)


# slots, reload


@click.group()
def slots() -> None:
    """Slots: which client addresses are being served, where MaxClients limits them.

    \b
    Examples:
      mv-iptel slots list
      mv-iptel slots free 192.0.2.17
    """


@slots.command(name="list")
@common
def list_slots(home: Home, as_json: bool) -> None:
    """List the slots that are taken.

    \b
    Example:
      mv-iptel slots list
    """
    config = config_of(home)
    try:
        told = get(config, "/slots")
    except (Unreachable, Refused) as error:
        end(UNREACHABLE, str(error))
    if as_json:
        print_json(told)
        return
    if not told["max"]:
        console.print("no limit (MaxClients=0): everybody is served at once")
        return
    console.print(f"{told['used']} of {told['max']} slots are taken; {told['refused']} requests found none")
    if told["slots"]:
        table = Columns("address", ">taken for", ">idle for", ">sessions")
        for row in told["slots"]:
            table.add_row(row["address"], span(row["age"]), span(row["idle"]), str(row["sessions"]))
        table.show()


@slots.command(name="free")
@click.argument("address")
@common
def free_slot(home: Home, as_json: bool, address: str) -> None:
    """End a slot now, so that another client can have it.

    \b
    Example:
      mv-iptel slots free 192.0.2.17
    """
    if not address_of(address):
        end(USAGE, f"{address}: an IPv4 or IPv6 address, as `mv-iptel slots list` shows it")
    config = config_of(home)
    path = f"/control/slots/{quote(address, safe='')}/free"
    did(lambda: post(config, path), as_json, f"the slot of {address} is free")


@click.command()
@common
def reload(home: Home, as_json: bool) -> None:
    """Put a changed configuration in force; transfers go on. A bad file leaves the old one in force.

    \b
    Example:
      mv-iptel check && mv-iptel reload
    """
    try:
        config = load(home)
    except ConfigError as error:
        findings = [str(finding) for finding in error.findings]
        if as_json:
            print_json({"ok": False, "findings": findings})
        end(USAGE, "\n".join([*findings, "not reloaded: the configuration in force stays"]))
    except OSError as error:
        end(USAGE, f"{home.ini}: {error.strerror}")
    try:
        told = post(config, "/control/reload")
    except Refused as error:
        end(NEGATIVE, str(error))
    if as_json:
        print_json(told)
    else:
        for finding in told.get("findings", ()):
            console.print(finding, style="yellow", markup=False)
        if told.get("ok"):
            console.print(f"in force, generation {told.get('generation', '?')}", style="green")
        if told.get("restart"):
            text = f"these keys need a restart: {', '.join(told['restart'])}"
            console.print(text, style="yellow", markup=False)
    if not told.get("ok"):
        end(USAGE, "" if as_json else "not reloaded: the configuration in force stays")
    end(NEGATIVE if told.get("findings") or told.get("restart") else 0)


commands: list[click.Command] = [status, watch, why, slots, reload]
