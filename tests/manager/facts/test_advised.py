"""Advisories beside the inventory: whom each is about, and how many phones that are."""

from __future__ import annotations

import pytest

from manager.facts.advised import about, advised
from mv_iptel.config import defaults
from mv_iptel.firmware.advisories import Advisory
from mv_iptel.home import Home
from mv_iptel.inventory import Inventory
from mv_iptel.inventory.scanned import Scanned


def test_phones_are_counted_by_what_they_run(tmp_path):
    config = defaults(Home(tmp_path))
    inventory = Inventory(config.settings.database)
    runs = "SIP96xx_2_6_17_0.bin"
    inventory.scanned(
        [Scanned(1e9, f"10.0.0.{at}", f"00040d00000{at}", f"471{at}", "9640", runs) for at in (1, 2)]
    )
    inventory.close()
    rows, problems = advised(config)
    counts = {row["id"]: row["phones"] for row in rows}
    assert problems == [] and counts["96x0-sip-tls-1.0"] == 2 and counts["4600-out-of-support"] == 0
    assert rows[0]["phones"] >= rows[-1]["phones"]


@pytest.mark.parametrize(
    ("below", "upto", "text"),
    [((2, 6), (), "4600, 9640 below 2.6"), ((), (2, 6, 17), "4600, 9640 up to 2.6.17"),
     ((), (), "4600, 9640, every version")],
)  # fmt: skip
def test_whom_it_is_about_in_words(below, upto, text):
    assert about(Advisory("x", "weak", ("4600",), ("9640",), below, upto, "t", "s", True)) == text
