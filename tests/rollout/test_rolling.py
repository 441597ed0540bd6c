"""A roll-out in a running server: it follows its phones, halts by itself, and a restart forgets nobody."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mv_iptel.rollout import plans
from mv_iptel.rollout.plans import HALTED, PAUSED, RUNNING, Limits
from tests.rollout.rings import NEW_APP, OLD, SCRIPT, Site, agent


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_nothing_runs(site):
    assert site.library.overlay is None and site.rolling.rollout is None and site.rolling.status() == {}
    site.rolling.tick(site.now)
    assert site.rolling.problems() == []


def test_it_completes(site):
    site.roll("group=5")
    for number in range(1, 9):
        group = "5" if number <= 4 else "0"
        runs = site.boot(number, "1.0.0", group)
        assert runs == ("2.0.0" if number <= 4 else "1.0.0")
        assert site.boot(number, runs, group) == runs
    assert site.fates() == dict.fromkeys("1234", "runs")
    told = site.rolling.status()
    assert told["runs"] == 4 and told["state"] == RUNNING and told["stage"] == told["stages"] == 1
    assert site.notices("rollout-halted") == []


def test_it_halts_by_itself_and_sends_nobody_back(site):
    site.roll("group=5")
    assert site.boot(1, "1.0.0", "5") == site.boot(1, "2.0.0", "5") == "2.0.0"
    for number in (2, 3):  # what they load does not run: they come back with the old version, three times
        for _ in range(3):
            site.boot(number, "1.0.0", "5")
    assert site.rolling.rollout.state == HALTED
    (notice,) = site.notices("rollout-halted")
    assert "2 in a boot loop" in notice.text and notice.level == "error"
    assert site.boot(4, "1.0.0", "5") == "1.0.0", "nobody else"
    assert site.boot(1, "2.0.0", "5") == "2.0.0", "and nobody is sent back"
    site.begin()
    assert site.rolling.rollout.state == HALTED and plans.load(site.home).state == HALTED
    assert site.boot(1, "2.0.0", "5") == "2.0.0"
    assert site.boot(2, "1.0.0", "5") == "2.0.0", "it has the new script"
    assert site.boot(5, "1.0.0", "5") == "1.0.0"


def test_after_a_halt_it_can_go_on(site):
    rollout = site.roll("group=5", limits=Limits(most=0))
    for _ in range(3):
        site.boot(1, "1.0.0", "5")
    assert site.rolling.rollout.state == HALTED
    site.rolling.refresh()
    assert site.rolling.rollout.state == HALTED, "reading the files again changes nothing"
    site.now += 10
    site.write(replace(rollout, changed=site.now, since=site.now))
    assert site.rolling.rollout.state == RUNNING
    assert site.boot(2, "1.0.0", "5") == "2.0.0"
    assert site.rolling.rollout.state == RUNNING, "what was before counts no more"


def test_a_pause_and_a_restart(site):
    rollout = site.roll("to=10.1.0.0/16")
    assert site.boot(1) == "2.0.0"
    site.write(rollout.to(PAUSED, site.now))
    site.begin()
    assert site.boot(1, "2.0.0") == "2.0.0" and site.boot(2) == "1.0.0"
    assert site.fates() == {"1": "runs"}


def test_time_decides_too(site):
    site.roll("to=10.1.0.0/16")
    for number in (1, 2):
        site.boot(number)
    site.rolling.tick(site.now + 10)
    assert set(site.fates().values()) == {"loaded"}
    site.rolling.tick(site.now + 2000 + 1e9)  # the events of the library have the real time
    assert set(site.fates().values()) == {"failed"} and site.rolling.rollout.state == HALTED


def test_a_log_that_cannot_be_written_is_told_once(site):
    rollout = site.roll("to=10.1.0.0/16")
    path = plans.log_of(site.home, rollout.run)
    path.mkdir()
    for number in (1, 2):
        site.boot(number)
    assert len(site.notices("rollout-broken")) == 1 and site.rolling.problems()
    path.rmdir()
    site.boot(3)
    assert site.rolling.problems() == []
    assert len(plans.read(path)) == 3, "what could not be written waits"


def test_what_everybody_asks_costs_no_question(site):
    site.roll("group=5")
    assert site.get("10.1.0.1", NEW_APP) == b"new firmware"
    assert site.get("10.1.0.1", "nothing.txt") is None
    site.rolling.configure(site.config)
    assert site.get("10.1.0.1", SCRIPT, who=agent("00040d000001")).endswith(OLD)
