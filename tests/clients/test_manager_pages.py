"""Every page in Debian's Chromium, light and dark, wide and narrow: axe, the console, how it fits.

`--pictures=DIR` keeps a picture of each.
"""

from __future__ import annotations

import re

import pytest

from manager.app import routes
from tests.clients import scene
from tests.clients.manager import Manager, Person, Window, browser

WIDE, NARROW = 1280, 390
LARGEST = 100 * 1024  # octets of a page
PAGES = [one for one in routes() if one.method == "GET" and not one.path.startswith(("/api/", "/static/"))]
# Not pages: parts, streams, plain text, files to keep; what leads on to another page.
APART = {"/state", "/access/slots", "/healthz", "/log/events", "/userdata/exports/{id}", "/search",
         "/firmware/releases/{id}/file", "/firmware/releases/{id}/forecast"}  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory, program, request):
    program("chromium")
    few = not request.config.getoption("--pictures") and not request.config.getoption("--evidence")
    with scene.site(tmp_path_factory.mktemp("home")) as daemon, Manager(daemon.home) as manager:
        scene.furnish(daemon, 2 if few else 12)  # axe takes seconds for a long log
        yield daemon, manager


@pytest.fixture(scope="module")
def person(site):
    return Person(site[1]).settle()


@pytest.fixture(scope="module")
def places(site, person):
    """Page's route -> an address of it that has something to show."""
    name, data = scene.release()
    begun = person.upload("POST", f"/api/v1/firmware/releases?name={name}", data)
    release = person.finish(begun)["then"]
    told = "".join(person.get(path).text for path in ("/phones/00040d777777/refused", "/phones/unknown"))
    refusal = re.search(r"/refusals/(\d+)", told)
    scan = person.finish(person.call("POST", "/api/v1/firmware/scans", {"nets": ["127.0.0.31-127.0.0.37"]}))
    known = {
        "{key}": "00040da10004", "{list}": "http", "{area}": "HTTPdata", "{name:.+}": "46xxsettings.txt",
        "{file}": f"{scene.SAVES}_96xxdata.txt",
    }  # fmt: skip
    found = {}
    for page in PAGES:
        path = page.path
        if path in APART or path == "/sign-in":
            continue
        path = path.replace("/firmware/releases/{id}", release).replace("/audit/{number}", "/audit/1")
        path = path.replace("/refusals/{number}", f"/refusals/{refusal[1]}")
        path = path.replace("/firmware/scans/{number}", scan["then"])
        for mark, value in known.items():
            path = path.replace(mark, value)
        assert "{" not in path, f"{page.path}: say in this test where such a page can be seen"
        found[page.path] = path
    return found


@pytest.fixture(scope="module")
def chromium():
    with browser() as running:
        yield running


@pytest.mark.parametrize(("width", "dark"), [(WIDE, False), (NARROW, True), (WIDE, True), (NARROW, False)])
def test_every_page(chromium, person, places, request, width, dark):
    pictures = request.config.getoption("--pictures")
    every = bool(pictures) or request.config.getoption("--evidence")
    if not every and (width, dark) in {(WIDE, True), (NARROW, False)}:
        pytest.skip("only where pictures are kept: the other two forms show the same faults")
    complaints = []
    window = Window(chromium, person, width, dark)
    for route, path in places.items():
        page = window.open(path)
        if pictures:
            page.wait_for_timeout(600)  # parts that come a moment later
            name = re.sub(r"[^a-z]+", "-", route.lower()).strip("-") or "overview"
            pictures.mkdir(parents=True, exist_ok=True)
            window.picture(pictures / f"{name}-{width}-{'dark' if dark else 'light'}.png")
        complaints += [f"{path}: {one}" for one in window.faults()]
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            complaints.append(f"{path}: {wide} px wide on a screen of {width}")
        if page.locator("h1").count() != 1 or page.locator("p.lead").count() != 1:
            complaints.append(f"{path}: one h1 and one lead are wanted")
            continue
        answer = person.get(path)
        if answer.status != 200:
            complaints.append(f"{path}: answered {answer.status}")
        lead = page.locator("p.lead").inner_text()
        if not 1 <= len(re.findall(r"[.?!](?:\s|$)", lead)) <= 4:
            complaints.append(f"{path}: it does not explain itself: {lead!r}")
        if len(answer.body) > LARGEST:
            complaints.append(f"{path}: {len(answer.body)} octets")
    complaints += window.said + window.strange
    window.close()
    assert not complaints, "\n".join(complaints)
