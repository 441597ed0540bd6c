"""The gate: bans from the administrator's file, and the reserve of descriptors."""

from __future__ import annotations

import os

from mv_iptel.library import gate
from mv_iptel.library.gate import Bans, Descriptors


def test_bans_are_read_at_each_change_and_lifted_one_by_one(tmp_path):
    bans = Bans(tmp_path / "banned.txt")
    assert bans.banned("10.0.0.1") == 0
    (tmp_path / "banned.txt").write_text("# why\n10.0.0.1  # scanner\n10.0.1.\n")
    assert bans.banned("10.0.0.1") == 2 and bans.banned("10.0.1.9") == 3 and bans.banned("10.0.0.2") == 0
    assert bans.lift("10.0.0.1") and not bans.lift("10.0.0.1")
    assert bans.banned("10.0.0.1") == 0 and bans.banned("10.0.1.9") == 2
    assert (tmp_path / "banned.txt").read_text() == "# why\n10.0.1.\n"
    (tmp_path / "banned.txt").write_bytes(b"10.0.0.1 # caf\xe9\n10.0.0.2 # caf\xe9\n")
    assert bans.lift("10.0.0.1")
    assert (tmp_path / "banned.txt").read_bytes() == b"10.0.0.2 # caf\xe9\n"


def test_fewer_than_the_reserve_is_busy(monkeypatch):
    open_now = len(os.listdir("/proc/self/fd"))
    now = [100.0]
    monkeypatch.setattr(gate.resource, "getrlimit", lambda what: (open_now + gate.RESERVE + 20, 1 << 20))
    descriptors = Descriptors(lambda: now[0])
    assert descriptors.free()
    monkeypatch.setattr(gate.resource, "getrlimit", lambda what: (open_now + gate.RESERVE - 1, 1 << 20))
    now[0] += 2
    assert not descriptors.free()
