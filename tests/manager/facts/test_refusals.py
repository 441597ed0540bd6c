"""A request by its number, and the same one decided now."""

from __future__ import annotations

import pytest

from manager.facts import refusals
from mv_iptel.config import load
from mv_iptel.inventory import Reader
from tests.manager import field
from tests.manager.here import made


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = made(tmp_path_factory.mktemp("home"))
    field.site(home)
    return home


def test_a_number_leads_to_its_request_and_to_the_line_that_sent_the_phone_there(home):
    row, lead = refusals.numbered(load(home), Reader(home.database), 3)
    assert row["name"] == "none.txt" and lead == "46xxsettings.txt:6 (LANG1FILE) sent it there"
    row, lead = refusals.numbered(load(home), Reader(home.database), 6)
    assert row["reason"] == "not-listed" and lead == ""
    assert refusals.numbered(load(home), Reader(home.database), 999) == (None, "")


def test_the_home_answers_where_no_server_runs(home):
    asked = {
        "address": "198.51.100.9",
        "name": "46xxsettings.txt",
        "protocol": "tftp",
        "agent": "",
        "mac": "",
    }
    told, unknown = refusals.alone(load(home), asked)
    assert told["reason"] == "not-listed" and [one["step"] for one in told["steps"]] == ["name", "list"]
    assert unknown == refusals.ALONE
    assert refusals.alone(load(home), {**asked, "address": "nobody"})[0] is None


@pytest.mark.parametrize(
    ("op", "proto", "method"),
    [
        ("store", "http", "PUT"),
        ("store", "ftp", "STOR"),
        ("delete", "https", "DELETE"),
        ("read", "http", None),
    ],
)
def test_it_is_asked_again_as_the_phone_asked(op, proto, method):
    row = {"peer": "192.0.2.1", "name": "a b&c", "proto": proto, "agent": "x", "mac": "", "op": op}
    asked = refusals.again(row)
    assert asked.get("method") == method and (asked["name"], asked["address"]) == ("a b&c", "192.0.2.1")
