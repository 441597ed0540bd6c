"""Who should run: from the status port, from the ini, from neither; how the server's process is."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from mv_iptel.config.editing import changed
from watchdogd.judge import Target
from watchdogd.targets import Learner, Row, Told, chosen, is_local, wanted

LOOP = "127.0.0.1"


def keys(home, **values):
    pairs = {tuple(name.split("__")): str(value) for name, value in values.items()}
    home.ini.write_text(changed(home.ini.read_text(), pairs))


def status(home, *listeners, pid=0, loaded=9e12, **more):
    rows = [dict(zip(("proto", "address", "port", "state", "error"), one, strict=True)) for one in listeners]
    return {"server": {"home": str(home.root), "pid": pid or os.getpid()}, "listeners": rows,
            "config": {"loaded": loaded}, **more}  # fmt: skip


@pytest.fixture
def learner(home):
    found = Learner(home, LOOP)
    found.read()
    return found


@pytest.mark.parametrize(("rows", "host", "local", "asked"), [
    ([("http", "0.0.0.0", 81), ("http", "::", 81)], LOOP, True, [LOOP]),
    ([("http", "::", 81)], LOOP, True, ["::1"]),
    ([("http", "0.0.0.0", 81)], "::1", True, [LOOP]),
    ([("http", "", 81)], LOOP, True, [LOOP]),
    ([("http", "192.0.2.5", 81), ("http", "2001:db8::5", 81)], LOOP, True, ["192.0.2.5", "2001:db8::5"]),
    ([("http", "192.0.2.5", 81), ("http", LOOP, 81)], LOOP, True, [LOOP]),
    ([("http", "192.0.2.5", 81)], "192.0.2.9", False, ["192.0.2.9"]),
])  # fmt: skip
def test_where_a_listener_is_asked(rows, host, local, asked):
    assert chosen([Row(*one) for one in rows], host, local) == tuple(Target("http", one, 81) for one in asked)


def test_without_a_status_the_ini_counts(home, learner):
    assert {one.label for one in learner.targets()} == {
        "tftp:69", "ftp:21", "http:81", "http:80", "https:411", "https:443"
    }  # fmt: skip
    keys(home, TFTP__RunTrivialFTP=0, HTTPS__RunHTTPS=0, FTP__RunFTP=0, HTTP__HTTPAltPorts="")
    learner.read()
    assert [one.label for one in learner.targets()] == ["http:81"]
    keys(home, HTTP__HTTPPort=0)
    learner.read()
    assert wanted(learner.config) == [] and learner.matters(None)[0][:2] == ("off", "all")


def test_a_broken_ini_leaves_the_last_good_one(home, learner):
    keys(home, HTTP__HTTPPort="many")
    learner.read()
    assert len(learner.targets()) == 6 and learner.matters(None)[0][0] == "config"


def test_the_status_counts_as_long_as_its_process_lives(home, learner):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    learner.learn(Told(status(home, ("http", LOOP, 8081, "up", ""), ("status", LOOP, 6090, "up", ""))))
    assert [one.label for one in learner.targets()] == ["http:8081"]
    learner.learn(None)
    assert [one.label for one in learner.targets()] == ["http:8081"]
    learner.learn(Told(status(home, ("http", LOOP, 8081, "up", ""), pid=gone.pid)))
    assert learner.server(None).alive == "gone"
    learner.learn(None)
    assert len(learner.targets()) == 6


def test_how_the_server_is(home, learner):
    told = Told(status(
        home, ("http", LOOP, 81, "failed", "taken by nginx"), ("http", LOOP, 80, "up", ""),
        ("https", LOOP, 411, "up", ""), ("https", LOOP, 443, "off", ""), ("tftp", LOOP, 69, "up", ""),
        disk={"free": 5, "total": 10}, certs=[{"subject": "CN=x", "not_after": 12}], transfers={"octets": 77},
    ))  # fmt: skip
    learner.learn(told)
    server = learner.server(told)
    assert server.answers and server.alive == "running" and server.pid == os.getpid()
    assert dict(server.failed) == {"http:81": "taken by nginx"} and set(server.off) == {"ftp:21", "https:443"}
    assert (server.disk, list(server.certificates), server.octets) == ((5, 10), [("CN=x", 12.0)], 77)
    # An ini that was changed and is not in force says nothing of what should run.
    learner.learn(Told(status(home, ("http", LOOP, 81, "up", ""), loaded=1)))
    assert learner.server(Told(status(home))).off == ()


def test_the_note_of_the_process(home, learner):
    lock = home.var / "server.lock"
    lock.write_text(f"{os.getpid()}\n")
    assert learner.server(None).pid == os.getpid()
    os.utime(lock, (1, 1))  # this process began long after that: the number is another's by now
    assert learner.server(None).pid == 0
    lock.write_text("no number")
    assert learner.server(None) == (False, 0, "unknown", *learner.server(None)[3:])


def test_asking(home, learner, says):
    def ask(body, code="200 OK"):
        keys(home, Settings__StatusPort=says(f"HTTP/1.0 {code}\r\n\r\n{body}".encode()))
        learner.read()
        return learner.ask(5)

    good = status(home, ("http", LOOP, 81, "up", ""))
    assert ask(json.dumps(good)).status == good
    good["server"]["home"] = "/elsewhere"
    told = ask(json.dumps(good))
    assert told.strange and "/elsewhere" in told.fault and learner.matters(told)[0][0] == "strange"
    assert learner.server(told).answers is None
    for body in ("[]", "{}", "hello", '{"server": 1}', '{"server": {"home": "x"}, "listeners": [1]}'):
        assert ask(body).strange, body
    assert "404" in ask("{}", "404 Not Found").fault
    keys(home, Settings__StatusPort=says(None))
    learner.read()
    assert learner.ask(0.1).fault and not learner.ask(0.1).strange
    keys(home, Settings__RunStatus=0)
    learner.read()
    assert learner.status_address is None and learner.server(learner.ask(1)).answers is None


def test_whose_address():
    assert is_local("127.0.0.1") and is_local("::1") and is_local("localhost")
    assert not is_local("192.0.2.7") and not is_local("no.such.host.invalid")


def test_another_host(home):
    far = Learner(home, "192.0.2.7")
    far.read()
    assert far.directories("http") == [] and far.server(None).alive == "unknown"
    assert ("remote", "all") in {one[:2] for one in far.matters(None)}
    assert {one.host for one in far.targets()} == {"192.0.2.7"}
