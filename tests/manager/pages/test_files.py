"""The pages of Files: what each shows, and to whom; also of files that are new, gone, links or no text."""

from __future__ import annotations

import pytest

PAGES = ["/files", "/files/HTTPdata", "/files/FTPdata", "/files/Updates", "/files/HTTPdata/46xxsettings.txt",
         "/files/HTTPdata?q=46xx&sort=size&down=1", "/files/HTTPdata?kind=scripts",
         "/files/HTTPdata/46xxsettings.txt?part=askers", "/files/HTTPdata/46xxsettings.txt?part=history",
         "/files/HTTPdata/46xxsettings.txt?part=hash", "/files/HTTPdata?part=deleted",
         "/files/HTTPdata/mv_watchdog_check.txt"]  # fmt: skip


@pytest.mark.parametrize("path", PAGES)
def test_everybody_may_look_but_only_operators_change(viewer, operator, path):
    seen, changed = viewer.get(path), operator.get(path)
    assert seen.status == changed.status == 200 and len(changed.body) < 100_000
    for mark in ('data-api="PUT', 'data-api="DELETE', "data-upload", 'id="save"', "/api/v1/download"):
        assert mark not in seen.text


def test_a_part_is_only_a_part(operator):
    part = operator.get("/files/HTTPdata", **{"HX-Request": "true"})
    assert "<html" not in part.text and "46xxsettings.txt" in part.text


def test_the_text_is_not_in_the_page(operator):
    """A settings file may have a megabyte; a page has at most 100 KiB."""
    page = operator.get("/files/HTTPdata/46xxsettings.txt").text
    assert "data-editor" in page and "one statement a line" not in page.lower()


def test_a_new_file_begins_empty(operator, viewer):
    assert (
        operator.get("/files/HTTPdata?new=a%2Fb.txt").headers["Location"] == "/files/HTTPdata/a/b.txt?new=1"
    )
    page = operator.get("/files/HTTPdata/new.txt?new=1").text
    assert 'data-etag="*"' in page
    assert operator.get("/files/HTTPdata/HTTP_allow_IP.txt?new=1").status == 422
    assert viewer.get("/files/HTTPdata/new.txt?new=1").status == 404


def test_what_is_not_there(operator):
    for path in ("/files/nowhere", "/files/HTTPdata/none.txt", "/files/HTTPdata/none.txt?part=history"):
        assert operator.get(path).status == 404


def test_a_link_leads_to_the_files_own_page(here, operator):
    (here.home.tftp_data / "same.txt").symlink_to(here.home.http_data / "46xxsettings.txt")
    answer = operator.get("/files/TFTPdata/same.txt")
    assert answer.status == 303 and answer.headers["Location"] == "/files/HTTPdata/46xxsettings.txt"


def test_a_deleted_file_has_a_page_and_comes_back(here, operator):
    path = "/api/v1/files/HTTPdata/gone.txt"
    made = operator.call("PUT", path, {"text": "SET L2Q 1\n"}, headers={"If-None-Match": "*"})
    operator.call("DELETE", path, {}, made.etag)
    assert "gone.txt" in operator.get("/files/HTTPdata?part=deleted").text
    assert "not there any more" in operator.get("/files/HTTPdata/gone.txt").text
    part = operator.get("/files/HTTPdata/gone.txt?part=history").text
    assert "Put back" in part and 'data-etag="*"' in part


def test_what_a_file_was(here, operator, viewer):
    path = "/files/HTTPdata/46xxsettings.txt"
    file = operator.get(f"/api/v1{path}?text=1")
    told = {"text": file.json["content"] + "SET VLANTEST 90\nSET SNMPSTRING hidden4711\n"}
    operator.call("PUT", f"/api/v1{path}", told, file.etag)
    steps = operator.get(f"/api/v1/file-history{path.removeprefix('/files')}").json["items"]
    old = operator.get(f"{path}?step={steps[-1]['id']}").text
    assert "SET VLANTEST 90" in old and "hidden4711" not in old and "Put it back" in old
    now = viewer.get(f"{path}?step={steps[0]['id']}").text
    assert "SET VLANTEST 90" in now and "hidden4711" not in now and "Put it back" not in now
    assert operator.get(f"{path}?step=nonsense").status == 404


def test_a_file_that_is_no_text(here, operator):
    (here.home.http_data / "x.bin").write_bytes(b"\0" * 100)
    page = operator.get("/files/HTTPdata/x.bin").text
    assert "data-editor" not in page and "Replace it by" in page
