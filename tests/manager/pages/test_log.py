"""The log's page: rows with their links, filters that last, a phone's words as text, pages of older rows."""

from __future__ import annotations

import time

import pytest

from mv_iptel.inventory.writer import Inventory
from tests.happened import NOON, known, refused

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module", autouse=True)
def rows(here):
    inventory = Inventory(here.site.config().settings.database)
    moment = time.time() - NOON - 1000
    inventory.receive([
        *(known(at, moment + at, peer=f"10.0.{at % 40}.1", name=f"file{at}.bin") for at in range(1, 301)),
        refused(301, moment + 301, name=HOSTILE, agent=HOSTILE, detail=HOSTILE, model=HOSTILE, ext=HOSTILE),
    ])  # fmt: skip
    inventory.close()


def test_a_refusal_leads_to_its_number_and_says_why(viewer):
    page = viewer.get("/log").text
    assert 'href="/search?q=301"' in page and "not-listed" in page
    assert HOSTILE not in page and "&lt;img" in page
    assert len(page) < 100_000


def test_filters_last_from_page_to_page(viewer):
    page = viewer.get("/log?outcome=ok&text=file&who=00:04:0d:11:22:33")
    assert 'value="ok" selected' in page.text and 'data-live="/log/events?who=00%3A04' in page.text
    older = page.text.partition(">Older<")[0].rpartition('href="')[2].partition('"')[0].replace("&amp;", "&")
    assert "outcome=ok" in older
    second = viewer.get(older)
    assert second.status == 200 and "data-live" not in second.text and "Back to now" in second.text
    assert "file2.bin" not in page.text and "file2.bin" not in second.text and "file150.bin" in second.text


def test_its_part_is_what_htmx_and_the_script_fetch(viewer):
    part = viewer.get("/log?outcome=refused", **{"HX-Request": "true"}).text
    assert "<h1" not in part and part.count("<tr data-key") == 1 and 'id="rows"' in part


def test_nothing_found_says_what_to_do(viewer):
    page = viewer.get("/log?text=no-such-thing").text
    assert "Show everything" in page and 'hidden">' not in page
    assert viewer.get("/log?protocol=gopher").status == 400
    assert viewer.get("/log?outcome=x").status == 400 and viewer.get("/log?reason=x").status == 400
    assert viewer.get("/log?before=" + "9" * 100).status == 200
