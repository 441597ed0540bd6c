"""The command `serve`: the file server itself, over a home or over one directory."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from mv_iptel.alone import AlreadyRunning
from mv_iptel.check import missing_account
from mv_iptel.cli.asking import base
from mv_iptel.cli.options import USAGE, common, console, end, errors
from mv_iptel.config import Config, ConfigError, defaults, load
from mv_iptel.events import Event, Finished, Listener, Notice
from mv_iptel.home import Home
from mv_iptel.journal import plain, record

if TYPE_CHECKING:
    from mv_iptel.daemon import Daemon


@click.command(name="serve")
@click.option(
    "--dir",
    "directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Serve this directory now by TFTP and HTTP, without an installation.",
)
@click.option(
    "--ports-offset",
    type=click.IntRange(0, 60000),
    default=None,
    metavar="N",
    help="With --dir: add N to the standard ports. Default: 0, or 6000 where low ports need root.",
)
@common
def serve(home: Home, as_json: bool, directory: Path | None, ports_offset: int | None) -> None:
    """Run the file server until Ctrl-C or SIGTERM; SIGHUP reloads the configuration.

    \b
    Examples:
      mv-iptel serve                        the installation in its home
      mv-iptel serve --home /srv/phones     another home
      mv-iptel serve --dir ./firmware       this folder now, no ini

    With --json every event is a line on standard output, in the form of LogFormat=json.
    """
    if directory is not None:
        _serve_directory(directory, ports_offset, as_json)
        return
    if ports_offset is not None:
        end(USAGE, "--ports-offset goes with --dir; an installation has its ports in MV_IPTel.ini")
    if not home.ini.exists():
        end(
            USAGE,
            f"{home.ini}: there is no such file. Run `mv-iptel init {home.root}` to make an installation, or "
            "`mv-iptel serve --dir DIR` to serve a folder now",
        )
    try:
        config = load(home)
    except ConfigError as error:
        end(USAGE, "\n".join(str(finding) for finding in error.findings))
    for finding in missing_account(config):
        end(USAGE, str(finding))
    for finding in config.findings:
        (errors if as_json else console).print(str(finding), markup=False)
    _run(config, lambda: load(home), (), as_json)


def _serve_directory(directory: Path, offset: int | None, as_json: bool) -> None:
    if offset is None:
        offset = 0 if _low_ports() else 6000
    root = Path(tempfile.mkdtemp(prefix="mv-iptel-"))
    home = Home(root)
    try:
        for place in (home.var, home.lists, home.log, home.certs, home.bin):
            place.mkdir(parents=True, exist_ok=True)
        plain = defaults(home)
        directory = directory.resolve()
        config = replace(
            plain,
            tftp=replace(plain.tftp, tftp_dir=directory, trivial_ftp_port=69 + offset),
            http=replace(
                plain.http, http_dir=directory, http_port=81 + offset, http_alt_ports=(80 + offset,)
            ),
            https=replace(plain.https, https_dir=directory, run_https=False),
            ftp=replace(plain.ftp, run_ftp=False),
        )
        _run(config, lambda: config, (_Console(),), as_json)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _low_ports() -> bool:
    try:
        start = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text("ascii"))
    except (OSError, ValueError):
        start = 1024
    return not hasattr(os, "geteuid") or os.geteuid() == 0 or start <= 69


def _run(
    config: Config, load_again: Callable[[], Config], shown: tuple[Listener, ...], as_json: bool
) -> None:
    from mv_iptel.daemon import Daemon  # takes long to import

    async def main() -> None:
        daemon = Daemon(config, load_again, (_Lines(),) if as_json else shown)
        await (daemon.run() if as_json else daemon.run(_banner))

    try:
        asyncio.run(main())
    except AlreadyRunning as running:
        end(USAGE, f"{config.home.root}: process {running} already serves this home; stop it first")
    except OSError as error:
        text = f"{error.filename or config.home.root}: {error.strerror or error}"
        end(USAGE, f"{text}; run as the user who owns the home, or as root, and see `mv-iptel check`")


def _banner(daemon: Daemon) -> None:
    config = daemon.config
    console.print(
        f"[bold]mv-iptel[/] serves {escape(str(config.home.root if config.file else config.http.http_dir))}"
    )
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 2))
    status = daemon.status.listeners()
    fronts = (daemon.tftp, daemon.ftp, daemon.http, daemon.central)
    for row in [*(one for front in fronts for one in front.listeners()), *status]:
        style = {"up": "green", "failed": "red"}.get(row["state"], "dim")
        note = row.get("error") or row.get("tls") or ""
        table.add_row(
            row["proto"],
            escape(_place(row)),
            f"[{style}]{row['state']}[/]",
            escape(note),
        )
    console.print(table)
    for mode in config.legacy():
        console.print(f"legacy mode in force: {mode}", style="yellow")
    # Where it failed, another server may answer at that address.
    if any(row["state"] == "up" for row in status):
        console.print(f"status: {base(config)}/")


def _place(row: dict) -> str:
    address = row["address"]
    return f"[{address}]:{row['port']}" if ":" in address else f"{address}:{row['port']}"


class _Lines:
    """A listener for `--json`: every event as one line."""

    def receive(self, batch: list[Event]) -> None:
        click.echo("\n".join(json.dumps(record(event)) for event in batch))


class _Console:
    """A listener that shows each request on the terminal: with --dir there is no other place to look."""

    def receive(self, batch: list[Event]) -> None:
        for event in batch:
            if isinstance(event, Finished):
                # No markup: a name may begin a tag that ends in what stands behind it.
                line = Text()
                line.append(
                    f"{event.reason or event.outcome:<10}", "green" if event.outcome == "ok" else "red"
                )
                line.append(
                    f" {event.proto:<5} {event.peer:<15} {plain(event.name)}  "
                    f"{event.bytes:,} octets in {event.seconds:.2f} s {plain(event.detail)}"
                )
                console.print(line)
            elif isinstance(event, Notice):
                text = f"{event.kind}: {plain(event.text)} {event.source}"
                console.print(text, style="yellow", markup=False)


commands = [serve]
