"""Servers and publications are killed at random instants: phones never see half of a generation.

Watchers fetch every script and all that it names over HTTP and TFTP, at all three servers, all the time.
"""

from __future__ import annotations

import contextlib
import random
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from mv_iptel import config
from mv_iptel.firmware import journal
from mv_iptel.firmware.verifying import verify
from mv_iptel.firmware.working import alone
from tests.clients.agents import Agents
from tests.clients.daemon import COMMAND, PATIENCE, wait_for
from tests.clients.packages import Package, upgrade
from tests.clients.savers import Saver, content, says, version_of
from tests.clients.sites import Company, Site
from tests.clients.watcher import SCRIPTS, Watcher, known_of

pytestmark = [pytest.mark.prove, pytest.mark.timeout(3600)]

AT_ONCE = 3  # processes that are killed in one round, each at an instant of its own
LIFE = 1.0  # seconds that a victim lives at most in a round
# Of half the victims the instant is aimed: seconds to wait for a publication to begin, and for it to go on.
AIM, IN_THE_MIDST = 3.0, 0.03
LONG = 120.0
BETWEEN = 0.5  # seconds between two publications: others work too, and most kills are aimed at one


class Publishing(threading.Thread):
    """Installs and publishes one generation after the other at the centre, by the command."""

    def __init__(self, site: Site, folder: Path, known: dict[str, str]):
        super().__init__(daemon=True)
        self.site, self.folder, self.known = site, folder, known
        self.number = 0  # the last one that began
        self.packages: dict[int, Package] = {}
        self.killed = 0
        self.recovered = 0  # publications that the next command finished or undid
        self.refused: list[str] = []
        self.process: subprocess.Popen | None = None
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.wait(BETWEEN):
            self.once()

    def once(self) -> bool:
        """The next generation; whether it was published."""
        package = upgrade(self.number + 1)
        self.known |= known_of(package.files)
        self.packages[self.number + 1] = package
        self.number += 1
        archive = package.write(self.folder)
        command = [str(COMMAND), "firmware", "install", str(archive), "--publish", "--yes", "--home",
                   str(self.site.home.root)]  # fmt: skip
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True
        )
        said, _ = self.process.communicate()
        self.recovered += "broken off" in " ".join(said.split())
        if self.process.returncode == -9:
            self.killed += 1
        elif self.process.returncode:
            self.refused.append(f"{self.process.returncode}: {said}")
        return self.process.returncode == 0

    def kill(self) -> None:
        """Whatever it does now."""
        process = self.process
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()


def number_served(site: Site, packages: dict[int, Package]) -> int:
    """The generation that this site's scripts are of; all of it is there, and it is one."""
    found: set[int] = set()
    with alone(site.home):  # nobody publishes while we look
        for folder, protocol in ((site.home.http_data, "http"), (site.home.tftp_data, "tftp")):
            for script in SCRIPTS[protocol]:
                data = (folder / script).read_bytes()
                found |= {number for number, package in packages.items() if package.files[script] == data}
        assert len(found) == 1, f"{site.home.root}: parts of generations {sorted(found)}"
        [number] = found
        for folder in (site.home.http_data, site.home.tftp_data):
            for name, data in packages[number].files.items():
                assert (folder / name).read_bytes() == data, f"{folder / name} is not of generation {number}"
        verified = verify(config.load(site.home))
        assert verified.sound, verified.found
    return number


def assert_none_doubled(site: Site, savers: list[Saver]) -> None:
    """Every content that is kept was sent, whole, and is kept once."""
    for saver in savers:
        folder = site.home.var / "versions" / saver.name
        kept = [path.read_bytes() for path in folder.glob("*Z-*")]
        current = site.home.ftp_data / saver.name
        if current.exists():
            kept.append(current.read_bytes())
        for data in kept:
            version = version_of(data)
            assert data == content(saver.number, version) and version <= saver.sent
        doubled = {data: times for data, times in Counter(kept).items() if times > 1}
        assert not doubled, f"{folder}: {len(doubled)} contents twice"


def test_killed_at_random_instants(tmp_path, count, evidence):
    kills, chance = count("central-kills"), random.Random()
    known: dict[str, str] = {}
    with Agents(says) as agents, ExitStack() as stack:
        keys = {("SNMP", "SNMPPort"): agents.port, ("Settings", "KeepVersions"): 10_000}
        company = Company(tmp_path, "1s", keys, keys)
        company.__enter__()
        stack.callback(lambda: [company.kill(site) for site in company.sites])
        publishing = Publishing(company.centre, tmp_path, known)
        assert publishing.once(), publishing.refused
        for site in company.branches:
            wait_for("the first generation", lambda: number_of(site, publishing) == 1, LONG)  # noqa: B023
        watchers = [
            stack.enter_context(
                Watcher(site, protocol, known, f"127.0.6.{number * 2 + (protocol == 'tftp')}")
            )
            for number, site in enumerate(company.sites, 1)
            for protocol in SCRIPTS
        ]
        # Of the phones that store, 0 speaks FTP and 14 is the first that speaks HTTP.
        savers = [Saver(company.a, 0, 0.05), Saver(company.b, 14, 0.05)]
        threads = [threading.Thread(target=saver.run, daemon=True) for saver in savers]
        for thread in (*threads, publishing):
            thread.start()
        done = 0
        while done < kills:
            victims = chance.sample([*company.sites, publishing], min(AT_ONCE, kills - done))
            with ThreadPoolExecutor() as pool:
                instants = [(chance.uniform(0, LIFE), chance.random() < 0.5) for _ in victims]
                list(
                    pool.map(lambda one: kill(company, one[0], *one[1]), zip(victims, instants, strict=True))
                )
                done += len(victims)
                sites = [one for one in victims if isinstance(one, Site)]
                list(pool.map(company.start, sites))
            for site in sites:
                number_served(site, publishing.packages)
            assert [one.wrong for one in watchers] == [[]] * len(watchers)
        publishing.stop.set()
        publishing.join(LONG)
        for saver in savers:
            saver.stop.set()
        for thread in threads:
            thread.join(PATIENCE)
        wait_for("a whole publication", publishing.once, LONG)
        for site in company.sites:
            wait_for("the last generation", lambda: number_of(site, publishing) == publishing.number, LONG)  # noqa: B023
            assert number_served(site, publishing.packages) == publishing.number
        caught_up(company, savers)
        assert [one.wrong for one in watchers] == [[]] * len(watchers)
        evidence(
            "central-kills", kills=kills, generations=publishing.number,
            publications_killed=publishing.killed,
            recovered=publishing.recovered
            + sum(site.journal().count('"firmware-recovered"') for site in company.sites),
            scripts_watched=sum(one.looked for one in watchers),
            files_watched=sum(one.fetched for one in watchers),
            times_away=sum(one.away for one in watchers), missing=0,
            stores_sent=sum(one.sent for one in savers),
            newest_acknowledged=sum(one.acknowledged for one in savers), lost=0, doubled=0,
        )  # fmt: skip
    assert [one.wrong for one in watchers] == [[]] * len(watchers)
    assert publishing.refused == []
    assert all(one.fetched for one in watchers)
    for site in company.sites:
        site.assert_no_fault()


def kill(company: Company, victim: Site | Publishing, after: float, aimed: bool) -> None:
    """After so long; or `aimed`: in the midst of a publication there, if one begins soon enough."""
    if aimed:
        home = victim.site.home if isinstance(victim, Publishing) else victim.home
        end = time.monotonic() + AIM
        while not journal.path_of(home).exists() and time.monotonic() < end:
            time.sleep(0.001)
        after *= IN_THE_MIDST / LIFE
    time.sleep(after)
    if isinstance(victim, Publishing):
        victim.kill()
    else:
        company.kill(victim)


def number_of(site: Site, publishing: Publishing) -> int:
    """The generation of the script that this site serves now."""
    data = (site.home.http_data / "96xxupgrade.txt").read_bytes()
    return next((n for n, one in publishing.packages.items() if one.files["96xxupgrade.txt"] == data), 0)


def caught_up(company: Company, savers: list[Saver]) -> None:
    """Nothing acknowledged is lost, here or on the way to the centre, and nothing is doubled."""
    centre = company.centre.home.ftp_data
    for saver in savers:
        wait_for("the centre has it", lambda: same(centre, saver), LONG)  # noqa: B023
        current = saver.current(saver.daemon.home.ftp_data)
        assert saver.acknowledged <= (current or 0) <= saver.sent
        assert saver.refused == []
    for site in company.sites:
        assert_none_doubled(site, savers)


def same(centre: Path, saver: Saver) -> bool:
    here, there = saver.daemon.home.ftp_data / saver.name, centre / saver.name
    return there.exists() and here.read_bytes() == there.read_bytes()
