"""Storing and fetching: the challenge that is waited for outside of the loop, slots, commits, and records."""

from __future__ import annotations

import ftplib
import os
import socket
import struct
import threading

import pytest

from mv_iptel import turn
from mv_iptel.events import Notice
from mv_iptel.library.answers import Reason
from tests.ftp.site import PATIENCE, Held, Site, fetch, store, wait_for

NAME = "1234_4620data.txt"
PHONE, OTHER = "127.0.0.61", "127.0.0.62"


def begin(client: ftplib.FTP, line: str) -> socket.socket:
    """Send STOR or RETR with a passive data connection that already stands."""
    client.sendcmd("TYPE I")
    data = socket.create_connection(
        client.makepasv(), PATIENCE, source_address=(client.sock.getsockname()[0], 0)
    )
    client.putcmd(line)
    return data


def abort(sock: socket.socket) -> None:
    """Take a connection down by a RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def closed(sock: socket.socket) -> bool:
    """Whether the other side has ended it, in order or not."""
    try:
        return sock.recv(1) == b""
    except ConnectionError:
        return True


def silent(sock: socket.socket) -> bool:
    """Whether nothing is there to be read."""
    sock.setblocking(False)
    try:
        sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    finally:
        sock.settimeout(PATIENCE)
    return False


@pytest.fixture
def agent():
    with Held(PHONE) as held:
        yield held


@pytest.fixture
def asking(home, agent):
    with Site(home, agent.settings) as running:
        yield running


def test_nothing_moves_before_the_phone_has_answered(asking, agent):
    client = asking.phone(PHONE)
    data = begin(client, f"STOR {NAME}")
    data.sendall(b"early")  # a phone that does not wait for the 150
    question = agent.asked()
    # While it waits, the others are served.
    other = asking.phone(OTHER)
    assert other.nlst() == [] and other.pwd() == "/"
    assert silent(client.sock)
    assert list(asking.home.ftp_data.iterdir()) == []
    agent.answer(question)
    assert client.getresp().startswith("150")
    data.sendall(b" and late")
    data.close()
    assert client.getresp().startswith("226")
    assert (asking.home.ftp_data / NAME).read_bytes() == b"early and late"
    assert fetch(client, NAME) == b"early and late"  # what was shown holds for the session
    client.quit()
    other.quit()
    kept = asking.event(op="store")
    assert (kept.outcome, kept.bytes, kept.ext, kept.model, kept.identified) == (
        "ok",
        14,
        "1234",
        "4621SW",
        "snmp",
    )
    assert kept.file == str(asking.home.ftp_data / NAME)
    assert asking.event(op="read").bytes == 14


def test_what_waits_behind_a_challenge_keeps_its_order(asking, agent):
    client = asking.connect(PHONE)
    listening = socket.create_server((PHONE, 0))
    port = listening.getsockname()[1]
    place = f"{PHONE.replace('.', ',')},{port >> 8},{port & 255}"
    client.sock.sendall(
        f"USER a\r\nPASS b\r\nTYPE A\r\nPORT {place}\r\nSTOR {NAME}\r\nPWD\r\nNOOP\r\nQUIT\r\n".encode()
    )
    question = agent.asked()
    for code in ("331", "230", "200", "200"):
        assert client.getresp().startswith(code)
    assert silent(client.sock)
    agent.answer(question)
    data, _ = listening.accept()
    data.sendall(b"all at once")
    data.close()
    for code in ("150", "226", "257", "200", "221"):
        assert client.getresp().startswith(code)
    assert (asking.home.ftp_data / NAME).read_bytes() == b"all at once"


def test_a_phone_that_does_not_answer_is_refused(home, agent):
    settings = agent.settings
    settings["ftp"]["ftp_time_out"] = 0.3
    with Site(home, settings) as site:
        client = site.phone(PHONE)
        with pytest.raises(ftplib.error_perm, match=r"^550 Requested action not taken\.$"):
            store(client, NAME, b"x")
        with pytest.raises(ftplib.error_perm, match=r"^550 Requested action not taken\.$"):
            fetch(client, NAME)
        assert client.pwd() == "/"
        client.quit()
        assert list(home.ftp_data.iterdir()) == []
        assert [one.reason for one in site.events()] == ["no-snmp"] * 2


def test_another_extension_is_refused(asking, agent):
    client = asking.phone(PHONE)
    data = begin(client, "STOR 9999_4620data.txt")
    agent.answer(agent.asked())
    with pytest.raises(ftplib.error_perm, match="550"):
        client.getresp()
    data.close()
    client.quit()
    assert asking.event().reason == "snmp-mismatch"
    assert list(asking.home.ftp_data.iterdir()) == []


@pytest.mark.parametrize("leave", [abort, socket.socket.close])
def test_a_client_that_goes_while_its_phone_is_asked(asking, agent, leave):
    client = asking.phone(PHONE)
    data = begin(client, f"STOR {NAME}")
    question = agent.asked()
    client.file.close()
    leave(client.sock)
    data.close()
    if leave is abort:  # that is seen at once; the other is when the answer is there
        assert asking.event().outcome == "aborted"
    agent.answer(question)
    assert asking.event(op="store").outcome == "aborted"
    wait_for("no session", lambda: not asking.server._sessions)
    assert list(asking.home.ftp_data.iterdir()) == []
    assert asking.server.active() == []


def test_a_transfer_is_seen_while_it_runs(site):
    client = site.phone()
    data = begin(client, f"STOR {NAME}")
    assert client.getresp().startswith("150")
    data.sendall(b"x" * 1000)
    (row,) = wait_for("a row", lambda: [row for row in site.server.active() if row["bytes"] == 1000])
    assert (row["proto"], row["peer"], row["name"], row["ext"], row["total"]) == (
        "ftp",
        "127.0.0.1",
        NAME,
        "1234",
        0,
    )
    data.close()
    assert client.getresp().startswith("226")
    assert site.server.active() == []
    client.quit()


def test_a_connection_that_is_cut_leaves_the_old(site):
    client = site.phone()
    store(client, NAME, b"old")
    data = begin(client, f"STOR {NAME}")
    assert client.getresp().startswith("150")
    data.sendall(b"ne")
    wait_for("two octets", lambda: [row for row in site.server.active() if row["bytes"] == 2])
    abort(data)
    with pytest.raises(ftplib.error_temp, match="426"):
        client.getresp()
    assert fetch(client, NAME) == b"old"
    assert [path.name for path in site.home.ftp_data.iterdir()] == [NAME]
    client.quit()
    cut = site.event(outcome="aborted")
    assert (cut.op, cut.bytes) == ("store", 2)


def test_abor_leaves_the_old(site):
    client = site.phone()
    store(client, NAME, b"old")
    data = begin(client, f"STOR {NAME}")
    assert client.getresp().startswith("150")
    data.sendall(b"ne")
    client.sock.sendall(b"PWD\r\n\xff\xf4\xff\xf2ABOR\r\n")
    with pytest.raises(ftplib.error_temp, match="426"):
        client.getresp()
    assert client.getresp().startswith("226")
    assert client.getresp().startswith("257")  # it waited for the end of the transfer
    assert fetch(client, NAME) == b"old"
    assert client.sendcmd("ABOR").startswith("225")
    client.quit()
    assert site.event(outcome="aborted").op == "store"


def test_a_lost_control_connection_ends_the_transfer(site):
    client = site.phone()
    data = begin(client, f"STOR {NAME}")
    assert client.getresp().startswith("150")
    data.sendall(b"ne")
    client.close()
    assert site.event().outcome == "aborted"
    assert closed(data)
    assert list(site.home.ftp_data.iterdir()) == []


def test_quit_waits_for_the_transfer(site):
    client = site.phone()
    data = begin(client, f"STOR {NAME}")
    assert client.getresp().startswith("150")
    client.putcmd("QUIT")
    data.sendall(b"whole")
    data.close()
    assert client.getresp().startswith("226")
    assert client.getresp().startswith("221")
    assert (site.home.ftp_data / NAME).read_bytes() == b"whole"


def test_too_much_is_refused_and_the_old_stays(home):
    with Site(home, {"http": {"max_backup_bytes": 1000}}) as site:
        client = site.phone()
        store(client, NAME, b"old")
        data = begin(client, f"STOR {NAME}")
        assert client.getresp().startswith("150")
        try:
            data.sendall(b"x" * 100_000)
        except OSError:
            pass
        with pytest.raises(ftplib.error_perm, match="552"):
            client.getresp()
        assert fetch(client, NAME) == b"old"
        client.quit()
        refused = site.event(outcome="refused")
        assert (refused.reason, refused.op, refused.name) == ("too-big", "store", NAME)


def test_an_empty_file_is_a_file(site):
    client = site.phone()
    assert store(client, NAME, b"").startswith("226")
    assert fetch(client, NAME) == b""
    client.quit()


def test_the_record_says_what_the_store_made_of_it(site):
    with site.phone() as client:
        for content in (b"one", b"one", b"two"):
            store(client, NAME, content)
    wait_for("the records", lambda: len(site.events(op="store")) == 3)
    assert [one.detail for one in site.events(op="store")] == ["new", "the same content", ""]


def test_without_a_data_connection_nobody_is_asked(asking):
    client = asking.phone(PHONE)
    for verb in ("STOR", "RETR"):
        with pytest.raises(ftplib.error_temp, match="425"):
            client.sendcmd(f"{verb} {NAME}")
    client.quit()
    assert [one.reason for one in asking.events()] == ["bad-request"] * 2


def test_a_banned_address_is_told_to_go(site):
    site.library.bans.path.parent.mkdir(parents=True, exist_ok=True)
    site.library.bans.path.write_text("127.0.0.61\n")
    client = ftplib.FTP()
    with pytest.raises((ftplib.error_temp, ftplib.error_reply, OSError), match="421"):
        site.connect(PHONE, client=client)
    assert site.phone(OTHER).nlst() == []


@pytest.fixture
def crowded(home):
    with Site(home, {"settings": {"max_clients": 1, "client_session_time": 600.0}}) as running:
        first = running.phone(PHONE)
        store(first, NAME, b"first")
        first.quit()
        yield running


def test_a_request_waits_for_a_slot(crowded):
    client = crowded.phone(OTHER)
    data = begin(client, "STOR 5678_4620data.txt")
    data.sendall(b"second")
    data.close()
    wait_for("a request that waits", lambda: crowded.server._held)
    assert silent(client.sock)
    third = crowded.phone(PHONE)  # who has a slot is served
    assert fetch(third, NAME) == b"first"
    third.quit()
    crowded.library.slots.free(PHONE)
    assert client.getresp().startswith("150")
    assert client.getresp().startswith("226")
    client.quit()
    assert [one.outcome for one in crowded.events(peer=OTHER)] == ["ok"]


def test_without_a_slot_in_time_it_is_told_to_come_back(crowded):
    client = crowded.phone(OTHER)
    data = begin(client, f"RETR {NAME}")
    wait_for("a request that waits", lambda: crowded.server._held)
    crowded.ahead += 8.5
    with pytest.raises(ftplib.error_temp, match="421"):
        client.getresp()
    assert client.sock.recv(1) == b""
    data.close()
    refused = crowded.event(outcome="refused")
    assert (refused.reason, refused.peer) == ("no-slot", OTHER)


def test_who_goes_waits_for_no_slot(crowded):
    client = crowded.phone(OTHER)
    begin(client, f"RETR {NAME}")
    wait_for("a request that waits", lambda: crowded.server._held)
    client.file.close()
    abort(client.sock)
    wait_for("nobody waits", lambda: not crowded.server._held)
    assert crowded.event(peer=OTHER).outcome == "aborted"


def test_a_verdict_that_comes_too_late_gives_its_slot_back(home, agent, monkeypatch):
    """The client goes while the yes for it takes a slot."""
    limits = {"settings": {"max_clients": 5, "client_session_time": 1000.0}}
    with Site(home, {**agent.settings, **limits}) as site:
        taking, gone = threading.Event(), threading.Event()
        take = site.library.slots.take

        def slowly(address: str, session: bool = True) -> bool:
            taking.set()
            with turn.away():
                return gone.wait(PATIENCE) and take(address, session)

        monkeypatch.setattr(site.library.slots, "take", slowly)
        client = site.phone(PHONE)
        data = begin(client, f"STOR {NAME}")
        agent.answer(agent.asked())
        assert taking.wait(PATIENCE)
        client.file.close()
        abort(client.sock)
        assert site.event().outcome == "aborted"
        gone.set()
        data.close()
        wait_for("a slot", lambda: site.library.slots.snapshot())
        wait_for("nobody in it", lambda: site.library.slots.snapshot()[0]["sessions"] == 0)


def test_what_the_disk_does_not_take(site, monkeypatch):
    """The answer comes from what became of the commit, not from the end of the data."""
    client = site.phone()
    store(client, NAME, b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ftplib.error_temp, match="452"):
        store(client, NAME, b"new")
    monkeypatch.undo()
    assert fetch(client, NAME) == b"old"
    assert [path.name for path in site.home.ftp_data.iterdir()] == [NAME]
    client.quit()
    assert site.event(outcome="refused").reason == Reason.DISK_FULL


def full(_fd: int) -> None:
    raise OSError(28, "No space left on device")


def test_a_store_that_takes_its_time_holds_up_nobody(site, monkeypatch):
    gate = threading.Event()
    real = os.fsync

    def slow(fd: int) -> None:
        assert gate.wait(PATIENCE)
        real(fd)

    monkeypatch.setattr(os, "fsync", slow)
    client = site.phone(PHONE)
    data = begin(client, f"STOR {NAME}")
    data.sendall(b"x")
    data.close()
    assert client.getresp().startswith("150")
    other = site.phone(OTHER)
    assert other.nlst() == []
    assert silent(client.sock)  # no 226 before the sync
    gate.set()
    assert client.getresp().startswith("226")
    client.quit()
    other.quit()


def test_a_client_that_goes_after_its_last_octet_has_stored(site, monkeypatch):
    gate = threading.Event()
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (gate.wait(PATIENCE), real(fd)))
    client = site.phone()
    data = begin(client, f"STOR {NAME}")
    data.sendall(b"x")
    data.close()
    assert client.getresp().startswith("150")
    wait_for("a commit", lambda: [one for one in site.server._sessions if one.away])
    client.file.close()
    abort(client.sock)
    wait_for("no session", lambda: not site.server._sessions)
    gate.set()
    assert site.event().outcome == "ok"
    assert (site.home.ftp_data / NAME).read_bytes() == b"x"
    assert not site.events(Notice)


def test_the_watchdogs_file_is_for_this_host(home):
    home.ftp_data.mkdir(parents=True, exist_ok=True)
    (home.ftp_data / "mv_watchdog_check.txt").write_text("alive")
    with Held(PHONE) as agent, Site(home, agent.settings) as site:
        client = site.phone()
        assert fetch(client, "mv_watchdog_check.txt") == b"alive"
        client.quit()
        client = site.phone(PHONE)
        with pytest.raises(ftplib.error_perm, match="550"):
            fetch(client, "mv_watchdog_check.txt")
        client.quit()
