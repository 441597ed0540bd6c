"""Questions over real sockets, against an agent of the test's own that may be as hostile as it likes."""

from __future__ import annotations

import socket
import threading

import pytest

from mv_iptel.snmp import Asker, Shown, Silence, Terms
from mv_iptel.snmp.families import FAMILIES, SYS_OBJECT
from tests.snmp.wire import Asked, Responder, oid, text

PATIENCE = 30
OF_4600 = FAMILIES[0]
TERMS = Terms("ours", timeout=0.05, retries=2, limit=20)
SHOWN = Shown("1234", "4621SW", "4600")


def phone(ext="1234"):
    return {
        SYS_OBJECT: oid("1.3.6.1.4.1.6889.1.69.1.1"),
        OF_4600.ext_object: text(ext),
        OF_4600.type_object: text("4621SW"),
    }


class Told:
    """What `done` was told."""

    def __init__(self):
        self.answers = []
        self._came = threading.Event()

    def __call__(self, answer):
        self.answers.append(answer)
        self._came.set()

    def wait(self):
        assert self._came.wait(PATIENCE)
        (answer,) = self.answers
        return answer


@pytest.fixture
def asker():
    made = Asker()
    yield made
    made.close()


def asked(asker, port, address="127.0.0.1", **terms):
    """Ask and wait for what came."""
    told = Told()
    asker.ask(address, TERMS._replace(port=port, **terms), told)
    return told.wait()


def proper(data, reply):
    reply(Asked.read(data).answer(phone()))


@pytest.mark.parametrize("version", ["1", "2c"])
def test_a_phone_answers(asker, version):
    with Responder(proper) as agent:
        assert asked(asker, agent.port, version=version) == SHOWN


def test_every_question_has_a_port_and_an_id_of_its_own(asker):
    with Responder(proper) as agent:
        for _ in range(20):
            assert asked(asker, agent.port, timeout=20) == SHOWN
        assert len({sender[1] for _, sender in agent.seen}) > 15
        assert len({Asked.read(data).number for data, _ in agent.seen}) == 20


def second(first):
    """An agent that treats the first attempt in its own way, and answers the second properly."""
    seen = []

    def react(data, reply):
        seen.append(data)
        if len(seen) == 1:
            first(Asked.read(data), reply)
        else:
            proper(data, reply)

    return react


HOSTILE = {
    "silence": lambda asked, reply: None,
    "garbage": lambda asked, reply: reply(b"\x30\x84\xff\xff\xff\xff" + bytes(100)),
    "nothing at all": lambda asked, reply: reply(b""),
    "another id": lambda asked, reply: reply(asked.answer(phone("666"), number=asked.number + 1)),
    "another community": lambda asked, reply: reply(asked.answer(phone("666"), community=b"x")),
    "10 KiB": lambda asked, reply: reply(asked.answer(phone("6" * 10_240))),
    "60 KiB": lambda asked, reply: reply(bytes(60_000)),
    "no objects": lambda asked, reply: reply(asked.answer({}, objects=[])),
}


@pytest.mark.parametrize("form", HOSTILE)
def test_what_is_no_answer_does_not_end_the_question(asker, form):
    with Responder(second(HOSTILE[form])) as agent:
        assert asked(asker, agent.port, timeout=0.3) == SHOWN
        assert len(agent.seen) >= 2


def test_an_answer_to_the_first_attempt_counts_after_the_second(asker):
    """Late by more than a time-out: all attempts of one question share the id."""
    held = []

    def react(data, reply):
        held.append(data)
        if len(held) == 2:
            reply(Asked.read(held[0]).answer(phone()))

    with Responder(react) as agent:
        assert asked(asker, agent.port) == SHOWN


def test_duplicates_are_told_once(asker):
    def react(data, reply):
        for ext in ("1234", "1234", "666"):
            reply(Asked.read(data).answer(phone(ext)))

    with Responder(react) as agent:
        told = Told()
        asker.ask("127.0.0.1", TERMS._replace(port=agent.port), told)
        assert told.wait() == SHOWN
        assert asked(asker, agent.port) == SHOWN  # the thread has been round again by now
        assert told.answers == [SHOWN]


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.77"])
def test_nobody_else_can_answer(asker, address):
    """From another port, or another address and the same port; with everything else right."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:

        def react(data, reply):
            sender = agent.seen[-1][1]
            other.sendto(Asked.read(data).answer(phone("666")), sender)
            reply(Asked.read(data).answer(phone("1234")))

        with Responder(react) as agent:
            other.bind((address, agent.port if address != "127.0.0.1" else 0))
            assert asked(asker, agent.port) == SHOWN


def test_a_path_as_an_extension_is_told_harmlessly(asker):
    with Responder(lambda data, reply: reply(Asked.read(data).answer(phone("../../x")))) as agent:
        answer = asked(asker, agent.port)
    assert isinstance(answer, Silence)
    assert answer.text == "it answered an extension that is no number: '../../x'"


def test_who_never_answers_is_given_up_at_the_limit(asker):
    with Responder(lambda data, reply: reply(b"?")) as agent:
        answer = asked(asker, agent.port, limit=1)
        assert "3 attempts); an answer that could not be understood" in answer.text
        assert len(agent.seen) == 3 and len({data for data, _ in agent.seen}) == 1


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_nobody_there(asker, address):
    """Refused by every attempt: it ends long before the limit."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((address, 0))
        port = sock.getsockname()[1]
    answer = asked(asker, port, address, limit=1000)
    assert answer.text.endswith("3 attempts); nothing listens on that port (refused)")


def test_an_agent_that_is_just_starting(asker):
    """The first attempt is refused, a later one answered."""
    with Responder(proper) as gone:
        port = gone.port
    told = Told()
    asker.ask("127.0.0.1", TERMS._replace(port=port, timeout=0.2, retries=50), told)
    with Responder(proper, port=port):
        assert told.wait() == SHOWN


@pytest.mark.parametrize("address", ["a-name", "", "127.0.0.1/8", "1.2.3", "::1%nowhere9"])
def test_an_address_that_is_none(asker, address):
    assert isinstance(asked(asker, 9, address, timeout=0.05, retries=0, limit=0.1), Silence)


def test_a_cancelled_question_tells_nothing(asker):
    came = threading.Event()
    with Responder(lambda data, reply: came.set()) as agent:
        told = Told()
        cancel = asker.ask("127.0.0.1", TERMS._replace(port=agent.port, limit=0.2), told)
        assert came.wait(PATIENCE)
        cancel()
        cancel()
        assert isinstance(asked(asker, agent.port, limit=0.3), Silence)  # asked later, ends later
        assert told.answers == []


def test_a_fault_of_one_listener_is_told_and_stops_nobody():
    faults = []
    asker = Asker(failed=faults.append)
    with Responder(proper) as agent:
        asker.ask("127.0.0.1", TERMS._replace(port=agent.port), lambda answer: 1 / 0)
        assert asked(asker, agent.port) == SHOWN
    asker.close()
    assert [type(fault) for fault in faults] == [ZeroDivisionError]


def test_a_fault_is_reported_as_pythons_threads_do(asker, monkeypatch):
    faults = []
    monkeypatch.setattr(threading, "excepthook", faults.append)
    with Responder(proper) as agent:
        asker.ask("127.0.0.1", TERMS._replace(port=agent.port), lambda answer: 1 / 0)
        assert asked(asker, agent.port) == SHOWN
    (fault,) = faults
    assert fault.exc_type is ZeroDivisionError and fault.thread.name == "snmp"


def test_close_tells_those_who_wait():
    asker = Asker()
    with Responder(lambda data, reply: came.set()) as agent:
        came, told = threading.Event(), Told()
        cancel = asker.ask("127.0.0.1", TERMS._replace(port=agent.port), told)
        assert came.wait(PATIENCE)
        asker.close()
        assert "stopping" in told.wait().text
        assert "stopping" in asked(asker, agent.port).text
    cancel()
    asker.close()
    Asker().close()  # that never asked


def test_close_from_its_own_thread():
    asker, told = Asker(), Told()
    with Responder(proper) as agent:

        def done(answer):
            asker.close()
            told(answer)

        asker.ask("127.0.0.1", TERMS._replace(port=agent.port), done)
        assert told.wait() == SHOWN
    asker.close()


def test_200_at_once_wait_for_one_another_nowhere(asker):
    """The agent answers nobody before it has heard all of them: so all are asked at the same time."""
    count, held = 200, {}

    def react(data, reply):
        held[Asked.read(data).number] = (data, reply)
        if len(held) == count:
            for each, back in held.values():
                back(Asked.read(each).answer(phone()))

    with Responder(react) as agent:
        told = [Told() for _ in range(count)]
        for each in told:
            asker.ask("127.0.0.1", TERMS._replace(port=agent.port, timeout=5), each)
        assert {each.wait() for each in told} == {SHOWN}


def test_no_descriptor_is_left(asker):
    with Responder(proper) as agent:
        assert asked(asker, agent.port) == SHOWN
        before = len(asker._selector.get_map())
        for _ in range(10):
            assert asked(asker, agent.port) == SHOWN
        assert isinstance(asked(asker, agent.port, "127.0.0.99", limit=0.1), Silence)
        assert len(asker._selector.get_map()) == before == 1
