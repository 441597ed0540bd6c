"""Signing in and out over HTTP: the first password, delays, cookies, where it leads, other sites' pages."""

from __future__ import annotations

import re
import threading
from urllib.parse import quote, urlencode

import pytest

from manager import delaying
from manager.guarding import cookie_name
from manager.pages.signin import back
from manager.routing import Role
from tests.clients.manager import NEW, Person
from tests.manager.here import PASSWORD, Here, made

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Hashes of little cost: the tests are about who gets in, not how long that takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mv_iptel.passwords._COST", 2)
        yield


@pytest.fixture(scope="module")
def clock():
    """The one that delays go by."""
    return [1_000_000.0]


@pytest.fixture(scope="module")
def here(tmp_path_factory, quick, clock):
    with Here(made(tmp_path_factory.mktemp("home"))) as running:
        running.site.delays = delaying.Delays(running.site.store, lambda: clock[0])
        running.person(Role.OPERATOR, "anna")
        yield running


@pytest.fixture(autouse=True)
def calm(here):
    """No test waits for what another one failed."""
    here.site.store.change("DELETE FROM failures")


def posted(person, name, password, to="", **headers):
    form = urlencode({"name": name, "password": password, "to": to}).encode()
    return person.ask("POST", "/sign-in", form, {**FORM, **headers})


def test_right_and_wrong(here, clock):
    person = Person(here)
    for name, password in (
        ("anna", "wrong"),
        ("nobody", PASSWORD),
        ("", ""),
        ("anna", "x" * 5000),
        ("a" * 500, "x"),
    ):
        answer = posted(person, name, password)
        assert answer.status == 403 and "do not belong together" in answer.text and not person.cookies
        clock[0] += 1000
    answer = posted(person, " Anna ", PASSWORD, "/phones?q=a&page=2")
    assert answer.status == 303 and answer.headers["Location"] == "/phones?q=a&page=2"
    assert person.get("/account").status == 200


def test_the_answer_to_an_unknown_name_is_that_to_a_known_one(here, clock):
    answers = []
    for name in ("anna", "nora"):
        answer = posted(Person(here), name, "wrong")
        headers = {key for key in answer.headers if key != "Date"}
        answers.append((answer.status, headers, answer.text.replace(name, "NAME")))
        clock[0] += 1000
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    "to, leads",
    [
        ("/log", "/log"), ("", "/"), ("//evil.example/", "/"), ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/a\r\nSet-Cookie: x=y", "/"), ("javascript:alert(1)", "/"), ("/\t/evil.example", "/"),
        ("/phones/ä", "/phones/%C3%A4"), ("/a%2f%2fb", "/a%2f%2fb"), ('/"><script>', "/%22%3E%3Cscript%3E"),
    ],
)  # fmt: skip
def test_it_leads_nowhere_but_to_our_pages(to, leads):
    assert back(to) == leads


def test_who_is_signed_in_already_is_sent_on(here):
    person = here.person(Role.OPERATOR, "anna")
    answer = person.get("/sign-in?to=" + quote("//evil.example"))
    assert answer.status == 303 and answer.headers["Location"] == "/"


def test_guessing_over_http_gets_slower_and_slower(here, clock):
    """Brute force: twelve wrong passwords take more than half an hour, and the right one waits as well."""
    waited = 0
    for count in range(12):
        assert posted(Person(here), "anna", f"guess {count}").status == 403
        refused = posted(Person(here), "anna", PASSWORD)
        assert refused.status == 429 and "Too many attempts" in refused.text
        assert posted(Person(here), "bert", "x").status == 429  # another name, the same address
        waited += int(refused.headers["Retry-After"])
        clock[0] += int(refused.headers["Retry-After"])
    assert waited > 1800
    assert posted(Person(here), "anna", PASSWORD).status == 303
    assert posted(Person(here), "anna", "wrong").status == 403  # his counter begins anew
    assert posted(Person(here), "anna", PASSWORD).headers["Retry-After"] == "1"


def test_who_is_at_work_already_notices_nothing_of_it(here, clock):
    person = here.person(Role.OPERATOR, "anna")
    for _ in range(3):
        assert posted(Person(here), "anna", "wrong").status == 403
        assert person.get("/account").status == 200
        clock[0] += 1000


def test_guesses_that_come_at_once_count_one_by_one(here):
    """The right password is among them; only what is looked at first can be it."""
    before = len([row for row in here.site.audit.last(500) if row["action"] == "sign-in failed"])
    answers = []
    guesses = [
        threading.Thread(target=lambda: answers.append(posted(Person(here), "anna", "no").status))
        for _ in range(8)
    ]
    for one in guesses:
        one.start()
    for one in guesses:
        one.join()
    assert sorted(answers) == [403] + [429] * 7
    after = len([row for row in here.site.audit.last(500) if row["action"] == "sign-in failed"])
    assert after - before == 1


def test_the_session_is_always_a_new_one(here):
    """Fixation: a cookie that somebody planted before is worth nothing after."""
    name = cookie_name(here.site)
    person = Person(here)
    person.cookies[name] = planted = "planted-by-somebody"
    assert posted(person, "anna", PASSWORD).status == 303
    assert person.cookies[name] != planted
    eve = Person(here)
    eve.cookies[name] = planted
    assert eve.get("/account").status == 303
    # Signing in once more ends what the browser had: no forgotten session stays behind.
    old = dict(person.cookies)
    assert posted(person, "anna", PASSWORD).status == 303
    eve.cookies = old
    assert eve.get("/account").status == 303 and person.get("/account").status == 200


def test_a_session_of_another_is_not_taken_over_by_signing_in_over_it(here):
    eve = here.person(Role.VIEWER, "eve")
    stolen = dict(eve.cookies)
    assert posted(eve, "anna", PASSWORD).status == 303
    thief = Person(here)
    thief.cookies = stolen
    assert thief.get("/account").status == 303


def test_the_cookie(here):
    answer = posted(Person(here), "anna", PASSWORD)
    told = answer.headers["Set-Cookie"]
    assert "HttpOnly" in told and "SameSite=Lax" in told and "Path=/" in told and "Domain" not in told
    assert "Max-Age" not in told and "expires" not in told  # it goes with the browser
    assert re.search(r"mv_session=[\w-]{43};", told)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"}, {"Host": "evil.example"},
    ],
)  # fmt: skip
def test_no_other_sites_page_signs_anybody_in(here, headers):
    """Login CSRF: the victim would work in the attacker's account."""
    answer = posted(Person(here), "anna", PASSWORD, **headers)
    assert answer.status == 403 and "Set-Cookie" not in answer.headers
    # Nor does it count as a failure: no page on the web locks anybody out.
    assert here.site.store.ask("SELECT * FROM failures") == []


def test_a_body_that_is_no_form(here):
    for body in (b"", b"\xff\xfe", b"name", b"&" * 1000, b"\0" * 99, b"name=" + b"%00" * 50):
        here.site.store.change("DELETE FROM failures")
        assert Person(here).ask("POST", "/sign-in", body, FORM).status in (400, 403), body
    assert Person(here).ask("POST", "/sign-in", b"x" * 70_000, FORM).status == 413


def test_what_was_typed_is_shown_as_text_and_the_password_never(here):
    answer = posted(Person(here), '"><script>alert(1)</script>', "my-own-password", '"><b>')
    assert "<script>alert" not in answer.text and '"><b>' not in answer.text
    assert "my-own-password" not in answer.text
    stored = str(here.site.audit.last(500)) + str(here.site.store.ask("SELECT * FROM failures"))
    assert "script" not in stored and "my-own-password" not in stored


def test_signing_out_ends_it_on_the_server(here):
    person = here.person(Role.OPERATOR, "anna")
    kept = dict(person.cookies)
    answer = person.call("DELETE", "/api/v1/session")
    assert answer.status == 204 and 'session="";' in answer.headers["Set-Cookie"]
    person.cookies = kept
    assert person.get("/account").status == 303
    assert Person(here).call("DELETE", "/api/v1/session").status == 204  # twice is no fault


def test_the_first_password_leaves_its_file_when_it_is_used(tmp_path):
    """And must be changed before anything else; the line of the FTP superuser stays."""
    with Here(made(tmp_path)) as here:
        here.site.people.first()
        person = Person(here)
        person.manager = here
        file = here.home.passwords
        name, password = re.search(r"^manager (\S+) (\S+)$", file.read_text(), re.MULTILINE).groups()
        assert posted(Person(here), name, "wrong").status == 403
        assert "manager admin" in file.read_text()
        here.site.store.change("DELETE FROM failures")
        answer = posted(person, name, password, "/log")
        assert answer.headers["Location"] == "/account"
        assert (
            "manager" not in file.read_text().replace("mv-iptel init", "")
            and "ftp mvuser" in file.read_text()
        )
        for path in ("/", "/users", "/api/v1/users", "/api/v1/account/sessions"):
            assert person.get(path).status in (303, 403), path
        person.csrf = re.search(r'name="csrf" content="([^"]+)"', person.get("/account").text)[1]
        told = {"old": password, "new": NEW, "again": NEW}
        assert person.call("PUT", "/api/v1/account/password", told).status == 204
        assert person.get("/users").status == 200


def test_a_file_that_cannot_be_changed_keeps_nobody_out(tmp_path, monkeypatch):
    def broken(path, *_):
        raise OSError(30, "Read-only file system", str(path))

    with Here(made(tmp_path)) as here:
        here.site.people.first()
        name, password = re.search(
            r"^manager (\S+) (\S+)$", here.home.passwords.read_text(), re.MULTILINE
        ).groups()
        monkeypatch.setattr("mv_iptel.files.replace", broken)
        person = Person(here)
        assert posted(person, name, password).status == 303
        person.csrf = re.search(r'name="csrf" content="([^"]+)"', person.get("/account").text)[1]
        told = {"old": password, "new": NEW, "again": NEW}
        assert person.call("PUT", "/api/v1/account/password", told).status == 204
        for page in ("/account", "/users"):
            assert "initial-passwords.txt" in person.get(page).text
