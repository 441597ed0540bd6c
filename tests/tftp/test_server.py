"""Sockets: transfers over loopback, echoes and restarts, silence, ports that come and go."""

from __future__ import annotations

import dataclasses
import itertools
import os
import queue
import socket
import struct
import subprocess
import threading
import time

import pytest

from mv_iptel.tftp.protocol import Ask
from tests.tftp.phone import Phone

SCRIPT = b"## a script\nSET GROUP 1\n" * 200


def ack(block: int) -> bytes:
    return struct.pack(">HH", 4, block & 0xFFFF)


def rrq(name: str, **options: int) -> bytes:
    parts = ["octet", *itertools.chain(*((key, str(value)) for key, value in options.items()))]
    return b"\0\1" + "\0".join([name, *parts, ""]).encode()


def wanted(**options: int) -> dict[str, bytes]:
    return {key: b"%d" % value for key, value in options.items()}


# Whole downloads


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 40_000, 300_001])
def test_downloads(house, size, fast):
    one = house(fast=fast)
    content = os.urandom(size)
    one.put("file", content)
    choices = [{}, wanted(blksize=1428, tsize=0), wanted(windowsize=16), wanted(blksize=9000, windowsize=8)]
    for options in choices:
        with Phone(one.address()) as phone:
            fetch, data = phone.fetch(Ask(b"file", options=options))
        assert (fetch.outcome, data == content, fetch.repeats) == ("ok", True, 0)
        if "tsize" in options and size:
            assert fetch.tsize == size
    for event, options in zip(one.ended(4), choices, strict=True):
        assert (event.outcome, event.bytes, event.resends, event.reason) == ("ok", size, 0, "")
        assert (event.name, event.file) == ("file", str(one.folder / "file"))
        assert (event.blksize, event.window) == (
            int(options.get("blksize", 512)),
            int(options.get("windowsize", 1)),
        )
        assert event.listener == f"tftp:{one.address()[1]}"


def test_downloads_over_both_families(house):
    one = house(bind=())
    one.put("file", SCRIPT)
    for six in (False, True):
        with Phone(one.address(six)) as phone:
            assert phone.fetch(Ask(b"file"))[1] == SCRIPT
    assert [event.peer for event in one.ended(2)] == ["127.0.0.1", "::1"]


@pytest.mark.parametrize("size", [5_000, 200_000])
def test_netascii(house, size):
    one = house()
    content = (b"one\ntwo\r\nthree\r" * (size // 14))[:size]
    one.put("text.txt", content)
    for options in ({}, wanted(blksize=700), wanted(windowsize=5, tsize=0)):
        with Phone(one.address()) as phone:
            fetch, data = phone.fetch(Ask(b"text.txt", "netascii", options))
            assert (data == content, fetch.tsize) == (True, None)
            assert fetch.octets == size + content.count(b"\r") + content.count(b"\n")


def test_a_window_larger_than_the_sockets_buffer(house):
    one = house()
    content = os.urandom(9 << 20)
    one.put("file", content)
    with Phone(one.address()) as phone:
        phone.sock.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)
        fetch, data = phone.fetch(Ask(b"file", options=wanted(blksize=65464, windowsize=64)))
    assert (fetch.window, data == content) == (64, True)
    assert one.ended(1)[0].outcome == "ok"


CLIENTS = {
    "tftp": lambda at, port, to: ["tftp", "-m", "binary", at, port, "-c", "get", "file", to],
    "atftp": lambda at, port, to: [
        "atftp",
        "-g",
        "-r",
        "file",
        "-l",
        to,
        "--option",
        "windowsize 8",
        at,
        port,
    ],
    "busybox": lambda at, port, to: ["busybox", "tftp", "-g", "-b", "1000", "-r", "file", "-l", to, at, port],
    "curl": lambda at, port, to: ["curl", "-sS", "-o", to, f"tftp://{at}:{port}/file"],
}


@pytest.mark.parametrize("client", CLIENTS)
def test_clients_that_we_did_not_write(house, program, client, tmp_path):
    one = house()
    content = os.urandom(200_000)
    one.put("file", content)
    at, port = one.address()
    command = CLIENTS[client](at, str(port), str(tmp_path / "got"))
    command[0] = program(client)
    subprocess.run(command, check=True, timeout=30, capture_output=True)
    assert (tmp_path / "got").read_bytes() == content
    assert one.ended(1)[0].outcome == "ok"


def test_tftpy(house, tmp_path):
    tftpy = pytest.importorskip("tftpy")
    one = house()
    one.put("file", SCRIPT)
    tftpy.TftpClient(*one.address(), options={"blksize": 600, "tsize": 0}).download(
        "file", str(tmp_path / "got")
    )
    assert (tmp_path / "got").read_bytes() == SCRIPT


# Refusals


@pytest.mark.parametrize(
    ("packet", "answer", "reason", "name"),
    [
        (rrq("missing"), b"\0\5\0\1File not found\0", "no-file", "missing"),
        (rrq("../../etc/passwd"), b"\0\5\0\1File not found\0", "bad-name", None),
        (rrq("a_allow_IP.txt"), b"\0\5\0\1File not found\0", "not-allowed", "a_allow_IP.txt"),
        (b"\0\2file\0octet\0", b"\0\5\0\2Access violation\0", "read-only", "file"),
        (b"\0\1file\0mail\0", b"\0\5\0\4Illegal TFTP operation\0", "bad-request", "file"),
        (b"\0\1file", b"\0\5\0\4Illegal TFTP operation\0", "bad-request", "file"),
        (b"\0\x09file\0octet\0", b"\0\5\0\4Illegal TFTP operation\0", "bad-request", None),
        (b"\0\1" + b"x" * 60_000, b"\0\5\0\4Illegal TFTP operation\0", "bad-request", None),
        (b"\0\4\0\1", None, "bad-request", None),
        (b"\0\5\0\1no\0", None, "bad-request", None),
        (b"\0\3\0\1data", None, "bad-request", None),
        (b"x", None, "bad-request", None),
        (b"", None, "bad-request", None),
    ],
)
def test_refusals(house, packet, answer, reason, name):
    one = house()
    one.put("file", SCRIPT)
    with Phone(one.address()) as phone:
        phone.say(packet)
        (event,) = one.ended(1)
        assert (event.outcome, event.reason, event.bytes) == ("refused", reason, 0)
        if name is not None:
            assert event.name == name
        if answer is None:
            assert phone.silence()
        else:
            assert phone.hear()[0] == answer


def test_a_list(house):
    one = house()
    one.put("file", SCRIPT)
    one.put("allow_IP.txt", b"192.0.2.1\n")
    with Phone(one.address()) as phone:
        fetch, _ = phone.fetch(Ask(b"file"))
        assert fetch.error == (2, "Access violation")
    assert one.ended(1)[0].reason == "not-listed"


def test_the_slot_is_taken_at_the_first_ack(house):
    one = house(bind=("127.0.0.2",), settings={"max_clients": 1})
    one.put("file", SCRIPT)
    address = ("127.0.0.2", one.server.listeners()[0]["port"])

    def phone(host: str) -> Phone:
        made = Phone(address)
        made.sock.close()
        made.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.sock.bind((host, 0))
        made.sock.settimeout(5)
        return made

    with phone("127.0.0.3") as first, phone("127.0.0.4") as second, phone("127.0.0.5") as third:
        first.say(rrq("file"))
        second.say(rrq("file"))
        (_, one_port), (_, other_port) = first.hear(), second.hear()  # a request alone takes no slot
        first.say(ack(1), one_port)
        assert first.hear()[0][:4] == b"\0\3\0\2"
        second.say(ack(1), other_port)
        assert second.silence()
        third.say(rrq("file"))
        assert third.silence()
    refused = [event for event in one.ended(3) if event.outcome == "refused"]
    assert [(event.reason, event.peer) for event in refused] == [
        ("no-slot", "127.0.0.4"), ("no-slot", "127.0.0.5")]  # fmt: skip


# Where replies come from


def test_replies_come_from_the_address_that_was_asked(house):
    one = house(bind=())
    one.put("file", SCRIPT)
    port = one.address()[1]
    with Phone(("127.0.0.9", port)) as phone:
        phone.say(rrq("file"))
        _, sender = phone.hear()
        assert sender[0] == "127.0.0.9" and sender[1] != port
        phone.say(rrq("missing"))
        assert phone.hear()[1] == ("127.0.0.9", port)


def test_replies_come_from_the_address_it_is_bound_to(house):
    one = house(bind=("127.0.0.6",))
    one.put("file", SCRIPT)
    with Phone(("127.0.0.6", one.server.listeners()[0]["port"])) as phone:
        phone.say(rrq("file"))
        assert phone.hear()[1][0] == "127.0.0.6"


def test_a_stranger_is_not_heard(house):
    one = house()
    one.put("file", SCRIPT)
    with Phone(one.address()) as phone, Phone(one.address()) as stranger:
        phone.say(rrq("file"))
        _, sender = phone.hear()
        stranger.say(ack(1), sender)
        stranger.say(b"\0\5\0\0die\0", sender)
        assert phone.silence()
        phone.say(ack(1), sender)
        assert phone.hear()[0][:4] == b"\0\3\0\2"


def test_a_port_range(house):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        low = taken.getsockname()[1]
        one = house(tftp_port_range=(low, low + 3))
        one.put("file", SCRIPT)
        with Phone(one.address()) as phone, Phone(one.address()) as other:
            phone.say(rrq("file"))
            other.say(rrq("file"))
            ports = {phone.hear()[1][1], other.hear()[1][1]}
        assert len(ports) == 2 and ports < {low + 1, low + 2, low + 3}


def test_a_port_range_that_is_full(house):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        low = taken.getsockname()[1]
        one = house(tftp_port_range=(low, low))
        one.put("file", SCRIPT)
        with Phone(one.address()) as phone:
            phone.say(rrq("file"))
            assert phone.silence()
    (event,) = one.ended(1)
    assert event.outcome == "failed" and "no socket" in event.detail


# Echoes, restarts, silence


def test_a_repeated_request_is_the_same_transfer(house):
    one = house()
    one.put("file", SCRIPT)
    with Phone(one.address()) as phone:
        for _ in range(3):
            phone.say(rrq("file", tsize=0))
        answers = {phone.hear() for _ in range(3)}
        assert len(answers) == 1  # one packet, from one port
        _, data = phone.fetch(Ask(b"file", options=wanted(tsize=0)))
        assert data == SCRIPT
    (event,) = one.ended(1)
    assert (event.outcome, event.resends) == ("ok", 3)


def test_a_phone_that_restarts_with_the_same_port(house):
    one = house()
    one.put("file", SCRIPT)
    with Phone(one.address()) as phone:
        phone.say(rrq("file"))
        _, old = phone.hear()
        phone.say(ack(1), old)
        assert phone.hear()[0][:4] == b"\0\3\0\2"
        phone.say(rrq("file"))
        packet, new = phone.hear()
        assert packet[:4] == b"\0\3\0\1" and new != old
        for block in range(1, len(SCRIPT) // 512 + 2):
            phone.say(ack(block), new)
            if block <= len(SCRIPT) // 512:
                assert phone.hear()[0][:4] == b"\0\3" + ack(block + 1)[2:]
    first, second = one.ended(2)
    assert (first.outcome, first.detail) == ("aborted", "asked again")
    assert second.outcome == "ok"


def test_an_echo_of_the_request_harms_no_transfer(house):
    """The network doubled the request; the copy arrives when the transfer is under way."""
    one = house()
    one.put("file", SCRIPT)
    with Phone(one.address()) as phone:
        phone.say(rrq("file"))
        _, port = phone.hear()
        phone.say(ack(1), port)
        phone.hear()
        phone.say(rrq("file"))
        assert phone.hear()[0][:4] == b"\0\3\0\1"
        for block in range(2, len(SCRIPT) // 512 + 2):
            phone.say(ack(block), port)
            if block <= len(SCRIPT) // 512:
                assert phone.hear() == (b"\0\3" + ack(block + 1)[2:] + SCRIPT[block * 512 :][:512], port)
                assert len(one.server.active()) == 1  # the first answer decides
    assert sorted(event.outcome for event in one.ended(2)) == ["aborted", "ok"]


def test_a_changed_file_is_a_new_transfer(house):
    one = house()
    one.put("file", b"old")
    with Phone(one.address()) as phone:
        phone.say(rrq("file"))
        assert phone.hear()[0] == b"\0\3\0\1old"
        (one.folder / "new").write_bytes(b"newer")
        os.replace(one.folder / "new", one.folder / "file")
        phone.say(rrq("file"))
        packet, port = phone.hear()
        assert packet == b"\0\3\0\1newer"
        phone.say(ack(1), port)
        assert sorted(event.outcome for event in one.ended(2)) == ["aborted", "ok"]


def test_many_requests_from_one_port_leave_two_transfers_at_most(house):
    one = house()
    for name in "abcdef":
        one.put(name, SCRIPT)
    with Phone(one.address()) as phone:
        for name in "abcdef":
            phone.say(rrq(name))
            phone.hear()
        assert [active["name"] for active in one.server.active()] == ["a", "f"]


def test_the_next_file_from_the_same_port_after_a_lost_last_ack(house):
    one = house()
    one.put("a", SCRIPT[:600])
    one.put("b", b"x")
    with Phone(one.address()) as phone:
        phone.say(rrq("a"))
        _, port = phone.hear()
        phone.say(ack(1), port)
        phone.hear()
        phone.say(rrq("b"))
        _, port = phone.hear()
        phone.say(ack(1), port)
        assert [(event.name, event.outcome) for event in one.ended(2)] == [("a", "ok"), ("b", "ok")]


def test_an_unanswered_request_draws_three_packets(house):
    one = house(tftp_timeout=0.05)
    one.put("file", SCRIPT)
    for packet in (rrq("file"), rrq("file", blksize=1000, windowsize=64)):
        with Phone(one.address()) as phone:
            phone.say(packet)
            assert len({phone.hear() for _ in range(3)}) == 1
            assert phone.silence(0.6)
    for event in one.ended(2):
        assert (event.outcome, event.resends) == ("timeout", 2)


def test_a_phone_that_has_gone(house):
    one = house()
    one.put("file", SCRIPT)
    with Phone(one.address()) as phone:
        phone.say(rrq("file"))
        _, port = phone.hear()
        phone.say(ack(1), port)
        phone.say(ack(2), port)
    (event,) = one.ended(1)
    assert event.outcome == "aborted" and "closed" in event.detail


def test_the_clients_error_is_the_end(house):
    one = house()
    one.put("file", SCRIPT)
    with Phone(one.address()) as phone:
        phone.say(rrq("file"))
        _, port = phone.hear()
        phone.say(b"\0\5\0\3disk full\0", port)
        (event,) = one.ended(1)
        assert (event.outcome, event.detail) == ("aborted", "client says 3: disk full")


def test_a_file_that_changes_under_way(house):
    one = house()
    path = one.put("file", bytes(500_000))
    with Phone(one.address()) as phone:
        phone.say(rrq("file"))
        packet, port = phone.hear()
        with open(path, "r+b") as file:
            file.write(b"changed")
        while packet[1] == 3:
            phone.say(b"\0\4" + packet[2:4], port)
            packet, _ = phone.hear()
        assert packet == b"\0\5\0\0Not defined\0"
    (event,) = one.ended(1)
    assert event.outcome == "failed" and "changed" in event.detail


# One port for everything


def test_a_single_port(house):
    one = house(tftp_single_port=True, bind=())
    content = os.urandom(100_000)
    one.put("file", content)
    for six in (False, True):
        for options in ({}, wanted(blksize=1000, windowsize=8)):
            with Phone(one.address(six)) as phone:
                phone.say(rrq("missing"))
                assert phone.hear()[1][1] == one.address(six)[1]
                phone.say(rrq("file"))
                assert phone.hear()[1][1] == one.address(six)[1]
                phone.say(b"\0\5\0\0stop\0")
                fetch, data = phone.fetch(Ask(b"file", options=options))
                assert (fetch.outcome, data == content) == ("ok", True)
    events = one.ended(12)
    assert [event.outcome for event in events] == ["refused", "aborted", "ok"] * 4


def test_a_single_port_is_no_reflector(house):
    one = house(tftp_single_port=True)
    one.put("file", os.urandom(300_000))
    with Phone(one.address()) as phone:
        phone.say(rrq("file", blksize=65464, windowsize=64))
        oack = phone.hear()[0]
        assert b"blksize\x001428\0" in oack and b"windowsize" not in oack.replace(b"windowsize\x001\0", b"")
        phone.say(b"\0\4\0\0")  # what a forger would send without having seen the answer
        packet, _ = phone.hear()
        assert len(packet) == 4 + 1428
        phone.say(b"\0\5\0\0stop\0")
    one.ended(1)


def test_echoes_at_a_single_port(house):
    one = house(tftp_single_port=True)
    one.put("file", SCRIPT)
    with Phone(one.address()) as phone:
        phone.say(rrq("file"))
        got = phone.hear()[0][4:]
        phone.say(rrq("file"))
        assert phone.hear()[0][:4] == b"\0\3\0\1"
        for block in range(1, len(SCRIPT) // 512 + 1):
            phone.say(ack(block))
            packet = phone.hear()[0]
            assert packet[:4] == b"\0\3" + ack(block + 1)[2:]
            got += packet[4:]
            if block == 3:
                phone.say(rrq("file"))  # late, and the transfer goes on
                assert phone.hear()[0][:4] == b"\0\3\0\1"
        phone.say(ack(block + 1))
        assert got == SCRIPT
        one.ended(2)
        phone.say(ack(block + 1))
        assert phone.silence()
    assert sorted(event.outcome for event in one.ended(2)) == ["aborted", "ok"]


# The life of the server


def test_what_is_being_sent(house):
    one = house()
    one.put("file", SCRIPT)
    with Phone(one.address()) as phone:
        phone.say(rrq("file"))
        _, port = phone.hear()
        phone.say(ack(1), port)
        phone.hear()
        (active,) = one.server.active()
    assert active["name"] == "file" and active["total"] == len(SCRIPT) and active["bytes"] == 1024
    assert active["peer"] == "127.0.0.1" and abs(active["started"] - time.time()) < 60


def test_listening_is_told(house):
    one = house(bind=())
    assert {(event.address, event.state) for event in one.events("listening")} == {
        ("0.0.0.0", "up"), ("::", "up")}  # fmt: skip
    assert all(event.buffer >= 200_000 for event in one.events("listening"))
    one.server.stop(0.0)
    assert [event.state for event in one.events("listening")] == ["up", "up", "off", "off"]


def test_a_taken_port_names_its_holder_and_is_tried_again(house):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        one = house(trivial_ftp_port=holder.getsockname()[1])
        (listener,) = one.server.listeners()
        assert listener["state"] == "failed"
        assert f"(process {os.getpid()})" in listener["error"]
    one.put("file", SCRIPT)
    one.server._call(lambda: one.server._sweep(time.monotonic() + 29), 5)
    assert one.server.listeners()[0]["state"] == "failed"
    one.server._call(lambda: one.server._sweep(time.monotonic() + 31), 5)
    with Phone(one.address()) as phone:
        assert phone.fetch(Ask(b"file"))[1] == SCRIPT


def test_a_reload_drops_no_transfer(house):
    one = house()
    one.put("file", SCRIPT)
    old = one.address()
    with Phone(old) as phone:
        phone.say(rrq("file", blksize=1024))
        _, port = phone.hear()
        changed = dataclasses.replace(one.config.tftp, tftp_block_max=600, trivial_ftp_port=0)
        one.server.reload(changed, ("127.0.0.1", "127.0.0.7"))
        assert [listener["state"] for listener in one.server.listeners()] == ["up", "up"]
        assert one.address() == old  # the port that was open stayed open
        phone.say(ack(0), port)
        assert len(phone.hear()[0]) == 1028
        for block in range(1, len(SCRIPT) // 1024 + 1):
            phone.say(ack(block), port)
            phone.hear()
        phone.say(ack(block + 1), port)
        assert one.ended(1)[0].outcome == "ok"
        fetch, data = phone.fetch(Ask(b"file", options=wanted(blksize=1024)))
        assert (fetch.blksize, data) == (600, SCRIPT)
    one.server.reload(dataclasses.replace(changed, run_trivial_ftp=False), ("127.0.0.1",))
    assert {listener["state"] for listener in one.server.listeners()} == {"off"}
    one.server.reload(changed, ("127.0.0.1",))
    with Phone(one.address()) as phone:
        assert phone.fetch(Ask(b"file"))[1] == SCRIPT


def test_a_stop_lets_transfers_end(house):
    one = house()
    one.put("file", SCRIPT)
    with Phone(one.address()) as phone:
        phone.say(rrq("file"))
        _, port = phone.hear()
        ending = threading.Thread(target=one.server.stop, args=(20.0,))
        ending.start()
        for block in range(1, len(SCRIPT) // 512 + 1):
            phone.say(ack(block), port)
            assert phone.hear()[0][:4] == b"\0\3" + ack(block + 1)[2:]
        phone.say(ack(block + 1), port)
        ending.join(10)
        assert not ending.is_alive()
    assert one.ended(1)[0].outcome == "ok"


def test_a_stop_without_patience(house):
    one = house()
    one.put("file", SCRIPT)
    with Phone(one.address()) as phone:
        phone.say(rrq("file"))
        phone.hear()
        one.server.stop(0.0)
        assert phone.hear()[0] == b"\0\5\0\0Not defined\0"
    (event,) = one.ended(1)
    assert (event.outcome, event.detail) == ("aborted", "the server ends")


def test_memory_is_given_back_when_nothing_is_sent(house):
    one = house()
    one.put("file", bytes(200_000))
    with Phone(one.address()) as first, Phone(one.address()) as second:
        for phone in (first, second):
            phone.say(rrq("file"))
            _, port = phone.hear()
            phone.say(ack(1), port)
            phone.hear()
        second.say(b"\0\5\0\0no\0", port)
        one.ended(1)
        assert one.server._images.octets
        one.server._call(lambda: one.server._sweep(time.monotonic()), 5)
    one.ended(2)
    one.server._call(lambda: one.server._sweep(time.monotonic() + 9), 5)
    assert one.server._images.octets
    one.server._call(lambda: one.server._sweep(time.monotonic() + 11), 5)
    assert not one.server._images.octets


def test_garbage_in_bulk(house):
    one = house()
    one.put("file", SCRIPT)
    with Phone(one.address()) as phone:
        for size in range(400):
            phone.say(os.urandom(size))
            phone.say(b"\0\1" + os.urandom(size))
            phone.say(b"\0" + os.urandom(size))
    with Phone(one.address()) as phone:
        assert phone.fetch(Ask(b"file"))[1] == SCRIPT
    assert len(one.ended(1201)) == 1201


# Other work


class Errands:
    """Other work: what comes in at one end of a pair of sockets."""

    def __init__(self):
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self.fd = self.near.fileno()
        self.told = queue.Queue()

    def serve(self) -> None:
        self.told.put((self.near.recv(100), threading.current_thread().name))

    def back(self) -> None:
        self.told.put("back")


def test_a_guest_is_served_while_something_is_sent(house):
    one = house()
    one.put("file", os.urandom(2000))
    work = Errands()
    with work.near, work.far, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        assert not one.server.lend(work)  # it has nothing to do and would not look
        sock.sendto(rrq("file"), one.address())
        data, peer = sock.recvfrom(600)
        assert one.server.lend(work)
        for block in range(1, 5):
            work.far.send(b"do")
            assert work.told.get(timeout=10) == (b"do", "tftp")
            assert data[:4] == struct.pack(">HH", 3, block)
            sock.sendto(ack(block), peer)
            if block < 4:
                data = sock.recv(600)
        assert work.told.get(timeout=10) == "back"
        assert not one.server.lend(work)
        work.far.send(b"do")
        with Phone(one.address()) as phone:
            assert phone.fetch(Ask(b"file"))[0].outcome == "ok"
        assert work.told.empty()


def test_a_guest_comes_back_when_the_server_ends(house):
    one = house()
    one.put("file", os.urandom(2000))
    work = Errands()
    with work.near, work.far, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.sendto(rrq("file"), one.address())
        sock.recv(600)
        assert one.server.lend(work)
        one.server.stop(0)
        assert work.told.get(timeout=10) == "back"
