"""The phones' pages in Debian's Chromium: a simulated phone boots, a stranger is refused, both are found."""

from __future__ import annotations

import re

import pytest

from tests.clients.daemon import Daemon, wait_for
from tests.clients.manager import Manager, Person, Window, browser
from tests.clients.phone import ask_tftp

MAC = "00040d112233"
STRANGER = "127.0.0.66"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory, program):
    program("chromium")
    with Daemon(tmp_path_factory.mktemp("home")) as running:
        (running.home.tftp_data / "TFTP_allow_IP.txt").write_text("127.0.0.1\n")
        boot = ("sim", "boot", "--model", "9640", "--mac", MAC, "--ports-offset", str(running.offset))
        running.run(*boot, "--server", "localhost", home=True, status=None)
        assert ask_tftp(running, STRANGER, "46xxsettings.txt") == 2
        yield running


@pytest.fixture(scope="module")
def admin(daemon):
    with Manager(daemon.home) as running:
        yield Person(running).settle()


@pytest.fixture(scope="module")
def window(admin):
    with browser() as chromium:
        opened = Window(chromium, admin)
        yield opened
        opened.close()


def test_a_phone_that_booted_is_found_and_says_what_it_did(daemon, admin, window):
    wait_for("the phone", lambda: admin.get(f"/api/v1/phones/{MAC}").status == 200)
    page = window.open("/phones")
    assert page.get_by_role("link", name="00:04:0d:11:22:33").is_visible()
    page.get_by_label("Search", exact=True).fill("nobody")
    page.get_by_text("No phone is like that.").wait_for()
    assert page.url.endswith("q=nobody")
    page.get_by_label("Search", exact=True).fill("0d:11:22")
    page.get_by_role("link", name="00:04:0d:11:22:33").click()
    page.get_by_role("heading", level=1, name=re.compile("9640")).wait_for()
    assert window.faults() == []
    page.get_by_role("link", name="Time line", exact=True).click()
    page.get_by_text("96xxupgrade.txt").first.wait_for()
    page.get_by_label("Answer").select_option("failed")
    page.get_by_text("Nothing like that is kept").wait_for()
    assert window.faults() == []


def test_its_boot_is_played_with_the_lines_that_decide(daemon, admin, window):
    script = daemon.home.http_data / "96xxupgrade.txt"
    script.write_text("IF $GROUP SEQ 7 GOTO LAB\nGET 46xxsettings.txt\nGOTO END\n# LAB\nGET lab.txt\n# END\n")
    page = window.open(f"/phones/{MAC}/boot")
    page.get_by_text("It boots:").wait_for()
    assert page.get_by_role("cell", name="IF $GROUP SEQ 7 GOTO LAB").is_visible()
    page.get_by_label("GROUP").fill("7")
    page.get_by_role("button", name="Play").click()
    page.get_by_text("It does not come up").wait_for()
    assert page.get_by_text("lab.txt").first.is_visible()
    assert window.faults() == []
    page = window.open(f"/phones/{MAC}/settings")
    page.get_by_label("Search", exact=True).fill("SNMPSTRING")
    page.get_by_text("(secret)").wait_for()
    assert window.faults() == []


def test_a_refusal_is_found_by_its_number_with_all_steps(daemon, admin, window):
    (event,) = daemon.events(peer=STRANGER)
    page = window.open("/phones")
    page.keyboard.press("/")
    page.keyboard.type(f"#{event['id']}")
    page.keyboard.press("Enter")
    page.get_by_role("heading", level=1, name=f"Request #{event['id']}").wait_for()
    assert page.get_by_text("TFTP_allow_IP.txt").first.is_visible()
    assert page.locator(".steps li").count() >= 2
    assert window.faults() == []


def test_a_stranger_is_put_on_the_list_and_another_one_ignored(daemon, admin, window):
    page = window.open("/phones/unknown")
    assert window.faults() == []
    row = page.get_by_role("row").filter(has_text=STRANGER)
    row.get_by_role("button", name="Add to the TFTP list").click()
    with page.expect_navigation():
        page.get_by_role("button", name="Add it").click()
    file = daemon.home.tftp_data / "TFTP_allow_IP.txt"
    assert STRANGER in file.read_text()
    assert isinstance(ask_tftp(daemon, STRANGER, "46xxsettings.txt"), bytes)
    wait_for("a phone", lambda: admin.get(f"/api/v1/phones/{STRANGER}").status == 200)
    window.open("/phones/unknown")
    row = page.get_by_role("row").filter(has_text=STRANGER)
    with page.expect_navigation():
        row.get_by_role("button", name="It is known").click()
    page.get_by_role("link", name="1 ignored").click()
    with page.expect_navigation():
        page.get_by_role("button", name="Show again").click()
    assert STRANGER in admin.get("/phones/unknown").text


def test_a_phone_is_forgotten(daemon, admin, window):
    page = window.open(f"/phones/{STRANGER}")
    page.get_by_role("button", name="Forget").click()
    page.get_by_role("button", name="Forget it").click()
    page.wait_for_url("**/phones")
    page.get_by_role("link", name="00:04:0d:11:22:33").wait_for()
    assert page.get_by_role("link", name=STRANGER, exact=True).count() == 0
    window.silent()
