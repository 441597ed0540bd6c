"""The index of whose data is kept: what is found, in which order, how fresh, and what it costs with many."""

from __future__ import annotations

import os
import threading

import pytest

from manager.facts import userdata
from manager.facts.userdata import BLURRED, STALE, Index, listing
from mv_iptel.userdata import versions
from mv_iptel.userdata.store import Origin
from tests.userdata.shelf import DAY, NAME, START, Shelf

PHONE = Origin("192.0.2.17", "00040d112233", "4621SW", "ftp", "snmp")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """1234 has versions beside it and in the archive; 99's was deleted; 20001 has two kinds."""
    with Shelf(tmp_path_factory.mktemp("shelf"), start=START - 30 * DAY) as one:
        one.put(b"one" * 1000, origin=PHONE)
        one.put(b"two", later=30 * DAY, origin=PHONE)
        one.store.tidy()
        one.put(b"three", origin=PHONE)
        one.put(b"x" * 70, "99_96xxdata.txt")
        one.remove("99_96xxdata.txt")
        one.put(b"y" * 9, "20001_96xxdata.txt")
        one.put(b"", "20001_4620data_sip.txt")
        one.put(b"z", "9610data.txt")
        yield one


ALL = ["9610data.txt", "99_96xxdata.txt", "1234_4620data.txt", "20001_4620data_sip.txt", "20001_96xxdata.txt"]


@pytest.mark.parametrize(("chosen", "found"), [
    ({}, ALL),
    ({"down": True}, ALL[::-1]),
    ({"query": "2"}, ALL[3:]),
    ({"query": "34"}, []),  # an extension is known by how it begins
    ({"query": " _SIP "}, [ALL[3]]),
    ({"kind": "96xx"}, [ALL[1], ALL[4]]),
    ({"state": "deleted"}, [ALL[1]]),
    ({"state": "kept"}, [ALL[0], *ALL[2:]]),
    ({"state": "password"}, []),
    ({"sort": "size"}, [ALL[1], ALL[3], ALL[0], ALL[2], ALL[4]]),
    ({"sort": "size", "down": True, "limit": 2}, [ALL[4], ALL[2]]),
    ({"sort": "changed", "state": "kept", "down": True, "limit": 1}, [ALL[0]]),
    ({"offset": 3, "limit": 1}, [ALL[3]]),
    ({"offset": 100}, []),
])  # fmt: skip
def test_what_is_found_and_in_which_order(shelf, chosen, found):
    assert [one["file"] for one in listing(shelf.config, **chosen)["items"]] == found


def test_what_a_row_tells(shelf):
    told = listing(shelf.config, "1234")
    (one,) = told["items"]
    assert (told["total"], told["kept"], told["extensions"]) == (1, 5, 3)
    assert (one["size"], one["versions"], one["archived"], one["kind"]) == (5, 2, 1, "4620")
    assert (one["mac"], one["model"], one["proto"], one["how"], one["op"]) == (
        "00040d112233", "4621SW", "ftp", "snmp", "store",
    )  # fmt: skip
    (gone,) = listing(shelf.config, "99")["items"]
    assert gone["size"] is None and gone["op"] == "delete"


def test_one_with_all_that_is_known(shelf):
    told = userdata.one(shelf.config, NAME)
    assert [one["place"] for one in told["versions"]] == ["current", "versions", "archive"]
    assert [one["model"] for one in told["versions"]] == ["4621SW"] * 3
    assert told["changes"][0]["size"] == 5 and not told["deleted"]
    oldest = told["versions"][-1]["id"]
    assert userdata.content(shelf.config, NAME, oldest)["size"] == 3000
    assert userdata.before(shelf.config, NAME, "current") == told["versions"][1]["id"]
    with pytest.raises(LookupError, match="older"):
        userdata.before(shelf.config, NAME, oldest)
    with pytest.raises(LookupError, match="nothing is kept"):
        userdata.one(shelf.config, "4799_4620data.txt")


def test_long_contents_are_cut_for_the_page(tmp_path):
    with Shelf(tmp_path) as shelf:
        shelf.put(b"".join(b"A%d=%d\n" % (one, one) for one in range(1000)))
        shelf.put(b"".join(b"A%d=%d\n" % (one, one + 1) for one in range(1000)))
        told = userdata.content(shelf.config, NAME, "current")
        assert len(told["entries"]) == userdata.ENTRIES and told["more"] == 1000 - userdata.ENTRIES
        old = userdata.before(shelf.config, NAME, "current")
        found = userdata.differences(shelf.config, NAME, old, "current")
        assert len(found["sentences"]) == userdata.SENTENCES and found["more"] == 1000 - userdata.SENTENCES


def test_the_state_is_the_one_that_phones_get(shelf):
    assert userdata.etag(shelf.config, NAME) == userdata.one(shelf.config, NAME)["etag"] != "none"
    assert userdata.etag(shelf.config, "99_96xxdata.txt") == "none"


def age(config, seconds):
    """Set the folders' times back, as if nothing had happened for a while."""
    for place in (config.http.backup_dir, versions.folders(config.home)):
        if place.exists():
            there = os.stat(place).st_mtime_ns - int(seconds * 1e9)
            os.utime(place, ns=(there, there))


def test_a_small_store_is_always_as_it_is_now(tmp_path):
    with Shelf(tmp_path) as shelf:
        index = Index()
        assert index.read(shelf.config).keys() == []
        for number in range(5):  # faster than the clock of the disk ticks
            shelf.put(b"1", f"{number + 1}_4620data.txt")
            assert len(index.read(shelf.config).keys()) == number + 1


def test_what_has_not_changed_is_not_read_again(tmp_path):
    with Shelf(tmp_path) as shelf:
        shelf.put(b"1")
        age(shelf.config, 60)
        index = Index()
        found = index.read(shelf.config)
        assert index.read(shelf.config) is found
        shelf.put(b"2", "5_4620data.txt")
        assert index.read(shelf.config) is not found


def test_a_large_store_keeps_nobody_waiting(tmp_path):
    """What took long once is read aside, and what was known is shown meanwhile."""
    with Shelf(tmp_path) as shelf:
        shelf.put(b"1")
        clock = [os.stat(shelf.folder).st_mtime + BLURRED + 1]
        index = Index(lambda: clock[0])
        found = index.read(shelf.config)
        index._took = 5.0
        shelf.put(b"2", "5_4620data.txt")
        assert index.read(shelf.config) is found
        clock[0] += STALE + 1
        index.read(shelf.config)
        for thread in threading.enumerate():
            if thread.name == "userdata":
                thread.join(30)
        assert len(index.read(shelf.config).keys()) == 2
