"""Releases as pages tell them: read once, listed in order, compared with what is served."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from manager.facts import firmware as facts
from mv_iptel.firmware import generations
from mv_iptel.firmware.generations import Entry, Generation
from mv_iptel.firmware.releases import File, Release
from tests.firmware.site import Site

FIRST, SECOND = "a" * 64, "b" * 64


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_records_are_read_again_when_they_change(site):
    ident = site.add("one", {"HTTPdata/a.scr": b"SET A 1\n"})
    one = facts.release(site.home, ident)
    assert facts.release(site.home, ident) is one and facts.all_releases(site.home) == [one]
    site.releases.put(one.to("superseded", site.clock()))
    assert facts.release(site.home, ident).state == "superseded"
    assert facts.release(site.home, "../one") is None and facts.release(site.home, "one-00000000") is None


def test_what_was_refused_is_listed_on_request(site):
    good, bad = site.add("good", {}), site.add("bad", {"HTTPdata/a": b"1"})
    site.releases.put(site.releases.get(bad).to("refused", site.clock()))
    assert [one.id for one in facts.listed(site.home)] == [good]
    assert [one.id for one in facts.listed(site.home, True)] == [bad, good]


def test_the_etag_follows_the_release_and_what_is_published(site):
    first, second = site.add("one", {"HTTPdata/a.scr": b"1"}), site.add("two", {"HTTPdata/b.scr": b"2"})
    one = site.releases.get(first)
    before = facts.etag(site.home, one)
    assert facts.etag(site.home, replace(one, note="held")) == before
    site.publisher.publish(second, losses=True, force=True)
    assert facts.etag(site.home, one) != before


def test_contents_are_told_once_with_all_their_places():
    files = (File("HTTPdata", "b.bin", 5, FIRST, "software"), File("TFTPdata", "b.bin", 5, FIRST, "software"),
             File("HTTPdata", "Z.scr", 1, SECOND, "script"))  # fmt: skip
    one = Release("r-00000000", "staged", "command", "r.zip", 1.0, 1.0, files=files)
    assert [(row.name, row.places) for row in facts.contents(one)] == [
        ("Z.scr", ("HTTPdata",)), ("b.bin", ("HTTPdata", "TFTPdata")),
    ]  # fmt: skip
    assert [row.name for row in facts.contents(one, "software")] == ["b.bin"]
    assert [row.name for row in facts.contents(one, text="z.S")] == ["Z.scr"]
    assert facts.told(one)["files"] == 2 and facts.told(one)["roles"] == {"software": 1, "script": 1}


def test_a_file_beside_the_one_that_is_served(site):
    ident = site.add("one", {"HTTPdata/a.scr": b"SET A 1\nSET B 2\n", "HTTPdata/c.bin": b"\0\1"})
    one = site.releases.get(ident)

    def look(name="a.scr", compare=True):
        return facts.look(site.config, one, "HTTPdata", name, compare)

    assert look().how == "new" and look().lines[0] == ("", "SET A 1")
    live = site.lay("HTTPdata/a.scr", b"SET A 1\nSET SECRET 3\n")
    assert look().how == "diff"
    assert {("removed", "-SET SECRET 3"), ("added", "+SET B 2")} <= set(look().lines)
    hidden = look(compare=False)
    assert hidden.how == "text" and not any("SECRET" in line for _, line in hidden.lines)
    live.write_bytes(b"SET A 1\r\nSET B 2\r\n")
    assert look().how == "same"
    assert look("c.bin").how == "none" and look("d") is None
    live.write_bytes(b"SET A 1\n" * 50_000)
    assert look().how == "new" and not look().cut  # too long to be compared
    live.write_bytes(b"#" * 100 + b"\n" + b"# comment\n" * 5000)
    assert look().cut


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="there are no links")
def test_a_link_out_of_the_directories_is_not_followed(site, tmp_path):
    one = site.releases.get(site.add("one", {"HTTPdata/a.scr": b"SET A 1\n"}))
    (tmp_path / "secret").write_text("secret")
    site.home.http_data.mkdir(parents=True, exist_ok=True)
    (site.home.http_data / "a.scr").symlink_to(tmp_path / "secret")
    assert facts.look(site.config, one, "HTTPdata", "a.scr", True).how == "none"


def test_changes_of_what_is_published_in_two_texts():
    old = Generation(3, files=(Entry("HTTPdata", "a", 1, FIRST, "script", "one"),
                               Entry("HTTPdata", "same", 1, FIRST, "script", "one")))  # fmt: skip
    new = Generation(4, files=(Entry("HTTPdata", "a", 1, SECOND, "script", "two"),
                               Entry("HTTPdata", "same", 1, FIRST, "script", "two"),
                               Entry("HTTPdata", "b", 1, SECOND, "software", "two")))  # fmt: skip
    before, after = facts.changes(old, new)
    assert before.splitlines() == ["generation 3", "HTTPdata/a aaaaaaaa one", "HTTPdata/b -"]
    assert after.splitlines() == ["generation 4", "HTTPdata/a bbbbbbbb two", "HTTPdata/b bbbbbbbb two"]


def test_the_last_changes_and_what_would_be_taken_back(site):
    assert facts.history(site.home) == []
    ids = [site.add(f"r{number}", {"HTTPdata/a.scr": b"%d" % number}) for number in range(3)]
    for ident in ids:
        site.publisher.publish(ident, losses=True, force=True)
    assert [one.release for one in facts.history(site.home, 2)] == ids[:0:-1]
    assert facts.last_published(site.home, facts.all_releases(site.home)).id == ids[2]
    assert generations.current(site.home).number == 3 and facts.rollout(site.home) is None
