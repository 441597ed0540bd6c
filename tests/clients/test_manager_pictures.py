"""The pictures of docs/pictures, made anew.

    pytest tests/clients/test_manager_pictures.py --pictures=docs/pictures --timeout=400

A made-up site by simulated phones on this host: what stands in the pictures was served.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import re
import subprocess
import zipfile

import pytest

from mv_iptel.phones.sample import made_up
from tests.clients import scene
from tests.clients.daemon import COMMAND, set_keys, wait_for
from tests.clients.manager import Manager, Person, Window, browser
from tests.clients.palette import smaller

LARGEST = 150 * 1024  # octets of a picture
PHONE = "00040da10004"  # a 9640 that scene.furnish boots
BIG = "S9640_R3_28.bin"
WRONG = (  # what an administrator mistypes in the settings
    ("## SET L2QVLAN 20\n", "SET L2QVLAN 20000\n"),
    ("## SET DOMAIN example.com\n", "SET DOMIAN example.com\n"),
    ("IF $MODEL4 SEQ 9640 GOTO SETTINGS96X0", "IF $MODEL4 SEQ 9640 GOTO SETINGS96X0"),
)


@pytest.fixture(scope="module")
def pictures(request):
    folder = request.config.getoption("--pictures")
    if folder is None:
        pytest.skip("pictures are made with --pictures=DIR")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def site(pictures, tmp_path_factory, program):
    program("chromium")
    daemon = scene.site(tmp_path_factory.mktemp("home"))
    set_keys(daemon.home.ini, {("Settings", "ServerName"): "files1.example"})
    with daemon, Manager(daemon.home) as manager:
        scene.furnish(daemon, phones=0)
        yield daemon, manager


@pytest.fixture(scope="module")
def person(site):
    return Person(site[1]).settle()


@pytest.fixture(scope="module")
def take(pictures, person):
    """`with take(name, width, height, dark) as window:`; the picture is what is in sight at the end."""
    with browser() as chromium:

        @contextlib.contextmanager
        def taken(name, width=1180, height=830, dark=False):
            window = Window(chromium, person, width, dark)
            window.page.set_viewport_size({"width": width, "height": height})
            yield window
            file = pictures / f"{name}.png"
            file.write_bytes(smaller(window.page.screenshot()))
            window.silent()
            window.close()
            assert file.stat().st_size < LARGEST, f"{name}: {file.stat().st_size} octets"

        yield taken


def release() -> tuple[str, bytes]:
    """What a vendor would send for the 96x0 sets."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        script = ("IF $MODEL4 SEQ 9640 GOTO IS9640", "GOTO END", "# IS9640", f"SET APPNAME {BIG}", "# END",
                  "GET 46xxsettings.txt", "")  # fmt: skip
        archive.writestr("96xxupgrade.txt", "\n".join(script))
        archive.writestr(BIG, made_up(BIG, 4 << 20))
        archive.writestr("readme.txt", "Release 3.28 for 9640 and 9640G.\n")
    return "96xx-IPT-H323-R3_28.zip", packed.getvalue()


@contextlib.contextmanager
def slow(daemon, count: int):
    """Phones on thin lines: each has got another part of its firmware, and waits."""
    lines = []
    for at in range(count):
        line = http.client.HTTPConnection(
            "127.0.0.1", daemon.http, timeout=60, source_address=(f"127.2.4.{20 + at}", 0)
        )
        agent = f"AVAYA/{('9640', '9620', '9650')[at % 3]}-3.2.1 (MAC:00040d{0xC20000 + at:06x})"
        line.request("GET", f"/{BIG}", headers={"User-Agent": agent})
        line.getresponse().read(((at * 7) % 10 + 1) << 20)
        lines.append(line)
    try:
        yield
    finally:
        for line in lines:
            line.close()


def test_editor(site, take):
    with take("editor-dark", dark=True) as window:
        page = window.open("/files/HTTPdata/46xxsettings.txt")
        page.locator("#counts", has_text="Lint:").wait_for()
        text = page.locator("#text").input_value()
        for good, bad in WRONG:
            assert good in text
            text = text.replace(good, bad)
        text = re.sub(r"(SET SNMPSTRING) \S+", r"\1 of-this-site", text)
        page.locator("#text").fill(text)
        page.locator("#text").press("Control+Home")
        page.locator("#counts", has_text="error").wait_for()
        page.evaluate("document.getElementById('text').scrollTop = 200")
        page.locator("#beside span.error").nth(1).wait_for()


def test_boot(site, take):
    with take("boot") as window:
        window.open(f"/phones/{PHONE}/boot").get_by_text("It boots").wait_for()


def test_firmware(site, person, take):
    name, data = release()
    path = person.finish(person.upload("POST", f"/api/v1/firmware/releases?name={name}", data))["then"]
    with take("firmware") as window:
        page = window.open(f"{path}?live=replace")
        page.locator("#foreseen:not([hx-get])").wait_for()
        page.get_by_text("Who gets other firmware").wait_for()


def test_a_storm(site, take):
    daemon, _ = site
    daemon.write(daemon.home.http_data, BIG, made_up(BIG, 24 << 20))
    storm = subprocess.Popen(
        [COMMAND, "sim", "storm", "--phones", "300", "--arrival", "75", "--curve", "uniform", "--mix",
         "tftp=40,http=30,https=30", "--ports-offset", str(daemon.offset), "--backups",
         "--home", str(daemon.home.root)],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with take("overview", height=1500) as window, slow(daemon, 5):
            page = window.open("/")
            page.get_by_text("Many phones boot at once").wait_for(timeout=60_000)
            told = page.locator(".storm .told")
            wait_for(
                "half of the storm", lambda: int(told.inner_text().split()[0].replace(",", "")) > 120, 90
            )
            page.locator(".transfers tbody tr").nth(4).wait_for()
        with take("overview-390-dark", 390, 900, dark=True) as window:
            window.open("/")
        with take("log") as window:
            window.open("/log").get_by_text("Live", exact=True).wait_for()
            wait_for("rows", lambda: window.page.locator("table.log tbody tr").count() > 10)
        assert storm.wait(150) == 0
    finally:
        storm.kill()
        storm.wait()


def test_phones(site, person, take):
    with take("phones") as window:
        window.open("/phones?sort=-seen").locator("tbody tr").nth(10).wait_for()
