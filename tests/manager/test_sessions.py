"""Sessions: how long they hold, what ends them, that the cookie stands nowhere."""

from __future__ import annotations

import pytest

from manager.people import People
from manager.routing import Role
from manager.sessions import LONGEST, MOST, Sessions, browser
from manager.store import Store
from mv_iptel.home import Home


class Clock:
    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "manager.db")
    for name, role in (("anna", 3), ("bert", 1)):
        made.change("INSERT INTO users (name, password, role, added) VALUES (?, 'scrypt:', ?, 1)", name, role)
    yield made
    made.close()


@pytest.fixture
def people(store, tmp_path, clock):
    return People(store, Home(tmp_path), clock)


@pytest.fixture
def sessions(store, people, clock):
    return Sessions(store, people, 3600.0, clock)


def test_the_cookie_is_kept_nowhere(sessions, people, store):
    token = sessions.open(people.get("anna"), "192.0.2.1", "agent")
    assert sessions.of(token).user.name == "anna"
    assert token not in str(store.ask("SELECT * FROM sessions"))
    key = sessions.of(token).id
    assert sessions.of(key) is None  # what the account page shows signs nobody in
    assert sessions.of("") is None and sessions.of("\udcff") is None


def test_it_ends_when_nobody_uses_it(sessions, people, clock):
    token = sessions.open(people.get("anna"), "192.0.2.1", "")
    for _ in range(4):
        clock.now += 3500
        assert sessions.of(token)
    clock.now += 3601
    assert sessions.of(token) is None
    clock.now -= 3601
    assert sessions.of(token) is None  # it is gone, not only hidden


def test_a_page_that_refreshes_itself_keeps_nobody_signed_in(sessions, people, clock):
    token = sessions.open(people.get("anna"), "192.0.2.1", "")
    for _ in range(36):
        clock.now += 100
        assert sessions.of(token, touch=False)
    clock.now += 100
    assert sessions.of(token, touch=False) is None


def test_everybody_signs_in_again_after_a_week(sessions, people, clock):
    token = sessions.open(people.get("anna"), "192.0.2.1", "")
    begun = clock.now
    while clock.now + 3000 < begun + LONGEST:
        clock.now += 3000
        assert sessions.of(token)
    clock.now = begun + LONGEST + 1
    assert sessions.of(token) is None


def test_role_and_state_are_those_of_now(sessions, people):
    token = sessions.open(people.get("bert"), "192.0.2.1", "")
    people.change("bert", Role.OPERATOR)
    assert sessions.of(token).user.role is Role.OPERATOR
    people.change("bert", disabled=True)
    assert sessions.of(token) is None


def test_everybody_ends_only_his_own(sessions, people):
    mine, other = (sessions.open(people.get(name), "192.0.2.1", "") for name in ("bert", "anna"))
    second = sessions.open(people.get("bert"), "192.0.2.2", "")
    assert not sessions.end_one("bert", sessions.of(other).id)
    assert [one.peer for one in sessions.all(people.get("bert"))].count("192.0.2.1") == 1
    assert sessions.end_one("bert", sessions.of(second).id) and sessions.of(second) is None
    third = sessions.open(people.get("bert"), "192.0.2.3", "")
    assert sessions.end_all("bert", besides=sessions.of(mine).id) == 1
    assert sessions.of(third) is None and sessions.of(mine)
    assert sessions.counts() == {"anna": 1, "bert": 1}
    assert sessions.end_all("bert") == 1
    assert sessions.of(other)


def test_what_has_ended_is_swept_and_nobody_has_very_many(sessions, people, store, clock):
    first = sessions.open(people.get("anna"), "192.0.2.1", "")
    clock.now += 5000
    for _ in range(MOST + 5):
        clock.now += 1
        last = sessions.open(people.get("anna"), "192.0.2.1", "")
    assert store.ask("SELECT count(*) AS n FROM sessions") == [{"n": MOST}]
    assert sessions.of(first) is None and sessions.of(last)


@pytest.mark.parametrize(
    "agent, called",
    [
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36", "Chrome on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64) Chrome/130.0 Safari/537.36 Edg/130", "Edge on Windows"),
        ("Mozilla/5.0 (Windows NT 10.0; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18 like Mac OS X) Version/18 Safari/604.1", "Safari on iPhone"),
        ("curl/8.0", "curl"), ("", "unknown"), ("<script>" * 20, ("<script>" * 20)[:60]),
    ],
)  # fmt: skip
def test_a_browser_as_its_user_calls_it(agent, called):
    assert browser(agent) == called
