"""Users in Debian's Chromium: added, given a role, kept out; every change stands in the audit trail."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
from click.testing import CliRunner

from manager.cli import group
from tests.clients.daemon import Daemon
from tests.clients.manager import MANAGER, NEW, Manager, Person, Window, browser
from tests.manager.here import made


@pytest.fixture(scope="module")
def manager(tmp_path_factory, program):
    program("chromium")
    with Daemon(tmp_path_factory.mktemp("home")) as daemon, Manager(daemon.home) as running:
        yield running


@pytest.fixture(scope="module")
def chromium(manager):
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def boss(manager):
    return Person(manager).settle()


@pytest.fixture
def window(chromium, boss):
    made = Window(chromium, boss)
    yield made
    made.silent()
    made.close()


def user(manager, *words):
    """`mv-manager user`, beside the running manager, which is another process."""
    done = CliRunner().invoke(group, ["user", *words, "--home", str(manager.home.root)])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_user_is_added_and_works_with_the_password_that_is_shown_once(manager, chromium, window):
    page = window.open("/users")
    page.get_by_label("Name").fill("anna")
    page.locator("form[data-api^=POST] select").select_option("operator")
    page.get_by_role("button", name="Add", exact=True).click()
    dialog = page.get_by_role("dialog", name="First password of anna")
    password = dialog.locator("#password-text").inner_text()
    assert window.faults() == []
    dialog.get_by_role("button", name="I have it").click()
    page.get_by_text("must choose a password").wait_for()
    assert password not in page.content()
    assert window.faults() == []

    hers = Window(chromium, Person(manager))
    inside = hers.open("/sign-in?to=/audit")
    inside.get_by_label("Name").fill("anna")
    inside.get_by_label("Password").fill(password)
    inside.get_by_role("button", name="Sign in").click()
    inside.wait_for_url("**/account")
    inside.get_by_label("Old password").fill(password)
    for label in ("New password", "The same again"):
        inside.get_by_label(label).fill("123456789012")
    inside.get_by_role("button", name="Change it").click()
    inside.get_by_role("alert").get_by_text("guessed first").wait_for()
    hers.said.clear()  # the console tells of the refusal
    for label in ("New password", "The same again"):
        inside.get_by_label(label).fill(NEW)
    inside.get_by_role("button", name="Change it").click()
    inside.wait_for_url(re.compile(r":\d+/$"))
    inside.get_by_text("anna", exact=True).click()
    assert inside.get_by_role("link", name="Audit trail").count() == 0

    # The role is another one at once, in her open window.
    row = page.get_by_role("row", name=re.compile("^anna"))
    page.reload()
    page.get_by_label("Role of anna").select_option("administrator")
    row.get_by_role("button", name="Set").click()
    page.get_by_text("anna has another role now").wait_for()
    inside.goto(manager.url + "/audit")
    assert inside.get_by_role("heading", name="Audit trail").is_visible()

    # Kept out: her next click leads to the sign-in page.
    page.reload()
    row.get_by_text("More").click()
    row.get_by_role("button", name="Keep out").click()
    page.get_by_role("dialog").get_by_role("button", name="Keep out").click()
    row.get_by_text("kept out", exact=True).wait_for()
    inside.goto(manager.url + "/")
    assert "/sign-in" in inside.url
    hers.silent()
    hers.close()


def test_the_trail_tells_it_all_and_is_searched(manager, window):
    user(manager, "add", "bert")
    page = window.open("/audit")
    page.get_by_role("cell", name="bert", exact=True).wait_for()
    page.get_by_label("Text").fill("bert")
    page.get_by_text("1 entry").wait_for()
    page.wait_for_url("**q=bert**")
    assert page.get_by_role("cell", name=re.compile("^console:")).is_visible()
    assert window.faults() == []
    page.get_by_role("row").nth(1).get_by_role("link").first.click()
    assert page.locator(".added").inner_text() == "+ viewer"
    assert window.faults() == []
    with page.expect_download() as got:
        window.open("/audit?who=admin").get_by_role("link", name="CSV").click()
    assert got.value.suggested_filename == "audit.csv" and "anna" in got.value.path().read_text("utf-8")


def test_a_browser_elsewhere_is_signed_out_from_the_account_page(manager, chromium, boss, window):
    other = Person(manager)
    assert other.sign_in("admin", NEW).status == 303
    page = window.open("/account")
    assert page.get_by_role("button", name="Sign out all others").is_visible() and window.faults() == []
    page.get_by_role("button", name="Sign out all others").click()
    page.get_by_role("dialog").get_by_role("button", name="Sign them out").click()
    page.get_by_text("All others are signed out").wait_for()
    assert page.get_by_role("button", name="Sign out all others").count() == 0
    assert other.get("/account").status == 303
    assert boss.get("/account").status == 200


def test_the_command_changes_a_running_manager(manager, boss):
    command = [str(MANAGER), "user", "add", "cleo", "--json", "--home", str(manager.home.root)]
    told = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    cleo = Person(manager)
    assert cleo.sign_in("cleo", told["password"]).status == 303
    user(manager, "role", "cleo", "operator")
    assert cleo.get("/api/v1/account").json["role"] == "operator"
    listed = json.loads(user(manager, "list", "--json"))["users"]
    assert next(one for one in listed if one["name"] == "cleo")["sessions"] == 1
    user(manager, "remove", "cleo")
    assert cleo.get("/api/v1/account").status == 401


def test_sessions_survive_a_restart_and_the_cookie_is_for_tls_only(manager, boss):
    told = Person(manager)
    answer = told.sign_in("admin", NEW)
    kept = answer.headers["Set-Cookie"]
    assert kept.startswith("__Host-mv_session=") and "Secure" in kept and "HttpOnly" in kept
    manager.process.terminate()
    assert manager.process.wait(30) == 0
    manager.start()
    assert told.get("/account").status == boss.get("/account").status == 200


def test_a_manager_without_users_says_how_there_is_one(tmp_path):
    home = made(tmp_path)
    home.passwords.write_text("")
    with Manager(home) as manager:
        assert "mv-manager user add NAME --role administrator" in manager.output.read_text()
        told = json.loads(user(manager, "add", "anna", "--role", "administrator", "--json"))
        assert Person(manager).sign_in("anna", told["password"]).status == 303
