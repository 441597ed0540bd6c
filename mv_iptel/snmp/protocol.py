"""One question by SNMP as bytes: a GET, its attempts, and what an answer says; no socket, no clock.

The messages are pysnmp's (RFC 1157, RFC 1901, RFC 3416). It is imported at the first question: a server
that never asks need not load it.
"""

from __future__ import annotations

import functools
import itertools
import secrets
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

from mv_iptel.snmp.families import (
    NO_AGENT,
    SYS_OBJECT,
    UNASKED,
    Silence,
    Strange,
    Terms,
    Value,
    family_of,
    judge,
    objects,
)

LARGEST = 8192  # octets of an answer; ours have some hundred, and a large one is costly to take apart
_REMEMBERED, _SHORT = 1024, 128  # objects of answers that are taken apart once, and their octets at most
MOST_UNCLEAR = 8  # so many answers that nobody understands end the question: each costs time
_ID_LOW, _ID_HIGH = 1 << 23, 1 << 31  # request ids that fill four octets of BER, no more and no less
_NO_SUCH_NAME = 2
_LAST_ERROR = 18  # inconsistentName; the names of those that version 1 has too:
_ERRORS = ("", "tooBig", "noSuchName", "badValue", "readOnly", "genErr")


class Said(NamedTuple):
    """A well-formed answer to the very question. `error` and `index` are 0 where all is well."""

    error: int
    index: int
    values: dict[str, Value]


class Unclear(NamedTuple):
    """A datagram that is no answer to the question, and why."""

    text: str


def new_id() -> int:
    """A request id that nobody can foresee."""
    return _ID_LOW + secrets.randbelow(_ID_HIGH - _ID_LOW)


@functools.cache
def _envelope() -> object:
    """What an answer looks like from outside: its objects stay as they came, to be looked at one by one.

    To take every object apart would be two thirds of the cost of a question, and most objects of the large
    one are those that a phone has not.
    """
    from pyasn1.type import namedtype, tag, univ

    def sequence(*parts: object) -> namedtype.NamedTypes:
        return namedtype.NamedTypes(
            *(namedtype.NamedType(f"part-{at}", part) for at, part in enumerate(parts))
        )

    class Objects(univ.SequenceOf):
        componentType = univ.Any()

    class Response(univ.Sequence):
        tagSet = univ.Sequence.tagSet.tagImplicitly(tag.Tag(tag.tagClassContext, tag.tagFormatConstructed, 2))
        componentType = sequence(univ.Integer(), univ.Integer(), univ.Integer(), Objects())

    class Message(univ.Sequence):
        componentType = sequence(univ.Integer(), univ.OctetString(), Response())

    return Message()


class Question:
    """A GET for some objects: encoded once, asked with many ids."""

    def __init__(self, version: str, community: str, wanted: tuple[str, ...]):
        from pyasn1.codec.ber import decoder, encoder
        from pysnmp.proto import api

        self._number = api.SNMP_VERSION_1 if version == "1" else api.SNMP_VERSION_2C
        self._layer: ModuleType = api.PROTOCOL_MODULES[self._number]
        self._decode, self._encode = decoder.decode, encoder.encode
        self._community = community.encode()
        one, other = self._written(0x01010101, wanted), self._written(0x7E7E7E7E, wanted)
        # Both ids have four octets, so the two messages differ in these and nowhere else.
        at = next(place for place, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)
        self._before, self._after = one[:at], one[at + 4 :]
        self._size, self._bind = len(wanted), self._layer.VarBind()
        self._absent = self._absences(wanted) if version != "1" else {}
        # All phones of a kind say the same of themselves but for the extension.
        self._known = functools.lru_cache(_REMEMBERED)(self._open)

    def _written(self, number: int, wanted: tuple[str, ...]) -> bytes:
        layer = self._layer
        pdu = layer.GetRequestPDU()
        layer.apiPDU.set_defaults(pdu)
        layer.apiPDU.set_request_id(pdu, number)
        layer.apiPDU.set_varbinds(pdu, [(oid, layer.null) for oid in wanted])
        message = layer.Message()
        layer.apiMessage.set_defaults(message)
        layer.apiMessage.set_community(message, self._community)
        layer.apiMessage.set_pdu(message, pdu)
        return self._encode(message)

    def _absences(self, wanted: tuple[str, ...]) -> dict[bytes, str]:
        """How a phone says that it has not an object, in the octets that nearly all agents use for it."""
        layer, found = self._layer, {}
        for oid in wanted:
            for nothing in (layer.NoSuchObject(""), layer.NoSuchInstance("")):
                bind = layer.VarBind()
                layer.apiVarBind.set_oid_value(bind, (oid, nothing))
                found[self._encode(bind)] = oid
        return found

    def encode(self, number: int) -> bytes:
        """The message, with this request id (from `new_id`)."""
        return b"".join((self._before, number.to_bytes(4, "big"), self._after))

    def decode(self, number: int, data: bytes) -> Said | Unclear:
        """What a datagram says in answer to the question that was asked with that id. Never raises."""
        if len(data) > LARGEST:
            return Unclear(f"a datagram of more than {LARGEST} octets")
        if number.to_bytes(4, "big") not in data:  # what is late or forged is not worth taking apart
            return Unclear("another request id, or no SNMP")
        try:
            return self._read(number, data)
        except Exception:  # whatever pyasn1 makes of any bytes, deep nesting and all: it is no answer
            return Unclear("no SNMP message")

    def _read(self, number: int, data: bytes) -> Said | Unclear:
        message, _ = self._decode(data, asn1Spec=_envelope())
        version, community, pdu = message[0], message[1], message[2]
        if int(version) != self._number:
            return Unclear("another version of SNMP")
        if community.asOctets() != self._community:
            return Unclear("another community")
        if int(pdu[0]) != number:
            return Unclear("another request id")
        if len(pdu[3]) > self._size:
            return Unclear("more objects than were asked")
        values: dict[str, Value] = {}
        for bind in pdu[3]:
            octets = bind.asOctets()
            absent = self._absent.get(octets)
            if absent is not None:
                values.setdefault(absent, None)
                continue
            oid, value = self._known(octets) if len(octets) <= _SHORT else self._open(octets)
            values.setdefault(oid, value)
        error, index = int(pdu[1]), int(pdu[2])
        if not (0 <= error <= _LAST_ERROR and 0 <= index <= self._size):
            return Unclear("an error status that there is not")
        return Said(error, index, values)

    def _open(self, octets: bytes) -> tuple[str, Value]:
        """What one object of an answer says, and its name."""
        bind, _ = self._decode(octets, asn1Spec=self._bind)
        oid, value = self._layer.apiVarBind.get_oid_value(bind)
        return str(oid), self._value(value)

    def _value(self, value: object) -> Value:
        layer = self._layer
        if isinstance(value, layer.Null):  # noSuchObject and noSuchInstance are made from it
            return None
        if value.tagSet == layer.OctetString.tagSet:
            return value.asOctets()
        if value.tagSet == layer.ObjectIdentifier.tagSet:
            return str(value)
        number = int(value) if value.tagSet == layer.Integer.tagSet else None
        return Strange(type(value).__name__, number)


@functools.lru_cache(64)
def question(version: str, community: str, wanted: tuple[str, ...]) -> Question:
    """The question for these objects. ValueError: they cannot be written in BER ("0.99" is no identifier)."""
    try:
        return Question(version, community, wanted)
    except Exception:  # pysnmp's text holds all it was given, the community too
        raise ValueError("the question cannot be written: look at ExtObject and TypeObject") from None


class Dialogue:
    """All that is said with one phone until `result` is there.

    Version 2c asks for everything at once. Version 1 would answer that with an error for the first object
    that a phone has not, so it asks what the phone is, and then for the objects of its family; and so is a
    phone asked that answers the large question of version 2c with an error.
    """

    def __init__(self, terms: Terms, now: float, ids: Callable[[], int] = new_id):
        self.result: Any = None  # Shown or Silence; other dialogues have another answer
        self._terms, self._ids = terms, ids
        self._end = now + terms.limit
        self._values: dict[str, Value] = {}
        self._notes: dict[str, None] = {}  # a set that keeps its order
        self._faults: dict[str, None] = {}
        self._unclear = 0
        self._attempts = 0
        self._outbox: list[bytes] = []
        self._wide = terms.version != "1"
        self._ask(self._first(), now)

    @property
    def deadline(self) -> float:
        """When `tick` has something to do."""
        return min(self._due, self._end)

    def to_send(self) -> list[bytes]:
        """The datagrams that are to be sent now."""
        out, self._outbox = self._outbox, []
        return out

    def tick(self, now: float) -> None:
        """Try again, or give up."""
        if self.result is not None:
            return
        if now >= self._end:
            self._give_up()
        elif now >= self._due:
            self._try(now)

    def receive(self, data: bytes, now: float) -> None:
        """A datagram from the phone."""
        if self.result is not None:
            return
        answer = self._question.decode(self._id, data)
        if isinstance(answer, Unclear):
            self._note(answer.text)
        elif answer.error:
            self._error(answer.error, answer.index, now)
        elif not any(oid in answer.values for oid in self._wanted):
            self._note("nothing of what was asked")
        else:
            for oid in self._wanted:
                self._values[oid] = answer.values.get(oid)
            self._go_on(now)

    def failed(self, why: str) -> None:
        """The system says that an attempt did not arrive. The next one may: an agent needs time to start."""
        self._faults[why] = None
        self._lost = min(self._lost + 1, self._tried)
        if self.result is None and not self._left and self._lost == self._tried:
            self._give_up()

    def _first(self) -> tuple[str, ...]:
        return objects(self._terms) if self._wide else (SYS_OBJECT,)

    def _ask(self, wanted: tuple[str, ...], now: float) -> None:
        self._wanted = wanted
        try:
            self._question = question(self._terms.version, self._terms.community, wanted)
        except ValueError as error:
            self._due, self.result = now, Silence(str(error))
            return
        self._id = self._ids()
        self._left = self._terms.retries + 1
        self._tried = self._lost = 0
        self._outbox.clear()
        self._try(now)

    def _try(self, now: float) -> None:
        self._outbox.append(self._question.encode(self._id))
        self._left -= 1
        self._tried += 1
        self._attempts += 1
        self._due = now + self._terms.timeout if self._left else self._end

    def _go_on(self, now: float) -> None:
        if self._wide or SYS_OBJECT not in self._wanted:
            self.result = judge(self._values, self._terms)
        else:
            self._ask_family(now)

    def _ask_family(self, now: float) -> None:
        family = family_of(self._values, self._terms)
        self._ask(tuple(dict.fromkeys((family.ext_object, family.type_object))), now)

    def _error(self, error: int, index: int, now: float) -> None:
        if self._wide:  # too much for it at once
            self._wide = False
            self._ask((SYS_OBJECT,), now)
        elif error == _NO_SUCH_NAME and 1 <= index <= len(self._wanted):
            missing = self._wanted[index - 1]
            self._values[missing] = None
            others = tuple(oid for oid in self._wanted if oid != missing)
            if others:
                self._ask(others, now)
            else:
                self._go_on(now)
        else:
            name = _ERRORS[error] if error < len(_ERRORS) else "error"
            self._note(f"the error status {name} ({error})")

    def _note(self, text: str) -> None:
        self._notes[text] = None
        self._unclear += 1
        if self._unclear >= MOST_UNCLEAR:
            self._give_up()

    def _give_up(self) -> None:
        terms = self._terms
        text = f"no answer by SNMP (version {terms.version}, port {terms.port}, {self._attempts} attempts)"
        if self._notes:
            text += f"; an answer that could not be understood: {', '.join(itertools.islice(self._notes, 3))}"
        if self._faults:
            text += f"; {', '.join(itertools.islice(self._faults, 3))}"
        self.result = Silence(text, NO_AGENT if self._notes else UNASKED)
