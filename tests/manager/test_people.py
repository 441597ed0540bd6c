"""Users: the first one, names, roles, passwords; the last administrator stays."""

from __future__ import annotations

import threading

import pytest

from manager import people as module
from manager.people import No, People, made_up, poor, role_of
from manager.routing import Role
from manager.sessions import Sessions
from manager.store import Store
from mv_iptel.home import Home

ADMIN, OPERATOR, VIEWER = Role.ADMINISTRATOR, Role.OPERATOR, Role.VIEWER
INITIAL = "# Put them into a safe place.\nmanager admin first-word\nftp mvuser other-word\n"


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.fixture
def store(home):
    made = Store(home.manager / "data" / "manager.db")
    yield made
    made.close()


@pytest.fixture
def people(store, home):
    return People(store, home, lambda: 1000.0)


@pytest.fixture
def quick(monkeypatch):
    """Hashes of little cost: what is tested here is not how long they take."""
    monkeypatch.setattr("mv_iptel.passwords._COST", 2)


def known(people, store, **roles):
    """Users without the cost of a hash."""
    for name, role in roles.items():
        store.change(
            "INSERT INTO users (name, password, role, added) VALUES (?, 'scrypt:', ?, 1)", name, role
        )


def test_the_first_user_comes_from_the_file_and_must_choose_a_password(people, home, quick):
    home.passwords.write_text(INITIAL)
    assert people.first()
    user = people.check("admin", "first-word")
    assert user.role is ADMIN and user.fresh and not user.seen
    assert people.check("admin", "other-word") is None and people.get("mvuser") is None
    home.passwords.write_text("manager eve another-word\n")
    assert people.first() and people.get("eve") is None  # only while there is nobody


def test_without_file_and_users_there_is_nobody(people, home):
    assert not people.first()
    home.passwords.write_bytes(b"manager\nmanager x\nmanager <b>x</b> y\n\xff\n")
    assert not people.first() and people.all() == []


@pytest.mark.parametrize(
    "before, after",
    [
        (INITIAL, "# Put them into a safe place.\nftp mvuser other-word\n"),
        ("# a remark\n\nmanager admin x\n", ""),
        ("manager ADMIN x", ""),
        ("ftp mvuser y\r\nmanager admin x\r\n", "ftp mvuser y\r\n"),
        ("manager eve x\nmanager admin y\n", "manager eve x\n"),
        ("ftp mvuser y\n", "ftp mvuser y\n"),
    ],
)
def test_only_the_users_line_goes(people, home, before, after):
    home.passwords.write_bytes(before.encode())
    home.passwords.chmod(0o600)
    assert people.clear("admin")
    assert home.passwords.read_bytes() == after.encode()
    assert home.passwords.stat().st_mode & 0o777 == 0o600
    assert not people.lies_there("admin")


def test_a_file_that_is_not_there_or_cannot_be_written_harms_nothing(people, home):
    assert people.clear("admin")
    home.passwords.mkdir()
    assert not people.clear("admin") and not people.lies_there()


def test_where_the_directory_is_not_ours_the_file_is_rewritten_in_place(people, home, monkeypatch):
    def denied(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("mv_iptel.files.replace", denied)
    home.passwords.write_text(INITIAL)
    before = home.passwords.stat().st_ino
    assert people.clear("admin") and not people.lies_there()
    assert home.passwords.read_text() == INITIAL.replace("manager admin first-word\n", "")
    assert home.passwords.stat().st_ino == before


@pytest.mark.parametrize("name", ["", ".x", "a b", "ä", "a/b", "<b>", "a:b", "x" * 61, "a\n", "-"])
def test_names_that_are_none(people, store, name):
    assert people.add(name, VIEWER, "whatever it is").kind == "invalid"
    assert people.count() == 0


def test_a_name_is_taken_in_capitals_too(people, store):
    known(people, store, anna=VIEWER)
    assert people.add("ANNA", VIEWER, "whatever it is").kind == "conflict"
    assert people.get("Anna").name == "anna"


def test_the_last_administrator_stays(people, store):
    known(people, store, anna=ADMIN, bert=ADMIN, cleo=OPERATOR)
    assert people.change("anna", OPERATOR).role is OPERATOR
    for refused in (
        people.change("bert", VIEWER),
        people.change("bert", disabled=True),
        people.remove("bert"),
    ):
        assert refused.kind == "conflict" and "last administrator" in refused.text
    assert people.get("bert").role is ADMIN
    assert people.change("anna", ADMIN, disabled=True).disabled
    assert people.remove("bert").kind == "conflict"  # who may not sign in is no help
    assert people.change("anna", disabled=False).role is ADMIN
    assert people.remove("bert").name == "bert"


def test_two_who_demote_each_other_at_once(people, store):
    known(people, store, anna=ADMIN, bert=ADMIN)
    start, done = threading.Barrier(2), []

    def demote(name):
        start.wait()
        done.append(people.change(name, VIEWER))

    threads = [threading.Thread(target=demote, args=(name,)) for name in ("anna", "bert")]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sum(isinstance(one, No) for one in done) == 1
    assert sum(one.role is ADMIN for one in people.all()) == 1


def test_a_change_is_for_the_state_that_was_read(people, store):
    known(people, store, anna=ADMIN, bert=VIEWER)
    old = people.get("bert")
    new = people.change("bert", OPERATOR, etag=old.etag)
    assert new.etag != old.etag
    for late in (people.change("bert", ADMIN, etag=old.etag), people.remove("bert", old.etag)):
        assert late.kind == "changed"
    assert people.remove("bert", new.etag).name == "bert"
    assert people.change("bert", ADMIN).kind == people.remove("bert").kind == "not-found"


def test_sessions_end_with_what_they_stood_for(people, store, quick):
    known(people, store, anna=ADMIN, bert=VIEWER)
    sessions = Sessions(store, people, 3600.0, lambda: 1000.0)
    ways = (
        lambda: people.change("bert", disabled=True),
        lambda: people.passwd("bert", "something else"),
        lambda: people.remove("bert"),
    )
    for way in ways:
        people.change("bert", disabled=False)
        token, other = (sessions.open(people.get(name), "192.0.2.1", "") for name in ("bert", "anna"))
        assert sessions.of(token) is not None
        way()
        assert sessions.of(token) is None and sessions.of(other) is not None
        assert store.ask("SELECT * FROM sessions WHERE user = 'bert'") == []


def test_a_removed_name_that_comes_again_has_no_old_session_and_another_etag(store, home, quick):
    now = [1000.0]
    people = People(store, home, lambda: now[0])
    known(people, store, anna=ADMIN)
    old = people.add("bert", VIEWER, "whatever it is")
    people.remove("bert")
    now[0] += 1
    assert people.add("bert", ADMIN, "whatever it is").etag != old.etag


def test_an_unknown_name_costs_what_a_known_one_costs(people, store, monkeypatch, quick):
    """Counted in hashes, not by the clock."""
    people.add("anna", VIEWER, "whatever it is")
    people.add("bert", VIEWER, "whatever it is")
    known(people, store, root=ADMIN)
    people.change("bert", disabled=True)
    hashes, real = [], module.passwords._hash
    monkeypatch.setattr("mv_iptel.passwords._hash", lambda *told: hashes.append(told[2:5]) or real(*told))
    for name in ("anna", "bert", "nobody", "", "x" * 500):
        hashes.clear()
        assert people.check(name, "wrong") is None
        assert len(hashes) == 1, name
    hashes.clear()
    assert people.check("nobody", "wrong") is None
    assert hashes[0][0] == 15  # the full cost, as those that `make` stores


def test_few_hashes_at_once(people, store, monkeypatch):
    known(people, store, anna=VIEWER)
    lock, running, most = threading.Lock(), [0], [0]
    gate = threading.Event()

    def slow(stored, password):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        gate.wait(0.02)
        with lock:
            running[0] -= 1
        return False

    monkeypatch.setattr("mv_iptel.passwords.check", slow)
    threads = [threading.Thread(target=people.check, args=("anna", "x")) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert most[0] == module.AT_ONCE


def test_no_more_than_so_many(people, store, monkeypatch, quick):
    monkeypatch.setattr(module, "MOST", 2)
    known(people, store, anna=ADMIN, bert=VIEWER)
    assert people.add("cleo", VIEWER, "whatever it is").kind == "conflict"


@pytest.mark.parametrize(
    "password, fine",
    [
        ("short", False), ("123456789012", False), ("aaaaaaaaaaaaa", False), ("Password123", False),
        ("anna12345x", False), ("annaanna", False), ("x" * 1001, False), ("ababababab", False),
        ("correct horse battery", True), ("Grüße aus Köln", True), ("anna likes her horses", True),
    ],
)  # fmt: skip
def test_passwords_that_are_guessed_first_are_not_taken(password, fine):
    assert (poor(password, "anna") == "") is fine


def test_made_up_passwords_and_roles():
    found = {made_up() for _ in range(50)}
    assert len(found) == 50 and not any(poor(one, "anna") for one in found)
    assert role_of("operator") is OPERATOR and role_of("OPERATOR") is None and role_of("") is None


def test_a_users_secret_is_told_nowhere(people, store, quick):
    made = people.add("anna", VIEWER, "whatever it is")
    assert "scrypt" not in repr(made) and "scrypt" not in str(made.told())
