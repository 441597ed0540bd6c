"""The pages of user data: what each role sees of it, hostile content, empty and deleted states."""

from __future__ import annotations

import re
import time

import pytest

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
EVIL = b'PHNLABEL1=<script>alert(1)</script>\nABKNAME001="><img src=x>\nABKNUMBER001=1\n\x1b[2J=\n'


def store(here, name, data, now, origin):
    stored = keep(here.site.config(), parse(name), data, origin, now=lambda: now)
    assert not isinstance(stored, Refuse), stored


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    with Here(made(tmp_path_factory.mktemp("home"))) as running:
        phone = Origin("192.0.2.17", "00040d112233", "<b>9640G</b>", "https", "snmp")
        store(running, FILE, b"ABKNAME001=Anna\nABKNUMBER001=201\n", START, phone)
        store(running, FILE, b"ABKNAME001=Anna\nABKNUMBER001=202\n", START + DAY, phone)
        store(
            running, "666_4620data.txt", EVIL.replace(b"\x1b", b""), START, Origin("192.0.2.66", model="<i>")
        )
        for number in range(130):
            store(running, f"{50_000 + number}_16xxdata.txt", b"x", START + number, Origin())
        yield running


def test_a_list_of_all(here, viewer):
    text = viewer.get("/userdata").text
    assert "4711" in text and "132 files" in text and "page 1 of 3" in text and len(text) < 100 * 1024
    assert "&lt;b&gt;9640G" in text and "<b>9640G" not in text and "Take a copy" not in text
    assert re.search(r'aria-sort="ascending"><a href="/userdata\?sort=extension&amp;order=down"', text)
    found = viewer.get("/userdata?q=47", **{"HX-Request": "true"}).text
    assert "4711" in found and "50001" not in found and "<html" not in found
    assert "50129" in viewer.get("/userdata?sort=changed&order=down&kind=16xx").text
    assert "fits that" in viewer.get("/userdata?state=deleted").text
    assert "Take a copy" in here.person(Role.OPERATOR).get("/userdata").text


def test_nothing_of_the_content_for_a_viewer(viewer):
    text = viewer.get(f"/userdata/{FILE}").text
    assert "Versions" in text and "by SNMP" not in text and "shown by its SNMP answer" in text
    assert "Anna" not in text and "Restore" not in text and "the role operator sees them" in text
    assert viewer.get(f"/userdata/{FILE}/differences").status == 403


def test_the_content_and_what_changed(operator):
    page = operator.get(f"/userdata/{FILE}").text
    assert "Anna 202" in page and "What changed" in page and "Restore…" in page
    old = re.search(r"txt\?version=([^\"&]+)", page)[1]
    assert "Anna 201" in operator.get(f"/userdata/{FILE}?version={old}").text
    text = operator.get(f"/userdata/{FILE}/differences").text
    assert "Anna 201 -&gt; Anna 202" in text and "data-etag" not in text
    text = operator.get(f"/userdata/{FILE}/differences?old=current&new={old}&restore=1").text
    assert "Anna 202 -&gt; Anna 201" in text and 'data-etag="' in text
    assert operator.get(f"/userdata/{FILE}/differences?old=1999").status == 404


def test_what_phones_say_is_text(operator):
    text = operator.get("/userdata/666_4620data.txt").text
    assert "&lt;script&gt;alert(1)" in text and "<script>alert" not in text and "<img src=x" not in text
    assert "<i>" not in text


def test_deleted_and_empty_and_nothing(here, operator):
    (here.site.config().http.backup_dir / "50001_16xxdata.txt").unlink()
    assert operator.get("/userdata/50001_16xxdata.txt").status == 404  # it had no version either
    (here.site.config().http.backup_dir / "50000_16xxdata.txt").write_bytes(b"")
    assert "It is empty" in operator.get("/userdata/50000_16xxdata.txt").text
    assert operator.get("/userdata/4799_96xxdata.txt").status == 404
    Pins(here.home.var / "pins").remember("4799_96xxdata.txt", "a password")
    text = operator.get("/userdata/4799_96xxdata.txt").text
    assert "only a password is remembered" in text and "Forget it" in text


def test_what_check_says_stands_there(here, viewer):
    from tests.clients.daemon import set_keys

    set_keys(here.home.ini, {("SNMP", "Community"): "public"})
    text = viewer.get("/userdata").text
    assert "<code>Community</code>" in text and "MV_IPTel.ini, line " in text


def test_an_empty_store_says_what_to_do(tmp_path):
    with Here(made(tmp_path / "home")) as empty:
        text = empty.person(Role.OPERATOR).get("/userdata").text
        assert "Nothing is kept yet" in text and "SET FTPSRVR" in text and "Take a copy" not in text


@pytest.mark.prove
def test_the_first_octet_with_many_users(tmp_path, count, evidence):
    """The list, searched, sorted and paged: each within 50 ms, but for the first look at all of them."""
    users = count("users")
    with Here(made(tmp_path / "home")) as here:
        config = here.site.config()
        for number in range(users):
            name = f"{10_000 + number}_96xxdata.txt"
            (config.http.backup_dir / name).write_bytes(b"Redial=1\n")
            folder = versions.folder_of(config, name)
            folder.mkdir(parents=True)
            (folder / "20260302T073011.000000Z-d1eb2cfa").write_bytes(b"Redial=0\n")
        operator = here.person(Role.OPERATOR)
        begun = time.perf_counter()
        assert operator.get("/userdata").status == 200
        first = time.perf_counter() - begun
        told = {}
        for path in ("", "?page=7", "?q=99", "?sort=changed&order=down", "?state=deleted", "?state=password"):
            took = []
            for _ in range(10):
                begun = time.perf_counter()
                answer = operator.get(f"/userdata{path}")
                took.append(time.perf_counter() - begun)
                assert answer.status == 200 and len(answer.body) < 100 * 1024
            told[path or "all"] = round(min(took) * 1000, 1)
    evidence("manager-userdata", users=users, first_look_ms=round(first * 1000, 1), pages_ms=told)
    assert max(told.values()) < 50, told
