"""Templates: escaped, strict, and what they say of times and names."""

from __future__ import annotations

import time

import jinja2
import pytest

from manager.rendering import MENU, ago, part, printable, stamp, when


def render(here, text, **values):
    return here.site.pages.jinja.from_string(text).render(values)


def test_everything_is_escaped(here):
    evil = "<img src=x onerror=alert(1)>\"'&"
    got = render(here, "<a title='{{ x }}'>{{ x }}</a>", x=evil)
    assert "<img" not in got and got.count("&lt;img") == 2 and "&#39;" in got and "&#34;" in got


def test_what_is_not_given_is_a_mistake(here):
    with pytest.raises(jinja2.UndefinedError):
        render(here, "{{ nothing }}")


def test_a_surrogate_breaks_no_page(here):
    here.site.pages.jinja.loader = jinja2.ChoiceLoader(
        [here.site.pages.jinja.loader, jinja2.DictLoader({"try.html": "{{ x }}"})]
    )
    assert here.site.pages.render("try.html", {"x": "ü\udcff"}) == "ü\\udcff".encode()


def test_control_signs():
    assert printable("a\x1b[2Jb\n") == r"a\x1b[2Jb\x0a" and len(printable("x" * 999)) == 200


@pytest.mark.parametrize("name", ["a/b", "..", "ü?#", "a b", "\udcff", "%2e", "<x>"])
def test_a_name_in_an_address(name):
    told = part(name)
    assert "/" not in told and told.isascii() and not set(told) & set("?#<> ")


def test_times():
    assert ago(None) == ago(0) == when(0) == "never" and stamp(0) == ""
    assert ago(time.time() - 240).endswith(" ago") and ago(time.time() + 999).endswith(" ago")
    assert stamp(1_000_000_000) == "2001-09-09T01:46:40Z" and when(1_000_000_000).startswith("2001-09-0")


def test_the_menu(here, viewer):
    page = viewer.get("/operations").text
    assert all(f'<a href="{path}"' in page for path, _ in MENU) and page.count("aria-current") == 0
    assert viewer.get("/").text.count('aria-current="page"') == 1


def test_a_broken_ini_is_told_on_every_page(here, viewer):
    text = here.home.ini.read_text("utf-8")
    try:
        here.home.ini.write_text(text + "\n[HTTP]\nHTTPPort = many<b>\n", "utf-8")
        page = viewer.get("/operations").text
        assert (
            "HTTPPort" in page and "many&lt;b&gt;" in page and "<b>" not in page.partition("<main")[2][:2000]
        )
    finally:
        here.home.ini.write_text(text, "utf-8")
    assert "many" not in viewer.get("/operations").text


def test_places_are_told_within_the_home(here):
    short = here.site.pages.jinja.filters["short"]
    assert short(f"no 'a.txt' in {here.home.http_data}/x") == "no 'a.txt' in HTTPdata/x"
    assert short(here.home.ini) == str(here.home.ini.relative_to(here.home.root))
    assert short("/etc/elsewhere") == "/etc/elsewhere"
