"""How many phones, how many octets, how long: stage by stage, each phone once."""

from __future__ import annotations

import pytest

from mv_iptel.phones.served import Served
from mv_iptel.rollout.estimating import ahead
from mv_iptel.rollout.rings import parse
from tests.rollout.rings import NEW, NEW_APP, SCRIPT, staged


def row(number: int, model: str, net: int = 1) -> dict[str, object]:
    mac = f"00040d0000{number:02x}"
    return {"key": mac, "mac": mac, "model": model, "runs": "", "address": f"10.{net}.0.{number}"}


@pytest.fixture
def release(tmp_path):
    from mv_iptel.home import Home

    return staged(Home(tmp_path), {SCRIPT: NEW, NEW_APP: b"x" * 1_000_000})


def test_each_phone_is_in_one_stage(release):
    new = Served.memory({SCRIPT: NEW, NEW_APP: b"", "46xxsettings.txt": b"SET A 1\n"})
    rows = [row(1, "9640"), row(2, "9640", 2), row(3, "9620", 2), row(4, "J179", 2), row(5, "", 2)]
    stages = (parse("to=10.1.0.0/16"), parse("model=9640 group=5"))
    first, second, rest = ahead(stages, new, release, rows, {}, 8_000_000)
    assert (first.phones, first.asked, first.octets, first.seconds) == (1, 0, 1_000_000, 1.0)
    assert (second.phones, second.asked) == (0, 2), "the model is known of one; the other may be one"
    assert rest.stage is None and rest.phones == 4
    assert [(one.model, one.octets) for one in rest.loads] == [
        ("9620", 1_000_000), ("9640", 1_000_000), ("J179", 0), ("unknown", 0)
    ]  # fmt: skip
