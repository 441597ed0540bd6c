"""The command `mv-watchdog`: watches the file server, or looks once and says what it saw."""

from __future__ import annotations

import asyncio
import sys
import time

import click
from rich.markup import escape
from rich.table import Table

from mv_iptel import __version__
from mv_iptel.alone import AlreadyRunning
from mv_iptel.cli.options import DONE, NEGATIVE, UNREACHABLE, USAGE, console, end, print_json
from mv_iptel.config import ConfigError, WatchDogConfig, load_watchdog
from mv_iptel.home import Home
from watchdogd import serving
from watchdogd.judge import ANSWERS, MATTERS
from watchdogd.loop import View, Watch
from watchdogd.snapshot import document

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.command(context_settings=HELP)
@click.option(
    "--home", metavar="DIR", help="The installation's home. Default: $MV_IPTEL_HOME, else the system's place."
)
@click.option("--once", is_flag=True, help="Look once, say what was seen, and run no script.")
@click.option("--json", "as_json", is_flag=True, help="With --once: print JSON for scripts.")
@click.version_option(__version__, prog_name="mv-watchdog")
def command(home: str | None, once: bool, as_json: bool) -> None:
    """Watch the file server: a real download from every listener, again and again.

    \b
    mv-watchdog                        # until Ctrl-C or SIGTERM; its page: http://127.0.0.1:6091/
    mv-watchdog --once                 # one round now
    mv-watchdog --once --json

    When FailureLimit downloads of a listener were missed, MV_WatchDog/bin/mv_iptel_alert.sh is run.
    Exit codes: 0 all is well, 1 something is not, 2 usage or configuration, 3 no server answers.
    """
    found = Home.find(home)
    if not found.ini.exists():
        end(
            USAGE,
            f"{found.ini}: there is no such file; make a home with `mv-iptel init`, or name it with --home",
        )
    try:
        config = load_watchdog(found)
    except ConfigError as error:
        end(USAGE, "\n".join(str(finding) for finding in error.findings))
    except OSError as error:
        end(USAGE, f"{found.watchdog_ini} cannot be read: {error.strerror}")
    if once:
        end(look(config, as_json))
    try:
        asyncio.run(serving.run(config, lambda text: click.echo(text)))
    except AlreadyRunning as error:
        end(USAGE, f"another watchdog watches {found.root} (process {error}); end it first")
    except OSError as error:
        end(NEGATIVE, f"the watchdog cannot run: {error}")


def look(config: WatchDogConfig, as_json: bool) -> int:
    """One round; its exit code."""
    started = time.time()
    view = Watch(config, acting=False).round()
    if as_json:
        print_json(document(view, started))
    else:
        show(view)
    return verdict(view)


def verdict(view: View) -> int:
    """How one round ends."""
    seen = view.seen
    if seen.got and not any(one.result in ANSWERS for one in seen.got.values()) and not seen.server.answers:
        return UNREACHABLE
    grave = any(MATTERS.get(one.kind) for one in view.state.matters.values())
    missed = any(one.failures for one in view.state.counters.values())
    return NEGATIVE if grave or missed or not seen.got else DONE


def show(view: View) -> None:
    """What was seen, for people."""
    table = Table(box=None, pad_edge=False)
    for name in ("listener", "asked at", "download", "ms", "what"):
        table.add_column(name, justify="right" if name == "ms" else "left")
    for target, got in view.seen.got.items():
        counter = view.state.counters.get(target.label)
        missed = counter is not None and counter.failures > 0
        what = counter.text if missed and counter else got.text
        word = f"[{'red' if missed else 'green'}]{'missed' if missed else 'good'}[/]"
        table.add_row(target.label, target.host, word, f"{got.seconds * 1000:.0f}", escape(what))
    console.print(table)
    for matter in view.state.matters.values():
        console.print(f"{matter.kind}: {matter.text}", markup=False)


def main() -> None:
    """Entry point of the console script."""
    try:
        command(prog_name="mv-watchdog")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
