"""Every route of every module: who may ask, and what it answers to a stranger."""

from __future__ import annotations

import re

import pytest

from manager.app import routes
from manager.guarding import SAFE
from manager.routing import ADMINISTRATOR, OPERATOR, VIEWER

ROUTES = list(routes())
CLOSED = [one for one in ROUTES if one.role is not None]


def concrete(path: str) -> str:
    return re.sub(r"\{[^}]+\}", "x", path)


@pytest.mark.parametrize("route", CLOSED, ids=lambda one: f"{one.method} {one.path}")
def test_a_stranger_gets_nothing(here, route):
    from tests.clients.manager import Person

    answer = Person(here).ask(route.method, concrete(route.path), None if route.method in SAFE else b"{}")
    if route.path.startswith("/api/"):
        assert answer.status == 401 and answer.headers["Content-Type"] == "application/problem+json"
    else:
        assert answer.status == 303 and answer.headers["Location"].startswith("/sign-in")


@pytest.mark.parametrize(
    "route", [one for one in CLOSED if one.role > VIEWER], ids=lambda one: f"{one.method} {one.path}"
)
def test_a_lower_role_is_told_which_one_it_takes(here, viewer, route):
    answer = viewer.ask(route.method, concrete(route.path), None, {"X-CSRF-Token": viewer.csrf})
    assert answer.status == 403 and route.role.word in answer.text


@pytest.mark.parametrize(
    "route", [one for one in CLOSED if one.method not in SAFE], ids=lambda one: f"{one.method} {one.path}"
)
def test_no_change_without_the_token_of_the_page(here, admin, route):
    answer = admin.ask(route.method, concrete(route.path), b"{}", {"Content-Type": "application/json"})
    assert answer.status == 403 and "older than the session" in answer.text


def test_only_the_sign_in_page_and_its_looks_are_open():
    opened = {(one.method, one.path) for one in ROUTES if one.role is None}
    assert opened == {
        ("GET", "/static/{mark}/{name}"), ("GET", "/sign-in"), ("POST", "/sign-in"),
        ("DELETE", "/api/v1/session"), ("GET", "/healthz"),
    }  # fmt: skip


def test_changes_go_through_the_api_only():
    """Its document type and its token are what no form of another site has."""
    changing = {(one.method, one.path) for one in ROUTES if one.method not in SAFE}
    assert {path for _, path in changing if not path.startswith("/api/v1/")} == {"/sign-in"}


def test_who_may_change_something():
    """A viewer changes nothing but what is his own."""
    own = ("/api/v1/account", "/api/v1/session")
    lower = {f"{one.method} {one.path}" for one in CLOSED if one.method not in SAFE and one.role < OPERATOR}
    assert {one for one in lower if not one.partition(" ")[2].startswith(own)} == set()


def test_users_and_the_trail_are_the_administrators():
    for one in ROUTES:
        if re.match(r"(/api/v1)?/(users|audit)", one.path):
            assert one.role is ADMINISTRATOR, one.path


def test_no_two_answer_for_the_same():
    named = [(one.method, re.sub(r"\{[^}:]+", "{", one.path)) for one in ROUTES]
    assert len(named) == len(set(named))
