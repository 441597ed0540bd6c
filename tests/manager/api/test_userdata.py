"""Users' data as JSON: lists, versions, differences, restoring the state one has seen, copies, passwords."""

from __future__ import annotations

import io
import itertools
import json
import time
import zipfile

import pytest

from manager.facts import exports
from manager.routing import Role
from mv_iptel.library.answers import Refuse
from mv_iptel.userdata import versions
from mv_iptel.userdata.names import parse
from mv_iptel.userdata.policies import Pins
from mv_iptel.userdata.store import Origin, keep
from tests.manager.here import Here, made

START = 1_780_000_000.0
DAY = 86400.0
FILE = "4711_96xxdata.txt"
FIRST = b"ABKNAME001=Anna\nABKNUMBER001=201\nLANGUSER=German\n"
SECOND = b"ABKNAME001=Anna\nABKNUMBER001=202\nHandset AGC=1\n"
PHONE = Origin("192.0.2.17", "00040d112233", "9640G", "https", "snmp")


def store(here, name, data, now, origin=PHONE):
    stored = keep(here.site.config(), parse(name), data, origin, now=lambda: now)
    assert not isinstance(stored, Refuse), stored


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    with Here(made(tmp_path_factory.mktemp("home"))) as running:
        store(running, FILE, FIRST, START)
        store(running, FILE, SECOND, START + DAY)
        store(running, "20001_4620data_sip.txt", b"\x00\x01", START + 2 * DAY, Origin("192.0.2.18"))
        yield running


EXTENSIONS = itertools.count(8000)


@pytest.fixture
def file(here):
    """Another user's data with two contents, for a test that changes it."""
    name = f"{next(EXTENSIONS)}_16xxdata.txt"
    store(here, name, FIRST, START)
    store(here, name, SECOND, START + DAY)
    return name


def trail(here, action):
    return [one for one in here.site.audit.last() if one["action"] == action]


def test_who_has_data(here, operator):
    told = operator.get("/api/v1/userdata").json
    assert [one["file"] for one in told["items"]] == [FILE, "20001_4620data_sip.txt"]
    assert (told["total"], told["kept"], told["extensions"], told["next"]) == (2, 2, 2, None)
    one = told["items"][0]
    assert (one["extension"], one["kind"], one["size"], one["versions"]) == ("4711", "96xx", len(SECOND), 1)
    assert (one["since"], one["changed"], one["mac"]) == (START, START + DAY, "00040d112233")
    first = operator.get("/api/v1/userdata?limit=1&sort=changed&order=down").json
    assert first["items"][0]["extension"] == "20001"
    assert operator.get(first["next"]).json["items"][0]["extension"] == "4711"
    assert operator.get("/api/v1/userdata?sort=secret").status == 400


def test_one_and_its_content(here, operator):
    answer = operator.get(f"/api/v1/userdata/{FILE.upper().replace('.TXT', '.txt')}")
    told = answer.json
    assert told["file"] == FILE and answer.etag == told["etag"] and not told["deleted"]
    assert [one["how"] for one in told["versions"]] == ["snmp", "snmp"] and "path" not in told["versions"][0]
    assert [one["op"] for one in told["changes"]] == ["store", "store"]
    content = operator.get(f"/api/v1/userdata/{FILE}/content").json
    assert content["entries"][0]["value"] == "Anna 202"
    old = told["versions"][1]["id"]
    assert (
        operator.get(f"/api/v1/userdata/{FILE}/content?version={old}").json["entries"][0]["value"]
        == "Anna 201"
    )
    found = operator.get(f"/api/v1/userdata/{FILE}/differences").json
    assert {"what": "changed", "text": "speed dial 1: Anna 201 -> Anna 202"} in found["sentences"]
    raw = operator.get(f"/api/v1/userdata/{FILE}/raw?version={old}")
    assert raw.body == FIRST and "attachment" in raw.headers["Content-Disposition"]
    assert trail(here, "user data copied")[0]["what"] == FILE


def test_a_viewer_sees_whose_but_not_what(here):
    viewer = here.person(Role.VIEWER)
    for path in ("/api/v1/userdata", f"/api/v1/userdata/{FILE}"):
        answer = viewer.get(path)
        assert answer.status == 200 and not any(one in answer.body for one in (b"Anna", b"German"))
    for path in ("content", "raw", "differences"):
        assert viewer.get(f"/api/v1/userdata/{FILE}/{path}").status == 403
    for method, path in (("POST", "restore"), ("DELETE", "password")):
        assert viewer.call(method, f"/api/v1/userdata/{FILE}/{path}").status == 403
    assert viewer.call("POST", "/api/v1/userdata-exports").status == 403


@pytest.mark.parametrize("name", [
    "x", "4799_96xxdata.txt", "..%2F..%2Fbin%2FMV_IPTel.ini", "%2Fetc%2F4711_96xxdata.txt",
    "4711_96xxdata.txt%00", "..%5C4711_96xxdata.txt", "archive",
])  # fmt: skip
def test_other_names_are_not_there(operator, name):
    for path in ("", "/content", "/raw", "/differences"):
        assert operator.get(f"/api/v1/userdata/{name}{path}").status in (400, 404)
    assert operator.call("DELETE", f"/api/v1/userdata/{name}/password").status in (400, 404)


def test_a_restore_names_the_state_it_replaces(here, operator, file):
    told = operator.get(f"/api/v1/userdata/{file}").json
    path, wanted = f"/api/v1/userdata/{file}/restore", {"version": told["versions"][1]["id"]}
    assert operator.call("POST", path, wanted).status == 428
    store(here, file, b"ABKNAME001=Newer\n", START + 3 * DAY)
    refused = operator.call("POST", path, wanted, told["etag"])
    assert refused.status == 412 and refused.json["etag"] == operator.get(f"/api/v1/userdata/{file}").etag
    assert operator.call("POST", path, {"version": "19990101"}, refused.json["etag"]).status == 404
    assert operator.call("POST", path, {}, refused.json["etag"]).status == 422
    done = operator.call("POST", path, wanted, refused.json["etag"])
    assert done.status == 200 and done.etag == done.json["etag"] != told["etag"]
    assert versions.read(here.site.config(), file) == FIRST
    assert done.json["changes"][0]["op"] == "restore" and len(done.json["versions"]) == 4
    (record,) = trail(here, "user data restored")
    assert record["what"] == file and record["before"] and record["after"]
    assert not any(
        one.decode() in json.dumps([record["before"], record["after"]]) for one in (b"Anna", b"German")
    )
    again = operator.call("POST", path, wanted, done.etag)
    assert again.json["same"] and trail(here, "user data restored") == [record]


def test_what_a_phone_deleted_comes_back(here, operator, file):
    (here.site.config().http.backup_dir / file).unlink()
    told = operator.get(f"/api/v1/userdata/{file}").json
    assert told["deleted"] and told["etag"] == "none"
    assert operator.get("/api/v1/userdata?state=deleted").json["items"][0]["size"] is None
    path = f"/api/v1/userdata/{file}/restore"
    assert operator.call("POST", path, {"version": told["versions"][0]["id"]}, "none").status == 200
    assert versions.read(here.site.config(), file) == FIRST


def test_a_quota_refuses_a_restore_in_words(here, operator, file):
    from tests.clients.daemon import set_keys

    store(here, file, b"x" * 5000, START + 3 * DAY)
    store(here, file, b"y", START + 4 * DAY)
    set_keys(here.home.ini, {("Settings", "QuotaPerExtension"): "1024"})
    told = operator.get(f"/api/v1/userdata/{file}").json
    big = next(one["id"] for one in told["versions"] if one["size"] == 5000)
    refused = operator.call("POST", f"/api/v1/userdata/{file}/restore", {"version": big}, told["etag"])
    assert refused.status == 409 and "was not restored" in refused.json["detail"]
    assert versions.read(here.site.config(), file) == b"y"


def test_a_damaged_version_is_told(here, operator, file):
    old = operator.get(f"/api/v1/userdata/{file}").json["versions"][1]["id"]
    path = versions.folder_of(here.site.config(), file) / old
    path.unlink()
    path.mkdir()
    answer = operator.get(f"/api/v1/userdata/{file}/content?version={old}")
    assert answer.status == 500 and "cannot be read" in answer.json["detail"]


def test_a_password_is_forgotten_without_a_server(here, operator, file):
    Pins(here.home.var / "pins", time.time).remember(file, "a password")
    assert operator.get("/api/v1/userdata?state=password").json["total"] == 1
    assert operator.get(f"/api/v1/userdata/{file}").json["password_since"]
    path = f"/api/v1/userdata/{file}/password"
    assert operator.call("DELETE", path).status == 204
    assert operator.call("DELETE", path).status == 404
    assert operator.get("/api/v1/userdata?state=password").json["total"] == 0
    assert trail(here, "password of user data forgotten")[0]["what"] == file


def test_copies(here, operator):
    path = "/api/v1/userdata-exports"
    ended = operator.finish(operator.call("POST", path, {"versions": True}))
    assert ended["result"]["files"] >= 3 and ended["then"].startswith("/userdata/exports/")
    answer = operator.get(ended["result"]["download"])
    assert answer.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert archive.read(FILE) == SECOND and "backups.csv" in archive.namelist()
    one = operator.finish(operator.call("POST", path, {"who": ["4711"]}))
    assert one["result"]["files"] == 1
    assert operator.get(one["then"]).status == 200
    assert (
        "4799"
        in operator.finish(operator.call("POST", path, {"who": ["4799"]}), "failed")["problem"]["detail"]
    )
    assert {one["what"] for one in trail(here, "user data copied")} >= {"all", "4711", "4799"}


@pytest.mark.parametrize("told", [
    {"who": "4711"}, {"who": [7]}, {"who": ["../x"]}, {"who": ["a/4711_96xxdata.txt"]}, {"versions": "yes"},
    {"who": ["1"] * 1001},
])  # fmt: skip
def test_copies_of_nobody(operator, told):
    assert operator.call("POST", "/api/v1/userdata-exports", told).status == 422


@pytest.mark.parametrize("key", ["x", "..%2f..%2fmanager.db", "20260101-000000-" + "a" * 22])
def test_other_files_are_no_copies(operator, key):
    assert operator.get(f"/api/v1/userdata-exports/{key}").status == 404
    assert exports.KEPT <= 3600
