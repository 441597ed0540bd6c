"""The inbox: who asked and is no phone, ignoring, and one more line in a list."""

from __future__ import annotations

import time

import pytest

from manager.facts import strangers
from manager.problems import Problem
from manager.store import Store
from mv_iptel.config import load
from mv_iptel.inventory import Inventory
from tests.happened import finished, refused
from tests.manager import field
from tests.manager.here import made

STRANGER = "198.51.100.9"


@pytest.fixture
def home(tmp_path):
    home = made(tmp_path)
    field.site(home)
    return home


def found(home, hidden=None, now=None):
    return strangers.strangers(load(home), hidden or {}, now or time.time())


def test_who_was_only_refused_is_a_stranger_and_a_phone_is_none(home):
    (one,) = found(home)
    assert (one.address, one.protocols, one.reasons, one.number) == (STRANGER, ("tftp",), ("not-listed",), 6)
    assert one.requests == 1 and field.EVIL in one.names[0]


def test_it_is_forgotten_after_a_week_and_no_stranger_once_it_got_a_file(home):
    assert found(home, now=time.time() + 8 * 86_400) == []
    inventory = Inventory(home.database)
    inventory.receive([finished(20, time=time.time(), peer=STRANGER)])
    inventory.close()
    assert found(home) == []


def test_thousands_of_strangers_are_bounded(home):
    inventory = Inventory(home.database)
    addresses = [f"203.0.{number >> 8}.{number & 255}" for number in range(strangers.MOST + 100)]
    inventory.receive([refused(100 + n, time=time.time(), peer=one) for n, one in enumerate(addresses)])
    inventory.close()
    assert len(found(home)) == strangers.MOST


def test_without_an_inventory_there_is_nobody(tmp_path):
    assert found(made(tmp_path)) == []


def test_ignoring_is_remembered_and_taken_back(home, tmp_path):
    store = Store(tmp_path / "manager.db")
    assert strangers.ignore(store, STRANGER, "ann", True) and not strangers.ignore(
        store, STRANGER, "bob", True
    )
    hidden = strangers.ignored(store)
    assert hidden == {STRANGER: "ann"}
    assert [(one.ignored, one.by) for one in found(home, hidden)] == [(True, "ann")]
    assert strangers.ignore(store, STRANGER, "ann", False) and not strangers.ignore(
        store, STRANGER, "ann", False
    )
    store.close()


def test_all_phones_of_a_moment_are_known(tmp_path):
    store = Store(tmp_path / "manager.db")
    assert strangers.known_until(store) == 0.0
    strangers.all_known(store, "ann", 7.0)
    strangers.all_known(store, "bob", 9.0)
    assert strangers.known_until(store) == 9.0 and strangers.ignored(store) == {}
    assert strangers.ignore(store, strangers.EVERYONE, "bob", False) and strangers.known_until(store) == 0.0
    store.close()


@pytest.mark.parametrize(
    ("text", "key"), [("::ffff:10.0.0.1", "10.0.0.1"), ("00-04-0D-11-22-33", field.MAC), ("x", "")]
)
def test_a_key_is_an_address_or_a_mac(text, key):
    assert strangers.key_of(text) == key


def test_the_lists_that_govern(home):
    assert strangers.lists(load(home)) == {"tftp": str(home.tftp_data / "TFTP_allow_IP.txt")}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("10.0.0.1\n", "10.0.0.1\n198.51.100.9  # ann\n"),
        ("10.0.0.1", "10.0.0.1\n198.51.100.9  # ann\n"),
        ("10.0.0.1\r\n", "10.0.0.1\r\n198.51.100.9  # ann\r\n"),
        ("", "198.51.100.9  # ann\n"),
    ],
)
def test_a_line_is_added_at_the_end(home, before, after):
    file = home.tftp_data / "TFTP_allow_IP.txt"
    file.write_bytes(before.encode())
    mode = file.stat().st_mode
    strangers.add(home, str(file), STRANGER, "ann\n10.9.9.9")
    assert file.read_bytes().decode() == after.replace("# ann", "# ann10.9.9.9")
    assert file.stat().st_mode == mode
    with pytest.raises(Problem, match="already"):
        strangers.add(home, str(file), STRANGER, "ann")


def test_a_list_that_is_gone_is_told(home):
    with pytest.raises(Problem, match="nowhere"):
        strangers.add(home, str(home.tftp_data / "nowhere.txt"), STRANGER, "")
