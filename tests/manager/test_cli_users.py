"""The command `mv-manager user`: what it changes, says and refuses, and that the trail knows."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from manager.audit import Audit
from manager.cli import group
from manager.people import People
from manager.store import Store
from mv_iptel.home import Home
from tests.manager.here import made


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return made(tmp_path_factory.mktemp("home"))


@pytest.fixture
def home(source, tmp_path, monkeypatch):
    """A home with its ini files and first password; hashes of little cost."""
    monkeypatch.setattr("mv_iptel.passwords._COST", 2)
    for path in (source.ini, source.manager_ini, source.passwords):
        copy = tmp_path / path.relative_to(source.root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    return Home(tmp_path)


@pytest.fixture
def run(home):
    """`run(*words)`: what the command prints (output, errors); its exit code must be `code`."""

    def ran(*words: str, code: int = 0, given: str = "") -> tuple[str, str]:
        words = (*words, "--home", str(home.root))
        done = CliRunner().invoke(group, ["user", *words], catch_exceptions=False, input=given)
        assert done.exit_code == code, (done.stdout, done.stderr)
        return done.stdout, done.stderr

    return ran


@pytest.fixture
def kept(home):
    """The manager's users, as another process has them."""
    store = Store(home.manager / "data" / "manager.db")
    yield People(store, home), Audit(store)
    store.close()


def test_a_new_home_has_its_first_administrator(run):
    told = json.loads(run("list", "--json")[0])["users"]
    assert [(one["name"], one["role"], one["fresh"]) for one in told] == [("admin", "administrator", True)]
    assert "must choose a password" in run("list")[0]


def test_a_user_who_is_added_can_sign_in_with_the_password_that_is_shown(run, kept):
    told = json.loads(run("add", "anna", "--role", "operator", "--json")[0])
    people, audit = kept
    user = people.check("anna", told["password"])
    assert user.role.word == told["role"] == "operator" and user.fresh
    out, _ = run("add", "bert")
    assert people.check("bert", out.split()[-1]).role.word == "viewer"
    row = audit.last()[0]
    assert row["who"].startswith("console:") and (row["action"], row["what"]) == ("user added", "bert")
    assert told["password"] not in str(audit.last()) and out.split()[-1] not in str(audit.last())


def test_a_password_from_a_pipe(run, kept):
    out, _ = run("add", "anna", "--ask", given="correct horse battery\n")
    assert "password" not in out.lower()
    assert not kept[0].check("anna", "correct horse battery").fresh
    assert "at least 10" in run("passwd", "anna", "--ask", given="short\n", code=2)[1]
    assert "at least 10" in run("passwd", "anna", "--ask", code=2)[1]
    run("passwd", "anna", "--ask", given="another horse, another battery\r\n")
    assert kept[0].check("anna", "another horse, another battery")


def test_a_forgotten_password_is_made_anew_and_the_first_one_goes_from_its_file(run, kept, home):
    assert "manager admin" in home.passwords.read_text()
    told = json.loads(run("passwd", "admin", "--json")[0])
    assert kept[0].check("admin", told["password"]).fresh
    assert "manager admin" not in home.passwords.read_text() and "ftp mvuser" in home.passwords.read_text()


def test_roles_and_removal(run, kept):
    run("add", "anna")
    assert "anna is administrator now" in run("role", "anna", "administrator")[0]
    run("remove", "admin")
    assert kept[0].get("admin") is None
    assert "last administrator" in run("remove", "anna", code=1)[1]
    assert "last administrator" in run("role", "anna", "viewer", code=1)[1]
    changed = next(row for row in kept[1].last() if row["action"] == "user changed")
    assert (changed["before"], changed["after"]) == ("viewer", "administrator")


def test_a_role_lets_in_again_who_was_kept_out(run, kept):
    run("add", "anna")
    kept[0].change("anna", disabled=True)
    assert "kept out" in run("list")[0]
    run("role", "anna", "viewer")
    assert not kept[0].get("anna").disabled


@pytest.mark.parametrize(
    "words, code, told",
    [
        (("add", "a b"), 2, "a name has letters"),
        (("add", "admin"), 1, "there is a user admin already"),
        (("add", "anna", "--role", "root"), 2, "'root' is not one of"),
        (("passwd", "nobody"), 1, "no such user"),
        (("role", "nobody", "viewer"), 1, "no such user"),
        (("remove", "nobody"), 1, "no such user"),
    ],
)
def test_what_is_refused(run, words, code, told):
    assert told in run(*words, code=code)[1]


def test_no_home_no_users(tmp_path):
    done = CliRunner().invoke(group, ["user", "list", "--home", str(tmp_path / "x")])
    assert done.exit_code == 2 and "mv-iptel init" in done.stderr
    assert not (tmp_path / "x").exists()


def test_the_home_may_stand_before_the_words(home):
    done = CliRunner().invoke(group, ["--home", str(home.root), "user", "list"])
    assert done.exit_code == 0 and "admin" in done.stdout


def test_a_database_that_is_none(run, home):
    path = home.manager / "data" / "manager.db"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"this is no database at all" * 99)
    assert "not a database" in run("list", code=1)[1]


def test_every_command_shows_examples():
    for words in ((), ("list",), ("add",), ("passwd",), ("role",), ("remove",)):
        done = CliRunner().invoke(group, ["user", *words, "--help"])
        assert done.exit_code == 0 and f"mv-manager user {' '.join(words)}" in done.stdout, words
