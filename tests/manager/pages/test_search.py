"""The search box leads to what is meant, and a number to its refusal with all steps."""

from __future__ import annotations

import time

import pytest

from mv_iptel.inventory import Inventory
from tests.happened import known
from tests.manager import field
from tests.manager.field import MAC


@pytest.fixture(scope="module", autouse=True)
def site(here):
    field.site(here.home)
    inventory = Inventory(here.home.database)
    # An extension that is also the number of a refusal.
    inventory.receive(
        [known(50, time=time.time(), mac="00040d000003", peer="192.0.2.30", ext="3", identified="agent+name")]
    )
    inventory.close()


@pytest.mark.parametrize(
    ("q", "place"),
    [
        ("", "/phones"),
        ("6", "/refusals/6"),
        ("#3", "/refusals/3"),
        ("#3 ", "/refusals/3"),
        ("4711", f"/phones/{MAC}"),
        ("00:04:0D:11:22:33", f"/phones/{MAC}"),
        ("0004.0d11.2233", f"/phones/{MAC}"),
        ("192.0.2.17", f"/phones/{MAC}"),
        ("198.51.100.9", "/phones/198.51.100.9"),
        ("203.0.113.1", "/phones?q=203.0.113.1"),
        ("nobody", "/phones?q=nobody"),
        ("//evil.example", "/phones?q=%2F%2Fevil.example"),
        ("99999999999999999999", "/phones?q=99999999999999999999"),
    ],
)
def test_a_text_leads_to(viewer, q, place):
    from urllib.parse import quote

    answer = viewer.get(f"/search?q={quote(q, safe='')}")
    assert (answer.status, answer.headers["Location"]) == (303, place)


def test_what_may_be_two_things_is_asked_back(viewer):
    answer = viewer.get("/search?q=3")
    assert answer.status == 200
    assert "/refusals/3" in answer.text and "/phones/00040d000003" in answer.text


def test_a_refusal_is_told_with_what_would_happen_now(viewer):
    text = viewer.get("/refusals/6").text
    assert "not-listed" in text and "TFTP_allow_IP.txt" in text
    assert text.count("<li><strong>") == 2 and "No server runs" in text


@pytest.mark.parametrize("number", ["999", "x", "-1", "1e9", "9" * 40])
def test_no_such_number(viewer, number):
    assert viewer.get(f"/refusals/{number}").status == 404
