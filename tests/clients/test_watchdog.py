"""The watchdog beside a real server that is killed, stopped, wedged, robbed of certificate and files."""

from __future__ import annotations

import datetime
import json
import os
import queue
import signal
import socket
import subprocess
import threading
import time
import urllib.error

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from mv_iptel.home import CHECK_FILE
from tests.clients.daemon import COMMAND, PATIENCE, Daemon, wait_for
from tests.clients.watchdog import Watchdog, emptied, go_on, pause

TIMER, TIMEOUT = 1, 1


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    """A server and its watchdog; the server believes that it runs under systemd."""
    folder = tmp_path_factory.mktemp("watched")
    with Manager(folder / "notify") as manager, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NOTIFY_SOCKET", str(folder / "notify"))
        patch.setenv("WATCHDOG_USEC", "4000000")
        with Daemon(folder / "home") as server:
            patch.undo()
            server.manager = manager
            manager.until("READY=1")
            with Watchdog(server.home) as watchdog:
                yield server, watchdog
        manager.until("STOPPING=1")


class Manager:
    """What listens in systemd's place; a thread hears, so that nobody waits for it."""

    def __init__(self, path):
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(str(path))
        self._heard = queue.Queue()

    def __enter__(self):
        threading.Thread(target=self._hear, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._sock.shutdown(socket.SHUT_RDWR)

    def _hear(self):
        while said := self._sock.recv(4096):
            self._heard.put(said.decode())
        self._sock.close()

    def until(self, word):
        """The next message that begins with this word."""
        while not (said := self._heard.get(timeout=PATIENCE)).startswith(word):
            pass
        return said


@pytest.fixture
def limit(ground):
    """Seconds within which each trouble must have been found; busy machines get as long again."""
    failures = ground[1].seen()["config"]["limit"]
    return (failures + 1) * (TIMER + TIMEOUT)


def found(watchdog, reason, since, limit):
    """The alert with this reason, in time."""
    alert = watchdog.alert(reason)
    assert alert["time"] - since < 2 * limit
    return alert


def well(watchdog):
    wait_for("all is well", lambda: watchdog.seen()["state"]["well"])


def test_all_is_well(ground):
    server, watchdog = ground
    seen = watchdog.seen()
    ports = {(one["proto"], one["port"]) for one in seen["listeners"]}
    assert ports == {("tftp", server.tftp), ("ftp", server.ftp), ("http", server.http),
                     ("http", server.http_alt), ("https", server.https),
                     ("https", server.https_alt)}  # fmt: skip
    assert all(one["up"] for one in seen["listeners"]) and not seen["alerts"] and seen["state"]["well"]
    assert seen["server"] == {"answers": True, "pid": server.process.pid, "process": "running"}
    wait_for("the server says so", lambda: server.seen()["watchdog"]["last_seen"])


def test_a_list_that_lets_nobody_in_is_no_failure(ground):
    server, watchdog = ground
    for folder in (server.home.tftp_data, server.home.http_data, server.home.https_data):
        server.write(folder, "allow_IP.txt", b"192.0.2.1\n")
    watchdog.rounds(5)
    seen = watchdog.seen()
    assert all(one["up"] and not one["failures"] for one in seen["listeners"]) and not seen["alerts"]
    for folder in (server.home.tftp_data, server.home.http_data, server.home.https_data):
        (folder / "allow_IP.txt").unlink()


def test_stopped(ground, limit):
    server, watchdog = ground
    before = len(watchdog.calls())
    since = time.time()
    pause(server.process.pid)
    try:
        alert = found(watchdog, "stopped", since, limit)
    finally:
        go_on(server.process.pid)
    assert (
        alert["kind"] == "restart" and alert["listener"] == "all" and str(server.process.pid) in alert["text"]
    )
    wait_for("the script", lambda: len(watchdog.calls()) > before)
    assert watchdog.calls()[-1] == "--listener all --reason stopped"
    wait_for("the run", lambda: watchdog.seen()["runs"])
    assert watchdog.seen()["runs"][0]["code"] == 0 and "the alert script: called" in watchdog.log()
    well(watchdog)


def test_an_emptied_directory_restarts_nothing(ground, limit):
    server, watchdog = ground
    before = len(watchdog.calls())
    kept = {path.name: path.read_bytes() for path in server.home.tftp_data.iterdir() if path.is_file()}
    assert CHECK_FILE in kept
    since = time.time()
    emptied(server.home.tftp_data)
    alert = found(watchdog, "emptied", since, limit)
    assert alert["kind"] == "alert" and str(server.home.tftp_data) in alert["text"]
    watchdog.rounds(4)
    assert len(watchdog.calls()) == before
    for name, data in kept.items():
        server.write(server.home.tftp_data, name, data)
    well(watchdog)


def test_an_ended_certificate_restarts_nothing(ground, limit):
    server, watchdog = ground
    before = len(watchdog.calls())
    home = server.home
    good = (home.cert_file.read_bytes(), home.key_file.read_bytes())
    authority = x509.load_pem_x509_certificate(home.ca_cert.read_bytes())
    key = serialization.load_pem_private_key(home.ca_key.read_bytes(), None)
    old = x509.load_pem_x509_certificates(good[0])[0]
    past = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
    ended = (x509.CertificateBuilder().subject_name(old.subject).issuer_name(authority.subject)
             .public_key(old.public_key()).serial_number(x509.random_serial_number())
             .not_valid_before(past).not_valid_after(past + datetime.timedelta(days=9))
             .sign(key, hashes.SHA256()))  # fmt: skip
    since = time.time()
    server.write(home.certs, home.cert_file.name, ended.public_bytes(serialization.Encoding.PEM))
    alert = found(watchdog, "certificate", since, limit)
    assert alert["kind"] == "alert" and "has ended" in alert["text"]
    watchdog.rounds(4)
    assert len(watchdog.calls()) == before
    server.write(home.certs, home.cert_file.name, good[0])
    well(watchdog)


def test_its_page_is_for_this_host_only(ground):
    _, watchdog = ground
    assert b"mv-iptel watchdog" in watchdog.get("/") and b"<td" in watchdog.get("/", Host="localhost:1")
    assert b"mv_watchdog_listener_up" in watchdog.get("/metrics") and watchdog.get("/healthz") == b"well\n"
    assert b"--good" in watchdog.get("/page.css") and b"fetch" in watchdog.get("/page.js")
    for headers in ({"Host": "evil.example"}, {"Host": "192.0.2.7:6091"}, {"X-Forwarded-For": "192.0.2.7"}):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            watchdog.get("/status.json", **headers)


def test_a_second_one_is_refused_and_one_look_is_not(ground):
    server, _ = ground
    command = [str(COMMAND.with_name("mv-watchdog")), "--home", str(server.home.root)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert second.returncode == 2 and "another watchdog" in second.stderr
    look = subprocess.run([*command, "--once", "--json"], capture_output=True, text=True, timeout=60)
    assert look.returncode == 0 and len(json.loads(look.stdout)["listeners"]) == 6, look.stdout + look.stderr


def test_a_listener_that_never_answers(tmp_path):
    """Somebody else has the port, takes connections and says nothing; the server says who."""
    server = Daemon(tmp_path)
    with socket.create_server(("127.0.0.1", server.http)):
        with open(server.output, "wb") as output:
            server.process = subprocess.Popen(
                [str(COMMAND), "serve", "--home", str(server.home.root)], stdout=output, stderr=output
            )
        with Watchdog(server.home, FailureLimit=2) as watchdog:
            alert = watchdog.alert("taken")
            assert alert["kind"] == "restart" and alert["listener"] == f"http:{server.http}"
            assert f"process {os.getpid()}" in alert["text"]
            wait_for("told once more", lambda: len(watchdog.alerts()) == 2)
            assert watchdog.alerts()[1]["kind"] == "alert" and len(watchdog.calls()) == 1
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
            assert watchdog.alert("killed")["listener"] == "all"
            wait_for("the script", lambda: watchdog.calls()[-1] == "--listener all --reason killed")
    server.process = subprocess.Popen(["true"])
    server.process.wait()


@pytest.mark.prove
def test_a_storm_restarts_nothing(tmp_path, evidence, request):
    """Phones without end at a server that is well: no download is missed so often that it acts."""
    seconds = request.config.getoption("--watch-seconds", 0)
    if not seconds:
        pytest.skip("a storm of --watch-seconds; make prove passes 600")
    with Daemon(tmp_path) as server, Watchdog(server.home) as watchdog:
        server.write(server.home.http_data, "big.bin", os.urandom(4 << 20))
        storm = [str(COMMAND), "sim", "storm", "--phones", str(min(60, 10 + seconds)), "--arrival", "2",
                 "--server", "127.0.0.1", "--ports-offset", str(server.offset), "--mix", "tftp=50,http=50",
                 "--json"]  # fmt: skip
        until, storms = time.monotonic() + seconds, 0
        while not storms or time.monotonic() < until:
            done = subprocess.run(storm, capture_output=True, text=True, timeout=300)
            assert done.returncode in (0, 1), done.stderr
            storms += 1
        seen = watchdog.seen()
        assert watchdog.calls() == [] and "restart" not in {one["kind"] for one in seen["alerts"]}
        evidence("watchdog-storm", seconds=seconds, storms=storms, rounds=seen["rounds"]["count"],
                 restarts=0,
                 transfers=server.seen()["transfers"]["ok"],
                 missed=watchdog.log().count("wedged"))  # fmt: skip


def test_the_server_tells_systemd_that_it_lives(ground):
    server, _ = ground
    heard = server.manager
    heard.until("WATCHDOG=1")
    server.run("reload")
    assert "\nMONOTONIC_USEC=" in heard.until("RELOADING=1")
    assert heard.until("READY=1").startswith("READY=1\nSTATUS=serving on 1")
    heard.until("WATCHDOG=1")
