"""The overview's page, without a file server beside it."""

from __future__ import annotations

import pytest


def test_without_a_server_it_says_so_and_what_to_do(viewer):
    page = viewer.get("/")
    assert page.status == 200 and "<h1>Overview</h1>" in page.text
    assert "The file server is not running" in page.text and "first-run guide" in page.text
    assert len(page.body) < 100 * 1024


@pytest.mark.parametrize(("part", "there"), [("live", "Transfers now"), ("watch", "Wants your attention")])
def test_its_parts_come_alone(viewer, part, there):
    answer = viewer.ask("GET", f"/?part={part}", None, {"HX-Request": "true", "X-Background": "1"})
    assert answer.status == 200 and there in answer.text and "<html" not in answer.text


def test_no_other_part_is_known(viewer):
    assert viewer.get("/?part=../base").status == 400
