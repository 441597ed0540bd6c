"""The status server: totals, snapshot, metrics, page, live events, and who may ask what."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import socket
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from mv_iptel import config as configuration
from mv_iptel import ports
from mv_iptel.events import Listening, Notice, Reloaded, Started, Stream
from mv_iptel.home import Home
from mv_iptel.inventory import Inventory
from mv_iptel.journal import Journal
from mv_iptel.library import Library
from mv_iptel.library.answers import Reason
from mv_iptel.status import counters, metrics, page, server, snapshot
from mv_iptel.status.counters import Counters
from mv_iptel.status.server import StatusServer
from mv_iptel.status.snapshot import Controls, Sources
from mv_iptel.status.words import (
    OUTCOMES,
    REASONS,
    STEPS,
    central,
    clock,
    count,
    firmware,
    mac,
    size,
    span,
    userdata,
)
from tests.happened import AGENT, NOON, finished, known, refused

LISTENER = {
    "proto": "http", "address": "0.0.0.0", "port": 81, "state": "up", "error": "", "tls": "", "buffer": 0,
}  # fmt: skip
TRANSFER = {
    "id": 9, "proto": "http", "peer": "192.0.2.17", "mac": "00040d112233", "ext": "4711", "model": "9640",
    "name": "9640.bin", "bytes": 50, "total": 200, "started": NOON,
}  # fmt: skip


class Front:
    """A server as the status sees it."""

    def __init__(self, *listeners, active=()):
        self.rows = listeners or (LISTENER,)
        self.running = list(active)

    def listeners(self):
        return [dict(row) for row in self.rows]

    def active(self):
        return [dict(row) for row in self.running]


FIRMWARE = {"generation": 7, "action": "publish", "release": "96x1-01234567", "arriving": [], "working": None}
ROLLOUT = {
    "release": "96x0-89abcdef", "state": "running", "stage": 1, "stages": 2, "note": "",
    **{**dict.fromkeys(STEPS, 0), "runs": 12, "loops": 1},
}  # fmt: skip


class Site:
    """A status server with everything real behind it, but no phones' servers."""

    def __init__(self, folder, **settings):
        home = Home(folder)
        for place in (home.var, home.http_data, home.tftp_data, home.https_data):
            place.mkdir(parents=True)
        (home.http_data / "46xxsettings.txt").write_text("SET X 1\n")
        plain = configuration.defaults(home)
        changes = {"status_port": 0, "server_name": "Leipzig", "max_clients": 2, **settings}
        self.config = replace(plain, settings=replace(plain.settings, **changes))
        self.counters = Counters(clock=lambda: NOON)
        self.inventory = Inventory(home.database)
        self.journal = Journal(home.log / "log")
        self.stream = Stream(self.counters, self.inventory)
        self.library = Library(self.config, self.stream)
        self.front = Front()
        self.did: list[object] = []
        self.status = StatusServer(
            self.counters,
            Sources(
                config=lambda: self.config, library=self.library, fronts=lambda: [self.front],
                inventory=self.inventory, stream=self.stream, journal=self.journal,
                backups=lambda: {"files": 3, "versions": 7, "bytes": 4096, "queued": 2},
                firmware=lambda: FIRMWARE, rollout=lambda: ROLLOUT,
            ),
            Controls(reload=self.reload, listener=self.switch, refresh=lambda: None, unpin=self.unpin,
                     lift_ban=lambda address: address == "192.0.2.66"),
            publish=self.stream.publish,
        )  # fmt: skip

    async def reload(self):
        self.did.append("reload")
        await self.status.reload(self.config)
        return {"ok": "bad" not in self.did, "findings": []}

    def switch(self, proto, run):
        self.did.append((proto, run))
        return True

    def unpin(self, file):
        self.did.append(file)
        return file.startswith("4711")

    def happen(self, *events):
        for event in events:
            self.stream.publish(event)
        self.stream.drain()
        self.inventory.flush()

    @property
    def port(self):
        return self.status.listeners()[0]["port"]

    @property
    def token(self):
        return self.config.home.token.read_text().strip()

    def run(self, story):
        """Run `story(ask)` against the server; `ask(path, ...)` gives status, headers and body."""

        async def main():
            await self.status.start()
            try:
                async with aiohttp.ClientSession() as session:

                    async def ask(path, method="GET", address="127.0.0.1", **arguments):
                        url = f"http://{address}:{self.port}{path}"
                        async with session.request(method, url, **arguments) as answer:
                            return answer.status, answer.headers, await answer.text()

                    return await story(ask)
            finally:
                await self.status.stop()

        return asyncio.run(main())

    def get(self, path, **arguments):
        async def story(ask):
            return await ask(path, **arguments)

        return self.run(story)


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    yield made
    made.inventory.close()
    made.journal.close()


# totals


def test_totals_count_by_protocol_outcome_and_reason():
    totals = Counters()
    broken = finished(4, outcome="timeout", proto="tftp", listener="tftp:69", resends=3, bytes=10)
    totals.receive([finished(1), finished(2), refused(3), broken])
    assert totals.totals == {
        ("http", "http:81", "ok", ""): [2, 6138, 0],
        ("http", "http:81", "refused", "not-listed"): [1, 0, 0],
        ("tftp", "tftp:69", "timeout", ""): [1, 10, 3],
    }
    assert totals.sums() == {"ok": 2, "refused": 1, "failed": 1}
    assert totals.octets() == 6148


def test_identical_refusals_in_a_row_are_one_and_only_the_last_are_kept():
    totals = Counters()
    totals.receive([refused(1), refused(2), refused(3, name="other"), refused(4)])
    assert [(one.id, one.count) for one in totals.refusals] == [(2, 2), (3, 1), (4, 1)]
    totals.receive([refused(number, name=f"x{number}" * 200) for number in range(5000)])
    assert len(totals.refusals) == counters.RECENT_REFUSALS and len(totals.refusals[0].name) == 200


def test_the_configuration_in_force_is_the_last_good_one():
    totals = Counters()
    totals.receive([Started("0.1", "/h", ("IPTel",), time=NOON)])
    totals.receive([Reloaded("/a.ini", True, 2, ("f",), ("User",))])
    totals.receive([Reloaded("/a.ini", False, 2, ("bad",))])
    assert (totals.generation, totals.findings, totals.reload_refused) == (2, ("bad",), "/a.ini")
    assert totals.legacy == ("IPTel",) and totals.restart == ("User",) and totals.started == NOON
    totals.receive([Reloaded("/a.ini", True, 3)])
    assert totals.reload_refused == "" and totals.findings == ()


def test_the_watchdogs_download_is_seen():
    totals = Counters()
    totals.receive([finished(1, 5, name="mv_watchdog_check.txt", peer="127.0.0.1")])
    assert totals.watchdog_seen == NOON + 5


# status.json

SHAPE = {
    "schema": int,
    "server": {"name", "version", "pid", "started", "uptime_s", "home", "legacy"},
    "config": {"file", "loaded", "generation", "findings"},
    "listeners": [{"proto", "address", "port", "state", "error", "tls"}],
    "slots": {"max", "used", "refused"},
    "transfers": {"active", "now", "octets", "ok", "refused", "failed"},
    "phones": {"known", "seen_15m"},
    "backups": {"files", "versions", "bytes", "queued"},
    "central": {"role", "peer", "last_ok", "lag_s", "queue"},
    "firmware": {"generation", "action", "release", "arriving", "working"},
    "rollout": {"release", "state", "stage", "stages", "note", *STEPS},
    "certs": [{"file", "subject", "not_after"}],
    "disk": {"free", "total"},
    "watchdog": {"last_seen"},
}


def test_status_json_has_schema_1(site):
    site.front = Front(LISTENER, active=[TRANSFER])
    site.happen(known(1), refused(2))
    code, headers, body = site.get("/status.json")
    told = json.loads(body)
    assert code == 200 and headers["Content-Type"].startswith("application/json")
    assert told["backups"] == {"files": 3, "versions": 7, "bytes": 4096, "queued": 2}
    assert set(told) == set(SHAPE)
    for part, shape in SHAPE.items():
        if isinstance(shape, set):
            assert set(told[part]) == shape, part
        elif isinstance(shape, list):
            assert all(set(row) == shape[0] for row in told[part]), part
    assert told["schema"] == 1 and told["server"]["pid"] == os.getpid()
    assert told["server"]["name"] == "Leipzig"
    octets = 3069 + TRANSFER["bytes"]  # what has ended, and what is under way
    sums = {"now": 1, "octets": octets, "ok": 1, "refused": 1, "failed": 0}
    assert told["transfers"] == {"active": [TRANSFER], **sums}
    assert told["phones"]["known"] == 1 and told["slots"]["max"] == 2
    assert [(row["proto"], row["state"]) for row in told["listeners"]] == [("http", "up"), ("status", "up")]


def test_active_transfers_are_limited(site):
    site.front = Front(LISTENER, active=[TRANSFER] * 700)
    told = snapshot.Snapshot(site.counters, site.status.sources).build(NOON)
    assert len(told["transfers"]["active"]) == 500


def test_certificates_are_read_again_when_they_change(site, tmp_path):
    taker = snapshot.Snapshot(site.counters, site.status.sources)
    assert taker.certs() == []
    path = tmp_path / "cert.pem"
    site.config = replace(site.config, https=replace(site.config.https, cert_file=path))
    path.write_bytes(b"no certificate")
    assert taker.certs() == []
    path.write_bytes(pem("files1"))
    first = taker.certs()
    assert (
        first[0]["subject"] == "CN=files1" and first[0]["not_after"] > NOON and first[0] is taker.certs()[0]
    )
    path.write_bytes(pem("files22"))
    assert taker.certs()[0]["subject"] == "CN=files22"


def pem(name):
    import datetime

    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    named = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    start = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
    made = x509.CertificateBuilder(named, named, key.public_key(), 5, start, start.replace(year=2045))
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


# metrics


def families(text):
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_metrics_are_prometheus_text_with_four_labels_only(site):
    site.front = Front(LISTENER, {**LISTENER, "state": "failed", "port": 80}, active=[TRANSFER])
    hostile = 'x"\\\n{}'
    site.happen(known(1, name=hostile, model=hostile), refused(2, name=hostile))
    site.happen(finished(3, proto="tftp", listener="tftp:69", resends=4), Notice("disk", "full", "error"))
    code, headers, body = site.get("/metrics")
    assert code == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4")
    told = families(body)
    assert all(name.startswith("mv_iptel_") for name in told)
    labels = {label for family in told.values() for sample in family.samples for label in sample.labels}
    assert labels <= {"proto", "listener", "outcome", "reason", "le"}

    def value(family, name="", **wanted):
        rows = [one for one in told[family].samples if name in ("", one.name) and one.labels == wanted]
        assert len(rows) == 1, (family, wanted)
        return rows[0].value

    why = {"outcome": "refused", "reason": "not-listed"}
    assert value("mv_iptel_requests", proto="http", listener="http:81", **why) == 1
    assert value("mv_iptel_sent_bytes", proto="http", listener="http:81") == 3069
    assert value("mv_iptel_resends", proto="tftp", listener="tftp:69") == 4
    assert value("mv_iptel_active_transfers", proto="http") == 1
    assert value("mv_iptel_listener_up", proto="http", listener="http:80") == 0
    assert value("mv_iptel_listener_up", proto="http", listener="http:81") == 1
    assert value("mv_iptel_slots_max") == 2 and value("mv_iptel_phones_known") == 2
    assert value("mv_iptel_notices_error") == 1 and value("mv_iptel_journal_lines_lost") == 0
    seconds = "mv_iptel_transfer_seconds"
    assert value(seconds, f"{seconds}_count", proto="http") == 1
    assert value(seconds, f"{seconds}_bucket", proto="http", le="0.005") == 1
    assert value(seconds, f"{seconds}_bucket", proto="http", le="0.001") == 0


def test_metrics_of_user_data(site):
    name = {"name": "4711_4620data.txt", "proto": "ftp", "listener": "ftp:21"}
    site.happen(
        finished(1, op="store", bytes=500, identified="snmp", seconds=0.9, **name),
        finished(2, op="store", bytes=400, identified="snmp", **name),
        finished(3, **{**name, "name": "dir/4711_4620DATA.TXT"}, bytes=400, identified="snmp"),
        refused(4, op="store", reason="no-snmp", **name),
        refused(5, reason="snmp-mismatch", **name),
        finished(6, op="delete", name="4711_96xxdata.txt", bytes=0),
        refused(7, op="store", name="46xxsettings.txt", reason="read-only"),
        finished(8, name="metadata.txt", bytes=7),
    )
    told = families(site.get("/metrics")[2])

    def value(family, **wanted):
        rows = [one.value for one in told[family].samples if one.labels == wanted]
        assert len(rows) == 1, (family, wanted)
        return rows[0]

    ftp, http = {"proto": "ftp", "listener": "ftp:21"}, {"proto": "http", "listener": "http:81"}
    done = {"outcome": "ok", "reason": ""}
    assert value("mv_iptel_stores", **ftp, **done) == 2
    assert value("mv_iptel_stores", **ftp, outcome="refused", reason="no-snmp") == 1
    assert value("mv_iptel_stores", **http, outcome="refused", reason="read-only") == 1
    assert value("mv_iptel_restores", **ftp, **done) == 1
    assert value("mv_iptel_restores", **ftp, outcome="refused", reason="snmp-mismatch") == 1
    assert value("mv_iptel_deletes", **http, **done) == 1
    assert value("mv_iptel_kept_bytes", **ftp) == 900
    assert value("mv_iptel_sent_bytes", **ftp) == 400 and value("mv_iptel_sent_bytes", **http) == 7
    assert value("mv_iptel_challenges", **done) == 3
    assert value("mv_iptel_challenges", outcome="refused", reason="no-snmp") == 1
    assert value("mv_iptel_challenges", outcome="refused", reason="snmp-mismatch") == 1
    assert value("mv_iptel_backup_files") == 3 and value("mv_iptel_backup_queue") == 2
    assert site.counters.userdata_seconds["ftp"][:6] == [0, 2, 0, 0, 0, 1]
    assert sum(site.counters.seconds["http"][:-1]) == 1
    assert site.counters.kept() == {"stored": 2, "restored": 1, "deleted": 1, "refused": 3}


def test_two_servers_in_one_process_have_a_registry_each(tmp_path):
    first, second = Counters(), Counters()
    first.receive([finished(1)])
    one, other = Site(tmp_path / "a"), Site(tmp_path / "b")
    assert b"requests_total{" in metrics.Metrics(first, one.status.snapshot).text()
    assert b"requests_total{" not in metrics.Metrics(second, other.status.snapshot).text()


# the page


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *one) for one in attrs]

    def handle_data(self, data):
        self.text += data


EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def test_the_page_shows_what_happened_and_escapes_it(site):
    site.front = Front(
        {**LISTENER, "error": EVIL, "tls": EVIL},
        active=[{**TRANSFER, "name": EVIL, "model": EVIL, "ext": EVIL}],
    )
    site.config = replace(site.config, settings=replace(site.config.settings, server_name=EVIL))
    site.happen(
        known(1, ext=EVIL, model=EVIL, version=EVIL),
        refused(48213, name=EVIL, detail=EVIL, source=EVIL, ext=EVIL, model=EVIL),
        Notice(EVIL, EVIL, EVIL, source=EVIL),
        Reloaded(EVIL, False, 1, (EVIL,)),
        Started(EVIL, EVIL, (EVIL,)),
    )
    code, _, body = site.get("/")
    tags = Tags(body)
    assert code == 200 and "#48213" in tags.text and "the address is on no line" in tags.text
    assert tags.tags.count("script") == 1 and "img" not in tags.tags
    assert tags.text.count("<script>alert(1)</script>") >= 10
    assert not [one for one in tags.attributes if one[1].startswith("on") or one[1] == "style"]


def test_the_page_needs_nothing_from_elsewhere(site):
    async def story(ask):
        return [await ask(path) for path in ("/", "/page.css", "/page.js")]

    for code, headers, body in site.run(story):
        assert code == 200
        assert not re.search(r"https?://|url\(|@import", body)
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"


STATES = [
    ([LISTENER], {}, (), ("Serving", "good")),
    ([{**LISTENER, "state": "failed"}], {}, (), ("No listener is up", "bad")),
    ([LISTENER, {**LISTENER, "state": "failed"}], {}, (), ("Serving, a listener failed", "bad")),
    ([LISTENER], {}, [("/x", 1, "bad")], ("Serving, something is broken", "bad")),
    ([LISTENER], {"findings": ["f"]}, (), ("Serving, with findings", "warn")),
    ([LISTENER], {"legacy": ["IPTel"]}, (), ("Serving, legacy mode on", "warn")),
    ([{**LISTENER, "proto": "status"}], {}, (), ("No listener is up", "bad")),
]


@pytest.mark.parametrize(("rows", "more", "problems", "state"), STATES)
def test_the_state_in_a_word(rows, more, problems, state):
    status = {
        "listeners": rows,
        "config": {"findings": more.get("findings", [])},
        "server": {"legacy": more.get("legacy", [])},
    }
    assert page.state(status, problems) == state


def test_a_broken_list_turns_the_page_red(site):
    (site.config.http.http_dir / "HTTP_allow_IP.txt").write_text("192.0.2.17\nnonsense\n")
    body = site.get("/")[2]
    assert "Serving, something is broken" in body and "HTTP_allow_IP.txt:2" in body


# who may ask what

HOSTS = [
    ("127.0.0.1:{port}", 200), ("localhost:{port}", 200), ("LOCALHOST", 200), ("[::1]:{port}", 200),
    ("files1.example:{port}", 200), ("Files1.Example.", 200), ("127.0.0.1", 200),
    ("evil.example:{port}", 403), ("127.0.0.1.evil.example", 403), ("203.0.113.9:{port}", 403),
    ("localhost.evil.example", 403), ("", 403), ("127.0.0.1@evil.example", 403),
]  # fmt: skip


@pytest.mark.parametrize(("host", "code"), HOSTS)
def test_only_our_own_names_are_answered(tmp_path, host, code):
    site = Site(tmp_path, status_names=("files1.example",))

    async def story(ask):
        return [
            (await ask(path, headers={"Host": host.format(port=site.port)}))[0]
            for path in ("/", "/status.json", "/metrics", "/healthz")
        ]

    assert site.run(story) == [code] * 4


def test_there_is_no_permission_for_other_sites(site):
    code, headers, _ = site.get("/status.json", headers={"Origin": "https://evil.example"})
    assert code == 200 and not [name for name in headers if name.lower().startswith("access-control")]
    assert site.get("/control/reload", method="OPTIONS")[0] == 405


ELSEWHERE = [("/", 200), ("/status.json", 200), ("/metrics", 200), ("/page.css", 200), ("/healthz", 403),
             ("/why?address=192.0.2.1&name=x", 403), ("/events", 403), ("/slots", 403)]  # fmt: skip


@pytest.mark.parametrize(("path", "code"), ELSEWHERE)
def test_who_asks_from_elsewhere_gets_page_json_and_metrics(site, path, code):
    assert site.get(path, headers={"X-Forwarded-For": "192.0.2.5"})[0] == code


def test_what_is_no_text_breaks_no_page(site):
    """A path of any octets, in a notice or in what arrives."""
    site.happen(Notice("firmware-held", "\udcff.zip", "warning", source="/srv/\udcff"))
    code, _, body = site.get("/")
    assert code == 200 and "\\udcff.zip" in body
    assert site.get("/status.json")[0] == 200


GARBAGE = [
    b"\0\xff garbage\r\n\r\n",
    b"POST /control/seen HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET http://[::1/ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\nContent-Encoding: gzip\r\n\r\nno gzip",
]


def test_garbage_is_no_fault_of_ours(site, caplog):
    """Each would be a fault in the journal, and turn the status red."""

    async def story(ask):
        for data in GARBAGE:
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(data)
            writer.write_eof()
            assert b" 20" not in (await asyncio.wait_for(reader.read(), 10))[:14]
            writer.close()
        return (await ask("/healthz"))[0]

    assert site.run(story) == 200
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING] == []


def test_an_address_of_this_host_that_is_not_loopback_is_elsewhere(tmp_path):
    own = [one for one in own_addresses() if not one.startswith("127.") and ":" not in one]
    if not own:
        pytest.skip("this host has loopback only")
    site = Site(tmp_path, status_bind=own[0])

    async def story(ask):
        token = {"Authorization": f"Bearer {site.token}"}
        return [
            (await ask("/status.json", address=own[0]))[0], (await ask("/healthz", address=own[0]))[0],
            (await ask("/control/reload", "POST", address=own[0], headers=token))[0],
        ]  # fmt: skip

    assert site.run(story) == [200, 403, 403] and site.did == []


def own_addresses():
    import psutil

    rows = [row for rows in psutil.net_if_addrs().values() for row in rows]
    return [row.address for row in rows if row.family == socket.AF_INET]


CONTROLS = [
    ("/control/reload", 200, "reload"),
    ("/control/listeners/http/stop", 200, ("http", False)),
    ("/control/listeners/https/start", 200, ("https", True)),
    ("/control/listeners/smtp/start", 404, None),
    ("/control/listeners/http/burn", 404, None),
    ("/control/bans/192.0.2.66/lift", 200, None),
    ("/control/bans/192.0.2.67/lift", 404, None),
    ("/control/slots/192.0.2.17/free", 404, None),
    ("/control/phones/00040d112233/forget", 200, None),
    ("/control/phones/00040dffffff/forget", 404, None),
    ("/control/refresh", 200, None),
    ("/control/seen", 400, None),
    ("/control/backups/x/unpin", 404, None),
    ("/control/backups/4711_96XXdata.txt/unpin", 200, "4711_96xxdata.txt"),
    ("/control/backups/4712_96xxdata.txt/unpin", 404, "4712_96xxdata.txt"),
    ("/control/backups/..%2f4711_96xxdata.txt/unpin", 404, None),
]


@pytest.mark.parametrize(("path", "code", "did"), CONTROLS)
def test_a_control_call_with_the_token(site, path, code, did):
    site.happen(known(1))
    got, _, body = site.get(path, method="POST", headers={"Authorization": f"Bearer {make_token(site)}"})
    assert got == code and ("ok" in json.loads(body) or "error" in json.loads(body))
    assert site.did == ([did] if did else [])


WRONG = [
    None,
    "",
    "Bearer",
    "Bearer ",
    "Bearer wrong",
    "Basic {token}",
    "Bearer {token}x",
    "Bearer \u00e4",
    "{token}",
]


@pytest.mark.parametrize("given", WRONG)
@pytest.mark.parametrize("path", [path for path, _, _ in CONTROLS])
def test_a_control_call_without_the_token_does_nothing(site, path, given):
    site.happen(known(1))
    token = make_token(site)
    headers = {} if given is None else {"Authorization": given.format(token=token)}
    code, told, _ = site.get(path, method="POST", headers=headers)
    assert code == 401 and told["WWW-Authenticate"] == "Bearer"
    assert site.did == [] and site.inventory.phones()


SEEN = [
    (b'{"phones": [{"address": "192.0.2.44", "model": "1616", "version": "ha1616ua1_3100.bin"}]}', 200, 1),
    (b'{"phones": []}', 200, 0),
    (b'{"phones": [{"address": "192.0.2.44", "model": "../x"}]}', 400, 0),
    (b"[" * 60_000, 400, 0),
    (b"\xff", 400, 0),
    (b'{"phones": [' + b" " * (64 << 10), 413, 0),
]


@pytest.mark.parametrize(("body", "code", "phones"), SEEN, ids=lambda one: str(one)[:20])
def test_what_a_scan_saw(site, body, code, phones):
    token = {"Authorization": f"Bearer {make_token(site)}"}
    got, _, told = site.get("/control/seen", method="POST", headers=token, data=body)
    assert got == code and ("error" in json.loads(told)) == (code != 200)
    assert [one["runs"] for one in site.inventory.phones()] == ["ha1616ua1_3100.bin"] * phones


def make_token(site):
    return server.control_token(site.config.home.token)


def test_an_empty_token_opens_nothing(site):
    site.config.home.token.write_text("")
    assert site.get("/control/reload", method="POST", headers={"Authorization": "Bearer "})[0] == 401


def test_the_token_is_made_once_and_not_for_everybody(tmp_path):
    path = tmp_path / "var" / "control.token"
    token = server.control_token(path)
    assert len(token) >= 40 and server.control_token(path) == token
    assert path.stat().st_mode & 0o007 == 0
    assert server.control_token(tmp_path / "var") == ""


def test_a_slot_is_freed(site):
    site.library.slots.take("192.0.2.17", session=False)

    async def story(ask):
        before = json.loads((await ask("/slots"))[2])
        path = "/control/slots/192.0.2.17/free"
        code = (await ask(path, "POST", headers={"Authorization": f"Bearer {site.token}"}))[0]
        return before, code, json.loads((await ask("/slots"))[2])

    before, code, after = site.run(story)
    assert code == 200 and before["used"] == 1 and before["slots"][0]["address"] == "192.0.2.17"
    assert after["used"] == 0


# health, why, events

HEALTH = [
    ([LISTENER], 200, "ok\n"),
    ([LISTENER, {**LISTENER, "port": 80, "state": "failed"}], 200, "degraded: http:80 failed\n"),
    ([{**LISTENER, "state": "failed"}], 503, "down: no listener is up\n"),
]


@pytest.mark.parametrize(("rows", "code", "text"), HEALTH)
def test_health(site, rows, code, text):
    site.front = Front(*rows)
    assert (site.get("/healthz")[0], site.get("/healthz")[2]) == (code, text)


def test_why_asks_the_library(site):
    code, _, body = site.get("/why?address=192.0.2.17&name=46xxsettings.txt&protocol=http")
    told = json.loads(body)
    assert code == 200 and told["decision"] == "serve" and told["file"].endswith("46xxsettings.txt")
    assert {"step", "result", "source", "line"} == set(told["steps"][0])
    told = json.loads(site.get("/why?address=192.0.2.17&name=46xxsettings.txt&method=PUT")[2])
    assert (told["decision"], told["reason"]) == ("refuse", "read-only")
    told = json.loads(site.get("/why?address=192.0.2.17&name=x&mac=00:04:0d:11:22:33")[2])
    assert "00040d112233" in json.dumps(told["steps"])
    assert site.library.slots.used == 0, "a question takes no slot"


NO_QUESTIONS = [
    "", "address=x&name=y", "address=192.0.2.1", "address=192.0.2.1&name=x&protocol=smtp",
    "address=192.0.2.1&name=x&mac=12", "number=x", "number=-1", "number=99999999999999999999",
]  # fmt: skip


@pytest.mark.parametrize("query", NO_QUESTIONS)
def test_a_question_that_is_none(site, query):
    code, _, body = site.get(f"/why?{query}")
    assert code == 400 and json.loads(body)["error"]


def test_why_resolves_a_number(site):
    site.happen(refused(48213))
    assert json.loads(site.get("/why?number=48213")[2])["detail"] == "192.0.2.17 is on no line"
    assert site.get("/why?number=48214")[0] == 404


async def stream_of(site, path, events):
    """What a watcher of `path` gets of `events`, up to the first that is named `end`."""
    got = []
    site.happen()
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{site.port}{path}") as answer,
    ):
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        await answer.content.readline()
        await asyncio.to_thread(site.happen, *events)
        async for line in answer.content:
            if line.startswith(b"data: "):
                got.append(json.loads(line[6:]))
                if got[-1].get("name") == "end":
                    return got
    return got


WATCHED = [
    ("/events", [1, 2, 3, None, 5]),
    ("/events?phone=192.0.2.17", [1, 2, None, 5]),
    ("/events?phone=00:04:0d:11:22:33", [1, 2, None, 5]),
    ("/events?phone=192.0.2.99", [3, 5]),
]


@pytest.mark.parametrize(("path", "numbers"), WATCHED)
def test_events_are_sent_as_they_happen(site, path, numbers):
    site.happen(known(100, -30))
    last = finished(5, name="end", peer="192.0.2.99" if "99" in path else "192.0.2.17")
    events = [known(1), finished(2, name="x"), finished(3, peer="192.0.2.99", mac="00040d445566"),
              Notice("mac-mismatch", "text", peer="192.0.2.17"), last]  # fmt: skip

    async def story(ask):
        return await stream_of(site, path, events)

    assert [one.get("id") for one in site.run(story)] == numbers


def test_a_watcher_that_does_not_read_loses_events_and_the_server_does_not_wait():
    async def story():
        feed = server._Feed(asyncio.get_running_loop(), lambda event: True)
        for _ in range(3):
            feed.take([finished(number, name="\u2028\r\n") for number in range(1000)])
        await asyncio.sleep(0)
        return (await feed.next(1)).decode()

    text = asyncio.run(story())
    assert text.startswith('event: lost\ndata: {"event": "lost", "count": 1000}\n\n')
    assert text.count("event: finished\ndata: {") == 2000 and "\r" not in text and "\u2028" not in text


def test_watchers_are_limited(site, monkeypatch):
    monkeypatch.setattr(server, "MAX_WATCHERS", 0)
    assert site.get("/events")[0] == 503


def test_a_watcher_that_left_is_forgotten_and_is_no_fault(site, caplog):
    async def story(ask):
        await stream_of(site, "/events", [finished(1, name="end")])
        while site.status._streams:  # the next event meets a closed connection
            site.happen(finished(2))
            await asyncio.wait(list(site.status._streams), timeout=0.01)
        return len(site.status._streams), site.counters._watchers

    assert site.run(story) == (0, ())
    assert caplog.records == []


# the port


def test_a_taken_port_fails_alone_and_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(ports, "RETRY", 0.01)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        site = Site(tmp_path, status_port=holder.getsockname()[1])

        async def story():
            heard = listening(site)
            await site.status.start()
            first = site.status.listeners()[0]
            holder.close()
            states = [(await heard.get()).state for _ in range(2)]
            second = site.status.listeners()[0]
            await site.status.stop()
            return first, second, states

        first, second, states = asyncio.run(story())
    assert first["state"] == "failed"
    assert "is taken by" in first["error"] and f"process {os.getpid()}" in first["error"]
    assert (second["state"], second["error"]) == ("up", "")
    assert states == ["failed", "up"]


def listening(site):
    """The status server's own events, as they happen."""
    heard: asyncio.Queue[Listening] = asyncio.Queue()
    site.status.publish = heard.put_nowait
    return heard


def test_a_switched_off_status_server_has_no_port(tmp_path):
    site = Site(tmp_path, run_status=False)
    asyncio.run(site.status.start())
    assert site.status.listeners() == [] and not site.config.home.token.exists()


def test_a_reload_over_its_own_port_moves_the_port(site):
    with socket.socket() as spare:
        spare.bind(("127.0.0.1", 0))
        port = spare.getsockname()[1]

    async def story(ask):
        before, heard = site.port, listening(site)
        site.config = replace(site.config, settings=replace(site.config.settings, status_port=port))
        code = (await ask("/control/reload", "POST", headers={"Authorization": f"Bearer {site.token}"}))[0]
        assert (await heard.get()).port == port
        return before, code, (await ask("/healthz"))[0]

    before, code, then = site.run(story)
    assert (code, then) == (200, 200) and before != port


def test_a_reload_that_changes_nothing_disturbs_no_watcher(site):
    async def story(ask):
        port = site.port
        await site.status.reload(site.config)
        return port == site.port and (await ask("/healthz"))[0]

    assert site.run(story) == 200


def test_a_refused_reload_is_a_conflict(site):
    site.did.append("bad")
    token = {"Authorization": f"Bearer {make_token(site)}"}
    code, _, body = site.get("/control/reload", method="POST", headers=token)
    assert code == 409 and json.loads(body)["ok"] is False


# words


def test_every_reason_has_its_words():
    assert set(REASONS) == {reason.value for reason in Reason}
    assert set(OUTCOMES) == {"ok", "refused", "aborted", "timeout", "failed"}


WORDS = [
    (size, 0, "0 B"), (size, 812, "812 B"), (size, 1024, "1 KiB"), (size, 15150, "14.8 KiB"),
    (size, 5 << 20, "5 MiB"), (size, (1 << 20) - 1, "1 MiB"), (size, 200 << 30, "200 GiB"),
    (size, 3 << 50, "3072 TiB"), (span, 0, "0 s"), (span, 119.9, "119 s"), (span, 120, "2 min"),
    (span, 7200, "2 h"), (span, 12000, "3 h 20 min"),
    (span, 4 * 86400 + 7200, "4 d 2 h"), (span, 729 * 86400 + 7200, "729 d"), (span, -5, "0 s"),
    (mac, "00040d112233", "00:04:0d:11:22:33"), (mac, "", ""), (count, 1234567, "1\u202f234\u202f567"),
]  # fmt: skip


@pytest.mark.parametrize(("form", "value", "text"), WORDS)
def test_figures_as_people_read_them(form, value, text):
    assert form(value) == text


def test_times_of_other_days_have_their_date():
    assert clock(0, NOON) == "never" and len(clock(NOON, NOON)) == 8 and len(clock(NOON - 90_000, NOON)) == 16


@given(st.text(max_size=80))
def test_a_host_header_has_one_host(header):
    host = server._host_of(header)
    assert host == host.lower() and not host.endswith(".") and not host.startswith("[")


def test_the_agent_of_these_tests_is_what_the_library_reads():
    from mv_iptel.library.identity import of_agent

    assert (of_agent(AGENT).model, of_agent(AGENT).mac) == ("9640", "00040d112233")


def test_the_documentation_explains_every_reason():
    text = (Path(__file__).parent.parent / "docs" / "status.md").read_text("utf-8")
    told = re.findall(r"`([a-z-]+)`", "".join(re.findall(r"^\|(.*?)\|", text, re.MULTILINE)))
    assert {reason.value for reason in Reason} <= set(told)


def test_user_data_in_a_sentence():
    kept = {"files": 1, "versions": 12, "bytes": 4096, "queued": 0}
    assert userdata(kept, {}) == "1 file and 12 earlier versions, 4 KiB"
    done = {"stored": 3, "restored": 0, "refused": 1}
    assert userdata({**kept, "queued": 2}, done) == (
        "1 file and 12 earlier versions, 4 KiB; since the start 3 stored, 1 refused; "
        "2 wait for the customer's FTP server"
    )


def test_firmware_and_other_servers_in_a_sentence(site):
    page = site.get("/")[2]
    for told in ("generation 7, last publish of 96x1-01234567", "stage 1 of 2: 12 run it, 1 loop"):
        assert told in firmware(FIRMWARE, ROLLOUT) and told in page
    assert "mv_iptel_rollout_phones_runs 12.0" in site.get("/metrics")[2]
    assert firmware({}, {}) == "" == central({"role": None}, NOON)
    working = {"working": {"archive": "a.zip", "what": "unpacking", "done": 5, "total": 20}}
    assert firmware(working, {}) == "unpacking a.zip, 25 %"
    branches = [{"name": "oslo", "last_seen": NOON - 5}, {"name": "bergen", "last_seen": None}]
    centre = {"role": "server", "branches": branches}
    assert central(centre, NOON) == "central server for 2 branches; not heard of for an hour: bergen"
    branch = {"role": "branch", "peer": "c.example:6093", "last_ok": NOON - 3, "queue": 2, "error": ""}
    assert (
        central(branch, NOON)
        == "asks c.example:6093, which answered 3 s ago; 2 files of users wait to go there"
    )


def test_the_documentation_names_what_there_is(site):
    text = (Path(__file__).parent.parent / "docs" / "status.md").read_text("utf-8")
    site.happen(finished(1, proto="tftp", listener="tftp:69"))
    site.config = replace(
        site.config, https=replace(site.config.https, cert_file=site.config.home.root / "c.pem")
    )
    (site.config.home.root / "c.pem").write_bytes(pem("files1"))
    told = site.get("/metrics")[2]
    for name in re.findall(r"`(mv_iptel_\w+)", text):
        assert f"# TYPE {name} " in told, name
    for path in re.findall(r"^\| `(/[\w.]*)`", text, re.MULTILINE):
        assert path in ("/events", "/why") or site.get(path)[0] == 200, path
