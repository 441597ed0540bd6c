"""What a phone tells of itself: every module's objects, every sort of answer; time is passed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mv_iptel.snmp.families import FAMILIES, NO_AGENT, SYS_OBJECT, UNASKED, Silence, Strange, Terms
from mv_iptel.snmp.survey import CLEAN, FIELDS, MODULES, Survey, Surveyed, judge, module_of
from tests.snmp.wire import Asked, integer, oid, text, tlv

TERMS = Terms("ours", timeout=1, retries=2, limit=0.5)
ONE = TERMS._replace(version="1")
AVAYA = "1.3.6.1.4.1.6889"
SIP = {
    SYS_OBJECT: oid(f"{AVAYA}.1.69.4.7"),
    f"{AVAYA}.2.69.4.7.27.0": text("4711"),
    f"{AVAYA}.2.69.4.1.52.0": text("9640D01A"),
    f"{AVAYA}.2.69.4.1.50.0": text("00:04:0d:12:34:56"),
    f"{AVAYA}.2.69.4.1.4.0": text("SIP96xx_2_6_17_0.bin"),
    f"{AVAYA}.2.69.4.1.7.0": text("hb96xxua3_00.bin"),
    f"{AVAYA}.2.69.4.1.31.0": integer(876),
}
TOLD = Surveyed(
    "96x0-sip", "4711", "9640D01A", "00040d123456", "SIP96xx_2_6_17_0.bin", "hb96xxua3_00.bin", "876"
)
OF_16XX = {
    SYS_OBJECT: oid(f"{AVAYA}.1.69.3.1"),
    f"{AVAYA}.2.69.3.6.3.0": text("1616"),
    f"{AVAYA}.2.69.3.1.43.0": text("1616D01A"),
    f"{AVAYA}.2.69.3.1.42.0": text(bytes.fromhex("00040daabbcc")),
    f"{AVAYA}.2.69.3.1.58.0": text("ha1616ua1_3100.bin"),
    f"{AVAYA}.2.69.3.1.46.0": text("N12345678"),
}


def surveyed(phone, terms=TERMS, answer=None):
    """The result of a survey of a phone with these objects, and how often it was asked."""
    dialogue, now, asked = Survey(terms, 0), 0.0, 0
    while dialogue.result is None:
        sent = dialogue.to_send()
        for data in sent:
            asked += 1
            for reply in (answer or replies)(Asked.read(data), phone):
                dialogue.receive(reply, now)
        if not sent:
            now = dialogue.deadline
            dialogue.tick(now)
        assert now < 100
    return dialogue.result, asked


def replies(said, phone):
    """As agents do it: in version 1 the first object that is not there is the error of them all."""
    missing = [place for place, one in enumerate(said.objects, 1) if one not in phone]
    if said.version == 0 and missing:
        return [said.answer({}, error=2, index=missing[0])]
    return [said.answer(phone)]


@pytest.mark.parametrize("terms", [TERMS, ONE], ids=["2c", "1"])
def test_a_phone_that_tells_everything(terms):
    assert surveyed(SIP, terms)[0] == TOLD
    told = Surveyed("16xx", "1616", "1616D01A", "00040daabbcc", "ha1616ua1_3100.bin", serial="N12345678")
    assert surveyed(OF_16XX, terms)[0] == told


def test_version_2c_asks_twice():
    assert surveyed(SIP)[1] == 2


@pytest.mark.parametrize("terms", [TERMS, ONE], ids=["2c", "1"])
def test_a_phone_that_tells_its_model_only(terms):
    phone = {one: SIP[one] for one in (SYS_OBJECT, f"{AVAYA}.2.69.4.1.52.0")}
    assert surveyed(phone, terms)[0] == Surveyed("96x0-sip", model="9640D01A")


def test_an_unknown_identity_is_known_by_its_model():
    assert surveyed({**SIP, SYS_OBJECT: oid("1.3.6.1.4.1.8072.3.2.10")})[0] == TOLD


@pytest.mark.parametrize("terms", [TERMS, ONE], ids=["2c", "1"])
def test_another_device_is_told_as_one(terms):
    answer, _ = surveyed({SYS_OBJECT: oid("1.3.6.1.4.1.8072.3.2.10")}, terms)
    assert answer == Silence(
        "it answered, and has none of a phone's objects", "Another device with an SNMP agent"
    )


def test_nobody_there_is_given_up_when_all_attempts_are_over():
    """`limit` is for those who wait at a phone; nobody waits here."""
    answer, asked = surveyed({}, answer=lambda said, phone: [])
    assert asked == 3 and answer.means == UNASKED and "3 attempts" in answer.text


def test_who_stops_answering_is_known_by_what_it_told():
    def once(said, phone):
        return replies(said, phone) if SYS_OBJECT in said.objects else []

    assert surveyed(SIP, answer=once) == (Surveyed("96x0-sip", model="9640D01A"), 4)


def test_one_object_that_is_broken_spares_the_others():
    def broken(said, phone):
        bad = f"{AVAYA}.2.69.4.1.7.0"
        if bad in said.objects:
            return [said.answer({}, error=5, index=said.objects.index(bad) + 1)]
        return replies(said, phone)

    assert surveyed(SIP, answer=broken)[0] == TOLD._replace(boot="")


def test_an_agent_for_which_it_is_too_much_at_once():
    def small(said, phone):
        return replies(said, phone) if len(said.objects) == 1 or said.objects[0] != SYS_OBJECT else [
            said.answer({}, error=1)
        ]  # fmt: skip

    assert surveyed(SIP, answer=small)[0] == TOLD


def test_garbage_is_no_phone():
    answer, _ = surveyed({}, answer=lambda said, phone: [b"\x30\x84\xff\xff", b"", bytes(50)])
    assert isinstance(answer, Silence) and answer.means == NO_AGENT


def test_an_error_for_ever_comes_to_an_end():
    answer, asked = surveyed(SIP, ONE, lambda said, phone: [said.answer({}, error=2, index=1)])
    assert isinstance(answer, Silence) and asked < 12


HOSTILE = {
    "ext": (text("../../x"), text("1" * 21), integer(4711), text("4711\n66")),
    "mac": (text("x"), text(bytes(6)), text(b"\xff" * 6), text("01:00:5e:00:00:01"), integer(5)),
    "software": (text("../../S.bin"), text("a\nb"), text("\x1b[2J"), text("=cmd"), text("s" * 81)),
    "boot": (text("a/b"), oid("1.3")),
    "group": (integer(1000), integer(-1), text("1.5"), text(""), tlv(0x41, b"\x05"), integer((1 << 31) - 1)),
    "model": (text("9640\0x"), text("é")),
}


@pytest.mark.parametrize(("field", "value"), [(field, one) for field in HOSTILE for one in HOSTILE[field]])
def test_what_cannot_be_true_is_not_told(field, value):
    module = MODULES[3]
    (one,) = module.objects(field, TERMS)
    answer, _ = surveyed({**SIP, one: value})
    assert answer._replace(strange=()) == TOLD._replace(**{field: ""})
    assert len(answer.strange) == 1 and answer.strange[0].isprintable() and len(answer.strange[0]) < 120


def test_a_guessed_object_counts_only_if_it_holds_a_version():
    (one,) = MODULES[1].objects("software", TERMS)
    phone = {SYS_OBJECT: oid(f"{AVAYA}.1.69.2.1"), f"{AVAYA}.2.69.2.1.43.0": text("9630D01A")}
    answer, _ = surveyed({**phone, one: text("S9630_3_2_2.bin")})
    assert (answer.software, answer.guessed) == ("S9630_3_2_2.bin", ("software",))
    answer, _ = surveyed({**phone, one: text("on")})
    assert (answer.software, answer.guessed) == ("", ()) and "software 'on'" in answer.strange[0]


def test_of_two_places_for_a_serial_number_that_counts_which_has_one():
    first, second = MODULES[1].objects("serial", TERMS)
    phone = {SYS_OBJECT: oid(f"{AVAYA}.1.69.2.1"), f"{AVAYA}.2.69.2.1.43.0": text("9630D01A")}
    assert surveyed({**phone, second: text("07N512345")})[0].serial == "07N512345"
    assert surveyed({**phone, first: text(""), second: text("07N512345")})[0].serial == "07N512345"
    assert surveyed({**phone, first: text("1"), second: text("2")})[0].serial == "1"


def test_the_administrators_objects_are_those_of_the_4600():
    terms = TERMS._replace(ext_object=".1.3.6.1.4.1.55555.1.0")
    phone = {
        SYS_OBJECT: oid(f"{AVAYA}.1.69.1.1"), "1.3.6.1.4.1.55555.1.0": text("42"),
        f"{AVAYA}.2.69.1.1.2.0": text("4620"),
    }  # fmt: skip
    assert surveyed(phone, terms)[0] == Surveyed("4600", "42", "4620")
    assert surveyed(SIP, terms)[0] == TOLD


def test_every_family_that_keeps_its_data_here_can_be_surveyed():
    for family in FAMILIES:
        module = next(one for one in MODULES if one.number == family.number)
        assert family.ext_object in module.objects("ext", TERMS)
        assert family.type_object in module.objects("model", TERMS)


VALUES = (
    st.none() | st.binary(max_size=90) | st.text(max_size=30).map(str.encode) | st.just("1.3.6.1")
    | st.builds(Strange, st.just("Integer"), st.none() | st.integers())
)  # fmt: skip


@given(st.sampled_from(MODULES), st.lists(VALUES, min_size=12, max_size=12))
def test_whatever_it_says(module, values):
    objects = [one for field in FIELDS for one in module.objects(field, TERMS)]
    told = judge(module, dict(zip(objects, values, strict=False)), TERMS)
    if isinstance(told, Surveyed):
        assert all(one.isascii() and one.isprintable() and len(one) <= 80 for one in told[:8])
        assert all(one.isprintable() for one in told.strange)


@given(VALUES)
def test_whatever_it_is(value):
    assert module_of({SYS_OBJECT: value}, TERMS) is None
    assert module_of({SYS_OBJECT: value}, TERMS, False) is MODULES[0]


@given(st.sampled_from(list(CLEAN)), VALUES)
def test_a_clean_value_is_clean(field, value):
    told = CLEAN[field](value)
    assert told is None or (told.isascii() and told.isprintable() and not {"/", "\\", "="} & set(told))
