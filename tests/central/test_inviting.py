"""The line of an invitation: what is written is read, whatever a mail did to it; nothing else is taken."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mv_iptel.central import inviting

INVITE = inviting.Invite(("10.0.0.5", "fd00::5", "centre.example"), 6093, "ab" * 32, "x" * 43)


def line_of(**told):
    data = {"a": ["10.0.0.5"], "p": 6093, "f": "ab" * 32, "t": "x" * 43, **told}
    return inviting.MARK + base64.urlsafe_b64encode(json.dumps(data).encode()).decode()


def test_what_is_written_is_read():
    assert INVITE.line.startswith("mv-iptel central join mvc1:") and "\n" not in INVITE.line
    assert inviting.parse(INVITE.line) == INVITE
    assert inviting.parse(INVITE.line.split()[-1]) == INVITE
    assert inviting.parse(line_of()).addresses == ("10.0.0.5",)


@pytest.mark.parametrize("harm", [
    lambda text: f"  {text}\r\n", lambda text: f'"{text}"', lambda text: text[:60] + "\n" + text[60:],
    lambda text: "\r\n ".join(text[at : at + 40] for at in range(0, len(text), 40)),
    lambda text: text + "==",
])  # fmt: skip
def test_what_a_mail_does_to_it(harm):
    assert inviting.parse(harm(INVITE.line)) == INVITE


@pytest.mark.parametrize("text", [
    "", "hello", "mvc1:", "mvc1:%%%", "mvc1:aGVsbG8", "mvc2:" + INVITE.line.split(":")[1],
    INVITE.line[:-9], "mvc1:" + "A" * 5000, line_of(a=[]), line_of(a=["10.0.0.5"] * 9), line_of(a="10.0.0.5"),
    line_of(a=["ex ample"]), line_of(a=["http://x/"]), line_of(a=[1]), line_of(p=0), line_of(p=70000),
    line_of(p="6093"), line_of(p=True), line_of(f="AB" * 32), line_of(f=""), line_of(t="short"), line_of(t=5),
    line_of(t="x" * 300), "mvc1:" + base64.urlsafe_b64encode(b"[" * 2000).decode(),
])  # fmt: skip
def test_what_is_none(text):
    with pytest.raises(ValueError) as told:
        inviting.parse(text)
    assert len(text) < 20 or text[-20:] not in str(told.value)


def test_the_token_is_not_shown():
    assert INVITE.token not in repr(INVITE)


@given(st.text(max_size=200))
def test_any_text_ends_in_a_sentence(text):
    with pytest.raises(ValueError):
        inviting.parse(inviting.MARK + text)
