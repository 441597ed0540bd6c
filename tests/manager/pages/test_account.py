"""The account page: sessions as people read them, and hostile browsers."""

from __future__ import annotations

from manager.routing import Role


def test_sessions_of_oneself_and_of_nobody_else(here, viewer, operator):
    user = here.site.people.get("viewer")
    here.site.sessions.open(user, "192.0.2.9", "Mozilla/5.0 (Windows NT 10.0) Firefox/140.0")
    page = viewer.get("/account").text
    assert "Firefox on Windows" in page and "192.0.2.9" in page and "this one" in page
    assert "192.0.2.9" not in operator.get("/account").text


def test_a_browser_that_calls_itself_html(here, viewer):
    here.site.sessions.open(here.site.people.get("viewer"), "192.0.2.9", "<script>alert(1)</script>\u202e")
    page = viewer.get("/account").text
    assert "<script>alert" not in page and "\u202e" not in page and "&lt;script&gt;" in page


def test_who_must_choose_a_password_first_sees_only_that(here):
    person = here.person(Role.ADMINISTRATOR, "new")
    here.site.store.change("UPDATE users SET fresh = 1 WHERE name = 'new'")
    page = person.get("/account").text
    assert "was made up for you" in page and "Where you are signed in" not in page
    assert "not reachable" not in page and 'role="search"' not in page and 'href="/guide"' not in page
    assert person.get("/users").headers["Location"] == "/account"
