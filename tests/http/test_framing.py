"""Where bodies end: both framings give the same content however they are cut, and what follows them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mv_iptel.http.framing import MAX_HEAD, Chunks, Counted, ProtocolError


@given(st.binary(max_size=200), st.binary(max_size=20), st.integers(1, 50))
def test_a_counted_body(content, rest, step):
    counted, got, data = Counted(len(content)), b"", content + rest
    assert counted.done is not bool(content)
    for at in range(0, len(data), step):
        if not counted.done:
            got += counted.receive(data[at : at + step])
        else:
            counted.rest += data[at : at + step]
    assert (got, counted.rest, counted.done, counted.count) == (content, rest, True, len(content))


def test_a_counted_body_that_is_not_all_there():
    counted = Counted(5)
    assert counted.receive(b"123") == b"123"
    assert (counted.done, counted.rest, counted.over) == (False, b"", False)


@pytest.mark.parametrize(
    "wrong", [b"xyz\r\n", b"-1\r\n", b"2\r\nabc\r\n", b"1" * 300, b"1 2\r\n", b"\r\n", b"1;a\rb\r\n"]
)
@pytest.mark.parametrize("step", [1, 1000])
def test_chunks_that_could_be_read_in_two_ways(wrong, step):
    chunks = Chunks()
    with pytest.raises(ProtocolError):
        for at in range(0, len(wrong), step):
            chunks.receive(wrong[at : at + step])


def test_a_limit_and_what_lies_between():
    chunks = Chunks(limit=10)
    assert chunks.receive(b"b\r\n12345678901") == b"12345678901"
    assert chunks.over
    chunks = Chunks()
    chunks.receive(b"1;" + b"x" * 200 + b"\r\ny\r\n")
    assert not chunks.over
    for _ in range(MAX_HEAD // 200):
        chunks.receive(b"1;" + b"x" * 200 + b"\r\ny\r\n")
    assert chunks.over
