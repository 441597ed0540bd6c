"""The commands that show and steer a running server: status, watch, why, phones, slots, reload."""

from __future__ import annotations

import asyncio
import csv
import json
import re
import shlex
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn
from urllib.parse import quote, urlencode

import click
from rich.markup import escape
from rich.text import Text

from mv_iptel.addresses import address_of, mac_of
from mv_iptel.cli.options import NEGATIVE, UNREACHABLE, USAGE, common, console, end, print_json
from mv_iptel.config import Config, ConfigError, defaults, load
from mv_iptel.home import Home
from mv_iptel.inventory import Reader
from mv_iptel.inventory.reader import SORTS
from mv_iptel.journal import plain
from mv_iptel.status.words import OUTCOMES, REASONS, SOURCES, clock, mac, size, span

TONES = {"ok": "green", "refused": "yellow", "up": "green", "failed": "red", "off": "dim"}
TIMEOUT = 15.0  # seconds for a call; the server answers at once or not at all
PROTOCOLS = click.Choice(["tftp", "http", "https", "ftp", "ftps"])


# asking the server


class Unreachable(Exception):
    """No server answers at the status port; the text says what to do."""


class Refused(Exception):
    """The server answered that it does not do this: status and text."""

    def __init__(self, status: int, text: str):
        super().__init__(text)
        self.status = status


def _config(home: Home) -> Config:
    """The home's configuration; without an ini the defaults, which is where `serve --dir` listens."""
    try:
        return load(home) if home.ini.exists() else defaults(home)
    except ConfigError as error:
        end(USAGE, "\n".join(str(finding) for finding in error.findings))
    except OSError as error:
        end(USAGE, f"{home.ini}: {error.strerror}; run as a user who may read it, or name another --home")


def _installed(home: Home) -> Config:
    """The configuration of a home that must be there: its files are about to be read."""
    if not home.ini.exists():
        end(USAGE, f"{home.ini}: there is no such file; name the installation with --home")
    return _config(home)


def _base(config: Config) -> str:
    host = config.settings.status_bind.split(",")[0].strip()
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{host}:{config.settings.status_port}"


def _unreachable(config: Config) -> Unreachable:
    if not config.settings.run_status:
        text = "RunStatus=0 switches the status server off; set it to 1 and restart the server"
        return Unreachable(f"{config.file}: {text}")
    return Unreachable(
        f"no server answers at {_base(config)}; start it with `mv-iptel serve --home {config.home.root}`, or "
        "name its home with --home"
    )


def _token(config: Config) -> str:
    try:
        return config.home.token.read_text("ascii").strip()
    except FileNotFoundError:
        raise _unreachable(config) from None
    except OSError as error:
        end(USAGE, f"{config.home.token}: {error.strerror}; run as the server's user or in its group")


async def _request(config: Config, method: str, path: str, token: str = "") -> Any:
    import aiohttp  # takes long to import, and `why NUMBER` may not need it

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
            session.request(method, _base(config) + path) as answer,
        ):
            body = await answer.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError, ConnectionError, ValueError):
        raise _unreachable(config) from None
    if answer.status >= 400 and not (isinstance(body, dict) and "ok" in body):
        text = body.get("error", "") if isinstance(body, dict) else ""
        raise Refused(answer.status, str(text or f"the server answered {answer.status}"))
    return body


def _get(config: Config, path: str) -> Any:
    return asyncio.run(_request(config, "GET", path))


def _post(config: Config, path: str) -> Any:
    try:
        return asyncio.run(_request(config, "POST", path, _token(config)))
    except Unreachable as error:
        end(UNREACHABLE, str(error))


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
    config = _config(home)
    try:
        told = _get(config, "/status.json")
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
    table = _Columns("server", "address", "port", "state", "")
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
        console.print(f"{what:<14} {value}", markup=False)
    if transfers["active"]:
        console.print()
        table = _Columns("phone", "address", "over", "file", ">done", ">of", ">since")
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
    config = _config(home)
    if last > 0 and who:
        reader = Reader(config.settings.database)
        for row in reader.timeline(who, last):
            _show_event({"event": "finished", **row}, as_json)
        reader.close()
    try:
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
            session.get(_base(config) + path) as answer,
        ):
            if answer.status != 200:
                raise Refused(answer.status, (await answer.json(content_type=None)).get("error", ""))
            if not as_json:
                console.print(f"watching {who or 'every phone'}; Ctrl-C ends", style="dim", markup=False)
            async for line in answer.content:
                if line.startswith(b"data: "):
                    _show_event(json.loads(line[6:]), as_json)
    except (aiohttp.ClientError, TimeoutError, ConnectionError):
        raise _unreachable(config) from None


def _show_event(event: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(event))
        sys.stdout.flush()
        return
    if event["event"] != "finished":
        told = event.get("text") or event.get("why") or event.get("error") or event.get("state") or ""
        text = f"{_day(event.get('time', 0))}  {event.get('kind') or event['event']}: {plain(str(told))}"
        console.print(text, style="magenta", markup=False)
        return
    console.print(_line(event), soft_wrap=True)


def _line(row: dict[str, Any]) -> Text:
    """One request as a line of a time line."""
    line = Text(f"{_day(row['time'])}  ", "dim")
    line.append(f"{row['proto']:<5} {row['peer']:<15} ", "dim")
    line.append(f"{row['outcome']:<8}", TONES.get(row["outcome"], "red"))
    line.append(f" {plain(row['name'], 120) or '-'}", "bold")
    again = row.get("count", 1)
    if row["outcome"] == "refused":
        line.append(f"  {row['reason']}", "yellow")
        line.append(f": {plain(row['detail'] or REASONS.get(row['reason'], ''))}")
        if row["source"]:
            line.append(f" ({_place(row)})", "dim")
        line.append(f"  #{row['id']}", "dim")
    else:
        line.append(f"  {size(row['bytes'])} in {row['seconds']:.2f} s", "dim")
        if row["resends"]:
            line.append(f", {row['resends']} sent again", "yellow")
        if row["outcome"] != "ok":
            line.append(f"  {OUTCOMES.get(row['outcome'], '')} {plain(row['detail'])}".rstrip(), "red")
        sent = row["file"].replace("\\", "/").rpartition("/")[2]
        if sent and sent != row["name"].rpartition("/")[2]:
            line.append(f"  was sent {plain(sent)}", "cyan")
    if again > 1:
        line.append(f"  {again} times", "cyan")
    return line


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
      mv-iptel why 48213                     the number that the journal and the status page show

    The running server is asked. If none runs, the home is read; slots and recent sightings are unknown then.
    Nothing is sent to any phone. Ends with 1 if the answer is a refusal.
    """
    config = _config(home)
    if name is None:
        number = address.lstrip("#")
        if not number.isascii() or not number.isdigit():
            end(USAGE, "why needs an address and a name, or one reference number; see --help")
        _why_number(config, int(number), as_json)
    asked = {"address": address, "name": name, "protocol": protocol, "method": method, "agent": agent,
             "mac": hardware}  # fmt: skip
    unknown = ""
    try:
        told = _get(config, f"/why?{urlencode(asked)}")
    except Refused as error:
        end(USAGE, str(error))
    except Unreachable:
        unknown = "No server runs: slots and recent sightings are unknown."
        told = _why_alone(_installed(home), asked)
    if as_json:
        print_json({**told, "unknown": ["slots", "recent sightings"] if unknown else []})
    else:
        _show_why(told, asked, unknown)
    end(0 if told["decision"] == "serve" else NEGATIVE)


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
            line.append(f"  {_place(step)}", "dim")
        console.print(line)
    if told["decision"] == "serve":
        octets = f", {size(told['bytes'])}" if "bytes" in told else ""
        console.print(f"It gets {told['file']}{octets}", style="green", markup=False)
        if told.get("detail"):
            console.print(f"  {plain(told['detail'])}", style="cyan", markup=False)
    else:
        reason = told["reason"]
        console.print(f"It is refused: {reason}, {REASONS.get(reason, '')}", style="yellow", markup=False)
        if told.get("detail"):
            console.print(f"  {plain(told['detail'])}", markup=False)


def _why_number(config: Config, number: int, as_json: bool) -> NoReturn:
    """A reference number: the running server knows the newest, the database all that are kept."""
    row = None
    try:
        row = _get(config, f"/why?number={number}")
    except (Unreachable, Refused):
        reader = Reader(config.settings.database)
        row = reader.number(number)
        reader.close()
    if row is None:
        end(NEGATIVE, f"no request has the number {number}; the last 100,000 refusals are kept")
    if as_json:
        print_json(row)
        end(0)
    console.print(_line(row))
    phone = (row["model"], mac(row["mac"]), row["ext"] and f"extension {row['ext']}", f"at {row['peer']}")
    answer = OUTCOMES.get(row["outcome"], row["outcome"])
    if row["reason"]:
        answer = f"{row['reason']}: {REASONS.get(row['reason'], '')}"
    facts = [
        ("when", _day(row["time"])),
        ("phone", plain(" ".join(filter(None, phone)))),
        ("known by", ", ".join(SOURCES.get(one, one) for one in row["identified"].split("+") if one)),
        ("User-Agent", plain(row["agent"])),
        ("asked for", plain(row["name"])),
        ("over", row["listener"]),
        ("answer", answer),
        ("detail", plain(row["detail"])),
        ("decided by", _place(row)),
        ("times", f"{row['count']}, until {_day(row['last'])}" if row["count"] > 1 else ""),
    ]
    for what, value in facts:
        if value:
            console.print(f"  {what:<11} {value}", markup=False)
    again = f"mv-iptel why {row['peer']} {shlex.quote(plain(row['name']))} --protocol {row['proto']}"
    console.print(f"  {'now':<11} {again}", style="dim", markup=False)
    end(0)


# phones


@click.group()
def phones() -> None:
    """Phones that were seen: who they are, what they run, what they asked for.

    \b
    Examples:
      mv-iptel phones list --model 96 --seen 1d
      mv-iptel phones show 00:04:0d:12:34:56
    """


@phones.command(name="list")
@click.option("--model", default="", help="Only models that begin so.")
@click.option("--version", default="", help="Only phones that run a version (or file) that begins so.")
@click.option("--seen", default="", metavar="TIME", help="Only phones seen within TIME: 15m, 8h, 30d.")
@click.option("--unseen", default="", metavar="TIME", help="Only phones not seen for TIME.")
@click.option("--sort", default="seen", show_default=True, type=click.Choice(list(SORTS)))
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@common
def list_phones(
    home: Home, as_json: bool, model: str, version: str, seen: str, unseen: str, sort: str, as_csv: bool
) -> None:
    """List phones.

    \b
    Examples:
      mv-iptel phones list --seen 1d --sort model
      mv-iptel phones list --version S9640 --csv > phones.csv
      mv-iptel phones list --unseen 30d
    """
    now = time.time()
    reader = Reader(_installed(home).settings.database)
    since = now - _seconds(seen, "--seen") if seen else 0.0
    until = now - _seconds(unseen, "--unseen") if unseen else 0.0
    rows = reader.phones(model=model, version=version, since=since, until=until, sort=sort, limit=1_000_000)
    reader.close()
    if as_json:
        print_json(rows)
    elif as_csv:
        _write_csv(rows)
    elif not rows:
        console.print("no such phone was seen")
    else:
        table = _Columns("MAC", "ext", "model", "runs", "address", ">requests", ">refused", ">seen")
        for row in rows:
            table.add_row(
                mac(row["mac"]) or "-", plain(row["ext"]) or "-", plain(row["model"]) or "-", _runs(row),
                row["address"], str(row["requests"]), str(row["refused"]),
                f"{span(now - row['last_seen'])} ago",
            )  # fmt: skip
        table.show()
        note = "; * by its script: it read one that orders this and went on to its settings"
        starred = note if any(row["runs_source"] == "script" for row in rows) else ""
        console.print(f"{len(rows)} phone{'s' if len(rows) != 1 else ''}{starred}", style="dim")
    end(0 if rows else NEGATIVE)


@phones.command(name="show")
@click.argument("who", metavar="MAC|ADDRESS|EXT")
@click.option("--last", default=30, show_default=True, metavar="N", help="The last N requests.")
@common
def show_phone(home: Home, as_json: bool, who: str, last: int) -> None:
    """Show one phone: identity and who told it, versions, files, one time line over all protocols.

    \b
    Examples:
      mv-iptel phones show 00:04:0d:12:34:56
      mv-iptel phones show 4711 --last 100
    """
    reader = Reader(_installed(home).settings.database)
    phone = reader.phone(who)
    timeline = reader.timeline(who, last)
    if phone is None and not timeline:
        reader.close()
        end(NEGATIVE, f"{plain(who)}: no such phone was seen; `mv-iptel phones list` shows all")
    peers = [one["address"] for one in phone["addresses"]] if phone else [who]
    notices = reader.notices(10, peers)
    reader.close()
    if as_json:
        print_json({**(phone or {"address": who}), "timeline": timeline, "notices": notices})
        return
    if phone is None:
        text = f"{plain(who)} is no known phone: it showed no MAC and got no file"
        console.print(text, style="bold", markup=False)
    else:
        _show_phone(phone)
    if timeline:
        console.print("\nTime line", style="bold")
        for row in timeline:
            console.print(_line(row))
    refused = [row for row in timeline if row["outcome"] == "refused"]
    if refused:
        console.print("\nRefused, in plain words", style="bold")
        told = {}
        for row in refused:
            told[row["name"], row["reason"]] = row
        for row in list(told.values())[-8:]:
            words = REASONS.get(row["reason"], row["reason"])
            console.print(f"  {plain(row['name']) or '-'}: {words}  (mv-iptel why {row['id']})", markup=False)
    for notice in reversed(notices):
        console.print(f"{_day(notice['time'])}  {notice['kind']}: {plain(notice['text'])}", style="magenta",
                      markup=False)  # fmt: skip


def _show_phone(phone: dict[str, Any]) -> None:
    name = " ".join(filter(None, (phone["model"], mac(phone["mac"]) or phone["address"])))
    console.print(plain(name), style="bold", markup=False)
    labels = {"mac": "MAC", "ext": "extension", "model": "model"}
    for field, label in labels.items():
        for one in [row for row in phone["identity"] if row["field"] == field][:4]:
            value = mac(one["value"]) if field == "mac" else plain(one["value"])
            source = SOURCES.get(one["source"], one["source"])
            when = f"until {_day(one['last_seen'])}" if one["last_seen"] > one["first_seen"] else ""
            console.print(f"  {label:<13} {value:<22} by its {source} {when}".rstrip(), markup=False)
    runs = plain(phone["runs"]) or "unknown"
    how = f"by its {SOURCES.get(phone['runs_source'], '')}" if phone["runs"] else ""
    console.print(f"  {'runs':<13} {runs:<22} {how}".rstrip(), markup=False)
    earlier = [one for one in phone["versions"] if one["version"] != phone["runs"]]
    for one in earlier[:5]:
        console.print(f"  {'ran':<13} {plain(one['version']):<22} {_day(one['first_seen'])} to "
                      f"{_day(one['last_seen'])}", markup=False)  # fmt: skip
    console.print(f"  {'seen':<13} {_day(phone['first_seen'])} to {_day(phone['last_seen'])}", markup=False)
    sums = f"{phone['requests']:,}, {phone['refused']:,} refused, {phone['failed']:,} broken off"
    console.print(f"  {'requests':<13} {sums}, {size(phone['bytes'])} sent", markup=False)
    for one in phone["addresses"][:5]:
        console.print(f"  {'address':<13} {one['address']:<22} until {_day(one['last_seen'])}", markup=False)
    if phone["files"]:
        console.print("\nLast files", style="bold")
        table = _Columns("file", "over", ">size", ">times", "last")
        for one in phone["files"][:12]:
            table.add_row(plain(one["name"]), one["proto"], size(one["bytes"]), str(one["count"]),
                          _day(one["last_seen"]))  # fmt: skip
        table.show()


@phones.command(name="forget")
@click.argument("who", metavar="MAC|ADDRESS|EXT")
@common
def forget_phone(home: Home, as_json: bool, who: str) -> None:
    """Remove a phone from the inventory; if it comes again it is new.

    \b
    Example:
      mv-iptel phones forget 00:04:0d:12:34:56
    """
    config = _installed(home)
    reader = Reader(config.settings.database)
    phone = reader.phone(who)
    reader.close()
    if phone is None:
        end(NEGATIVE, f"{plain(who)}: no such phone was seen")
    _did(lambda: _post(config, f"/control/phones/{quote(phone['key'])}/forget"), as_json,
         f"{phone['key']} is forgotten")  # fmt: skip


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
    config = _config(home)
    try:
        told = _get(config, "/slots")
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
        table = _Columns("address", ">taken for", ">idle for", ">sessions")
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
    config = _config(home)
    path = f"/control/slots/{quote(address, safe='')}/free"
    _did(lambda: _post(config, path), as_json, f"the slot of {address} is free")


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
        told = _post(config, "/control/reload")
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


# forms


def _did(call: Callable[[], Any], as_json: bool, text: str) -> None:
    try:
        told = call()
    except Refused as error:
        end(NEGATIVE, str(error))
    if as_json:
        print_json(told)
    else:
        console.print(text, style="green", markup=False)


class _Columns:
    """Aligned columns, as wide as they are: a MAC folded to fit a window can be neither read nor copied.

    `>` before a heading puts its column to the right.
    """

    def __init__(self, *heads: str):
        self.right = [head.startswith(">") for head in heads]
        self.rows = [[Text(head.lstrip(">"), "dim") for head in heads]]

    def add_row(self, *cells: str | Text) -> None:
        self.rows.append([cell if isinstance(cell, Text) else Text(cell) for cell in cells])

    def show(self) -> None:
        widths = [max(cell.cell_len for cell in column) for column in zip(*self.rows, strict=True)]
        for row in self.rows:
            line = Text()
            for cell, width, right in zip(row, widths, self.right, strict=True):
                space = " " * (width - cell.cell_len)
                line.append_text(Text(space) + cell if right else cell + Text(space)).append("  ")
            line.rstrip()
            console.print(line)


def _write_csv(rows: list[dict[str, Any]]) -> None:
    """CSV that a spreadsheet does not take for formulas: a phone chooses some of these texts."""
    fields = ("mac", "ext", "model", "version", "runs", "runs_source", "address", "first_seen", "last_seen",
              "requests", "refused", "failed", "bytes")  # fmt: skip
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(fields)
    for row in rows:
        values = []
        for field in fields:
            value = row[field]
            if field.endswith("_seen"):
                value = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(value))
            elif isinstance(value, str):
                value = plain(value)
                if value[:1] in ("=", "+", "-", "@", "\t"):
                    value = "'" + value
            values.append(value)
        writer.writerow(values)


def _runs(row: dict[str, Any]) -> str:
    return plain(row["runs"]) + (" *" if row["runs_source"] == "script" else "") if row["runs"] else "unknown"


def _day(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))


def _place(row: dict[str, Any]) -> str:
    """File and line that decided."""
    return plain(row["source"]) + (f":{row['line']}" if row["line"] else "")


def _seconds(text: str, option: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw]?)", text.strip().lower())
    if match is None:
        end(USAGE, f"{option} {text}: a number with s, m, h, d or w, as in 15m or 30d")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[match[2]]


commands: list[click.Command] = [status, watch, why, phones, slots, reload]
