"""The inventory: events in; phones, time lines, evidence and refusals by number out."""

from __future__ import annotations

import itertools
import os
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mv_iptel.events import Notice
from mv_iptel.inventory import Inventory, Reader, evidence, limits, rows, schema, writer
from mv_iptel.inventory import known as phones
from mv_iptel.inventory import reader as reading
from mv_iptel.inventory.boots import Boots
from mv_iptel.inventory.evidence import Orders
from mv_iptel.inventory.writing import Writing, bounded
from tests.happened import AGENT, NOON, finished, known, refused

MAC = "00040d112233"
OTHER = "00040d445566"


class Clocked:
    """An inventory whose clock follows the events."""

    def __init__(self, path: Path):
        self.path = path
        self.now = NOON
        self.said: list[Notice] = []
        self.inventory = self.open()

    def open(self) -> Inventory:
        self.inventory = Inventory(self.path, publish=self.said.append, clock=lambda: self.now)
        return self.inventory

    def __call__(self, *events):
        for event in events:
            self.now = max(self.now, event.time)
        self.inventory.receive(list(events))

    def reader(self) -> Reader:
        self.inventory.flush()
        return self.inventory._reader


@pytest.fixture
def seen(tmp_path):
    clocked = Clocked(tmp_path / "var" / "inventory.db")
    yield clocked
    clocked.inventory.close()


# who it is


def test_a_phone_is_known_by_its_mac_and_by_who_told_it(seen):
    seen(
        known(1),
        known(2, 60, name=f"{MAC}.txt", identified="agent+name", ext=""),
        known(3, 120, name="4711_96xxdata.txt", identified="agent+name", ext="4711"),
        known(4, 180, agent="", identified="recent", ext="4711", name="x.bin"),
    )
    phone = seen.reader().phone(MAC)
    assert (phone["key"], phone["model"], phone["ext"], phone["version"]) == (MAC, "9640", "4711", "3.2.1")
    assert phone["requests"] == 4 and phone["first_seen"] == NOON and phone["last_seen"] == NOON + 180
    assert {(one["field"], one["value"], one["source"]) for one in phone["identity"]} == {
        ("mac", MAC, "agent"), ("model", "9640", "agent"), ("version", "3.2.1", "agent"),
        ("ext", "4711", "name"),
    }  # fmt: skip
    assert [one["address"] for one in phone["addresses"]] == ["192.0.2.17"]
    assert [(one["version"], one["source"]) for one in phone["versions"]] == [("3.2.1", "agent")]


def test_the_neighbour_table_is_named_as_the_source(seen):
    seen(finished(1, mac=MAC, identified="neighbour"))
    assert [one["source"] for one in seen.reader().phone(MAC)["identity"]] == ["neighbour"]


NAMES = [MAC, "00:04:0D:11:22:33", "0004.0d11.2233", "192.0.2.17", "::ffff:192.0.2.17", "4711"]


@pytest.mark.parametrize("who", NAMES)
def test_a_phone_is_found_by_mac_address_and_extension(seen, who):
    seen(known(1, ext="4711", identified="agent+name"))
    assert seen.reader().phone(who)["mac"] == MAC
    assert len(seen.reader().timeline(who)) == 1


def test_who_was_only_refused_is_no_phone_but_has_a_time_line(seen):
    seen(refused(1, name="a"), refused(2, 1.0, name="b", mac=OTHER, identified="name"))
    assert seen.reader().phones() == []
    assert [row["name"] for row in seen.reader().timeline("192.0.2.17")] == ["a", "b"]
    last = seen.reader().timeline("192.0.2.17")[-1]["id"]
    assert [row["name"] for row in seen.reader().timeline("192.0.2.17", before=last)] == ["a"]
    assert seen.reader().timeline("192.0.2.17", chosen=lambda row: False) == []


def test_who_says_what_it_is_and_is_refused_is_a_phone(seen):
    seen(refused(1, mac=MAC, model="9640", identified="agent", agent=AGENT))
    phone = seen.reader().phone(MAC)
    assert (phone["requests"], phone["refused"]) == (1, 1)


def test_what_an_address_did_before_it_showed_its_mac_is_attached(seen):
    seen(
        refused(1, name="no.txt"),
        finished(2, 5, name="46xxupgrade.scr", proto="tftp"),
        known(3, 600),
    )
    assert [row["id"] for row in seen.reader().timeline(MAC)] == [1, 2, 3]
    phones = seen.reader().phones()
    assert [(one["key"], one["requests"], one["first_seen"]) for one in phones] == [(MAC, 2, NOON + 5)]


def test_more_than_15_minutes_later_it_is_not_attached(seen):
    seen(finished(1), known(2, 1000))
    assert [row["id"] for row in seen.reader().timeline(MAC)] == [2]
    assert {one["key"] for one in seen.reader().phones()} == {MAC, "192.0.2.17"}


def test_behind_one_address_with_two_phones_nothing_is_attached(seen):
    seen(
        known(1),
        known(2, 10, mac=OTHER),
        finished(3, 20, name="nameless.txt"),
        known(4, 30, name="own.txt"),
        known(5, 40, mac=OTHER, name="other.txt"),
    )
    assert [row["id"] for row in seen.reader().timeline(MAC)] == [1, 4]
    assert [row["id"] for row in seen.reader().timeline(OTHER)] == [2, 5]


def test_one_time_line_over_all_protocols_and_addresses(seen):
    seen(
        known(1, proto="tftp"),
        known(2, 10, proto="https", listener="https:411", name="a"),
        known(3, 4000, peer="192.0.2.99", proto="http", name="b"),
        known(4, 4010, peer="192.0.2.17", mac=OTHER, name="c"),
    )
    rows = seen.reader().timeline(MAC)
    assert [(row["proto"], row["peer"]) for row in rows] == [
        ("tftp", "192.0.2.17"), ("https", "192.0.2.17"), ("http", "192.0.2.99"),
    ]  # fmt: skip
    assert [row["id"] for row in seen.reader().timeline(MAC, limit=2)] == [2, 3]
    assert [row["id"] for row in seen.reader().timeline(MAC, limit=1, before=3)] == [2]
    assert [row["id"] for row in seen.reader().timeline(MAC, chosen=lambda row: row["name"] != "a")] == [1, 3]
    assert [row["id"] for row in seen.reader().timeline(MAC, 1, 3, lambda row: row["proto"] == "tftp")] == [1]
    assert seen.inventory.addresses(MAC) == ["192.0.2.99", "192.0.2.17"]


def test_last_files_and_bytes(seen):
    seen(known(1), known(2, 10, bytes=100, name="x"), known(3, 20, outcome="aborted", bytes=50, name="big"),
         known(4, 100))  # fmt: skip
    phone = seen.reader().phone(MAC)
    assert [(one["name"], one["count"]) for one in phone["files"]] == [("46xxsettings.txt", 2), ("x", 1)]
    assert (phone["bytes"], phone["failed"]) == (2 * 3069 + 100, 1)


def test_the_list_can_be_narrowed_and_sorted(seen):
    seen(known(1), known(2, 9000, mac=OTHER, model="J179", version="4.1", peer="192.0.2.5"),
         known(3, 1, mac="00040d000000", model="96%", version="", peer="192.0.2.6"))  # fmt: skip
    reader = seen.reader()

    def macs(**choice):
        return [one["mac"] for one in reader.phones(**choice)]

    assert macs() == [OTHER, "00040d000000", MAC]
    assert macs(model="96") == ["00040d000000", MAC] and macs(model="96%") == ["00040d000000"]
    assert macs(version="4.1") == [OTHER] and macs(since=NOON + 100) == [OTHER]
    assert macs(until=NOON) == [MAC] and macs(limit=1, offset=1) == ["00040d000000"]
    assert macs(sort="mac") == sorted([MAC, OTHER, "00040d000000"])
    for sort in reading.SORTS:
        assert len(macs(sort=sort)) == 3


def test_everyone_with_the_script_that_each_read_last(seen):
    seen(known(1, name="96x1Supgrade.txt"), known(2, 10, name="96x1Hupgrade.txt"),
         known(3, 20, mac=OTHER, model="J179", peer="192.0.2.5"))  # fmt: skip
    reader = seen.reader()
    assert [(one["key"], one["mac"], one["runs"]) for one in reader.everyone()] == [
        (MAC, MAC, "3.2.1"), (OTHER, OTHER, "3.2.1"),
    ]  # fmt: skip
    assert reader.everyone()[1]["model"] == "J179"
    assert reader.upgrade_scripts() == {MAC: "96x1Hupgrade.txt"}


def test_sightings_of_the_last_15_minutes_are_given_to_the_library(seen):
    seen(known(1), known(2, 800, mac=OTHER, peer="192.0.2.5"), finished(3, 900, peer="192.0.2.6"))
    seen.inventory.flush()
    rows = seen.inventory.recent(NOON + 1000)
    assert [(row["address"], row["mac"], row["model"], row["ago"]) for row in rows] == [
        ("192.0.2.5", OTHER, "9640", 200.0)
    ]
    assert seen.inventory.counts(NOON + 1000) == {"known": 3, "seen_15m": 2}


def test_a_forgotten_phone_comes_back_as_new(seen):
    seen(known(1), known(2, 1000, name="x"))
    assert seen.inventory.forget(MAC) is True
    assert seen.reader().phone(MAC) is None and seen.inventory.forget(MAC) is False
    seen(known(3, 2000))
    assert seen.reader().phone(MAC)["first_seen"] == NOON + 2000


# numbers and rows


def test_identical_requests_in_a_row_are_one_row(seen):
    for number in range(1, 31):
        seen(refused(number, number * 1.0))
    seen(refused(31, 31.0, name="other"), refused(32, 32.0))
    rows = seen.reader().refusals()
    assert [(row["id"], row["count"], row["name"]) for row in rows] == [
        (32, 1, "46xxsettings.txt"), (31, 1, "other"), (1, 30, "46xxsettings.txt"),
    ]  # fmt: skip
    assert rows[2]["last"] == NOON + 30


def test_a_pause_or_another_outcome_begins_a_new_row(seen):
    seen(finished(1), finished(2, 1), finished(3, 20), refused(4, 21), finished(5, 22, proto="tftp"))
    assert [row["count"] for row in seen.reader().timeline("192.0.2.17")] == [2, 1, 1, 1]


def test_every_number_of_a_refusal_resolves_also_between_others(seen):
    numbers = itertools.count(1)
    peers = ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    for second in range(20):
        seen(*(refused(next(numbers), second * 0.5, peer=peer) for peer in peers))
    reader = seen.reader()
    for number in range(1, 61):
        row = reader.number(number)
        assert row["number"] == number and row["peer"] == peers[(number - 1) % 3]
    assert reader.number(61) is None and reader.number(0) is None and reader.number(1 << 70) is None


def test_a_number_resolves_at_once(seen):
    seen(refused(1))
    assert seen.inventory.number(1)["reason"] == "not-listed"


def test_numbers_go_on_after_a_restart_and_leave_a_gap_after_a_crash(seen, tmp_path):
    seen(refused(1), refused(2, 0.1))
    seen.inventory.close()
    assert seen.open().first_id() == 3
    seen(refused(3, 100.0))
    seen.inventory.flush()
    crashed = seen.inventory
    assert Inventory(seen.path, clock=lambda: seen.now).first_id() == 10_004
    crashed.close()


# what it runs (DESIGN section 10)

SCRIPT = b"""IF $MODEL4 SEQ 9640 GOTO N
GOTO END
# N
SET APPNAME S9640_3_3.bin
# END
GET 46xxsettings.txt
"""
OLD = b"SET APPNAME a4621_2_9.bin\nGET 46xxsettings.txt\n"


@pytest.fixture
def boots(seen, tmp_path):
    """Plays a phone's requests: (seconds, name, changes)."""
    numbers = itertools.count(1)

    def play(*requests, script=SCRIPT, **who):
        names = {"96xxupgrade.txt": script, "46xxupgrade.scr": script}
        for name, content in names.items():
            (tmp_path / name).write_bytes(content)
        for after, name, *changes in requests:
            fields = {
                "mac": MAC,
                "model": "9640",
                "identified": "recent",
                "file": str(tmp_path / name),
                **who,
            }
            fields |= changes[0] if changes else {}
            seen(finished(next(numbers), after, name=name, **fields))
            seen.inventory.tick(seen.now)

    return play


def runs(seen, later=0.0):
    seen.inventory.tick(seen.now + later)
    phone = seen.reader().phone(MAC)
    return phone["runs"], phone["runs_source"]


def test_who_reads_the_script_and_goes_on_runs_what_it_orders(seen, boots):
    boots((0, "96xxupgrade.txt"), (1, "46xxsettings.txt"))
    assert runs(seen) == ("", ""), "a 96x0 fetches its software after the settings"
    assert runs(seen, 200) == ("S9640_3_3.bin", "script")


def test_who_fetches_it_after_the_settings_does_not_run_it_yet(seen, boots):
    boots((0, "96xxupgrade.txt"), (1, "46xxsettings.txt"), (3, "S9640_3_3.bin"))
    assert runs(seen, 300) == ("", "")
    boots((120, "96xxupgrade.txt"), (121, "46xxsettings.txt"))
    assert runs(seen, 300) == ("S9640_3_3.bin", "script")


def test_a_4600_that_goes_on_to_its_settings_runs_it_at_once(seen, boots):
    boots((0, "46xxupgrade.scr"), (1, "46xxsettings.txt"), script=OLD, model="4621SW")
    assert runs(seen) == ("a4621_2_9.bin", "script")


def test_a_4600_that_fetched_it_first_is_not_judged(seen, boots):
    boots((0, "46xxupgrade.scr"), (1, "a4621_2_9.bin", {"outcome": "aborted"}), (9, "46xxsettings.txt"),
          script=OLD, model="4621SW")  # fmt: skip
    assert runs(seen) == ("", "")


def test_what_it_says_itself_outweighs_the_script(seen, boots):
    boots((0, "96xxupgrade.txt", {"version": "3.2", "agent": AGENT.replace("3.2.1", "3.2")}),
          (1, "46xxsettings.txt"))  # fmt: skip
    assert runs(seen, 300) == ("3.2", "agent")


def test_without_a_model_it_stays_unknown(seen, boots):
    boots((0, "96xxupgrade.txt"), (1, "46xxsettings.txt"), model="")
    assert runs(seen, 300) == ("", "")


def test_at_an_address_with_two_phones_it_stays_unknown(seen, boots):
    boots((0, "96xxupgrade.txt", {"mac": OTHER}), (1, "96xxupgrade.txt"), (2, "46xxsettings.txt"))
    assert runs(seen, 300) == ("", "")


GROUPS = b"""IF $GROUP SEQ 7 GOTO NEW
SET APPNAME old.bin
GOTO END
# NEW
SET APPNAME new.bin
# END
GET 46xxsettings.txt
"""


def test_the_rings_script_counts_under_its_own_name(seen, boots, tmp_path):
    """The script that asks for the group still orders the old firmware: it is not what this phone runs."""
    ring = tmp_path / "content"
    ring.write_bytes(SCRIPT.replace(b"S9640_3_3.bin", b"S9640_3_4.bin"))
    asked = (1, "mvr-0123abcd-96xxupgrade.txt", {"file": str(ring)})
    boots((0, "96xxupgrade.txt"), asked, (2, "46xxsettings.txt"))
    assert runs(seen, 300) == ("S9640_3_4.bin", "script")


def test_an_order_that_depends_on_what_nobody_knows_proves_nothing(seen, boots):
    boots((0, "46xxupgrade.scr"), (1, "46xxsettings.txt"), script=GROUPS, model="4621SW")
    assert runs(seen) == ("", "")
    boots((60, "46xxupgrade.scr"), (61, "new.bin"), (120, "46xxupgrade.scr"), (121, "46xxsettings.txt"),
          script=GROUPS, model="4621SW")  # fmt: skip
    assert runs(seen) == ("new.bin", "script"), "it fetched new.bin, and did not want another"


def test_a_script_that_tests_the_mac_is_evaluated_for_each_phone(tmp_path):
    text = f"IF $MACADDR SEQ {MAC} GOTO X\nSET APPNAME all.bin\nGOTO END\n# X\nSET APPNAME one.bin\n# END\n"
    script = tmp_path / "96xxupgrade.txt"
    script.write_text(text)
    orders = evidence.Orders()
    for _ in range(2):
        assert orders.of(str(script), script.name, "9640", MAC) == ({"one.bin": "one.bin"}, False)
        assert orders.of(str(script), script.name, "9640D01A", OTHER) == ({"all.bin": "all.bin"}, False)
    os.utime(script, (1, 1))
    script.write_text("SET APPNAME new.bin\n")
    assert orders.of(str(script), script.name, "9640", MAC)[0] == {"new.bin": "new.bin"}
    assert orders.of(str(tmp_path / "gone"), "96xxupgrade.txt", "9640", MAC) == ({}, True)
    assert orders.of(str(script), script.name, "toaster", MAC) == ({}, True)


def test_two_files_in_turn_are_a_loop_too(seen, boots):
    """A boot file and a program, each of them loaded again and again."""
    turn = ((0, "46xxupgrade.scr"), (5, "old.bin"), (20, "46xxupgrade.scr"), (25, "new.bin"))
    steps = [(60 * number + after, name) for number in range(3) for after, name in turn]
    boots(*steps, script=GROUPS, model="4621SW")
    assert [one.kind for one in seen.said if one.kind == "boot-loop"]


def test_three_downloads_within_30_minutes_are_a_boot_loop_told_once(seen, boots):
    for at in (0, 300, 600, 900):
        boots((at, "96xxupgrade.txt"), (at + 2, "46xxsettings.txt"), (at + 5, "S9640_3_3.bin"))
    told = [one for one in seen.said if one.kind == "boot-loop"]
    assert len(told) == 1 and told[0].level == "error" and told[0].time
    assert MAC in told[0].text and "S9640_3_3.bin" in told[0].text and told[0].peer == "192.0.2.17"


def test_three_downloads_in_an_hour_are_none(seen, boots):
    for at in (0, 1700, 3500):
        boots((at, "96xxupgrade.txt"), (at + 5, "S9640_3_3.bin"))
    assert seen.said == []


def test_notices_are_kept_for_the_time_line(seen):
    seen(Notice("boot-loop", "again and again", "error", peer="192.0.2.17", time=NOON),
         Notice("disk", "full", time=NOON))  # fmt: skip
    assert [one["kind"] for one in seen.reader().notices()] == ["disk", "boot-loop"]
    assert [one["kind"] for one in seen.reader().notices(peers=["192.0.2.17"])] == ["boot-loop"]


# trouble


def test_a_damaged_database_is_set_aside(seen):
    seen(known(1))
    seen.inventory.close()
    seen.path.write_bytes(b"this was a database once" * 400)
    seen.open()
    seen(known(2, 10))
    assert [one["mac"] for one in seen.reader().phones()] == [MAC]
    kept = [path.name for path in seen.path.parent.iterdir() if ".damaged-" in path.name]
    assert len(kept) == 1 and seen.said[0].kind == "inventory" and kept[0] in seen.said[0].text


def test_a_database_damaged_while_we_write_is_set_aside(seen):
    seen(*(known(number, number * 10.0, name=f"f{number}") for number in range(1, 400)))
    seen.inventory.flush()
    seen.inventory.close()
    size = seen.path.stat().st_size
    with seen.path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    seen.open()
    seen(known(500, 5000))
    assert seen.reader().phone(MAC)["requests"] == 1
    assert [one.level for one in seen.said] == ["error"]


def test_a_database_of_a_later_version_is_not_touched(seen):
    seen.inventory.close()
    database = sqlite3.connect(seen.path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    seen.open()
    seen(known(1))
    assert "schema 99" in seen.said[0].text and seen.reader().phone(MAC)
    kept = [path for path in seen.path.parent.iterdir() if ".damaged-" in path.name]
    assert sqlite3.connect(kept[0]).execute("PRAGMA user_version").fetchone()[0] == 99


def test_a_database_that_cannot_be_written_stops_nothing(tmp_path):
    said, now = [], [NOON]
    (tmp_path / "var").write_text("a file where the directory should be")
    inventory = Inventory(tmp_path / "var" / "inventory.db", said.append, clock=lambda: now[0])
    for number in range(5):
        inventory.receive([known(number + 1)])
    assert inventory.lost == 5 and len(said) == 1 and inventory.first_id() == 1
    assert inventory.phones() == [] and inventory.number(1) is None
    (tmp_path / "var").unlink()
    now[0] += 60
    inventory.receive([known(9)])
    inventory.flush()
    assert len(inventory.phones()) == 1 and "5 events were lost" in said[-1].text
    inventory.close()


def test_a_reader_may_not_write(seen):
    seen(known(1))
    seen.inventory.flush()
    database = schema.connect(str(seen.path))
    with pytest.raises(sqlite3.OperationalError):
        database.execute("DELETE FROM phones")
    database.close()


def test_a_reader_of_nothing_sees_nothing(tmp_path):
    reader = Reader(tmp_path / "none.db")
    assert reader.phones() == [] and reader.phone("4711") is None and reader.timeline("192.0.2.1") == []
    assert reader.counts(NOON) == {"known": 0, "seen_15m": 0}
    assert not (tmp_path / "none.db").exists()


# limits


def test_refusals_are_limited_and_the_rest_stays(seen, monkeypatch):
    monkeypatch.setattr(limits, "KEEP_REFUSALS", 100)
    seen(known(1, name="kept"))
    for start in range(2, 1002, 100):
        seen(*(refused(number, number, name=f"x{number}") for number in range(start, start + 100)))
        seen.inventory.tick(seen.now + 1)
    rows = seen.reader().refusals(limit=1000)
    assert [row["id"] for row in rows] == list(range(1001, 901, -1))
    assert seen.reader().number(1) and seen.reader().number(500) is None
    assert seen.inventory._open.limits.rows == 101


def test_rows_phones_and_days_are_limited(seen, monkeypatch):
    monkeypatch.setattr(limits, "KEEP_ROWS", 50)
    monkeypatch.setattr(limits, "KEEP_PHONES", 10)
    seen(refused(1000, mac=OTHER, identified="agent", agent=AGENT, peer="192.0.2.250"))
    for number in range(1, 41):
        seen(known(number, number, mac=f"00040d{number:06x}", peer=f"192.0.2.{number}"))
    seen(*(known(number, number, name=f"f{number}") for number in range(41, 101)))
    seen.inventory.flush()
    assert len(seen.reader()._ask("SELECT id FROM requests")) == 50
    seen.now += writer.AGE_SECONDS
    seen.inventory.tick(seen.now)
    left = [one["mac"] for one in seen.inventory.phones()]
    assert len(left) == 10 and MAC in left and OTHER not in left, "who never got a file goes first"
    seen.now += (limits.KEEP_DAYS + 1) * 86400
    seen.inventory.tick(seen.now)
    assert seen.reader()._ask("SELECT id FROM requests") == []


def test_a_flood_from_made_up_addresses_holds_little(seen):
    for start in range(0, 20_000, 1000):
        seen(*(refused(number + 1, number / 1000, peer=f"10.0.{number // 250}.{number % 250}",
                       name=f"x{number}") for number in range(start, start + 1000)))  # fmt: skip
        seen.inventory.tick(seen.now)
    held = seen.inventory
    lines = held._open.rows
    assert len(lines.open) <= rows.OPEN_ROWS and len(lines.dirty) <= 2 * rows.OPEN_ROWS
    assert len(held._open.phones) == 0 and held.phones() == []


def test_made_up_phones_go_as_fast_as_they_come(seen, monkeypatch):
    """They came by the thousand a second, and a few thousand went every ten minutes."""
    monkeypatch.setattr(limits, "KEEP_PHONES", 20)
    monkeypatch.setattr(limits, "STEP_ROWS", 10)
    monkeypatch.setattr(writer, "STEP_ROWS", 10)
    seen(known(1))
    for number in range(2, 202):
        seen(known(number, number * 0.3, mac=f"{number:012x}", outcome="refused"))
        seen.inventory.tick(seen.now)
    assert len(seen.reader().phones(limit=1000)) <= 20 + 10
    assert seen.reader().phone(MAC), "who got a file stays longest"


def test_thousands_of_made_up_phones_at_one_address_cost_no_more_each(seen):
    """They were compared with all that came before: one client held up the events of everybody."""
    database = seen.inventory._open.database.connection

    def cost(first: int) -> int:
        steps = 0

        def step() -> None:
            nonlocal steps
            steps += 1

        database.set_progress_handler(step, 100)
        for number in range(first, first + 100):
            seen(finished(number * 2), known(number * 2 + 1, mac=f"{number:012x}", outcome="refused"))
        database.set_progress_handler(None, 0)
        return steps

    few = cost(1)
    for number in range(101, 2101):
        seen(known(number * 2, mac=f"{number:012x}", outcome="refused"))
    assert cost(3000) < 6 * few


def test_many_phones_are_not_all_held_in_memory(seen, monkeypatch):
    monkeypatch.setattr(phones, "CACHED_PHONES", 20)
    for turn in range(3):
        seen(*(known(turn * 100 + number + 1, turn * 500 + number, mac=f"00040d{number:06x}",
                     peer=f"192.0.2.{number}") for number in range(100)))  # fmt: skip
    assert len(seen.inventory._open.phones) <= 20
    assert {(one["requests"], one["ext"]) for one in seen.reader().phones()} == {(3, "")}
    assert len(seen.reader().phones()) == 100


TEXT = st.text(max_size=400)


@settings(max_examples=60)
@given(*[TEXT] * 6, st.sampled_from(["ok", "refused"]))
def test_whatever_a_phone_sends_is_kept_and_found(
    tmp_path_factory, name, agent, ext, model, version, detail, outcome
):
    said = []
    inventory = Inventory(tmp_path_factory.mktemp("db") / "i.db", said.append, clock=lambda: NOON)
    reason = "no-file" if outcome == "refused" else ""
    sent = {"name": name, "agent": agent, "ext": ext, "model": model, "version": version, "detail": detail}
    inventory.receive([known(7, outcome=outcome, reason=reason, identified="agent", **sent)])
    assert inventory.number(7)["outcome"] == outcome and said == []
    assert inventory._reader.phone(MAC)["requests"] == 1
    inventory.close()


# user data


def test_what_a_phone_stores_stands_apart_from_what_it_reads(seen):
    name = "4711_96xxdata.txt"
    seen(
        known(1, name=name, op="store", bytes=500),
        known(2, 1, name=name, op="store", bytes=500),
        known(3, 2, name=name, bytes=500),
        known(4, 3, name=name, op="delete", bytes=0),
    )
    line = seen.reader().timeline(MAC)
    assert [row["op"] for row in line] == ["store", "store", "read", "delete"], "each change stands alone"
    phone = seen.reader().phone(MAC)
    assert (phone["requests"], phone["bytes"]) == (4, 500)
    assert [(one["name"], one["count"]) for one in phone["files"]] == [(name, 1)]


def test_a_store_of_a_script_is_no_boot(seen):
    seen(known(1, name="96xxupgrade.txt", op="store"))
    assert seen.inventory._open.phones.behind(known(2)).boot is None


def test_a_database_of_version_1_is_led_on(seen):
    seen(known(1))
    seen.inventory.close()
    database = sqlite3.connect(seen.path)
    database.execute("ALTER TABLE requests DROP COLUMN op")
    database.execute("PRAGMA user_version = 1")
    database.close()
    seen.open()
    seen(known(20_001, 60, name="4711_96xxdata.txt", op="store"))
    assert [row["op"] for row in seen.reader().timeline(MAC)] == ["read", "store"]
    assert seen.said == []
    database = sqlite3.connect(seen.path)
    assert database.execute("PRAGMA user_version").fetchone()[0] == schema.VERSION


def test_what_snmp_told_is_not_changed_by_a_name(seen):
    seen(
        known(1, ext="4711", model="9640G", identified="snmp", agent="", name="4711_96xxdata.txt"),
        known(2, 60, ext="4712", model="", identified="name", agent="", name="4712_96xxdata.txt"),
    )
    phone = seen.reader().phone(MAC)
    assert (phone["ext"], phone["model"]) == ("4711", "9640G")
    told = {(one["value"], one["source"]) for one in phone["identity"] if one["field"] == "ext"}
    assert told == {("4711", "snmp"), ("4712", "name")}, "what the name said is known all the same"
    seen.inventory.close()
    seen.open()
    seen(known(20_003, 120, ext="4712", model="", identified="name", agent="", name="4712_96xxdata.txt"))
    assert seen.reader().phone(MAC)["ext"] == "4711", "nor after a restart"
    seen(known(20_004, 180, ext="4712", identified="snmp", agent="", name="4712_96xxdata.txt"))
    assert seen.reader().phone(MAC)["ext"] == "4712", "its user has logged in elsewhere"


def test_what_snmp_told_long_ago_gives_way_to_a_name(seen):
    seen(
        known(1, ext="4711", identified="snmp", agent=""),
        known(2, phones.PROVED_SECONDS, ext="4712", identified="name", agent="", name="4712_96xxdata.txt"),
    )
    assert seen.reader().phone(MAC)["ext"] == "4712"


def test_what_snmp_told_of_an_address_is_kept_when_it_shows_its_mac(seen):
    seen(
        known(1, mac="", ext="4711", model="4621SW", version="", identified="snmp", agent=""),
        known(2, 60, ext="", model="", version="", identified="name", agent="", name=f"{MAC}.txt"),
    )
    phone = seen.reader().phone(MAC)
    assert (phone["ext"], phone["model"], phone["requests"]) == ("4711", "4621SW", 2)


# the parts


def test_a_phone_that_was_dropped_is_believed_nothing(tmp_path):
    database = Writing(str(tmp_path / "i.db"))
    held = phones.Phones(database, lambda identity, phone: None)
    boots = Boots(held, Orders(), [])
    (tmp_path / "96xxupgrade.txt").write_bytes(SCRIPT)
    phone = None
    for after, name in enumerate(("96xxupgrade.txt", "46xxsettings.txt")):
        event = known(after + 1, after, name=name, file=str(tmp_path / name))
        phone = held.behind(event)
        boots.follow(phone, event)
    boots.drop(phone.id)
    boots.settle(NOON + 1000)
    assert [row["source"] for row in database.run("SELECT source FROM versions")] == ["agent"]
    database.close()


def test_a_transaction_that_nobody_ended_is_rolled_back(tmp_path):
    path = str(tmp_path / "i.db")
    database = Writing(path)
    database.begin()
    database.run("INSERT INTO meta VALUES ('x', 1)")
    assert database.in_transaction
    database.close()
    again = Writing(path)
    assert again.run("SELECT count(*) FROM meta").fetchone()[0] == 0
    again.close()


def test_texts_have_an_end_and_only_whole_characters():
    assert bounded("abcdef", 4) == "abc…" and bounded("abc", 4) == "abc"
    assert bounded("a\udc80", 9) == "a\\udc80"
