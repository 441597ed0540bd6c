"""Files in Debian's Chromium beside a real server: two administrators, lint, uploads, what files were."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import threading

import pytest

from tests.clients.daemon import Daemon, wait_for
from tests.clients.manager import Manager, Person, Window, browser

SETTINGS = "HTTPdata/46xxsettings.txt"
AGENT = "AVAYA/9640-3.2.1 (MAC:00040d112233)"


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


@pytest.fixture
def window(chromium, admin):
    opened = Window(chromium, admin)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def fetch(manager, program):
    """What a phone gets."""
    path = program("curl")

    def get(name: str) -> bytes:
        url = f"http://127.0.0.1:{manager.daemon.http}/{name}"
        command = [path, "-s", "--interface", "127.0.0.5", "-A", AGENT, url]
        return subprocess.run(command, check=True, capture_output=True, timeout=30).stdout

    return get


def type_at_end(page, text: str) -> None:
    field = page.locator("#text:enabled")
    field.press("Control+End")
    page.keyboard.insert_text(text)


@pytest.fixture(scope="module")
def noted(admin):
    """Waits until the inventory knows who fetched a file."""

    def wait(name: str) -> None:
        wait_for(name, lambda: admin.get(f"/api/v1/askers/{name}").json["phones"] == 1)

    return wait


def test_a_file_is_edited_and_phones_get_it(window, fetch, noted):
    fetch("46xxsettings.txt")
    noted(SETTINGS)
    page = window.open("/files")
    page.get_by_role("link", name="HTTPdata").first.click()
    page.get_by_role("link", name="46xxsettings.txt").click()
    page.locator("#counts", has_text="Lint:").wait_for()
    page.get_by_text("1 phone fetched it").wait_for()
    before = page.locator("#findings li").count()
    type_at_end(page, "  SET L2QVLAN 5000\n")
    row = page.locator("#findings li", has_text="leading-blanks")
    row.wait_for()
    assert page.locator("#beside span.warning").count() >= 1
    assert page.locator("#findings li").count() >= before
    row.get_by_role("button", name="Mend").click()
    page.locator("#findings li", has_text="value-range").get_by_role("button").first.click()
    assert page.evaluate("document.activeElement.id") == "text"
    page.locator("#line", has_text="5000 is too large").wait_for()
    assert window.faults() == []
    page.keyboard.insert_text("SET L2QVLAN 50")
    page.locator("#findings li", has_text="value-range").wait_for(state="detached")
    page.get_by_role("button", name="Who breaks?").click()
    page.get_by_text("L2QVLAN: 0 (default) → 50").wait_for()
    page.keyboard.press("Control+s")
    page.locator("#history .pill.good", has_text="now").wait_for()
    page.get_by_text("Saved. What it replaced is kept.").wait_for()
    wait_for("the phone's settings", lambda: fetch("46xxsettings.txt").endswith(b"SET L2QVLAN 50\n"))
    window.silent()


def test_who_breaks_is_told_before_it_is_saved(window, manager):
    script = manager.home.http_data / "96xxupgrade.txt"
    before = script.read_bytes()
    page = window.open("/files/HTTPdata/96xxupgrade.txt")
    type_at_end(page, "")
    page.locator("#text").fill("GET 46xxsettings.txt\nGOTO NOWHERE\n")
    page.get_by_role("button", name="Save").click()
    page.locator("#ask-text", has_text="Save it all the same?").wait_for()
    page.locator("#ask").get_by_role("button", name="Cancel").click()
    page.locator("#ask").wait_for(state="hidden")
    assert script.read_bytes() == before
    window.silent()


def test_the_second_administrator_is_told_and_nothing_is_lost(window, chromium, admin, manager):
    file = manager.home.http_data / "46xxsettings.txt"
    before = file.read_bytes()
    other = Window(chromium, admin, 390)
    for one in (window, other):
        one.open(f"/files/{SETTINGS}")
        one.page.locator("#text:enabled").wait_for()
    type_at_end(window.page, "## first\n")
    window.page.get_by_role("button", name="Save").click()
    window.page.get_by_text("Saved. What it replaced is kept.").wait_for()
    page = other.page
    page.locator("#text").press("Control+Home")
    page.keyboard.insert_text("## second\n")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("has saved this file while you edited it").wait_for()
    assert (
        "## first" in page.locator("#theirs").inner_text()
        and "## second" in page.locator("#mine").inner_text()
    )
    assert other.faults() == []
    assert file.read_bytes() == before + b"## first\n"
    page.get_by_role("button", name="Merge both").click()
    page.get_by_text("Both are in the editor now").wait_for()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved. What it replaced is kept.").wait_for()
    assert file.read_bytes() == b"## second\n" + before + b"## first\n"
    other.close()
    page = window.open(f"/files/{SETTINGS}")
    page.locator("#history").get_by_role("link", name="Look").nth(2).click()
    page.get_by_role("button", name="Put it back").click()
    page.locator("#ask").get_by_role("button", name="Put it back").click()
    page.wait_for_url(f"**/files/{SETTINGS}")
    wait_for("the old content", lambda: file.read_bytes() == before)
    window.silent()


def test_uploads_ask_before_they_replace_and_what_is_deleted_comes_back(window, manager, fetch, noted):
    page = window.open("/files/HTTPdata")
    data = os.urandom(300_000)
    told = {"name": "a b.bin", "mimeType": "application/octet-stream", "buffer": data}
    page.locator("input[type=file]").set_input_files(told)
    page.get_by_role("button", name="Upload", exact=True).click()
    page.get_by_role("link", name="a b.bin").wait_for()
    assert fetch("a%20b.bin") == data
    page.locator("input[type=file]").set_input_files({**told, "buffer": b"new"})
    page.get_by_role("button", name="Upload", exact=True).click()
    with page.expect_event("load"):  # it loads itself again: to leave before that is done would be refused
        page.locator("#ask").get_by_role("button", name="Replace").click()
    wait_for("the new one", lambda: (manager.home.http_data / "a b.bin").read_bytes() == b"new")
    noted("HTTPdata/a%20b.bin")
    page = window.open("/files/HTTPdata/a%20b.bin")
    page.get_by_text("1 phone fetched it").wait_for()
    page.get_by_text("Rename or delete").click()
    assert window.faults() == []
    page.get_by_role("button", name="Delete this file").click()
    page.locator("#ask-text", has_text="1 phone fetched it within 14 days").wait_for()
    page.locator("#ask").get_by_role("button", name="Delete").click()
    page.wait_for_url("**/files/HTTPdata")
    page.get_by_text("Deleted files").click()
    page.get_by_role("link", name="a b.bin").click()
    page.get_by_role("button", name="Put back").last.click()
    page.locator("#ask").get_by_role("button", name="Put it back").click()
    page.get_by_text("Replace it by").wait_for()
    assert (manager.home.http_data / "a b.bin").read_bytes() == data
    window.silent()


def test_a_new_file_is_written(window, manager):
    page = window.open("/files/HTTPdata")
    page.get_by_label("New text file").fill("0004f2000001.txt")
    page.get_by_role("button", name="Write it").click()
    type_at_end(page, "SET PHNOL 9\n")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("heading", name="Who asks for it").wait_for()
    assert (manager.home.http_data / "0004f2000001.txt").read_bytes() == b"SET PHNOL 9\n"
    window.silent()


@pytest.mark.prove
def test_killed_in_the_middle_of_a_save_it_is_the_old_file_or_the_new_one(tmp_path, count, evidence):
    """A long file saved again and again; the manager dies at a random moment, and begins again."""
    from tests.clients.manager import NEW
    from tests.manager.here import made

    manager = Manager(made(tmp_path / "home"))
    file = manager.home.http_data / "46xxsettings.txt"
    rows = "".join(f"## {number:06d} {'x' * 80}\n" for number in range(4_000))
    chance = random.Random(6)
    outcomes = {"old": 0, "new": 0}
    saved = 0
    manager.start()
    try:
        person = Person(manager).settle()
        for kill in range(max(1, count("manager-kills"))):
            state: dict[str, bytes] = {"known": file.read_bytes()}

            def save(state=state, kill=kill) -> None:
                try:
                    for number in range(1000):
                        found = person.get(f"/api/v1/files/{SETTINGS}")
                        text = f"SET L2QVLAN {number}\n## kill {kill}\n{rows}"
                        state["next"] = text.encode()
                        done = person.call("PUT", f"/api/v1/files/{SETTINGS}", {"text": text}, found.etag)
                        assert done.status == 200, done.text
                        state["known"] = state["next"]
                except OSError:
                    pass

            thread = threading.Thread(target=save)
            thread.start()
            wait_for("a save", lambda state=state: "next" in state)
            threading.Event().wait(chance.uniform(0, 0.2))
            manager.process.send_signal(signal.SIGKILL)
            manager.process.wait()
            thread.join()
            now = file.read_bytes()
            assert now in (state["known"], state["next"]), "half a file"
            outcomes["old" if now == state["known"] else "new"] += 1
            saved += 1
            manager.start()
            assert person.get("/files").status == 200 or person.sign_in("admin", NEW).status == 303
            found = person.get(f"/api/v1/files/{SETTINGS}?text=1")
            assert found.json["content"].encode() == now
            assert not re.findall(r"Traceback", manager.output.read_text())
    finally:
        manager.process.terminate()
        manager.process.wait()
    evidence("manager-kills", kills=saved, **outcomes)


def test_lint_stands_behind_its_line_and_takes_no_room(window):
    page = window.open(f"/files/{SETTINGS}")
    field = page.locator("#text:enabled")
    field.press("Control+Home")
    page.keyboard.insert_text(
        "SET L2QVLAN 5000\n## " + "a long line " * 20 + "\nSET L2QVLAN 5000" + " " * 150 + "\n"
    )
    notes = page.locator("#beside span.error")
    notes.nth(1).wait_for()
    box, first, second = field.bounding_box(), notes.nth(0).bounding_box(), notes.nth(1).bounding_box()
    assert 100 < first["x"] - box["x"] < 300, "right behind the words"
    assert second["x"] + 200 < box["x"] + box["width"], "in sight though its line is longer than the window"
    assert box["width"] > 0.9 * page.locator(".editor").bounding_box()["width"]
    notes.nth(1).click()
    assert page.evaluate("document.getElementById('text').selectionStart") > 200, "a click leads to the line"
    assert window.faults() == []
