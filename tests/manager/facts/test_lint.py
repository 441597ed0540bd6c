"""Lint of what stands in an editor: as if it lay there, by a process of its own."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import threading
from types import SimpleNamespace

import pytest

from manager.facts.lint import Judge, answered, findings, told
from manager.problems import Problem
from mv_iptel.config import load


def packed(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_the_text_counts_and_not_what_lies_there(fresh):
    config, folder = load(fresh), fresh.http_data
    before = (folder / "46xxsettings.txt").read_bytes()
    found = findings(config, folder, "46xxsettings.txt", before + b"SET L2QVLAN 5000\n  SET L2Q 1\n")
    assert [(one.line, one.code) for one in found][-2:] == [(101, "value-range"), (102, "leading-blanks")]
    assert "leading-blanks" not in {one.code for one in findings(config, folder, "46xxsettings.txt", None)}
    assert told(found, True)[-1]["fix"] == "SET L2Q 1" and told(found, False)[-1]["fix"] is None


@pytest.mark.parametrize("text, code", [
    ("GET none.txt\n", "no-file"), ("GET mv_ca.txt\n", None), ("GET EXTRA.txt\n", "file-case"),
])  # fmt: skip
def test_what_lies_beside_it_counts(fresh, text, code):
    (fresh.http_data / "extra.txt").write_text("GET 46xxsettings.txt\n")
    found = findings(load(fresh), fresh.http_data, "46xxsettings.txt", text.encode())
    assert (code in {one.code for one in found}) if code else not found


def test_a_new_file_and_a_folder_that_phones_are_sent_to(fresh):
    (fresh.http_data / "site").mkdir()
    for folder in (fresh.http_data, fresh.http_data / "site"):
        found = findings(load(fresh), folder, "new.txt", b"SET L2QVLAN 5000\n")
        assert [one.code for one in found] == ["value-range"]


def test_a_process_answers_and_is_started_again(fresh):
    judge = Judge(fresh.root)
    ask = {"do": "lint", "folder": str(fresh.http_data), "name": "a.txt", "fixes": True}
    try:
        first = judge.answer({**ask, "data": packed("SET L2QVLAN 5000\n")})
        assert first["counts"] == {"error": 1, "warning": 0, "info": 0}
        number = judge._process.pid
        assert judge.answer({**ask, "data": packed("SET L2QVLAN 5\n")})["findings"] == []
        assert judge._process.pid == number
        os.kill(number, signal.SIGKILL)
        judge._process.wait()
        assert judge.answer({**ask, "data": packed("  SET L2Q 1\n")})["counts"]["warning"] == 1
        with pytest.raises(Problem, match="could not be computed"):
            judge.answer({**ask, "data": 7})
        assert judge.answer({**ask, "data": packed("SET L2Q 1\n")})["findings"] == []
    finally:
        judge.close()
    judge.close()


def test_whoever_leaves_while_it_computes_keeps_the_turn(fresh):
    """Two threads that read from one process would get each other's answers."""
    judge, working, at_once, go = Judge(fresh.root), [], [], threading.Event()

    def run(work, question):
        def computed():
            working.append(question)
            at_once.append(len(working))
            assert go.wait(30)
            working.remove(question)
            return question["number"]

        return asyncio.to_thread(computed)

    async def leave_and_ask():
        first = asyncio.ensure_future(judge.ask(SimpleNamespace(run=run), number=1))
        while not working:
            await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait({first})
        second = asyncio.ensure_future(judge.ask(SimpleNamespace(run=run), number=2))
        while not judge._waiting and len(at_once) < 2:
            await asyncio.sleep(0)
        go.set()
        return await second

    assert asyncio.run(leave_and_ask()) == 2
    assert at_once == [1, 1]


def test_who_breaks_is_asked_the_same_way(fresh):
    question = {"do": "whom", "area": "HTTPdata", "name": "46xxsettings.txt", "data": None}
    assert answered(question, load(fresh))["changed"] is True
