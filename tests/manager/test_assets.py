"""Styles, scripts and icons: kept by browsers for as long as they stay the same."""

from __future__ import annotations

from importlib import resources

import pytest

from manager import assets
from tests.clients.manager import Person

FILES = sorted(one.name for one in (resources.files("manager") / "static").iterdir())
SERVED = [name for name in FILES if name.rpartition(".")[2] in ("css", "js", "svg")]


@pytest.mark.parametrize("name", SERVED)
def test_a_browser_keeps_it(here, name):
    answer = Person(here).get(assets.path(name))
    assert answer.status == 200 and "immutable" in answer.headers["Cache-Control"]
    assert answer.body and answer.headers["X-Content-Type-Options"] == "nosniff"
    other = Person(here).get(f"/static/0123/{name}")
    assert other.status == 200 and other.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("path", [
    "/static/x/htmx.LICENSE", "/static/x/nothing.css", "/static/x/..%2fapp.py", "/static/x/%2e%2e%2fapp.py",
    "/static/../app.py", "/static/x/style.css%00", "/static//style.css", "/static/x/..%5capp.py",
    "/static/%2fetc/passwd", "/static/x//etc/passwd",
])  # fmt: skip
def test_nothing_else_is_given(here, viewer, path):
    assert viewer.get(path).status == 404


def test_what_the_whole_looks_weigh():
    """Pages stay light: also over a slow line to a branch."""
    sizes = {name: len((resources.files("manager") / "static" / name).read_bytes()) for name in SERVED}
    assert sizes["style.css"] < 24 << 10 and sizes["app.js"] < 20 << 10, sizes
