"""Many phones at once: seen, counted, and when the rest will be ready."""

from __future__ import annotations

import time

import pytest

from manager.facts import overview, storms
from tests.manager.facts.inventory import Inventory

NOW = 1_800_000_000.0
SCRIPT, SETTINGS, SOFTWARE = "96xxupgrade.txt", "46xxsettings.txt", "S9640_3_2.bin"


@pytest.fixture
def inventory(tmp_path):
    made = Inventory(tmp_path)
    yield made
    made.close()


def boots(inventory, many, begun, done, network="10.1.1.", software=0.0):
    """Phones that read their script `begun` seconds ago and (the first `done` of them) their settings."""
    for at in range(many):
        files = [(SCRIPT, NOW - begun)]
        if at < done:
            files.append((f"phones\\{SETTINGS}" if at % 2 else SETTINGS, NOW - begun + 10))
        if software:
            files.append((SOFTWARE, NOW - software))
        inventory.phone(f"{network}{at + 1}", NOW - begun + 10, files)


def test_a_few_phones_are_no_storm(inventory):
    boots(inventory, 9, 60, 9)
    assert storms.look(inventory.reader, NOW) is None


def test_phones_that_were_seen_without_booting_are_no_storm(inventory):
    for at in range(50):
        inventory.phone(f"10.1.1.{at}", NOW - 10, [("4711_96xxdata.txt", NOW - 10)])
    assert storms.look(inventory.reader, NOW) is None


def test_of_many_known_phones_a_storm_takes_more(inventory):
    for at in range(2000):
        inventory.phone(f"10.{at // 200}.{at // 20}.{at % 200}", NOW - 86400)
    boots(inventory, 15, 60, 5, "10.99.1.")
    assert storms.look(inventory.reader, NOW) is None


def test_who_is_done_and_when_the_rest_will_be(inventory):
    boots(inventory, 30, 100, 20)
    boots(inventory, 10, 50, 10, "10.1.2.")
    for at in range(100, 110):  # known, of the same network, and not yet heard of
        inventory.phone(f"10.1.1.{at}", NOW - 86400)
    for at in range(200):  # of a network that has nothing to do with it
        inventory.phone(f"10.7.7.{at}", NOW - 86400)
    found = storms.look(inventory.reader, NOW)
    assert (found.begun, found.done, found.total) == (40, 30, 50)
    # 30 within the last 120 s; the other 20 take 80 s more
    assert found.ends == pytest.approx(NOW + 80, abs=1)
    assert overview.worded(found, NOW).startswith("30 of 50 phones done, the rest by ")


def test_software_that_came_after_the_settings_means_a_restart(inventory):
    boots(inventory, 20, 100, 20, software=50.0)
    assert storms.look(inventory.reader, NOW).done == 0


def test_settings_after_the_software_mean_that_it_is_done(inventory):
    boots(inventory, 20, 60, 20, software=100.0)
    found = storms.look(inventory.reader, NOW)
    assert found.done == 20 and found.over
    clock = time.strftime("%H:%M", time.localtime(found.last))
    assert overview.worded(found, NOW) == f"20 of 20 phones done, the last at {clock}"


def test_a_stalled_storm_says_so(inventory):
    boots(inventory, 20, 200, 0)
    found = storms.look(inventory.reader, NOW)
    assert found.ends == 0 and "none became ready" in overview.worded(found, NOW)


def test_a_storm_is_forgotten_a_while_after_it_was_over(inventory):
    boots(inventory, 20, 60, 20)
    found = storms.look(inventory.reader, NOW)
    assert storms.look(inventory.reader, NOW + 200, found).done == 20
    assert storms.look(inventory.reader, NOW + 500, found) is None
    assert storms.look(inventory.reader, NOW + 500) is None


def test_it_begins_when_its_first_phones_did_though_the_manager_came_late(inventory):
    for begun in range(600, 0, -30):
        boots(inventory, 5, float(begun), 5, f"10.{begun}.1.")
    found = storms.look(inventory.reader, NOW)
    assert NOW - 660 <= found.begin <= NOW - 600 and found.begun == 100


def test_phones_of_ipv6_have_networks_too(inventory):
    boots(inventory, 20, 60, 10, "2001:db8:0:1::")
    inventory.phone("2001:db8:0:1::ff", NOW - 5000)
    assert storms.look(inventory.reader, NOW).total == 21


def test_no_inventory_is_no_storm(tmp_path):
    from mv_iptel.inventory.reader import Reader

    assert storms.look(Reader(tmp_path / "none.db"), NOW) is None
