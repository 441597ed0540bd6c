"""The pages of firmware: what they say of releases in every state, to whom, and what they never say."""

from __future__ import annotations

import html
import re
import time

import pytest

from mv_iptel.rollout import plans
from mv_iptel.rollout.rings import stage_of
from tests.clients.daemon import wait_for
from tests.manager.here import Here, made
from tests.manager.releases import APP, SCRIPT, change, package, taken_in, zipped

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def first(here, operator):
    """Published, then its script was changed by the site."""
    ident = taken_in(operator, *package(1))
    change(operator, ident, "publish", {"losses": True})
    live = here.home.http_data / SCRIPT
    live.write_bytes(b"SET VPNCODE 4711secret\n" + live.read_bytes())
    return ident


@pytest.fixture(scope="module")
def second(operator, first):
    """Waits; a script of the site's stands against it."""
    return taken_in(operator, *package(2))


def foreseen(person, ident, live="stop"):
    """The part that tells what it would do, once that is found out."""
    place = f"/firmware/releases/{ident}/forecast?live={live}"

    def found():
        text = person.get(place, **{"HX-Request": "true"}).text
        return None if "hx-trigger" in text else text

    return wait_for(place, found)


def words(text):
    return html.unescape(re.sub(r"<[^>]+>|\s+", " ", text))


def test_an_empty_home_says_what_to_do(tmp_path):
    with Here(made(tmp_path / "home")) as here:
        text = here.person().get("/firmware").text
        assert "No release is here yet" in text and "Nothing was ever published" in text
        for page in ("scans", "verification", "advisories"):
            assert here.person().get(f"/firmware/{page}").status == 200


def test_the_list_names_releases_and_their_states(viewer, operator, second):
    text = operator.get("/firmware").text
    assert second in text and ">published<" in text and ">staged<" in text and "data-upload" in text
    looked = viewer.get("/firmware").text
    assert second in looked and "data-upload" not in looked and "data-api" not in looked
    part = viewer.get("/firmware", **{"HX-Request": "true"}).text
    assert second in part and "<html" not in part


def test_what_stands_against_it_is_said_with_the_ways_out(operator, second):
    page = operator.get(f"/firmware/releases/{second}")
    assert page.status == 200 and len(page.body) < 100_000
    text = foreseen(operator, second)
    assert SCRIPT in text and "Carry over the site" in text and "Take the vendor" in text
    assert "data-api" not in text  # first somebody has to decide
    kept = foreseen(operator, second, "replace")
    assert 'name="live" value="replace"' in kept and f"releases/{second}/publish" in kept
    assert APP.format(2) in words(kept)


def test_taking_back_is_foreseen_too(operator, viewer, first):
    text = foreseen(operator, first, "replace")
    assert f"releases/{first}/rollback" in text and "Serve again what" in text
    assert "data-api" not in foreseen(viewer, first, "replace")


def test_what_the_site_wrote_is_shown_to_those_who_may_edit_it(viewer, operator, second):
    place = f"/firmware/releases/{second}/file?place=HTTPdata&name={SCRIPT}"
    assert "4711secret" in operator.get(place).text and 'class="removed"' in operator.get(place).text
    text = viewer.get(place).text
    assert "4711secret" not in text and APP.format(2) in text
    for name in ("../../../etc/passwd", "nothing.txt"):
        assert operator.get(f"/firmware/releases/{second}/file?place=HTTPdata&name={name}").status == 404


def test_files_by_kind_and_name(viewer, first):
    part = {"HX-Request": "true"}
    text = viewer.get(f"/firmware/releases/{first}?role=script", **part).text
    assert SCRIPT in text and APP.format(1) not in text
    assert APP.format(1) in viewer.get(f"/firmware/releases/{first}?q=s9608", **part).text
    assert "No file of this release" in viewer.get(f"/firmware/releases/{first}?q=zzz", **part).text


def test_names_of_an_archive_are_text(operator):
    name, data = f"{EVIL}.zip", zipped({"a&b'c.txt": EVIL, "46xxnotes.scr": f"# {EVIL}\nSET X 1\n"})
    ident = taken_in(operator, name, data)
    for page in ("/firmware", f"/firmware/releases/{ident}",
                 f"/firmware/releases/{ident}/file?place=HTTPdata&name=46xxnotes.scr"):  # fmt: skip
        assert EVIL not in operator.get(page).text
    assert html.escape("<script>alert(1)</script>") in operator.get(
        f"/firmware/releases/{ident}/file?place=HTTPdata&name=46xxnotes.scr").text  # fmt: skip


def test_verification_tells_what_is_not_as_published(operator, viewer, first):
    operator.finish(operator.call("POST", "/api/v1/firmware/verification"))
    text = viewer.get("/firmware/verification").text
    assert SCRIPT in text and "not as published" in text and "data-api" not in text


def test_a_roll_out_is_shown_and_its_release_left_alone(here, operator, second):
    now = time.time()
    stages = (stage_of(("10.1.0.0/16",), (), ()), stage_of((), (), ("5",)))
    plans.save(here.home, plans.Rollout("0123abcd", second, "running", stages, 0, now, now, now))
    try:
        assert "A roll-out is under way" in operator.get("/firmware").text
        text = foreseen(operator, second, "replace")
        assert "It is being rolled out" in text and "data-api" not in text
        failed = change(operator, second, "publish", {"live": "replace", "losses": True}, state="failed")
        assert "being rolled out" in failed["problem"]["detail"]
    finally:
        (here.home.var / "releases" / "rollout.json").unlink()


@pytest.mark.parametrize("path", ["/firmware/releases/nothing", "/firmware/scans/1", "/firmware/scans/x"])
def test_what_is_not_there(viewer, path):
    assert viewer.get(path).status == 404


def test_releases_come_in_pages(tmp_path):
    from mv_iptel.firmware.releases import Release, Releases

    home = made(tmp_path / "home")
    kept = Releases(home)
    for number in range(60):
        kept.put(Release(f"a-{'x' * 70}-{number:08x}", "staged", "command", "a.zip", number, number))
    with Here(home) as here:
        first, last = here.person().get("/firmware"), here.person().get("/firmware?page=3")
        assert "page 1 of 3" in words(first.text) and f"{59:08x}" in first.text
        assert f"{0:08x}" in last.text and len(last.body) < 100_000
