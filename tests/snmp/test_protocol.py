"""The question as bytes, and every sort of answer to it; time is passed."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mv_iptel.snmp.families import (
    FAMILIES,
    NO_AGENT,
    SYS_OBJECT,
    UNASKED,
    Shown,
    Silence,
    Strange,
    Terms,
    objects,
)
from mv_iptel.snmp.protocol import LARGEST, MOST_UNCLEAR, Dialogue, Said, Unclear, new_id, question
from tests.snmp.wire import (
    GET,
    NO_SUCH_INSTANCE,
    SEQUENCE,
    Asked,
    integer,
    oid,
    text,
    tlv,
)

TERMS = Terms("ours", timeout=1, retries=2, limit=10)
ONE = TERMS._replace(version="1")
ALL = objects(TERMS)
OF_4600, OF_96X0, _, OF_96X1, _ = FAMILIES
PHONE = {
    SYS_OBJECT: oid("1.3.6.1.4.1.6889.1.69.1.1"),
    OF_4600.ext_object: text("1234"),
    OF_4600.type_object: text("4621SW"),
}
SHOWN = Shown("1234", "4621SW", "4600")


def begun(terms=TERMS, **options):
    """A dialogue at the time 0, and what it sent."""
    dialogue = Dialogue(terms, 0, **options)
    (data,) = dialogue.to_send()
    return dialogue, Asked.read(data)


@pytest.mark.parametrize("version", ["1", "2c"])
def test_a_question_is_what_the_standard_says(version):
    for _ in range(50):
        number = new_id()
        asked = Asked.read(question(version, "ours", ALL).encode(number))
        assert asked == Asked(0 if version == "1" else 1, b"ours", number, list(ALL))


@pytest.mark.parametrize("community", ["", "~~~~", "\x01\x01\x01\x01", "x" * 300, "Grüße"])
def test_any_community_is_written(community):
    asked = Asked.read(question("2c", community, ALL).encode(0x01020304))
    assert asked.community == community.encode() and asked.number == 0x01020304


def test_ids_are_of_four_octets_and_differ():
    ids = {new_id() for _ in range(1000)}
    assert len(ids) > 990 and all(len(integer(number)) == 6 for number in ids)


def test_an_object_that_cannot_be_written_is_no_fault():
    for version in ("1", "2c"):
        with pytest.raises(ValueError, match="ExtObject") as caught:
            question(version, "hidden", ("0.99.1",))
        assert "hidden" not in str(caught.value) and caught.value.__suppress_context__
    wide = Dialogue(TERMS._replace(ext_object="0.99.1"), 0)
    assert wide.to_send() == [] and "ExtObject" in wide.result.text
    dialogue, asked = begun(ONE._replace(ext_object="0.99.1"))
    dialogue.receive(asked.answer(PHONE), 0.1)
    assert dialogue.to_send() == [] and "ExtObject" in dialogue.result.text


def test_all_at_once_with_version_2c():
    dialogue, asked = begun()
    assert asked.objects == list(ALL)
    dialogue.receive(asked.answer(PHONE), 0.1)
    assert dialogue.result == SHOWN and dialogue.to_send() == []
    dialogue.receive(asked.answer(PHONE | {OF_4600.ext_object: text("666")}), 0.2)
    assert dialogue.result == SHOWN  # what comes twice counts once


def test_no_such_instance_is_an_absence_too():
    dialogue, asked = begun()
    values = dict.fromkeys(ALL, NO_SUCH_INSTANCE) | PHONE
    dialogue.receive(asked.answer(values), 0.1)
    assert dialogue.result == SHOWN


def test_version_1_asks_what_it_is_first():
    dialogue, asked = begun(ONE)
    assert asked.version == 0 and asked.objects == [SYS_OBJECT]
    dialogue.receive(asked.answer({SYS_OBJECT: oid("1.3.6.1.4.1.6889.1.69.2.1")}), 0.1)
    (data,) = dialogue.to_send()
    second = Asked.read(data)
    assert second.objects == [OF_96X0.ext_object, OF_96X0.type_object] and second.number != asked.number
    dialogue.receive(asked.answer(PHONE), 0.2)  # the first answer again
    assert dialogue.result is None
    values = {OF_96X0.ext_object: text("7"), OF_96X0.type_object: text("9640G")}
    dialogue.receive(second.answer(values), 0.3)
    assert dialogue.result == Shown("7", "9640G", "96x0")


def test_version_1_is_told_by_an_error_what_is_missing():
    """noSuchName names one object; the others are asked again."""
    dialogue, asked = begun(ONE)
    dialogue.receive(asked.answer({SYS_OBJECT: oid("1.3.6.1.4.1.6889.1.69.5.1")}), 0.1)
    asked = Asked.read(dialogue.to_send()[0])
    dialogue.receive(asked.answer({}, error=2, index=1), 0.2)
    asked = Asked.read(dialogue.to_send()[0])
    assert asked.objects == [OF_96X1.type_object]
    dialogue.receive(asked.answer({OF_96X1.type_object: text("9611G")}), 0.3)
    assert dialogue.result == Shown("", "9611G", "96x1", guessed=True)


def test_version_1_without_anything():
    dialogue, asked = begun(ONE)
    for wanted in ([SYS_OBJECT], [OF_4600.ext_object, OF_4600.type_object], [OF_4600.type_object]):
        assert asked.objects == wanted
        dialogue.receive(asked.answer({}, error=2, index=1), 0.1)
        out = dialogue.to_send()
        asked = Asked.read(out[0]) if out else None
    assert asked is None and "no extension object" in dialogue.result.text


@pytest.mark.parametrize("error", [1, 2, 5])
def test_who_finds_it_too_large_is_asked_in_steps(error):
    dialogue, asked = begun()
    dialogue.receive(asked.answer({}, error=error, index=1), 0.1)
    asked = Asked.read(dialogue.to_send()[0])
    assert asked.version == 1 and asked.objects == [SYS_OBJECT]
    dialogue.receive(asked.answer(PHONE), 0.2)
    asked = Asked.read(dialogue.to_send()[0])
    dialogue.receive(asked.answer(PHONE), 0.3)
    assert dialogue.result == SHOWN


def test_attempts_share_the_id_and_end():
    dialogue, asked = begun()
    assert dialogue.deadline == 1
    dialogue.tick(0.9)
    assert dialogue.to_send() == []
    for now in (1, 2):
        dialogue.tick(now)
        (again,) = dialogue.to_send()
        assert Asked.read(again) == asked
    assert dialogue.deadline == 10
    dialogue.tick(9.9)
    assert dialogue.to_send() == [] and dialogue.result is None
    dialogue.tick(10)
    assert dialogue.result == Silence("no answer by SNMP (version 2c, port 161, 3 attempts)", UNASKED)


def test_a_late_answer_counts_until_the_limit():
    dialogue, asked = begun()
    dialogue.tick(1)
    dialogue.tick(2)
    dialogue.receive(asked.answer(PHONE), 9.9)
    assert dialogue.result == SHOWN
    dialogue, asked = begun()
    dialogue.tick(10)
    dialogue.receive(asked.answer(PHONE), 10.1)
    assert isinstance(dialogue.result, Silence)


def test_the_limit_holds_for_all_steps_together():
    dialogue, asked = begun(ONE._replace(limit=3))
    dialogue.receive(asked.answer(PHONE), 2.5)
    assert dialogue.deadline == 3
    dialogue.tick(3)
    assert isinstance(dialogue.result, Silence)


def test_when_every_attempt_is_refused_it_ends_early():
    dialogue, _ = begun()
    for now in (1, 2):
        dialogue.failed("refused")
        assert dialogue.result is None  # the agent may be just starting
        dialogue.tick(now)
    assert len(dialogue.to_send()) == 2
    dialogue.failed("refused")
    assert dialogue.result.text.endswith("3 attempts); refused")


def test_one_refusal_more_or_less_does_not_count():
    dialogue, asked = begun()
    dialogue.failed("refused")
    dialogue.failed("refused")  # told twice of one attempt
    dialogue.tick(1)
    dialogue.tick(2)
    dialogue.failed("refused")
    assert dialogue.result is None
    dialogue.receive(asked.answer(PHONE), 2.5)
    assert dialogue.result == SHOWN


UNCLEAR = {
    "another request id": lambda asked: asked.answer(PHONE, number=asked.number ^ 1),
    "another community": lambda asked: asked.answer(PHONE, community=b"public"),
    "another version of SNMP": lambda asked: asked.answer(PHONE, version=0),
    "an error status that there is not": lambda asked: asked.answer(PHONE, error=1 << 20_000),
    "no SNMP message": lambda asked: asked.answer(PHONE, kind=GET),
    "nothing of what was asked": lambda asked: asked.answer({}, objects=[]),
    "more objects than were asked": lambda asked: asked.answer(PHONE, objects=[*asked.objects, "1.3"]),
    "another request id, or no SNMP": lambda asked: b"\0" * 100,
    f"a datagram of more than {LARGEST} octets": lambda asked: asked.answer(
        PHONE | {OF_4600.ext_object: text(b"1" * 10_240)}
    ),
}


@pytest.mark.parametrize("why", UNCLEAR)
def test_what_is_no_answer_is_noted_and_waited_on(why):
    dialogue, asked = begun()
    dialogue.receive(UNCLEAR[why](asked), 0.1)
    assert dialogue.result is None and dialogue.to_send() == []
    other, _ = begun()
    other.receive(UNCLEAR[why](asked._replace(number=other._id)), 0.1)
    other.tick(10)
    assert f"an answer that could not be understood: {why}" in other.result.text
    assert other.result.means == NO_AGENT
    dialogue.receive(asked.answer(PHONE), 0.2)
    assert dialogue.result == SHOWN


def test_an_error_status_is_told():
    dialogue, asked = begun(ONE)
    dialogue.receive(asked.answer({}, error=5, index=0), 0.1)
    dialogue.receive(asked.answer({}, error=2, index=0), 0.1)
    dialogue.receive(asked.answer({}, error=16, index=1), 0.1)
    dialogue.tick(10)
    told = "the error status genErr (5), the error status noSuchName (2), the error status error (16)"
    assert told in dialogue.result.text


def test_who_floods_is_not_listened_to_for_long():
    dialogue, _ = begun()
    for _ in range(MOST_UNCLEAR):
        assert dialogue.result is None
        dialogue.receive(b"x", 0.1)
    assert isinstance(dialogue.result, Silence)


VALUES = [
    (integer(1234), Strange("Integer", 1234)),
    (tlv(0x41, b"\x05"), Strange("Counter32")),
    (tlv(0x40, b"\x01\x02\x03\x04"), Strange("IpAddress")),
    (tlv(0x44, b"1234"), Strange("Opaque")),
    (tlv(0x46, b"\x05"), Strange("Counter64")),
    (oid("1.3.6.1"), "1.3.6.1"),
    (text(b"\0\xff"), b"\0\xff"),
    (tlv(0x05), None),
    (b"\x80\0", None),
    (b"\x81\0", None),
    (b"\x82\0", None),
    (b"\x80\x81\0", None),  # not the shortest form, and right
]


@pytest.mark.parametrize(("value", "meant"), VALUES, ids=[repr(value) for value, _ in VALUES])
def test_values(value, meant):
    number = new_id()
    asked = Asked(1, b"ours", number, ["1.3.6.1.9"])
    said = question("2c", "ours", ("1.3.6.1.9",)).decode(number, asked.answer({"1.3.6.1.9": value}))
    assert said == Said(0, 0, {"1.3.6.1.9": meant})


def test_lengths_in_the_long_form_are_understood():
    number = 0x01020304
    bind = b"\x30\x82\x00\x0c" + oid("1.3.6.1.9") + b"\x04\x81\x03" + b"123"
    assert bind[3] == len(bind) - 4
    pdu = tlv(0xA2, integer(number), integer(0), integer(0), tlv(SEQUENCE, bind))
    data = tlv(SEQUENCE, integer(1), text("ours"), pdu)
    assert question("2c", "ours", ("1.3.6.1.9",)).decode(number, data) == Said(0, 0, {"1.3.6.1.9": b"123"})


def test_cut_at_every_octet_it_is_no_answer():
    _, asked = begun()
    whole = asked.answer(PHONE)
    for end in range(len(whole)):
        said = question("2c", "ours", ALL).decode(asked.number, whole[:end])
        assert isinstance(said, Unclear), end
    assert isinstance(question("2c", "ours", ALL).decode(asked.number, whole), Said)


@pytest.mark.parametrize("terms", [TERMS, ONE], ids=["2c", "1"])
def test_damaged_answers_never_raise(terms):
    """Octets changed, put in and taken out at random; then it says something or is unclear."""
    rnd = random.Random(7)
    wanted = ALL if terms is TERMS else ALL[:3]
    asked = Asked(int(terms is TERMS), b"ours", new_id(), list(wanted))
    whole = asked.answer(PHONE)
    put = question(terms.version, "ours", wanted)
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(rnd.randrange(1, 6)):
            at = rnd.randrange(len(data))
            rnd.choice((
                lambda at=at, data=data: data.__setitem__(at, rnd.randrange(256)),
                lambda at=at, data=data: data.insert(at, rnd.randrange(256)),
                lambda at=at, data=data: data.pop(at),
            ))()  # fmt: skip
        assert isinstance(put.decode(asked.number, bytes(data)), Said | Unclear)


HEAVY = {
    "sequences": b"\x30\x80" * 4000,
    "constructed octets": tlv(SEQUENCE, integer(1), b"\x24\x80" * 3900),
    "one arc": lambda number: tlv(
        SEQUENCE, integer(1), text("ours"),
        tlv(0xA2, integer(number), integer(0), integer(0),
            tlv(SEQUENCE, tlv(SEQUENCE, tlv(6, b"\xff" * 8000)))),
    ),
    "a large number": lambda number: tlv(
        SEQUENCE, integer(1), text("ours"), tlv(0xA2, integer(number), tlv(2, b"\x7f" * 8000))
    ),
    "objects": lambda number: tlv(
        SEQUENCE, integer(1), text("ours"),
        tlv(0xA2, integer(number), integer(0), integer(0),
            tlv(SEQUENCE, tlv(SEQUENCE, oid("1.3"), tlv(5)) * 900)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", HEAVY)
def test_what_is_made_to_be_costly_is_unclear(form):
    number, data = new_id(), HEAVY[form]
    data = data(number) if callable(data) else data[: LARGEST - 4] + number.to_bytes(4, "big")
    assert isinstance(question("2c", "ours", ALL).decode(number, data), Unclear)


NUMBER = 0x12345678


@given(st.binary(max_size=400), st.sampled_from(["1", "2c"]))
def test_any_octets(data, version):
    put = question(version, "ours", ALL)
    assert isinstance(put.decode(NUMBER, data), Said | Unclear)
    assert isinstance(put.decode(NUMBER, data + NUMBER.to_bytes(4, "big")), Said | Unclear)


@given(
    st.lists(st.tuples(st.sampled_from(ALL), st.binary(max_size=40)), max_size=12),
    st.integers(-9, 9),
    st.integers(-9, 9),
)
def test_any_values(binds, error, index):
    """The frame is right, the values are any octets: an end comes, whatever it is."""
    for terms in (TERMS, ONE):
        ids = itertools.repeat(NUMBER)
        dialogue = Dialogue(terms, 0, ids=lambda ids=ids: next(ids))
        body = tlv(SEQUENCE, *(tlv(SEQUENCE, oid(name), value) for name, value in binds))
        pdu = tlv(0xA2, integer(NUMBER), integer(error), integer(index), body)
        data = tlv(SEQUENCE, integer(int(terms is TERMS)), text("ours"), pdu)
        for now in range(12):
            dialogue.receive(data, now)
            dialogue.tick(now)
        assert isinstance(dialogue.result, Shown | Silence)
        assert "ours" not in repr(dialogue.result)


def test_a_server_that_never_asks_does_not_load_the_library():
    code = "import sys, mv_iptel.snmp; sys.exit(any(name.split('.')[0] == 'pysnmp' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
