"""What `make run` shows: a scratch home, all three processes, and two simulated phones that boot and save."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mv_iptel.config.editing import changed
from mv_iptel.home import Home
from mv_iptel.phones import backup, userdata
from mv_iptel.phones.agent import Agents, Asked, Says
from mv_iptel.phones.boot import Fetched, Report, Servers, drive, play
from mv_iptel.phones.families import Handset
from mv_iptel.phones.live import Live, tls_context
from mv_iptel.phones.sample import write_firmware

HOST = "127.0.0.1"
OFFSET = 6000  # added to the standard ports, so that nobody needs root for a first look
STATUS = 6090
MANAGER = 6092
WATCHDOG = 6091
TIMER = 5  # seconds between two looks of the watchdog
SNMP = 161  # before the offset: nobody but root may answer there
UP = 30.0  # seconds for the server to be up, on a busy machine
END = 15.0  # seconds for it to end: running transfers get 5

console = Console(highlight=False)


class DemoError(Exception):
    """Why there is nothing to show; the argument says what to do about it."""


class Boot(NamedTuple):
    """One phone that was switched on."""

    address: str
    how: str
    report: Report

    @property
    def handset(self) -> Handset:
        """What it is."""
        return self.report.booted.handset


class Saved(NamedTuple):
    """What became of one phone's user data."""

    depot: userdata.Depot
    file: str
    stored: Fetched
    restored: Fetched
    asked: list[Asked]  # what the server asked its agent meanwhile

    @property
    def whole(self) -> bool:
        """Whether it came back as it went."""
        return self.restored.result == "ok" and self.restored.sha256 == self.stored.sha256


def command(*arguments: str, program: str = "mv-iptel") -> list[str]:
    """`mv-iptel` of this very environment, or another of its programs."""
    return [str(Path(sys.executable).with_name(program)), *arguments]


def make_home(home: Home, offset: int, status: int, manager: int, watchdog: int) -> None:
    """A fresh home, by `mv-iptel init`, with firmware that the sample scripts order."""
    shutil.rmtree(home.root, ignore_errors=True)
    init = command("init", str(home.root), "--name", "localhost", "--address", HOST)
    done = subprocess.run([*init, "--ports-offset", str(offset)], capture_output=True, text=True)
    if done.returncode:
        raise DemoError(f"init failed:\n{done.stdout}{done.stderr}")
    keys = {("SNMP", "SNMPPort"): str(SNMP + offset), ("Settings", "StatusPort"): str(status)}
    home.ini.write_text(changed(home.ini.read_text("utf-8"), keys), "utf-8")
    text = home.manager_ini.read_text("utf-8")
    keys = {("Settings", "ManagerPort"): str(manager), ("Settings", "ServerURL"): f"http://{HOST}:{status}/"}
    home.manager_ini.write_text(changed(text, keys), "utf-8")
    keys = {("Settings", "StatusPort"): str(watchdog), ("Settings", "WatchDogTimer"): str(TIMER)}
    home.watchdog_ini.write_text(changed(home.watchdog_ini.read_text("utf-8"), keys), "utf-8")
    # The script of a real home restarts the machine's own service, which this server is not.
    text = "#!/bin/sh\necho 'here the server would be restarted; this one is only shown'\n"
    (home.watchdog / "bin" / "mv_iptel_alert.sh").write_text(text, "utf-8")
    write_firmware([home.tftp_data, home.http_data])


def start(home: Home, status: int) -> subprocess.Popen[bytes]:
    """`mv-iptel serve`, up: every listener answers. What it prints goes to serve.log in the home."""
    server, log = _begin(home, "serve.log", command("serve", "--home", str(home.root)))
    limit = time.monotonic() + UP
    while time.monotonic() < limit:
        if server.poll() is not None:
            raise DemoError(f"the server ended at once:\n{log.read_text('utf-8', 'replace')}")
        try:
            with urllib.request.urlopen(f"http://{HOST}:{status}/status.json", timeout=5) as answer:
                seen = json.load(answer)
        except (urllib.error.URLError, OSError, ValueError):
            time.sleep(0.05)
            continue
        if seen["server"]["pid"] != server.pid:
            stop(server)
            raise DemoError(
                f"port {status} belongs to another mv-iptel (process {seen['server']['pid']}): end it"
            )
        failed = [f"{one['proto']} {one['port']}: {one['error']}" for one in seen["listeners"]
                  if one["state"] == "failed"]  # fmt: skip
        if failed:
            stop(server)
            raise DemoError("ports are taken; end what holds them:\n" + "\n".join(failed))
        return server
    stop(server)
    raise DemoError(f"the server was not up after {UP:g} s; see {log}")


def start_manager(home: Home, port: int) -> subprocess.Popen[bytes]:
    """`mv-manager`, up: it answers over TLS. What it prints goes to manager.log in the home."""
    begun = command("--home", str(home.root), program="mv-manager")
    manager, log = _begin(home, "manager.log", begun)
    trust = tls_context(home.ca_cert)
    limit = time.monotonic() + UP
    while time.monotonic() < limit:
        if manager.poll() is not None:
            raise DemoError(f"the manager ended at once:\n{log.read_text('utf-8', 'replace')}")
        try:
            with urllib.request.urlopen(f"https://{HOST}:{port}/healthz", timeout=5, context=trust):
                return manager
        except (urllib.error.URLError, OSError, ValueError):
            time.sleep(0.05)
    stop(manager)
    raise DemoError(f"the manager was not up after {UP:g} s; see {log}")


def start_watchdog(home: Home, port: int) -> subprocess.Popen[bytes]:
    """`mv-watchdog`, up: it has looked once. What it prints goes to watchdog.log in the home."""
    begun = command("--home", str(home.root), program="mv-watchdog")
    watchdog, log = _begin(home, "watchdog.log", begun)
    limit = time.monotonic() + UP
    while time.monotonic() < limit:
        if watchdog.poll() is not None:
            raise DemoError(f"the watchdog ended at once:\n{log.read_text('utf-8', 'replace')}")
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/status.json", timeout=5) as answer:
                seen = json.load(answer)
            if seen["rounds"]["count"] and seen["watchdog"]["pid"] == watchdog.pid:
                return watchdog
        except (urllib.error.URLError, OSError, ValueError, KeyError):
            pass
        time.sleep(0.05)
    stop(watchdog)
    raise DemoError(f"the watchdog's page was not up after {UP:g} s: end what has port {port}, or see {log}")


def _begin(home: Home, name: str, begun: list[str]) -> tuple[subprocess.Popen[bytes], Path]:
    log = home.root / name
    with log.open("wb") as output:
        # A group of its own: Ctrl-C is for us, who then end it in order.
        process = subprocess.Popen(
            begun, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    return process, log


def first_password(home: Home) -> tuple[str, str]:
    """Name and password of the manager's first user, as `init` wrote them down."""
    for line in home.passwords.read_text("utf-8").splitlines():
        kind, _, rest = line.partition(" ")
        name, _, password = rest.partition(" ")
        if kind == "manager" and password:
            return name, password
    raise DemoError(f"{home.passwords} names no user of the manager")


def stop(server: subprocess.Popen[bytes]) -> int:
    """End a process of ours in order; its exit code."""
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
    try:
        return server.wait(END)
    except subprocess.TimeoutExpired:
        server.kill()
        return server.wait()


def boots(home: Home, offset: int) -> list[Boot]:
    """One 4621SW over TFTP; one 9640 by TLS on 411, then by HTTP on 81. Each has an address of its own."""
    old = Handset("4621SW", mac="00040d4621aa", ext="4621")
    new = Handset("9640", mac="00040d9640bb", ext="9640")
    trust = tls_context(home.ca_cert)
    found = []
    for handset, servers, address, how in (
        (old, Servers(tftp=(HOST,), offset=offset), "127.0.0.21", "TFTP"),
        (new, Servers(http=(HOST,), https=(HOST,), offset=offset), "127.0.0.40", "HTTPS 411, then HTTP 81"),
    ):
        with Live(address, trust) as live:
            found.append(Boot(address, how, drive(play(handset, servers), live.fetch)))
    return found


def saves(home: Home, offset: int, boot: Boot) -> Saved:
    """The phone keeps its user's data where its settings say, and fetches it; its agent answers meanwhile."""
    settings = {name: one.value for name, one in boot.report.booted.parameters.items()}
    handset = boot.handset
    file = userdata.stored_as(handset)
    manner = backup.Manner(boot.address, handset.user_agent(), context=tls_context(home.ca_cert))
    asked: list[Asked] = []
    try:
        depot = userdata.depot_in(handset, settings, offset)
        with Agents() as agents:
            says = Says(handset, settings.get("SNMPSTRING", ""))
            agents.add(boot.address, SNMP + offset, says, asked.append)
            stored = backup.store(depot, file, userdata.made_up(userdata.kept_by(handset)), manner)
            restored = backup.fetch(depot, file, manner)
    except (OSError, ValueError) as error:
        raise DemoError(f"the {handset.model} could not keep its user's data: {error}") from error
    return Saved(depot, file, stored, restored, asked)


def show(boot: Boot) -> None:
    """What one phone asked for and got, in the width of the smallest terminal."""
    report = boot.report
    title = f"{boot.handset.model} at {boot.address}, {boot.how}"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("asked for", "from", "because of"):
        table.add_column(name, no_wrap=True)
    table.add_column("bytes got", justify="right")
    table.add_column("ms", justify="right")
    power_on = 1
    for line in report.requests:
        if line.power_on > power_on:
            power_on = line.power_on
            table.add_row("[dim]it restarts[/]")
        wanted, got = line.fetch, line.got
        because = f"{wanted.file}:{wanted.line}" if wanted.file else "its model"
        content = f"[green]{got.size:,}[/]" if got.result == "ok" else f"[red]{escape(got.detail)}[/]"
        table.add_row(
            escape(wanted.name), f"{wanted.server.protocol} {wanted.server.port}", escape(because), content,
            f"{got.seconds * 1000:.0f}",
        )  # fmt: skip
    console.print(f"[bold]{escape(title)}[/]", table, sep="\n", end="")
    word = "[green]booted[/]" if report.booted.ready else "[red]did not boot[/]"
    console.print(f"{word} in {report.seconds:.2f} s: {escape(report.booted.why)}\n")


def show_saved(boot: Boot, saved: Saved) -> None:
    """What one phone stored and fetched."""
    server = saved.depot.server
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("user data", "over", "the server says"):
        table.add_column(name)
    table.add_column("bytes", justify="right")
    table.add_column("ms", justify="right")
    over = f"{server.protocol} {server.port}"
    for verb, got in (("stores", saved.stored), ("fetches", saved.restored)):
        colour = "green" if got.result == "ok" else "red"
        said = f"[{colour}]{escape(got.detail)}[/]"
        table.add_row(f"{verb} {saved.file}", over, said, f"{got.size:,}", f"{got.seconds * 1000:.0f}")
    console.print(table, end="")
    word = "[green]the same came back[/]" if saved.whole else "[red]it did not come back[/]"
    handset = boot.handset
    by_snmp = f"asked {len(saved.asked)} times over SNMP who it is"
    console.print(f"{handset.model}, extension {handset.ext}: {word}; {by_snmp}\n")


def main(
    root: Path = Path(".run/home"),
    offset: int = OFFSET,
    status: int = STATUS,
    manager: int = MANAGER,
    watchdog: int = WATCHDOG,
    once: bool | None = None,
) -> int:
    """Show it all; 0 if both phones booted and got their data back, and all three processes ended in order.

    `once`: end after the boots; without it the environment's RUN_ONCE=1 says so.
    """
    once = os.environ.get("RUN_ONCE", "") not in ("", "0") if once is None else once
    home = Home(root.absolute())
    ended = threading.Event()
    # SIGTERM ends a run as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    running: list[tuple[str, subprocess.Popen[bytes]]] = []
    good, codes = False, [0]
    try:
        console.print(f"Making a scratch home in {escape(str(root))} and starting all three processes ...")
        make_home(home, offset, status, manager, watchdog)
        running.append(("server", start(home, status)))
        running.append(("manager", start_manager(home, manager)))
        running.append(("watchdog", start_watchdog(home, watchdog)))
        console.print("Booting two simulated phones.\n")
        booted = boots(home, offset)
        for boot in booted:
            show(boot)
        good = all(boot.report.booted.ready for boot in booted)
        if good:
            console.print("Both keep their user's data at this server, and fetch it as at the next login.\n")
        for boot in booted if good else ():
            saved = saves(home, offset, boot)
            show_saved(boot, saved)
            good = good and saved.whole
        if not once:
            name, password = first_password(home)
            console.print(f"Manager: https://localhost:{manager}/")
            console.print(f"  sign in as {name} with {password}", soft_wrap=True, markup=False)
            console.print(
                "  The browser warns, as it does not know this home's authority; then choose a password."
            )
            console.print(f"Status page: http://{HOST}:{status}/")
            console.print(f"Watchdog: http://{HOST}:{watchdog}/")
            console.print(
                f"Try: {os.path.relpath(command()[0])} why 127.0.0.40 46xxsettings.txt --home {root}",
                soft_wrap=True,
            )
            console.print("Ctrl-C ends it.")
            ended.wait()
    except DemoError as error:
        console.print(f"[red]{escape(str(error))}[/]")
    except KeyboardInterrupt:
        console.print()
    finally:
        for name, process in reversed(running):
            codes.append(stop(process))
            console.print(f"The {name} has ended (exit code {codes[-1]}).")
    return 0 if good and not any(codes) else 1


if __name__ == "__main__":
    sys.exit(main())
