"""Start, pause, go on, promote to the end, abort: what is allowed when, and what is done to the files."""

from __future__ import annotations

import pytest

from mv_iptel.firmware.releases import Releases
from mv_iptel.rollout import plans, steering
from mv_iptel.rollout.plans import ABORTED, DONE, HALTED, PAUSED, RUNNING, Halt, Limits, Log
from mv_iptel.rollout.rings import parse
from mv_iptel.rollout.steering import Refused
from tests.rollout.rings import ID, NEW, NOON, OLD, SCRIPT, Site, scripts_of


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def begin(site, *stages: str, **more):
    fields = {"scripts": scripts_of(site.release), "live": "merge", **more}
    stages = tuple(map(parse, stages or ("to=10.1.0.0/16", "group=5")))
    return steering.start(
        site.home, site.release, stages, Limits(), publisher=site.publisher, now=NOON, **fields
    )


def test_from_start_to_end(site):
    begun = begin(site)
    assert (begun.state, begun.stage, begun.live) == (RUNNING, 0, "merge")
    assert site.publisher.done == ["expose"] and Releases(site.home).get(ID).state == "ring"
    site.rolling.refresh()
    assert site.get("10.1.0.1") == NEW and site.get("10.2.0.1") == OLD
    second = steering.promote(site.home, site.publisher, NOON + 5)
    assert (second.state, second.stage, second.since) == (RUNNING, 1, NOON + 5)
    done = steering.promote(site.home, site.publisher, NOON + 9)
    assert done.state == DONE and site.publisher.done == ["expose", "publish merge"]
    site.rolling.refresh()
    assert site.get("10.2.0.1") == NEW
    assert isinstance(steering.promote(site.home, site.publisher, NOON), Refused)
    assert isinstance(steering.abort(site.home, site.publisher, NOON), Refused)


def test_pause_and_go_on(site):
    for step in (steering.pause, steering.resume):
        assert "no roll-out" in step(site.home, NOON).text
    begin(site)
    assert "running already" in steering.resume(site.home, NOON).text
    assert steering.pause(site.home, NOON + 1).state == PAUSED
    assert "paused already" in steering.pause(site.home, NOON + 1).text
    assert "paused" in steering.promote(site.home, site.publisher, NOON + 2).text
    again = steering.resume(site.home, NOON + 3)
    assert (again.state, again.since) == (RUNNING, NOON + 3)


def test_a_halt_wants_force(site):
    begun = begin(site)
    Log(plans.log_of(site.home, begun.run)).write([Halt(NOON + 5, "two loop")])
    refused = steering.promote(site.home, site.publisher, NOON + 6)
    assert "two loop" in refused.text and plans.load(site.home).state == HALTED
    assert "halted already" in steering.pause(site.home, NOON + 6).text
    assert steering.promote(site.home, site.publisher, NOON + 7, force=True).state == RUNNING
    assert plans.load(site.home).state == RUNNING, "what was found before is forgiven"


def test_abort_tells_the_server_before_files_go(site):
    begin(site)
    told = []
    ended = steering.abort(site.home, site.publisher, NOON, lambda: told.append(list(site.publisher.done)))
    assert ended.state == ABORTED and told == [["expose"]]
    assert site.publisher.done == ["expose", "withdraw"] and Releases(site.home).get(ID).state == "staged"


def test_what_cannot_be_started(site):
    assert "changes no script" in begin(site, scripts={"HTTPdata": {}}).text
    begin(site)
    assert "is running" in begin(site).text
    steering.abort(site.home, site.publisher, NOON)
    releases = Releases(site.home)
    releases.put(releases.get(ID).to("refused", NOON))
    assert "is refused" in begin(site).text
    assert site.get("10.1.0.1", SCRIPT) == OLD
