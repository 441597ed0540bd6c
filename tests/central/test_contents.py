"""Contents: the parts that Range asks for, each octet right, as fast as the limit says, until quiet hours."""

from __future__ import annotations

import hashlib
import http.client
import random
import threading
import time

import pytest

from mv_iptel.central import contents as module
from mv_iptel.central.contents import span_of
from tests.central.branch import until
from tests.central.office import Branch, Office

DATA = random.Random(5).randbytes(700_001)
EMPTY = hashlib.sha256(b"").hexdigest()


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    with Office(tmp_path_factory.mktemp("office")) as office:
        yield office


@pytest.fixture(scope="module")
def branch(office):
    return Branch(office, "Oslo")


@pytest.fixture(scope="module")
def sha256(office):
    return office.publish(1, DATA, b"")[0]


@pytest.mark.parametrize(("header", "span"), [
    ("bytes=0-", (0, 100)), ("bytes=10-19", (10, 20)), ("bytes=90-200", (90, 100)), ("bytes=-10", (90, 100)),
    ("bytes=-200", (0, 100)), ("bytes=99-99", (99, 100)), ("bytes=100-", None), ("bytes=-0", None),
    ("bytes=5-4", (0, 100)), ("bytes=0-1,3-4", (0, 100)), ("octets=1-2", (0, 100)), ("bytes=x", (0, 100)),
    ("bytes=-", (0, 100)), ("bytes=1-" + "9" * 30, (0, 100)), (" bytes=1-2 ", (1, 3)),
    ("bytes=²-3", (0, 100)),
])  # fmt: skip
def test_one_range(header, span):
    assert span_of(header, 100) == span


def test_of_nothing():
    assert span_of("bytes=0-", 0) is None is span_of("bytes=-5", 0)


def test_the_whole(branch, sha256):
    got = branch.ask("GET", f"/v1/content/{sha256}")
    assert (got.status, got.body) == (200, DATA)
    assert got.headers["etag"] == f'"{sha256}"' and got.headers["content-length"] == str(len(DATA))
    head = branch.ask("HEAD", f"/v1/content/{sha256}")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(DATA)))
    assert branch.ask("GET", f"/v1/content/{EMPTY}").body == b""


@pytest.mark.parametrize(("ranged", "begin", "end"), [
    ("bytes=0-0", 0, 1), ("bytes=420000-", 420000, 700_001), ("bytes=-1", 700_000, 700_001),
    ("bytes=131071-131073", 131071, 131074), ("bytes=0-", 0, 700_001),
])  # fmt: skip
def test_a_part(branch, sha256, ranged, begin, end):
    got = branch.ask("GET", f"/v1/content/{sha256}", Range=ranged)
    assert got.status == 206 and got.body == DATA[begin:end]
    assert got.headers["content-range"] == f"bytes {begin}-{end - 1}/{len(DATA)}"


def test_a_part_of_another_content_is_the_whole(branch, sha256):
    path = f"/v1/content/{sha256}"
    assert branch.ask("GET", path, Range="bytes=5-", If_Range='"other"').status == 200
    assert branch.ask("GET", path, Range="bytes=5-", If_Range=f'"{sha256}"').status == 206
    assert branch.ask("GET", path, If_None_Match=f'"{sha256}"').status == 304


def test_nothing_within(branch, sha256):
    got = branch.ask("GET", f"/v1/content/{sha256}", Range="bytes=700001-")
    assert got.status == 416 and got.headers["content-range"] == "bytes */700001"


def test_what_is_not_there(branch, office, tmp_path):
    assert branch.ask("GET", "/v1/content/" + "0" * 64).json["error"] == "no-file"
    for name in ("0" * 63, "A" * 64, "..%2f..%2frelease.json", "x"):
        assert branch.ask("GET", f"/v1/content/{name}").status in (400, 404)
    link = office.server.releases.content("1" * 64)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(office.home.ca_key)
    assert branch.ask("GET", "/v1/content/" + "1" * 64).status == 404, "a link is nobody's content"


def test_the_limit_is_kept_by_all_together(branch, sha256, office):
    """Two at once share it; and it is given up as soon as the configuration says so."""
    office.reload(backup_servers={"bandwidth_limit": 1_000_000})
    begun, got = time.monotonic(), []
    threads = [
        threading.Thread(target=lambda: got.append(branch.ask("GET", f"/v1/content/{sha256}").body))
        for _ in range(2)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert got == [DATA, DATA] and time.monotonic() - begun > 1.2, "1.4 s but for a burst and a piece"
    office.reload(backup_servers={"bandwidth_limit": 0})
    assert branch.ask("GET", f"/v1/content/{sha256}").body == DATA


def test_quiet_hours(branch, sha256, office):
    office.reload(backup_servers={"quiet_hours": "00:00-12:00,12:00-00:00"})
    got = branch.ask("GET", f"/v1/content/{sha256}")
    assert (got.status, got.json["error"]) == (503, "quiet") and 0 < int(got.headers["retry-after"]) <= 86400
    assert branch.ask("GET", "/v1/manifest").status == 200, "only contents wait"
    office.reload(backup_servers={"quiet_hours": ""})
    assert branch.ask("GET", f"/v1/content/{sha256}").status == 200


def test_a_transfer_ends_when_quiet_hours_begin(branch, sha256, office):
    office.reload(backup_servers={"bandwidth_limit": 400_000})
    cut = []

    def fetch():
        try:
            branch.ask("GET", f"/v1/content/{sha256}")
        except Exception as error:
            cut.append(type(error).__name__)

    thread = threading.Thread(target=fetch)
    thread.start()
    while not office.server.contents.running():
        pass
    office.reload(backup_servers={"quiet_hours": "00:00-12:00,12:00-00:00"})
    thread.join()
    office.reload(backup_servers={"quiet_hours": "", "bandwidth_limit": 0})
    assert cut == ["IncompleteRead"], "and nobody takes half a content for a whole one"


def test_too_many_at_once(branch, sha256, office):
    running = office.server.contents._running
    running["Oslo"] = module.AT_ONCE
    got = branch.ask("GET", f"/v1/content/{sha256}")
    del running["Oslo"]
    assert (got.status, got.json["error"]) == (429, "busy") and got.headers["retry-after"]


def test_who_is_revoked_gets_no_more(office, sha256, monkeypatch):
    """Not in the middle of a content, and not at the end of an answer that was held back."""
    gone = Branch(office, "Gone")
    monkeypatch.setattr(office.server.contents.bucket, "rate", 200_000)
    got = []

    def fetch():
        try:
            got.append(gone.ask("GET", f"/v1/content/{sha256}").body)
        except (http.client.IncompleteRead, OSError):
            got.append(None)

    def wait(path):
        got.append(gone.ask("GET", path).status)

    threads = [threading.Thread(target=fetch)]
    threads += [threading.Thread(target=wait, args=[path]) for path in ("/v1/orders?wait=50",)]
    for thread in threads:
        thread.start()
    until(lambda: office.server.contents.sent and office.server.guard.running["Gone"] == 2)
    office.server.branches.revoke("Gone")
    for thread in threads:
        thread.join(20)
    assert sorted(got, key=str) == [401, None]
