"""The simulated phone's SNMP agent, asked by net-snmp's snmpget: a program that we did not write."""

from __future__ import annotations

import subprocess

import pytest

from mv_iptel.phones.agent import Agents, Says
from mv_iptel.phones.families import Handset

SYS_OBJECT = ".1.3.6.1.2.1.1.2.0"
AVAYA = ".1.3.6.1.4.1.6889"
# model: its sysObjectID, extension and type, as the reference names them
PHONES = {
    "4621SW": (f"{AVAYA}.1.69.1.1", f"{AVAYA}.2.69.1.4.9.0", f"{AVAYA}.2.69.1.1.2.0"),
    "9640": (f"{AVAYA}.1.69.2.1", f"{AVAYA}.2.69.2.6.3.0", f"{AVAYA}.2.69.2.1.43.0"),
    "1616": (f"{AVAYA}.1.69.3.1", f"{AVAYA}.2.69.3.6.3.0", f"{AVAYA}.2.69.3.1.43.0"),
}


@pytest.fixture(scope="module")
def agents():
    with Agents() as running:
        yield running


@pytest.fixture
def get(program):
    """`get(agent, version, community, *objects)`: what snmpget prints, its lines without the names."""
    command = program("snmpget")

    def ask(agent, version: str, community: str, *objects: str) -> subprocess.CompletedProcess[str]:
        where = f"{agent.address}:{agent.port}"
        flags = ["-M", "", "-m", "", "-On", "-v", version, "-c", community, "-t", "2", "-r", "1"]
        return subprocess.run([command, *flags, where, *objects], capture_output=True, text=True, timeout=30)

    return ask


@pytest.mark.parametrize("version", ["1", "2c"])
@pytest.mark.parametrize("model", PHONES)
def test_extension_and_type(agents, get, model, version):
    agent = agents.add("127.0.0.61", 0, Says(Handset(model, ext="4711"), "word"))
    identity, ext, kind = PHONES[model]
    done = get(agent, version, "word", SYS_OBJECT, ext, kind)
    agents.remove(agent)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{SYS_OBJECT} = OID: {identity}", f'{ext} = STRING: "4711"', f'{kind} = STRING: "{model}"',
    ]  # fmt: skip


def test_what_is_not_there(agents, get):
    agent = agents.add("127.0.0.61", 0, Says(Handset("9640", ext="4711"), "word"))
    _, ext, _ = PHONES["9640"]
    other = PHONES["4621SW"][1]
    done = get(agent, "2c", "word", other, ext)
    assert done.stdout.splitlines()[0].startswith(f"{other} = No Such Object")
    assert '"4711"' in done.stdout
    done = get(agent, "1", "word", ext, other)
    agents.remove(agent)
    assert done.returncode != 0 and "noSuchName" in done.stderr and other in done.stderr


def test_another_community_is_not_answered(agents, get):
    agent = agents.add("127.0.0.61", 0, Says(Handset("9640", ext="4711"), "word"))
    done = get(agent, "2c", "public", SYS_OBJECT)
    agents.remove(agent)
    assert done.returncode != 0 and "Timeout" in done.stderr
