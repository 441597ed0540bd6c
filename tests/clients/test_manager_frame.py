"""The frame around all pages, in Debian's Chromium: signing in, the first password, the menu, signing out."""

from __future__ import annotations

import re

import pytest

from tests.clients.daemon import Daemon
from tests.clients.manager import NEW, Manager, Person, Window, browser


@pytest.fixture(scope="module")
def manager(tmp_path_factory, program):
    program("chromium")
    with Daemon(tmp_path_factory.mktemp("home")) as daemon, Manager(daemon.home) as running:
        yield running


@pytest.fixture(scope="module")
def chromium():
    with browser() as running:
        yield running


def test_the_first_sign_in_asks_for_a_password_of_ones_own(manager, chromium):
    name, password = manager.first_password()
    window = Window(chromium, Person(manager))
    page = window.open("/phones")
    assert "/sign-in" in page.url
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/account")
    window.open("/")
    assert page.url.endswith("/account")
    page.get_by_label("Old password").fill(password)
    page.get_by_label("New password").fill(NEW)
    page.get_by_label("The same again").fill(NEW)
    page.get_by_role("button", name="Change it").click()
    page.wait_for_url(re.compile(r":\d+/$"))
    assert page.get_by_role("navigation", name="Main").is_visible()
    assert window.faults() == []
    page.get_by_text(name, exact=True).click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")
    window.silent()
    window.close()
