"""The Authorization header: what phones send is read, anything else is no login, and nothing is told."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mv_iptel.http import credentials
from mv_iptel.library.answers import Login


def basic(text: str | bytes) -> bytes:
    data = text if isinstance(text, bytes) else text.encode()
    return b"Basic " + base64.b64encode(data)


@pytest.mark.parametrize(
    ("value", "user", "password"),
    [
        (basic("10.1.2.3:4711"), "10.1.2.3", "4711"),  # a 9600 set: its call server, its password
        (basic("a:b:c"), "a", "b:c"),
        (basic("a:"), "a", ""),
        (basic(":b"), "", "b"),
        (basic(":"), "", ""),
        (basic("é:ü"), "é", "ü"),
        (basic(b"\xe9:\xfc"), "é", "ü"),
        (basic("10.1.2.3:4711").rstrip(b"="), "10.1.2.3", "4711"),
        (b"BASIC   " + base64.b64encode(b"a:b") + b"  ", "a", "b"),
        (b"basic\t" + base64.b64encode(b"a:b"), "a", "b"),
    ],
)
def test_what_is_a_login(value, user, password):
    assert credentials.read(value, "tls") == Login(user, password, "tls")


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"Basic",
        b"Basic ",
        b"Basic !!!!",
        b"Basic YTpi YTpi",
        b"Basic =",
        basic("no colon"),
        basic("a:b\r\nX: y"),
        basic("a\0:b"),
        b"Digest username=a",
        b"Basic" + base64.b64encode(b"a:b"),
        b"Bearer " + base64.b64encode(b"a:b"),
        basic("a:" + "b" * credentials.MAX_CREDENTIALS),
    ],
)
def test_what_is_none(value):
    assert credentials.read(value, "tls") is None


@given(st.binary(max_size=80) | st.binary(max_size=60).map(basic))
def test_any_octets_are_a_login_or_none(value):
    login = credentials.read(value, "plain")
    if login is not None:
        assert (login.user + login.password).isprintable() or not (login.user + login.password).isascii()


def test_a_password_is_not_shown():
    assert "geheim" not in repr(credentials.read(basic("a:geheim"), "tls"))
