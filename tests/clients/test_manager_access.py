"""Access in Debian's Chromium beside a real server: lists, tester, slots and bans, with phones that ask."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.clients.daemon import Daemon, wait_for
from tests.clients.manager import Manager, Person, Window, browser
from tests.clients.phone import ask_tftp

NAME = "46xxsettings.txt"
LISTED, STRANGER = "127.0.0.5", "127.0.0.6"


@pytest.fixture(scope="module")
def manager(tmp_path_factory, program):
    program("chromium")
    keys = {("Settings", "MaxClients"): 5, ("Settings", "ClientSessionTime"): 3600}
    with Daemon(tmp_path_factory.mktemp("home"), keys) as daemon, Manager(daemon.home) as running:
        running.daemon = daemon
        yield running


@pytest.fixture(scope="module")
def admin(manager):
    return Person(manager).settle()


@pytest.fixture(scope="module")
def chromium():
    with browser() as running:
        yield running


@pytest.fixture
def window(chromium, admin):
    window = Window(chromium, admin)
    yield window
    end(window)


def end(window):
    """The console said nothing but that the browser noticed the refusals that were meant."""
    window.said = [one for one in window.said if not re.search(r"status of 4(09|12|22)", one)]
    window.silent()
    window.close()


@pytest.fixture(scope="module")
def curl(program):
    path = program("curl")

    def get(daemon, address):
        """The status of a GET from this address; 0: the server closed without a word."""
        url = f"http://127.0.0.1:{daemon.http}/{NAME}"
        command = [path, "-s", "--max-time", "20", "--interface", address, "-o", "/dev/null",
                   "-w", "%{http_code}", url]  # fmt: skip
        return int(subprocess.run(command, capture_output=True, timeout=30).stdout)

    return get


def test_a_list_is_written_tested_and_put_back(manager, window):
    daemon = manager.daemon
    file = daemon.home.tftp_data / "TFTP_allow_IP.txt"
    page = window.open("/access")
    page.get_by_role("link", name="Write one the list for TFTP").click()
    page.get_by_text("No list: everybody may.").wait_for()
    box = page.locator("textarea")
    box.fill(f"# ours\nfoo\n{LISTED}")
    page.get_by_role("button", name="line 2").click()
    assert page.evaluate("window.getSelection().toString()") == "foo"
    page.get_by_role("button", name="Save").click()
    page.get_by_role("alert").filter(has_text="line 2").wait_for()
    assert not file.exists()
    box.fill(f"# ours\n{LISTED}")
    page.locator("#marks li").first.wait_for(state="detached")
    with page.expect_navigation():
        page.get_by_role("button", name="Save").click()
    assert file.read_text() == f"# ours\n{LISTED}\n"
    assert isinstance(ask_tftp(daemon, LISTED, NAME), bytes) and ask_tftp(daemon, STRANGER, NAME) == 2

    page = window.open("/access")
    page.get_by_label("Address, MAC or extension").fill(STRANGER)
    page.get_by_role("textbox", name="File").fill(NAME)
    page.get_by_role("button", name="Ask").click()
    page.get_by_text("No: not-listed").wait_for()
    assert "No server runs" not in page.content()
    page.get_by_role("link", name="line 2 of TFTP_allow_IP.txt").click()
    page.wait_for_url("**/lists/tftp?line=2")
    assert window.faults() == []
    page.locator("textarea").fill(f"{STRANGER}\n")
    with page.expect_navigation():
        page.get_by_role("button", name="Save").click()
    assert isinstance(ask_tftp(daemon, STRANGER, NAME), bytes)

    page.get_by_role("link", name="Compare").first.click()
    page.locator("pre .removed", has_text=LISTED).wait_for()
    assert window.faults() == []
    page.get_by_role("button", name="Put it back").click()
    with page.expect_navigation():
        page.locator("dialog").get_by_role("button", name="Put it back").click()
    assert file.read_text() == f"# ours\n{LISTED}\n"
    page.get_by_role("button", name="Remove the list").click()
    with page.expect_navigation():
        page.get_by_role("button", name="Remove it", exact=True).click()
    assert not file.exists() and isinstance(ask_tftp(daemon, STRANGER, NAME), bytes)


def test_two_who_edit_one_list_the_second_is_told_and_loses_nothing(manager, chromium, admin, window):
    file = manager.home.http_data / "HTTP_allow_IP.txt"
    file.write_text("127.0.0\n")
    other = Window(chromium, admin)
    first, second = window.open("/access/lists/http"), other.open("/access/lists/http")
    first.locator("textarea").fill("127.0.0\n10.1\n")
    with first.expect_navigation():
        first.get_by_role("button", name="Save").click()
    second.locator("textarea").fill("127.0.0\n10.2\n")
    second.get_by_role("button", name="Save").click()
    second.get_by_role("alert").filter(has_text="Somebody else has changed this meanwhile").wait_for()
    assert second.locator("textarea").input_value() == "127.0.0\n10.2\n"
    assert file.read_text() == "127.0.0\n10.1\n"
    end(other)
    file.unlink()


def test_slots_show_who_is_served_and_are_freed(manager, window, curl):
    page = window.open("/access")
    assert curl(manager.daemon, "127.0.0.9") == 200
    button = page.get_by_role("button", name="Free the slot of 127.0.0.9")
    with page.expect_navigation():
        button.click()
    page.get_by_text("of 5 taken").wait_for()
    assert not button.count() and "127.0.0.9" not in [one["address"] for one in manager.daemon.slots()]


def test_a_ban_turns_away_and_its_lift_lets_in(manager, window, curl):
    daemon = manager.daemon
    page = window.open("/access")
    page.get_by_label("Address, range or network").fill("127.0.0.8/31")
    page.get_by_label("Why (for the others)").fill("<b>scans</b>")
    page.get_by_role("button", name="Ban", exact=True).click()
    page.get_by_role("alert").filter(has_text="phones were seen there: 127.0.0.9").wait_for()
    page.get_by_label("also if phones were seen there").check()
    with page.expect_navigation():
        page.get_by_role("button", name="Ban", exact=True).click()
    page.get_by_text("<b>scans</b>").wait_for()
    assert window.faults() == [] and curl(daemon, "127.0.0.9") == 0 and curl(daemon, LISTED) == 200
    with page.expect_navigation():
        page.get_by_role("button", name="Lift the ban").click()
    page.get_by_text("Nobody is banned.").wait_for()
    wait_for("the lifted ban", lambda: curl(daemon, "127.0.0.9") == 200)
