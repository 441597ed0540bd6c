"""The users' endpoints: what an administrator may do, what nobody may, and climbing from a lower role."""

from __future__ import annotations

import json

import pytest

from manager.audit import Filter
from manager.routing import Role
from tests.clients.manager import Person
from tests.manager.here import Here, made


@pytest.fixture(scope="module", autouse=True)
def quick():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mv_iptel.passwords._COST", 2)
        yield


@pytest.fixture(scope="module")
def here(tmp_path_factory, quick):
    with Here(made(tmp_path_factory.mktemp("home"))) as running:
        yield running


@pytest.fixture
def boss(here):
    here.site.store.change("DELETE FROM users")
    here.site.store.change("DELETE FROM failures")
    return here.person(Role.ADMINISTRATOR, "boss")


def added(boss, name="anna", role="viewer"):
    answer = boss.call("POST", "/api/v1/users", {"name": name, "role": role})
    assert answer.status == 201, answer.text
    return answer


def patched(boss, name, told, etag=None):
    etag = boss.get(f"/api/v1/users/{name}").etag if etag is None else etag
    return boss.call("PATCH", f"/api/v1/users/{name}", told, etag)


def test_a_user_is_added_signs_in_and_chooses_a_password(here, boss):
    answer = added(boss, "anna", "operator")
    assert answer.headers["Location"] == "/api/v1/users/anna" and answer.etag
    anna = Person(here)
    assert anna.sign_in("anna", answer.json["password"]).headers["Location"] == "/account"
    assert anna.get("/api/v1/operations").status == 403  # not before he has chosen one
    told = boss.get("/api/v1/users/anna").json
    assert told["role"] == "operator" and told["fresh"] and told["seen"] and "password" not in told
    listed = boss.get("/api/v1/users").json
    assert [one["name"] for one in listed["items"]] == ["anna", "boss"] and listed["total"] == 2
    assert "scrypt" not in json.dumps(listed) and answer.json["password"] not in str(here.site.audit.last())


def test_a_list_has_pages(boss, here):
    for number in range(4):
        here.site.store.change(
            "INSERT INTO users (name, password, role, added) VALUES (?, 'scrypt:', 1, 1)", f"u{number}"
        )
    first = boss.get("/api/v1/users?limit=3").json
    second = boss.get(first["next"]).json
    assert [one["name"] for one in first["items"] + second["items"]] == ["boss", "u0", "u1", "u2", "u3"]
    assert first["total"] == 5 and second["next"] is None


@pytest.mark.parametrize(
    "told, status, field",
    [
        ({"name": "a b", "role": "viewer"}, 422, "name"), ({"name": "boss", "role": "viewer"}, 409, "name"),
        ({"name": "BOSS", "role": "viewer"}, 409, "name"), ({"name": "<b>", "role": "viewer"}, 422, "name"),
        ({"name": "anna", "role": "root"}, 422, "role"), ({"name": "anna", "role": 3}, 422, "role"),
        ({"name": "anna"}, 422, "role"), ({"name": "anna", "role": "viewer", "fresh": 1}, 422, "fresh"),
    ],
)  # fmt: skip
def test_what_is_not_added(here, boss, told, status, field):
    answer = boss.call("POST", "/api/v1/users", told)
    assert answer.status == status and [one["field"] for one in answer.json["errors"]] == [field]
    assert here.site.people.count() == 1


def test_a_role_holds_at_once_in_a_running_session(here, boss):
    anna = here.person(Role.ADMINISTRATOR, "anna")
    assert anna.get("/users").status == 200
    assert patched(boss, "anna", {"role": "viewer"}).status == 200
    assert anna.get("/users").status == 403 and anna.get("/api/v1/account").json["role"] == "viewer"
    assert patched(boss, "anna", {"disabled": True}).status == 200
    assert anna.get("/api/v1/account").status == 401
    assert Person(here).sign_in("anna", "a password of a test").status == 403
    here.site.store.change("DELETE FROM failures")
    assert patched(boss, "anna", {"disabled": False}).status == 200
    assert Person(here).sign_in("anna", "a password of a test").status == 303
    trail = here.site.audit.find(Filter("boss", "user changed", "anna"), 3)
    assert [(row["before"], row["after"]) for row in trail] == [
        ("viewer, kept out", "viewer"), ("viewer", "viewer, kept out"), ("administrator", "viewer"),
    ]  # fmt: skip


def test_a_new_password_ends_the_old_one_and_all_sessions(here, boss):
    anna = here.person(Role.VIEWER, "anna")
    etag = boss.get("/api/v1/users/anna").etag
    answer = boss.call("POST", "/api/v1/users/anna/password", {}, etag)
    assert answer.status == 200 and anna.get("/api/v1/account").status == 401
    assert here.site.people.check("anna", "a password of a test") is None
    assert here.site.people.check("anna", answer.json["password"]).fresh
    assert answer.json["password"] not in str(here.site.audit.last())


def test_two_administrators_at_once(boss):
    added(boss)
    etag = boss.get("/api/v1/users/anna").etag
    assert patched(boss, "anna", {"role": "operator"}, etag).status == 200
    for method, path, told in (
        ("PATCH", "", {"role": "administrator"}), ("DELETE", "", {}), ("POST", "/password", {}),
    ):  # fmt: skip
        late = boss.call(method, f"/api/v1/users/anna{path}", told, etag)
        assert late.status == 412 and late.json["etag"]
        assert boss.call(method, f"/api/v1/users/anna{path}", told).status == 428
    assert boss.get("/api/v1/users/anna").json["role"] == "operator"


def test_somebody_is_removed(here, boss):
    anna = here.person(Role.VIEWER, "anna")
    etag = boss.get("/api/v1/users/anna").etag
    assert boss.call("DELETE", "/api/v1/users/anna", {}, etag).status == 204
    assert anna.get("/api/v1/account").status == 401 and boss.get("/api/v1/users/anna").status == 404
    assert here.site.audit.last()[0]["before"] == "viewer"


def test_sessions_of_another_are_ended(here, boss):
    anna = here.person(Role.VIEWER, "anna")
    assert boss.call("DELETE", "/api/v1/users/anna/sessions").status == 204
    assert anna.get("/api/v1/account").status == 401


@pytest.mark.parametrize(
    "method, path, told",
    [
        ("PATCH", "/api/v1/users/boss", {"role": "viewer"}),
        ("PATCH", "/api/v1/users/BOSS", {"disabled": True}),
        ("DELETE", "/api/v1/users/boss", {}), ("POST", "/api/v1/users/boss/password", {}),
    ],
)  # fmt: skip
def test_nobody_shuts_himself_out(here, boss, method, path, told):
    here.person(Role.ADMINISTRATOR, "other")
    answer = boss.call(method, path, told, boss.get("/api/v1/users/boss").etag)
    assert answer.status == 409 and "yourself" in answer.json["detail"]


def test_the_last_administrator_stays_whoever_asks(here, boss):
    """Two who remove each other: one of them stays."""
    other = here.person(Role.ADMINISTRATOR, "other")
    tags = {name: boss.get(f"/api/v1/users/{name}").etag for name in ("boss", "other")}
    assert boss.call("DELETE", "/api/v1/users/other", {}, tags["other"]).status == 204
    assert other.call("DELETE", "/api/v1/users/boss", {}, tags["boss"]).status == 401
    assert here.site.people.get("boss")


@pytest.mark.parametrize(
    "told",
    [{}, {"role": "root"}, {"role": None}, {"disabled": "no"}, {"disabled": 1}, {"name": "eve"},
     {"fresh": False}, {"password": "x"}, {"changed": 0}],
)  # fmt: skip
def test_what_cannot_be_changed(here, boss, told):
    added(boss)
    answer = patched(boss, "anna", told)
    assert answer.status == (200 if not told else 422), answer.text
    assert here.site.people.get("anna").role is Role.VIEWER and here.site.people.get("eve") is None


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_nobody_climbs(here, boss, role):
    """Every way up that there is, by somebody below: his own role, his own name, others, new ones."""
    eve = here.person(role, "eve")
    etag = boss.get("/api/v1/users/eve").etag
    ways = (
        ("PATCH", "/api/v1/users/eve", {"role": "administrator"}),
        ("PATCH", "/api/v1/users/EVE", {"role": "administrator"}),
        ("PATCH", "/api/v1/users/%65ve", {"role": "administrator"}),
        ("PATCH", "/api/v1/users/boss", {"role": "viewer"}),
        ("PATCH", "/api/v1/users/x/../eve", {"role": "administrator"}),
        ("POST", "/api/v1/users", {"name": "new", "role": "administrator"}),
        ("POST", "/api/v1/users/boss/password", {}),
        ("DELETE", "/api/v1/users/boss", {}),
        ("DELETE", "/api/v1/users/boss/sessions", {}),
    )
    for method, path, told in ways:
        for headers in ({}, {"X-HTTP-Method-Override": method}, {"X-Forwarded-For": "127.0.0.1"}):
            assert eve.call(method, path, told, etag, headers).status in (403, 404), (method, path)
    for path in ("/users", "/audit", "/audit/1", "/api/v1/users", "/api/v1/users/eve", "/api/v1/audit",
                 "/api/v1/audit.csv", "/api/v1/audit.jsonl", "/api/v1/audit/1"):  # fmt: skip
        answer = eve.get(path)
        assert answer.status == 403 and "boss" not in answer.text
    page = eve.get("/account").text
    assert 'href="/users"' not in page and 'href="/audit"' not in page
    assert (
        here.site.people.get("eve").role is role and here.site.people.get("boss").role is Role.ADMINISTRATOR
    )
    assert here.site.people.count() == 2
