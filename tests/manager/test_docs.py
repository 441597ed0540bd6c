"""docs/manager.md is held against the code: every route with its role, every kind of problem, every page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from manager.app import routes
from manager.problems import KINDS
from manager.rendering import MENU

TEXT = (Path(__file__).resolve().parent.parent.parent / "docs" / "manager.md").read_text("utf-8")
ROW = re.compile(r"^\| `([A-Z]+)` \| `(/api/v1/[^`]+)` \| (\S+) \| (.+) \|$", re.MULTILINE)
DOCUMENTED = {(method, path): (role, what) for method, path, role, what in ROW.findall(TEXT)}
ROUTES = [one for one in routes() if one.path.startswith("/api/")]


def shown(path: str) -> str:
    """As people write it: without what a part may hold."""
    return re.sub(r"\{(\w+):[^}]+\}", r"{\1}", path)


@pytest.mark.parametrize("route", ROUTES, ids=lambda one: f"{one.method} {one.path}")
def test_a_route_stands_there_with_its_role(route):
    told = DOCUMENTED.get((route.method, shown(route.path)))
    assert told is not None, "give it a row in docs/manager.md"
    assert told[0] == (route.role.word if route.role is not None else "–")


def test_nothing_stands_there_that_is_not():
    assert DOCUMENTED.keys() - {(one.method, shown(one.path)) for one in ROUTES} == set()
    assert len(DOCUMENTED) == len(ROW.findall(TEXT)), "a route stands there twice"


def test_every_kind_of_problem_stands_there():
    told = re.findall(r"^\| `([a-z-]+)` \| ([0-9]{3}) \| .+ \|$", TEXT, re.MULTILINE)
    assert {kind: int(status) for kind, status in told} == {kind: one[0] for kind, one in KINDS.items()}


def test_every_page_of_the_menu_stands_there():
    rows = {row.strip() for row in re.findall(r"^\| ([A-Z][a-z ]+) \|", TEXT, re.MULTILINE)}
    assert {word for _, word in MENU} <= rows
