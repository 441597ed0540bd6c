"""Firmware in Debian's Chromium: a zip is dropped, published, taken back; what phones get; a scan of them."""

from __future__ import annotations

import base64
import subprocess

import pytest

from tests.clients.daemon import Daemon
from tests.clients.manager import Manager, Person, Window, browser
from tests.firmware.field import COMMUNITY, Field, j100, sip96x0
from tests.manager.releases import APP, SCRIPT, package, zipped

NEW, OLD = "FW_S_J179_R4_1_3_0_6.bin", "FW_S_J179_R4_0_0_0_1.bin"
DROP = """([name, octets]) => {
  const data = new DataTransfer();
  const bytes = Uint8Array.from(atob(octets), (sign) => sign.charCodeAt(0));
  data.items.add(new File([bytes], name, { type: "application/zip" }));
  document.body.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: data }));
}"""


@pytest.fixture(scope="module")
def phones():
    with Field({"127.9.1.1": j100(software=OLD), "127.9.1.2": sip96x0(), "127.9.1.3": j100()}) as field:
        yield field


@pytest.fixture(scope="module")
def manager(tmp_path_factory, program, phones):
    program("chromium")
    keys = {("SNMP", "SNMPPort"): phones.port, ("SNMP", "Community"): COMMUNITY, ("SNMP", "SNMPTimeout"): 1,
            ("SNMP", "SNMPRetries"): 1}  # fmt: skip
    with Daemon(tmp_path_factory.mktemp("home"), keys) as daemon, Manager(daemon.home) as running:
        running.http = daemon.http
        yield running


@pytest.fixture(scope="module")
def window(manager):
    with browser() as chromium:
        window = Window(chromium, Person(manager).settle())
        yield window
        window.close()


def got(manager, name):
    """What a phone gets, by curl."""
    done = subprocess.run(
        ["curl", "-s", f"http://127.0.0.1:{manager.http}/{name}"], capture_output=True, timeout=30
    )
    return done.stdout


def drop(window, path, name, data):
    """From the desk onto a page of ours."""
    page = window.open(path)
    page.wait_for_load_state("networkidle")
    page.evaluate(DROP, [name, base64.b64encode(data).decode()])
    return page


def test_from_the_drop_to_the_phones_and_back(manager, window):
    page = drop(window, "/operations", *package(1))  # any page takes it
    page.wait_for_url("**/firmware/releases/96x1-IPT-H323-R6_1-*")
    place = page.url.partition("#")[0]
    page.get_by_text("Who gets other firmware").wait_for()
    assert page.get_by_text(f"APPNAME {APP.format(1)}").first.is_visible()
    assert window.faults() == []
    assert APP.format(1).encode() not in got(manager, SCRIPT)
    for box in page.get_by_role("checkbox").all():
        box.check()
    page.get_by_role("button", name="Publish it…").click()
    page.get_by_role("button", name="Publish it", exact=True).click()
    page.get_by_role("heading", name="Taking it back").wait_for()
    assert APP.format(1).encode() in got(manager, SCRIPT) and got(manager, APP.format(1)) == b"app" * 100
    page.get_by_label("Kind").select_option("script")
    page.locator("#rows").get_by_text(APP.format(1)).wait_for(state="detached")
    page.locator("#rows").get_by_text(SCRIPT).click()
    page.wait_for_url("**/file?*")
    assert window.faults() == []
    page.goto(place)
    page.get_by_role("button", name="Take it back…").click()
    page.get_by_role("button", name="Take it back", exact=True).click()
    page.get_by_role("heading", name="Publishing it").wait_for()
    assert APP.format(1).encode() not in got(manager, SCRIPT)
    window.silent()


def test_a_script_of_the_sites_asks_for_a_decision(manager, window):
    live = manager.home.http_data / SCRIPT
    live.write_bytes(b"SET OWNLINE 1\n" + live.read_bytes())
    page = drop(window, "/firmware", *package(2))
    page.get_by_role("heading", name="Scripts that the site has changed").wait_for()
    assert page.get_by_role("button", name="Publish it…").count() == 0
    assert window.faults() == []
    page.get_by_role("link", name="Carry over the site's lines").click()
    page.get_by_text("What the site put at their top is carried over.").wait_for()
    for box in page.get_by_role("checkbox").all():
        box.check()
    page.get_by_role("button", name="Publish it…").click()
    page.get_by_role("button", name="Publish it", exact=True).click()
    page.get_by_role("heading", name="Taking it back").wait_for()
    there = got(manager, SCRIPT)
    assert there.startswith(b"SET OWNLINE 1\n") and APP.format(2).encode() in there
    window.silent()


def test_what_is_refused_is_told(manager, window):
    page = drop(window, "/firmware", "evil<b>.zip", zipped({"../../../up.txt": "x"}))
    page.get_by_text("climbs with '..'").wait_for()
    page.get_by_role("button", name="Close").click()
    page.goto(manager.url + "/firmware?all=1")
    assert page.get_by_text("refused", exact=True).is_visible() and window.faults() == []
    window.silent()


def test_verification_and_advisories(manager, window):
    (manager.home.http_data / APP.format(2)).unlink()
    page = window.open("/firmware")
    page.get_by_role("button", name="Verify what is served").click()
    page.wait_for_url("**/firmware/verification")
    assert page.get_by_text("1 file is not as published.").is_visible() and window.faults() == []
    page.get_by_role("link", name="Advisories").click()
    page.get_by_role("heading", name="Advisories").wait_for()
    assert window.faults() == []
    window.silent()


def test_a_scan_says_what_phones_run(manager, window):
    (manager.home.http_data / "J100Supgrade.txt").write_text(f"SET APPNAME {NEW}\nGET 46xxsettings.txt\n")
    page = window.open("/firmware/scans")
    page.get_by_label("Networks").fill("127.9.1.1-127.9.1.4")
    page.get_by_role("button", name="Ask them").click()
    page.wait_for_url("**/firmware/scans/1")
    table = page.locator("#rows")
    assert table.get_by_text(OLD).is_visible() and page.get_by_text("96x0-sip-tls-1.0").is_visible()
    assert window.faults() == []
    page.locator("select[name=state]").select_option("compliant")
    table.get_by_text(OLD).wait_for(state="detached")
    with page.expect_download() as begun:
        page.get_by_role("link", name="Download as CSV").click()
    with open(begun.value.path(), encoding="utf-8") as file:
        assert OLD in file.read()
    page.goto(manager.url + "/firmware/scans")
    assert page.get_by_role("cell", name="127.9.1.1-127.9.1.4").is_visible() and window.faults() == []
    window.silent()
