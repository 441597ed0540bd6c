"""Lists, tester, slots and bans over the API: what is refused, what is kept, and two who edit at once."""

from __future__ import annotations

import time

import pytest

from manager.facts import lists
from mv_iptel.inventory.writer import Inventory
from tests.happened import NOON, known

LISTS = "/api/v1/access/lists"


@pytest.fixture(scope="module", autouse=True)
def phones(here):
    """Three phones that were seen a moment ago."""
    inventory = Inventory(here.site.config().settings.database, lambda event: None)
    moment = time.time() - NOON
    inventory.receive([
        known(at + 1, moment, mac=f"00040d00000{at + 1}", peer=peer, agent=f"AVAYA (MAC:00040d00000{at + 1})")
        for at, peer in enumerate(("10.1.0.1", "10.1.0.2", "10.2.0.1"))
    ])  # fmt: skip
    inventory.close()


def place(here, key):
    return lists.place(here.site.config(), key)


def test_a_list_is_made_changed_and_put_back(here, operator):
    got = operator.get(f"{LISTS}/tftp")
    assert got.json["exists"] is False and got.json["text"] == "" and got.etag == "absent"
    assert operator.call("PUT", f"{LISTS}/tftp", {"text": "10.1\n"}).status == 428
    made = operator.call("PUT", f"{LISTS}/tftp", {"text": "10.1 # ours\n"}, got.etag)
    assert made.status == 200 and made.json["entries"] == 1
    assert place(here, "tftp").read_text() == "10.1 # ours\n"
    late = operator.call("PUT", f"{LISTS}/tftp", {"text": "10.9\n"}, got.etag)
    assert late.status == 412 and late.json["etag"] == made.etag
    more = operator.call("PUT", f"{LISTS}/tftp", {"text": "10.1\n10.2\n"}, made.etag)
    first = operator.get(f"{LISTS}/tftp/history").json["items"][-1]
    assert operator.get(f"{LISTS}/tftp/history/{first['id']}").json["text"] == "10.1 # ours\n"
    back = operator.call("POST", f"{LISTS}/tftp/undo", {"copy": first["id"]}, more.etag)
    assert back.etag == made.etag and operator.get(f"{LISTS}/tftp").json["text"] == "10.1 # ours\n"
    assert operator.call("DELETE", f"{LISTS}/tftp", None, more.etag).status == 412
    assert operator.call("DELETE", f"{LISTS}/tftp", None, back.etag).status == 204
    assert not place(here, "tftp").exists()
    done = [one["action"] for one in here.site.audit.last(4)][::-1]
    assert done == ["list saved", "list saved", "list put back", "list removed"]
    assert "+10.2" in here.site.audit.last(3)[-1]["after"] and here.site.audit.last(1)[0]["who"] == "operator"


def test_lines_that_are_wrong_are_refused_unless_they_are_meant(here, operator):
    etag = operator.get(f"{LISTS}/https").etag
    wrong = operator.call("PUT", f"{LISTS}/https", {"text": "10.1\nfoo\n"}, etag)
    assert wrong.status == 422 and "line 2" in wrong.json["detail"] and wrong.json["errors"][0]["line"] == 2
    assert operator.call("PUT", f"{LISTS}/https", {"text": "10.1\nfoo\n", "anyway": True}, etag).status == 200
    told = operator.get(LISTS).json["items"]
    assert next(one for one in told if one["list"] == "https")["problems"][0]["line"] == 2
    assert operator.call("PUT", f"{LISTS}/nothing", {"text": ""}, etag).status == 404
    assert operator.call("PUT", f"{LISTS}/https", {"text": 5}, etag).status == 422
    place(here, "https").unlink()


def test_whom_a_change_touches_is_told_before_it_is_made(here, operator):
    path = place(here, "http")
    path.write_text("10.1.0.0/16\n")
    told = operator.call("POST", f"{LISTS}/http/check", {"text": "10.1.0.9\nfoo\n"}).json
    assert told["shut_out"] == 2 and told["let_in"] == 0 and told["seen"] == 3
    assert sorted(one[0] for one in told["out"]) == ["10.1.0.1", "10.1.0.2"]
    assert told["problems"] == [{"line": 2, "text": told["problems"][0]["text"]}]
    assert path.read_text() == "10.1.0.0/16\n"
    path.unlink()


def test_a_file_that_cannot_be_written_is_told(here, operator):
    path = place(here, "http")
    path.symlink_to("/nowhere/at/all")
    got = operator.get(f"{LISTS}/http")
    answer = operator.call("PUT", f"{LISTS}/http", {"text": "10.1\n"}, got.etag)
    assert answer.status == 409 and "is a link" in answer.json["detail"]
    path.unlink()


def test_the_tester_says_which_line_decides_while_no_server_runs(here, viewer):
    place(here, "http").write_text("# ours\n10.5.0.0/16\n")
    told = viewer.get("/api/v1/access/test?address=10.5.1.1&name=46xxsettings.txt&protocol=http").json
    assert told["running"] is False and told["decision"] == "serve"
    assert (
        told["answer"]["verdict"] == "Yes"
        and told["answer"]["list"] == "http"
        and told["answer"]["line"] == 2
    )
    by_mac = viewer.get(
        "/api/v1/access/test?address=00:04:0d:00:00:01&name=46xxsettings.txt&protocol=http"
    ).json
    assert by_mac["address"] == "10.1.0.1" and by_mac["answer"]["verdict"] == "No"
    assert viewer.get("/api/v1/access/test?address=10.5.1.1").status == 422
    assert viewer.get("/api/v1/access/test?address=nobody&name=x").status == 422
    place(here, "http").unlink()


def test_bans_are_made_and_lifted(here, operator):
    path = place(here, "banned")
    assert (
        operator.call("POST", "/api/v1/access/bans", {"entry": "10.66.0.0/16", "note": "scans"}).status == 201
    )
    assert path.read_text() == "10.66.0.0/16  # scans\n"
    assert operator.call("POST", "/api/v1/access/bans", {"entry": "10.66.0.0/16"}).status == 409
    hit = operator.call("POST", "/api/v1/access/bans", {"entry": "10.1.0.0/24"})
    assert hit.status == 409 and "10.1.0.1" in hit.json["detail"]
    assert (
        operator.call("POST", "/api/v1/access/bans", {"entry": "10.1.0.0/24", "anyway": True}).status == 201
    )
    assert operator.call("POST", "/api/v1/access/bans", {"entry": "127.0.0.1", "anyway": True}).status == 422
    listed = operator.get("/api/v1/access/bans").json
    assert [one["entry"] for one in listed["items"]] == ["10.66.0.0/16", "10.1.0.0/24"] and listed[
        "total"
    ] == 2
    assert operator.call("DELETE", "/api/v1/access/bans/10.66.0.0%2F16").status == 204
    assert operator.call("DELETE", "/api/v1/access/bans/10.66.0.0%2F16").status == 404
    assert path.read_text() == "10.1.0.0/24\n"
    assert [one["action"] for one in here.site.audit.last(2)] == ["ban lifted", "banned"]
    path.unlink()


def test_slots_need_a_server(operator):
    assert operator.get("/api/v1/access/slots").status == 502
    assert operator.call("DELETE", "/api/v1/access/slots/10.1.0.1").status == 502
    assert operator.call("DELETE", "/api/v1/access/slots/x").status == 422
