"""One's own account: the password, the sessions, and nobody else's."""

from __future__ import annotations

import pytest

from manager.routing import Role
from tests.clients.manager import NEW, Person
from tests.manager.here import PASSWORD, Here, made


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
def anna(here):
    here.site.store.change("DELETE FROM failures")
    here.site.store.change("DELETE FROM sessions")
    here.site.store.change("DELETE FROM users WHERE name = 'anna'")
    return here.person(Role.VIEWER, "anna")


def change(person, old=PASSWORD, new=NEW, again=None):
    told = {"old": old, "new": new, "again": new if again is None else again}
    return person.call("PUT", "/api/v1/account/password", told)


def test_a_new_password_ends_all_other_sessions_and_renews_this_one(here, anna):
    other, old = here.person(Role.VIEWER, "anna"), dict(anna.cookies)
    assert change(anna).status == 204
    assert anna.cookies != old and anna.get("/api/v1/account").json["name"] == "anna"
    assert other.get("/api/v1/account").status == 401
    other.cookies = old
    assert other.get("/api/v1/account").status == 401
    assert here.site.people.check("anna", NEW) and not here.site.people.check("anna", PASSWORD)
    trail = here.site.audit.last(3)
    assert trail[0]["action"] == "password changed" and NEW not in str(trail) and PASSWORD not in str(trail)


@pytest.mark.parametrize(
    "told, field",
    [
        ({"old": "wrong"}, "old"), ({"new": "short"}, "new"), ({"again": "another one"}, "again"),
        ({"new": "1234567890"}, "new"), ({"new": PASSWORD}, "new"), ({"new": "x" * 1001}, "new"),
        ({"new": None}, "new"), ({"old": 5}, "old"),
    ],
)  # fmt: skip
def test_what_is_not_taken(here, anna, told, field):
    told = {"old": PASSWORD, "new": NEW, **told}
    answer = anna.call("PUT", "/api/v1/account/password", {"again": told["new"], **told})
    assert answer.status == 422 and [one["field"] for one in answer.json["errors"]] == [field], answer.text
    assert here.site.people.check("anna", PASSWORD)


def test_the_old_password_is_not_guessed_here_either(here, anna):
    assert change(anna, "wrong").status == 422
    answer = change(anna)
    assert answer.status == 429 and "try again in" in answer.json["detail"]
    # Whoever guesses here keeps the user himself out of nothing else.
    assert here.site.delays.wait("anna", "127.0.0.1") == 0
    assert here.site.audit.last()[0]["action"] == "own password wrong"


def test_no_failed_sign_in_is_for_this_counter(here, anna):
    for name in ("account of anna", " account of anna", "%20account of anna"):
        here.site.store.change("DELETE FROM failures")
        assert Person(here).sign_in(name, "wrong").status == 403
        assert here.site.delays.wait(" account of anna", " account of anna") == 0, name


def test_more_fields_change_nothing(here, anna):
    told = {"old": PASSWORD, "new": NEW, "again": NEW, "name": "admin", "role": "administrator"}
    assert anna.call("PUT", "/api/v1/account/password", told).status == 204
    assert here.site.people.get("anna").role is Role.VIEWER and here.site.people.get("admin") is None


def test_sessions_are_listed_and_ended(here, anna):
    second, third = here.person(Role.VIEWER, "anna"), here.person(Role.VIEWER, "anna")
    stranger = here.person(Role.OPERATOR, "bert")
    told = anna.get("/api/v1/account/sessions").json
    assert told["total"] == 3 and [one["this"] for one in told["items"]].count(True) == 1
    assert not any(token in str(told) for token in anna.cookies.values()) and "csrf" not in str(told)
    here_is = {one["id"]: one["this"] for one in second.get("/api/v1/account/sessions").json["items"]}
    key = next(key for key, this in here_is.items() if this)
    assert stranger.call("DELETE", f"/api/v1/account/sessions/{key}").status == 404
    assert anna.call("DELETE", f"/api/v1/account/sessions/{key}").status == 204
    assert second.get("/api/v1/account").status == 401
    assert anna.call("DELETE", f"/api/v1/account/sessions/{key}").status == 404
    assert anna.call("DELETE", "/api/v1/account/sessions?but=this").status == 204
    assert third.get("/api/v1/account").status == 401 and anna.get("/api/v1/account").status == 200
    assert anna.call("DELETE", "/api/v1/account/sessions?but=x").status == 400
    assert anna.call("DELETE", "/api/v1/account/sessions").status == 204
    assert anna.get("/api/v1/account").status == 401 and stranger.get("/api/v1/account").status == 200
