"""Bandwidth by a bucket, quiet hours over midnight, and answers that come later with each failure."""

from __future__ import annotations

from datetime import datetime

import pytest

from mv_iptel.central.limiting import KNOWN, PIECE, SLOWEST, Bucket, Failures, quiet


def test_no_limit():
    bucket = Bucket()
    assert bucket.piece == PIECE and {bucket.take(1 << 30, now) for now in range(9)} == {0.0}


def test_the_rate_is_kept_over_all_who_take():
    bucket, now, sent = Bucket(1_000_000), 100.0, 0
    while now < 110:
        now += bucket.take(bucket.piece, now)
        sent += bucket.piece
    assert 1_000_000 * 10 <= sent <= 1_000_000 * 10.1 + 2 * bucket.piece


def test_two_take_in_turn():
    bucket = Bucket(1000)
    assert bucket.take(1000, 0.0) == 0
    assert bucket.take(1000, 0.0) == pytest.approx(0.95)
    assert bucket.take(1000, 0.0) == pytest.approx(1.95)


def test_a_pause_saves_up_little():
    bucket = Bucket(1000)
    bucket.take(1000, 0.0)
    assert bucket.take(50, 1000.0) == 0 == bucket.take(50, 1000.0)
    assert bucket.take(50, 1000.0) > 0


@pytest.mark.parametrize(("rate", "piece"), [(0, PIECE), (1, 1024), (80_000, 10_000), (10**9, PIECE)])
def test_a_low_rate_has_small_pieces(rate, piece):
    assert Bucket(rate).piece == piece


@pytest.mark.parametrize(("spans", "clock", "left"), [
    ("", "12:00", 0), ("08:00-18:00", "12:00", 6 * 3600), ("08:00-18:00", "18:00", 0),
    ("08:00-18:00", "08:00", 36000), ("08:00-18:00", "07:59", 0), ("22:00-06:00", "23:00", 7 * 3600),
    ("22:00-06:00", "05:00", 3600), ("22:00-06:00", "06:00", 0), ("8:00-9:00,9:00-10:30", "8:30", 7200),
    ("9:00-10:30,8:00-9:00", "8:30", 7200), ("08:00-12:00,11:00-13:00", "08:00", 5 * 3600),
    ("00:00-00:00", "12:00", 43200), ("00:00-12:00,12:00-00:00", "01:00", 82800),
])  # fmt: skip
def test_quiet_hours(spans, clock, left):
    hour, minute = clock.split(":")
    assert quiet(spans, datetime(2026, 3, 2, int(hour), int(minute))) == pytest.approx(left)


def test_each_failure_is_answered_later():
    failures = Failures()
    waits = [failures.failed("192.0.2.1", float(now)) for now in range(12)]
    assert [wait for wait, _ in waits[:3]] == [1, 2, 3] and waits[-1][0] == SLOWEST
    assert [news for _, news in waits] == [True] + [False] * 11
    assert failures.failed("192.0.2.2", 12.0) == (1, True), "another address has its own count"


def test_it_is_forgiven_after_a_time_and_told_again():
    failures = Failures()
    failures.failed("192.0.2.1", 0.0)
    assert failures.failed("192.0.2.1", 601.0) == (1, True)


def test_a_right_one_wipes_the_slips_away():
    failures = Failures()
    failures.failed("192.0.2.1", 0.0)
    failures.right("192.0.2.1")
    assert failures.failed("192.0.2.1", 1.0)[0] == 1


def test_a_network_of_ipv6_is_one_and_many_addresses_are_forgotten():
    failures = Failures()
    failures.failed("2001:db8::1", 0.0)
    assert failures.failed("2001:db8::2", 0.0)[0] == 2
    for number in range(KNOWN + 1):
        failures.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 1.0)
    assert failures.failed("2001:db8::3", 2.0)[0] == 1
