"""The table of phones: filters, sorting and paging in SQL, verdicts beside, fifty thousand of them."""

from __future__ import annotations

import pytest

from manager.facts.phones import SORTS, Choice, Table
from mv_iptel.config import load
from tests.manager import field
from tests.manager.field import MAC, OTHER
from tests.manager.here import made


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = made(tmp_path_factory.mktemp("home"))
    field.site(home)
    return home


@pytest.fixture
def table(home):
    table = Table(lambda: load(home))
    yield table
    table.close()


def keys(table, **choice) -> list[str]:
    return [row["key"] for row in table.list(Choice(**choice)).rows]


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ({}, {MAC, OTHER}),
        ({"q": "0d:11:22"}, {MAC}),
        ({"q": "4712"}, {OTHER}),
        ({"q": "192.0.2.17"}, {MAC}),
        ({"q": "964"}, {MAC, OTHER}),
        ({"q": "%"}, set()),
        ({"q": "3.1"}, {OTHER}),
        ({"model": "9640"}, {MAC, OTHER}),
        ({"model": "964"}, set()),
        ({"version": "3.2"}, {MAC}),
        ({"state": "compliant"}, {MAC}),
        ({"state": "pending"}, {OTHER}),
        ({"state": "stuck"}, set()),
        ({"seen": "1d"}, {MAC, OTHER}),
        ({"seen": "-1d"}, set()),
        ({"new": "7d"}, {MAC, OTHER}),
        ({"refused": True}, {MAC}),
        ({"q": "'; DROP TABLE phones; --"}, set()),
    ],
)
def test_a_choice_finds(table, choice, wanted):
    table.judge()
    assert set(keys(table, **choice)) == wanted
    assert table.list(Choice(**choice)).total == len(wanted)


@pytest.mark.parametrize("sort", [*SORTS, *(f"-{one}" for one in SORTS)])
def test_every_sort_has_every_phone(table, sort):
    table.judge()
    assert set(keys(table, sort=sort)) == {MAC, OTHER}


def test_sorting_goes_both_ways(table):
    assert keys(table, sort="ext") == [MAC, OTHER] and keys(table, sort="-ext") == [OTHER, MAC]


def test_a_page_beyond_the_end_is_the_last_one(table):
    listed = table.list(Choice(page=99), 1)
    assert (listed.page, listed.pages, listed.total, len(listed.rows)) == (2, 2, 2, 1)


def test_the_verdict_is_there_at_once_where_phones_are_few(table):
    rows = {row["key"]: row for row in table.list(Choice()).rows}
    assert rows[MAC]["state"] == "compliant" and rows[MAC]["ordered"] == field.BIN
    assert table.states() == {"compliant": 1, "pending": 1, "stuck": 0, "unknown": 0}
    assert table.models() == [("9640", 2)]


def test_the_inventory_is_only_read(table, home):
    table.list(Choice())
    with pytest.raises(Exception, match="readonly"):
        table._ask("DELETE FROM inv.phones", [])


def test_no_inventory_is_no_error(tmp_path):
    home = made(tmp_path)
    table = Table(lambda: load(home))
    assert table.list(Choice(q="x", state="stuck")) == ([], 0, 1, 1) and table.models() == []
    home.database.write_bytes(b"")
    assert table.list(Choice()).rows == []
    field.site(home)  # now there is one
    assert len(table.list(Choice()).rows) == 2
    table.close()


def test_many_phones_are_judged_on_a_thread_and_paged(tmp_path):
    home = made(tmp_path)
    field.site(home)
    field.many(home, 400)
    table = Table(lambda: load(home))
    table.judge()
    assert sum(table.states().values()) == 402
    for choice in (
        Choice(),
        Choice(q="4d"),
        Choice(state="pending", sort="-boot"),
        Choice(page=9, sort="ext"),
    ):
        listed = table.list(choice)
        assert 0 < len(listed.rows) <= 50 and listed.pages == -(-listed.total // 50), choice
    seen = [row["key"] for page in range(1, 10) for row in table.list(Choice(sort="-state", page=page)).rows]
    assert len(seen) == len(set(seen)) == 402
    table.close()
