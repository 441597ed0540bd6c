"""The branch's half of the command `central`: `join`, and what `status` shows of the way to the centre."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from typing import Any

import click

from mv_iptel.central.client import wanted
from mv_iptel.central.inviting import parse
from mv_iptel.central.peers import peers_of
from mv_iptel.central.state import State
from mv_iptel.cli.asking import Refused, Unreachable, get, installed, tell
from mv_iptel.cli.options import NEGATIVE, UNREACHABLE, USAGE, common, console, end, failed, print_json
from mv_iptel.config import Config, load
from mv_iptel.home import Home
from mv_iptel.journal import plain
from mv_iptel.status.words import many


@click.command()
@click.argument("line", nargs=-1, required=True)
@click.option("--secondary", is_flag=True, help="This is the server to ask when the primary does not answer.")
@common
def join(home: Home, as_json: bool, line: tuple[str, ...], secondary: bool) -> None:
    """Make this server a branch of a central server, by the LINE that `central invite` printed there.

    It writes authority, token and certificate into `certs` and sets the keys of [BACKUP_SERVERS]; a running
    server follows at once. `-` for LINE reads it from the standard input, so that it stays out of the shell's
    history.

    \b
    Examples:
      mv-iptel central join mvc1:eyJhIjpbIjEwLjAuMC41Il0s...
      mv-iptel central join --secondary mvc1:eyJhIjpbIjEwLjAuMC42Il0s...
      mv-iptel central join - < invitation.txt
    """
    from mv_iptel.central.joining import NobodyThere, NotJoined
    from mv_iptel.central.joining import join as enrol

    config = installed(home)
    text = sys.stdin.read(8192) if line == ("-",) else " ".join(line)
    try:
        invite = parse(text)
    except ValueError as error:
        end(USAGE, str(error))
    try:
        found = asyncio.run(enrol(config, invite, "secondary" if secondary else "primary"))
    except NobodyThere as error:
        end(UNREACHABLE, str(error))
    except NotJoined as error:
        end(NEGATIVE, str(error))
    except OSError as error:
        failed(error)
    running = _reload(load(home))
    if as_json:
        print_json({"name": found.name, "server": found.server, "address": found.peer.host,
                    "port": found.peer.port, "role": found.peer.role, "generation": found.generation,
                    "running": running})  # fmt: skip
        return
    server = found.server or "the central server"
    console.print(f"joined {server} at {found.peer.place} as {found.name}", style="green", markup=False)
    number = found.generation
    serves = f"it has published generation {number}" if number else "it has published nothing yet"
    console.print(f"{serves}; firmware comes from there and users' data goes there from now on", markup=False)
    if not running:
        text = "no server runs here; it follows at its next start, or after `mv-iptel reload`"
        console.print(text, style="dim", markup=False)


def _reload(config: Config) -> bool:
    """Have a running server follow; whether one does."""
    with contextlib.suppress(Unreachable, Refused, SystemExit):  # who may not read the token was told so
        tell(config, "/control/reload")
        return True
    return False


def told(config: Config) -> dict[str, Any] | None:
    """What is known of the way to the centre; None: this is no branch."""
    if not wanted(config):
        return None
    state, live = State(config.home), {}
    with contextlib.suppress(Unreachable, Refused, SystemExit):
        live = get(config, "/status.json").get("central") or {}
    release, generation, _ = state.taken
    waiting = config.home.var / "queue" / "central"
    queue = len(list(waiting.iterdir())) if waiting.is_dir() else 0
    return {
        "servers": [
            {"role": peer.role, "address": peer.host, "port": peer.port, "name": state.of(peer).name,
             "generation": state.of(peer).generation}
            for peer in peers_of(config)
        ],
        "release": release, "generation": generation, "queue": live.get("queue", queue),
        "peer": live.get("peer"), "last_ok": live.get("last_ok"), "error": live.get("error", ""),
        "fetching": live.get("fetching"), "running": bool(live),
    }  # fmt: skip


def show(branch: dict[str, Any]) -> None:
    """That, for people."""
    for one in branch["servers"]:
        place = f"{one['role']} {one['address']}:{one['port']}"
        as_who = f", where this is {plain(one['name'])}" if one["name"] else ""
        console.print(f"branch of the {place}{as_who}", markup=False)
    if branch["release"]:
        console.print(f"last taken: generation {branch['generation']} ({branch['release']})", markup=False)
    if not branch["running"]:
        console.print("no server runs here, so nobody asks the central server", style="yellow")
    elif branch["error"]:
        console.print(plain(branch["error"], 300), style="yellow", markup=False)
    elif branch["last_ok"]:
        ago = max(0, int(time.time() - branch["last_ok"]))
        console.print(f"{branch['peer']} answered {ago} s ago", style="green", markup=False)
    if branch["fetching"]:
        done, total = branch["fetching"]["done"] >> 20, branch["fetching"]["total"] >> 20
        console.print(f"fetching: {done} of {total} MiB", markup=False)
    if branch["queue"]:
        waits = "waits" if branch["queue"] == 1 else "wait"
        console.print(f"{many(branch['queue'], 'file')} of user data {waits} to be sent", markup=False)


commands: list[click.Command] = [join]
