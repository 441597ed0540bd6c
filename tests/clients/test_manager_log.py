"""The log in Debian's Chromium beside a real server: what phones do shows at once, their words are text."""

from __future__ import annotations

import csv
import re
import subprocess

import pytest

from tests.clients.daemon import Daemon
from tests.clients.manager import Manager, Person, Window, browser
from tests.clients.phone import ask_tftp

NAME = "46xxsettings.txt"
AGENT = "AVAYA/9640-3.2.1 (MAC:00040d112233) <script>console.log(1)</script>"


@pytest.fixture(scope="module")
def manager(tmp_path_factory, program):
    program("chromium")
    with Daemon(tmp_path_factory.mktemp("home")) as daemon, Manager(daemon.home) as running:
        running.daemon = daemon
        yield running


@pytest.fixture(scope="module")
def admin(manager):
    return Person(manager).settle()


@pytest.fixture(scope="module")
def chromium():
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def ask(manager, program):
    path = program("curl")

    def get(name, address="127.0.0.5"):
        url = f"http://127.0.0.1:{manager.daemon.http}/{name}"
        command = [path, "-s", "-g", "--max-time", "20", "--interface", address, "-A", AGENT,
                   "-o", "/dev/null", url]  # fmt: skip
        subprocess.run(command, check=True, timeout=30)

    return get


def rows(page, text):
    return page.locator("tbody tr", has_text=text)


def test_what_a_phone_does_shows_as_it_happens(manager, chromium, admin, ask):
    ask("before.txt")
    window = Window(chromium, admin)
    page = window.open("/log")
    page.locator("#live", has_text="Live").wait_for()
    rows(page, "before.txt").wait_for()
    ask(NAME)
    rows(page, NAME).first.wait_for()
    ask("%3Cimg%20src=x%20onerror=console.log(1)%3E.txt")
    row = rows(page, "<img src=x onerror=console.log(1)>.txt")
    row.wait_for()
    assert "no-file" in row.inner_text() and "00:04:0d:11:22:33" in row.inner_text()
    link = row.get_by_role("link", name=re.compile(r"#\d+"))
    assert re.fullmatch(r"/search\?q=\d+", link.get_attribute("href"))
    assert window.faults() == []

    page.get_by_role("button", name="Pause").click()
    ask("paused.txt")
    page.locator("#live", has_text="1 new").wait_for()
    assert not rows(page, "paused.txt").count()
    page.get_by_role("button", name="Go on").click()
    rows(page, "paused.txt").wait_for()

    link.click()
    page.wait_for_load_state()
    assert "no-file" in page.locator("main").inner_text()
    window.silent()
    window.close()


def test_filters_choose_what_is_kept_and_what_comes(manager, chromium, admin, ask, tmp_path):
    ask("first.txt")
    ask(NAME)
    window = Window(chromium, admin)
    page = window.open("/log")
    rows(page, NAME).first.wait_for()
    page.get_by_label("Outcome").select_option("refused")
    page.wait_for_url("**outcome=refused**")
    rows(page, "first.txt").wait_for()
    assert not rows(page, NAME).count()
    page.locator("#live", has_text="Live").wait_for()
    ask(NAME)
    ask("later.txt")
    ask_tftp(manager.daemon, "127.0.0.6", "by-tftp.txt")
    rows(page, "later.txt").wait_for()
    rows(page, "by-tftp.txt").wait_for()
    assert not rows(page, NAME).count()
    page.get_by_role("textbox", name="Phone").fill("127.0.0.6")
    rows(page, "later.txt").wait_for(state="detached")
    rows(page, "by-tftp.txt").wait_for()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    download.value.save_as(tmp_path / "log.csv")
    with (tmp_path / "log.csv").open() as file:
        assert {one["name"] for one in csv.DictReader(file)} == {"by-tftp.txt"}
    page.get_by_role("searchbox", name="Text").fill("nothing has this")
    page.get_by_text("Show everything").wait_for()
    assert window.faults() == []
    window.silent()
    window.close()


def test_one_that_asks_again_and_again_is_one_row(chromium, admin, ask):
    window = Window(chromium, admin)
    page = window.open("/log")
    page.locator("#live", has_text="Live").wait_for()
    for _ in range(4):
        ask("again.txt", "127.0.0.7")
    rows(page, "again.txt").filter(has_text="×4").wait_for()
    assert rows(page, "again.txt").count() == 1
    window.silent()
    window.close()


def test_a_server_that_ends_is_told_and_found_again(manager, chromium, admin, ask):
    window = Window(chromium, admin)
    page = window.open("/log")
    page.locator("#live", has_text="Live").wait_for()
    manager.daemon.__exit__()
    page.locator("#live", has_text="Not live").wait_for()
    manager.daemon.__enter__()
    page.locator("#live.good", has_text="Live").wait_for()
    ask("after.txt")
    rows(page, "after.txt").wait_for()
    window.silent()
    window.close()
