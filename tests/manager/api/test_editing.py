"""What an editor asks: lint and who breaks of a text that is not saved, and two edits made one."""

from __future__ import annotations

NAME = "/HTTPdata/46xxsettings.txt"


def text(person, name: str = NAME):
    return person.get(f"/api/v1/files{name}?text=1")


def test_lint_and_who_breaks(operator):
    content = text(operator).json["content"]
    found = operator.call("POST", f"/api/v1/lint{NAME}", {"text": content + "SET L2QVLAN 5000\n"}).json
    assert "value-range" in {one["code"] for one in found["findings"]}
    told = operator.call("POST", f"/api/v1/who-breaks{NAME}", {"text": "SET L2QVLAN 5\n"}).json
    assert told["changed"] and told["changes"]
    gone = operator.call("POST", f"/api/v1/who-breaks{NAME}", {}).json
    assert gone["changed"]


def test_a_viewer_has_lint_of_what_lies_there_without_fixes(here, viewer):
    (here.home.http_data / "bad.txt").write_text("  SET PROCPSWD 90210\n")
    answer = viewer.get("/api/v1/lint/HTTPdata/bad.txt")
    assert (
        answer.json["findings"] and answer.json["findings"][0]["fix"] is None and "90210" not in answer.text
    )
    assert viewer.call("POST", f"/api/v1/lint{NAME}", {"text": ""}).status == 403


def test_a_file_that_is_not_there_yet(operator):
    told = {"text": "SET L2QVLAN 5000\n"}
    found = operator.call("POST", "/api/v1/lint/HTTPdata/new.txt", told).json
    assert found["counts"]["error"] == 1
    assert operator.call("POST", "/api/v1/lint/HTTPdata/none/new.txt", told).status == 404
    assert operator.call("POST", "/api/v1/lint/nowhere/new.txt", told).status == 404
    assert operator.call("POST", "/api/v1/merge/HTTPdata/new.txt", {"base": "", "text": ""}).status == 404


def test_two_edits_that_meet(operator):
    content = text(operator).json["content"]
    both = operator.call("POST", f"/api/v1/merge{NAME}", {"base": "x", "text": "y"}).json
    assert both["theirs"] == content and both["conflicts"] == [1] and both["merged"].endswith("y")


def test_who_asks(viewer):
    found = viewer.get(f"/api/v1/askers{NAME}").json
    assert found["phones"] == 0 and found["named"].endswith("upgrade.scr") and found["needed"]
