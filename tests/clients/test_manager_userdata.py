"""User data in Debian's Chromium beside a real server: look, compare, restore, copy, forget."""

from __future__ import annotations

import http.client
import io
import re
import ssl
import zipfile

import pytest

from mv_iptel import config as configuration
from mv_iptel.userdata import versions
from mv_iptel.userdata.names import parse
from mv_iptel.userdata.policies import Pins
from mv_iptel.userdata.store import Origin, keep
from tests.clients.daemon import Daemon
from tests.clients.manager import Manager, Person, Window, browser

START = 1_780_000_000.0
FILE = "4711_96xxdata.txt"
FIRST = (
    b"ABKNAME001=Anna\nABKNUMBER001=201\nABKNAME002=Bert\nABKNUMBER002=300\nPHNLABEL1=Door\nLANGUSER=German\n"
)
SECOND = b"ABKNAME001=Anna\nABKNUMBER001=202\nPHNLABEL1=Gate\nHandset AGC=1\n"
EVIL = b"PHNLABEL1=<script>console.log('evil')</script>\nPHNLABEL2=<img src=x onerror=console.log(1)>\n"


@pytest.fixture(scope="module")
def manager(tmp_path_factory, program):
    program("chromium")
    keys = {("HTTP", "BackupAuth"): "none"}
    with Daemon(tmp_path_factory.mktemp("home"), keys) as daemon, Manager(daemon.home) as running:
        running.daemon = daemon
        config = configuration.load(daemon.home)
        phone = Origin("192.0.2.17", "00040d112233", "9640G", "https", "snmp")
        put(daemon, FILE, FIRST)
        for number in range(60):
            keep(config, parse(f"{5000 + number}_4620data.txt"), b"Redial=1\n", phone, now=lambda: START)
        keep(config, parse("666_16xxdata.txt"), EVIL, Origin("192.0.2.66", "", "<b>x</b>"), now=lambda: START)
        Pins(daemon.home.var / "pins").remember("5003_4620data.txt", "a password")
        yield running


def put(daemon, name, data):
    """As a phone stores it."""
    context = ssl.create_default_context(cafile=str(daemon.home.ca_cert))
    line = http.client.HTTPSConnection("localhost", daemon.https, context=context, timeout=30)
    line.request("PUT", f"/{name}", data, {"User-Agent": "AvayaPhone/9640G"})
    assert line.getresponse().status in (200, 201, 204)
    line.close()


@pytest.fixture(scope="module")
def admin(manager):
    return Person(manager).settle()


@pytest.fixture(scope="module")
def chromium():
    with browser() as running:
        yield running


@pytest.fixture
def window(chromium, admin):
    one = Window(chromium, admin)
    yield one
    one.silent()
    one.close()


def test_from_the_list_to_a_restore(manager, admin, window, chromium):
    daemon, config = manager.daemon, configuration.load(manager.home)
    put(daemon, FILE, SECOND)
    page = window.open("/userdata")
    assert window.faults() == []
    page.get_by_label("Extension or file").fill("4711")
    page.get_by_text("1 file", exact=True).wait_for()
    page.get_by_role("link", name="4711").click()
    page.get_by_role("heading", name="User data of 4711").wait_for()
    assert page.get_by_text("Anna 202").is_visible() and page.get_by_text("nothing had to be shown").count()
    assert window.faults() == []
    page.get_by_role("link", name="What changed").first.click()
    page.get_by_text("speed dial 1: Anna 201 -> Anna 202").wait_for()
    assert window.faults() == []
    page.go_back()
    page.get_by_role("link", name="Restore").click()
    page.get_by_text("speed dial 2 added: Bert 300").wait_for()

    # The phone stores something newer before the administrator has made up his mind.
    put(daemon, FILE, SECOND + b"PHNLABEL2=Newest\n")
    page.get_by_role("button", name="Restore this version").click()
    page.get_by_role("alert").get_by_text("Somebody else has changed this meanwhile").wait_for()
    assert b"Newest" in versions.read(config, FILE)
    window.said.clear()  # the browser tells a refused call on its console
    page.reload()
    page.get_by_text("label 2 removed: Newest").wait_for()
    page.get_by_role("button", name="Restore this version").click()
    page.wait_for_url(re.compile(f"/userdata/{FILE}$"))
    page.get_by_text("Anna 201").wait_for()
    assert versions.read(config, FILE) == FIRST
    page.get_by_text("restored by the administrator").first.wait_for()
    assert "user data restored" in admin.get("/audit").text


def test_what_phones_say_does_nothing(window):
    page = window.open("/userdata/666_16xxdata.txt")
    page.get_by_text("<script>console.log('evil')</script>").wait_for()
    assert page.locator("main script, main img").count() == 0


def test_a_copy_of_all(window):
    page = window.open("/userdata")
    page.get_by_label("with the earlier versions").check()
    with page.expect_download() as got:
        page.get_by_role("button", name="Make a copy").click()
    assert re.fullmatch(r"userdata-[0-9]{8}-[0-9]{6}\.zip", got.value.suggested_filename)
    with zipfile.ZipFile(io.BytesIO(open(got.value.path(), "rb").read())) as archive:
        assert archive.read("5003_4620data.txt") == b"Redial=1\n" and "backups.csv" in archive.namelist()
        assert any(name.startswith(f"versions/{FILE}/") for name in archive.namelist())


def test_a_password_is_forgotten_by_the_running_server(manager, window):
    page = window.open("/userdata?state=password")
    page.get_by_role("link", name="5003").click()
    page.get_by_role("button", name="Forget it").click()
    page.get_by_role("dialog").get_by_role("button", name="Forget it").click()
    page.get_by_text("remembered since").wait_for(state="detached")
    assert Pins(manager.home.var / "pins").all() == []


def test_on_a_phones_screen_and_in_the_dark(chromium, admin):
    old = admin.get(f"/api/v1/userdata/{FILE}").json["versions"][-1]["id"]
    window = Window(chromium, admin, width=390, dark=True)
    for path in (
        "/userdata",
        f"/userdata/{FILE}",
        f"/userdata/{FILE}/differences",
        f"/userdata/{FILE}/differences?old=current&new={old}&restore=1",
    ):
        page = window.open(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
        assert window.faults() == [], path
    window.silent()
    window.close()
