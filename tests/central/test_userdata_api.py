"""User data over the API: kept with versions on both sides, the newest wins, repeated does no harm."""

from __future__ import annotations

import hashlib
import socket
import threading
import time

import pytest

from mv_iptel.central.userdata_api import BODIES, BODIES_EACH
from mv_iptel.userdata import history, versions
from mv_iptel.userdata.names import parse
from mv_iptel.userdata.store import Origin
from tests.central.branch import until
from tests.central.office import Branch, Office

NOW = time.time()


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    with Office(tmp_path_factory.mktemp("office"), http={"max_backup_bytes": 200_000}) as office:
        yield office


@pytest.fixture(scope="module")
def oslo(office):
    return Branch(office, "Oslo")


@pytest.fixture(scope="module")
def bergen(office):
    return Branch(office, "Bergen")


@pytest.fixture
def file(request):
    """A name of the test's own."""
    return f"{abs(hash(request.node.nodeid)) % 10**9}_96xxdata.txt"


def of(office, file):
    return [versions.read(office.config, file, one.id) for one in versions.of(office.config, file)]


def test_what_comes_late_has_quotas_too(tmp_path):
    """A branch that sends older contents without end fills neither the disk nor the journal."""
    quotas = {"quota_per_extension": 100_000, "keep_versions": 1000}
    with Office(tmp_path, settings=quotas) as office:
        oslo, bergen = Branch(office, "Oslo"), Branch(office, "Bergen")
        file = "4711_96xxdata.txt"
        assert bergen.put(file, b"x" * 50_000, NOW).status == 201
        for at in range(8):
            late = oslo.put(file, bytes([at]) * 20_000, NOW - 100 + at)
            assert late.status == 200 and late.json["current"] is False
        kept = of(office, file)
        assert sum(map(len, kept)) <= 100_000 and b"x" * 50_000 in kept
        assert oslo.put(file, b"y" * 100_001, NOW - 50).json["error"] == "quota"
        assert office.server.library.backups.store.counts()["bytes"] == sum(map(len, kept))
        assert len(office.notices("central-late")) == 1


def test_a_slow_branch_holds_up_no_other(office, oslo, bergen, file, monkeypatch):
    connections = []
    for _ in range(BODIES_EACH + 2):
        sock = socket.create_connection(("127.0.0.1", office.port))
        slow = office.context().wrap_socket(sock, server_hostname="127.0.0.1")
        head = f"PUT /v1/userdata/{file} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {oslo.token}\r\n"
        slow.sendall(f"{head}MV-Sha256: {'0' * 64}\r\nContent-Length: 5\r\n\r\nx".encode())
        connections.append(slow)
    try:
        until(lambda: office.server.guard.running["Oslo"] == BODIES_EACH + 2)
        assert office.server.userdata._bodies._value == BODIES - BODIES_EACH
        assert bergen.put(file, b"quick", NOW).status == 201
    finally:
        for slow in connections:
            slow.close()


def test_there_and_back(oslo, bergen, office, file):
    put = oslo.put(file, b"LANG=en\n", NOW - 9, MV_Mac="00:04:0d:11:22:33", MV_Model="9640G")
    assert put.status == 201 and (office.config.http.backup_dir / file).read_bytes() == b"LANG=en\n"
    sha = hashlib.sha256(b"LANG=en\n").hexdigest()
    etag = put.json["etag"]
    assert put.headers["etag"] == f'"{etag}"'
    assert put.json == {"name": file, "sha256": sha, "size": 8, "etag": etag, "created": True, "same": False,
                        "current": True}  # fmt: skip
    got = bergen.ask("GET", f"/v1/userdata/{file.upper()}")
    assert (got.status, got.body, got.headers["mv-sha256"]) == (200, b"LANG=en\n", sha)
    assert got.headers["etag"] == f'"{etag}"'
    assert float(got.headers["mv-changed"]) == pytest.approx(NOW - 9)
    assert bergen.ask("GET", f"/v1/userdata/{file}", If_None_Match=f'"{etag}"').status == 304
    assert oslo.ask("HEAD", f"/v1/userdata/{file}").headers["content-length"] == "8"
    (one,) = history.changes(versions.folder_of(office.config, file))
    assert (one.how, one.proto, one.mac, one.model) == ("central", "Oslo", "00040d112233", "9640G")


def test_what_is_replaced_is_a_version(oslo, office, file):
    for data in (b"1", b"2", b"3"):
        assert oslo.put(file, data).status in (200, 201)
    assert of(office, file) == [b"3", b"2", b"1"]
    first = versions.of(office.config, file)[2]
    got = oslo.ask("GET", f"/v1/userdata/{file}?version={first.id}")
    assert got.body == b"1" and got.headers["mv-sha256"] == hashlib.sha256(b"1").hexdigest()
    assert oslo.ask("GET", f"/v1/userdata/{file}?version={hashlib.sha256(b'2').hexdigest()}").body == b"2"
    assert oslo.ask("GET", f"/v1/userdata/{file}?version={hashlib.sha256(b'3').hexdigest()[:8]}").body == b"3"
    assert oslo.ask("GET", f"/v1/userdata/{file}?version=deadbeef").status == 404
    assert oslo.ask("GET", f"/v1/userdata/{file}?version=..%2fx").json["error"] == "bad-request"


def test_repeated_it_does_no_harm(oslo, office, file):
    assert not oslo.put(file, b"1").json["same"]
    again = oslo.put(file, b"1")
    assert again.status == 200 and again.json["same"] and of(office, file) == [b"1"]


def test_the_newest_wins_whatever_comes_last(oslo, bergen, office, file):
    assert bergen.put(file, b"new", NOW - 10).json["current"]
    late = oslo.put(file, b"old", NOW - 100)
    assert late.status == 200 and not late.json["current"] and not late.json["same"]
    assert of(office, file) == [b"new", b"old"], "nothing is lost"
    assert oslo.put(file, b"old", NOW - 100).json["same"], "again"
    assert any(file in text for text in office.notices("central-late"))
    assert oslo.put(file, b"newest", NOW - 5).json["current"]
    assert of(office, file)[0] == b"newest"


def test_changes_of_one_branch_count_as_they_come(oslo, office, file):
    """Its clock may have been set back."""
    oslo.put(file, b"1", NOW - 10)
    assert oslo.put(file, b"2", NOW - 100).json["current"] and of(office, file) == [b"2", b"1"]


def test_who_lives_in_the_future_does_not_win_for_ever(oslo, bergen, file):
    assert oslo.put(file, b"1", NOW + 86400).status == 201
    assert bergen.put(file, b"2").json["current"]


def test_a_phone_at_the_centre_counts_too(oslo, office, file):
    draft = office.library.backups.store.draft(parse(file), Origin("192.0.2.9", how="none"))
    draft.write(b"here")
    done = threading.Event()
    draft.commit(lambda outcome: done.set())
    done.wait(10)
    until(lambda: office.server.changes.get(file) is not None)
    assert not oslo.put(file, b"there", NOW - 100).json["current"]
    assert oslo.ask("GET", f"/v1/userdata/{file}").body == b"here"


def test_if_match(oslo, office, file):
    etag = oslo.put(file, b"1").json["etag"]
    assert oslo.put(file, b"2", If_Match='"other"').json["error"] == "changed"
    assert oslo.put(file, b"2", If_Match='"other"').status == 412
    assert oslo.put(file, b"2", If_Match=f'"{etag}"').json["current"]
    assert oslo.put("9" + file, b"2", If_Match="*").status == 412


def test_delete(oslo, bergen, office, file):
    oslo.put(file, b"1", NOW - 50)
    late = bergen.ask("DELETE", f"/v1/userdata/{file}", MV_Changed=str(NOW - 100))
    assert late.json["current"] is False and late.json["removed"] is False
    gone = oslo.ask("DELETE", f"/v1/userdata/{file}", MV_Changed=str(NOW - 40))
    assert gone.status == 200 and gone.json["removed"] and not gone.json["same"]
    assert oslo.ask("GET", f"/v1/userdata/{file}").json["error"] == "no-file"
    again = oslo.ask("DELETE", f"/v1/userdata/{file}")
    assert again.status == 200 and again.json["removed"] and again.json["same"]
    assert of(office, file) == [b"1"], "its versions stay"
    assert not bergen.put(file, b"0", NOW - 100).json["current"], "what is older does not bring it back"
    assert oslo.ask("GET", f"/v1/userdata/{file}").status == 404


def test_what_has_changed(oslo, bergen, file):
    cursor = oslo.ask("GET", "/v1/userdata?limit=5000").json["cursor"]
    told = oslo.ask("GET", f"/v1/userdata?since={cursor}").json
    assert told == {"cursor": cursor, "more": False, "changes": []}
    bergen.put(file, b"1", NOW - 5)
    told = oslo.ask("GET", f"/v1/userdata?since={cursor}").json
    (one,) = told["changes"]
    assert one == {"name": file, "sha256": hashlib.sha256(b"1").hexdigest(), "size": 1, "branch": "Bergen",
                   "changed": pytest.approx(NOW - 5), "removed": False}  # fmt: skip
    oslo.ask("DELETE", f"/v1/userdata/{file}")
    (one,) = oslo.ask("GET", f"/v1/userdata?since={told['cursor']}").json["changes"]
    assert one["removed"] and one["sha256"] == "" and one["branch"] == "Oslo"
    assert oslo.ask("GET", "/v1/userdata?limit=1").json["more"]


def test_waiting_for_a_change(oslo, bergen, file):
    cursor = oslo.ask("GET", "/v1/userdata?limit=5000").json["cursor"]
    got = []
    thread = threading.Thread(
        target=lambda: got.append(oslo.ask("GET", f"/v1/userdata?since={cursor}&wait=50").json)
    )
    thread.start()
    bergen.put(file, b"1")
    thread.join()
    assert [one["name"] for one in got[0]["changes"]] == [file]


def test_damaged_on_the_way(oslo, office, file):
    bad = oslo.ask("PUT", f"/v1/userdata/{file}", b"x", MV_Sha256="0" * 64)
    assert (bad.status, bad.json["error"]) == (400, "hash") and of(office, file) == []


@pytest.mark.parametrize("headers", [
    {}, {"MV_Sha256": "x"}, {"MV_Sha256": "0" * 63}, {"MV_Changed": "soon"}, {"MV_Changed": "nan"},
    {"MV_Changed": "-1"}, {"MV_Changed": "1e99"}, {"MV_Mac": "zz"}, {"MV_Model": "a;b"},
    {"MV_Model": "x" * 99},
])  # fmt: skip
def test_headers_that_are_none(oslo, file, headers):
    sha = {"MV_Sha256": hashlib.sha256(b"x").hexdigest()} if headers else {}
    assert oslo.ask("PUT", f"/v1/userdata/{file}", b"x", **{**sha, **headers}).json["error"] == "bad-request"


@pytest.mark.parametrize("name", [
    "x.txt", "96xxdata.txt", "4711_96xxdata.txt.bak", "..%2f4711_96xxdata.txt", "a%2f4711_96xxdata.txt",
    "4711_96xxdata.txt%00", "4711_99xxdata.txt", "%ff_96xxdata.txt",
])  # fmt: skip
def test_names_that_are_none(oslo, name):
    for answer in (oslo.put(name, b"x"), oslo.ask("GET", f"/v1/userdata/{name}")):
        assert answer.status in (400, 404)


@pytest.mark.parametrize("query", ["limit=0", "limit=9999", "limit=x", "wait=-1", "wait=99", "wait=nan"])
def test_queries_that_are_none(oslo, query):
    assert oslo.ask("GET", f"/v1/userdata?{query}").json["error"] == "bad-request"


def test_too_big(oslo, office, file):
    answer = oslo.put(file, b"x" * 200_001)
    assert (answer.status, answer.json["error"]) == (413, "too-big") and of(office, file) == []
    assert oslo.put(file, b"x" * 200_000).status == 201


def test_no_room(oslo, office, file):
    office.reload(settings={"quota_total": 10})
    answer = oslo.put(file, b"x" * 5000)
    office.reload(settings={"quota_total": 1 << 30})
    assert (answer.status, answer.json["error"]) == (507, "quota")


def test_a_link_is_no_user_data(oslo, office, file):
    (office.config.http.backup_dir / file).symlink_to(office.home.ca_key)
    assert oslo.ask("GET", f"/v1/userdata/{file}").status == 404
    assert oslo.put(file, b"x").status == 500 and b"KEY" in office.home.ca_key.read_bytes()
    (office.config.http.backup_dir / file).unlink()


def test_many_at_once(oslo, bergen, office, file):
    """Two branches store under one name at the same time: every content is kept, the newest is current."""
    contents = [b"%d" % number for number in range(16)]
    threads = [
        threading.Thread(target=(oslo, bergen)[at % 2].put, args=(file, data, NOW - 100 + at))
        for at, data in enumerate(contents)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(of(office, file)) == sorted(contents)
