"""Decisions about user data: who may store and fetch what, by each policy, with a real SNMP agent."""

from __future__ import annotations

import queue
import threading
from dataclasses import replace

import pytest

from mv_iptel.config import defaults
from mv_iptel.config.values import Policy
from mv_iptel.events import Finished, Notice, Stream
from mv_iptel.home import Home
from mv_iptel.library import Client, Library, Reason, Refuse, Request, Serve
from mv_iptel.library.answers import Challenge, Keep, Login, Phone
from mv_iptel.library.backups import OPEN_EACH
from mv_iptel.userdata.store import Stored
from mv_iptel.userdata.tries import EACH, WITHIN
from tests.clients.snmpd import COMMUNITY, Agent, free_udp

PORT = free_udp()
TLS = Login("192.0.2.1", "secret", "tls")


@pytest.fixture(scope="module", autouse=True)
def agents(program):
    """A 4621SW and a 4625SW at one extension, a 96x0, a set where nobody is logged in, and a 96x1."""
    program("snmpd")
    phones = [
        Agent("127.0.0.41", PORT, "1234", "4621SW"),
        Agent("127.0.0.42", PORT, "1234", "4625SW"),
        Agent("127.0.0.43", PORT, "20017", "9640", family="96x0"),
        Agent("127.0.0.44", PORT, "", "4610SW"),
        Agent("127.0.0.45", PORT, None, "9611G", family="96x1"),
        Agent("127.0.0.46", PORT, "../../x", "4621SW"),
    ]
    for phone in phones:
        phone.__enter__()
    yield
    for phone in phones:
        phone.__exit__()


class Site:
    """A library over an empty home; `ask` waits for the verdict as a front end does."""

    def __init__(self, root):
        self.home = Home(root)
        config = defaults(self.home)
        self.config = replace(
            config,
            snmp=replace(config.snmp, community=COMMUNITY, snmp_port=PORT, snmp_timeout=0.2, snmp_retries=1),
            ftp=replace(config.ftp, ftp_time_out=1.0),
        )
        for folder in (self.config.http.http_dir, self.config.http.backup_dir, self.home.lists):
            folder.mkdir(parents=True, exist_ok=True)
        self.events = []
        self.now = 1000.0
        self.stream = Stream(self)
        self.library = Library(self.config, self.stream, lambda: self.now)

    def receive(self, batch):
        self.events += batch

    def change(self, **parts):
        changed = {part: replace(getattr(self.config, part), **keys) for part, keys in parts.items()}
        self.config = replace(self.config, **changed)
        self.library.reload(self.config)

    def session(self, address, proto="ftp"):
        session = self.library.admit(Client(address, 1024, proto, f"{proto}:1"))
        assert not isinstance(session, Refuse)
        return session

    def ask(self, address, name, proto="ftp", session=None, **more):
        """The verdict, and whether somebody was asked for it."""
        answer = (session or self.session(address, proto)).ask(Request(name, **more))
        if not isinstance(answer, Challenge):
            return answer
        told = queue.Queue()
        answer.start(told.put)
        return told.get(timeout=10)

    def store(self, address, name, data, proto="ftp", **more):
        verdict = self.ask(address, name, proto, write=True, **more)
        if not isinstance(verdict, Keep):
            return verdict
        assert verdict.draft.write(data) is None
        told = queue.Queue()
        verdict.draft.commit(told.put)
        return told.get(timeout=10)

    def kept(self):
        folder = self.config.http.backup_dir
        return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def site(tmp_path):
    one = Site(tmp_path)
    yield one
    one.library.close()


def data(verdict):
    assert isinstance(verdict, Serve), verdict
    with verdict.body as body:
        return body.data


def test_what_one_set_stored_another_of_its_class_fetches_at_the_same_extension(site):
    done = site.store("127.0.0.41", b"/1234_4620data.txt", b"ABK=1\n")
    assert isinstance(done, Stored) and done.created
    assert site.kept() == {"1234_4620data.txt": b"ABK=1\n"}
    assert data(site.ask("127.0.0.42", b"any/where/1234_4620data.txt")) == b"ABK=1\n"
    assert data(site.ask("127.0.0.42", b"1234_4620data.txt", "http")) == b"ABK=1\n"
    # Sets of release 2.0 name no extension; the answered one decides.
    assert data(site.ask("127.0.0.42", b"4620data.txt")) == b"ABK=1\n"
    assert not site.store("127.0.0.42", b"4620data.txt", b"ABK=2\n").created
    assert site.kept() == {"1234_4620data.txt": b"ABK=2\n"}
    assert site.library.identity.recent("127.0.0.41").ext == "1234"


REFUSED = [
    # address, name, what it is about
    ("127.0.0.41", b"4711_4620data.txt", Reason.SNMP_MISMATCH),  # another extension
    ("127.0.0.41", b"1234_4610data.txt", Reason.SNMP_MISMATCH),  # another class
    ("127.0.0.41", b"1234_96xxdata.txt", Reason.SNMP_MISMATCH),
    ("127.0.0.44", b"1234_4610data.txt", Reason.NO_SNMP),  # nobody is logged in
    ("127.0.0.46", b"1234_4620data.txt", Reason.NO_SNMP),  # a hostile answer
    ("127.0.0.49", b"1234_4620data.txt", Reason.NO_SNMP),  # nobody there
    ("127.0.0.41", b"new.txt", Reason.READ_ONLY),
    ("127.0.0.41", b"../1234_4620data.txt", Reason.BAD_NAME),
    ("127.0.0.41", b"archive/1234_4620data.txt", Reason.NOT_ALLOWED),
    ("127.0.0.41", b"1234_9610data.txt", Reason.READ_ONLY),
]


@pytest.mark.parametrize(("address", "name", "reason"), REFUSED)
@pytest.mark.parametrize("proto", ["ftp", "http"])
def test_what_is_not_kept(site, address, name, reason, proto):
    verdict = site.ask(address, name, proto, write=True)
    assert isinstance(verdict, Refuse) and verdict.reason is reason, verdict
    assert verdict.detail and COMMUNITY not in verdict.detail
    assert site.kept() == {}
    if reason is Reason.NO_SNMP:  # the settings are what is wrong only where nothing answered
        silent = address == "127.0.0.49"
        assert ("SET SNMPADD" in verdict.detail) is ("SET SNMPSTRING" in verdict.detail) is silent
        assert silent or {"127.0.0.44": "login", "127.0.0.46": "No phone"}[address] in verdict.detail


def test_nothing_is_given_without_the_challenge_either(site):
    (site.config.http.backup_dir / "1234_4620data.txt").write_bytes(b"secret")
    for address, name, reason in REFUSED[:6]:
        verdict = site.ask(address, name.replace(b"4711", b"1234"), "ftp")
        assert isinstance(verdict, Refuse if name != REFUSED[0][1] else Serve), (address, name, reason)
    assert site.ask("127.0.0.41", b"46xxsettings.txt").reason is Reason.NOT_ALLOWED
    assert site.ask("127.0.0.41", b"1234_4620data.txt", "tftp").reason is Reason.NOT_ALLOWED
    assert site.ask("127.0.0.41", b"1234_4620data.txt", "tftp", write=True).reason is Reason.READ_ONLY


def test_a_wrong_community(site):
    site.change(snmp={"community": "other"})
    assert site.ask("127.0.0.41", b"1234_4620data.txt", write=True).reason is Reason.NO_SNMP


def test_a_proof_holds_for_a_while_in_its_session(site):
    (site.config.http.backup_dir / "1234_4620data.txt").write_bytes(b"x")
    session = site.session("127.0.0.41")
    request = Request(b"1234_4620data.txt")
    assert isinstance(session.ask(request), Challenge)
    assert data(site.ask("", request.name, session=session)) == b"x"
    assert data(session.ask(request)) == b"x"
    assert session.ask(Request(b"4711_4620data.txt")).reason is Reason.SNMP_MISMATCH
    assert isinstance(site.session("127.0.0.41").ask(request), Challenge)
    site.now += 61
    assert isinstance(session.ask(request), Challenge)


def test_a_set_without_a_known_object_is_believed_about_the_name(site):
    done = site.store("127.0.0.45", b"777_96xxdata.txt", b"a=1\n", "http")
    assert isinstance(done, Stored)
    assert site.store("127.0.0.45", b"96xxdata.txt", b"a=1\n", "ftp").reason is Reason.NO_SNMP


def test_what_the_address_showed_before_counts(site):
    agent = "Mozilla/4.0 (compatible; MSIE 6.0) AVAYA/9640-3.1 (MAC:001122334455)"
    site.session("127.0.0.41", "http").ask(Request(b"46xxsettings.txt", agent=agent))
    verdict = site.ask("127.0.0.41", b"1234_4620data.txt", write=True)
    assert verdict.reason is Reason.SNMP_MISMATCH and "9640" in verdict.detail
    site.change(snmp={"snmp_match": False})
    assert isinstance(site.ask("127.0.0.41", b"1234_4620data.txt", write=True), Keep)


def test_an_address_that_is_given_to_another_phone(site):
    """What the first one answered by SNMP does not bind the second."""
    site.library.identity.tell("127.0.0.43", Phone("", "1234", "4621SW", "", "snmp"))
    assert isinstance(site.ask("127.0.0.43", b"20017_96xxdata.txt", "http", write=True), Keep)
    assert isinstance(site.ask("127.0.0.43", b"20017_96xxdata.txt", "http", write=True), Keep)


def test_without_snmp_only_names_with_an_extension(site):
    site.change(snmp={"use_snmp": False})
    assert isinstance(site.store("127.0.0.49", b"1234_4620data.txt", b"x"), Stored)
    assert site.ask("127.0.0.49", b"4620data.txt", write=True).reason is Reason.NOT_ALLOWED
    assert site.ask("127.0.0.49", b"1234_4620data.txt", "http", write=True).reason is Reason.NO_SNMP
    site.change(http={"backup_auth": "none"})
    assert isinstance(site.store("127.0.0.49", b"1_96xxdata.txt", b"x", "http"), Stored)


def test_pins(site):
    site.change(http={"backup_auth": "pin"})
    name = b"1_96xxdata.txt"
    assert site.ask("10.0.0.1", name, "https", write=True).reason is Reason.PIN_MISMATCH
    for channel in ("plain", "null"):
        login = TLS._replace(channel=channel)
        assert site.ask("10.0.0.1", name, "https", write=True, login=login).reason is Reason.PIN_MISMATCH
    (site.config.http.backup_dir / "2_96xxdata.txt").write_bytes(b"of an old tree")
    verdict = site.ask("10.0.0.1", b"2_96xxdata.txt", "https", login=TLS)
    assert verdict.reason is Reason.PIN_MISMATCH  # who asks first owns nothing
    # A store that is given up pins nothing.
    site.ask("10.0.0.1", name, "https", write=True, login=TLS).draft.abort()
    assert not site.library.backups.pins.known("1_96xxdata.txt")
    assert isinstance(site.store("10.0.0.1", name, b"x", "https", login=TLS), Stored)
    assert data(site.ask("10.0.0.2", name, "https", login=TLS)) == b"x"
    wrong = TLS._replace(password="Qd8#x")
    for more in ({}, {"write": True}, {"write": True, "delete": True}):
        verdict = site.ask("10.0.0.2", name, "https", login=wrong, **more)
        assert verdict.reason is Reason.PIN_MISMATCH and "unpin" in verdict.detail
        assert "Qd8#x" not in verdict.detail
    assert site.library.backups.pins.release("1_96xxdata.txt")
    assert isinstance(site.store("10.0.0.2", name, b"y", "https", login=wrong), Stored)


def test_two_first_backups_at_once_with_different_passwords(site):
    site.change(http={"backup_auth": "pin"})
    name = b"1_96xxdata.txt"
    first = site.ask("10.0.0.1", name, "https", write=True, login=TLS)
    second = site.ask("10.0.0.2", name, "https", write=True, login=TLS._replace(password="Qd8#x"))
    told = queue.Queue()
    for verdict in (first, second):
        verdict.draft.write(b"of one")
        verdict.draft.commit(told.put)
    one, other = told.get(timeout=10), told.get(timeout=10)
    assert isinstance(one, Stored) and other.reason is Reason.PIN_MISMATCH
    assert list(site.kept()) == ["1_96xxdata.txt"]


def test_passwords(site, tmp_path):
    file = tmp_path / "passwords.txt"
    file.write_text("# users\n1:secret\n")
    site.change(http={"backup_auth": "basic", "backup_passwords": file})
    name = b"1_96xxdata.txt"
    assert site.ask("10.0.0.1", name, "http", write=True).reason is Reason.NEED_LOGIN
    login = Login("1", "secret", "plain")
    assert isinstance(site.store("10.0.0.1", name, b"x", "http", login=login), Stored)
    for bad in (Login("1", "other", "tls"), Login("2", "secret", "tls")):
        assert site.ask("10.0.0.1", name, "http", login=bad).reason is Reason.BAD_LOGIN
    assert site.ask("10.0.0.1", b"2_96xxdata.txt", "http", login=login).reason is Reason.BAD_LOGIN
    assert site.ask("10.0.0.1", name, "http", login=Login("1", "secret", "null")).reason is Reason.NEED_LOGIN


@pytest.mark.parametrize("policy", ["basic", "pin"])
def test_who_guesses_is_refused_without_a_computation(site, tmp_path, policy):
    file = tmp_path / "passwords.txt"
    file.write_text("1:secret\n2:secret\n")
    site.change(http={"backup_auth": policy, "backup_passwords": file})
    name, proto, good = b"1_96xxdata.txt", "https", Login("1", "secret", "tls")
    reason = Reason.BAD_LOGIN if policy == "basic" else Reason.PIN_MISMATCH
    site.store("10.0.0.1", name, b"x", proto, login=good)

    def guess():
        return site.ask("10.0.0.1", name, proto, login=good._replace(password="Qd8#x"))

    for _ in range(EACH - 1):
        assert guess().reason is reason
    assert data(site.ask("10.0.0.1", name, proto, login=good)) == b"x"  # that were slips
    for _ in range(EACH):
        assert "too many" not in guess().detail
    for login in (good, good._replace(password="Qd8#x")):
        verdict = site.session("10.0.0.1", proto).ask(Request(name, login=login))  # at once: no Challenge
        assert verdict.reason is reason and "too many wrong passwords" in verdict.detail
        assert "Qd8#x" not in verdict.detail
    told = site.library.why(Client("10.0.0.1", 0, proto, ""), Request(name, login=good))
    assert told["reason"] == reason
    assert data(site.ask("10.0.0.2", name, proto, login=good)) == b"x"
    site.store("10.0.0.1", b"2_96xxdata.txt", b"y", proto, login=good._replace(user="2"))
    assert data(site.ask("10.0.0.1", b"2_96xxdata.txt", proto, login=good._replace(user="2"))) == b"y"
    site.now += WITHIN
    assert data(site.ask("10.0.0.1", name, proto, login=good)) == b"x"
    site.stream.drain()
    notices = [event for event in site.events if isinstance(event, Notice) and event.kind == "guessing"]
    assert [one.peer for one in notices] == ["10.0.0.1"]


def test_many_guesses_at_once_are_not_more(site):
    site.change(http={"backup_auth": "pin"})
    name = b"1_96xxdata.txt"
    site.store("10.0.0.1", name, b"x", "https", login=TLS)
    request = Request(name, login=TLS._replace(password="Qd8#x"))
    answers = [site.session("10.0.0.1", "https").ask(request) for _ in range(2 * EACH)]
    told = queue.Queue()
    for answer in answers:
        answer.start(told.put)
    details = [told.get(timeout=30).detail for _ in answers]
    computed = [text for text in details if "another password" in text]
    assert EACH <= len(computed) <= EACH + 1  # two are computed at once


def test_a_login_of_somebody_else_is_no_guess(site, tmp_path):
    file = tmp_path / "passwords.txt"
    file.write_text("1:secret\n")
    site.change(http={"backup_auth": "basic", "backup_passwords": file})
    for _ in range(2 * EACH):
        verdict = site.ask("10.0.0.1", b"1_96xxdata.txt", "http", login=Login("2", "secret", "tls"))
        assert "is of '2'" in verdict.detail


def test_another_policy_for_a_network(site):
    from ipaddress import ip_network

    site.change(http={"backup_per_net": (Policy(ip_network("10.8.0.0/16"), "none"),)})
    assert isinstance(site.store("10.8.1.1", b"1_96xxdata.txt", b"x", "http"), Stored)
    assert isinstance(site.session("10.9.1.1", "http").ask(Request(b"1_96xxdata.txt")), Challenge)


def test_lists(site):
    folder = site.config.http.backup_dir
    (folder / "1234_4620data.txt").write_bytes(b"x")
    (folder / "allow_IP.txt").write_text("10.0.0.1\n")  # lists of downloads do not count here,
    (site.config.http.http_dir / "HTTP_allow_IP.txt").write_text("10.0.0.1\n")
    assert data(site.ask("127.0.0.41", b"1234_4620data.txt")) == b"x"
    assert data(site.ask("127.0.0.41", b"1234_4620data.txt", "http")) == b"x"
    (folder / "FTP_allow_IP.txt").write_text("127.0.0.42\n")  # this one does, for fetching over FTP,
    assert site.ask("127.0.0.41", b"1234_4620data.txt").reason is Reason.NOT_LISTED
    assert data(site.ask("127.0.0.42", b"1234_4620data.txt")) == b"x"
    assert isinstance(site.store("127.0.0.41", b"1234_4620data.txt", b"y"), Stored)
    (folder / "backup_allow_IP.txt").write_text("127.0.0.42\n")  # and this for everything
    verdict = site.ask("127.0.0.41", b"1234_4620data.txt", "http", write=True)
    assert verdict.reason is Reason.NOT_LISTED and verdict.line == 1
    (folder / "backup_allow_IP.txt").unlink()
    assert isinstance(site.store("127.0.0.41", b"1234_4620data.txt", b"z"), Stored)


def test_deleting(site):
    assert (
        site.ask("127.0.0.43", b"20017_96xxdata.txt", "http", write=True, delete=True).reason
        is Reason.NO_FILE
    )
    site.store("127.0.0.43", b"20017_96xxdata.txt", b"x", "http")
    assert (
        site.ask("127.0.0.43", b"20017_96xxdata.txt", "ftp", write=True, delete=True).reason
        is Reason.READ_ONLY
    )
    done = site.store("127.0.0.43", b"20017_96xxdata.txt", b"", "http", delete=True)
    assert isinstance(done, Stored) and done.removed and site.kept() == {}


def test_a_9610_reads_what_the_administrator_wrote(site):
    (site.config.http.http_dir / "9610data.txt").write_bytes(b"common")
    assert data(site.ask("10.0.0.1", b"9610data.txt", "http")) == b"common"
    (site.config.http.backup_dir / "9610data.txt").write_bytes(b"nearer")
    assert data(site.ask("10.0.0.1", b"9610data.txt", "http")) == b"nearer"
    assert site.ask("10.0.0.1", b"7_9610data.txt", "http").reason is Reason.NO_FILE
    assert site.ask("10.0.0.1", b"9610data.txt", "ftp").reason is Reason.NOT_ALLOWED


def test_slots(site):
    site.change(settings={"max_clients": 1})
    assert isinstance(site.store("127.0.0.41", b"1234_4620data.txt", b"x"), Stored)
    assert site.ask("127.0.0.42", b"1234_4620data.txt").reason is Reason.NO_SLOT
    site.library.slots.free("127.0.0.41")
    # The last slot may go while the phone is being asked.
    answer = site.session("127.0.0.42").ask(Request(b"1234_4620data.txt"))
    site.library.slots.take("127.0.0.41")
    told = queue.Queue()
    answer.start(told.put)
    assert told.get(timeout=10).reason is Reason.NO_SLOT


def test_a_challenge_that_nobody_waits_for(site):
    answer = site.session("127.0.0.49").ask(Request(b"1234_4620data.txt", write=True))
    told = queue.Queue()
    cancel = answer.start(told.put)
    cancel()
    cancel()
    assert not site.library.backups._open
    assert told.empty()


def test_one_address_does_not_keep_the_others_from_being_asked(site):
    """Nobody answers there, and it asks again and again over as many connections as it likes."""
    told, cancels = queue.Queue(), []
    for _ in range(OPEN_EACH + 1):
        answer = site.session("127.0.0.49").ask(Request(b"1234_4620data.txt", write=True))
        cancels.append(answer.start(told.put))
    verdict = told.get_nowait()
    assert verdict.reason is Reason.BUSY and "127.0.0.49" in verdict.detail
    assert isinstance(site.store("127.0.0.41", b"1234_4620data.txt", b"x"), Stored)
    for cancel in cancels:
        cancel()
    assert not site.library.backups._open


def test_a_password_that_nobody_waits_for_is_not_computed(site, monkeypatch):
    site.change(http={"backup_auth": "pin"})
    backups, free, seen = site.library.backups, threading.Event(), []
    monkeypatch.setattr(backups, "_password", lambda asked: seen.append(asked.client.port) or free.wait(10))
    request, told = Request(b"1_96xxdata.txt", write=True, login=TLS), queue.Queue()
    answers = [site.library.admit(Client("10.0.0.1", port, "https", "")).ask(request) for port in range(6)]
    cancels = [answer.start(told.put) for answer in answers]
    for cancel in cancels:
        cancel()
    free.set()
    backups._pool.shutdown(wait=True)
    assert len(seen) <= 2 and backups._computing == 0  # two were under way
    assert told.empty()


def test_why_asks_nobody_and_keeps_nothing(site):
    client = Client("127.0.0.41", 0, "ftp", "ftp:21")
    told = site.library.why(client, Request(b"1234_4620data.txt", write=True))
    assert told["decision"] == "challenge" and any("SNMP" in step["result"] for step in told["steps"])
    site.change(snmp={"use_snmp": False})
    told = site.library.why(client, Request(b"1234_4620data.txt", write=True))
    assert told["decision"] == "store" and site.kept() == {}
    assert site.library.why(client, Request(b"1234_4620data.txt"))["reason"] == "no-file"
    site.stream.drain()
    assert not [event for event in site.events if isinstance(event, Finished)]


def test_a_restore_that_is_not_here_is_fetched_while_the_phone_waits(site):
    """Asked for only after the phone has shown whose data it is, and served from here then."""
    asked = []

    def elsewhere(kept, done):
        asked.append(kept.file)
        if kept.ext == "1234":
            (site.config.http.backup_dir / kept.file).write_bytes(b"ABK=9\n")
            done("")
        else:
            threading.Thread(target=done, args=["the central server has none either"]).start()
        return lambda: None

    site.library.backups.elsewhere = elsewhere
    refused = site.ask("127.0.0.41", b"4711_4620data.txt")
    assert (refused.reason, asked) == (Reason.SNMP_MISMATCH, [])
    served = site.ask("127.0.0.41", b"1234_4620data.txt")
    assert data(served) == b"ABK=9\n" and "central" in served.detail
    assert data(site.ask("127.0.0.41", b"1234_4620data.txt")) == b"ABK=9\n"
    assert asked == ["1234_4620data.txt"]
    site.change(snmp={"use_snmp": False})  # nobody has to be asked: the fetch is all that is waited for
    refused = site.ask("127.0.0.41", b"20017_96xxdata.txt")
    assert refused.reason is Reason.NO_FILE and "none either" in refused.detail
    assert asked == ["1234_4620data.txt", "20017_96xxdata.txt"]
    assert not site.library.backups._open


def test_a_phone_that_leaves_during_the_fetch_costs_nothing(site):
    waiting, cancelled = queue.Queue(), []

    def elsewhere(kept, done):
        waiting.put(done)
        return lambda: cancelled.append(kept.file)

    site.library.backups.elsewhere = elsewhere
    told = queue.Queue()
    answer = site.session("127.0.0.41").ask(Request(b"1234_4620data.txt"))
    cancel = answer.start(told.put)
    done = waiting.get(timeout=10)
    cancel()
    assert cancelled == ["1234_4620data.txt"]
    assert not site.library.backups._open
    (site.config.http.backup_dir / "1234_4620data.txt").write_bytes(b"late")
    done("")
    assert told.empty()
    assert site.library.why(Client("127.0.0.41", 1, "ftp", "ftp:1"), Request(b"2_4620data.txt")) is not None
    assert waiting.empty()  # `why` asks nobody
