"""The figures over a storm."""

from __future__ import annotations

from mv_iptel.phones.outcome import Outcome, Result


def test_percentiles():
    phones = [Outcome(n, "a", "9640", "tftp" if n % 2 else "http", True, "", float(n)) for n in range(1, 101)]
    phones.append(Outcome(0, "a", "9640", "tftp", False, "lost", 120.0))
    result = Result(phones, seconds=2.0)
    assert result.boot_seconds() == {"p50": 50, "p90": 90, "p99": 99, "max": 100}
    assert result.boot_seconds("tftp")["max"] == 99
    assert [phone.number for phone in result.failed] == [0]
    figures = result.as_dict()
    assert (figures["phones"], figures["ready"], figures["failed"]) == (101, 100, 1)
    assert figures["failures"] == [
        {"address": "a", "model": "9640", "protocol": "tftp", "group": "0", "why": "lost"}
    ]
    assert Result([]).boot_seconds() == {"p50": 0, "p90": 0, "p99": 0, "max": 0}


def test_user_data_is_counted():
    whole = {"ready": True, "stored": True, "restored": True}
    phones = [Outcome(n, "a", "9640", "http", saving=n / 10, **whole) for n in (1, 2)]
    phones.append(Outcome(3, "a", "9640", "http", False, "came back different", stored=True))
    phones.append(Outcome(4, "a", "9640", "http", False, "did not boot"))
    told = Result(phones, backups=True).as_dict()["user_data"]
    assert (told["stored"], told["restored"], told["failed"]) == (3, 2, 2)
    assert told["seconds"]["p50"] == 0.1 and told["seconds"]["max"] == 0.2
    assert Result(phones).as_dict()["user_data"] is None
