"""The script language played: each rule is a row of scripts, phone and what must come out."""

from __future__ import annotations

import time
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mv_iptel.phones.evaluate import JUMPS_BACK, READS, Ended, Evaluation, Switches
from mv_iptel.phones.families import FAMILIES

PHONE = {"MODEL4": "9640", "GROUP": "5", "SIG": "1", "MACADDR": "00040dABcdef", "BOOTNAME": "hb1.bin"}


def play(
    files: dict[str, bytes], switches: Switches | None = None, traced: bool = True
) -> tuple[Evaluation, Ended]:
    """Play `main` for a phone; what is not in `files` cannot be had."""
    evaluation = Evaluation(PHONE, switches or Switches(), traced=traced)
    running = evaluation.run("main")
    ask = next(running)
    try:
        while True:
            ask = running.send(files.get(ask.name))
    except StopIteration as stop:
        return evaluation, stop.value


def values(evaluation: Evaluation) -> dict[str, str]:
    return {name: found.value for name, found in evaluation.parameters.items()}


RULES = {
    "a condition that holds jumps": (b"IF $MODEL4 SEQ 9640 GOTO X\nSET A 1\n# X\nSET B 2", {"B": "2"}),
    "one that does not goes on": (b"IF $MODEL4 SEQ 9620 GOTO X\nSET A 1\n# X\nSET B 2", {"A": "1", "B": "2"}),
    "comparison without letter case": (b"IF $BOOTNAME SEQ HB1.BIN GOTO X\nSET A 1\n# X", {}),
    "variable names without letter case": (b"IF $model4 SEQ 9640 GOTO X\nSET A 1\n# X", {}),
    "an unknown variable: the line is ignored": (b"IF $NEVER SEQ 1 GOTO X\nSET A 1\n# X", {"A": "1"}),
    "a parameter that was set can be tested": (b"SET Z 1\nIF $Z SEQ 1 GOTO X\nSET A 1\n# X", {"Z": "1"}),
    "what the phone is beats what was set": (
        b"SET SIG 2\nIF $SIG SEQ 2 GOTO X\nSET A 1\n# X", {"SIG": "2", "A": "1"},
    ),
    "goto skips": (b"GOTO X\nSET A 1\n# X\nSET B 2", {"B": "2"}),
    "goto without its tag ends the file": (b"SET A 1\nGOTO X\nSET B 2\n## X\nSET C 3", {"A": "1"}),
    "a jump searches forward": (b"# X\nSET A 1\nGOTO X\nSET B 2\n# X\nSET C 3", {"A": "1", "C": "3"}),
    "a tag above only ends the file": (b"# X\nSET A 1\nGOTO X\nSET B 2", {"A": "1"}),
    "tags with their letter case": (b"GOTO x\nSET A 1\n# X\nSET B 2", {}),
    "the nearest of two tags": (b"GOTO X\n# X\nSET A 1\n# X\nSET B 2", {"A": "1", "B": "2"}),
    "the last value counts": (b"SET A 1\nSET a 2", {"A": "2"}),
    "the null value overrides": (b'SET A 1\nSET A ""', {"A": ""}),
    "get hands over and does not come back": (b"SET A 1\nGET more\nSET B 2", {"A": "1", "M": "1"}),
    "get that fails goes on": (b"GET absent\nSET B 2\nGET more", {"B": "2", "M": "1"}),
    "the mac in a value": (b"SET A x-$MACADDR.cfg", {"A": "x-00040dabcdef.cfg"}),
    "the mac in capitals": (b"SET A $MACADDR_UPPER", {"A": "00040DABCDEF"}),
    "the mac of the identity file in capitals": (
        b"SET PKCS12URL $MACADDR.p12", {"PKCS12URL": "00040DABCDEF.p12"},
    ),
    "the model in a value": (b"SET A d/$MODEL4/x", {"A": "d/9640/x"}),
    "other dollars are literal": (b"SET A $GROUP$X", {"A": "$GROUP$X"}),
    "a broken line is ignored": (b"SET A\nIF $MODEL4 SEQ 9640\nSET B 2", {"B": "2"}),
    "curly quotes leave the old value": ("SET A 1\nSET A “2”".encode(), {"A": "1"}),
    "indented lines are comments": (b"  SET A 1\n\tGOTO X\nSET B 2", {"B": "2"}),
    "text behind a quoted value is dropped": (b'SET A "1" # one', {"A": "1"}),
    "add has no known effect": (b"ADD A 1", {}),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_rule(rule):
    script, wanted = RULES[rule]
    evaluation, _ = play({"main": script, "more": b"SET M 1"})
    assert values(evaluation) == wanted


BAD_ENDS = (b"GOTO X", b"# X\nGOTO X", b"GET main", b"GET absent", b"SET\nGOTO X")


def test_without_a_trace_all_else_is_the_same():
    switches = Switches(search="whole", get_failure="stop")
    for script in (*BAD_ENDS, *(script for script, _ in RULES.values())):
        files = {"main": script, "more": b"SET M 1"}
        (told, ended), (silent, end) = (play(files, switches, traced) for traced in (True, False))
        assert (silent.assignments, silent.compared, silent.files) == (
            told.assignments, told.compared, told.files,
        )  # fmt: skip
        assert end == ended and not silent.trace


SWITCHES = {
    "old 4600: a failed get stops": (Switches(get_failure="stop"), b"GET absent\nSET B 2", {}),
    "get returns": (Switches(get_returns=True), b"GET more\nSET B 2", {"M": "1", "B": "2"}),
    "whole file": (Switches(search="whole"), b"GOTO B\n# A\nSET A 1\nGOTO E\n# B\nGOTO A\n# E", {"A": "1"}),
    "exact comparison": (
        Switches(compare="exact"),
        b"IF $BOOTNAME SEQ HB1.BIN GOTO X\nSET A 1\n# X",
        {"A": "1"},
    ),
    "folded tags": (Switches(tags="folded"), b"GOTO x\nSET A 1\n# X\nSET B 2", {"B": "2"}),
    "inline comments refuse the value": (Switches(inline_comment="refused"), b'SET A "1" # one', {}),
}


@pytest.mark.parametrize("name", SWITCHES)
def test_switch(name):
    switches, script, wanted = SWITCHES[name]
    evaluation, _ = play({"main": script, "more": b"SET M 1"}, switches)
    assert values(evaluation) == wanted
    with_default, _ = play({"main": script, "more": b"SET M 1"})
    assert values(with_default) != wanted, "the switch makes no difference"


ENDS = {
    "end": ({"main": b"SET A 1"}, "end", 1),
    "no-tag": ({"main": b"\nGOTO X\n"}, "no-tag", 2),
    "get-loop": ({"main": b"GET a", "a": b"\nGET MAIN"}, "get-loop", 2),
    "self": ({"main": b"GET main"}, "get-loop", 1),
    "no-file": ({}, "no-file", 0),
}


@pytest.mark.parametrize("name", ENDS)
def test_end(name):
    files, why, line = ENDS[name]
    _, ended = play(files)
    assert (ended.why, ended.line) == (why, line)


def test_a_loop_of_jumps_is_found_and_ended():
    evaluation, ended = play({"main": b"# A\nSET X 1\nGOTO A\n"}, Switches(search="whole"))
    assert (ended.why, ended.line) == ("goto-loop", 3)
    assert values(evaluation) == {"X": "1"}


def test_too_many_files_in_a_row_end():
    files = {"main": b"GET f0", **{f"f{n}": b"GET f%d" % (n + 1) for n in range(50)}}
    evaluation, ended = play(files)
    assert ended.why == "nesting"
    assert [name for name, _ in evaluation.files] == ["main", *(f"f{n}" for n in range(9))]


def test_the_trace_names_each_line_taken():
    evaluation, _ = play({
        "main": b"## note\nIF $MODEL4 SEQ 9640 GOTO X\nSET A 0\n# X\nGET absent\nGET more\n",
        "more": b"SET A 1\nSET A 2\n",
    })  # fmt: skip
    assert [(step.file, step.line, step.kind) for step in evaluation.trace] == [
        ("main", 2, "if"), ("main", 4, "tag"), ("main", 5, "get"), ("main", 6, "get"),
        ("more", 1, "set"), ("more", 2, "set"),
    ]  # fmt: skip
    assert evaluation.files == [("main", True), ("absent", False), ("more", True)]
    assert evaluation.parameters["A"] == ("A", "2", "more", 2)
    assert [(made.value, made.line) for made in evaluation.assignments] == [("1", 1), ("2", 2)]
    assert "was '1' from more:1" in evaluation.trace[-1].effect
    assert evaluation.compared == {"MODEL4": ["9640"]}


def test_asks_name_the_line_that_asks():
    evaluation = Evaluation(PHONE)
    running = evaluation.run("main")
    assert next(running) == ("main", "", 0)
    assert running.send(b"\n\nGET $MACADDR.txt") == ("00040dabcdef.txt", "main", 3)


lines = st.sampled_from([
    b"SET A 1", b'SET B "x y"', b"IF $MODEL4 SEQ 9640 GOTO X", b"IF $A SEQ 1 GOTO Y", b"GOTO X", b"GOTO Y",
    b"# X", b"# Y", b"## X", b"GET one", b"GET two", b"GET absent", b"SET", b" SET A 2", b"",
])  # fmt: skip
scripts = st.lists(lines, max_size=25).map(b"\n".join)
switches = st.builds(
    Switches,
    get_failure=st.sampled_from(["continue", "stop"]),
    get_returns=st.booleans(),
    search=st.sampled_from(["forward", "whole"]),
    compare=st.sampled_from(["folded", "exact"]),
    tags=st.sampled_from(["exact", "folded"]),
)


@given(scripts, scripts, scripts, switches)
def test_every_script_ends(main, one, two, chosen):
    evaluation, ended = play({"main": main, "one": one, "two": two}, chosen)
    assert ended.why in {"end", "no-tag", "get-failed", "get-loop", "goto-loop", "nesting"}
    assert all(step.line >= 1 for step in evaluation.trace)
    assert evaluation.parameters == {made.name: made for made in evaluation.assignments}


@given(st.binary(), st.sampled_from([family.switches for family in FAMILIES.values()]) | switches)
def test_any_bytes_end(data, chosen):
    evaluation, ended = play({"main": data, "one": data}, chosen)
    assert ended.file in {"main", "one"}
    assert all(step.file and step.line >= 1 and step.effect for step in evaluation.trace)


def test_files_that_come_back_end_too():
    """Where GET returns, ten files that name each other's followers would be a thousand million readings."""
    files = {str(n): b"".join(b"GET %d\n" % m for m in range(n + 1, 10)) * 9 for n in range(10)}
    evaluation, ended = play({"main": b"GET 0\n", **files}, Switches(get_returns=True))
    assert ended.why == "nesting"
    assert len(evaluation.files) <= READS + 1


def test_a_jump_back_may_happen_again_when_something_changed():
    script = (
        b"# TOP\nIF $X SEQ 3 GOTO END\nIF $X SEQ 2 GOTO THREE\nIF $X SEQ 1 GOTO TWO\nSET X 1\nGOTO AGAIN\n"
        b"# TWO\nSET X 2\nGOTO AGAIN\n# THREE\nSET X 3\n# AGAIN\nGOTO TOP\n# END\nSET A 1\n"
    )
    evaluation, ended = play({"main": script}, Switches(search="whole"))
    assert (ended.why, values(evaluation)) == ("end", {"X": "3", "A": "1"})


def test_a_counter_of_many_bits_is_stopped():
    """Each round changes something, and there are 2 to the 40th of them."""
    bits = b"".join(
        b"IF $B%d SEQ 1 GOTO ONE%d\nSET B%d 1\nGOTO AGAIN\n# ONE%d\nSET B%d 0\n" % (n, n, n, n, n)
        for n in range(40)
    )
    evaluation, ended = play({"main": b"# TOP\n" + bits + b"# AGAIN\nGOTO TOP\n"}, Switches(search="whole"))
    assert ended.why == "goto-loop"
    assert sum(step.line == 1 for step in evaluation.trace) == JUMPS_BACK + 1


# What would take quadratic time where a line is looked at again for each other line: by size in lines or
# octets. A long value is compared with many strings; many jumps look for what is not there.
HOSTILE = {
    "jumps that hold": lambda n: b"# A\n" + b"IF $MODEL4 SEQ 9640 GOTO A\nSET X 1\n" * n + b"# Z\n",
    "jumps to missing tags": lambda n: (
        b"IF $MODEL4 SEQ 1 GOTO NONE\n" * n + b"IF $MODEL4 SEQ 9640 GOTO NONE\n"
    ),
    "tags": lambda n: b"".join(b"# T%d\n" % m for m in range(n)),
    "the same tag": lambda n: b"IF $MODEL4 SEQ 9640 GOTO T\n# T\n" * n,
    "tags from the end": lambda n: b"".join(
        b"IF $MODEL4 SEQ 9640 GOTO T%d\n# T%d\n" % (m, m) for m in range(n)
    ),
    "files that are not there": lambda n: b"GET absent\n" * n,
    "one long line": lambda n: b"SET A " + b"$MACADDR" * n,
    "a long value compared": lambda n: b"SET A " + b"x" * 8 * n + b"\n" + b"IF $A SEQ y GOTO T\n" * n,
    "a long value set again": lambda n: b"SET A " + b"x" * 8 * n + b"\n" + b"SET B 1\nSET B 2\n" * n,
    "blanks": lambda n: b"IF" + b" \t" * 4 * n + b"$",
    "quotes": lambda n: b'SET A "' * n + b"\n" + b'IF $A SEQ "' + b"x " * n,
}


@pytest.mark.parametrize(("search", "kind"), list(product(["forward", "whole"], HOSTILE)))
def test_time_is_linear_in_the_worst_case(search, kind):
    def seconds(count: int) -> float:
        script = HOSTILE[kind](count)
        best = 9.0
        for _ in range(3):
            began = time.thread_time()
            play({"main": script}, Switches(search=search))
            best = min(best, time.thread_time() - began)
        return best

    def fits() -> bool:
        small, big = seconds(1_000), seconds(8_000)
        return big < 0.02 or big < 24 * small  # eight times the work; quadratic would be 64 times

    # Processor time, and looked at again: caches that others fill make a small run look too good.
    assert any(fits() for _ in range(5))


def test_a_megabyte_of_each_kind_is_nothing():
    """100,000 tags and a line of 1 MiB, as an attacker or a broken disk would leave them."""
    tags = b"".join(b"# T%d\nIF $MODEL4 SEQ 1 GOTO T%d\n" % (n, n + 7) for n in range(100_000))
    evaluation, ended = play({"main": tags})
    assert (ended.why, len(evaluation.trace)) == ("end", 200_000)
    evaluation, ended = play({"main": b"SET A " + b"x" * (1 << 20) + b"\nSET A 1\nIF $A SEQ 1 GOTO B\n"})
    assert (ended.why, values(evaluation)) == ("no-tag", {"A": "1"})
    assert len(evaluation.trace[1].effect) < 120
