"""The decisions as tables: client and name in, answer out, in the order of DESIGN section 5."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mv_iptel.config import defaults
from mv_iptel.events import Finished, Notice, Stream
from mv_iptel.home import CHECK_FILE, Home
from mv_iptel.library import Client, Library, Reason, Refuse, Request, Serve
from mv_iptel.library.contents import Body


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Site:
    """A home with a few files, a library over it and the events that it published."""

    def __init__(self, root, **settings_):
        self.home = Home(root)
        config = defaults(self.home)
        self.config = replace(config, settings=replace(config.settings, **settings_))
        self.folders = {
            "tftp": config.tftp.tftp_dir,
            "http": config.http.http_dir,
            "https": config.https.https_dir,
            "ftp": config.ftp.ftp_dir,
        }
        for folder in (*self.folders.values(), self.home.lists):
            folder.mkdir(parents=True, exist_ok=True)
        for proto in ("tftp", "http"):
            (self.folders[proto] / "46xxsettings.txt").write_text(proto)
            (self.folders[proto] / "SEP001122AABBCC.cnf.xml").write_text("x")
        self.clock = Clock()
        self.events = []
        self.stream = Stream(self)
        self.library = Library(self.config, self.stream, self.clock)

    def receive(self, batch):
        self.events += batch

    def ask(self, address, name, proto="http", **more):
        session = self.library.admit(Client(address, 1024, proto, f"{proto}:1"))
        if isinstance(session, Refuse):
            return session
        with session:
            return session.ask(Request(name, **more))

    def told(self, kind):
        self.stream.drain()
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def data(answer):
    assert isinstance(answer, Serve), answer
    return answer.body.data


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (b"../bin/MV_IPTel.ini", Reason.BAD_NAME),
        (b"a\x00", Reason.BAD_NAME),
        (b"", Reason.BAD_NAME),
        (b".htaccess", Reason.NOT_ALLOWED),
        (b"allow_IP.txt", Reason.NOT_ALLOWED),
        (b"nothing.txt", Reason.NO_FILE),
        (b"4610data.txt", Reason.NOT_ALLOWED),
    ],
)
@pytest.mark.parametrize("proto", ["tftp", "http", "https"])
def test_what_is_refused_by_its_name(site, name, reason, proto):
    answer = site.ask("10.0.0.1", name, proto)
    assert isinstance(answer, Refuse) and answer.reason is reason
    assert answer.detail


@pytest.mark.parametrize("proto", ["tftp", "http", "https"])
def test_phones_write_nothing_but_user_data(site, proto):
    assert site.ask("10.0.0.1", b"new.txt", proto, write=True).reason is Reason.READ_ONLY
    assert site.ask("10.0.0.1", b"46xxsettings.txt", proto, write=True).reason is Reason.READ_ONLY


def test_https_looks_in_its_own_directory_first_and_never_the_other_way(site):
    assert data(site.ask("10.0.0.1", b"46xxsettings.txt", "https")) == b"http"
    (site.folders["https"] / "46xxsettings.txt").write_text("https")
    assert data(site.ask("10.0.0.1", b"46xxsettings.txt", "https")) == b"https"
    (site.folders["https"] / "only.txt").write_text("https")
    assert site.ask("10.0.0.1", b"only.txt", "http").reason is Reason.NO_FILE
    site.library.reload(replace(site.config, https=replace(site.config.https, https_fallback=False)))
    (site.folders["http"] / "plain.txt").write_text("http")
    assert site.ask("10.0.0.1", b"plain.txt", "https").reason is Reason.NO_FILE


def test_a_list_lets_ten_in_and_the_eleventh_gets_the_override(site):
    folder = site.folders["http"]
    (folder / "HTTP_allow_IP.txt").write_text("".join(f"127.0.0.{n}\n" for n in range(11, 21)))
    (folder / "fw.bin").write_text("firmware")
    for last in range(11, 21):
        assert data(site.ask(f"127.0.0.{last}", b"46xxsettings.txt")) == b"http"
    refused = site.ask("127.0.0.21", b"46xxsettings.txt")
    assert refused.reason is Reason.NOT_LISTED
    assert refused.source.endswith("HTTP_allow_IP.txt") and refused.line == 10
    (folder / "fxd_settings.txt").write_text("basic")
    (folder / "fxd_upgrade.scr").write_text("stay")
    answer = site.ask("127.0.0.21", b"/46xxsettings.txt")
    assert data(answer) == b"basic" and "fxd_settings.txt" in answer.detail and not answer.held
    assert data(site.ask("127.0.0.21", b"96xxupgrade.txt")) == b"stay"
    (folder / "fxd_96xxupgrade.txt").write_text("own")
    assert data(site.ask("127.0.0.21", b"96xxupgrade.txt")) == b"own"
    assert site.ask("127.0.0.21", b"fw.bin").reason is Reason.NOT_LISTED
    assert (
        data(site.ask("127.0.0.21", b"46xxsettings.txt", "tftp")) == b"tftp"
    )  # another server, another list
    assert data(site.ask("127.0.0.21", b"46xxsettings.txt", "https")) == b"http"


def test_this_host_is_bound_by_lists_but_takes_no_slot(tmp_path):
    site = Site(tmp_path, max_clients=1, client_session_time=60.0)
    for turn in range(3):
        assert data(site.ask(("127.0.0.1", "::1", "127.0.0.1")[turn], b"46xxsettings.txt")) == b"http"
    assert site.library.slots.used == 0
    (site.folders["http"] / "allow_IP.txt").write_text("10.\n")
    assert site.ask("127.0.0.1", b"46xxsettings.txt").reason is Reason.NOT_LISTED


def test_the_watchdogs_file_is_for_this_host_only_outside_lists_and_slots(tmp_path):
    site = Site(tmp_path, max_clients=1, client_session_time=60.0)
    folder = site.folders["http"]
    (folder / CHECK_FILE).write_text("alive")
    (folder / "allow_IP.txt").write_text("10.0.0.9\n")
    assert data(site.ask("127.0.0.1", CHECK_FILE.encode())) == b"alive"
    assert site.ask("10.0.0.9", CHECK_FILE.encode()).reason is Reason.NOT_ALLOWED
    assert site.ask("127.0.0.2", CHECK_FILE.encode()).reason is Reason.NOT_ALLOWED


def test_slots_are_one_count_over_all_protocols(tmp_path):
    site = Site(tmp_path, max_clients=2, client_session_time=30.0)
    assert data(site.ask("10.0.0.1", b"46xxsettings.txt", "http"))
    assert data(site.ask("10.0.0.2", b"46xxsettings.txt", "https"))
    assert site.ask("10.0.0.3", b"46xxsettings.txt", "tftp").reason is Reason.NO_SLOT
    assert site.ask("10.0.0.3", b"46xxsettings.txt", "http").reason is Reason.NO_SLOT
    assert data(site.ask("10.0.0.1", b"46xxsettings.txt", "tftp"))
    site.clock.now += 31
    assert data(site.ask("10.0.0.3", b"46xxsettings.txt", "http"))


def test_what_is_refused_takes_no_slot(tmp_path):
    site = Site(tmp_path, max_clients=1, client_session_time=30.0)
    for number in range(1, 6):
        assert site.ask(f"10.0.0.{number}", b"nothing.txt").reason is Reason.NO_FILE
    assert site.library.slots.used == 0


def test_tftp_takes_its_slot_at_the_first_ack(tmp_path):
    site = Site(tmp_path, max_clients=1, client_session_time=30.0)
    first = site.library.admit(Client("10.0.0.1", 1, "tftp", "tftp:69"))
    second = site.library.admit(Client("10.0.0.2", 1, "tftp", "tftp:69"))
    answers = [session.ask(Request(b"46xxsettings.txt")) for session in (first, second)]
    assert all(isinstance(answer, Serve) for answer in answers)
    assert first.begin() is None and first.begin() is None
    refuse = second.begin()
    assert refuse.reason is Reason.NO_SLOT
    second.finished(Request(b"46xxsettings.txt"), refuse, "refused", 0, 0.0)
    assert site.told(Finished)[-1].reason == "no-slot" and site.library.slots.refused == 1


def test_a_mac_in_the_name_must_not_be_anothers(site):
    agent = "AVAYA/J179-4.1.3.0.6 (MAC:{})"
    assert data(site.ask("10.0.0.1", b"SEP001122AABBCC.cnf.xml", agent=agent.format("001122aabbcc")))
    refused = site.ask("10.0.0.2", b"SEP001122AABBCC.cnf.xml", agent=agent.format("001122aabbdd"))
    assert refused.reason is Reason.NOT_ALLOWED and "001122aabbdd" in refused.detail
    assert data(site.ask("10.0.0.3", b"SEP001122AABBCC.cnf.xml"))


def test_bans_come_before_everything(site):
    (site.home.lists / "banned.txt").write_text("10.0.0.66\n")
    for _ in range(5):
        assert site.ask("10.0.0.66", b"46xxsettings.txt").reason is Reason.BANNED
    assert len(site.told(Notice)) == 1


def test_one_finished_for_each_request_with_everything_the_operator_wants(site):
    client = Client("10.0.0.1", 2048, "http", "http:81")
    request = Request(b"/46xxsettings.txt", agent="AVAYA/J179-4.1.3.0.6 (MAC:c81fea83e85a)\x14")
    with site.library.admit(client) as session:
        answer = session.ask(request)
        session.finished(request, answer, "ok", 4, 0.25)
        missing = Request(b"/p\xe4th%0a.txt")
        session.finished(missing, session.ask(missing), "refused", 0, 0.0)
    ok, refused = site.told(Finished)
    assert (ok.mac, ok.model, ok.version, ok.identified) == ("c81fea83e85a", "J179", "4.1.3.0.6", "agent")
    assert (ok.file, ok.bytes, ok.outcome, ok.reason) == (answer.body.path, 4, "ok", "")
    assert (refused.outcome, refused.reason, refused.peer, refused.port) == (
        "refused",
        "bad-name",
        "10.0.0.1",
        2048,
    )
    assert refused.id == ok.id + 1
    assert all(event.name.isprintable() and event.agent.isprintable() for event in (ok, refused))


def test_why_tells_the_steps_and_changes_nothing(tmp_path):
    site = Site(tmp_path, max_clients=1, client_session_time=30.0)
    (site.folders["http"] / "HTTP_allow_IP.txt").write_text("# pilots\n10.0.0.1\n")
    told = site.library.why(Client("10.0.0.1", 0, "http", "http:81"), Request(b"46XXsettings.txt"))
    assert told["decision"] == "serve" and told["file"].endswith("46xxsettings.txt")
    assert [step["step"] for step in told["steps"]] == ["name", "list", "slot", "phone", "root", "content"]
    assert told["steps"][1]["line"] == 2
    refused = site.library.why(Client("10.0.0.2", 0, "http", "http:81"), Request(b"46xxsettings.txt"))
    assert (refused["decision"], refused["reason"], refused["line"]) == ("refuse", "not-listed", 2)
    assert refused["source"].endswith("HTTP_allow_IP.txt")
    assert site.library.slots.used == 0 and site.told(Finished) == []
    json.dumps([told, refused])


@given(
    st.binary(max_size=80), st.sampled_from(["tftp", "http", "https"]), st.booleans(), st.text(max_size=40)
)
@settings(max_examples=300, deadline=None)
def test_any_request_ends_in_an_answer_and_why_agrees(name, proto, write, agent):
    site = _any_site()
    request = Request(name, write, agent)
    answer = site.ask("10.0.0.1", name, proto, write=write, agent=agent)
    told = site.library.why(Client("10.0.0.1", 1, proto, "x"), request)
    assert told["decision"] == ("serve" if isinstance(answer, Serve) else "refuse")
    assert told["reason"] == ("" if isinstance(answer, Serve) else answer.reason.value)
    session = site.library.admit(Client("10.0.0.1", 1, proto, "x"))
    session.finished(request, answer, "ok", 0, 0.0)
    event = site.told(Finished)[-1]
    assert event.name.isprintable() and event.agent.isprintable()
    event.name.encode("utf-8")
    site.events.clear()


_sites = []


def _any_site():
    if not _sites:
        import tempfile
        from pathlib import Path

        _sites.append(Site(Path(tempfile.mkdtemp(prefix="mv-iptel-test-"))))
    return _sites[0]


def test_answers_leave_no_descriptor_open(site):
    (site.folders["http"] / "big.bin").write_bytes(bytes(200_000))
    site.ask("10.0.0.1", b"big.bin").body.close()  # stays open for the next one
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        site.ask("10.0.0.1", b"big.bin").body.close()
        site.library.why(Client("10.0.0.1", 0, "http", "x"), Request(b"big.bin"))
    assert len(os.listdir("/proc/self/fd")) == before


def test_one_turn_looks_at_the_disk_once_and_the_next_one_sees_every_edit(site):
    folder = site.folders["http"]
    session = site.library.admit(Client("10.0.0.1", 1, "http", "http:1"))
    request = Request(b"46xxsettings.txt")
    for turn in range(1, 30):
        (folder / "46xxsettings.txt").write_text(f"edit {turn}")
        (folder / "allow_IP.txt").write_text("10.0.0.1\n" if turn % 2 else "10.0.0.2\n")
        first, second = (session.ask(request, turn) for _ in range(2))
        assert isinstance(first, Serve) == isinstance(second, Serve) == bool(turn % 2)
        if turn % 2:
            assert first.body.data == second.body.data == f"edit {turn}".encode()
        assert isinstance(session.ask(request), Serve) == bool(turn % 2)  # no turn: looks anew


class Lending:
    """Gives one address another body, another one a file under another name."""

    def instead(self, address, phone, folder, name, live):
        if address == "10.0.0.1" and name == "46xxsettings.txt":
            return Body.made(b"other", name, "/elsewhere", 1.0), "because of the address"
        if address == "10.0.0.2" and name == "lent.txt":
            return "46xxsettings.txt", "under its real name"
        return None


def test_what_is_served_instead(site):
    site.library.overlay = Lending()
    assert data(site.ask("10.0.0.1", b"46xxsettings.txt")) == b"other"
    assert data(site.ask("10.0.0.1", b"46xxsettings.txt", "https")) == b"other"
    assert data(site.ask("10.0.0.2", b"46xxsettings.txt")) == b"http"
    lent = site.ask("10.0.0.2", b"lent.txt")
    assert data(lent) == b"http" and lent.detail == "under its real name" and lent.name == "lent.txt"
    assert site.ask("10.0.0.3", b"lent.txt").reason is Reason.NO_FILE
    told = site.library.why(Client("10.0.0.1", 1, "http", "http:1"), Request(b"46xxsettings.txt"))
    assert [step["result"] for step in told["steps"] if step["step"] == "rollout"] == [
        "because of the address"
    ]
    # Lists come first: who may not download gets nothing lent either.
    (site.folders["http"] / "HTTP_allow_IP.txt").write_text("10.0.0.2\n")
    assert site.ask("10.0.0.1", b"46xxsettings.txt").reason is Reason.NOT_LISTED
    assert data(site.ask("10.0.0.2", b"lent.txt")) == b"http"


def test_a_big_file_that_is_not_served_is_given_back(site):
    (site.folders["http"] / "46xxsettings.txt").write_bytes(b"x" * 100_000)
    site.library.overlay = Lending()
    for _ in range(20):
        assert data(site.ask("10.0.0.1", b"46xxsettings.txt")) == b"other"
    with site.ask("10.0.0.2", b"46xxsettings.txt").body as body:
        assert body._users == 2, "one of the library's, one of ours"
