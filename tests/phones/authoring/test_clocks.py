"""Time zones as phones are told them."""

from __future__ import annotations

import pytest

from mv_iptel.phones.authoring.clocks import Clock, clock_of
from mv_iptel.phones.parameters import known

ZONES = {
    "Europe/Vienna": Clock("1:00", "LSunMar2L", "LSunOct3L"),
    "Europe/London": Clock("0:00", "LSunMar1L", "LSunOct2L"),
    "America/New_York": Clock("-5:00", "2SunMar2L", "1SunNov2L"),
    "Australia/Sydney": Clock("10:00", "1SunOct2L", "1SunApr3L"),  # summer begins before it ends
    "Asia/Kolkata": Clock("5:30"),
    "+1:00": Clock("1:00"),
    "-03:30": Clock("-3:30"),
}


@pytest.mark.parametrize("zone", ZONES)
def test_zones(zone):
    clock = clock_of(zone, 2026)
    assert clock == ZONES[zone]
    for name, value in clock.sets():
        assert known(name).check(value) is None, (name, value)


@pytest.mark.parametrize(
    "zone", ["Africa/Casablanca", "Australia/Lord_Howe", "Nowhere/Town", "25:00", "../x", ""]
)
def test_what_phones_cannot_be_told(zone):
    with pytest.raises(ValueError, match="offset"):
        clock_of(zone, 2026)


def test_without_summer_time_it_is_switched_off():
    assert Clock("1:00").sets() == [("GMTOFFSET", "1:00"), ("DSTOFFSET", "0")]
