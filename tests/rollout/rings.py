"""A home with live scripts, a release of new ones, and a roll-out of it, for the tests of roll-outs."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from mv_iptel.config import defaults
from mv_iptel.events import Event, Notice, Stream
from mv_iptel.firmware.publishing import Done, Publisher
from mv_iptel.firmware.releases import STAGED, File, Release, Releases
from mv_iptel.home import Home
from mv_iptel.library import Client, Library, Refuse, Request, Serve
from mv_iptel.rollout import plans
from mv_iptel.rollout.plans import RUNNING, Limits, Rollout
from mv_iptel.rollout.rings import parse
from mv_iptel.rollout.rolling import Rolling

NOON = 1_760_000_000.0
ID = "96xx-0123abcd"
OLD_APP, NEW_APP = "S9640_R1_0_0.bin", "S9640_R2_0_0.bin"
OLD = f"SET APPNAME {OLD_APP}\nGET 46xxsettings.txt\n".encode()
NEW = f"SET APPNAME {NEW_APP}\nGET 46xxsettings.txt\n".encode()
SCRIPT = "96xxupgrade.txt"


def agent(mac: str, version: str = "1.0.0", model: str = "9640") -> str:
    return f"Mozilla/4.0 (compatible; MSIE 6.0) AVAYA/{model}-{version} (MAC:{mac})"


def put(home: Home, data: bytes) -> str:
    """A content of the store."""
    sha256 = hashlib.sha256(data).hexdigest()
    path = Releases(home).content(sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_bytes(data)
    return sha256


def staged(home: Home, files: dict[str, bytes], ident: str = ID, places=("HTTPdata", "TFTPdata")) -> Release:
    """A release that waits: scripts and software by their names."""
    listed = tuple(
        File(place, name, len(data), put(home, data), "script" if "upgrade" in name else "software")
        for place in places
        for name, data in files.items()
    )
    release = Release(ident, STAGED, "command", "96xx.zip", NOON, NOON, files=listed)
    Releases(home).put(release)
    return release


def scripts_of(release: Release) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for one in release.files:
        if one.role == "script":
            found.setdefault(one.place, {})[one.name] = one.sha256
    return found


class Site:
    """A library over a home with a release that is being rolled out; time stands still until it is set."""

    def __init__(self, folder: Path):
        self.home = Home(folder)
        for place in self.home.directories():
            place.mkdir(parents=True, exist_ok=True)
        self.config = defaults(self.home)
        for place in (self.home.http_data, self.home.tftp_data):
            (place / SCRIPT).write_bytes(OLD)
            (place / "46xxsettings.txt").write_bytes(b"SET A 1\n")
            (place / OLD_APP).write_bytes(b"old")
        self.release = staged(self.home, {SCRIPT: NEW, NEW_APP: b"new firmware"})
        self.now = NOON
        self.events: list[Event] = []
        self.publisher = Publisher(self.config, self.events.append)
        self.begin()

    def begin(self) -> None:
        """Start the server's parts, as a restart does."""
        self.stream = Stream(self)
        self.library = Library(self.config, self.stream, lambda: self.now)
        self.rolling = Rolling(self.config, self.library, self.stream.publish, lambda: self.now)
        self.stream.listeners.append(self.rolling)

    def receive(self, batch: list[Event]) -> None:
        self.events += batch

    def roll(self, *stages: str, state: str = RUNNING, limits: Limits | None = None, **more) -> Rollout:
        """Write a plan and tell the server."""
        rollout = Rollout(
            plans.new_run(), ID, state, tuple(map(parse, stages)), 0, self.now, self.now, self.now,
            scripts=scripts_of(self.release), limits=limits or Limits(),
        )  # fmt: skip
        assert isinstance(self.publisher.expose(ID), Done)
        return self.write(replace(rollout, **more))

    def write(self, rollout: Rollout) -> Rollout:
        plans.save(self.home, rollout)
        self.rolling.refresh()
        return rollout

    def get(self, address: str, name: str = SCRIPT, proto: str = "http", who: str = "", outcome: str = "ok"):
        """One request to its end: its octets, or None."""
        session = self.library.admit(Client(address, 1024, proto, f"{proto}:1"))
        assert not isinstance(session, Refuse)
        request = Request(name.encode(), agent=who)
        with session:
            answer = session.ask(request)
            served = isinstance(answer, Serve)
            size = answer.body.size if served else 0
            session.finished(request, answer, outcome if served else "refused", size, 0.01)
        self.stream.drain()
        if not served:
            return None
        with answer.body as body:
            return body.data

    def boot(self, number: int, runs: str = "1.0.0", group: str = "0") -> str:
        """A 9640 boots; gives what it runs then. It loads what the script orders."""
        address, who = f"10.1.0.{number}", agent(f"00040d0000{number:02x}", runs)
        script = self.get(address, who=who)
        if f"IF $GROUP SEQ {group} ".encode() in script:
            ring = next(line[4:] for line in script.decode().splitlines() if line.startswith("GET mvr-"))
            script = self.get(address, ring, who=who)
        assert script is not None
        app = NEW_APP if NEW_APP.encode() in script else OLD_APP
        version = "2.0.0" if app == NEW_APP else "1.0.0"
        if version != runs:
            assert self.get(address, app, who=who) is not None
        else:
            assert self.get(address, "46xxsettings.txt", who=who) is not None
        return version

    def notices(self, kind: str) -> list[Notice]:
        self.stream.drain()
        return [one for one in self.events if isinstance(one, Notice) and one.kind == kind]

    def fates(self) -> dict[str, str]:
        """What is known of each phone, by its number."""
        return {one.address.rpartition(".")[2]: one.fate for one in self.rolling._judge.met.values()}
