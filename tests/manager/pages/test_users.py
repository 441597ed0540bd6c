"""The page of users: what it shows, of whom, and what it offers."""

from __future__ import annotations

from manager.routing import Role


def test_everybody_and_what_he_may_do(here, admin):
    here.person(Role.OPERATOR, "otto")
    page = admin.get("/users").text
    assert "otto" in page and "also changes files, lists, firmware and user data" in page
    assert 'data-api="PATCH /api/v1/users/otto"' in page and 'data-api="DELETE /api/v1/users/otto"' in page
    # Oneself is changed on the account page; the API refuses it here.
    assert "/api/v1/users/administrator" not in page and 'href="/account"' in page


def test_no_secret_stands_on_it(here, admin):
    assert "scrypt" not in admin.get("/users").text


def test_a_first_password_that_lies_there_is_told(here, admin):
    assert "A first password still stands in" in admin.get("/users").text
    here.site.people.clear("admin")
    assert "A first password still stands in" not in admin.get("/users").text


def test_many_users_have_pages_of_a_size(here, admin):
    for number in range(200):
        here.site.store.change(
            "INSERT INTO users (name, password, role, added) VALUES (?, 'scrypt:', 1, 1)",
            f"{number:03}-" + "x" * 56,
        )
    answer = admin.get("/users")
    assert "page 1 of" in answer.text and len(answer.body) < 100 * 1024
    assert "otto" in admin.get("/users?page=7").text
