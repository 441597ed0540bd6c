"""The audit trail over HTTP: pages of it, one entry, and files that a spreadsheet may open."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from manager.api.audit import FIELDS


@pytest.fixture(scope="module")
def trail(here, admin):
    """Some entries; one that would be a formula, and HTML."""
    for number in range(6):
        here.site.audit.add("anna", "192.0.2.7", "saved", f"file {number}", "old", "new")
    here.site.audit.add("=cmd()", "", "removed", "+1,2", "<script>alert(1)</script>\nx", "-3\r\n@x")
    return admin


def test_pages_of_it(trail):
    first = trail.get("/api/v1/audit?who=anna&limit=4").json
    second = trail.get(first["next"]).json
    assert [one["what"] for one in first["items"] + second["items"]] == [
        f"file {n}" for n in range(5, -1, -1)
    ]
    assert first["total"] == second["total"] == 6 and second["next"] is None
    assert set(first["items"][0]) == set(FIELDS)


def test_one_entry(trail):
    number = trail.get("/api/v1/audit?limit=1").json["items"][0]["id"]
    assert trail.get(f"/api/v1/audit/{number}").json["who"] == "=cmd()"
    for strange in ("0", "99999", "x", "-1", "1" * 30, "%00", "²"):
        assert trail.get(f"/api/v1/audit/{strange}".replace("²", "%C2%B2")).status == 404, strange


def test_a_spreadsheet_takes_no_cell_for_a_formula(here, trail):
    answer = trail.get("/api/v1/audit.csv?action=removed")
    assert (
        "attachment" in answer.headers["Content-Disposition"]
        and answer.headers["Cache-Control"] == "no-store"
    )
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 1 and tuple(rows[0]) == FIELDS
    assert rows[0]["who"] == "'=cmd()" and rows[0]["what"] == "'+1,2" and rows[0]["after"].startswith("'-3")
    assert rows[0]["time"].endswith("Z") and "\n" not in rows[0]["before"]
    last = here.site.audit.last()[0]
    assert (last["action"], last["what"]) == (
        "audit trail exported",
        "audit.csv",
    )  # who took it along is known


def test_the_whole_of_it_in_pieces(here, trail):
    with here.site.store.together():
        for number in range(1300):
            here.site.store.change(
                "INSERT INTO audit (time, who, peer, action, what, before, after) "
                "VALUES (1, 'mass', '', 'saved', ?, '', '')", str(number),
            )  # fmt: skip
    lines = trail.get("/api/v1/audit.jsonl?who=mass").text.splitlines()
    assert [json.loads(one)["what"] for one in lines] == [str(n) for n in range(1299, -1, -1)]
    rows = list(csv.reader(io.StringIO(trail.get("/api/v1/audit.csv?who=mass").text)))
    assert len(rows) == 1301 and sum(row[0] == "id" for row in rows) == 1
    assert trail.get("/api/v1/audit.jsonl?who=nobody").text == ""
    assert trail.get("/api/v1/audit.csv?who=nobody").text.strip() == ",".join(FIELDS)


def test_nothing_of_it_can_be_changed(trail):
    for method in ("PUT", "POST", "PATCH", "DELETE"):
        for path in ("/api/v1/audit", "/api/v1/audit/1", "/api/v1/audit.csv"):
            assert trail.call(method, path).status == 405
    source = (Path(__file__).parents[3] / "manager" / "audit.py").read_text("utf-8")
    assert "UPDATE" not in source  # and of deleting only what is old
