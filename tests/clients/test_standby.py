"""Two servers and keepalived in network namespaces: phones boot on while the active one is taken away."""

from __future__ import annotations

import ftplib
import os
import re
import shutil
import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from mv_iptel import config
from mv_iptel.firmware.generations import current
from mv_iptel.phones import backup, userdata
from mv_iptel.phones.agent import Agents, Says
from mv_iptel.phones.families import Handset
from mv_iptel.phones.live import tls_context
from tests.clients.daemon import set_keys, wait_for
from tests.clients.packages import PACKAGES
from tests.clients.pair import LONG, OWN, PATIENCE, PHONES, SHARED, Pair, Phone, within

pytestmark = [pytest.mark.prove, pytest.mark.timeout(3600)]

OLD = Handset("4621SW", mac="00040d4621aa", ext="4621")
NEW = Handset("9640", mac="00040d9640bb", ext="9640")
KINDS = "4621SW by TFTP", "9640 by HTTPS and HTTP"
# What is done to the active server, and within how many seconds each phone has a good boot again.
FAULTS = {"killed": 5.0, "stopped": 10.0, "cut off": 10.0, "unplugged": 10.0}


@pytest.fixture(scope="module")
def pair(tmp_path_factory, request, program):
    if request.config.getoption("--evidence") is None:
        pytest.skip("a proof of minutes: make prove")
    if os.name != "posix" or os.geteuid():
        pytest.skip("network namespaces need root")
    program("ip")
    keepalived = program("keepalived")
    with Pair(tmp_path_factory.mktemp("pair"), keepalived, bool(shutil.which("ping"))) as running:
        yield running


def harm(pair: Pair, member, fault: str) -> float:
    """Do it; the moment."""
    network = pair.network
    moment = time.monotonic()
    match fault:
        case "killed":
            member.signal(signal.SIGKILL)
        case "stopped":
            member.signal(signal.SIGSTOP)
        case "cut off":
            network.cut(member.node)
        case "unplugged":
            network.unplug(member.node)
    return moment


def heal(pair: Pair, member, fault: str) -> None:
    match fault:
        case "killed":
            member.start()
        case "stopped":
            member.signal(signal.SIGCONT)
        case _:
            pair.network.mend(member.node)


def test_phones_boot_on(pair, evidence, request):
    """Each fault hits whoever is active; then it is mended, and whoever took over stays active."""
    figures = {}
    pair.settled()
    phones = [Phone(pair, OLD, PHONES[0]), Phone(pair, NEW, PHONES[1])]
    with ExitStack() as stack:
        for phone in phones:
            stack.enter_context(phone)
            wait_for("a first boot", lambda: phone.good_since(0), LONG)  # noqa: B023
        for fault in FAULTS:
            active = pair.settled()
            moment = harm(pair, active, fault)
            for phone in phones:
                wait_for("a good boot", lambda: phone.good_since(moment), LONG)  # noqa: B023
            other = next(one for one in pair.members if one is not active)
            wait_for("the change", lambda: other.active, LONG)  # noqa: B023
            seconds = [round(phone.good_since(moment).ended - moment, 2) for phone in phones]
            back = time.monotonic()
            heal(pair, active, fault)
            stayed = pair.settled() is other
            again = time.monotonic()
            for phone in phones:
                wait_for("a boot after that", lambda: phone.good_since(again), LONG)  # noqa: B023
            figures[fault] = {
                "good boot after": dict(zip(KINDS, seconds, strict=True)),
                "at most": FAULTS[fault],
                "whoever took over stays": stayed,
                "boots that failed meanwhile": [phone.failed(moment, back) for phone in phones],
                "boots that failed at the return": [phone.failed(back, again) for phone in phones],
            }
    wrong = [line for phone in phones for line in phone.wrong(pair.members[0].home)]
    boots = [boot.report for phone in phones for boot in phone.boots]
    evidence(
        "standby", faults=figures, patience_of_a_phone_s=PATIENCE, boots=len(boots),
        transfers=sum(len(one.requests) for one in boots), wrong_transfers=len(wrong),
    )  # fmt: skip
    assert wrong == []
    late = {fault: told for fault, told in figures.items()
            if max(told["good boot after"].values()) > FAULTS[fault]}  # fmt: skip
    assert not late
    # After a cut both were active for a while; where it was short, who stays is decided by their addresses.
    assert all(told["whoever took over stays"] for fault, told in figures.items() if fault != "cut off")


def test_replies_leave_from_the_shared_address_and_questions_from_the_own(pair, evidence):
    """FTP in both ways, its data connections, and what the phone's agent sees of the server."""
    active = pair.settled()

    def ask() -> dict[str, object]:
        found: dict[str, object] = {}
        with ftplib.FTP(timeout=10) as ftp:
            ftp.connect(SHARED, 21, source_address=(PHONES[0], 0))
            ftp.login()
            reply = ftp.sendcmd("PASV")
            numbers = re.search(r"\((\d+),(\d+),(\d+),(\d+),", reply).groups()
            found["passive"] = ".".join(numbers)
            ftp.set_pasv(False)
            with ftp.transfercmd("LIST") as connection:
                found["active"] = connection.getpeername()[0]
        asked = []
        with Agents() as agents:
            says = Says(OLD, config.load(active.home).snmp.community)
            agents.add(PHONES[0], 161, says, asked.append)
            for passive in (True, False):
                manner = backup.Manner(PHONES[0], OLD.user_agent(), passive=passive)
                depot = userdata.depot_at(OLD, SHARED)
                data = userdata.made_up(userdata.kept_by(OLD), seed=int(passive))
                stored = backup.store(depot, userdata.stored_as(OLD), data, manner)
                assert stored.result == "ok", stored.detail
        found["questions"] = sorted({one.peer.rpartition(":")[0] or one.peer for one in asked})
        return found

    found = within(pair.network.phones, ask)
    evidence("standby-addresses", shared=SHARED, own=OWN, seen=found)
    assert found["passive"] == SHARED
    assert found["active"] == SHARED
    assert found["questions"] == [OWN[active.node]]


def keep(pair: Pair, seed: int) -> tuple[str, bytes]:
    """The 9640's user saves something; name and content."""
    home = pair.active().home
    data = userdata.made_up(userdata.kept_by(NEW), seed=seed)
    file = userdata.stored_as(NEW)

    def store() -> object:
        with Agents() as agents:
            agents.add(PHONES[1], 161, Says(NEW, config.load(home).snmp.community))
            manner = backup.Manner(PHONES[1], NEW.user_agent(), context=tls_context(home.ca_cert))
            return backup.store(userdata.depot_at(NEW, SHARED), file, data, manner)

    stored = within(pair.network.phones, store)
    assert stored.result == "ok", stored.detail
    return file, data


def same(one: Path, data: bytes) -> bool:
    return one.exists() and one.read_bytes() == data


def test_content_reaches_the_other(pair, evidence, tmp_path):
    """Firmware one way, user data both ways: each is a branch of the other, and nothing runs in a circle."""
    first, second = pair.members
    before = {path.name: path.read_bytes() for path in pair.active().home.ftp_data.glob("*data.txt")}
    for here, there in ((first, second), (second, first)):
        line = there.run("central", "invite", here.node, "--address", OWN[there.node]).strip()
        here.run(*line.split()[1:])
        if here is first:
            set_keys(first.home.ini, {("BACKUP_SERVERS", "RequestUpdates"): 0})
        here.run("reload")
    for name, data in before.items():
        for member in pair.members:
            wait_for("what was there", lambda: same(member.home.ftp_data / name, data), LONG)  # noqa: B023

    package = PACKAGES["96x1"]
    first.run("firmware", "install", str(package.write(tmp_path)), "--publish", "--yes")
    name, data = max(package.files.items(), key=lambda one: len(one[1]))
    wait_for("the firmware", lambda: same(second.home.http_data / name, data), LONG)
    wait_for("its generation", lambda: current(second.home).number, LONG)

    seconds = []
    for turn in range(2):
        active = pair.settled()
        other = next(one for one in pair.members if one is not active)
        began = time.monotonic()
        file, kept = keep(pair, turn)
        wait_for("the other's copy", lambda: same(other.home.ftp_data / file, kept), LONG)  # noqa: B023
        seconds.append(round(time.monotonic() - began, 2))
        if turn == 0:  # now the other one is active
            harm(pair, active, "unplugged")
            wait_for("the change", lambda: other.active, LONG)  # noqa: B023
            pair.network.mend(active.node)
    versions = [len(list((member.home.var / "versions" / file).glob("2*"))) for member in pair.members]
    generations = [current(member.home).number for member in pair.members]
    evidence("standby-content", userdata_there_after_s=seconds, versions=versions, generations=generations)
    assert versions == [1, 1]
    assert generations == [1, 1]
    assert before
