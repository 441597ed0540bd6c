"""The users as JSON: added, given another role, kept out, given another password, removed."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from aiohttp import web

from manager.call import Call
from manager.people import No, User, made_up, role_of
from manager.problems import Problem
from manager.routing import ADMINISTRATOR, Role, Route

T = TypeVar("T")


async def _all(call: Call) -> web.StreamResponse:
    limit, offset = call.number("limit", 100, 1, 200), call.number("offset", 0)
    found = await call.run(call.site.people.all, limit, offset)
    total = await call.run(call.site.people.count)
    more = offset + len(found) < total and found
    return call.json({
        "items": [{**one.told(), "etag": one.etag} for one in found], "total": total,
        "next": f"/api/v1/users?limit={limit}&offset={offset + limit}" if more else None,
    })  # fmt: skip


async def _one(call: Call) -> web.StreamResponse:
    user = await _named(call)
    return call.json(user.told(), etag=user.etag)


async def _add(call: Call) -> web.StreamResponse:
    told = await _document(call, {"name", "role"})
    name, role = call.text(told, "name", 60).strip(), _role(call.text(told, "role", 20))
    password = made_up()
    async with _turn(call):
        user = _done(await call.run(call.site.people.add, name, role, password), "name")
    await call.audit("user added", user.name, after=_words(user))
    place = f"/api/v1/users/{user.name}"
    # The only time that it is shown: nobody can look it up later.
    return call.json({**user.told(), "password": password}, 201, user.etag, {"Location": place})


async def _change(call: Call) -> web.StreamResponse:
    """`role`, `disabled`, or both."""
    old = await _named(call)
    told = await _document(call, {"role", "disabled"})
    role = _role(call.text(told, "role", 20)) if "role" in told else None
    disabled = told.get("disabled")
    if disabled is not None and not isinstance(disabled, bool):
        raise _invalid("disabled", "true or false")
    _not_oneself(call, old)
    call.match(old.etag)
    user = _done(await call.run(call.site.people.change, old.name, role, disabled, old.etag))
    await call.audit("user changed", user.name, _words(old), _words(user))
    return call.json(user.told(), etag=user.etag)


async def _reset(call: Call) -> web.StreamResponse:
    """A made-up password, shown once; the user chooses his own with it."""
    old = await _named(call)
    await _document(call, set())
    _not_oneself(call, old, "choose another one on your account's page")
    call.match(old.etag)
    password = made_up()
    async with _turn(call):
        user = _done(await call.run(call.site.people.passwd, old.name, password, True, old.etag))
    await call.run(call.site.people.clear, user.name)
    await call.audit(
        "password reset", user.name, after="all sessions ended; the next sign-in asks for a new one"
    )
    return call.json({**user.told(), "password": password}, etag=user.etag)


async def _remove(call: Call) -> web.StreamResponse:
    old = await _named(call)
    _not_oneself(call, old)
    call.match(old.etag)
    _done(await call.run(call.site.people.remove, old.name, old.etag))
    await call.run(call.site.people.clear, old.name)
    await call.audit("user removed", old.name, before=_words(old))
    return call.nothing()


async def _sign_out(call: Call) -> web.StreamResponse:
    """End all sessions of a user."""
    user = await _named(call)
    count = await call.run(call.site.sessions.end_all, user.name)
    await call.audit("signed out", f"{user.name}: {count} sessions")
    return call.nothing()


def _turn(call: Call) -> AbstractAsyncContextManager[None]:
    """While a password is computed: one at a time for each administrator."""
    assert call.user is not None
    own = f" users by {call.user.name}"  # no name of a sign-in begins with a blank
    return call.site.delays.turn(own, own)


async def _named(call: Call) -> User:
    user = await call.run(call.site.people.get, call.path["name"])
    if user is None:
        raise Problem("not-found", "there is no such user")
    return user


async def _document(call: Call, fields: set[str]) -> dict[str, object]:
    """The document, which has no other fields: a mistyped one must not be passed over."""
    told = await call.document()
    for field in told:
        if field not in fields:
            raise _invalid(field[:40], "there is no such field")
    return told


def _not_oneself(call: Call, user: User, instead: str = "another administrator does that for you") -> None:
    assert call.user is not None
    if user.name == call.user.name:
        raise Problem("conflict", f"this is yourself; {instead}")


def _done(answer: T | No, field: str = "") -> T:
    if isinstance(answer, No):
        errors = {"errors": [{"field": field, "text": answer.text}]} if field else {}
        raise Problem(answer.kind, answer.text, **errors)
    return answer


def _role(word: str) -> Role:
    role = role_of(word)
    if role is None:
        raise _invalid("role", "one of " + ", ".join(one.word for one in Role))
    return role


def _words(user: User) -> str:
    return user.role.word + (", kept out" if user.disabled else "")


def _invalid(field: str, text: str) -> Problem:
    return Problem("invalid", f"{field}: {text}", errors=[{"field": field, "text": text}])


ROUTES = (
    Route("GET", "/api/v1/users", _all, ADMINISTRATOR),
    Route("POST", "/api/v1/users", _add, ADMINISTRATOR),
    Route("GET", "/api/v1/users/{name}", _one, ADMINISTRATOR),
    Route("PATCH", "/api/v1/users/{name}", _change, ADMINISTRATOR),
    Route("DELETE", "/api/v1/users/{name}", _remove, ADMINISTRATOR),
    Route("POST", "/api/v1/users/{name}/password", _reset, ADMINISTRATOR),
    Route("DELETE", "/api/v1/users/{name}/sessions", _sign_out, ADMINISTRATOR),
)
