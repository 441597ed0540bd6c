"""What an operation's thread does for who began it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from manager.behalf import Behalf
from manager.problems import Problem
from manager.routing import OPERATOR


def on_a_thread(here, work):
    """`work(behalf)` as an operation does it."""

    async def begin():
        call = SimpleNamespace(
            site=here.site, peer="10.1.1.1", user=SimpleNamespace(name="op", role=OPERATOR)
        )
        return await asyncio.to_thread(work, Behalf(call))

    return asyncio.run_coroutine_threadsafe(begin(), here.loop).result(30)


def test_the_audit_trail_names_who_began_it(here):
    on_a_thread(here, lambda behalf: behalf.audit("did", "this", "old", "new"))
    (row,) = here.site.store.ask("SELECT * FROM audit WHERE action = 'did'")
    assert (row["who"], row["peer"], row["before"], row["after"]) == ("op", "10.1.1.1", "old", "new")


def test_without_a_server_nobody_is_told(here):
    on_a_thread(here, lambda behalf: behalf.refresh())
    with pytest.raises(Problem, match="unreachable"):
        on_a_thread(here, lambda behalf: behalf.post("/control/seen", {}))
