"""The commands `sim backup`, `sim restore` and `sim agent`: one phone's user data, and its SNMP agent."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from mv_iptel.cli.options import NEGATIVE, UNREACHABLE, USAGE, common, end, print_json
from mv_iptel.cli.sim_options import (
    handset_of,
    mac_option,
    model_option,
    patience_option,
    say,
    servers_option,
    sig_option,
    snmp_of,
    snmp_options,
    trust,
)
from mv_iptel.home import Home
from mv_iptel.phones import agent, userdata
from mv_iptel.phones.boot import Fetched
from mv_iptel.phones.families import Handset

RESULTS = {"ok": "green", "missing": "yellow", "refused": "red", "failed": "red", "different": "red"}


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that both backup and restore have."""
    command = servers_option(snmp_options(command))
    for option in reversed((
        model_option("4621SW"),
        click.option("--ext", required=True, metavar="NUMBER", help="The user's extension."),
        mac_option,
        sig_option,
        click.option("--protocol", type=click.Choice(["ftp", "http", "https"]), default=None,
                     help="Default: 4600 ftp, 96x0 and 96x1 https, others http."),
        click.option("--bruri", default="", metavar="URL", help="BRURI, instead of --server and the ports."),
        click.option("--directory", default="", metavar="PATH", help="FTPDIR, or the path of BRURI."),
        click.option("--address", default="", metavar="IP", help="The phone's own address: 127.0.0.5."),
        click.option("--active", is_flag=True, help="FTP: the server opens the data connections."),
        click.option("--ascii", "ascii_", is_flag=True, help="FTP: TYPE A instead of TYPE I."),
        click.option("--old-name", is_flag=True, help="The name of 4600 release 2.0, without the extension."),
        click.option("--password", default="", metavar="WORD",
                     help="HTTP: goes with each request over TLS (BRAUTH 1), else answers a challenge."),
        click.option("--call-server", "user", default="127.0.0.1", metavar="IP", show_default=True,
                     help="What goes with the password: the call server's address, or a user's name."),
        click.option("--agent", "answers", is_flag=True,
                     help="Answer SNMP on the phone's own address meanwhile."),
        patience_option("How long the phone waits for the server."),
    )):  # fmt: skip
        command = option(command)
    return command


@dataclass(frozen=True)
class Errand:
    """One phone about to store or fetch: all that the options said."""

    handset: Handset
    depot: userdata.Depot
    manner: Any
    old: bool
    answers: bool
    community: str = field(repr=False)
    snmp_port: int

    @contextlib.contextmanager
    def answering(self) -> Iterator[list[agent.Asked]]:
        """The phone's agent, as long as the errand takes; what it was asked."""
        heard: list[agent.Asked] = []
        if not self.answers:
            yield heard
            return
        with agent.Agents() as agents:
            address = self.manner.address or self._towards()
            try:
                agents.add(address, self.snmp_port, agent.Says(self.handset, self.community), heard.append)
            except OSError as error:
                end(USAGE, _not_ours(address, self.snmp_port, error))
            yield heard

    def _towards(self) -> str:
        """The address of this machine that the server sees."""
        from mv_iptel.phones.live import address_towards

        try:
            return address_towards(self.depot.server)
        except OSError as error:
            server = self.depot.server
            end(UNREACHABLE, f"{server.host}: {(error.strerror or str(error)).lower()}")

    def told(self, file: str, got: Fetched, heard: list[agent.Asked]) -> dict[str, Any]:
        """For JSON."""
        server = self.depot.server
        return {
            "model": self.handset.model, "ext": self.handset.ext, "address": self.manner.address,
            "protocol": server.protocol, "server": server.host, "port": server.port, "file": file,
            "result": got.result, "detail": got.detail, "bytes": got.size, "sha256": got.sha256,
            "seconds": round(got.seconds, 4), "tries": got.tries, "snmp": [each.as_dict() for each in heard],
        }  # fmt: skip

    def show(self, file: str, got: Fetched, heard: list[agent.Asked]) -> None:
        """Print how it went."""
        server = self.depot.server
        table = Table(show_header=False, box=None, pad_edge=False)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        at = f" at {self.manner.address}" if self.manner.address else ""
        table.add_row("phone", f"{self.handset.model}, extension {self.handset.ext}{at}")
        table.add_row("server", f"{server.protocol} {server.host}:{server.port}")
        table.add_row("file", escape(self.depot.path(file)))
        if got.result in ("ok", "different"):
            table.add_row("octets", f"{got.size:,}, sha256 {got.sha256[:16]}")
        if self.answers:
            asked = ", ".join(dict.fromkeys(each.outcome for each in heard))
            times = "once" if len(heard) == 1 else f"{len(heard)} times"
            table.add_row("SNMP", f"asked {times}: {asked}" if heard else "nobody asked")
        colour = RESULTS[got.result]
        table.add_row("result", f"[{colour}]{got.result}[/] {escape(got.detail)} ({got.seconds:.2f} s)")
        say(table)
        if got.result == "refused" and not self.answers:
            say("If the server asked this phone over SNMP, nobody answered: --agent does.")


def errand(
    home: Home, model: str, ext: str, mac: str, sig: str | None, protocol: str | None, bruri: str,
    directory: str, address: str, active: bool, ascii_: bool, old_name: bool, password: str, user: str,
    answers: bool, patience: float, community: str | None, snmp_port: int | None, **where: Any,
) -> Errand:  # fmt: skip
    """What the options describe; the end, where no phone can do that."""
    from mv_iptel.phones.backup import Manner  # brings the protocols along

    handset = handset_of(model, mac=mac, ext=ext, sig=sig)
    ports = {"http": where["http_port"], "https": where["tls_port"]}
    try:
        wire = protocol or ("ftp" if userdata.by_ftp(handset) else handset.family.protocol)
        userdata.kept_by(handset)
        if bruri:
            depot = userdata.depot_by(handset, bruri)
        else:
            host, offset = where["server"], where["offset"]
            depot = userdata.depot_at(handset, host, offset, directory, wire, ports.get(wire, 0))
    except ValueError as error:
        end(USAGE, str(error))
    secure = depot.server.protocol == "https"
    context = trust(home, where, False, handset.family.checks_name) if secure else None
    manner = Manner(address, handset.user_agent(), not active, ascii_, user, password, context, patience)
    return Errand(handset, depot, manner, old_name, answers, *snmp_of(home, community, snmp_port))


@click.command(name="backup")
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="What is stored. Default: made-up contents.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Other made-up contents.")
@data_options
@common
def backup_command(home: Home, as_json: bool, file: Path | None, seed: int, **options: Any) -> None:
    """Store one simulated phone's user data, as the phone does when its user saves.

    The 4600 store over FTP, anonymously; the newer H.323 phones by HTTP or HTTPS PUT. A server that asks
    the phone over SNMP first gets its answer with --agent.

    \b
    Examples:
      mv-iptel sim backup --ext 4711 --address 127.0.0.5 --agent          a 4621SW over FTP
      mv-iptel sim backup --model 9640 --ext 4712 --ports-offset 6000     HTTPS PUT to 6411
      mv-iptel sim backup --model 9640 --ext 4712 --bruri http://192.0.2.10:81/ --file labels.txt

    Exit codes: 0 stored, 1 refused, 2 usage, 3 no server answered.
    """
    from mv_iptel.phones import backup

    phone = errand(home, **options)
    try:
        name = userdata.stored_as(phone.handset, phone.old)
    except ValueError as error:
        end(USAGE, str(error))
    data = file.read_bytes() if file else userdata.made_up(userdata.kept_by(phone.handset), seed)
    with phone.answering() as heard:
        got = backup.store(phone.depot, name, data, phone.manner)
    if as_json:
        print_json(phone.told(name, got, heard))
    else:
        phone.show(name, got, heard)
    _end_as(got)


@click.command(name="restore")
@click.option(
    "--expect",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="What must come back, octet for octet.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Save it there instead of printing it.",
)
@data_options
@common
def restore_command(home: Home, as_json: bool, expect: Path | None, out: Path | None, **options: Any) -> None:
    """Fetch one simulated phone's user data, as the phone does when its user logs in.

    \b
    Examples:
      mv-iptel sim restore --model 4625SW --ext 4711 --address 127.0.0.6 --agent
      mv-iptel sim restore --model 9640 --ext 4712 --expect labels.txt
      mv-iptel sim restore --model 1616 --ext 4713 --out 4713.txt --json

    Exit codes: 0 restored, 1 nothing there, refused or different, 2 usage, 3 no server answered.
    """
    from mv_iptel.phones import backup

    phone = errand(home, **options)
    wanted = expect.read_bytes() if expect else None
    try:
        asked = userdata.asked_for(phone.handset, phone.old)
    except ValueError as error:
        end(USAGE, str(error))
    with phone.answering() as heard:
        for name in asked:
            got = backup.fetch(phone.depot, name, phone.manner)
            if got.result != "missing":
                break
    data = got.data or b""
    if got.result == "ok" and wanted is not None and data != wanted:
        got = got._replace(result="different", detail=f"not the {len(wanted)} octets of {expect}")
    if got.result in ("ok", "different") and out is not None:
        out.write_bytes(data)
    if as_json:
        print_json({**phone.told(name, got, heard), "text": text_of(data) if got.size else ""})
    else:
        phone.show(name, got, heard)
        if got.size and out is None:
            click.echo("\n" + "".join(c if c.isprintable() or c == "\n" else "?" for c in text_of(data)))
    _end_as(got)


def text_of(data: bytes) -> str:
    """User data as text, for people: whatever was stored can be shown."""
    if data.startswith(b"\xff\xfe"):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8", "replace")


def _end_as(got: Fetched) -> None:
    if got.result != "ok":
        end(UNREACHABLE if got.result == "failed" else NEGATIVE)


@click.command(name="agent")
@model_option("4621SW")
@click.option("--ext", default="4711", show_default=True, metavar="NUMBER", help="The user's extension.")
@sig_option
@click.option(
    "--runs", default="", metavar="FILE",
    help="The application in its flash, which a scan asks for; 4600 and 96x1 do not tell it. Default: none.",
)  # fmt: skip
@click.option("--address", default="127.0.0.5", show_default=True, metavar="IP", help="Where it answers.")
@click.option(
    "--count",
    type=click.IntRange(1, 10_000),
    default=1,
    metavar="N",
    help="So many phones: addresses and extensions are counted up from the first.",
)
@click.option(
    "--fault",
    type=click.Choice(list(agent.FAULTS)),
    default=None,
    help="What it does wrong: " + "; ".join(" ".join(each) for each in agent.FAULTS.items()),
)
@click.option(
    "--delay",
    type=click.FloatRange(0, 3600),
    default=0.8,
    show_default=True,
    metavar="SECONDS",
    help="For the fault slow.",
)
@partial(snmp_options, port="--port")
@common
def agent_command(
    home: Home, as_json: bool, model: str, ext: str, sig: str | None, runs: str, address: str,
    count: int, fault: str | None, delay: float, snmp_port: int | None, community: str | None,
) -> None:  # fmt: skip
    """Answer SNMP as a phone does, v1 and v2c, until Ctrl-C; each question is printed.

    A server asks a phone for its extension and type before it takes or gives user data.

    \b
    Examples:
      mv-iptel sim agent --model 4621SW --ext 4711 --address 127.0.0.5 --port 6161
      mv-iptel sim agent --ext 4711 --fault slow --delay 0.8
      mv-iptel sim agent --ext 20001 --address 127.1.1.1 --count 200
      mv-iptel sim agent --model J179 --runs FW_S_J179_R4_1_3_0_6.bin      what `firmware scan` shows

    Exit codes: 0 ended by Ctrl-C, 2 usage.
    """
    word, port = snmp_of(home, community, snmp_port)
    handset = handset_of(model, ext=ext, sig=sig, runs=runs)
    try:
        first = ipaddress.ip_address(address)
        phones = [(str(first), ext)]
        phones += [(str(first + more), str(int(ext) + more).zfill(len(ext))) for more in range(1, count)]
    except ValueError as error:
        end(USAGE, f"--address and --ext: {error}")
    with agent.Agents() as agents:
        for own, extension in phones:
            mine = handset_of(model, ext=extension, sig=sig, runs=runs)
            try:
                one = agents.add(own, port, agent.Says(mine, word, fault or "", delay), _printer(as_json))
            except OSError as error:
                end(USAGE, _not_ours(own, port, error))
        if not as_json:
            more = f" and {count - 1} more" if count > 1 else ""
            wrong = f", {agent.FAULTS[fault]}" if fault else ""
            who = f"{handset.model}, extension {escape(ext)}"
            say(f"{who} answers SNMP on {address} port {one.port}{more}{wrong}")
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


def _printer(as_json: bool) -> Callable[[agent.Asked], None]:
    """What is printed of each question, on the agents' thread."""

    def tell(asked: agent.Asked) -> None:
        if as_json:
            click.echo(json.dumps(asked.as_dict()))
        else:
            what = ", ".join(asked.objects) or "no GET of SNMP v1 or v2c"
            say(f"{asked.address} was asked by {asked.peer}, v{asked.version}: {what}: {asked.outcome}")

    return tell


def _not_ours(address: str, port: int, error: OSError) -> str:
    text = f"cannot answer SNMP on {address} port {port}: {(error.strerror or str(error)).lower()}"
    return f"{text}; set SNMPPort in the home's [SNMP] to a port above 1023, or give another one"


commands = [backup_command, restore_command, agent_command]
