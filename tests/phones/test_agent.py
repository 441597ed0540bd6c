"""What a simulated phone's agent answers the server's own question, and how it misbehaves."""

from __future__ import annotations

import queue
import random
import socket

import pytest

from mv_iptel.phones.agent import FAULTS, Agent, Agents, Asked, Says, understand
from mv_iptel.phones.families import Handset
from mv_iptel.snmp import Asker, Shown, Silence, Terms
from mv_iptel.snmp.families import SYS_OBJECT
from mv_iptel.snmp.protocol import question

WORD = "ourstring"
PHONE = Handset("4621SW", ext="4711")
WANTED = (SYS_OBJECT, "1.3.6.1.4.1.6889.2.69.1.1.2.0")
QUESTION = question("2c", "public", WANTED).encode(0x12345678)


@pytest.fixture(scope="module")
def agents():
    with Agents() as running:
        yield running


@pytest.fixture(scope="module")
def asker():
    asker = Asker()
    yield asker
    asker.close()


def ask(asker: Asker, agent: Agent, **terms) -> Shown | Silence:
    """What the server makes of this agent."""
    said: queue.Queue[Shown | Silence] = queue.Queue()
    usual = {"community": WORD, "port": agent.port, "timeout": 0.3, "retries": 1, "limit": 2.0}
    asker.ask(agent.address, Terms(**{**usual, **terms}), said.put)
    return said.get(timeout=20)


MODELS = {
    ("4621SW", ""): ("4600", "4711"),
    ("4625SW", ""): ("4600", "4711"),
    ("9640", ""): ("96x0", "4711"),
    ("9611G", ""): ("96x1", "4711"),
    ("B189", ""): ("96x1", "4711"),
    ("1616", ""): ("16xx", "4711"),
    ("J179", "H323"): ("J100", "4711"),
}


@pytest.mark.parametrize("model,software", [
    ("9640", "2.69.2.1.58.0"), ("1616", "2.69.3.1.58.0"), ("J179", "2.69.6.1.4.0"), ("4621SW", ""),
    ("9611G", ""),
])  # fmt: skip
def test_what_runs_is_told_where_the_set_has_an_object_for_it(model, software):
    told = Says(Handset(model, ext="4711", runs="some_1_2.bin")).objects()
    assert [name for name, value in told.items() if value == "some_1_2.bin"] == (
        [f"1.3.6.1.4.1.6889.{software}"] if software else []
    )
    assert "" not in Says(Handset(model, ext="4711")).objects().values()


@pytest.mark.parametrize("version", ["1", "2c"])
@pytest.mark.parametrize("model", MODELS, ids="-".join)
def test_each_family_shows_extension_and_type(agents, asker, model, version):
    handset = Handset(model[0], ext="4711", signalling=model[1])
    agent = agents.add("127.0.0.51", 0, Says(handset, WORD))
    family, ext = MODELS[model]
    assert ask(asker, agent, version=version) == Shown(ext, model[0], family)
    agents.remove(agent)


def test_a_sip_phone_answers_too_but_not_what_is_asked(agents, asker):
    agent = agents.add("127.0.0.52", 0, Says(Handset("9640", ext="4711", signalling="SIP"), WORD))
    assert isinstance(ask(asker, agent), Silence)
    agents.remove(agent)


@pytest.mark.parametrize("model", ["4612", "9601", "J179", "K175"])
def test_every_family_has_objects(model):
    assert SYS_OBJECT in Says(Handset(model, ext="1")).objects()


PROPER = Shown("4711", "4621SW", "4600")
# fault: the words of the Silence that the server comes to, or what it is shown all the same
OUTCOMES = {
    "silent": "", "wrong": Shown("4712", "4621SW", "4600"), "other": "", "garbage": "", "duplicate": PROPER,
    "huge": "", "hostile": "no number", "empty": "empty", "none": "no extension object",
}  # fmt: skip


@pytest.mark.parametrize("fault", OUTCOMES)
def test_faults(agents, asker, fault):
    agent = agents.add("127.0.0.53", 0, Says(PHONE, WORD, fault))
    got = ask(asker, agent, limit=1.0)
    agents.remove(agent)
    if isinstance(OUTCOMES[fault], Shown):
        assert got == OUTCOMES[fault]
    else:
        assert isinstance(got, Silence) and OUTCOMES[fault] in got.text


def test_every_fault_is_described_and_tried():
    assert set(FAULTS) == {*OUTCOMES, "slow"}


def test_a_slow_agent_answers_when_it_is_due(agents, asker):
    agent = agents.add("127.0.0.54", 0, Says(PHONE, WORD, "slow", 0.4))
    assert ask(asker, agent, timeout=5.0, retries=0, limit=10.0) == PROPER
    agents.remove(agent)


def test_slowness_needs_no_waiting():
    """Time is passed: nothing goes out before it is due."""
    agent = Agent("127.0.0.1", 0, Says(PHONE, "public", "slow", 5.0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.bind(("127.0.0.1", 0))
        asking.connect((agent.address, agent.port))
        asking.settimeout(10)
        asking.send(QUESTION)
        while agent.deadline == float("inf"):
            agent.receive(100.0)
        assert agent.deadline == 105.0
        agent.tick(104.9)
        assert agent.deadline == 105.0
        agent.tick(105.0)
        assert agent.deadline == float("inf")
        assert b"4621SW" in asking.recv(1000)
    agent.close()


def test_another_community_gets_no_answer(agents, asker):
    heard: list[Asked] = []
    agent = agents.add("127.0.0.55", 0, Says(PHONE, WORD), heard.append)
    assert isinstance(ask(asker, agent, community="public", limit=0.5, retries=0), Silence)
    assert isinstance(ask(asker, agent, retries=0), Shown)
    agents.remove(agent)
    assert [each.outcome for each in heard] == ["another community", "answered"]
    assert heard[1].address == "127.0.0.55" and heard[1].version == "2c"
    assert WORD not in repr(agent.says) and WORD not in repr(heard)


def test_many_addresses_in_one_thread(agents, asker):
    port = free()
    many = [
        agents.add(f"127.0.9.{number}", port, Says(Handset("9640", ext=str(4000 + number)), WORD))
        for number in range(1, 101)
    ]
    said: queue.Queue[tuple[str, Shown | Silence]] = queue.Queue()
    for agent in many:
        terms = Terms(WORD, port=port, timeout=5.0, retries=3, limit=30.0)
        asker.ask(agent.address, terms, lambda got, address=agent.address: said.put((address, got)))
    got = dict(said.get(timeout=40) for _ in many)
    assert got == {f"127.0.9.{n}": Shown(str(4000 + n), "9640", "96x0") for n in range(1, 101)}
    for agent in many:
        agents.remove(agent)


def free() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_a_taken_address_is_an_error(agents):
    agent = agents.add("127.0.0.56", 0, Says(PHONE))
    with pytest.raises(OSError):
        agents.add("127.0.0.56", agent.port, Says(PHONE))
    agents.remove(agent)
    with pytest.raises(OSError):
        agents.add("192.0.2.1", 0, Says(PHONE))


def test_what_is_no_get_is_passed_over():
    for datagram in (
        b"",
        b"hello",
        b"\x30\x80" * 20_000,
        QUESTION[:-3],
        QUESTION.replace(b"\xa0", b"\xa3", 1),
    ):
        assert understand(datagram) is None
    assert understand(QUESTION).objects == WANTED


def test_changed_bytes_never_stop_an_agent():
    chance = random.Random(7)
    objects = Says(PHONE).objects()
    for _ in range(3000):
        changed = bytearray(QUESTION)
        for _ in range(chance.randint(1, 4)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        found = understand(bytes(changed))
        if found is not None:
            assert found.answer(objects)
