"""Files by JSON: states, two administrators, uploads, names, roles, and no secret for who may not see it."""

from __future__ import annotations

import json

import pytest

NAME = "/HTTPdata/46xxsettings.txt"
NEW = {"If-None-Match": "*"}


def text(person, name: str = NAME):
    return person.get(f"/api/v1/files{name}?text=1")


def test_what_lies_there(viewer):
    areas = viewer.get("/api/v1/files").json
    assert {one["area"] for one in areas["items"]} == {
        "HTTPdata",
        "HTTPSdata",
        "TFTPdata",
        "FTPdata",
        "Updates",
    }
    rows = viewer.get("/api/v1/files/HTTPdata?sort=size&down=1&kind=scripts").json
    assert rows["items"][0]["name"] == "46xxsettings.txt" and rows["next"] is None
    file = viewer.get(f"/api/v1/files{NAME}?sha256=1")
    assert (
        file.json["kind"] == "settings" and len(file.json["sha256"]) == 64 and file.etag == file.json["etag"]
    )
    assert viewer.get("/api/v1/files/HTTPdata?sort=evil").status == 400


@pytest.mark.parametrize("path", [
    "HTTPdata/..%2f..%2fbin%2fMV_IPTel.ini", "HTTPdata/%2e%2e/%2e%2e/bin/MV_IPTel.ini",
    "HTTPdata/..%5c..%5cbin",
    "bin/MV_IPTel.ini", "HTTPdata/HTTP_allow_IP.txt", "HTTPdata/%00", "..%2fbin/x", "HTTPdata//etc/passwd",
    "HTTPdata/a%0d%0ab", "FTPdata/archive/x", "HTTPdata/%ff%fe.txt", "HTTPdata/.x",
])  # fmt: skip
def test_tricks_in_paths_lead_nowhere(operator, path):
    for method, where in (("GET", "files"), ("GET", "download"), ("GET", "lint"), ("GET", "askers"),
                          ("DELETE", "files"), ("POST", "file-name"), ("POST", "file-history")):  # fmt: skip
        answer = operator.call(
            method, f"/api/v1/{where}/{path}", {"name": "x", "step": "x", "force": True}, "0"
        )
        assert 400 <= answer.status < 500, (method, where, answer.status)
        assert b"IPTel" not in answer.body.replace(b"/api/v1", b"") or b"[Settings]" not in answer.body


def test_saving_wants_the_state_and_tells_the_second(operator, admin):
    first, second = text(operator), text(admin)
    body = {"text": first.json["content"] + "SET L2Q 1\n"}
    assert operator.call("PUT", f"/api/v1/files{NAME}", body).status == 428
    saved = operator.call("PUT", f"/api/v1/files{NAME}", body, first.etag)
    assert saved.status == 200 and saved.etag != first.etag
    mine = second.json["content"].replace("## ", "### ", 1)
    late = admin.call("PUT", f"/api/v1/files{NAME}", {"text": mine}, second.etag)
    assert late.status == 412 and late.json["etag"] == saved.etag
    both = admin.call("POST", f"/api/v1/merge{NAME}", {"base": second.json["content"], "text": mine}).json
    assert both["by"]["who"] == "operator" and both["conflicts"] == []
    assert both["merged"] == mine + "SET L2Q 1\n" and both["theirs"] == body["text"]
    assert [one["text"] for one in both["their_changes"]] == ["SET L2Q 1"]
    assert admin.call("PUT", f"/api/v1/files{NAME}", {"text": both["merged"]}, both["etag"]).status == 200
    assert text(operator).json["content"] == both["merged"]


def test_every_change_is_in_the_audit_trail_without_secrets(here, operator):
    file = text(operator)
    operator.call(
        "PUT", f"/api/v1/files{NAME}", {"text": file.json["content"] + "SET PROCPSWD 90210\n"}, file.etag
    )
    row = here.site.audit.last(1)[0]
    assert (row["who"], row["action"], row["what"]) == ("operator", "file saved", NAME[1:])
    assert "PROCPSWD" in row["after"] and "90210" not in json.dumps(row)


def test_a_viewer_sees_no_secret(viewer, operator):
    file = text(operator)
    secret = file.json["content"] + "SET SNMPSTRING hidden4711\n"
    operator.call("PUT", f"/api/v1/files{NAME}", {"text": secret}, file.etag)
    seen = text(viewer)
    assert seen.json["masked"] and "hidden4711" not in seen.text and "SNMPSTRING" in seen.text
    assert "hidden4711" in text(operator).text
    for path in (f"/api/v1/lint{NAME}", f"/api/v1/file-history{NAME}", f"/files{NAME}?part=history"):
        assert "hidden4711" not in viewer.get(path).text
    assert viewer.get(f"/api/v1/download{NAME}").status == 403


def test_a_file_is_made_renamed_deleted_and_put_back(here, operator):
    made = operator.call("PUT", "/api/v1/files/HTTPdata/new.txt", {"text": "SET L2Q 1\n"}, headers=NEW)
    assert made.status == 201 and made.json["href"] == "/files/HTTPdata/new.txt"
    again = operator.call("PUT", "/api/v1/files/HTTPdata/new.txt", {"text": "x"}, headers=NEW)
    assert again.status == 409 and again.json["etag"] == made.etag
    moved = operator.call("POST", "/api/v1/file-name/HTTPdata/new.txt", {"name": "newer.txt"}, made.etag)
    assert moved.json["name"] == "newer.txt" and moved.json["then"] == "/files/HTTPdata/newer.txt"
    assert operator.call("DELETE", "/api/v1/files/HTTPdata/newer.txt", {}, "other").status == 412
    assert operator.call("DELETE", "/api/v1/files/HTTPdata/newer.txt", {}, moved.etag).status == 204
    step = operator.get("/api/v1/file-history/HTTPdata/newer.txt").json["items"][-1]["id"]
    back = operator.call("POST", "/api/v1/file-history/HTTPdata/newer.txt", {"step": step}, headers=NEW)
    assert back.status == 200 and text(operator, "/HTTPdata/newer.txt").json["content"] == "SET L2Q 1\n"
    actions = [one["action"] for one in here.site.audit.last(4)]
    assert actions == ["file put back", "file deleted", "file renamed", "file made"]


def test_what_is_asked_for_is_not_deleted_by_the_way(operator):
    file = text(operator, "/TFTPdata/46xxsettings.txt")
    if file.status == 404:
        file = text(operator)
    path = f"/api/v1/files/{file.json['area']}/46xxsettings.txt"
    no = operator.call("DELETE", path, {}, file.etag)
    assert no.status == 409 and "names it" in no.json["needed"]
    assert (
        operator.call("POST", path.replace("/files/", "/file-name/"), {"name": "b.txt"}, file.etag).status
        == 409
    )
    assert operator.get(path).status == 200


def test_uploads_are_written_aside_and_replace_only_what_was_seen(here, operator):
    data = bytes(range(256)) * 4000
    made = operator.upload("PUT", "/api/v1/files/HTTPdata/up.bin", data, NEW)
    assert made.status == 201 and (here.home.http_data / "up.bin").read_bytes() == data
    assert operator.upload("PUT", "/api/v1/files/HTTPdata/up.bin", b"x").status == 428
    assert operator.upload("PUT", "/api/v1/files/HTTPdata/up.bin", b"x", NEW).status == 409
    there = operator.call(
        "POST", "/api/v1/files-there/HTTPdata", {"names": ["up.bin", "no.bin", "../x"]}
    ).json
    assert there == {"there": {"up.bin": made.etag}}
    other = operator.upload("PUT", "/api/v1/files/HTTPdata/up.bin", b"new", {"If-Match": f'"{made.etag}"'})
    assert other.status == 200
    step = operator.get("/api/v1/file-history/HTTPdata/up.bin").json["items"][0]
    assert step["by"] == "operator"
    assert operator.get(f"/api/v1/download/HTTPdata/up.bin?step={step['id']}").body == data
    kept = operator.get("/api/v1/download/HTTPdata/up.bin")
    assert kept.body == b"new" and kept.headers["Content-Disposition"].startswith("attachment")
    assert "sandbox" in kept.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "name", ["HTTP_allow_IP.txt", "4711_96xxdata.txt", "x.ini", ".x", "nul.txt", "..%2fx"]
)
def test_names_that_are_not_taken(here, operator, name):
    answer = operator.upload("PUT", f"/api/v1/files/HTTPdata/{name}", b"x", NEW)
    assert answer.status == 422, answer.text
    assert not (here.home.data / "x").exists()


def test_hostile_names_and_contents_are_only_text(here, operator):
    (here.home.http_data / "<img src=x>.txt").write_text("<script>alert(1)</script>")
    page = operator.get("/files/HTTPdata").text
    assert "<img src=x" not in page and "%3Cimg%20src%3Dx%3E.txt" in page
    assert text(operator, "/HTTPdata/%3Cimg%20src%3Dx%3E.txt").json["content"] == "<script>alert(1)</script>"
    assert "<script>alert" not in operator.get("/files/HTTPdata/%3Cimg%20src%3Dx%3E.txt").text


def test_folders(operator):
    assert operator.call("POST", "/api/v1/folders/HTTPdata", {"name": "site"}).status == 201
    assert operator.call("POST", "/api/v1/folders/HTTPdata/site", {"name": "deep"}).status == 201
    assert operator.call("DELETE", "/api/v1/files/HTTPdata/site", {}).status == 409
    assert operator.call("DELETE", "/api/v1/files/HTTPdata/site/deep", {}).status == 204
    assert operator.call("DELETE", "/api/v1/files/HTTPdata/site", {}).status == 204


def test_too_long_a_text(operator):
    made = operator.call("PUT", "/api/v1/files/HTTPdata/long.txt", {"text": "x" * (2_100_000)}, headers=NEW)
    assert made.status == 413
    made = operator.call("PUT", "/api/v1/files/HTTPdata/long.txt", {"text": "\n" * 100_001}, headers=NEW)
    assert made.status == 413 and "lines" in made.text
    assert operator.call("PUT", "/api/v1/files/HTTPdata/long.txt", {"text": 7}, headers=NEW).status == 422


@pytest.mark.parametrize(
    "name", ["../../versions/4711_96xxdata.txt", "4711_96xxdata.txt", "x/../../../versions/4711_96xxdata.txt"]
)
def test_nobodys_data_is_had_by_way_of_the_past(here, operator, name):
    """Versions of user data are called as copies of scripts are."""
    step = "20260703T120000.000000Z-0123abcd"
    for folder in (here.home.var / "versions", here.home.var / "history" / "HTTPdata"):
        (folder / "4711_96xxdata.txt").mkdir(parents=True, exist_ok=True)
        (folder / "4711_96xxdata.txt" / step).write_bytes(b"secret")
    quoted = name.replace(".", "%2e").replace("/", "%2f")
    for path in (
        f"/api/v1/file-history/HTTPdata/{quoted}",
        f"/files/HTTPdata/{quoted}?part=history",
        f"/api/v1/download/HTTPdata/{quoted}?step={step}",
        f"/files/HTTPdata/{quoted}?step={step}",
    ):
        answer = operator.get(path)
        assert answer.status in (404, 422) and b"secret" not in answer.body, path
    body = {"step": step}
    assert operator.call("POST", f"/api/v1/file-history/HTTPdata/{quoted}", body, headers=NEW).status in (
        404,
        422,
    )
