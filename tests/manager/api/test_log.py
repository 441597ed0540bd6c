"""The log as JSON and as files: pages with a cursor, cells that are no formulas, live events."""

from __future__ import annotations

import csv
import io
import json
import time
import urllib.request

import pytest

from manager.api import log as api
from mv_iptel.inventory.writer import Inventory
from tests.happened import NOON, known, refused


@pytest.fixture(scope="module", autouse=True)
def rows(here):
    inventory = Inventory(here.site.config().settings.database)
    moment = time.time() - NOON - 100
    inventory.receive([
        *(known(at, moment + at, peer=f"10.0.0.{at}", name=f"file{at}.bin") for at in range(1, 31)),
        refused(31, moment + 31, name='=HYPERLINK("http://x")', detail="a\r\nb"),
    ])  # fmt: skip
    inventory.close()


def test_pages_follow_by_their_cursor(viewer):
    found, path = [], "/api/v1/log?limit=10&outcome=ok"
    while path:
        told = viewer.get(path).json
        found += [one["id"] for one in told["items"]]
        path = told["next"]
    assert found == list(range(30, 0, -1))


def test_a_download_is_complete_and_no_cell_is_a_formula(viewer, monkeypatch):
    monkeypatch.setattr(api, "PART", 7)
    got = viewer.get("/api/v1/log/download?format=csv")
    assert got.headers["Content-Disposition"] == 'attachment; filename="log.csv"'
    table = list(csv.DictReader(io.StringIO(got.text)))
    assert [int(one["number"]) for one in table] == list(range(31, 0, -1))
    assert table[0]["name"].startswith("'=") and table[0]["detail"] == "a\\x0d\\x0ab"
    only = viewer.get("/api/v1/log/download?format=jsonl&reason=not-listed").text
    lines = [json.loads(one) for one in only.splitlines()]
    assert [one["id"] for one in lines] == [31] and lines[0]["detail"] == "a\r\nb"
    assert viewer.get("/api/v1/log/download?format=xls").status == 400
    monkeypatch.setattr(api, "MOST", 10)
    assert viewer.get("/api/v1/log/download?format=jsonl").text.count("\n") == 10


def test_events_say_that_no_server_runs(here, viewer, monkeypatch):
    monkeypatch.setattr("manager.streams.HEARTBEAT", 0.2)  # the manager sees soon that this one has left
    request = urllib.request.Request(here.url + "/api/v1/log/events")
    request.add_header("Cookie", "; ".join(f"{name}={value}" for name, value in viewer.cookies.items()))
    with urllib.request.urlopen(request, timeout=20) as stream:
        assert stream.headers["Content-Type"] == "text/event-stream"
        assert stream.readline() == b"event: state\n"
        assert "no server answers" in json.loads(stream.readline()[6:])["error"]
