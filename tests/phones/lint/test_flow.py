"""Who may come to which line, which lines nobody reads, and which sections run together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mv_iptel.phones.lint.flow import walk
from mv_iptel.phones.lint.phones import Kind, Phones, kinds_of, readers_of, strange_models
from mv_iptel.phones.lint.sections import dead, falls
from mv_iptel.phones.script import parse


def flowing(text: str, strange=()):
    script, phones = parse("46xxsettings.txt", text.encode()), Phones(strange)
    return script, phones, walk(script, phones, phones.all)


def families(text: str, line: int) -> set[str] | None:
    """The families that may read a line."""
    script, phones, flow = flowing(text)
    index = next(at for at, each in enumerate(script.statements) if each.line == line)
    found = phones.families(flow.reach[index])
    return None if found is None else set(found)


def test_models_are_told_apart():
    text = "IF $MODEL4 SEQ 9640 GOTO A\nSET L2Q 0\nGOTO END\n# A\nSET L2Q 1\n# END\nSET L2Q 2"
    assert families(text, 5) == {"96x0", "96x0-sip"}
    assert {"96x0", "96x1", "4600", "16xx", "J100", "J100-sip", "K1xx", "B189"} <= families(text, 2)
    assert families(text, 7) == families(text, 1)


def test_a_family_that_does_not_know_the_variable_passes_over_the_line():
    text = "IF $MODEL4 SEQ 4620 GOTO A\nGOTO END\n# A\nSET L2Q 0\n# END"
    assert families(text, 4) == set()
    text = "IF $SIG_IN_USE SEQ SIP GOTO A\nGOTO END\n# A\nSET L2Q 0\n# END"
    assert families(text, 4) == {"96x1-sip", "J100-sip", "K1xx"}
    text = "IF $SIG SEQ 2 GOTO A\nIF $MODEL4 SEQ 9620 GOTO B\n# A\nGOTO END\n# B\nSET L2Q 0\n# END"
    assert families(text, 6) == {"96x0"}


def test_what_is_not_known_goes_both_ways():
    for condition in (
        "$GROUP SEQ 876",
        "$VPNACTIVE SEQ 1",
        "$BOOTNAME SEQ x",
        "$L2QVLAN SEQ 5",
        "$NOBODY SEQ 1",
    ):
        text = f"IF {condition} GOTO A\nSET L2Q 0\nGOTO END\n# A\nSET L2Q 1\n# END"
        assert families(text, 2) == families(text, 5) != set()


def test_newer_software_than_the_table_boots():
    text = (
        "IF $MODEL4 SEQ J189 GOTO A\nGOTO Z\n# A\nIF $SIG_IN_USE SEQ H323 GOTO B\nGOTO Z\n# B\nSET L2Q 1\n# Z"
    )
    assert families(text, 7) == {"J100"}


def test_a_model_that_is_not_known_has_no_family():
    _, phones, flow = flowing("IF $MODEL4 SEQ J199 GOTO A\nGOTO END\n# A\nSET L2Q 1\n# END", ["J199"])
    assert flow.reach[3] and phones.families(flow.reach[3]) is None
    assert strange_models(["J199", "9641G", "acw", "x y"]) == ["J199", "acw"]


def test_upgrade_scripts_have_their_readers():
    phones = Phones()
    assert phones.families(phones.first("96XXupgrade.TXT")) == ["96x0", "96x0-sip"]
    assert phones.first("46xxsettings.txt") == phones.all
    assert readers_of("fxd_16xxupgrade.txt") == ("16xx",)
    assert kinds_of("J179", "j100-SIP") == (Kind("J179", "J100-sip"),)
    assert kinds_of("9999") == ()


DEAD = {
    "below a jump": ("GOTO END\nSET L2Q 0\nSET L2Q 1\n# END", [(2, 3)]),
    "below a tag that nobody asks for": ("GOTO END\n# A\nGET x.txt\n# END", [(3, 3)]),
    "a section whose jump is dead": (
        "GOTO END\n# A\nIF $GROUP SEQ 1 GOTO B\nGOTO END\n# B\nSET L2Q 0\n# END",
        [(6, 6)],
    ),
    "two of them": ("GOTO A\nSET L2Q 0\n# A\nGOTO END\nSET L2Q 1\n# END", [(2, 2), (5, 5)]),
    "only a jump": ("GOTO END\n# A\nGOTO END\n# END", []),
    "behind a jump without its tag": ("GOTO NOWHERE\nSET L2Q 0", []),
    "at the end": ("# A\nGOTO END\n# END\nSET L2Q 0", []),
}


@pytest.mark.parametrize("name", DEAD)
def test_dead_lines(name):
    text, wanted = DEAD[name]
    script, _, flow = flowing(text)
    assert [(one.first, one.last) for one in dead(script, flow)] == wanted


SORTED = "IF $GROUP SEQ 1 GOTO A\nIF $GROUP SEQ 2 GOTO B\nGOTO END\n"
FALLS = {
    "a section without its end": (SORTED + "# A\nSET L2Q 0\n# B\nSET L2Q 1\n# END", [6]),
    "three in a row": (
        "IF $GROUP SEQ 3 GOTO C\n" + SORTED + "# A\nSET L2Q 0\n# B\nSET L2Q 1\n# C\nSET L2Q 2\n# END",
        [7, 9],
    ),
    "each with its end": (SORTED + "# A\nSET L2Q 0\nGOTO END\n# B\nSET L2Q 1\n# END", []),
    "two names of one section": (SORTED + "# A\n# B\nSET L2Q 1\n# END", []),
    "a place that skips some lines": ("IF $GROUP SEQ 1 GOTO A\nSET L2Q 0\n# A\nSET L2Q 1", []),
    "two of those": (
        "IF $GROUP SEQ 1 GOTO A\nSET L2Q 0\n# A\nIF $GROUP SEQ 2 GOTO B\nSET L2Q 1\n# B\nSET L2Q 2",
        [],
    ),
    "a place that others go on at": (
        "IF $GROUP SEQ 1 GOTO A\nGOTO B\n# A\nSET L2Q 0\n# B\nSET L2Q 1",
        [],
    ),
    "a section for all by its name": (
        SORTED.replace("B", "COMMON") + "# A\nSET L2Q 0\n# COMMON\nSET L2Q 1\n# END",
        [],
    ),
    "nothing is set below": (SORTED + "# A\nSET L2Q 0\n# B\n## SET L2Q 1\n# END", []),
    "no way for the others": ("IF $GROUP SEQ 1 GOTO A\n# A\nSET L2Q 0", [2]),
    "no way, and nobody left": (
        "IF $MODEL4 SEQ 9640 GOTO M\nGOTO END\n# M\nIF $MODEL4 SEQ 9640 GOTO A\n# A\nSET L2Q 0\n# END",
        [],
    ),
    "settings that are switched off": (
        "IF $GROUP SEQ 1 GOTO A\n## for the others\n## SET L2Q 1\n## SET L2QVLAN 1\n# A\nSET L2Q 0",
        [],
    ),
}


@pytest.mark.parametrize("name", FALLS)
def test_sections_that_run_together(name):
    text, wanted = FALLS[name]
    script, _, flow = flowing(text)
    assert [one.tag.line for one in falls(script, flow)] == wanted


WORDS = st.sampled_from(
    [
        "SET L2Q 1",
        "# A",
        "# B",
        "# C",
        "GOTO A",
        "GOTO B",
        "GOTO C",
        "IF $GROUP SEQ 1 GOTO A",
        "IF $MODEL4 SEQ 9640 GOTO B",
        "IF $MODEL4 SEQ J179 GOTO C",
        "GET x",
    ]
)


@given(st.lists(WORDS, max_size=30))
def test_who_comes_to_a_line_is_never_too_few(lines):
    """Every line that the evaluator takes for some phone is one that the phone may come to."""
    from mv_iptel.phones.evaluate import Evaluation
    from mv_iptel.phones.families import Handset

    script, phones, flow = flowing("\n".join(lines))
    for model, group in (("9640", "0"), ("9640", "1"), ("J179", "1"), ("4621SW", "0"), ("1616", "1")):
        handset = Handset(model, group=group)
        evaluation = Evaluation(handset.variables(), handset.family.switches, handset.identity())
        reading = evaluation.run("x")
        next(reading)
        answer = "\n".join(lines).encode()
        try:
            while True:
                reading.send(answer)
                answer = None
        except StopIteration:
            pass
        mine = phones.of_families([handset.family.name])
        taken = {step.line for step in evaluation.trace}
        for index, each in enumerate(script.statements):
            if each.line in taken:
                assert flow.reach[index] & mine, (each, handset)
                assert flow.alive[index]
