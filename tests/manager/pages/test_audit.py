"""The pages of the audit trail: filters, the change itself, hostile texts, their size."""

from __future__ import annotations

import re

import pytest

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def trail(here, admin):
    for number in range(120):
        here.site.audit.add("anna", "192.0.2.7", "file-saved", f"file {number}", "viewer", "operator")
    here.site.audit.add(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE + "\na", HOSTILE + "\nb")
    here.site.audit.add("bert", "", "file-saved", "large", "x\n" * 9000, "y" * 20_000)
    return admin


def number_of(here, what):
    return next(row["id"] for row in here.site.audit.last(500) if row["what"] == what)


def test_the_newest_stand_first_and_there_are_pages(trail):
    page = trail.get("/audit").text
    assert "page 1 of 3" in page and "anna" in page and "viewer → operator" in page
    assert "file 0<" in trail.get("/audit?page=3").text
    assert "page 3 of 3" in trail.get("/audit?page=999").text


def test_filters_stay_in_the_links(trail):
    page = trail.get("/audit?who=anna&action=file-saved&q=file").text
    assert 'href="/audit?who=anna&amp;action=file-saved&amp;q=file&amp;page=2"' in page
    assert 'href="/api/v1/audit.csv?who=anna&amp;action=file-saved&amp;q=file"' in page
    assert re.search(r"<option selected>anna", page) and "bert" not in page.split("<tbody>")[1]


def test_what_htmx_fetches_is_the_part(trail):
    part = trail.ask("GET", "/audit?who=bert", headers={"HX-Request": "true"}).text
    assert "<html" not in part and "large" in part and "anna" not in part


def test_nothing_found_says_what_to_do(trail):
    page = trail.get("/audit?q=there-is-no-such-text").text
    assert "Nothing in the trail fits that" in page and "Show all" in page


def test_a_change_is_shown_line_by_line(here, trail):
    page = trail.get(f"/audit/{number_of(here, 'file 7')}").text
    assert '<span class="removed">- viewer</span>' in page and '<span class="added">+ operator</span>' in page


def test_hostile_texts_are_texts(here, trail):
    for path in ("/audit", "/audit?who=" + "%3Cimg", f"/audit/{number_of(here, HOSTILE)}"):
        page = trail.get(path).text
        assert "<img src=x" not in page and 'style="' not in page and "&lt;img" in page, path


def test_large_changes_make_no_large_page(here, trail):
    for path in ("/audit", f"/audit/{number_of(here, 'large')}"):
        assert len(trail.get(path).body) < 100 * 1024, path


def test_what_is_not_there(trail):
    for strange in ("0", "99999", "x", "1" * 40):
        assert trail.get(f"/audit/{strange}").status == 404
