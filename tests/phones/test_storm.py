"""Many phones at once: when they come, from where, and that no wrong byte stays unseen."""

from __future__ import annotations

import ipaddress
import time

import pytest

from mv_iptel.phones.boot import Fetch, Server
from mv_iptel.phones.live import Live, tls_context
from mv_iptel.phones.sample import write_firmware
from mv_iptel.phones.storm import Plan, Storm, own_address, raise_descriptors, scout
from tests.phones.stands import Stand


def test_each_phone_has_an_address_of_its_own():
    addresses = [own_address(number) for number in range(70_000)]
    assert len(set(addresses)) == len(addresses)
    assert addresses[0] == "127.1.1.1" and addresses[254] == "127.1.2.1" and addresses[64516] == "127.2.1.1"
    for address in addresses[::97]:
        assert ipaddress.ip_address(address) in ipaddress.ip_network("127.0.0.0/8")
        assert not address.endswith((".0", ".255")) and address != "127.0.0.1"


def test_shares_are_exact_and_the_seed_decides_the_order():
    def plan(seed: int) -> Plan:
        return Plan(10, {}, {"tftp": 50, "http": 30, "https": 20}, seed=seed)

    first = plan(1).protocols()
    assert sorted(first) == ["http"] * 3 + ["https"] * 2 + ["tftp"] * 5
    assert first == plan(1).protocols() != plan(2).protocols()
    assert Plan(3, {}, {"tftp": 1, "http": 1}).protocols().count("tftp") in (1, 2)


def test_groups_have_exact_shares_too():
    plan = Plan(10, {}, {"http": 1}, groups={"5": 20, "0": 80})
    assert sorted(plan.group_of_each()) == ["0"] * 8 + ["5"] * 2
    assert Plan(3, {}, {"http": 1}).group_of_each() == ["0"] * 3


def test_descriptors_are_raised_within_what_is_allowed():
    assert raise_descriptors(20_000) > 0


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    with Stand(tmp_path_factory.mktemp("storm")) as stand:
        stand.small()
        write_firmware([stand.home.tftp_data, stand.home.http_data], 100_000)
        yield stand


def storm(stand: Stand, phones: int, mix: dict[str, float], **more) -> tuple[Plan, Storm]:
    """A storm whose references were fetched."""
    context = tls_context(stand.home.ca_cert)
    told = {protocol: stand.told(protocol) for protocol in mix}
    plan = Plan(phones, told, mix, **{"arrival": 0.5, "context": context, **more})
    with Live(context=context) as live:
        references, reports = scout(plan, live.fetch)
    assert all(report.booted.ready for report in reports.values())
    return plan, Storm(plan, references)


def test_a_storm_over_everything(stand, count):
    phones = count("storm")
    plan, running = storm(stand, phones, {"tftp": 40, "http": 30, "https": 30})
    result = running.run()
    assert [phone.why for phone in result.failed] == []
    assert {phone.files for phone in result.phones} == {4, 5}  # over HTTP settings come in both passes
    assert all(phone.octets > 100_000 for phone in result.phones)
    assert result.unverified == 0
    seen = stand.seen(own_address(0), 4)
    assert {event.outcome for event in seen} == {"ok"}
    assert len({phone.address for phone in result.phones}) == phones
    assert plan.protocols() == [phone.protocol for phone in result.phones]


def test_phones_in_groups_remember_what_they_run(stand):
    """Group 5 is sent to firmware that does not run; the others have theirs already."""
    folder = stand.home.http_data
    script = folder / "96xxupgrade.txt"
    good = script.read_bytes()
    (folder / "bad.bin").write_bytes(b"bad" * 1000)
    script.write_bytes(
        b"IF $GROUP SEQ 5 GOTO BAD\nSET APPNAME app.bin\nGOTO END\n# BAD\nSET APPNAME bad.bin\n# END\n"
        b"GET 46xxsettings.txt\n"
    )
    more = {"groups": {"5": 1, "0": 3}, "runs": dict.fromkeys(range(7), "app.bin"), "arrival": 0}
    try:
        _, running = storm(stand, 8, {"http": 1}, rejects=frozenset({"bad.bin"}), **more)
        result = running.run()
    finally:
        script.write_bytes(good)
    looping = [phone for phone in result.phones if phone.group == "5"]
    assert result.failed == looping and len(looping) == 2
    assert all("restarted 5 times" in phone.why for phone in looping)
    assert {phone.runs for phone in result.phones if phone.ready} == {"app.bin"}
    told = result.as_dict()
    assert told["by_firmware"]["app.bin"] >= 7 and told["failures"][0]["group"] == "5"
    assert result.unverified == 8 + 4 * 2, "scripts are not compared, one for each power-on"


def test_a_storm_with_losses_asks_again_and_still_gets_every_byte(stand):
    # Small files, because each loss costs a second.
    _, running = storm(stand, 20, {"tftp": 1}, loss=0.1, seed=5, arrival=0.2, firmware="46xxsettings.txt")
    result = running.run()
    assert [phone.why for phone in result.failed] == []
    assert result.dropped > 0
    assert result.repeated["rrq"] + result.repeated["ack"] > 0


@pytest.mark.parametrize("protocol", ["tftp", "http", "https"])
def test_one_wrong_byte_is_a_failed_phone(stand, protocol):
    folder = stand.home.tftp_data if protocol == "tftp" else stand.home.http_data
    path = folder / "app.bin"
    good = path.read_bytes()
    _, running = storm(stand, 2, {protocol: 1}, arrival=0)
    bad = bytearray(good)
    bad[70_001] ^= 1
    path.write_bytes(bad)
    try:
        result = running.run()
    finally:
        path.write_bytes(good)
    assert len(result.failed) == 2
    where = "block 137" if protocol == "tftp" else "wrong bytes after octet"
    assert all("app.bin: wrong bytes" in phone.why and where in phone.why for phone in result.failed)


@pytest.mark.parametrize("protocol", ["tftp", "http"])
def test_a_shorter_file_is_a_failed_phone(stand, protocol):
    folder = stand.home.tftp_data if protocol == "tftp" else stand.home.http_data
    path = folder / "app.bin"
    good = path.read_bytes()
    _, running = storm(stand, 1, {protocol: 1}, arrival=0)
    path.write_bytes(good[:-3000])
    try:
        (phone,) = running.run().failed
    finally:
        path.write_bytes(good)
    assert phone.why.startswith("app.bin: ")


def test_a_missing_file_is_a_failed_phone_at_once(stand):
    path = stand.home.http_data / "46xxsettings.txt"
    good = path.read_bytes()
    _, running = storm(stand, 1, {"http": 1}, arrival=0)
    path.unlink()
    try:
        (phone,) = running.run().failed
    finally:
        path.write_bytes(good)
    assert "no settings file" in phone.why
    assert phone.seconds < 5


@pytest.mark.parametrize("protocol", ["tftp", "http"])
def test_a_server_that_went_away_is_a_failed_phone_in_time(tmp_path, protocol):
    with Stand(tmp_path) as away:
        away.small()
        _, running = storm(away, 3, {protocol: 1}, within=3.0, arrival=0)
    began = time.monotonic()
    result = running.run()
    assert len(result.failed) == 3
    assert time.monotonic() - began < 8
    assert sum(result.repeated.values()) >= 3


def test_a_full_server_makes_phones_wait_for_a_slot(tmp_path):
    """One slot that stays taken: HTTP phones are told 503, TFTP phones hear nothing; both ask again."""
    with Stand(tmp_path, max_clients=1) as full:
        full.small()
        # The first phones come from this host's own address, which needs no slot.
        _, running = storm(full, 2, {"tftp": 1, "http": 1}, within=4.0, arrival=0)
        place = Server("http", "127.0.0.1", 80 + full.offset)
        with Live("127.9.9.9") as first:
            assert first.fetch(Fetch(place, "46xxsettings.txt", "file")).result == "ok"
        result = running.run()
    assert len(result.failed) == 2
    assert result.repeated["rrq"] >= 2
