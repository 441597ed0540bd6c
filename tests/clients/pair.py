"""A pair of servers with one shared address: network namespaces, keepalived, phones that boot in a loop."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from mv_iptel import heartbeat
from mv_iptel.home import Home
from mv_iptel.phones.boot import Report, Servers, drive, play
from mv_iptel.phones.families import Handset
from mv_iptel.phones.live import Live, tls_context
from mv_iptel.phones.sample import write_firmware
from mv_iptel.standby.converting import Wishes, convert
from tests.clients.daemon import COMMAND, set_keys, wait_for

ROOT = Path(__file__).resolve().parent.parent.parent
SHARED, GATEWAY = "198.51.100.10", "198.51.100.1"
OWN = {"files1": "198.51.100.11", "files2": "198.51.100.12"}
PHONES = ("198.51.100.21", "198.51.100.22")
PATIENCE = 2.0  # seconds that these phones wait for an answer before they start anew
LONG = 60.0

_NEWNET = 0x40000000
_SCRIPT = re.compile(r"(?:VRRP_Script\(mv_iptel\)|Script `mv_iptel`) .*?(succeeded|failed|returning \d+)")


def enter(namespace: str) -> None:
    """This thread's sockets are in that namespace from now on. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{namespace}", "rb") as file:
        if libc.setns(file.fileno(), _NEWNET):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), namespace)


def within(namespace: str, work: Callable[[], object]) -> object:
    """What `work` gives, done in that namespace."""
    found: list[object] = []

    def run() -> None:
        enter(namespace)
        found.append(work())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found, "it failed, as printed above"
    return found[0]


def command(*words: object) -> str:
    """Run a program; what it printed."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
    return done.stdout


class Network:
    """A switch with a gateway's address, two servers and a place for phones."""

    def __init__(self) -> None:
        tag = f"mvp{os.getpid() % 10_000}"
        self.switch, self.phones = f"{tag}s", f"{tag}p"
        self.of = {node: f"{tag}{number}" for number, node in enumerate(OWN, 1)}

    def __enter__(self) -> Network:
        names = [self.switch, self.phones, *self.of.values()]
        for name in names:
            command("ip", "netns", "add", name)
            command("ip", "-n", name, "link", "set", "lo", "up")
        command("ip", "-n", self.switch, "link", "add", "br0", "type", "bridge")
        command("ip", "-n", self.switch, "addr", "add", f"{GATEWAY}/24", "dev", "br0")
        command("ip", "-n", self.switch, "link", "set", "br0", "up")
        self._plug(self.phones, "phones", *PHONES)
        for node, own in OWN.items():
            self._plug(self.of[node], node, own)
        return self

    def _plug(self, namespace: str, port: str, *addresses: str) -> None:
        command("ip", "-n", self.switch, "link", "add", port, "type", "veth", "peer", "name", "eth0",
                "netns", namespace)  # fmt: skip
        for address in addresses:
            command("ip", "-n", namespace, "addr", "add", f"{address}/24", "dev", "eth0")
        command("ip", "-n", namespace, "link", "set", "eth0", "up")
        command("ip", "-n", self.switch, "link", "set", port, "master", "br0")
        command("ip", "-n", self.switch, "link", "set", port, "up")

    def __exit__(self, *_: object) -> None:
        for name in (self.phones, *self.of.values(), self.switch):
            subprocess.run(["ip", "netns", "del", name], capture_output=True)

    def cut(self, node: str) -> None:
        """The switch forgets this port: the carrier stays, nothing arrives."""
        command("ip", "-n", self.switch, "link", "set", node, "nomaster")

    def unplug(self, node: str) -> None:
        """The carrier goes."""
        command("ip", "-n", self.switch, "link", "set", node, "down")

    def mend(self, node: str) -> None:
        command("ip", "-n", self.switch, "link", "set", node, "master", "br0")
        command("ip", "-n", self.switch, "link", "set", node, "up")


class Member:
    """One of the two: its home, its server, its keepalived."""

    def __init__(self, node: str, namespace: str, folder: Path, keepalived: str):
        self.node, self.namespace, self.folder, self._keepalived = node, namespace, folder, keepalived
        self.home = Home(folder / "home")
        self.server: subprocess.Popen[bytes] | None = None
        self.keeper: subprocess.Popen[bytes] | None = None
        self.log = folder / "keepalived.log"

    def inside(self, *words: object) -> list[str]:
        return ["ip", "netns", "exec", self.namespace, *map(str, words)]

    def run(self, *words: str) -> str:
        """An `mv-iptel` command on this server."""
        return command(*self.inside(COMMAND, *words, "--home", self.home.root))

    def start(self) -> None:
        """The file server, up."""
        with (self.folder / "serve.out").open("ab") as output:
            self.server = subprocess.Popen(
                self.inside(COMMAND, "serve", "--home", self.home.root),
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        wait_for(f"{self.node}'s server", self.good, LONG)

    def good(self) -> bool:
        """Whether it passes its own check."""
        asked = self.inside(COMMAND, "standby", "check", "--home", self.home.root)
        return subprocess.run(asked, capture_output=True, timeout=60).returncode == 0

    def watch(self, ping: bool) -> None:
        """Start keepalived, by the file that the converter writes."""
        scripts = self.folder / "scripts"
        scripts.mkdir()
        there = ROOT / "packaging" / "keepalived"
        for name in ("check.sh", "reach.sh", "notify.sh"):
            script = scripts / name
            lines = ["#!/bin/sh", f"export MV_IPTEL_PREFIX={sys.prefix} MV_IPTEL_HOME={self.home.root}",
                     f'exec {there / name} "$@"']  # fmt: skip
            script.write_text("\n".join(lines) + "\n")
            script.chmod(0o755)
        old = "bcast eth0\nnice_failback on\nnode files1 files2\n" + (f"ping {GATEWAY}\n" if ping else "")
        pair = heartbeat.parse(old.encode(), f"files1 {SHARED}\n".encode(), b"auth 1\n1 crc\n")
        wishes = Wishes(interface="eth0", addresses=OWN, scripts=str(scripts), user="root")
        file = self.folder / "keepalived.conf"
        # A folder for tests is everybody's to write in, which this keyword refuses.
        file.write_text(convert(pair, wishes).text.replace("    enable_script_security\n", ""))
        with self.log.open("wb") as output:
            self.keeper = subprocess.Popen(
                self.inside(self._keepalived, "-P", "-n", "-l", "-D", "-f", file, "-i", self.node,
                            "-p", self.folder / "k.pid", "-r", self.folder / "v.pid"),
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip

    @property
    def active(self) -> bool:
        """Whether it has the shared address."""
        return f" {SHARED}/" in command("ip", "-n", self.namespace, "-o", "addr", "show")

    @property
    def trusted(self) -> bool:
        """Whether its keepalived holds it for well."""
        found = _SCRIPT.findall(self.log.read_text("utf-8", "replace"))
        return bool(found) and found[-1] in ("succeeded", "returning 0")

    def signal(self, number: int) -> None:
        self.server.send_signal(number)
        if number == signal.SIGKILL:
            self.server.wait()

    def end(self) -> None:
        for process in (self.keeper, self.server):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


class Pair:
    """Both, with the same content; `with` starts them."""

    def __init__(self, folder: Path, keepalived: str, ping: bool):
        self.network = Network()
        self._ping = ping
        self.members = [
            Member(node, namespace, folder / node, keepalived) for node, namespace in self.network.of.items()
        ]
        self._stack = ExitStack()

    def __enter__(self) -> Pair:
        first, second = self.members
        first.folder.mkdir(parents=True)
        second.folder.mkdir(parents=True)
        addresses = [word for one in (SHARED, *OWN.values()) for word in ("--address", one)]
        command(COMMAND, "init", first.home.root, "--name", "files", *addresses)
        scripts = (
            "46xxupgrade.scr",
            "96xxupgrade.txt",
        )  # the others stay samples, which a release may replace
        write_firmware([first.home.tftp_data, first.home.http_data], 300_000, scripts=scripts)
        for folder in (first.home.tftp_data, first.home.http_data):
            settings = folder / "46xxsettings.txt"
            told = settings.read_text("utf-8").replace(
                f"SNMPADD {SHARED}", f"SNMPADD {','.join(OWN.values())}"
            )
            settings.write_text(told, "utf-8")
        set_keys(first.home.ini, {
            ("BACKUP_SERVERS", "FileServer"): 1, ("BACKUP_SERVERS", "UpdateInterval"): "2s",
            ("Settings", "LogFormat"): "json",
        })  # fmt: skip
        shutil.copytree(first.home.root, second.home.root)  # before anything has run there
        with self._stack as stack:
            stack.enter_context(self.network)
            for member in self.members:
                stack.callback(member.end)
                member.start()
            for member in self.members:
                member.watch(self._ping)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *trace: object) -> None:
        self._stack.__exit__(*trace)

    def active(self) -> Member:
        """Who alone has the shared address, once one alone has it."""

        def one() -> Member | None:
            found = [member for member in self.members if member.active]
            return found[0] if len(found) == 1 else None

        return wait_for("one active server", one, LONG)  # type: ignore[return-value]

    def settled(self) -> Member:
        """Who is active, once both are well."""
        wait_for("both well", lambda: all(member.trusted for member in self.members), LONG)
        return self.active()


class Boot(NamedTuple):
    """One round of a phone."""

    began: float
    ended: float
    report: Report


class Phone:
    """Boots again and again at the shared address, in a thread; each boot is kept."""

    def __init__(self, pair: Pair, handset: Handset, address: str):
        self._pair, self.handset, self.address = pair, handset, address
        self.boots: list[Boot] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Phone:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(LONG)

    def _run(self) -> None:
        enter(self._pair.network.phones)
        trust = tls_context(self._pair.members[0].home.ca_cert)
        old = self.handset.family.name.startswith("4600")
        servers = Servers(tftp=(SHARED,)) if old else Servers(http=(SHARED,), https=(SHARED,))
        while not self._ended.is_set():
            began = time.monotonic()
            with Live(self.address, trust, PATIENCE) as live:
                report = drive(play(self.handset, servers), live.fetch)
            self.boots.append(Boot(began, time.monotonic(), report))
            if not report.booted.ready:
                self._ended.wait(0.2)

    def good_since(self, moment: float) -> Boot | None:
        """The first good boot that began after that moment."""
        for boot in list(self.boots):
            if boot.began >= moment and boot.report.booted.ready:
                return boot
        return None

    def failed(self, after: float, until: float) -> int:
        """How many boots went wrong that ended in that time."""
        ended = [boot for boot in self.boots if after < boot.ended <= until]
        return sum(not boot.report.booted.ready for boot in ended)

    def wrong(self, home: Home) -> Iterator[str]:
        """Transfers that ended well with something else than lies on the disk."""
        known: dict[tuple[str, str], set[str]] = {}
        for boot in self.boots:
            for line in boot.report.requests:
                if line.got.result != "ok":
                    continue
                key = line.fetch.server.protocol, line.fetch.name
                if key not in known:
                    folders = (home.tftp_data,) if key[0] == "tftp" else (home.https_data, home.http_data)
                    paths = [folder / line.fetch.name for folder in folders]
                    known[key] = {
                        hashlib.sha256(one.read_bytes()).hexdigest() for one in paths if one.exists()
                    }
                if line.got.sha256 not in known[key]:
                    yield f"{key}: {line.got}"
