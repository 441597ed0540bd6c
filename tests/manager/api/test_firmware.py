"""Releases over the API: from a dropped zip to the phones, and back; what is refused, and how it is told."""

from __future__ import annotations

import json

import pytest

from mv_iptel.firmware import generations, intake
from mv_iptel.firmware.releases import Release, Releases
from tests.manager.here import Here, made
from tests.manager.releases import APP, SCRIPT, change, drop, package, taken_in, zipped


@pytest.fixture(scope="module")
def first(here, operator):
    """A release that is published."""
    ident = taken_in(operator, *package(1))
    change(operator, ident, "publish", {"losses": True})
    return ident


def audited(here, action):
    return here.site.store.ask("SELECT * FROM audit WHERE action = ? ORDER BY id", action)


def test_from_the_zip_to_the_phones_and_back(tmp_path):
    with Here(made(tmp_path / "home")) as here:
        operator = here.person(name="op")
        served = here.home.http_data / SCRIPT
        before = served.read_bytes()
        ended = operator.finish(drop(operator, *package(1)))
        ident = ended["result"]["id"]
        assert ended["then"] == f"/firmware/releases/{ident}" and ended["result"]["state"] == "staged"
        assert not (here.home.http_data / APP.format(1)).exists()
        assert list((here.home.var / "incoming").iterdir()) == []
        place = f"/api/v1/firmware/releases/{ident}"
        told = operator.get(place)
        assert [(one["name"], one["role"], one["places"]) for one in told.json["contents"]] == [
            (SCRIPT, "script", ["TFTPdata", "HTTPdata"]),
            (APP.format(1), "software", ["TFTPdata", "HTTPdata"]),
        ]
        assert operator.call("POST", place + "/publish").status == 428
        assert operator.call("POST", place + "/publish", {}, "another").status == 412
        done = change(operator, ident, "publish", {"losses": True})
        assert done["result"]["generation"] == 1 and done["result"]["state"] == "published"
        assert APP.format(1).encode() in served.read_bytes()
        assert operator.call("DELETE", place, {}, told.etag).status == 412  # what was read is no more
        why = change(operator, ident, "remove", state="failed")["problem"]
        assert "is published" in why["detail"] and why["why"]
        change(operator, ident, "rollback")
        assert served.read_bytes() == before and not (here.home.http_data / APP.format(1)).exists()
        change(operator, ident, "remove")
        assert operator.get(place).json["state"] == "removed"
        (row,) = audited(here, "firmware published")
        assert (row["who"], row["what"]) == ("op", ident)
        assert f"HTTPdata/{APP.format(1)} -" in row["before"] and f"{APP.format(1)} " in row["after"]
        assert "generation 1" in row["after"] and audited(here, "firmware taken back")


def test_what_comes_again_is_what_is_there(operator, first):
    assert taken_in(operator, *package(1)) == first
    listed = operator.get("/api/v1/firmware/releases?state=published").json
    assert [one["id"] for one in listed["items"]] == [first] and listed["total"] == 1


def test_the_list_comes_in_parts(operator, first):
    taken_in(operator, *package(7))
    part = operator.get("/api/v1/firmware/releases?limit=1").json
    assert len(part["items"]) == 1 and part["total"] >= 2
    assert operator.get(part["next"]).json["items"] != part["items"]
    assert operator.get("/api/v1/firmware/releases?state=nonsense").status == 400


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("evil.zip", zipped({"../../up.txt": "x"}), "climbs"),
        ("page.zip", b"<html>no zip at all</html>", "refused"),
        ("<b>bold</b>.zip", zipped({"/etc/passwd": "x"}), "refused"),
    ],
)
def test_what_is_refused_says_why_and_leaves_nothing(here, operator, name, data, text):
    ended = operator.finish(drop(operator, name, data), "failed")
    assert ended["problem"]["type"] == "/problems/invalid" and text in ended["problem"]["detail"]
    assert list((here.home.var / "incoming").iterdir()) == []
    assert not (here.home.data / "up.txt").exists() and audited(here, "firmware refused")


@pytest.mark.parametrize(
    ("query", "data", "status"),
    [("?name=", b"x", 400), ("", b"x", 400), ("?name=" + "a" * 300, b"x", 400), ("?name=a.zip", b"", 400)],
)
def test_an_upload_must_have_a_name_and_something_in_it(operator, query, data, status):
    assert operator.upload("POST", f"/api/v1/firmware/releases{query}", data).status == status


@pytest.mark.parametrize("name", ["../../../etc/cron.d/evil.zip", "..\\..\\evil.zip", "C:\\evil.zip"])
def test_a_path_in_the_name_is_no_path(here, operator, name):
    ident = taken_in(operator, name, zipped({"46xxnotes.txt": name}))
    assert ident.startswith("evil-") and (here.home.var / "releases" / ident).is_dir()


def test_a_script_that_the_site_has_changed_wants_a_decision(here, operator, first):
    live = here.home.http_data / SCRIPT
    insert = b"IF $GROUP SEQ 876 goto VPN\ngoto NOVPN\n# VPN\nGET 46xxvpn.scr\ngoto END\n# NOVPN\n"
    (here.home.http_data / "46xxvpn.scr").write_bytes(b"SET VPNPROC 2\n")
    live.write_bytes(insert + live.read_bytes())
    ident = taken_in(operator, *package(2))
    place = f"/api/v1/firmware/releases/{ident}"
    seen = operator.get(place + "/forecast").json
    assert [one["name"] for one in seen["conflicts"]] == [SCRIPT]
    why = change(operator, ident, "publish", state="failed")["problem"]
    assert why["type"] == "/problems/conflict" and SCRIPT in why["detail"]
    change(operator, ident, "publish", {"live": "merge", "losses": True})
    assert live.read_bytes().startswith(insert) and APP.format(2).encode() in live.read_bytes()
    ended = operator.finish(operator.call("POST", "/api/v1/firmware/verification"))
    assert ended["result"]["sound"] is True
    live.write_bytes(b"GET 46xxsettings.txt\n")
    assert operator.finish(operator.call("POST", "/api/v1/firmware/verification"))["result"]["faults"] == 1
    (found,) = operator.get("/api/v1/firmware/verification").json["found"]
    assert (found["name"], found["what"]) == (SCRIPT, "changed")
    change(operator, ident, "rollback", {"live": "replace"})


@pytest.mark.parametrize(
    "told", [{"live": "burn"}, {"live": 3}, {"losses": "yes"}, {"force": 1}], ids=json.dumps
)
def test_a_wish_that_nobody_knows_is_refused(operator, first, told):
    place = f"/api/v1/firmware/releases/{first}"
    assert operator.call("POST", place + "/publish", told, operator.get(place).etag).status == 422


@pytest.mark.parametrize("ident", ["nothing", "..", "x-00000000", "%2e%2e%2fetc-00000000"])
def test_a_release_that_is_not_there(operator, ident):
    assert operator.get(f"/api/v1/firmware/releases/{ident}").status in (400, 404)
    assert operator.call("POST", f"/api/v1/firmware/releases/{ident}/publish").status in (400, 404)


def test_what_a_crash_cut_off_may_be_removed_and_what_arrives_may_not(here, operator):
    kept = Releases(here.home)
    one = Release("half-01234567", "arriving", "manager", "half.zip", 1.0, 1.0)
    kept.put(one)
    place = f"/api/v1/firmware/releases/{one.id}"
    with intake._held(kept.folder / one.id, 0):
        assert operator.call("DELETE", place).status == 409
    assert operator.call("DELETE", place).status == 204 and kept.get(one.id) is None


def test_who_only_looks_sends_and_changes_nothing(here, viewer, first):
    before = generations.current(here.home).number
    assert drop(viewer, *package(5)).status == 403
    place = f"/api/v1/firmware/releases/{first}"
    etag = viewer.get(place).etag
    for method, path in (("POST", "/publish"), ("POST", "/rollback"), ("DELETE", "")):
        assert viewer.call(method, place + path, {}, etag).status == 403
    assert generations.current(here.home).number == before


def test_advisories_with_those_whom_they_are_about(viewer):
    told = viewer.get("/api/v1/firmware/advisories").json
    assert told["total"] == len(told["items"]) > 3
    assert {"id", "kind", "about", "phones", "text", "source"} <= told["items"][0].keys()
