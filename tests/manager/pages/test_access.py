"""The pages of Access: what each role sees of them, hostile text in lists, long lists."""

from __future__ import annotations

from manager.facts import lists

HOSTILE = "<script>alert(1)</script>"


def place(here, key):
    return lists.place(here.site.config(), key)


def test_the_page_tells_of_every_list_and_what_is_wrong(here, viewer):
    place(here, "http").write_text("10.1\nfoo\n")
    place(here, "tftp").write_text("# nothing\n")
    page = viewer.get("/access").text
    assert "1 wrong" in page and "lists nobody" in page and page.count("everybody may</span>") == 3
    assert "The server does not run" in page and "Nobody is banned" in page
    place(here, "http").unlink(), place(here, "tftp").unlink()


def test_a_viewer_sees_no_button_that_changes(here, viewer, operator):
    place(here, "http").write_text("10.1\n")
    place(here, "banned").write_text("10.66.0.1 # scans\n")
    assert "data-api" not in viewer.get("/access").text and "data-api" in operator.get("/access").text
    page = viewer.get("/access/lists/http").text
    assert 'data-api="DELETE' not in page and ">Save<" not in page and "readonly" in page
    assert ">Save<" in operator.get("/access/lists/http").text
    place(here, "http").unlink(), place(here, "banned").unlink()


def test_the_tester_answers_in_the_page_and_in_its_part(here, viewer):
    place(here, "tftp").write_text("10.1.2.3\n")
    ask = "/access?address=10.1.2.3&name=46xxsettings.txt&protocol=tftp"
    page, part = viewer.get(ask), viewer.get(ask, **{"HX-Request": "true"})
    assert page.text.count("<h1>") == 1 and "<h1>" not in part.text
    for one in (page, part):
        assert "/access/lists/tftp?line=1" in one.text and "No server runs" in one.text
    place(here, "tftp").unlink()
    assert "that was seen" in viewer.get("/access?address=4711&name=x").text
    assert viewer.get("/access?protocol=gopher").status == 400


def test_what_stands_in_a_list_and_in_a_question_is_text(here, operator):
    place(here, "banned").write_text(f"10.66.0.1 # {HOSTILE}\n")
    place(here, "http").write_text(f"10.1 # {HOSTILE}</textarea>\n")
    lists.save(here.site.config(), "http", lambda etag: None, lambda text: text + f"# {HOSTILE}\n")
    copy = operator.get("/api/v1/access/lists/http/history").json["items"][-1]["id"]
    ask = "/access?address=10.1.2.3&name=%3Cscript%3Ealert(1)%3C/script%3E&protocol=http"
    for path in (
        "/access",
        "/access/lists/http",
        "/access/lists/banned",
        f"/access/lists/http?copy={copy}",
        ask,
    ):
        page = operator.get(path)
        assert page.status == 200 and HOSTILE not in page.text and "&lt;script&gt;" in page.text, path
    assert "Put it back" in operator.get(f"/access/lists/http?copy={copy}").text
    assert operator.get("/access/lists/http?copy=none").status == 404
    assert operator.get("/access/lists/nothing").status == 404
    place(here, "http").unlink(), place(here, "banned").unlink()


def test_a_long_list_is_fetched_by_its_page_and_not_sent_in_it(here, operator):
    place(here, "http").write_text("".join(f"10.{a}.{b}.1\n" for a in range(200) for b in range(250)))
    page = operator.get("/access/lists/http")
    assert len(page.body) < 100_000 and "data-load=" in page.text
    assert len(operator.get("/access").body) < 100_000
    place(here, "http").unlink()
