"""The queue for the customer's FTP server: what gets there, in which order, and what failures leave."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from mv_iptel import config as configuration
from mv_iptel.events import Event
from mv_iptel.home import Home
from mv_iptel.userdata import customftp
from mv_iptel.userdata.customftp import Destination
from mv_iptel.userdata.outbox import LONGEST, REFUSALS, Outbox, pause
from mv_iptel.userdata.store import Origin, Stored
from tests.userdata.customer import ALL, PASSWORD, USER, Customer, self_signed

A, B, C = "2001_4620data.txt", "2002_96xxdata.txt", "2003_4610data_sip.txt"
FOLDER = "home/mvuser/backup"


class Site:
    """A home with user data in it, a clock, and the outbox, driven by hand."""

    def __init__(self, folder: Path, port: int = 1, **keys: object):
        self.home = Home(folder / "site")
        self.now = 1_000_000.0
        self.events: list[Event] = []
        self.config = configuration.defaults(self.home)
        self.data = self.config.http.backup_dir
        self.data.mkdir(parents=True, exist_ok=True)
        self.entries = self.home.var / "queue" / "customftp"
        self.set(
            custom_ftp=True, custom_ftp_host="127.0.0.1", custom_ftp_port=port,
            custom_ftp_uname=USER, custom_ftp_pwd=PASSWORD, **keys,
        )  # fmt: skip
        self.outbox = self.begin()

    def set(self, **keys: object) -> None:
        servers = dataclasses.replace(self.config.backup_servers, **keys)
        self.config = dataclasses.replace(self.config, backup_servers=servers)

    def begin(self) -> Outbox:
        """As after a restart: nothing is known but what is on the disk."""
        self.outbox = Outbox(self.config, self.events.append, lambda: self.now)
        return self.outbox

    def write(self, name: str, content: bytes) -> None:
        """The file, as a commit leaves it, without telling the outbox: a crash came between the two."""
        aside = self.data / f".{name}.part"
        aside.write_bytes(content)
        aside.replace(self.data / name)

    def keep(self, name: str, content: bytes) -> None:
        self.write(name, content)
        sha = hashlib.sha256(content).hexdigest()
        self.outbox.add(Stored(name, str(self.data / name), len(content), True, False, sha), Origin())

    def queued(self) -> set[str]:
        return set(os.listdir(self.entries)) if self.entries.exists() else set()

    def told(self) -> list[tuple[str, str]]:
        return [(event.level, event.text) for event in self.events]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return self_signed(tmp_path_factory.mktemp("certificate") / "customer.pem")


@pytest.fixture
def customer(tmp_path):
    with Customer(tmp_path / "customer") as running:
        yield running


@pytest.fixture
def site(tmp_path, customer):
    return Site(tmp_path, customer.port)


def test_what_is_kept_gets_there_over_one_connection(site, customer):
    content = {A: b"ABKNAME001=Anna\n", B: b"", C: os.urandom(200_000)}
    site.outbox.step()
    customer.said.clear()
    for name, data in content.items():
        site.keep(name, data)
    assert site.queued() == set(content)
    assert site.outbox.counts() == {"queued": 3}
    assert site.outbox.step() == LONGEST
    assert customer.files(FOLDER) == content
    assert site.queued() == set()
    assert site.outbox.counts() == {"queued": 0}
    assert customer.count("USER") == customer.count("QUIT") == 1
    assert customer.count("STOR") == customer.count("RNTO") == 3
    assert site.events == []


def test_the_newest_content_wins_and_goes_once(site, customer):
    site.outbox.step()
    for number in range(5):
        site.keep(A, b"%d" % number)
    site.outbox.step()
    assert customer.files(FOLDER) == {A: b"4"}
    assert customer.count("STOR") == 1


def test_a_change_during_the_upload_goes_too(site, customer):
    """The later content comes while the earlier one is on its way."""
    site.outbox.step()
    site.keep(A, b"one")
    customer.meanwhile["RNFR"] = lambda: site.keep(A, b"two")
    site.outbox.step()
    assert customer.files(FOLDER) == {A: b"two"}
    assert (customer.count("STOR"), site.queued()) == (2, set())


def test_off_is_quiet(tmp_path, customer):
    site = Site(tmp_path, customer.port)
    site.set(custom_ftp=False)
    outbox = site.begin()
    outbox.start()
    site.keep(A, b"one")
    assert outbox.step() == LONGEST
    outbox.close()
    assert (site.queued(), site.events, customer.said) == (set(), [], [])
    assert outbox.counts() == {"queued": 0}
    assert not site.entries.exists()


def test_switched_on_it_sends_what_is_there(tmp_path, customer):
    site = Site(tmp_path, customer.port)
    site.set(custom_ftp=False)
    outbox = site.begin()
    site.keep(A, b"one")
    site.set(custom_ftp=True)
    outbox.configure(site.config)
    outbox.step()
    assert customer.files(FOLDER) == {A: b"one"}


def test_the_queue_survives_a_restart(site, customer):
    site.outbox.step()
    site.keep(A, b"one")
    site.keep(B, b"two")
    site.begin().step()
    assert customer.files(FOLDER) == {A: b"one", B: b"two"}


def test_a_restart_sends_only_what_is_not_there(site, customer):
    site.keep(A, b"one")
    site.keep(B, b"two")
    site.outbox.step()
    site.write(B, b"three")  # and the crash came before the outbox heard of it
    customer.said.clear()
    site.begin().step()
    assert customer.files(FOLDER) == {A: b"one", B: b"three"}
    assert customer.count("STOR") == 1
    customer.said.clear()
    site.begin().step()
    assert customer.said == []


def test_back_to_an_earlier_content_after_a_lost_line(site, customer):
    """The record still says that the first content is there, the end of the second upload was lost."""
    site.keep(A, b"one")
    site.outbox.step()
    site.keep(A, b"two")
    site.outbox.step()
    record = site.home.var / "queue" / "customftp.sent"
    lines = record.read_text().splitlines()
    record.write_text("".join(f"{line}\n" for line in lines[:-1]))
    site.write(A, b"one")
    site.begin().step()
    assert customer.files(FOLDER) == {A: b"one"}


@pytest.mark.parametrize("damage", [b"", b"\0\xff\n", b"# elsewhere\n0 ../../x\n", None])
def test_a_damaged_record_costs_only_repeats(site, customer, damage):
    site.keep(A, b"one")
    site.outbox.step()
    record = site.home.var / "queue" / "customftp.sent"
    record.unlink() if damage is None else record.write_bytes(damage)
    customer.said.clear()
    site.begin().step()
    assert customer.count("STOR") == 1
    assert customer.files(FOLDER) == {A: b"one"}


def test_another_destination_gets_everything(site, customer, tmp_path):
    site.keep(A, b"one")
    site.keep(B, b"two")
    site.outbox.step()
    with Customer(tmp_path / "other") as other:
        site.set(custom_ftp_port=other.port, custom_ftp_dir="/in")
        site.outbox.configure(site.config)
        site.outbox.step()
        assert other.files("in") == {A: b"one", B: b"two"}


def test_only_user_data_leaves_the_house(site, customer):
    """What else lies in the folder, and what somebody put into the queue, stays."""
    site.write(A, b"one")
    for name in ("46xxsettings.txt", "backup_allow_IP.txt", ".hidden_4620data.txt"):
        (site.data / name).write_bytes(b"no")
    (site.data / "secret").write_bytes(b"no")
    (site.data / B).symlink_to(site.data / "secret")
    (site.data / C).mkdir()
    site.entries.mkdir(parents=True)
    (site.entries / "x.txt").touch()
    site.outbox.step()
    assert customer.files(FOLDER) == {A: b"one"}
    assert site.events == []


def test_a_removal_is_not_passed_on(site, customer):
    site.keep(A, b"one")
    site.outbox.step()
    (site.data / A).unlink()
    site.outbox.add(Stored(A, str(site.data / A), 0, False, False, "", removed=True), Origin())
    site.outbox.step()
    assert customer.files(FOLDER) == {A: b"one"}


def test_a_file_that_is_gone_leaves_the_queue(site, customer):
    site.outbox.step()
    site.keep(A, b"one")
    site.keep(B, b"two")
    (site.data / A).unlink()
    site.outbox.step()
    assert customer.files(FOLDER) == {B: b"two"}
    assert site.queued() == set()


def test_a_refused_file_holds_up_nobody(site, customer):
    site.outbox.step()
    customer.refused[A] = "553 Requested action not taken; file name not allowed."
    for name in (A, B, C):
        site.keep(name, name.encode())
    wait = site.outbox.step()
    assert set(customer.files(FOLDER)) == {B, C}
    assert site.queued() == {A}
    [(level, text)] = site.told()
    assert (level, A in text, "553" in text) == ("warning", True, True)
    assert 0 < wait <= LONGEST
    customer.said.clear()
    site.outbox.step()
    assert customer.said == []  # not before its time
    for _ in range(3):
        site.now += LONGEST
        site.outbox.step()
    assert len(site.told()) == 1  # said once
    customer.refused.clear()
    site.now += LONGEST
    site.outbox.step()
    assert set(customer.files(FOLDER)) == {A, B, C}
    assert [level for level, _ in site.told()] == ["warning", "info"]


def test_new_content_of_a_refused_file_is_tried_at_once(site, customer):
    customer.refused[A] = "550 no"
    site.keep(A, b"one")
    site.outbox.step()
    customer.refused.clear()
    site.keep(A, b"two")
    site.outbox.step()
    assert customer.files(FOLDER) == {A: b"two"}


def test_a_server_that_refuses_everything_is_left_alone(site, customer):
    names = [f"{number}_4620data.txt" for number in range(3000, 3000 + 3 * REFUSALS)]
    for name in names:
        customer.refused[name] = "552 quota"
        site.keep(name, b"x")
    assert site.outbox.step() > 1
    assert customer.count("STOR") == REFUSALS
    assert len(site.told()) == 1
    customer.refused.clear()
    for _ in range(3):
        site.now += LONGEST
        site.outbox.step()
    assert set(customer.files(FOLDER)) == set(names)


def test_no_room_there_costs_no_copy(site, customer):
    """A server that is full would empty its copy if the file came under its own name."""
    site.keep(A, b"one")
    site.outbox.step()
    customer.refused[A] = "452 no space"
    customer.said.clear()
    site.keep(A, b"two")
    site.outbox.step()
    assert [line for line in customer.said if line.startswith("STOR")] == [f"STOR {A}.part"]
    assert customer.files(FOLDER) == {A: b"one"}


@pytest.mark.parametrize("rights", [ALL.replace("f", ""), ALL.replace("f", "").replace("d", "")])
def test_a_server_that_forbids_renaming_gets_the_files_plainly(tmp_path, rights):
    with Customer(tmp_path / "customer", rights) as customer:
        site = Site(tmp_path, customer.port)
        for name in (A, B, C):
            site.keep(name, name.encode())
        site.outbox.step()
        assert {A, B, C} <= set(customer.files(FOLDER))
        litter = set(customer.files(FOLDER)) - {A, B, C}
        assert litter == (set() if "d" in rights else {f"{A}.part"})
        assert customer.count("STOR") == 4  # it was asked to rename once
        assert (site.queued(), site.events) == (set(), [])


def test_a_folder_that_cannot_be_made_is_a_failure(tmp_path):
    with Customer(tmp_path / "customer", ALL.replace("m", "")) as customer:
        site = Site(tmp_path, customer.port)
        site.keep(A, b"one")
        assert 0 < site.outbox.step() <= LONGEST
        [(level, text)] = site.told()
        assert (level, "550" in text) == ("warning", True)


def test_the_folder_may_be_the_one_after_login(tmp_path, customer):
    site = Site(tmp_path, customer.port, custom_ftp_dir="")
    site.keep(A, b"one")
    site.outbox.step()
    assert customer.files() == {A: b"one"}


def test_a_server_that_is_away_is_asked_ever_less_and_told_twice(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as place:
        port = place.getsockname()[1]
    site = Site(tmp_path, port)
    site.keep(A, b"one")
    pauses = []
    for _ in range(12):
        pauses.append(site.outbox.step())
        assert site.outbox.step() == pauses[-1]  # nothing before its time
        site.now += pauses[-1]
    assert all(0 < one <= LONGEST for one in pauses)
    assert pauses[0] <= 5 and pauses[-1] >= LONGEST / 2
    with Customer(tmp_path / "customer", port=port) as customer:
        site.outbox.step()
        assert customer.files(FOLDER) == {A: b"one"}
    (first, said), (last, _) = site.told()
    assert (first, last) == ("warning", "info")
    assert "1 wait" in said


def test_a_clock_that_is_set_back_stops_nothing(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as place:
        port = place.getsockname()[1]
    site = Site(tmp_path, port)
    site.keep(A, b"one")
    site.outbox.step()
    site.now -= 86400
    with Customer(tmp_path / "customer", port=port) as customer:
        site.outbox.step()
        assert customer.files(FOLDER) == {A: b"one"}


def test_a_reload_tries_at_once(tmp_path, customer):
    site = Site(tmp_path, 1)
    site.keep(A, b"one")
    site.outbox.step()
    site.outbox.configure(site.config)
    site.outbox.step()
    site.set(custom_ftp_port=customer.port)
    site.outbox.configure(site.config)
    site.outbox.step()
    assert customer.files(FOLDER) == {A: b"one"}
    assert [level for level, _ in site.told()] == [
        "warning",
        "warning",
        "info",
    ]  # each attempt of his is answered


def test_a_wrong_password_is_told_without_it(tmp_path, customer):
    site = Site(tmp_path, customer.port)
    site.set(custom_ftp_pwd="wrong-secret")
    site.begin()
    site.keep(A, b"one")
    site.outbox.step()
    [(_, text)] = site.told()
    assert "530" in text
    assert "wrong-secret" not in text
    assert "wrong-secret" not in repr(Destination.of(site.config))


def test_a_server_that_repeats_the_password_is_not_quoted(tmp_path):
    def echo(listening: socket.socket) -> None:
        peer, _ = listening.accept()
        # Whoever is refused may leave with a reset.
        with suppress(ConnectionError), peer, peer.makefile("rw", newline="\r\n", encoding="latin-1") as talk:
            talk.write("220 \xe9 hello\n")
            talk.flush()
            for line in iter(talk.readline, ""):
                talk.write(
                    "331 go on\r\n" if line.startswith("USER") else f"530 \x07 what? {line.strip()}\r\n"
                )
                talk.flush()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        site = Site(tmp_path, listening.getsockname()[1])
        thread = threading.Thread(target=echo, args=[listening], daemon=True)
        thread.start()
        site.keep(A, b"one")
        site.outbox.step()
    [(_, text)] = site.told()
    assert PASSWORD not in text
    assert text.isprintable()


@pytest.mark.parametrize("bad", ["a\r\nDELE x", "ü"])
def test_words_that_cannot_be_sent_are_a_failure_not_a_fault(tmp_path, customer, bad):
    site = Site(tmp_path, customer.port)
    site.set(custom_ftp_uname=bad)
    site.begin()
    site.keep(A, b"one")
    assert site.outbox.step() > 0
    assert [level for level, _ in site.told()] == ["warning"]


def test_pauses_double_up_to_a_quarter_of_an_hour():
    assert [pause(failures, 1.0) for failures in (1, 2, 3, 100)] == [5, 10, 20, LONGEST]
    assert pause(1, 0.0) == 2.5


def test_the_thread_sends_what_comes_and_ends(site, customer):
    site.outbox.start()
    site.keep(A, b"one")
    until = threading.Event()
    for _ in range(1000):
        if customer.files(FOLDER) == {A: b"one"} and not site.outbox.counts()["queued"]:
            break
        until.wait(0.01)
    site.outbox.close()
    assert customer.files(FOLDER) == {A: b"one"}
    assert "customftp" not in {thread.name for thread in threading.enumerate()}


def test_closing_waits_for_nobody(tmp_path):
    """A server that takes the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        site = Site(tmp_path, silent.getsockname()[1])
        site.keep(A, b"one")
        site.outbox.start()
        peer, _ = silent.accept()
        with peer:
            site.outbox.close()
    assert "customftp" not in {thread.name for thread in threading.enumerate()}
    assert site.queued() == {A}
    assert site.events == []


def test_tls_with_a_certificate_that_is_trusted(tmp_path, certificate):
    with Customer(tmp_path / "customer", certificate=certificate) as customer:
        site = Site(tmp_path, customer.port, custom_ftp_tls=True, peer_ca=certificate)
        for name in (A, B):
            site.keep(name, name.encode())
        site.outbox.step()
        assert site.told() == []
        assert set(customer.files(FOLDER)) == {A, B}
        assert customer.count("PROT") == 1


def test_tls_with_an_unknown_certificate_sends_no_password(tmp_path, certificate):
    with Customer(tmp_path / "customer", certificate=certificate) as customer:
        site = Site(tmp_path, customer.port, custom_ftp_tls=True)
        site.keep(A, b"one")
        site.outbox.step()
        [(_, text)] = site.told()
        assert "not trusted" in text
        assert customer.count("USER") == customer.count("PASS") == 0


def test_tls_is_never_given_up(tmp_path, customer):
    site = Site(tmp_path, customer.port, custom_ftp_tls=True)
    site.keep(A, b"one")
    site.outbox.step()
    assert customer.count("PASS") == 0
    assert customer.files(FOLDER) == {}


def test_without_a_host_the_primary_is_meant(tmp_path):
    site = Site(tmp_path)
    site.set(custom_ftp_host="", primary_ip="192.0.2.7")
    to = Destination.of(site.config)
    assert (to.host, to.place) == ("192.0.2.7", f"192.0.2.7:1/{FOLDER}")
    assert Destination("::1", 21, "/in", "u", "p", False).place == "[::1]:21/in"
    assert customftp.TIMEOUT <= 60
