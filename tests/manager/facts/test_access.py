"""Whom a change of a list touches, what may be banned, and the tester's answer in words."""

from __future__ import annotations

import time

import pytest

from manager.facts import access
from manager.facts.lists import KINDS
from manager.problems import Problem
from mv_iptel.config import load
from mv_iptel.inventory.reader import Reader
from tests.manager.here import made

PHONES = [("10.1.0.1", "a"), ("10.1.0.2", "b"), ("10.2.0.1", "c")]


@pytest.mark.parametrize("key, before, after, out, into", [
    ("http", "10.1\n", "10.1.0.1\n", "b", ""),
    ("http", None, "10.2\n", "ab", ""),
    ("http", "10.2\n", None, "", "ab"),
    ("http", "10.1\n", "10.2\n", "ab", "c"),
    ("http", "10.1\n", "", "ab", ""),
    ("banned", "", "10.1.0.0/31\n", "a", ""),
    ("banned", "10.1\n", "", "", "ab"),
])  # fmt: skip
def test_whom_a_change_shuts_out_and_lets_in(key, before, after, out, into):
    found = access.touched(KINDS[key], before, after, PHONES)
    assert ("".join(name for _, name in found.out), "".join(name for _, name in found.into)) == (out, into)
    assert found.seen == 3


def test_each_wrong_line_is_told_with_its_number():
    assert access.checked(KINDS["http"], "# ours\n10.1\n") == []
    assert [one["line"] for one in access.checked(KINDS["http"], "10.1\nfoo\n10.9-10.1\n")] == [2, 3]
    assert "lists nobody" in access.checked(KINDS["http"], "# nothing\n")[0]["text"]
    assert access.checked(KINDS["banned"], "") == []


@pytest.mark.parametrize("entry, line", [
    ("10.1.2.3", "10.1.2.3  # it scans"),
    ("10.9.0.0/16", "10.9.0.0/16  # it scans"),
    (" 2001:db8::1 ", "2001:db8::1  # it scans"),
])  # fmt: skip
def test_a_ban_is_one_line_whatever_its_note_holds(entry, line):
    assert access.ban(entry, "it\r\nscans", ["127.0.0.1"]) == line


@pytest.mark.parametrize(
    "entry", ["", "foo", "10.1.2.3\n10.4", "10.1 # all", "127.0.0.0/8", "0.0.0.0/0", "10.5-10.1"]
)
def test_what_is_no_address_or_this_host_is_not_banned(entry):
    with pytest.raises(Problem, match="invalid"):
        access.ban(entry, "", ["127.0.0.1"])


def test_bans_come_and_go_by_their_line():
    text = access.with_ban("# ours\n10.1", "10.2  # scans")
    assert text == "# ours\n10.1\n10.2  # scans\n"
    with pytest.raises(Problem, match="banned already"):
        access.with_ban(text, "10.2")
    assert access.without_ban(text, "10.2") == "# ours\n10.1\n"
    with pytest.raises(Problem, match="not-found"):
        access.without_ban(text, "10.3")


def test_bans_are_listed_with_what_stands_beside_them(tmp_path):
    config = load(made(tmp_path / "home"))
    assert access.bans(config) == []
    (config.home.lists / "banned.txt").write_text("# all of them\n10.1.2.3 # scans\n10.9.0.0/16\n")
    assert access.bans(config) == [{"line": 2, "entry": "10.1.2.3", "note": "scans"},
                                   {"line": 3, "entry": "10.9.0.0/16", "note": ""}]  # fmt: skip


@pytest.fixture
def config(tmp_path):
    config = load(made(tmp_path / "home"))
    (config.http.http_dir / "HTTP_allow_IP.txt").write_text("# ours\n10.1.2.3\n10.7.0.0/16\n")
    return config


@pytest.mark.parametrize("address, name, verdict, line, text", [
    ("10.1.2.3", "46xxsettings.txt", "Yes", 2, "it gets 46xxsettings.txt"),
    ("10.8.0.1", "96x1Hupgrade.txt", "No", 3, "not-listed"),
    ("10.1.2.3", "nothing.bin", "No", 0, "no-file"),
    ("10.1.2.3", "../x", "No", 0, "bad-name"),
])  # fmt: skip
def test_the_home_alone_answers_with_the_line_that_decides(config, address, name, verdict, line, text):
    told = access.by_home(config, {"address": address, "name": name, "protocol": "http"})
    words = access.answer(told)
    assert (words["verdict"], words["line"]) == (verdict, line) and text in words["text"]
    if line:
        assert access.list_of(config, words["source"]) == "http"


def test_a_phone_off_the_list_is_told_that_it_gets_another_file(config):
    (config.http.http_dir / "fxd_upgrade.scr").write_text("## nothing\n")
    words = access.answer(access.by_home(config, {"address": "10.8.0.1", "name": "46xxupgrade.scr"}))
    assert (
        words["verdict"] == "Not that file"
        and words["near"]
        and "fxd_upgrade.scr" in words["text"]
        and words["line"] == 3
    )


def test_who_is_banned_gets_nothing(config):
    (config.home.lists / "banned.txt").write_text("10.1.2.3\n")
    words = access.answer(access.by_home(config, {"address": "10.1.2.3", "name": "46xxsettings.txt"}))
    assert (
        words["verdict"] == "No"
        and words["line"] == 1
        and access.list_of(config, words["source"]) == "banned"
    )


def test_user_data_depends_on_what_the_phone_shows(config):
    asked = {"address": "10.1.2.3", "name": "4711_4620data.txt", "protocol": "http", "method": "PUT"}
    assert access.answer(access.by_home(config, asked))["verdict"] == "It depends"


def test_a_question_that_is_none_is_refused(config, tmp_path):
    with pytest.raises(Problem, match="invalid"):
        access.by_home(config, {"address": "10.1.2.3", "name": "x", "protocol": "gopher"})
    reader = Reader(tmp_path / "none.db")
    assert access.whom(reader, "::ffff:10.1.2.3") == ("10.1.2.3", "")
    with pytest.raises(Problem, match="that was seen"):
        access.whom(reader, "4711")
    assert access.known(reader, time.time()) == []
