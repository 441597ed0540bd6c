"""The Overview in Debian's Chromium while phones boot: charts, transfers, listeners, a storm."""

from __future__ import annotations

import contextlib
import http.client
import socket
import statistics
import subprocess
import threading
import time
import urllib.error
import urllib.request

import psutil
import pytest

from manager.facts.pulse import WATCHED
from manager.routing import Role
from mv_iptel.inventory import schema
from tests.clients.daemon import COMMAND, Daemon, wait_for
from tests.clients.manager import Manager, Person, Window, browser

AGENT = "Mozilla/4.0 (compatible; MSIE 6.0) AVAYA/9640-3.2 (MAC:00040d{:06x})"
EVIL = "<img src=x onerror=alert(1)>.bin"


@pytest.fixture(scope="module")
def server(tmp_path_factory, program):
    program("chromium")
    with Daemon(tmp_path_factory.mktemp("home"), {("Settings", "DetailedLog"): 1}) as daemon:
        daemon.write(daemon.home.http_data, "big.bin", bytes(8 << 20))
        daemon.write(daemon.home.http_data, EVIL, bytes(8 << 20))
        with Manager(daemon.home) as manager:
            yield daemon, manager


@pytest.fixture(scope="module")
def admin(server):
    return Person(server[1]).settle()


@pytest.fixture(scope="module")
def chromium(program):
    program("chromium")
    with browser() as running:
        yield running


@contextlib.contextmanager
def slow(daemon, *names):
    """Phones that take the beginning of a file and then no more, until the end of the block."""
    open_now = []
    for at, name in enumerate(names):
        own = (f"127.0.{at // 200}.{50 + at % 200}", 0)
        phone = http.client.HTTPConnection("127.0.0.1", daemon.http, timeout=30, source_address=own)
        phone.request("GET", "/" + urllib.request.quote(name), headers={"User-Agent": AGENT.format(at + 1)})
        phone.getresponse().read(1000)
        open_now.append(phone)
    try:
        yield open_now
    finally:
        for phone in open_now:
            phone.close()


def test_the_page_lives(server, admin, chromium):
    daemon, _ = server
    window = Window(chromium, admin)
    page = window.open("/")
    page.get_by_text("Nothing is being sent at this moment").wait_for()
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"http://127.0.0.1:{daemon.http}/nosuch.txt")
    with slow(daemon, "big.bin", EVIL):
        row = page.get_by_role("row").filter(has_text="big.bin")
        row.get_by_role("progressbar").wait_for()
        row.get_by_role("link", name="00:04:0d:00:00:01").wait_for()
        page.get_by_text(EVIL).first.wait_for()  # as text, and no image
        assert page.locator("#transfers img").count() == 0
        page.get_by_role("img", name="Transfers at once: 2 now").wait_for()
        assert window.faults() == []
    page.get_by_text("Nothing is being sent at this moment").wait_for()
    page.reload()  # refusals come by themselves too, but later
    page.get_by_role("link", name="no-file").wait_for()
    number = page.get_by_role("row").filter(has_text="no-file").get_by_role("link").nth(1)
    assert number.get_attribute("href").startswith("/search?q=")
    window.silent()
    window.close()


def test_a_listener_is_stopped_and_started(server, admin, chromium):
    daemon, _ = server
    window = Window(chromium, admin, 390, dark=True)
    page = window.open("/")
    page.get_by_role("button", name="Stop FTP", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Start FTP", exact=True).wait_for()
    assert {one["state"] for one in daemon.seen()["listeners"] if one["proto"] == "ftp"} <= {"off"}
    page.get_by_role("button", name="Start FTP", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Start").click()
    page.get_by_role("button", name="Stop FTP", exact=True).wait_for()
    assert window.faults() == []
    window.silent()
    window.close()
    told = admin.get("/api/v1/listeners").json["items"]
    assert {one["state"] for one in told if one["proto"] == "ftp"} == {"up"}


def test_the_switch_for_programs(server, admin):
    path = "/api/v1/listeners/https"
    assert admin.call("PUT", path, {"run": False}).json["state"] == "off"
    assert admin.call("PUT", path, {"run": True}).json["state"] == "up"
    assert admin.call("PUT", path, {"run": 1}).status == 422
    assert admin.call("PUT", "/api/v1/listeners/status", {"run": False}).status == 404


def test_a_changed_ini_is_loaded_and_a_broken_one_is_not(server, admin, chromium):
    daemon, _ = server
    good = daemon.home.ini.read_text()
    daemon.home.ini.write_text(good.replace("StatusRefresh", "NoSuchKeyAtAll"))
    assert admin.call("POST", "/api/v1/server/reload").json["ok"] is True
    window = Window(chromium, admin)
    page = window.open("/")
    page.get_by_text("NoSuchKeyAtAll").first.wait_for()
    daemon.home.ini.write_text(good + "\n[TFTP]\nTrivialFTPPort=none\n")
    refused = admin.call("POST", "/api/v1/server/reload")
    assert refused.status == 422 and "TrivialFTPPort" in refused.text
    daemon.home.ini.write_text(good)
    assert admin.call("POST", "/api/v1/server/reload").status == 200
    window.close()


def test_phones_that_boot_together_are_a_storm(server, admin):
    daemon, _ = server
    storm = subprocess.run(
        [COMMAND, "sim", "storm", "--phones", "30", "--arrival", "2", "--home", str(daemon.home.root),
         "--ports-offset", str(daemon.offset)], capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert storm.returncode == 0, storm.stdout + storm.stderr

    def told():
        found = admin.get("/api/v1/overview").json["storm"]
        return found if found and found["done"] >= 30 else None

    found = wait_for("the storm", told)
    assert f"{found['done']} of {found['total']} phones done" in found["text"]
    points = admin.get("/api/v1/overview/pulse").json["items"]
    assert sum(one["done"] or 0 for one in points) > 0


def test_who_may_only_see_has_no_switches(server, admin):
    viewer = Person(server[1])
    made = admin.call("POST", "/api/v1/users", {"name": "vera", "role": Role.VIEWER.word})
    assert made.status in (200, 201), made.text
    password = made.json["password"]
    assert viewer.sign_in("vera", password).status == 303
    new = "a password of vera's"
    viewer.call("PUT", "/api/v1/account/password", {"old": password, "new": new, "again": new})
    assert viewer.sign_in("vera", new).status == 303
    page = viewer.get("/").text
    assert "Listeners" in page and "/api/v1/listeners" not in page
    assert viewer.call("PUT", "/api/v1/listeners/ftp", {"run": False}).status == 403


PHONES = 50_000  # in the inventory
ROUNDS, SECONDS = 3, 10.0


@contextlib.contextmanager
def flowing(connections):
    """Phones that go on reading, 64 KiB a second each."""
    ended = threading.Event()

    def read() -> None:
        while not ended.wait(0.25):
            for one in connections:
                with contextlib.suppress(BlockingIOError):
                    one.sock.recv(16 << 10, socket.MSG_DONTWAIT)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def known(home, many):
    """An inventory of so many phones."""
    database = schema.prepare(str(home.database))
    macs = [(at, f"00040e{at:06x}", f"10.{at >> 16}.{at >> 8 & 255}.{at & 255}") for at in range(1, many + 1)]
    database.execute("BEGIN")
    database.executemany(
        "INSERT INTO phones (id, key, mac, ext, model, version, address, first_seen, last_seen, requests, "
        "refused, failed, bytes) VALUES (?1, ?2, ?2, '', '9640', '', ?3, 1e9, 1e9, 1, 0, 0, 0)",
        macs,
    )
    database.execute("COMMIT")
    database.close()


@pytest.mark.prove
def test_an_open_overview_costs_the_server_little(tmp_path, chromium, request, evidence):
    """200 transfers go on, 50,000 phones are known; the page is opened and closed again in turn."""
    if not request.config.getoption("--evidence"):
        pytest.skip(
            "processor time is measured by `make prove` alone, on a machine that has nothing else to do"
        )
    many = 200
    daemon = Daemon(tmp_path)
    known(daemon.home, PHONES)
    daemon.write(daemon.home.http_data, "big.bin", bytes(16 << 20))
    with daemon, Manager(daemon.home) as manager:
        admin = Person(manager).settle()
        with slow(daemon, *["big.bin"] * many) as connections, flowing(connections):
            wait_for("all transfers", lambda: daemon.seen()["transfers"]["now"] == many)
            server = psutil.Process(daemon.process.pid)

            def share() -> float:
                """Of a core, in hundredths."""
                before, start = server.cpu_times(), time.monotonic()
                threading.Event().wait(SECONDS)
                after = server.cpu_times()
                used = after.user + after.system - before.user - before.system
                return 100 * used / (time.monotonic() - start)

            alone, watched = [], []
            octets, begun = daemon.seen()["transfers"]["octets"], time.monotonic()
            for _ in range(ROUNDS):
                alone.append(share())
                window = Window(chromium, admin)
                page = window.open("/")
                page.get_by_text(f"and {many - 40} more").wait_for()
                watched.append(share())
                window.close()
                threading.Event().wait(WATCHED)  # until the manager has seen that nobody looks
            told = daemon.seen()["transfers"]
            flow = (told["octets"] - octets) / (time.monotonic() - begun)
            assert told["now"] == many and flow > 1 << 20
    cost = statistics.median(watched) - statistics.median(alone)
    evidence(
        "manager-overview", transfers=many, phones=PHONES, seconds=SECONDS,
        mib_a_second=round(flow / 2**20, 1),
        percent_alone=[round(one, 2) for one in alone],
        percent_watched=[round(one, 2) for one in watched],
        percent_by_the_page=round(cost, 2),
    )  # fmt: skip
    assert cost <= 3.0, (alone, watched)
