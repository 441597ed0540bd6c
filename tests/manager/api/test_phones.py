"""The phones as JSON: lists with what follows, one phone, its boot; the inbox and who may change it."""

from __future__ import annotations

import csv
import io

import pytest

from mv_iptel.inventory import Inventory
from tests.happened import known
from tests.manager import field
from tests.manager.field import MAC, OTHER

STRANGER = "198.51.100.9"


@pytest.fixture(scope="module", autouse=True)
def site(here):
    field.site(here.home)


def test_the_list_is_paged(viewer):
    first = viewer.get("/api/v1/phones?limit=1&sort=ext").json
    assert first["total"] == 2 and [one["mac"] for one in first["items"]] == [MAC]
    second = viewer.get(first["next"]).json
    assert [one["mac"] for one in second["items"]] == [OTHER] and second["next"] is None


def test_a_spreadsheet_takes_no_text_for_a_formula(viewer, here):
    inventory = Inventory(here.home.database)
    inventory.receive([known(70, mac="00040d0000ee", model="=cmd()", agent="x")])
    inventory.close()
    answer = viewer.get("/api/v1/phones.csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert {row["mac"] for row in rows} >= {MAC, OTHER} and "'=cmd()" in {row["model"] for row in rows}


def test_one_phone_with_all_that_is_known(viewer):
    told = viewer.get(f"/api/v1/phones/{MAC}").json
    assert (
        told["compliance"]["state"] == "compliant" and told["compliance"]["ordered_by"] == "96xxupgrade.txt:2"
    )
    assert [one["file"] for one in told["userdata"]] == ["4711_96xxdata.txt"]
    assert {one["field"] for one in told["identity"]} >= {"mac", "model", "ext"} and "id" not in told
    assert viewer.get("/api/v1/phones/nobody").status == 404
    assert viewer.get(f"/api/v1/phones/{STRANGER}").status == 404


def test_a_time_line_is_followed_to_its_end(viewer):
    seen, path = [], f"/api/v1/phones/{MAC}/timeline?limit=3"
    while path:
        told = viewer.get(path).json
        seen += [one["id"] for one in told["items"]]
        path = told["next"]
    assert seen == [4, 3, 2, 1]


def test_a_boot_is_told_without_secrets(viewer):
    answer = viewer.get(f"/api/v1/phones/{MAC}/boot")
    assert answer.json["ready"] and answer.json["requests"][0]["name"] == "96xxupgrade.txt"
    assert "topsecret" not in answer.text
    assert viewer.get(f"/api/v1/phones/{STRANGER}/boot").status == 404


def test_a_refusal_by_its_number(viewer):
    told = viewer.get("/api/v1/refusals/6").json
    assert told["reason"] == told["now"]["reason"] == "not-listed" and told["now"]["steps"]
    assert viewer.get("/api/v1/refusals/x").status == 404 and viewer.get("/api/v1/refusals/999").status == 404


def test_forgetting_needs_the_server(operator):
    answer = operator.call("DELETE", f"/api/v1/phones/{MAC}")
    assert answer.status == 502 and answer.json["type"] == "/problems/unreachable"
    assert operator.call("DELETE", "/api/v1/phones/nobody").status == 404


def test_a_stranger_is_ignored_and_shown_again_and_both_are_noted(operator, admin, here):
    for method, hidden in (("PUT", True), ("DELETE", False)):
        assert operator.call(method, f"/api/v1/strangers/{STRANGER}/ignored").status == 204
        assert operator.call(method, f"/api/v1/strangers/{STRANGER}/ignored").status == 204  # the same again
        (one,) = operator.get("/api/v1/strangers").json["items"]
        assert one["ignored"] is hidden
    assert operator.call("PUT", "/api/v1/strangers/what/ignored").status == 400
    rows = here.site.store.ask("SELECT action, what FROM audit WHERE action LIKE 'unknown%' ORDER BY id")
    assert [(row["action"], row["what"]) for row in rows] == [
        ("unknown device ignored", STRANGER), ("unknown device shown again", STRANGER),
    ]  # fmt: skip


def test_all_new_phones_are_taken_as_known(operator):
    assert MAC in operator.get("/phones/unknown").text
    assert operator.call("PUT", "/api/v1/strangers/known").status == 204
    assert MAC not in operator.get("/phones/unknown").text
    assert MAC in operator.get("/phones/unknown?show=ignored").text
    assert operator.call("DELETE", "/api/v1/strangers/known").status == 204
    assert MAC in operator.get("/phones/unknown").text


def test_a_stranger_is_put_on_the_list_that_governs(operator, here):
    path = f"/api/v1/strangers/{STRANGER}/lists"
    assert operator.call("POST", path, {"protocol": "http"}).status == 409  # everybody may there
    assert operator.call("POST", path, {"protocol": "../x"}).status == 409
    assert operator.call("POST", path, {}).status == 422
    assert operator.call("POST", path, {"protocol": "tftp", "remark": "lab"}).status == 200
    text = (here.home.tftp_data / "TFTP_allow_IP.txt").read_text()
    assert text.startswith(f"192.0.2.17\n{STRANGER}  # lab operator 2")
    assert operator.call("POST", path, {"protocol": "tftp"}).status == 409
    (row,) = here.site.store.ask("SELECT * FROM audit WHERE action = 'address added to a list'")
    assert row["before"] == "192.0.2.17\n" and row["after"] == text
