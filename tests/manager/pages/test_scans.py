"""The pages of scans: reports with many rows, searched and sorted; what phones said is text."""

from __future__ import annotations

import pytest

from manager.facts.reports import Reports
from mv_iptel.firmware.advisories import SHIPPED, read
from mv_iptel.firmware.scanning import Report, Row

EVIL = "<img src=x onerror=alert(1)>"
WEAK = read(SHIPPED)[0][0]


@pytest.fixture(scope="module")
def scan(here):
    """Its path; what its phones answered is as hostile as can be."""
    rows = [
        Row(f"10.0.{at // 200}.{at % 200}", "stuck" if at < 5 else "compliant", EVIL, mac=f"00040d{at:06x}",
            ext=str(4000 + at), model=EVIL, runs="old.bin", source="guess", ordered=EVIL, advisories=(WEAK,))
        for at in range(300)
    ]  # fmt: skip
    kept = Reports(here.site.home.manager / "data" / "firmware.db")
    report = Report(1.0, 300, 300, 1, 2.0, rows, [EVIL])
    return f"/firmware/scans/{kept.scanned(report, 'op', ['10.0.0.0/22'], EVIL)}"


def test_a_report_comes_in_pages(viewer, scan):
    page = viewer.get(scan)
    assert len(page.body) < 100_000 and "page 1 of 6" in page.text and EVIL not in page.text
    assert "page=2" in page.text and "data-api" not in page.text
    last = viewer.get(scan + "?page=6").text
    assert "10.0.1.99" in last and "page 6 of 6" in last


def test_it_is_searched_and_sorted(viewer, scan):
    part = {"HX-Request": "true"}
    stuck = viewer.get(scan + "?state=stuck", **part).text
    assert "<html" not in stuck and stuck.count('data-label="State"') == 5
    assert viewer.get(scan + "?q=4299", **part).text.count('data-label="State"') == 1
    assert "No phone of this scan" in viewer.get(scan + "?q=zzz", **part).text
    down = viewer.get(scan + "?sort=ext&order=down").text
    assert 'aria-sort="descending"' in down and "4299" in down
    for odd in ("?sort=told", "?state=odd", "?page=x"):
        assert viewer.get(scan + odd).status == 400


def test_scans_are_listed_and_begun_by_who_may(viewer, operator, scan):
    assert f'href="{scan}"' in viewer.get("/firmware/scans").text
    assert "data-api" not in viewer.get("/firmware/scans").text
    assert "POST /api/v1/firmware/scans" in operator.get("/firmware/scans").text
