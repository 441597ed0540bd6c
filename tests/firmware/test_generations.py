"""Generations: the current one, earlier ones, what an entry took the place of, and damaged records."""

from __future__ import annotations

import pytest

from mv_iptel.firmware import generations
from mv_iptel.firmware.generations import Entry, Generation, parsed
from mv_iptel.home import Home

A, B = "aa" * 32, "bb" * 32


def entry(sha256: str, since: int, release: str = "r-01234567", name: str = "a.txt") -> Entry:
    return Entry("HTTPdata", name, 3, sha256, "script", release, "", since)


def test_what_was_there_before(tmp_path):
    home = Home(tmp_path)
    assert generations.current(home) == Generation()
    generations.adopt(home, Generation(), [entry(A, 0, "")])
    generations.put(home, Generation(1, 2.0, "publish", "r-01234567", (entry(B, 1), entry(B, 1, name="b"))))
    now = generations.current(home)
    assert (
        now.number == 1 and now.entry("HTTPdata", "A.TXT") == entry(B, 1) and len(now.of("r-01234567")) == 2
    )
    assert generations.before(home, now.files[0]).sha256 == A
    assert generations.before(home, now.files[1]) is None
    with pytest.raises(LookupError):
        generations.before(home, entry(A, 0))


def test_old_ones_are_forgotten_and_a_damaged_record_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(generations, "KEPT", 3)
    home = Home(tmp_path)
    for number in range(1, 6):
        generations.put(home, Generation(number, 1.0, "publish", "r-01234567", (entry(A, number),)))
    assert generations.numbers(home) == [3, 4, 5]
    folder = home.var / "releases"
    (folder / "generation.json").write_bytes(b"half of {")
    (folder / "generations" / "5.json").write_bytes(b"")
    now = generations.current(home)
    assert now.number == 5 and now.files[0].since == 4, "numbers never go back"
    with pytest.raises(LookupError):
        generations.before(home, entry(A, 2))


@pytest.mark.parametrize(
    "told",
    [
        b"",
        b"[]",
        b"{}",
        b'{"number": 1, "time": 1, "action": "", "release": "", '
        b'"files": [{"place": "etc", "name": "a", "size": 1, "sha256": "", "role": ""}]}',
    ],
)
def test_what_is_no_record(told):
    with pytest.raises(ValueError, match=r"."):
        parsed(told)
