"""The first-run guide in Debian's Chromium: from an empty home to a phone that boots, step by step."""

from __future__ import annotations

import pytest

from mv_iptel.phones.boot import Servers, drive, play
from mv_iptel.phones.families import Handset
from mv_iptel.phones.live import Live, tls_context
from mv_iptel.phones.sample import write_firmware
from tests.clients.daemon import Daemon
from tests.clients.manager import Manager, Person, Window, browser


@pytest.fixture(scope="module")
def server(tmp_path_factory, program):
    program("chromium")
    with Daemon(tmp_path_factory.mktemp("home")) as daemon, Manager(daemon.home) as manager:
        yield daemon, manager


def test_from_an_empty_home_to_a_phone_that_boots(server):
    daemon, manager = server
    with browser() as chromium:
        window = Window(chromium, Person(manager).settle())
        page = window.open("/")
        page.get_by_role("link", name="The first-run guide leads to").click()
        page.wait_for_url("**/guide")

        def step(key):
            return page.locator(f"#{key}")

        assert "done" in step("password").inner_text() and "done" in step("server").inner_text()
        assert "to do" in step("system").inner_text() and "to do" in step("firmware").inner_text()
        assert "to do" in step("dhcp").inner_text() and "waiting" in step("phone").inner_text()
        assert window.faults() == []

        page.get_by_label("H.323: address of the call server").fill("not an address!")
        page.get_by_role("button", name="Write it into the settings").click()
        step("system").get_by_role("alert").wait_for()
        window.said.clear()  # the browser itself says that an answer was a 422
        page.get_by_label("H.323: address of the call server").fill("192.0.2.10")
        page.get_by_role("button", name="Write it into the settings").click()
        step("system").get_by_text("Phones are told H.323: 192.0.2.10").wait_for()

        write_firmware([daemon.home.tftp_data, daemon.home.http_data], size=64 << 10)
        page.reload()
        step("firmware").locator("h2", has_text="done").wait_for()
        assert "not there" not in step("firmware").inner_text()
        assert "HTTPSRVR=" in step("dhcp").inner_text() and "HTTPPORT" in step("dhcp").inner_text()

        # What DHCP now says brings a phone here; the page tells it without being loaded again.
        told = Servers(http=("127.0.0.1",), https=("127.0.0.1",), offset=daemon.offset)
        phone = Handset("9640", mac="00040d9640bb", ext="9640")
        with Live("127.0.0.40", tls_context(daemon.home.ca_cert)) as live:
            report = drive(play(phone, told), live.fetch)
        assert report.booted.ready and report.booted.parameters["MCIPADD"].value == "192.0.2.10"
        step("phone").get_by_text("It boots:").wait_for()
        step("phone").get_by_role("link", name="00:04:0d:96:40:bb").wait_for()
        page.reload()
        assert page.locator(".pill", has_text="done").count() >= 6
        assert window.faults() == []
        page.get_by_role("link", name="To the Overview").click()
        page.get_by_role("heading", name="Overview").wait_for()
        window.silent()
        window.close()
