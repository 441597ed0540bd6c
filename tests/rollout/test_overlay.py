"""Which phone gets which script while a roll-out runs, stands still, is over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mv_iptel.library import Client, Request
from mv_iptel.rollout.composing import ring_name
from mv_iptel.rollout.plans import ABORTED, DONE, HALTED, PAUSED, Met
from tests.rollout.rings import NEW, NEW_APP, NOON, OLD, SCRIPT, Site, agent, staged

MAC = "00040d000001"
OTHER = "00040d000002"


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_addresses_in_the_ring_get_the_new_script(site):
    site.roll("to=10.1.0.0/16")
    for proto in ("http", "https", "tftp"):
        assert site.get("10.1.0.7", proto=proto) == NEW
        assert site.get("10.2.0.7", proto=proto) == OLD
    assert site.get("10.1.0.7", "96XXUPGRADE.TXT") == NEW
    assert site.get("10.1.0.7", "46xxsettings.txt") == b"SET A 1\n"
    assert site.get("10.2.0.7", NEW_APP) == b"new firmware"  # exposed: the files are there for everybody


def test_a_model_that_is_known_and_one_that_must_be_asked(site):
    rollout = site.roll("model=9640")
    assert site.get("10.1.0.1", who=agent(MAC)) == NEW
    assert site.get("10.1.0.2", who=agent(OTHER, model="9620")) == OLD
    asks = site.get("10.1.0.3", who="AVAYA")
    assert asks.startswith(b"IF $MODEL4 SEQ 9640 GOTO ") and asks.endswith(OLD)
    assert site.get("10.1.0.3", ring_name(rollout.run, SCRIPT), who="AVAYA") == NEW


def test_a_group_is_asked_and_then_known(site):
    rollout = site.roll("group=5")
    ring = ring_name(rollout.run, SCRIPT)
    first = site.get("10.1.0.1", who=agent(MAC))
    assert first.startswith(b"IF $GROUP SEQ 5 GOTO ") and ring.encode() in first
    assert site.get("10.1.0.1", ring, who=agent(MAC)) == NEW
    assert site.get("10.1.0.1", who=agent(MAC)) == NEW, "it is in the ring now"
    assert site.get("10.1.0.2", who=agent(OTHER)) == first


@pytest.mark.parametrize("name", ["\u00fcupgrade.txt", "my upgrade.txt", "a;upgrade.txt", "a#upgrade.txt"])
def test_a_name_that_no_script_can_ask_for_is_not_asked_for(site, name):
    """A script under such a name: the phones that are asked keep the live one, and no request fails."""
    (site.home.http_data / name).write_bytes(OLD)
    site.release = staged(site.home, {SCRIPT: NEW, name: NEW, NEW_APP: b"new firmware"})
    site.roll("group=5", "to=10.1.0.0/16")
    assert site.get("10.2.0.1", name) == OLD
    assert site.get("10.2.0.1").startswith(b"IF $GROUP SEQ 5 GOTO ")


def test_an_address_alone_is_asked_again(site):
    """Behind an address without a MAC there may be many phones: none comes in with another."""
    rollout = site.roll("group=5")
    first = site.get("10.1.0.1", proto="tftp")
    assert site.get("10.1.0.1", ring_name(rollout.run, SCRIPT), proto="tftp") == NEW
    assert site.get("10.1.0.1", proto="tftp") == first
    site.write(rollout.to(PAUSED, NOON))
    assert site.get("10.1.0.1", proto="tftp") == first
    assert site.get("10.1.0.2", proto="tftp") == OLD


@pytest.mark.parametrize("state", [PAUSED, HALTED])
def test_frozen_keeps_who_has_it_and_takes_nobody_in(site, state):
    rollout = site.roll("to=10.1.0.0/16", "group=5")
    assert site.get("10.1.0.1", who=agent(MAC)) == NEW
    site.write(rollout.to(state, NOON))
    assert site.get("10.1.0.1", who=agent(MAC)) == NEW
    assert site.get("10.9.0.1", who=agent(MAC)) == NEW, "its MAC is known, wherever it is"
    assert site.get("10.1.0.2", who=agent(OTHER)) == OLD
    # It read a question before the halt and asks after it: it reads on as before.
    assert site.get("10.1.0.2", ring_name(rollout.run, SCRIPT), who=agent(OTHER)) == OLD
    site.begin()
    assert site.get("10.1.0.1", who=agent(MAC)) == NEW, "a restart sends nobody back"
    assert site.get("10.1.0.2", who=agent(OTHER)) == OLD


@pytest.mark.parametrize("state", [DONE, ABORTED])
def test_over_means_the_live_scripts_for_all(site, state):
    rollout = site.roll("group=5")
    site.get("10.1.0.1", ring_name(rollout.run, SCRIPT), who=agent(MAC))
    site.write(rollout.to(state, NOON))
    assert site.get("10.1.0.1", who=agent(MAC)) == OLD
    assert site.get("10.1.0.2", ring_name(rollout.run, SCRIPT), who=agent(OTHER)) == OLD
    site.now += 4000
    site.rolling.refresh()
    assert site.library.overlay is None
    assert site.get("10.1.0.2", ring_name(rollout.run, SCRIPT)) is None


def test_a_transfer_that_broke_off_gave_nobody_the_script(site):
    rollout = site.roll("to=10.1.0.0/16")
    site.get("10.1.0.1", who=agent(MAC), outcome="aborted")
    site.write(rollout.to(PAUSED, NOON))
    assert site.get("10.1.0.1", who=agent(MAC)) == OLD


def test_where_no_live_script_is_there_is_no_question(site):
    (site.home.http_data / SCRIPT).unlink()
    site.roll("group=5")
    assert site.get("10.1.0.1", who=agent(MAC)) is None
    site.roll("to=10.1.0.0/16")
    assert site.get("10.1.0.1", who=agent(MAC)) == NEW
    assert site.get("10.2.0.1", who=agent(OTHER)) is None


def test_https_own_file_stays_in_front(site):
    (site.home.https_data / SCRIPT).write_bytes(b"GET 46xxsettings.txt\n")
    site.roll("to=10.1.0.0/16")
    assert site.get("10.1.0.1", proto="https") == b"GET 46xxsettings.txt\n"
    assert site.get("10.1.0.1", proto="http") == NEW


def test_a_change_of_the_live_script_shows_at_once(site):
    site.roll("group=5")
    first = site.get("10.1.0.1", who=agent(MAC))
    (site.home.http_data / SCRIPT).write_bytes(OLD + b"## changed\n")
    assert site.get("10.1.0.1", who=agent(MAC)) == first + b"## changed\n"


def test_why_tells_and_changes_nothing(site):
    site.roll("to=10.1.0.0/16")
    client, request = Client("10.1.0.1", 0, "http", "http:81"), Request(SCRIPT.encode())
    told = site.library.why(client, request)
    assert told["decision"] == "serve" and told["bytes"] == len(NEW)
    assert [step for step in told["steps"] if step["step"] == "rollout"]
    assert site.rolling._judge.met == {}


def test_etags_and_keys_differ(site):
    site.roll("group=5")

    def body(address, who=""):
        session = site.library.admit(Client(address, 1, "http", "http:81"))
        with session, session.ask(Request(SCRIPT.encode(), agent=who)).body as body:
            return body

    asking = body("10.1.0.1")
    assert body("10.1.0.2") is asking, "made once"
    site.write(replace(site.rolling.rollout, state=PAUSED))
    live = body("10.1.0.1")
    assert asking.etag != live.etag and asking.key != live.key and asking.mtime >= live.mtime


def test_another_model_at_a_known_address_is_another_phone(site):
    rollout = site.roll("to=10.1.0.0/16")
    site.rolling._judge.met["10.1.0.1"] = Met("10.1.0.1", "10.1.0.1", "", "9640", 0, "runs", NOON)
    site.write(rollout.to(PAUSED, NOON))
    assert site.get("10.1.0.1", who=agent(MAC, model="9640")) == NEW
    assert site.get("10.1.0.1", who=agent(OTHER, model="9620")) == OLD


def test_a_content_that_was_changed_is_not_lent(site):
    site.roll("to=10.1.0.0/16")
    for path in site.home.var.glob("releases/content/*/*"):
        path.chmod(0o600)
        path.write_bytes(b"SET APPNAME evil.bin\n")
    assert site.get("10.1.0.1") == NEW, "it was read when the roll-out began"
    site.begin()
    assert site.get("10.1.0.1") == OLD
    assert site.notices("rollout-broken") and site.rolling.problems()
