"""What handlers are given and answer with."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from manager.call import Call
from manager.problems import Problem
from manager.routing import ADMINISTRATOR, OPERATOR, VIEWER, Role, Route


def call(path="/x", **headers) -> Call:
    request = make_mocked_request("PUT", path, headers=headers)
    return Call(SimpleNamespace(), request, Route("PUT", "/x", None, VIEWER))


def test_roles():
    one = call()
    assert not one.may(VIEWER)
    one.user = SimpleNamespace(role=OPERATOR)
    assert one.may(VIEWER) and one.may(OPERATOR) and not one.may(ADMINISTRATOR)
    assert [role.word for role in Role] == ["viewer", "operator", "administrator"]


def test_who_asks():
    assert call("/api/v1/x").api and not call("/apix").api and not call("/x?y=/api/").api
    assert call(**{"HX-Request": "true"}).htmx and not call().htmx


@pytest.mark.parametrize(
    ("query", "number"), [("", 50), ("n=", 50), ("n=7", 7), ("n=0", 1), ("n=999999999999", 90)]
)
def test_numbers(query, number):
    assert call(f"/x?{query}").number("n", 50, 1, 90) == number


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "1e9", "٣", "9" * 13, "0x1", " 1"])
def test_what_is_no_number(text):
    with pytest.raises(Problem, match="a number is wanted"):
        Call.number(SimpleNamespace(query={"n": text}), "n", 1)


def test_choices():
    assert call("/x?sort=mac").choice("sort", {"mac", "ext"}, "ext") == "mac"
    assert call("/x?sort=").choice("sort", {"mac", "ext"}, "ext") == "ext"
    with pytest.raises(Problem, match="one of ext, mac"):
        call("/x?sort=mac;DROP").choice("sort", {"mac", "ext"}, "ext")


def test_texts():
    one = call()
    assert one.text({"a": "x"}, "a") == "x" and one.text({}, "a", default="") == ""
    for told in ({}, {"a": 5}, {"a": None}, {"a": ["x"]}, {"a": "x" * 11}):
        with pytest.raises(Problem) as refused:
            one.text(told, "a", 10)
        assert refused.value.kind == "invalid" and refused.value.more["errors"][0]["field"] == "a"


@pytest.mark.parametrize("given", ['"abc"', 'W/"abc"', '"x", "abc"', "*", "abc"])
def test_a_change_for_what_is_there(given):
    call(**{"If-Match": given}).match("abc")


@pytest.mark.parametrize(("given", "etag", "kind"), [
    (None, "abc", "match-needed"), ('"abd"', "abc", "changed"), ("*", "", "changed"),
    ('""', "abc", "changed"),
])  # fmt: skip
def test_a_change_for_something_else(given, etag, kind):
    with pytest.raises(Problem) as told:
        call(**({} if given is None else {"If-Match": given})).match(etag)
    assert told.value.kind == kind and told.value.document()["etag"] == etag


def test_json():
    answer = call().json({"a": "ü\udc80"}, 201, "abc", {"Location": "/x"})
    assert (answer.status, answer.headers["ETag"], answer.headers["Location"]) == (201, '"abc"', "/x")
    assert answer.content_type == "application/json" and answer.body == '{"a": "ü\\udc80"}'.encode()


def test_going_elsewhere():
    assert call().go("/y").headers["Location"] == "/y" and call().nothing().status == 204
    assert call(**{"HX-Request": "true"}).go("/y").headers["HX-Redirect"] == "/y"


@pytest.mark.parametrize("name", ['a"b.txt', "a\r\nX: y", "ü\udcff.cfg", "../../x", "", "x;y=z"])
def test_a_download_is_never_shown(name):
    for data in (b"<script>", Path(__file__)):
        answer = call().download(data, name)
        told = answer.headers["Content-Disposition"]
        assert told.startswith('attachment; filename="') and told.isprintable() and told.isascii()
        plain = told.partition('filename="')[2].partition('"')[0]
        assert plain and all(one.isalnum() or one in "._-" for one in plain)
        assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
        assert isinstance(answer, web.StreamResponse)


def test_changes_are_audited_and_logged(here, admin, caplog):
    caplog.set_level("INFO", "manager")

    async def story():
        one = Call(here.site, make_mocked_request("PUT", "/x"), Route("PUT", "/x", None, VIEWER))
        one.user = here.site.people.get("administrator")
        await one.audit("file-saved", "46xxsettings.txt", "SET A 1", "SET A 2")

    asyncio.run_coroutine_threadsafe(story(), here.loop).result(30)
    (row,) = here.site.store.ask("SELECT * FROM audit WHERE action = 'file-saved'")
    assert (row["who"], row["what"], row["before"], row["after"]) == (
        "administrator", "46xxsettings.txt", "SET A 1", "SET A 2",
    )  # fmt: skip
    assert "file-saved 46xxsettings.txt" in caplog.text and "SET A" not in caplog.text
