"""The loop stands back while TFTP is busy, and loses no event by it."""

from __future__ import annotations

import asyncio
import socket

from mv_iptel.loop import GATHER, Gathering, runner


def test_events_gather_only_while_tftp_is_busy():
    pauses = []
    selector = Gathering(pauses.append)
    ours, theirs = socket.socketpair()
    other, others = socket.socketpair()
    selector.register(ours, 1)
    selector.register(other, 1)
    try:
        assert selector.select(0) == []
        theirs.send(b"x")
        assert [key.fileobj for key, _ in selector.select(0)] == [ours]
        assert pauses == []
        selector.busy = lambda: True

        def meanwhile(seconds):
            pauses.append(seconds)
            others.send(b"y")

        selector._pause = meanwhile
        assert {key.fileobj for key, _ in selector.select(0)} == {ours, other}
        assert pauses == [GATHER]
        ours.recv(1)
        other.recv(1)
        assert selector.select(0) == [] and pauses == [GATHER]  # nothing ready, nothing to wait for
    finally:
        selector.close()
        for sock in (ours, theirs, other, others):
            sock.close()


def test_a_loop_runs_on_it():
    selector = Gathering()
    selector.busy = lambda: True

    async def main():
        reader, writer = await asyncio.open_connection(sock=near)
        far.send(b"hello\n")
        line = await reader.readline()
        writer.close()
        return line

    near, far = socket.socketpair()
    with far, runner(selector) as run:
        assert run.run(main()) == b"hello\n"
