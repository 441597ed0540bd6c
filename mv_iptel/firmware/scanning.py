"""Asks phones by SNMP what they run, and sets it beside what the live scripts order: `firmware scan`."""

from __future__ import annotations

import ipaddress
import os
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mv_iptel.addresses import address_of
from mv_iptel.config import Config
from mv_iptel.firmware import advisories, foreseeing, mapping
from mv_iptel.firmware.advisories import Advisory
from mv_iptel.firmware.compliance import STATES, STUCK_SECONDS, Known, Order, Orders, judge
from mv_iptel.firmware.placing import directories
from mv_iptel.firmware.releases import Releases
from mv_iptel.inventory import Reader
from mv_iptel.inventory.known import TWIN_SECONDS
from mv_iptel.inventory.scanned import Scanned
from mv_iptel.library.access import Entry, parse
from mv_iptel.phones.whom import Phone, handset_of, phones_of
from mv_iptel.rollout import plans
from mv_iptel.snmp.families import Silence, Terms
from mv_iptel.snmp.survey import Surveyed
from mv_iptel.snmp.sweep import RATE, sweep

MOST = 65_536  # addresses of one scan: at the usual rate more than five minutes
_SPEAKS = {"96x0-sip": "SIP", "96x0": "H323", "4600": "H323", "16xx": "H323"}

Answer = Surveyed | Silence
Inventoried = dict[str, Any]  # a phone's row


@dataclass(frozen=True)
class Row:
    """One phone of the report. Texts are empty where nothing is known."""

    address: str
    state: str  # one of compliance.STATES
    text: str
    mac: str = ""
    ext: str = ""
    model: str = ""
    family: str = ""
    group: str = ""
    serial: str = ""
    boot: str = ""
    runs: str = ""
    source: str = ""  # what told what it runs: snmp, guess (an object that no source confirms), agent, script
    seen: float = 0.0  # when that was true
    ordered: str = ""
    ordered_by: str = ""  # FILE:LINE
    release: str = ""  # of the roll-out in whose ring it is
    advisories: tuple[Advisory, ...] = ()
    strange: tuple[str, ...] = ()  # what it answered in a form that cannot be true

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**vars(self), "advisories": [one.as_dict() for one in self.advisories],
                "strange": list(self.strange)}  # fmt: skip


@dataclass
class Report:
    """What a scan found. `kept` is what the inventory should learn."""

    time: float
    asked: int = 0
    answered: int = 0
    others: int = 0  # they answered, and are no phones
    seconds: float = 0.0
    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # of the advisories' file
    kept: list[Scanned] = field(default_factory=list)

    @property
    def states(self) -> dict[str, int]:
        """How many phones are in each state."""
        counted = Counter(row.state for row in self.rows)
        return {state: counted[state] for state in STATES}

    @property
    def findings(self) -> bool:
        """Whether there is something that somebody should look at."""
        return not self.answered or any(row.state == "stuck" or row.advisories for row in self.rows)


def targets(nets: Sequence[str]) -> list[str] | str:
    """The addresses of these networks, ranges and addresses, each once; or what is wrong with them."""
    entries, problems = parse("\n".join(nets))
    if problems:
        return problems[0].text
    spans = [_span(entry) for entry in entries]
    if sum(max(0, last - first + 1) for first, last in spans) > MOST:
        return f"more than {MOST:,} addresses; name smaller networks"
    found: dict[str, None] = {}
    for entry, (first, last) in zip(entries, spans, strict=True):
        make = ipaddress.IPv4Address if entry.version == 4 else ipaddress.IPv6Address
        found.update(dict.fromkeys(str(make(number)) for number in range(first, last + 1)))
    return list(found)


def _span(entry: Entry) -> tuple[int, int]:
    """Without the addresses of a network that are nobody's."""
    network = "/" in entry.text and entry.version == 4 and entry.last - entry.first > 1
    return (entry.first + 1, entry.last - 1) if network else (entry.first, entry.last)


def scan(
    config: Config,
    nets: Sequence[str] = (),
    recent: float = 30 * 86_400.0,
    rate: float = RATE,
    stuck: float = STUCK_SECONDS,
    told: Callable[[int, int], None] = lambda done, all: None,
    now: Callable[[], float] = time.time,
) -> Report | str:
    """Ask the inventory's phones that were seen within `recent` seconds, or who is in `nets`.

    `told` hears how many of how many are done. A text says why nobody is asked.
    """
    began = now()
    reader = Reader(config.settings.database)
    try:
        rows = reader.phones(limit=1_000_000, since=0.0 if nets else began - recent)
        scripts = reader.scripts_read()
        addresses = targets(nets) if nets else list(dict.fromkeys(filter(None, map(_address, rows))))
        if isinstance(addresses, str):
            return addresses
        if not nets and len(addresses) > MOST:
            return f"the inventory has more than {MOST:,} addresses; name networks with --net"
        answers = ask(addresses, Terms.of(config), rate, told)
        report = Report(began, len(addresses), seconds=now() - began)
        found = _together(answers, rows, report)
        warnings, report.problems = advisories.known(config)
        judged = _Judging(config, scripts, now(), stuck, warnings)
        report.rows = judged.rows(found, reader)
    finally:
        reader.close()
    return report


def ask(
    addresses: Sequence[str], terms: Terms, rate: float, told: Callable[[int, int], None] = lambda *_: None
) -> dict[str, Answer]:
    """What each address answered."""
    answers: dict[str, Answer] = {}

    def take(address: str, answer: Answer) -> None:
        answers[address] = answer
        told(len(answers), len(addresses))

    sweep(addresses, terms, take, rate)
    return {address: answers[address] for address in addresses}


class Found(NamedTuple):
    """A phone, with what it answered and what the inventory has of it; one of them at least."""

    address: str
    answer: Answer
    row: Inventoried


def _address(row: Inventoried) -> str:
    return address_of(row["address"])


def _together(answers: Mapping[str, Answer], rows: Iterable[Inventoried], report: Report) -> list[Found]:
    """Each phone once; fills in how many answered, and what is to be kept of it."""
    at: dict[str, list[Inventoried]] = defaultdict(list)
    by_mac = {}
    for row in rows:  # the last seen first
        at[_address(row)].append(row)
        if row["mac"]:
            by_mac[row["mac"]] = row
    found: list[Found] = []
    taken: set[str] = set()
    told: dict[str, Inventoried] = {}
    for address, answer in answers.items():
        if isinstance(answer, Surveyed):
            row = by_mac.get(answer.mac) if answer.mac else _owner(at[address], answer)
            if row is not None and row["key"] not in taken:
                told[address] = row
                taken.add(row["key"])
    for address, answer in answers.items():
        if isinstance(answer, Surveyed):
            report.answered += 1
            report.kept.append(_kept(address, answer, report.time))
            found.append(Found(address, answer, told.get(address, {})))
            answer = Silence("its address is another phone's now")
        elif answer.text.startswith("it answered"):
            report.others += 1
        for row in at[address]:
            if row["key"] not in taken:
                taken.add(row["key"])
                found.append(Found(address, answer, row))
    return found


def _owner(rows: list[Inventoried], answer: Surveyed) -> Inventoried | None:
    """Which phone that is known at an address it is that answered there; the inventory asks the same."""
    if not rows:
        return None
    named = [row for row in rows if row["mac"]]
    if len(named) > 1 and named[0]["last_seen"] - named[1]["last_seen"] < TWIN_SECONDS:
        return None
    row = named[0] if named else rows[0]
    models = {_short(model) for model in (row["model"], answer.model) if model}
    return row if len(models) < 2 else None


def _kept(address: str, answer: Surveyed, now: float) -> Scanned:
    software = "" if "software" in answer.guessed else answer.software
    return Scanned(now, address, answer.mac, answer.ext, answer.model, software, answer.group, answer.serial,
                   answer.boot)  # fmt: skip


def _short(model: str) -> str:
    return re.sub(r"D\d\d[A-Z]?$", "", model.strip(), flags=re.IGNORECASE).casefold()


class _Judging:
    """Holds what phones run against what is ordered for them."""

    def __init__(
        self, config: Config, scripts: Mapping[str, tuple[str, float]], now: float, stuck: float,
        warnings: list[Advisory],
    ):  # fmt: skip
        self._scripts, self._now, self._stuck, self._warnings = scripts, now, stuck, warnings
        self._live = Orders(foreseeing.served(config, {}), lambda *name: changed(config, *name))
        self._rollout, self._met, self._ring = _ring(config)

    def rows(self, found: list[Found], reader: Reader) -> list[Row]:
        """The report's rows: what is worst first."""
        parts = [self._part(one) for one in found]
        got = reader.got({order.software for _, _, order in parts if order.software})
        rows = [self._row(*part, got) for part in parts]
        worst = ("stuck", "pending", "unknown", "silent", "compliant")
        return sorted(
            rows, key=lambda row: (worst.index(row.state), not row.advisories, _number(row.address))
        )

    def _part(self, one: Found) -> tuple[Found, Phone, Order]:
        answer, row = one.answer, one.row
        said = answer if isinstance(answer, Surveyed) else Surveyed("")
        key = row.get("key", "")
        model = said.model or row.get("model", "")
        runs = said.software or row.get("runs", "")
        script = {key: self._scripts[key][0]} if key in self._scripts else {}
        (phone,) = phones_of(
            [{"key": key, "model": model, "runs": runs, "mac": said.mac or row.get("mac", "")}], script
        )
        speaks = _SPEAKS.get(said.module) or ("SIP" if runs.upper().startswith("FW_S_") else "")
        if speaks and handset_of(phone._replace(signalling=speaks)):
            phone = phone._replace(signalling=speaks)
        orders = self._ring if self._ring is not None and key in self._met else self._live
        return one, phone, orders.of(phone, model, said.group)

    def _row(self, one: Found, phone: Phone, order: Order, got: Mapping[str, Mapping[str, float]]) -> Row:
        answer, row = one.answer, one.row
        key = row.get("key", "")
        said = answer if isinstance(answer, Surveyed) else Surveyed("")
        known = Known(row.get("runs", ""), row.get("runs_source", ""), row.get("runs_seen", 0.0), said.group,
                      self._scripts.get(key, ("", 0.0))[1], got.get(key, {}))  # fmt: skip
        if said.software:
            guess = "software" in said.guessed
            if not (guess and known.runs):  # a guess is better than nothing, and than nothing else
                source = "guess" if guess else "snmp"
                known = known._replace(runs=said.software, source=source, seen=self._now)
        verdict = judge(known, order, self._now, self._stuck)
        release = ""
        if self._rollout is not None and key in self._met:
            release = self._rollout.release
            verdict = verdict._replace(text=f"in the ring of {release}: {verdict.text}")
        if isinstance(answer, Silence):
            text = answer.text + (f"; last known: {known.runs}, {verdict.text}" if known.runs else "")
            verdict = verdict._replace(state="silent", text=text)
        handset = handset_of(phone._replace(mac=""))
        family = handset.family.name if handset else ""
        return Row(
            one.address, verdict.state, verdict.text, phone.mac, said.ext or row.get("ext", ""),
            said.model or row.get("model", ""), family, said.group, said.serial, said.boot, known.runs,
            known.source if known.runs else "", known.seen if known.runs else 0.0, order.software,
            f"{order.file}:{order.line}" if order.file else "", release,
            advisories.concerning(self._warnings, family, phone.model, known.runs), said.strange,
        )  # fmt: skip


def changed(config: Config, protocol: str, name: str) -> float:
    """When a script was changed last; 0 if that cannot be told.

    A release brings its files with the vendor's times: when it came here is what the system noted itself.
    """
    places = {"tftp": ("TFTPdata",), "http": ("HTTPdata",), "https": ("HTTPSdata", "HTTPdata")}[protocol]
    roots = directories(config)
    for place in places:
        root = roots[place]
        try:
            status = os.stat(root / mapping.spelled(root, name))
        except (OSError, ValueError):
            continue
        return max(status.st_mtime, status.st_ctime)
    return 0.0


def _ring(config: Config) -> tuple[plans.Rollout | None, Mapping[str, plans.Met], Orders | None]:
    """The roll-out that is under way, whom it has reached, and what is ordered for these."""
    rollout = plans.load(config.home)
    if rollout is None or rollout.state in plans.OVER:
        return None, {}, None
    releases = Releases(config.home)
    new = {}
    for place, named in rollout.scripts.items():
        for name, sha256 in named.items():
            try:
                new[str(mapping.path_of(config, place, name))] = releases.content(sha256)
            except mapping.Unusable:
                continue
    served = foreseeing.served(config, new)
    return (
        rollout,
        plans.read(plans.log_of(config.home, rollout.run)),
        Orders(served, lambda *_: rollout.began),
    )


def _number(address: str) -> tuple[int, int]:
    parsed = ipaddress.ip_address(address)
    return parsed.version, int(parsed)
