"""Rounds of the watching at a home that nobody serves: what it sees, decides, remembers and shows."""

from __future__ import annotations

import json
import time

import pytest
from click.testing import CliRunner

from mv_iptel.config import load_watchdog
from mv_iptel.config.editing import changed
from tests.clients.daemon import free_offset
from watchdogd import boots, page, snapshot
from watchdogd.cli import command
from watchdogd.loop import Watch
from watchdogd.metrics import Metrics


@pytest.fixture
def alone(home):
    """A home on ports that nobody has, whose script writes down that it was run."""
    offset = free_offset()
    shift = {("TFTP", "TrivialFTPPort"): 69, ("FTP", "FTPPort"): 21, ("HTTP", "HTTPPort"): 81,
             ("HTTP", "HTTPAltPorts"): 80, ("HTTPS", "HTTPSPort"): 411, ("HTTPS", "HTTPSAltPorts"): 443,
             ("Settings", "StatusPort"): 90}  # fmt: skip
    home.ini.write_text(
        changed(home.ini.read_text(), {key: str(port + offset) for key, port in shift.items()})
    )
    ini(home, FailureLimit=2, ProbeTimeout="0.1", MaxRestartsPerHour=1)
    (home.watchdog / "bin" / "mv_iptel_alert.sh").write_text('#!/bin/sh\necho "$*" >> ../data/calls\n')
    return home


def ini(home, **keys):
    text = changed(
        home.watchdog_ini.read_text(), {("Settings", name): str(one) for name, one in keys.items()}
    )
    home.watchdog_ini.write_text(text)


def document(watch):
    return json.loads(json.dumps(snapshot.document(watch.view, time.time())))


def test_rounds(alone):
    watch = Watch(load_watchdog(alone))
    assert snapshot.state(watch.view)[0] == "Looking for the first time"
    watch.round()
    assert snapshot.state(watch.view)[0] == "Downloads were missed"
    assert {one["reason"] for one in document(watch)["listeners"]} == {"killed"}
    watch.round()
    watch._alerter.wait(30)
    assert (alone.watchdog / "data" / "calls").read_text() == "--listener all --reason killed\n"
    watch.round()
    watch.round()
    told = document(watch)
    assert [one["kind"] for one in told["alerts"]] == ["alert", "restart"]  # one an hour, and that was it
    assert told["restarts"] == {"hour": 1, "max": 1, "running": False} and told["runs"][0]["code"] == 0
    assert told["state"] == {"word": "A server is down", "well": False}
    # A new watchdog knows what the old one did.
    assert len(Watch(load_watchdog(alone), acting=False).view.state.restarts) == 1
    shown = page.render(watch.view, time.time(), time.time())
    assert "A server is down" in shown and "All 1 restarts of this hour are used up" in shown
    figures = Metrics(lambda: document(watch)).text().decode()
    assert "mv_watchdog_restarts_hour 1.0" in figures and 'mv_watchdog_listener_up{listener="tftp:' in figures
    watch.stop()


def test_its_ini_is_read_again(alone):
    watch = Watch(load_watchdog(alone), acting=False)
    ini(alone, FailureLimit=7, StatusPort=7777)
    watch.round()
    assert watch.view.config.settings.failure_limit == 7 and "after a restart" in watch.view.fault
    ini(alone, FailureLimit="many")
    told = watch.round()
    assert told.config.settings.failure_limit == 7 and "FailureLimit" in told.fault
    assert any(one.kind == "config" for one in told.state.matters.values())


def test_it_goes_on_until_it_is_ended(alone):
    watch = Watch(load_watchdog(alone), acting=False)
    watch.start()
    watch.stop()
    assert watch.view.rounds >= 1 and not watch.stuck(time.monotonic())
    assert watch.stuck(time.monotonic() + 100)


def test_what_comes_from_elsewhere_is_escaped(alone):
    watch = Watch(load_watchdog(alone), acting=False)
    view = watch.round()
    target, got = next(iter(view.seen.got.items()))
    evil = view.seen._replace(got={target: got._replace(text="<script>x</script>")},
                              matters=[("strange", "all", "<b>")])  # fmt: skip
    shown = page.render(view.__class__(view.config, seen=evil, rounds=1), 0.0, 0.0)
    assert "<script>x" not in shown and "&lt;script&gt;" in shown


def test_once(alone):
    done = CliRunner().invoke(command, ["--once", "--json", "--home", str(alone.root)])
    assert done.exit_code == 3 and len(json.loads(done.output)["listeners"]) == 6
    assert not (alone.watchdog / "data" / "calls").exists()
    done = CliRunner().invoke(command, ["--once", "--home", str(alone.root)])
    assert done.exit_code == 3 and done.output.count("missed") == 6
    done = CliRunner().invoke(command, ["--home", str(alone.root / "none")])
    assert done.exit_code == 2
    ini(alone, FailureLimit="many")
    assert CliRunner().invoke(command, ["--home", str(alone.root)]).exit_code == 2


def test_a_phone_that_nobody_serves(alone):
    watch = Watch(load_watchdog(alone), acting=False)
    watch.round()
    config = watch._learner.config
    got = boots.once("9640", config, "127.0.0.1", 0.05)
    assert got.result == "silent" and got.text
    assert boots.once("no such phone", config, "127.0.0.1", 0.05).result == "missing"
    booting = boots.Boots()
    booting.begin(("9640",), config, "127.0.0.1", 0.05)
    booting._threads["9640"].join(30)
    assert [one.label for one in booting.take()] == ["boot:9640"] and not booting.take()
    booting.begin((), config, "127.0.0.1", 0.05)
    assert not booting.last
