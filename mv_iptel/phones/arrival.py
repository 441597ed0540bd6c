"""When the phones of a storm are switched on."""

from __future__ import annotations

import math

CURVES = ("s", "uniform", "burst")


def arrivals(phones: int, seconds: float, curve: str = "s") -> list[float]:
    """When each phone is switched on: all at once, evenly, or most of them in the middle (s)."""
    if curve == "burst" or phones < 2:
        return [0.0] * phones
    places = [number / (phones - 1) for number in range(phones)]
    if curve == "s":  # the inverse of the smooth step 3x² - 2x³
        places = [0.5 - math.sin(math.asin(1 - 2 * place) / 3) for place in places]
    return [seconds * place for place in places]
