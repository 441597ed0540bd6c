"""Long work as JSON and as a stream."""

from __future__ import annotations

import json
import threading

import pytest

from manager import streams


@pytest.fixture
def begun(here):
    """One that has ended well, begun by an operator."""
    done = threading.Event()

    def work(operation):
        operation.say("at work", 1, 1)
        done.set()
        return {"secret": "of a user"}

    operation = here.site.operations.begin("export", "user data", "operator", work, "/userdata")
    assert done.wait(30)
    return operation.id


def test_one_and_all(viewer, operator, begun):
    events = operator.get(f"/api/v1/operations/{begun}/events").text  # ends when the work has
    told = operator.get(f"/api/v1/operations/{begun}").json
    assert told["state"] == "done" and told["result"] == {"secret": "of a user"}
    assert events.rstrip().endswith("event: end\ndata: {}")
    last = [line for line in events.splitlines() if line.startswith('data: {"id')][-1]
    assert json.loads(last[6:]) == told
    listed = operator.get("/api/v1/operations?limit=1").json
    assert listed["items"] == [told] and listed["next"] is None


def test_a_viewer_sees_that_it_ran_and_not_what_came_of_it(viewer, operator, begun):
    assert "of a user" in operator.get(f"/api/v1/operations/{begun}/events").text
    for path in ("", f"/{begun}", f"/{begun}/events"):
        answer = viewer.get("/api/v1/operations" + path)
        assert answer.status == 200 and "of a user" not in answer.text and "user data" in answer.text


def test_none(viewer):
    for path in ("/api/v1/operations/x", "/api/v1/operations/x/events"):
        assert viewer.get(path).status == 404
    assert viewer.get("/api/v1/operations?limit=many").status == 400


def test_too_many_live_pages(here, viewer, begun, monkeypatch):
    mine = here.site.sessions.of(next(iter(viewer.cookies.values()))).id
    for held in (
        {at: (mine, "viewer") for at in range(streams.EACH)},
        {at: (str(at), "viewer") for at in range(streams.OF_ONE)},
        {at: (str(at), str(at)) for at in range(streams.MOST)},
    ):
        monkeypatch.setattr(streams, "_open", dict(held))
        answer = viewer.get(f"/api/v1/operations/{begun}/events")
        assert answer.status == 503 and "open already" in answer.json["detail"]


def test_the_page(here, viewer, begun):
    page = viewer.get("/operations").text
    assert "user data" in page and "operator" in page
    part = viewer.get("/operations", **{"HX-Request": "true"}).text
    assert "user data" in part and "<html" not in part
