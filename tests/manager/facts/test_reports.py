"""Reports of scans and checks: kept, searched, sorted, and the oldest forgotten."""

from __future__ import annotations

import pytest

from manager.facts.reports import KEPT, Reports
from mv_iptel.firmware.advisories import SHIPPED, read
from mv_iptel.firmware.scanning import Report, Row
from mv_iptel.firmware.verifying import Deviation, Verified

WEAK = read(SHIPPED)[0][0]
ROWS = [
    Row("10.0.0.2", "stuck", "why", mac="00040d000002", ext="4712", model="J179", runs="old.bin",
        advisories=(WEAK,)),
    Row("10.0.0.10", "pending", "why", mac="00040d00000a", ext="4713", model="9640D01A", runs="Old.bin"),
    Row("10.0.0.1", "compliant", "", ext="4711", model="J179", runs="new.bin", ordered="new.bin"),
]  # fmt: skip


@pytest.fixture
def reports(tmp_path):
    return Reports(tmp_path / "firmware.db")


def test_nothing_was_ever_kept(reports):
    assert reports.scans() == [] and reports.scan(1) is None and reports.check() is None
    assert reports.phones(1) == (0, []) and not reports.path.exists()


def test_a_scan_is_kept_with_its_phones(reports):
    number = reports.scanned(
        Report(1000.0, 5, 3, 1, 2.345, ROWS, ["odd"]), "op", ["10.0.0.0/24"], "no server"
    )
    told = reports.scan(number)
    assert (told["who"], told["asked"], told["phones"], told["advised"]) == ("op", 5, 3, 1)
    assert told["states"]["stuck"] == 1 and told["advisories"][0]["phones"] == 1
    assert (told["unkept"], told["problems"], told["seconds"]) == ("no server", ["odd"], 2.35)
    assert [row["address"] for row in reports.phones(number)[1]] == [row.address for row in ROWS]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"state": "stuck"}, ["10.0.0.2"]),
        ({"state": "advised"}, ["10.0.0.2"]),
        ({"text": "OLD"}, ["10.0.0.2", "10.0.0.10"]),
        ({"text": "4713"}, ["10.0.0.10"]),
        ({"text": "%"}, []),
        ({"text": "' OR 1=1 --"}, []),
        ({"sort": "ext"}, ["10.0.0.1", "10.0.0.2", "10.0.0.10"]),
        ({"sort": "ext", "down": True}, ["10.0.0.10", "10.0.0.2", "10.0.0.1"]),
        ({"sort": "told; DROP TABLE phones"}, ["10.0.0.2", "10.0.0.10", "10.0.0.1"]),
        ({"limit": 1, "offset": 1}, ["10.0.0.10"]),
    ],
)
def test_phones_are_searched_and_sorted(reports, wanted, found):
    number = reports.scanned(Report(1.0, rows=ROWS), "op", [], "")
    total, rows = reports.phones(number, **wanted)
    assert [row["address"] for row in rows] == found and total >= len(found)


def test_the_oldest_are_forgotten(reports):
    numbers = [reports.scanned(Report(float(at), rows=ROWS[:1]), "op", [], "") for at in range(KEPT + 2)]
    assert [one["id"] for one in reports.scans()] == numbers[:1:-1]
    assert reports.phones(numbers[0]) == (0, []) and reports.phones(numbers[2])[0] == 1


def test_the_last_check(reports):
    bad = Deviation("HTTPdata", "a", "missing", "gone", "r-1")
    reports.checked(Verified(1, 5, 100, ()), "op", 10.0)
    reports.checked(Verified(2, 6, 200, (bad, bad._replace(what="edited"))), "op", 20.0)
    told = reports.check()
    assert (told["time"], told["sound"], told["faults"], told["count"]) == (20.0, False, 1, 2)
    assert [one["fault"] for one in told["found"]] == [True, False]
