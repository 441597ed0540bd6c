"""Passwords remembered with the first backup: what is kept of them, and that damage lets nobody in."""

from __future__ import annotations

import json
import os
import threading

import pytest

from mv_iptel.userdata.pins import Pinned, Pins
from tests.others import MANAGER, SERVER, root_only, run_as, shared

FILE, OTHER = "1234_96xxdata.txt", "1235_96xxdata.txt"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "var" / "pins"


def test_the_first_one_counts_until_it_is_released(folder):
    pins = Pins(folder, now=lambda: 1000.0)
    assert not pins.known(FILE) and not pins.check(FILE, "1111") and pins.all() == []
    assert not folder.exists()  # asking makes nothing
    pins.remember(FILE, "1111")
    assert pins.known(FILE) and pins.check(FILE, "1111")
    assert not pins.check(FILE, "2222") and not pins.known(OTHER) and not pins.check(OTHER, "1111")
    assert pins.all() == [(FILE, 1000.0)]
    assert pins.release(FILE) and not pins.known(FILE) and not pins.check(FILE, "1111")
    assert not pins.release(FILE)
    pins.remember(FILE, "2222")
    assert pins.check(FILE, "2222")


def test_another_one_does_not_replace_it(folder):
    """Two phones at once: the second one's backup fails instead of locking the first one out."""
    ticks = iter((1.0, 2.0))
    pins = Pins(folder, now=lambda: next(ticks))
    pins.remember(FILE, "1111")
    pins.remember(FILE, "1111")
    assert pins.all() == [(FILE, 1.0)]
    with pytest.raises(Pinned) as caught:
        pins.remember(FILE, "2222")
    assert "1111" not in str(caught.value) and "2222" not in str(caught.value)
    assert pins.check(FILE, "1111")


def test_nothing_on_disk_tells_the_password(folder):
    pins = Pins(folder)
    pins.remember(FILE, "48151623")
    pins.remember(OTHER, "48151623")
    if os.name == "posix":
        assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
            "key": 0o600, "pins.json": 0o640, "lock": 0o640,
        }  # fmt: skip
        assert folder.stat().st_mode & 0o777 == 0o700
    for path in folder.iterdir():
        assert b"48151623" not in path.read_bytes()
    kept = json.loads((folder / "pins.json").read_bytes())
    assert kept[FILE][1] != kept[OTHER][1]


def test_a_pin_fits_its_file_and_its_key_only(folder, tmp_path):
    pins = Pins(folder)
    pins.remember(FILE, "1111")
    kept = json.loads((folder / "pins.json").read_bytes())
    (folder / "pins.json").write_text(json.dumps({OTHER: kept[FILE]}))
    assert pins.known(OTHER) and not pins.check(OTHER, "1111")
    (folder / "pins.json").write_text(json.dumps(kept))
    assert pins.check(FILE, "1111")
    (folder / "key").write_bytes(bytes(32))
    assert not pins.check(FILE, "1111")


def test_what_a_command_did_meanwhile_is_seen(folder):
    serving, command = Pins(folder), Pins(folder)
    serving.remember(FILE, "1111")
    serving.remember(OTHER, "1111")
    assert command.release(FILE)
    assert not serving.known(FILE) and serving.known(OTHER)
    serving.remember(FILE, "2222")
    assert command.check(FILE, "2222") and command.known(OTHER)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', '{"a": ["x", "y"]}', "\xff"])
def test_a_damaged_file_is_not_an_empty_one(folder, text):
    pins = Pins(folder)
    pins.remember(FILE, "1111")
    whole = (folder / "pins.json").read_bytes()
    (folder / "pins.json").write_text(text, "latin-1")
    for act in (
        pins.known,
        pins.release,
        lambda file: pins.check(file, "1"),
        lambda file: pins.remember(file, "1"),
    ):
        with pytest.raises(ValueError, match=r"pins\.json is damaged"):
            act(FILE)
    (folder / "pins.json").write_bytes(whole)
    assert pins.check(FILE, "1111")


def test_a_lost_key_is_not_replaced_while_pins_stand(folder):
    pins = Pins(folder)
    pins.remember(FILE, "1111")
    key = (folder / "key").read_bytes()
    (folder / "key").unlink()
    with pytest.raises(ValueError, match="missing"):
        pins.check(FILE, "1111")
    with pytest.raises(ValueError, match="missing"):
        pins.remember(OTHER, "1111")
    assert not (folder / "key").exists()
    (folder / "key").write_bytes(key[:7])
    with pytest.raises(ValueError, match="damaged"):
        pins.check(FILE, "1111")
    (folder / "key").unlink()
    assert pins.release(FILE)  # after the last pin is gone, a new key may come
    pins.remember(FILE, "2222")
    assert pins.check(FILE, "2222")


def test_many_at_once_lose_nothing(folder):
    pins = [Pins(folder), Pins(folder)]  # two processes, as far as the disk sees
    failed = []

    def remember(number):
        try:
            pins[number % 2].remember(f"{number}_96xxdata.txt", str(number))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=remember, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == [] and len(Pins(folder).all()) == 6
    assert all(Pins(folder).check(f"{number}_96xxdata.txt", str(number)) for number in range(6))


def test_two_first_backups_with_different_passwords(folder):
    pins, results = Pins(folder), []

    def remember(password):
        try:
            pins.remember(FILE, password)
            results.append(password)
        except Pinned:
            pass

    threads = [threading.Thread(target=remember, args=(str(number),)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = results
    assert pins.check(FILE, winner)


@root_only
def test_the_group_forgets_what_only_the_server_can_try():
    with shared() as var:
        pins = Pins(var / "pins")
        run_as(SERVER, lambda: pins.remember(FILE, "1111"))
        assert (var / "pins" / "key").stat().st_uid == SERVER

        def forget():
            assert pins.known(FILE) and pins.release(FILE) and not pins.known(FILE)
            with pytest.raises(PermissionError):
                (var / "pins" / "key").read_bytes()

        run_as(MANAGER, forget)
        run_as(SERVER, lambda: pins.remember(FILE, "2222"))
        pins.release(FILE)  # root's command
        run_as(SERVER, lambda: pins.remember(FILE, "3333"))
