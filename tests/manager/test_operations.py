"""Long work: its progress, its end, and what becomes of it when the manager ends."""

from __future__ import annotations

import asyncio
import errno
import threading

import pytest

from manager import operations
from manager.operations import OVER, Operations
from manager.problems import Problem
from manager.store import Store


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "manager.db")
    yield store
    store.close()


@pytest.fixture
def work(store):
    work = Operations(store)
    yield work
    work.close(10)


def over(work, operation):
    async def story():
        async with asyncio.timeout(30):
            return [told async for told in work.watch(operation.id)]

    return asyncio.run(story())


def test_it_tells_how_far_it_is(work):
    go, begun = threading.Event(), threading.Event()

    def job(operation):
        operation.say("half", 1, 2)
        begun.set()
        assert go.wait(30)
        operation.say(done=2, total=2)
        return {"files": 2}

    operation = work.begin("intake", "46xx.zip", "anna", job, "/firmware")
    assert begun.wait(30)
    told = work.get(operation.id)
    assert (told["state"], told["text"], told["done"], told["total"]) == ("running", "half", 1, 2)
    assert [one["id"] for one in work.running()] == [operation.id]
    go.set()
    last = over(work, operation)[-1]
    assert (last["state"], last["result"], last["then"]) == ("done", {"files": 2}, "/firmware")
    assert (last["text"], last["done"]) == ("half", 2) and last["ended"] >= last["begun"]
    assert work.get(operation.id)["result"] == {"files": 2} and work.all()[0]["who"] == "anna"


@pytest.mark.parametrize(
    ("fault", "kind", "detail"),
    [
        (Problem("conflict", "there is one already"), "conflict", "there is one already"),
        (ValueError("secret"), "fault", "ValueError; the manager's log says more"),
        (PermissionError(errno.EACCES, "Permission denied", "/etc/x"), "fault",
         "Permission denied; the manager's log says more"),
        (OSError(errno.ENOSPC, "No space left"), "disk-full", "nothing was changed; make room and try again"),
    ],
)  # fmt: skip
def test_it_fails(work, caplog, fault, kind, detail):
    def job(operation):
        raise fault

    last = over(work, work.begin("x", "y", "anna", job))[-1]
    assert last["state"] == "failed" and last["problem"]["type"] == f"/problems/{kind}"
    assert last["problem"]["detail"] == detail
    assert ("failed" in caplog.text) == (kind == "fault")


def test_only_so_many_wait(work, monkeypatch):
    monkeypatch.setattr(operations, "WAITING", 1)
    go = threading.Event()
    begun = [work.begin("x", str(at), "anna", lambda operation: go.wait(30)) for at in range(5)]
    with pytest.raises(Problem) as told:
        work.begin("x", "one more", "anna", lambda operation: None)
    assert told.value.kind == "busy"
    go.set()
    assert all(over(work, one)[-1]["state"] == "done" for one in begun)


def test_what_ran_when_the_manager_was_killed(store, work):
    store.change("INSERT INTO operations VALUES ('k', 'x', 'y', 'anna', 'running', 1, 0, '{\"id\": \"k\"}')")
    assert Operations(store).get("k") == {"id": "k", "state": "interrupted"}
    assert work.get("nothing") is None


def test_the_manager_ends_in_order(store):
    work = Operations(store)
    begun, seen = threading.Event(), []

    def job(operation):
        begun.set()
        while not operation.ending:
            threading.Event().wait(0.001)
        seen.append("it was told")
        operation.end()

    ran = work.begin("x", "y", "anna", job)
    assert begun.wait(30)
    assert work.close(30) and seen
    told = work.get(ran.id)
    assert told["state"] == "failed" and "ended meanwhile" in told["problem"]["detail"]
    with pytest.raises(Problem, match="being ended"):
        work.begin("x", "y", "anna", job)


def test_work_that_does_not_end(store):
    work = Operations(store)
    go, begun = threading.Event(), threading.Event()

    def job(operation):
        begun.set()
        assert go.wait(30)

    ran = [work.begin("x", str(at), "anna", job) for at in range(operations.AT_ONCE + 1)]
    assert begun.wait(30)
    assert not work.close(0.01)
    rows = store.ask("SELECT DISTINCT state FROM operations")
    go.set()
    assert rows == [{"state": "interrupted"}] and len(ran) == operations.AT_ONCE + 1


def test_an_end_that_cannot_be_kept_is_known_all_the_same(store, work, caplog):
    go = threading.Event()
    operation = work.begin("x", "y", "anna", lambda operation: go.wait(30) and 7)
    store.change("ALTER TABLE operations RENAME TO elsewhere")
    go.set()

    async def story():
        async with asyncio.timeout(30):
            while (told := work.get(operation.id))["state"] not in OVER or operation.id in work._running:
                await asyncio.sleep(0)
            return told

    assert asyncio.run(story())["result"] == 7 and "could not be kept" in caplog.text
    store.change("ALTER TABLE elsewhere RENAME TO operations")


def test_only_the_last_are_kept(store, work, monkeypatch):
    monkeypatch.setattr(operations, "KEPT", 3)
    for at in range(6):
        over(work, work.begin("x", str(at), "anna", lambda operation: None))
    assert [one["what"] for one in work.all()] == ["5", "4", "3"]
