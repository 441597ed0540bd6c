"""What stands around every page."""

from __future__ import annotations

from tests.clients.manager import Person


def test_the_server_in_a_pill(here, viewer, monkeypatch):
    def says(status):
        async def told(age):
            return status

        monkeypatch.setattr(here.site.link, "status", told)
        return viewer.get("/state", **{"HX-Request": "true"}).text

    def server(*states, findings=()):
        rows = [{"proto": "tftp", "state": state} for state in states] + [{"proto": "status", "state": "up"}]
        return {"listeners": rows, "config": {"findings": list(findings)}}

    assert "Server not reachable" in says(None)
    assert "No listener is up" in says(server("off")) and "A listener failed" in says(server("up", "failed"))
    assert "with findings" in says(server("up", findings=["x"])) and ">Serving<" in says(server("up"))


def test_every_page_has_its_landmarks(viewer):
    page = viewer.get("/operations").text
    assert page.count("<h1>") == 1 and page.count("<main") == 1 and 'lang="en"' in page
    assert page.index("To the content") < page.index("<nav")


def test_health_tells_nothing_but_that(here):
    answer = Person(here).get("/healthz")
    assert answer.text == "ok\n" and "Set-Cookie" not in answer.headers
