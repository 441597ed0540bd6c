"""Orders: given until they are reported, once each, to nobody else; they end by themselves."""

from __future__ import annotations

import json

import pytest

from mv_iptel.central import orders as module
from mv_iptel.central.orders import BACKUP, DAYS, ENDED, RESTORE, UPDATE, Orders
from mv_iptel.home import Home


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def orders(tmp_path, clock):
    home = Home(tmp_path)
    home.var.mkdir(parents=True)
    return Orders(home, clock)


def test_an_order_waits_until_it_is_reported(orders, clock):
    made = orders.add("Oslo", BACKUP, names=("4711_96xxdata.txt",))
    other = Orders(orders._home, clock)
    assert other.waiting("Oslo") == [made] == other.waiting() and other.waiting("Bergen") == []
    assert made.told() == {"id": made.id, "kind": "backup", "names": ["4711_96xxdata.txt"], "made": 1000.0}
    clock.now += 5
    done = other.report("Oslo", made.id, True, "sent 1 file")
    assert (done.ended, done.ok, done.text) == (1005.0, True, "sent 1 file")
    assert orders.waiting() == [] and orders.get(made.id) == done
    assert orders.report("Oslo", made.id, False, "again") is None, "the first report counts"


def test_nobody_reports_for_another(orders):
    made = orders.add("Oslo", UPDATE)
    assert orders.report("Bergen", made.id, True, "") is None is orders.report("Oslo", "none", True, "")
    assert orders.waiting("Oslo") == [made]


def test_the_same_wish_is_one_order(orders):
    wish = {"name": "4711_96xxdata.txt", "version": "v", "sha256": "a" * 64}
    made = orders.add("Oslo", RESTORE, **wish)
    assert orders.add("Oslo", RESTORE, **wish) == made
    assert orders.add("Oslo", RESTORE, **{**wish, "sha256": "b" * 64}) != made
    orders.report("Oslo", made.id, False, "")
    assert orders.add("Oslo", RESTORE, **wish).id != made.id


def test_they_come_in_the_order_they_were_given(orders):
    given = [orders.add("Oslo", BACKUP, names=(f"{ext}_96xxdata.txt",)) for ext in range(5)]
    assert orders.waiting("Oslo") == given


def test_nobody_waits_for_ever(orders, clock):
    made = orders.add("Oslo", UPDATE)
    clock.now += DAYS * 86400
    assert orders.waiting() == []
    ended = orders.get(made.id)
    assert ended.ended == clock.now and not ended.ok and "nobody reported" in ended.text


def test_too_many_are_refused_and_the_ended_are_forgotten(orders, monkeypatch):
    monkeypatch.setattr(module, "MOST", 3)
    monkeypatch.setattr(module, "ENDED", 4)
    for number in range(3):
        orders.add("Oslo", BACKUP, names=(f"{number}_96xxdata.txt",))
    with pytest.raises(ValueError, match="wait at Oslo"):
        orders.add("Oslo", UPDATE)
    for number in range(9):
        orders.report("Bergen", orders.add("Bergen", UPDATE).id, True, str(number))
    assert [one.text for one in orders.all() if one.ended] == ["5", "6", "7", "8"]
    assert len(orders.waiting("Oslo")) == 3 and ENDED == 500


def test_a_long_report_is_cut(orders):
    assert len(orders.report("Oslo", orders.add("Oslo", UPDATE).id, True, "x" * 5000).text) == module.TEXT


@pytest.mark.parametrize("text", ["{", "[]", '{"orders": 5}', '{"orders": [5, {}, {"id": 5, "names": []}]}'])
def test_a_damaged_file(orders, text):
    orders.path.parent.mkdir()
    orders.path.write_text(text)
    assert orders.waiting() == []
    if text == "{":
        with pytest.raises(OSError, match="damaged"):
            orders.add("Oslo", UPDATE)
    else:
        assert orders.add("Oslo", UPDATE) in orders.waiting()
        assert len(json.loads(orders.path.read_text())["orders"]) == 1


def test_words(orders):
    assert orders.add("Oslo", BACKUP).words == "back up everything"
    assert orders.add("Oslo", BACKUP, names=("a",)).words == "back up a"
    assert "firmware" in orders.add("Oslo", UPDATE).words
    assert orders.add("Oslo", RESTORE, name="n", sha256="a" * 64).words == "restore n as aaaaaaaa"
