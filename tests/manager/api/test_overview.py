"""The overview's calls without a file server: what they say then, and what they refuse."""

from __future__ import annotations

import pytest


def test_without_a_server_it_says_why(viewer):
    told = viewer.get("/api/v1/overview").json
    assert told["running"] is False and told["why_not"] and told["transfers"] is None
    assert told["phones"] == {"known": 0, "seen_15m": 0} and told["storm"] is None


def test_the_pulse_is_there_and_knows_nothing(viewer):
    told = viewer.get("/api/v1/overview/pulse").json
    assert told["total"] == len(told["items"]) > 0 and told["next"] is None
    assert all(one["octets"] is None for one in told["items"])


@pytest.mark.parametrize(
    ("method", "path", "told", "status"),
    [
        ("GET", "/api/v1/listeners", None, 502),
        ("PUT", "/api/v1/listeners/http", {"run": False}, 502),
        ("PUT", "/api/v1/listeners/http", {"run": "no"}, 422),
        ("PUT", "/api/v1/listeners/..%2fbans", {"run": True}, 404),
        ("POST", "/api/v1/server/reload", {}, 502),
    ],
)
def test_what_cannot_be_done(admin, method, path, told, status):
    answer = admin.call(method, path, told) if told is not None else admin.get(path)
    assert answer.status == status, answer.text
