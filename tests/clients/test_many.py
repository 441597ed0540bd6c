"""Many phones at once: the counts are small in `make test` and large in `make prove`."""

from __future__ import annotations

import dataclasses
import json
import random
import resource

import pytest

from tests.clients.herd import fetch
from tests.clients.relay import Relay

pytestmark = [pytest.mark.prove, pytest.mark.timeout(3600)]

MIB = random.Random(11).randbytes(1 << 20)


@pytest.fixture(autouse=True)
def descriptors():
    """A socket for each client, and the relay needs two more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_transfers_at_once(daemon, count, evidence):
    """A mebibyte for each of them, in blocks of 512 octets."""
    daemon.write(daemon.home.tftp_data, "mib.bin", MIB)
    clients = count("transfers")
    result = fetch(("127.0.0.1", daemon.tftp), "mib.bin", MIB, clients, limit=1800)
    evidence("transfers", clients=clients, octets=len(MIB), **dataclasses.asdict(result))
    assert (result.ok, result.wrong, result.unfinished, result.refused) == (clients, 0, 0, 0), result


def test_transfers_through_a_bad_network(daemon, count, evidence):
    """5 % lost, 5 % doubled, 5 % reordered, each way."""
    content = MIB[: count("relay-size")]
    daemon.write(daemon.home.tftp_data, "relayed.bin", content)
    clients = count("relay")
    with Relay(("127.0.0.1", daemon.tftp), seed=2026) as relay:
        result = fetch(relay.address, "relayed.bin", content, clients, limit=3000)
    evidence("relay", clients=clients, octets=len(content), seed=2026, weather=vars(relay.weather),
             relay=vars(relay.tally), **dataclasses.asdict(result))  # fmt: skip
    assert (result.ok, result.wrong, result.unfinished, result.refused) == (clients, 0, 0, 0), result


def test_a_storm_of_phones(daemon, count, evidence):
    """Script, settings and a mebibyte of firmware each; half of them by TFTP, half by HTTP."""
    phones = count("storm")
    done = daemon.run(
        "sim", "storm", "--phones", str(phones), "--mix", "tftp=50,http=50",
        "--size", str(1 << 20), "--seed", "7",
        "--ports-offset", str(daemon.offset), "--json",
    )  # fmt: skip
    result = json.loads(done.stdout)
    evidence("storm", **result)
    assert result["failed"] == 0
