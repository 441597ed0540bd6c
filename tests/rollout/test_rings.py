"""Who is in a ring, as far as a server can tell."""

from __future__ import annotations

import pytest

from mv_iptel.rollout.rings import Clause, Ring, Stage, parse, stage_of


def ring(*texts: str) -> Ring:
    return Ring(parse(text) for text in texts)


@pytest.mark.parametrize(
    ("text", "address", "model", "held"),
    [
        ("to=10.1.0.0/16", "10.1.2.3", "", True),
        ("to=10.1.0.0/16", "10.2.2.3", "9640", ()),
        ("to=10.1.2.3", "10.1.2.3", "", True),
        ("to=2001:db8::/32", "2001:db8::7", "", True),
        ("to=2001:db8::/32", "10.1.2.3", "", ()),
        ("model=9640", "10.1.2.3", "9640", True),
        ("model=9640", "10.1.2.3", "9640G", True),
        ("model=9640", "10.1.2.3", "9640D01A", True),
        ("model=9640G", "10.1.2.3", "9640", ()),
        ("model=9640", "10.1.2.3", "", (Clause(("9640",), ()),)),
        ("model=9640G", "10.1.2.3", "", ()),
        ("group=5", "10.1.2.3", "9640", (Clause((), ("5",)),)),
        ("group=5 model=9640", "10.1.2.3", "9640", (Clause((), ("5",)),)),
        ("group=5 model=9640", "10.1.2.3", "", (Clause(("9640",), ("5",)),)),
        ("group=5 model=9640", "10.1.2.3", "J179", ()),
        ("to=10.1.0.0/16 group=5", "10.2.2.3", "9640", ()),
        ("to=10.1.0.0/16", "no address", "", ()),
    ],
)
def test_who_is_in(text, address, model, held):
    assert ring(text).holds(address, model) == held


def test_stages_add_up():
    both = ring("to=10.1.0.0/16 group=5", "model=J179")
    assert both.holds("10.1.0.1", "J179") is True
    assert both.holds("10.1.0.1", "9640") == (Clause((), ("5",)),)
    assert both.holds("10.1.0.1", "") == (Clause((), ("5",)), Clause(("J179",), ()))
    assert both.holds("10.9.0.1", "9640") == ()


def test_a_stage_as_people_write_it():
    assert parse("to=10.1.5.7/16, model=9620 group=05 group=7") == Stage(
        ("10.1.0.0/16",), ("9620",), ("5", "7")
    )
    assert parse("group=5").words() == "group 5"
    assert stage_of(["10.0.0.1"], ["96", "J179"], []).words() == "10.0.0.1/32, model 96 or J179"


@pytest.mark.parametrize(
    "text", ["", "to=", "to=10.1.0.0/40", "to=x", "group=1000", "group=x", "group=-1", "model=a b", "who=me",
             "group=٥", "model=96;rm", "to=10.1.0.0/16 x"]
)  # fmt: skip
def test_what_is_no_stage(text):
    with pytest.raises(ValueError, match=r"."):
        parse(text)
