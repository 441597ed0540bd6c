"""Scans over the API: what is wanted is checked, phones are asked, the report comes in parts and as CSV."""

from __future__ import annotations

import csv
import io

import pytest

from mv_iptel.config.editing import changed
from tests.firmware.field import COMMUNITY, Field, j100, sip96x0
from tests.manager.here import Here, made

OLD = "FW_S_J179_R4_0_0_0_1.bin"


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    home = made(tmp_path_factory.mktemp("home"))
    phones = {"127.9.1.1": j100(model="=J179", software=OLD), "127.9.1.2": sip96x0(), "127.9.1.3": j100()}
    with Field(phones) as field:
        keys = {("SNMP", "SNMPPort"): str(field.port), ("SNMP", "Community"): COMMUNITY,
                ("SNMP", "SNMPTimeout"): "1", ("SNMP", "SNMPRetries"): "1"}  # fmt: skip
        home.ini.write_text(changed(home.ini.read_text("utf-8"), keys), "utf-8")
        with Here(home) as running:
            yield running


@pytest.fixture(scope="module")
def scan(operator):
    """Its path."""
    begun = operator.call("POST", "/api/v1/firmware/scans", {"nets": ["127.9.1.1-127.9.1.3"], "rate": 2000})
    ended = operator.finish(begun)
    assert ended["then"] == f"/firmware/scans/{ended['result']['id']}" and ended["result"]["answered"] == 3
    return f"/api/v1/firmware/scans/{ended['result']['id']}"


def test_the_report_comes_in_parts(viewer, scan):
    told = viewer.get(scan).json
    assert told["asked"] == 3 and told["advisories"] and COMMUNITY not in viewer.get(scan).text
    assert told.get("unkept")  # no server runs that could keep it
    part = viewer.get(f"{scan}/phones?limit=2").json
    assert len(part["items"]) == 2 and part["total"] == 3
    rest = viewer.get(part["next"]).json
    assert len(rest["items"]) == 1 and rest["next"] is None
    found = viewer.get(f"{scan}/phones?q={OLD}").json
    assert [row["address"] for row in found["items"]] == ["127.9.1.1"]
    assert viewer.get("/api/v1/firmware/scans").json["total"] == 1


def test_a_spreadsheet_takes_nothing_for_a_formula(viewer, scan):
    answer = viewer.get(f"{scan}/phones.csv")
    assert "attachment" in answer.headers["Content-Disposition"]
    rows = {row["address"]: row for row in csv.DictReader(io.StringIO(answer.text))}
    assert len(rows) == 3 and not any(
        value.startswith("=") for row in rows.values() for value in row.values()
    )


@pytest.mark.parametrize(
    "told",
    [{"nets": "10.0.0.1"}, {"nets": [1]}, {"nets": ["phones.example.org"]}, {"nets": ["10.0.0.0/8"]},
     {"nets": ["10.0.0.1"] * 201}, {"rate": 0}, {"rate": "fast"}, {"seen_days": True}, {"stuck_hours": -1}],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_at_once(operator, told):
    answer = operator.call("POST", "/api/v1/firmware/scans", told)
    assert answer.status == 422 and answer.json["errors"]


def test_who_only_looks_asks_nobody(viewer):
    assert viewer.call("POST", "/api/v1/firmware/scans", {"nets": ["127.9.1.1"]}).status == 403


@pytest.mark.parametrize("path", ["999", "x", "-1", "1/phones?state=odd", "1/phones?limit=x"])
def test_what_is_not_there(viewer, scan, path):
    assert viewer.get(f"/api/v1/firmware/scans/{path}").status in (400, 404)
