"""The phones' pages: what stands on them, for whom, and that nothing a phone says does anything."""

from __future__ import annotations

import re

import pytest

from tests.manager import field
from tests.manager.field import MAC

STRANGER = "198.51.100.9"
PAGES = [
    "/phones", "/phones?q=x&sort=-ext&page=2", "/phones/unknown", "/phones/unknown?show=ignored",
    f"/phones/{MAC}", f"/phones/{MAC}/timeline", f"/phones/{MAC}/refused", f"/phones/{MAC}/boot",
    f"/phones/{MAC}/boot?lines=all", f"/phones/{MAC}/settings", f"/phones/{STRANGER}",
    f"/phones/{STRANGER}/timeline", f"/phones/{STRANGER}/refused", "/refusals/3", "/refusals/6",
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def site(here):
    field.site(here.home)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_escaped_small_and_without_secrets(viewer, path):
    answer = viewer.get(path)
    assert answer.status == 200 and len(answer.body) < 100 * 1024
    assert "<img src=x" not in answer.text and "topsecret" not in answer.text
    assert " style=" not in answer.text and "<script>" not in answer.text
    assert answer.text.count("<h1") == 1


@pytest.mark.parametrize(
    "path", ["/phones", "/phones/unknown", f"/phones/{MAC}/timeline", f"/phones/{MAC}/settings"]
)
def test_htmx_gets_the_part(viewer, path):
    answer = viewer.get(path, **{"HX-Request": "true"})
    assert answer.status == 200 and "<h1" not in answer.text and "<table" in answer.text


def test_the_list_tells_of_each_phone(viewer):
    text = viewer.get("/phones").text
    for word in ("00:04:0d:11:22:33", "192.0.2.17", "4711", "9640", "3.2.8", "compliant", "pending"):
        assert word in text
    assert 'aria-sort="descending"' in text


def test_the_address_bar_says_what_is_shown_but_not_when_a_page_refreshes_itself(viewer):
    headers = {"HX-Request": "true"}
    answer = viewer.get("/phones?q=4711&model=&state=&seen=", **headers)
    assert answer.headers["HX-Replace-Url"] == "/phones?q=4711"
    assert "HX-Replace-Url" not in viewer.get("/phones", **headers, **{"X-Background": "1"}).headers


@pytest.mark.parametrize("query", ["sort=secret", "state=x", "seen=5m", "page=x", "new=1", "sort=mac;drop"])
def test_a_query_of_somebodys_own_is_refused(viewer, query):
    assert viewer.get(f"/phones?{query}").status == 400


def test_a_phone_is_found_by_all_its_names(viewer):
    assert viewer.get("/phones/4711").headers["Location"] == f"/phones/{MAC}"
    assert viewer.get("/phones/00:04:0D:11:22:33").headers["Location"] == f"/phones/{MAC}"
    assert viewer.get("/phones/192.0.2.17").headers["Location"] == f"/phones/{MAC}"
    assert viewer.get("/phones/nobody").status == 404
    assert viewer.get("/phones/9.9.9.9").status == 200  # an address of which nothing was heard


def test_the_time_line_is_filtered_and_paged(viewer, here, monkeypatch):
    from manager.pages import phones

    monkeypatch.setattr(phones, "ROWS", 2)
    first = viewer.get(f"/phones/{MAC}/timeline").text
    older = re.search(r'rel="next" href="([^"]+)"', first)[1].replace("&amp;", "&")
    assert "4711_96xxdata.txt" in first and "96xxupgrade.txt" not in first
    second = viewer.get(older).text
    assert "96xxupgrade.txt" in second and 'rel="next"' not in second and 'rel="first"' in second
    refused = viewer.get(f"/phones/{MAC}/timeline?outcome=refused").text
    assert "none.txt" in refused and "96xxdata" not in refused
    assert "Nothing like that" in viewer.get(f"/phones/{MAC}/timeline?proto=ftp").text


def test_users_data_is_named_and_not_shown(viewer):
    text = viewer.get(f"/phones/{MAC}").text
    assert "4711_96xxdata.txt" in text and "users own words" not in text


def test_buttons_are_for_who_may_press_them(viewer, operator):
    for path, word in (
        (f"/phones/{MAC}", "Forget"),
        ("/phones/unknown", "Ignore"),
        (f"/phones/{STRANGER}", "Ignore"),
    ):
        assert "data-api=" not in viewer.get(path).text
        assert word in operator.get(path).text and "data-api=" in operator.get(path).text


def test_another_group_is_played(viewer):
    text = viewer.get(f"/phones/{MAC}/boot?group=7").text
    assert "It does not come up" in text and "ha96xxua9_9.bin" in text
    assert viewer.get(f"/phones/{MAC}/boot?group=x").status == 400
    assert viewer.get(f"/phones/{MAC}/boot?protocol=gopher").status == 400


def test_why_it_was_refused_names_the_line(viewer):
    assert "46xxsettings.txt:6 (LANG1FILE) sent it there" in viewer.get(f"/phones/{MAC}/refused").text


def test_where_the_home_lies_is_left_out(viewer, here):
    text = viewer.get(f"/phones/{MAC}/boot").text
    assert 'href="/files/HTTPdata/96xxupgrade.txt">HTTPdata/96xxupgrade.txt</a>' in text
    assert 'href="/files/HTTPdata/96xxupgrade.txt">96xxupgrade.txt:1</a>' in text
    assert str(here.home.data) not in text
