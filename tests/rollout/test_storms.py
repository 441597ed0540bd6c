"""A roll-out to one group among many simulated phones, over sockets: it completes, or it halts by itself."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mv_iptel import config
from mv_iptel.firmware.publishing import Done, Publisher
from mv_iptel.firmware.releases import File
from mv_iptel.phones.boot import Servers
from mv_iptel.phones.outcome import Result
from mv_iptel.phones.sample import made_up
from mv_iptel.phones.storm import Plan, Storm, own_address, raise_descriptors
from mv_iptel.phones.wire import Reference, References
from mv_iptel.rollout import plans
from mv_iptel.rollout.judging import counts
from tests.clients.daemon import Daemon, wait_for
from tests.rollout.rings import staged

pytestmark = [pytest.mark.prove, pytest.mark.timeout(3600)]

SIZE = 40_000
OLD = {"http": "S9640_R1_0_0.bin", "tftp": "a20d01a1_0_0.bin"}
NEW = {"http": "S9640_R2_0_0.bin", "tftp": "a20d01a2_0_0.bin"}
SCRIPTS = {"http": "96xxupgrade.txt", "tftp": "46xxupgrade.scr"}
PLACES = {"http": ("HTTPdata",), "tftp": ("TFTPdata",)}
SETTINGS = b"SET A 1\n" * 50


@dataclass(frozen=True)
class Site(Plan):
    """Phones whose group and protocol go by their number, however many of them are switched on."""

    def group_of_each(self) -> list[str]:
        return ["5" if number % 4 == 0 else "0" for number in range(self.phones)]

    def protocols(self) -> list[str]:
        return [protocol(number) for number in range(self.phones)]


def protocol(number: int) -> str:
    return "tftp" if number % 3 == 2 else "http"


def in_group(phones: int, *before: int) -> list[int]:
    return [number for number in range(*before, phones) if number % 4 == 0]


class Fleet:
    """A daemon with published firmware and a newer release, and the phones, which remember what they run."""

    def __init__(self, folder: Path, phones: int):
        raise_descriptors()
        self.phones = phones
        self.daemon = Daemon(folder)
        home = self.daemon.home
        self.publisher = Publisher(config.load(home), lambda event: None)
        self.references: References = {}
        for ident, apps in (("old-00000001", OLD), ("new-00000002", NEW)):
            files: tuple[File, ...] = ()
            for kind, app in apps.items():
                script = f"SET APPNAME {app}\nGET 46xxsettings.txt\n".encode()
                data = made_up(app, SIZE)
                self.references[kind == "tftp", app] = Reference(data)
                one = staged(home, {SCRIPTS[kind]: script, app: data}, ident, PLACES[kind])
                files += one.files
            self.publisher.releases.put(replace(one, files=files))
        done = self.publisher.publish("old-00000001", "replace", losses=True, force=True)
        assert isinstance(done, Done), done
        for place in (home.http_data, home.tftp_data):
            (place / "46xxsettings.txt").write_bytes(SETTINGS)
        for kind in (True, False):
            self.references[kind, "46xxsettings.txt"] = Reference(SETTINGS)
        self.runs = {number: OLD[protocol(number)] for number in range(phones)}

    def boot(self, phones: int = 0, loops: bool = False) -> Result:
        """Switch on the first phones, or all; what they run in the end is what they begin with next time."""
        here = ("127.0.0.1",)
        servers = {
            "http": Servers(http=here, http_port=self.daemon.http_alt),
            "tftp": Servers(tftp=here, offset=self.daemon.offset),
        }
        rejects = frozenset(NEW.values()) if loops else frozenset()
        plan = Site(
            phones or self.phones,
            servers,
            {"http": 2, "tftp": 1},
            arrival=1.0,
            runs=self.runs,
            rejects=rejects,
        )
        result = Storm(plan, self.references).run()
        for phone in result.phones:
            self.runs[phone.number] = phone.runs
        return result

    def rollout(self, *words: str, status: int | None = 0) -> dict:
        return json.loads(self.daemon.run("rollout", *words, "--json", status=status).stdout)

    def until(self, what: str, **wanted: object) -> dict:
        """The status, once the server has written down as much."""

        def there() -> bool:
            found = plans.load(self.daemon.home)
            met = plans.read(plans.log_of(self.daemon.home, found.run))
            return wanted.items() <= {"state": found.state, **counts(met.values())._asdict()}.items()

        wait_for(f"a roll-out that {what}", there)
        return self.rollout("status", status=None)

    def newly(self, numbers: list[int]) -> None:
        """Those run the new firmware, and nobody else does."""
        expected = {number: (NEW if number in numbers else OLD)[protocol(number)] for number in self.runs}
        assert self.runs == expected


@pytest.fixture
def phones(count) -> int:
    return count("rollout")


def known(numbers: list[int]) -> int:
    """How many of them say what they are: those over TFTP do not."""
    return sum(protocol(number) == "http" for number in numbers)


def test_it_completes(tmp_path, phones, evidence):
    fleet = Fleet(tmp_path / "home", phones)
    ring = in_group(phones)
    with fleet.daemon as daemon:
        fleet.rollout("start", "new-00000002", "--group", "5", "--despite-losses", "--despite-errors")
        result = fleet.boot()
        assert [phone.why for phone in result.failed] == []
        fleet.newly(ring)
        told = fleet.until("has ended well", runs=known(ring))
        assert told["state"] == "running" and told["failed"] == told["loops"] == 0
        assert told["unknown"] == len(ring) - known(ring)
        assert daemon.seen()  # it still answers
        assert fleet.rollout("promote")["state"] == "done"
        result = fleet.boot()
        assert [phone.why for phone in result.failed] == []
        fleet.newly(list(range(phones)))
    evidence(
        "rollout", phones=phones, in_the_group=len(ring), upgraded=len(ring), others_upgraded=0, halted=False
    )


def test_it_halts_by_itself_and_nobody_is_sent_back(tmp_path, phones, evidence):
    fleet = Fleet(tmp_path / "home", phones)
    first, second = phones // 4, phones // 2
    upgraded, looping = in_group(first), in_group(second, first)
    with fleet.daemon as daemon:
        fleet.rollout("start", "new-00000002", "--group", "5", "--despite-losses", "--despite-errors")
        assert [phone.why for phone in fleet.boot(first).failed] == []
        fleet.newly(upgraded)
        result = fleet.boot(second, loops=True)
        told = fleet.until("halts", state="halted")
        assert "in a boot loop" in told["note"] and told["loops"] >= 2
        assert {phone.number for phone in result.failed} <= set(looping)
        fleet.newly(upgraded)
        assert "rollout-halted" in daemon.journal()
        met = {one["address"] for one in told["phones"]}
        after_the_halt(fleet, upgraded, met)
    with fleet.daemon:  # a restart forgets neither the halt nor who runs the new firmware
        after_the_halt(fleet, upgraded, met)
        assert fleet.rollout("status", status=1)["state"] == "halted"
        back = [one for one in fleet.daemon.events(outcome="ok") if one["name"] in OLD.values()
                and one["peer"] in {own_address(number) for number in upgraded}]  # fmt: skip
        assert back == [], "no upgraded phone ever asked for the old firmware"
    evidence(
        "rollout-halt", phones=phones, in_the_group=len(in_group(phones)), upgraded_before=len(upgraded),
        looped=told["loops"], given_the_new_script=len(met), sent_back=0, halted=True,
    )  # fmt: skip


def after_the_halt(fleet: Fleet, upgraded: list[int], met: set[str]) -> None:
    """Everybody boots: who has the new script keeps it, and no phone more gets it."""
    result = fleet.boot(loops=True)
    assert {phone.address for phone in result.failed} <= met
    fleet.newly(upgraded)
    told = fleet.rollout("status", status=1)
    assert {one["address"] for one in told["phones"]} == met
