"""One at a time works on releases: threads, processes, and the one who has the lock already."""

from __future__ import annotations

import multiprocessing
import threading

import pytest

from mv_iptel.firmware.working import Busy, alone
from mv_iptel.home import Home
from mv_iptel.userdata.disk import locked


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path)
    home.var.mkdir(parents=True)
    return home


def tries(home: Home, answers: list[str]) -> None:
    try:
        with alone(home, 0.01):
            answers.append("had it")
    except Busy:
        answers.append("busy")


def test_another_thread_waits(home):
    answers: list[str] = []
    with alone(home):
        one = threading.Thread(target=tries, args=(home, answers))
        one.start()
        one.join()
    tries(home, answers)
    assert answers == ["busy", "had it"]


def in_a_process(root, pipe) -> None:
    answers: list[str] = []
    tries(Home(root), answers)
    pipe.send(answers)


def test_another_process_waits(home):
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    with alone(home):
        one = context.Process(target=in_a_process, args=(home.root, theirs))
        one.start()
        one.join()
    assert ours.recv() == ["busy"]


def test_who_has_it_may_ask_again_and_take_the_short_lock_within(home):
    with alone(home), alone(home), locked(home.lock):
        pass
    with pytest.raises(RuntimeError), alone(home):
        raise RuntimeError
    answers: list[str] = []
    tries(home, answers)
    assert answers == ["had it"]


def test_two_homes_have_two_locks(tmp_path):
    with alone(Home(tmp_path / "a")), alone(Home(tmp_path / "b")):
        assert (tmp_path / "a" / "MV_IPTel" / "var" / "releases" / "lock").exists()
