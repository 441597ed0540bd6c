"""When the phones of a storm come."""

from __future__ import annotations

import pytest

from mv_iptel.phones.arrival import CURVES, arrivals


@pytest.mark.parametrize("curve", CURVES)
def test_arrivals(curve):
    times = arrivals(1001, 10.0, curve)
    assert len(times) == 1001
    assert times == sorted(times)
    assert times[0] == pytest.approx(0, abs=1e-6)
    assert times[-1] == pytest.approx(0 if curve == "burst" else 10)
    middle = sum(1 for when in times if 4 <= when <= 6)
    assert {"burst": middle == 0, "uniform": 195 <= middle <= 205, "s": 280 <= middle <= 310}[curve]
