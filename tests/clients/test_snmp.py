"""The question against net-snmp's snmpd, which plays phones of every family."""

from __future__ import annotations

import queue
from contextlib import ExitStack

import pytest

from mv_iptel.snmp import Asker, Shown, Silence, Terms
from mv_iptel.snmp.families import FAMILIES, UNASKED
from tests.clients.snmpd import COMMUNITY, OBJECTS, Agent, free_udp

PATIENCE = 30
TERMS = Terms(COMMUNITY, timeout=0.3, retries=2, limit=20)


@pytest.fixture(scope="module")
def asker(program):
    program("snmpd")
    made = Asker()
    yield made
    made.close()


def asked(asker, agent, address="", **terms):
    """What the phone at the agent's port says."""
    told = queue.Queue()
    asker.ask(address or agent.address, TERMS._replace(port=agent.port, **terms), told.put)
    return told.get(timeout=PATIENCE)


def agent(address="127.0.0.31", **said):
    return Agent(address, free_udp(address), **said)


@pytest.mark.parametrize("version", ["1", "2c"])
@pytest.mark.parametrize("family", OBJECTS)
def test_each_family(asker, version, family):
    with agent(ext="4711", model="1616", family=family) as phone:
        assert asked(asker, phone, version=version) == Shown("4711", "1616", family)


def test_the_objects_are_those_of_the_reference():
    """Both sides were written from it apart."""
    for family in FAMILIES:
        if family.name in OBJECTS:
            assert OBJECTS[family.name][1:] == (family.ext_object, family.type_object)


@pytest.mark.parametrize("version", ["1", "2c"])
def test_over_ipv6(asker, version):
    with agent("::1", ext="4711", model="4610SW") as phone:
        assert asked(asker, phone, version=version) == Shown("4711", "4610SW", "4600")


@pytest.mark.parametrize("version", ["1", "2c"])
def test_an_unknown_identity_counts_as_4600(asker, version):
    with agent(sys_object="1.3.6.1.4.1.8072.3.2.10") as phone:
        assert asked(asker, phone, version=version) == Shown("1234", "4621SW", "4600")


@pytest.mark.parametrize("version", ["1", "2c"])
def test_a_guessed_object_that_is_not_there(asker, version):
    with agent(ext=None, model="9611G", family="96x1") as phone:
        assert asked(asker, phone, version=version) == Shown("", "9611G", "96x1", guessed=True)
    with agent(ext=None, model=None, family="96x1") as phone:
        assert asked(asker, phone, version=version) == Shown("", "", "96x1", guessed=True)


@pytest.mark.parametrize("version", ["1", "2c"])
@pytest.mark.parametrize(
    ("said", "text"),
    [
        ({"ext": ""}, "the extension is empty: is a user logged in at this phone?"),
        ({"ext": None}, "no extension object"),
        ({"model": None}, "no type object"),
        ({"model": ""}, "the type is empty"),
        ({"ext": "../../x"}, "no number: '../../x'"),
        ({"overrides": {OBJECTS["4600"][1]: 1234}}, "not as text"),
    ],
)
def test_no_proper_extension(asker, version, said, text):
    with agent(**said) as phone:
        answer = asked(asker, phone, version=version)
    assert isinstance(answer, Silence) and text in answer.text


@pytest.mark.parametrize("version", ["1", "2c"])
def test_the_administrators_objects(asker, version):
    mine = {"1.3.6.1.4.1.55555.1.0": "42", "1.3.6.1.4.1.55555.2.0": "4625SW"}
    with agent(ext=None, model=None, overrides=mine) as phone:
        ext, model = mine
        answer = asked(asker, phone, version=version, ext_object="." + ext, type_object=model)
    assert answer == Shown("42", "4625SW", "4600")


@pytest.mark.parametrize("version", ["1", "2c"])
def test_a_wrong_community_is_silence(asker, version):
    with agent() as phone:
        answer = asked(asker, phone, version=version, community="another", timeout=0.05, limit=0.5)
        text = f"no answer by SNMP (version {version}, port {phone.port}, 3 attempts)"
        assert answer == Silence(text, UNASKED)
        assert asked(asker, phone, version=version) == Shown("1234", "4621SW", "4600")


def test_a_phone_at_another_address_answers_for_itself_only(asker):
    with agent("127.0.0.31", ext="31") as one, Agent("127.0.0.32", one.port, ext="32") as other:
        assert asked(asker, one).ext == "31" and asked(asker, other).ext == "32"
        answer = asked(asker, one, address="127.0.0.33", timeout=0.05)
        assert answer.text.endswith("nothing listens on that port (refused)")


def test_200_questions_to_five_phones_at_once(asker):
    with ExitStack() as stack:
        phones = [stack.enter_context(agent(f"127.0.0.{41 + at}", ext=str(at))) for at in range(5)]
        told = queue.Queue()
        for turn in range(200):
            phone = phones[turn % 5]
            terms = TERMS._replace(port=phone.port, timeout=2)
            asker.ask(phone.address, terms, lambda answer, at=turn % 5: told.put((at, answer)))
        for _ in range(200):
            at, answer = told.get(timeout=PATIENCE)
            assert answer == Shown(str(at), "4621SW", "4600")
