"""The first-run guide's page, without a file server beside it."""

from __future__ import annotations


def test_every_step_says_what_is_so(here, admin):
    page = admin.get("/guide")
    assert page.status == 200
    for title in ("A password of your own", "The file server runs", "This server's address in the settings",
                  "Your telephone system", "Firmware for your phones", "The certificate", "DHCP tells phones",
                  "The first phone"):  # fmt: skip
        assert title in page.text.replace("&#39;", "'"), title
    assert "which only this host itself can reach" in page.text
    assert len(page.body) < 100 * 1024


def test_who_may_change_nothing_gets_no_form(viewer):
    assert "data-api" not in viewer.get("/guide").text.partition("<main")[2].partition("</main")[0]


def test_the_last_step_comes_alone(viewer):
    answer = viewer.ask("GET", "/guide?part=phone", None, {"HX-Request": "true"})
    assert answer.status == 200 and "None was seen yet" in answer.text and "<html" not in answer.text
