"""The alert script: its arguments, its environment, its end; scripts that are not run."""

from __future__ import annotations

import os
import stat

import pytest

from watchdogd.alerting import Alerter, environment, fault, run
from watchdogd.judge import Verdict

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a shell script")
VERDICT = Verdict("restart", "http:81", "wedged", "text; $(of) `others`")


@pytest.fixture
def script(home):
    """`script(text)` writes it."""
    path = home.watchdog / "bin" / "mv_iptel_alert.sh"

    def write(text, mode=0o755):
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(mode)
        return path

    return write


def test_how_it_is_called(home, script, monkeypatch):
    monkeypatch.setenv("SECRET", "x")
    ran = run(script('printf "%s|" "$@"; env; echo "\033[31m" >&2; pwd'), home, VERDICT)
    assert ran.code == 0 and not ran.text
    assert ran.printed.startswith("--listener|http:81|--reason|wedged|")
    names = {line.partition("=")[0].rpartition("|")[2] for line in ran.printed.splitlines() if "=" in line}
    assert names - {"PWD", "OLDPWD", "SHLVL", "_"} == set(environment(home))
    assert "\033" not in ran.printed and "others" not in ran.printed
    assert ran.printed.endswith(str(home.watchdog / "bin"))


def test_it_has_its_time(home, script):
    ran = run(script("sleep 60 & sleep 60"), home, VERDICT, 0.2)
    assert ran.code is None and "longer than 0.2 s" in ran.text and ran.seconds < 30


def test_what_it_leaves_running_keeps_nobody_waiting(home, script):
    ran = run(script("sleep 20 & echo done"), home, VERDICT)
    assert ran.code == 0 and ran.printed == "done" and ran.seconds < 15


def test_a_code_is_told(home, script):
    assert run(script("exit 3"), home, VERDICT).text.endswith("ended with 3")


def test_what_is_not_run(home, script):
    path = script("echo no", 0o757)
    assert "everybody may write it" in run(path, home, VERDICT).text
    path.unlink()
    assert "there is no" in run(path, home, VERDICT).text and fault(path) == ""
    path.mkdir()
    assert "is no file" in fault(path)
    path.rmdir()
    path = script("echo no", stat.S_IRUSR)
    assert "chmod +x" in fault(path) and run(path, home, VERDICT).code is None
    script("echo no").write_text("\x7fnothing that runs")
    assert "cannot be run" in run(path, home, VERDICT).text


def test_the_end_is_told(home, script):
    script("echo here")
    ended = []
    alerter = Alerter(home, ended.append)
    alerter.start(VERDICT)
    alerter.wait(30)
    assert [one.printed for one in ended] == ["here"] and not alerter.running and not alerter.fault()


def test_the_shipped_script_can_be_run(home):
    assert fault(home.watchdog / "bin" / "mv_iptel_alert.sh") == ""
