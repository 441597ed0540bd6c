"""The poller that is everywhere does what epoll does."""

from __future__ import annotations

import socket
import threading

import pytest

from mv_iptel.tftp.poller import FAST, IN, OUT, Waker, poller


@pytest.mark.parametrize("fast", sorted({FAST, False}))
def test_what_is_ready_is_told(fast):
    watched = poller(fast)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        watched.register(ours.fileno(), IN)
        assert watched.poll(0, 10) == []
        theirs.send(b"x")
        assert watched.poll(0, 10) == [(ours.fileno(), IN)]
        watched.modify(ours.fileno(), IN | OUT)
        assert watched.poll(0, 10) == [(ours.fileno(), IN | OUT)]
        watched.unregister(ours.fileno())
        assert watched.poll(0, 10) == []
    watched.close()


@pytest.mark.parametrize("fast", sorted({FAST, False}))
def test_another_thread_ends_a_wait(fast):
    watched, waker = poller(fast), Waker()
    watched.register(waker.fd, IN)
    threading.Timer(0.01, waker.wake).start()
    assert watched.poll(-1, 10) == [(waker.fd, IN)]
    waker.quiet()
    assert watched.poll(0, 10) == []
    for _ in range(100_000):  # more than the pipe holds: never blocks
        waker.wake()
    waker.quiet()
    assert watched.poll(0, 10) == []
    watched.close()
    waker.close()
    waker.wake()  # after the end
