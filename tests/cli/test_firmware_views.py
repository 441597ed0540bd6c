"""How a plan and what `verify` found are shown, hostile names too."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mv_iptel.cli import firmware_views as views
from mv_iptel.cli.options import console
from mv_iptel.firmware.foreseeing import Loss
from mv_iptel.firmware.planning import Conflict, Plan
from mv_iptel.firmware.releases import Release
from mv_iptel.firmware.verifying import Deviation, Verified
from mv_iptel.home import Home

ONE = Release("a-01234567", "staged", "command", "a.zip", 1.0, 1.0)


@pytest.fixture
def shown():
    def show(call, *words) -> str:
        with console.capture() as captured:
            call(*words)
        return captured.get()

    return show


def test_a_plan_says_who_loses_first(shown):
    lint = [f"HTTPdata/a.txt:{line}: error" for line in range(20)]
    made = Plan(ONE, losses=[Loss("all 96x0", 3, "no script orders x.bin for them any more")],
                conflicts=[Conflict("HTTPdata", "a\x1b[31m.txt", "it is not as it was published")],
                errors=lint, needs=1 << 20, free=1 << 30)  # fmt: skip
    text = shown(views.show_plan, made)
    assert "all 96x0 (3 phones known): no script orders x.bin" in text and "and 8 more errors" in text
    assert "\x1b" not in text and "--merge" in text
    assert views.as_dict(made)["losses"] == [
        {"who": "all 96x0", "phones": 3, "text": "no script orders x.bin for them any more"}
    ]


def test_the_options_that_would_have_it_done():
    lost, changed = Loss("all 96x0", 3, "no script"), Conflict("HTTPdata", "a.txt", "it is not as it was")
    made = Plan(ONE, losses=[lost], conflicts=[changed], errors=["a.txt:1: error"])
    assert list(views.ways(made)) == ["--keep, --replace or --merge", "--yes", "--force"]
    assert list(views.ways(made, losses=True, errors=True)) == ["--keep, --replace or --merge"]
    assert views.ways(Plan(ONE, losses=[lost], problems=["a.bin: the disk"])) == {}  # nothing helps


def test_a_list_fits_a_window_of_80_columns(shown, monkeypatch, tmp_path):
    monkeypatch.setattr(console, "_force_terminal", True)
    monkeypatch.setattr(console, "width", 80)
    note = "all 96x0: no script orders ha96xxua3_30.bin for them any more; and all 96x1 restart for ever"
    one = replace(ONE, id="96xx-IPT-H323-R3_3_0-112026-1ecf579c", note=note)
    text = shown(views.show_list, [one], Home(tmp_path))
    assert max(map(len, text.splitlines())) <= 80 and "ha96xxua3_30.bin" in text


def test_what_verify_found(shown):
    edited = Deviation(
        "HTTPdata", "46xxsettings.txt", "edited", "the site has its own settings in it", ONE.id
    )
    assert "all is as it was published" in shown(views.show_verified, Verified(2, 5, 99, (edited,)))
    gone = edited._replace(what="missing", name="a.bin")
    text = shown(views.show_verified, Verified(2, 5, 99, (gone, edited)))
    assert "1 file not as published" in text and "HTTPdata/a.bin (a-01234567)" in text
