"""Uploads below var/: whole or gone, limited in size, number and room on the disk."""

from __future__ import annotations

import socket

import pytest

from manager import incoming
from manager.incoming import Incoming
from tests.clients.daemon import wait_for
from tests.manager.releases import drop, package


@pytest.fixture
def folder(here):
    return here.home.var / "incoming"


def test_what_a_killed_manager_left_is_gone_at_the_next_start(tmp_path):
    (tmp_path / "0123.part").write_bytes(b"half")
    (tmp_path / "else").write_bytes(b"not ours")
    Incoming(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["else"]


def test_too_much_is_refused_and_gone(here, operator, folder, monkeypatch):
    monkeypatch.setattr("manager.api.firmware.MOST", 100)
    assert drop(operator, "big.zip", b"x" * 101).status == 413
    assert list(folder.iterdir()) == []


def test_a_full_disk_is_said_before_it_is_full(here, operator, folder, monkeypatch):
    monkeypatch.setattr(incoming, "MARGIN", 1 << 60)
    answer = drop(operator, *package(1))
    assert answer.status == 507 and "make room" in answer.text
    assert list(folder.iterdir()) == []


def test_a_disk_that_gets_full_meanwhile_stays_usable(here, operator, folder, monkeypatch):
    cookie = "; ".join(f"{name}={value}" for name, value in operator.cookies.items())
    head = (
        f"POST /api/v1/firmware/releases?name=a.zip HTTP/1.1\r\nHost: {here.netloc}\r\nCookie: {cookie}\r\n"
        f"X-CSRF-Token: {operator.csrf}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", here.port), 10) as sock:
        sock.sendall(head.encode() + b"4\r\nhalf\r\n")
        wait_for("the first of it", lambda: any(one.stat().st_size for one in folder.iterdir()))
        monkeypatch.setattr(incoming, "MARGIN", 1 << 60)
        sock.sendall(b"4\r\nmore\r\n0\r\n\r\n")
        assert b" 507 " in sock.recv(4096)[:20]
    assert list(folder.iterdir()) == []


def test_only_so_many_at_once(here, operator, monkeypatch):
    monkeypatch.setattr(incoming, "AT_ONCE", 0)
    assert drop(operator, *package(1)).status == 503


def test_an_upload_that_is_cut_off_leaves_nothing(here, operator, folder):
    cookie = "; ".join(f"{name}={value}" for name, value in operator.cookies.items())
    head = (
        f"POST /api/v1/firmware/releases?name=a.zip HTTP/1.1\r\nHost: {here.netloc}\r\nCookie: {cookie}\r\n"
        f"X-CSRF-Token: {operator.csrf}\r\nContent-Length: 100000\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", here.port), 10) as sock:
        sock.sendall(head.encode() + b"half")
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(4096):
            pass
    wait_for("the end of it", lambda: here.site.incoming._taking == 0)
    assert list(folder.iterdir()) == []
