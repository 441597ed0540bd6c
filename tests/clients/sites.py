"""Sites of one company: servers in each mode of operation, and phones that boot and save at them."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from mv_iptel import config
from mv_iptel.phones import backup, userdata
from mv_iptel.phones.agent import Agents, Says
from mv_iptel.phones.boot import Fetched, Report, Servers, drive, play
from mv_iptel.phones.families import Handset
from mv_iptel.phones.live import Live, tls_context
from mv_iptel.phones.sample import write_firmware
from tests.clients.daemon import Daemon, Ini
from tests.clients.snmpd import free_udp

HOST = "127.0.0.1"
# What a branch needs to be quick in a test; the smallest interval that is taken.
INTERVAL = "2s"


class Desk(NamedTuple):
    """A phone and the address it has."""

    handset: Handset
    address: str


OLD = Desk(Handset("4621SW", mac="00040d4621aa", ext="4621"), "127.0.0.21")
NEW = Desk(Handset("9640", mac="00040d9640bb", ext="9640"), "127.0.0.40")


class Site(Daemon):
    """One server, made from the shipped example of a mode."""

    def __init__(self, folder: Path, mode: str, keys: Ini | None = None):
        self.snmp = free_udp()
        super().__init__(folder, {("SNMP", "SNMPPort"): self.snmp, **(keys or {})}, mode=mode)

    def firmware(self, size: int = 70_000) -> None:
        """Made-up software that the sample scripts order."""
        write_firmware([self.home.tftp_data, self.home.http_data], size)

    def boot(self, desk: Desk, protocol: str) -> Report:
        """Switch the phone on: by tftp, http, or https with its firmware over http."""
        told = Servers(
            tftp=(HOST,) if protocol == "tftp" else (),
            http=(HOST,) if protocol != "tftp" else (),
            https=(HOST,) if protocol == "https" else (),
            offset=self.offset,
        )
        with Live(desk.address, tls_context(self.home.ca_cert)) as live:
            return drive(play(desk.handset, told), live.fetch)

    def depot(self, desk: Desk, protocol: str = "") -> userdata.Depot:
        """Where such a phone keeps user data here; without `protocol` over its usual one."""
        return userdata.depot_at(desk.handset, HOST, self.offset, protocol=protocol)

    def store(self, desk: Desk, data: bytes, protocol: str = "") -> Fetched:
        """The phone stores this; its agent answers meanwhile."""
        return self._keeps(desk, protocol, data)

    def restore(self, desk: Desk, protocol: str = "") -> Fetched:
        """The phone fetches what is stored for its user."""
        return self._keeps(desk, protocol, None)

    def _keeps(self, desk: Desk, protocol: str, data: bytes | None) -> Fetched:
        handset, address = desk
        depot, file = self.depot(desk, protocol), userdata.stored_as(handset)
        manner = backup.Manner(address, handset.user_agent(), context=tls_context(self.home.ca_cert))
        with Agents() as agents:
            agents.add(address, self.snmp, Says(handset, config.load(self.home).snmp.community))
            if data is None:
                return backup.fetch(depot, file, manner)
            return backup.store(depot, file, data, manner)


class Company:
    """A central server that also serves phones, and two branches of it, A and B; each its own home."""

    def __init__(
        self, folder: Path, interval: str = INTERVAL, centre: Ini | None = None, branch: Ini | None = None
    ):
        alone = {("BACKUP_SERVERS", key): 0 for key in ("UsePrimarySvr", "RequestUpdates", "RequestBackup")}
        keys = {("BACKUP_SERVERS", "UpdateInterval"): interval, **(branch or {})}
        plans = (("centre", "4", {**alone, **(centre or {})}), ("a", "2", keys), ("b", "2", keys))
        with ThreadPoolExecutor() as pool:
            self.centre, self.a, self.b = pool.map(lambda plan: Site(folder / plan[0], *plan[1:]), plans)
        self._stack = ExitStack()

    @property
    def branches(self) -> tuple[Site, Site]:
        return self.a, self.b

    @property
    def sites(self) -> tuple[Site, Site, Site]:
        return self.centre, self.a, self.b

    def __enter__(self) -> Company:
        with self._stack as stack:
            stack.enter_context(self.centre)
            for site, name in zip(self.branches, "AB", strict=True):
                self.join(site, name)
                stack.enter_context(site)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *trace: object) -> None:
        self._stack.__exit__(*trace)

    def join(self, site: Site, name: str) -> None:
        """One line from the centre enrols the branch."""
        line = self.centre.run("central", "invite", name, "--address", HOST).stdout.strip()
        assert line.startswith("mv-iptel central join "), line
        site.run(*line.split()[1:])

    def drop(self, archive: Path) -> None:
        """Copy a zip into the centre's Updates, as the superuser or an administrator does."""
        shutil.copy(archive, self.centre.home.updates / archive.name)

    def kill(self, site: Site) -> None:
        """SIGKILL, at this very instant."""
        site.process.kill()
        site.process.wait()

    def start(self, site: Site) -> None:
        """Start it again; gives back once it is up."""
        site.__enter__()
