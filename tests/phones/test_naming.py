"""A set of phones in a few words."""

from __future__ import annotations

import pytest

from mv_iptel.phones.naming import name
from mv_iptel.phones.whom import Kind

MACS = [f"00040d0000{number:02x}" for number in range(6)]
EVERYONE = [
    *(Kind("96x1", model, group) for model in ("9608", "9611G", "9641G") for group in ("0", "1", "876")),
    *(Kind("4600", model, group) for model in ("4610SW", "4621SW") for group in ("0", "1", "876")),
    *(Kind("J100-sip", "J179", group) for group in ("0", "1", "876")),
    *(Kind("4600", "4610SW", "0", mac) for mac in MACS),
]


def those(**wanted):
    return {
        kind for kind in EVERYONE
        if all(getattr(kind, field) in (value if isinstance(value, tuple) else (value,))
               for field, value in wanted.items())
    }  # fmt: skip


CASES = [
    (set(EVERYONE), "every phone"),
    (those(family="96x1"), "all 96x1"),
    (those(family=("96x1", "J100-sip")), "all 96x1, J179 (SIP)"),
    (those(model=("9608", "9611G")), "9608, 9611G"),
    (those(model="9608", group="876"), "9608 in group 876"),
    (those(family="96x1", group=("1", "876")), "all 96x1 in group 1, 876"),
    (those(family="96x1", group="1") | those(family="J100-sip"), "J179 (SIP); all 96x1 in group 1"),
    (those(model="4610SW", mac=tuple(MACS[:1])), "4610SW with MAC 00:04:0d:00:00:00"),
    (those(model="4610SW", mac=tuple(MACS)), "4610SW with MAC 00:04:0d:00:00:00, 00:04:0d:00:00:01, "
                                             "00:04:0d:00:00:02 and 3 more"),
    (those(model="4610SW", mac=("", *MACS[1:])), "4610SW except MAC 00:04:0d:00:00:00"),
    (those(group="1") , "every phone in group 1"),
]  # fmt: skip


@pytest.mark.parametrize(("kinds", "words"), CASES)
def test_in_words(kinds, words):
    assert name(kinds, EVERYONE) == words


def test_one_phone_is_not_every_phone():
    kind = Kind("96x1", "9611G", "0")
    assert name([kind], [kind]) == "9611G"


def test_one_model_in_any_group_is_that_model():
    kinds = [Kind("96x1", "9611G", group) for group in ("0", "5")]
    assert name(kinds, kinds) == "9611G" and name(kinds[1:], kinds) == "9611G in group 5"


def test_many_models_end():
    kinds = [Kind("96x1", f"m{number:02}", "0") for number in range(30)]
    assert name(kinds[:20], kinds).endswith("m11 and 8 more")
