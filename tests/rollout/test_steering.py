"""Start, pause, go on, promote to the end, abort: what is allowed when, and what is done to the files."""

from __future__ import annotations

import pytest

from mv_iptel.firmware.planning import plan
from mv_iptel.firmware.publishing import Done, Held
from mv_iptel.firmware.releases import Releases
from mv_iptel.rollout import plans, steering
from mv_iptel.rollout.composing import ring_name
from mv_iptel.rollout.plans import ABORTED, DONE, HALTED, PAUSED, RUNNING, Halt, Limits, Log, Terms
from mv_iptel.rollout.rings import parse
from mv_iptel.rollout.steering import Refused
from tests.rollout.rings import ID, NEW, NEW_APP, NOON, OLD, SCRIPT, Site, staged

TERMS = Terms("replace", True, True)
THIRD = b"SET APPNAME S9640_R3_0_0.bin\nGET 46xxsettings.txt\n"


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def begin(site, *stages: str, terms: Terms = TERMS):
    stages = tuple(map(parse, stages or ("to=10.1.0.0/16", "group=5")))
    made = plan(site.config, Releases(site.home).get(ID), terms.live)
    return steering.start(site.publisher, made, stages, Limits(), terms, NOON)


def state(site) -> str:
    return Releases(site.home).get(ID).state


def test_from_start_to_end(site):
    begun = begin(site)
    assert (begun.state, begun.stage, begun.terms) == (RUNNING, 0, TERMS)
    assert state(site) == "ring" and (site.home.http_data / NEW_APP).is_file()
    site.rolling.refresh()
    assert site.get("10.1.0.1") == NEW and site.get("10.2.0.1") == OLD
    second = steering.promote(site.publisher, NOON + 5)
    assert (second.state, second.stage, second.since) == (RUNNING, 1, NOON + 5)
    done = steering.promote(site.publisher, NOON + 9)
    assert done.state == DONE and state(site) == "published"
    site.rolling.refresh()
    assert site.get("10.2.0.1") == NEW
    assert isinstance(steering.promote(site.publisher, NOON), Refused)
    assert isinstance(steering.abort(site.publisher, NOON), Refused)


def test_what_is_rolled_out_is_published_and_taken_back_by_its_roll_out_alone(site):
    """Else a rollback takes away what the ring's scripts name, and a phone restarts for ever."""
    begin(site)
    held = site.publisher.publish(ID, live="replace", losses=True, force=True)
    assert isinstance(held, Held) and "rollout promote" in held.why[0]
    assert state(site) == "ring"
    # Killed between publishing it at the end and writing down that it is over.
    done = site.publisher.publish(ID, live="replace", losses=True, force=True, promoted=True)
    assert isinstance(done, Done)
    held = site.publisher.rollback(ID)
    assert isinstance(held, Held) and "rollout promote" in held.why[0]
    assert (site.home.http_data / NEW_APP).is_file()
    steering.promote(site.publisher, NOON + 1)
    assert steering.promote(site.publisher, NOON + 2).state == DONE
    assert isinstance(site.publisher.rollback(ID), Done)


def test_the_sites_own_lines_go_along(site):
    """What is merged at the end is merged for the ring too."""
    insert = b"IF $GROUP SEQ 876 GOTO VPN\nGOTO MINE\n# VPN\nGET 46xxvpn.scr\n# MINE\n"
    site.publisher.publish(ID, live="replace", losses=True, force=True)
    for place in (site.home.http_data, site.home.tftp_data):
        (place / SCRIPT).write_bytes(insert + NEW)
    site.release = staged(site.home, {SCRIPT: THIRD, "S9640_R3_0_0.bin": b"third"}, "next-01234567")
    made = plan(site.config, site.release, "merge")
    begun = steering.start(
        site.publisher, made, (parse("group=5"),), Limits(), Terms("merge", True, True), NOON
    )
    assert begun.state == RUNNING
    site.rolling.refresh()
    ring = ring_name(begun.run, SCRIPT)
    assert site.get("10.1.0.1", ring) == insert + THIRD
    assert site.get("10.1.0.1").endswith(insert + NEW)
    # The merged script belongs to no release: sweeping must not take it.
    staged(site.home, {"other.bin": b"other"}, "other-01234567")
    assert isinstance(site.publisher.remove("other-01234567"), Done)
    site.begin()
    assert site.get("10.1.0.1", ring) == insert + THIRD
    assert steering.promote(site.publisher, NOON + 9).state == DONE
    assert (site.home.http_data / SCRIPT).read_bytes() == insert + THIRD


def test_pause_and_go_on(site):
    for step in (steering.pause, steering.resume):
        assert "no roll-out" in step(site.home, NOON).text
    begin(site)
    assert "running already" in steering.resume(site.home, NOON).text
    assert steering.pause(site.home, NOON + 1).state == PAUSED
    assert "paused already" in steering.pause(site.home, NOON + 1).text
    assert "paused" in steering.promote(site.publisher, NOON + 2).text
    again = steering.resume(site.home, NOON + 3)
    assert (again.state, again.since) == (RUNNING, NOON + 3)


def test_a_halt_wants_force(site):
    begun = begin(site)
    Log(plans.log_of(site.home, begun.run)).write([Halt(NOON + 5, "two loop")])
    refused = steering.promote(site.publisher, NOON + 6)
    assert "two loop" in refused.text and plans.load(site.home).state == HALTED
    assert "halted already" in steering.pause(site.home, NOON + 6).text
    assert steering.promote(site.publisher, NOON + 7, force=True).state == RUNNING
    assert plans.load(site.home).state == RUNNING, "what was found before is forgiven"


def test_what_was_swept_meanwhile_is_not_begun_with(site):
    made = plan(site.config, site.release, "replace")
    for one in site.release.files:
        site.publisher.releases.content(one.sha256).unlink(missing_ok=True)
    refused = steering.start(site.publisher, made, (parse("group=5"),), Limits(), TERMS, NOON)
    assert "try again" in refused.text and plans.load(site.home) is None


def test_abort_tells_the_server_before_files_go(site):
    begin(site)
    told = []
    ended = steering.abort(
        site.publisher, NOON, lambda: told.append((site.home.http_data / NEW_APP).is_file())
    )
    assert ended.state == ABORTED and told == [True] and state(site) == "staged"
    assert not (site.home.http_data / NEW_APP).exists()


def test_what_cannot_be_started(site):
    assert "lay here before" in begin(site, terms=Terms()).text
    begin(site)
    assert "is running" in begin(site).text
    steering.abort(site.publisher, NOON)
    releases = Releases(site.home)
    releases.put(releases.get(ID).to("refused", NOON))
    assert "is refused" in begin(site).text
    assert site.get("10.1.0.1", SCRIPT) == OLD
    assert "changes no script" in begin(site, terms=Terms("keep", True, True)).text
