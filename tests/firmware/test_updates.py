"""Updates: whole archives are taken in and go, half ones are waited for, refused ones are set aside."""

from __future__ import annotations

import os
import threading
from dataclasses import replace

import pytest

from mv_iptel import config
from mv_iptel.firmware import updates, writers
from mv_iptel.firmware.releases import Releases
from mv_iptel.firmware.updates import QUIET, UNFINISHED, Updates
from mv_iptel.home import Home
from tests.firmware import hostile

GOOD = hostile.made(hostile.ONE, hostile.BIN)


class Watched:
    """The directory, the watch of it, and what came of it."""

    def __init__(self, home: Home, publish: str = "auto"):
        whole = config.defaults(home)
        self.config = replace(whole, settings=replace(whole.settings, updates_publish=publish))
        self.events, self.staged, self.held = [], [], ""
        self.updates = Updates(self.config, self.events.append, self.publish)
        self.folder, self.clock = home.updates, 1000.0

    def publish(self, release):
        self.staged.append(release)
        return self.held

    def put(self, name: str, data: bytes):
        (self.folder / name).write_bytes(data)

    def pass_time(self, seconds: float):
        self.clock += seconds
        self.updates.look(self.clock)

    def kinds(self):
        return [event.kind for event in self.events]

    def names(self):
        return sorted(os.listdir(self.folder))


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    for folder in home.directories():
        folder.mkdir(parents=True, exist_ok=True)
    return home


@pytest.fixture
def watched(home):
    return Watched(home)


def test_a_whole_archive_is_taken_in_and_goes(watched):
    watched.put("one.zip", GOOD)
    watched.pass_time(0)
    assert watched.kinds() == [] and watched.updates.status()["arriving"] == ["one.zip"]
    watched.pass_time(QUIET)
    assert watched.kinds() == ["firmware-arrived", "firmware-staged"] and watched.names() == []
    (release,) = watched.staged
    assert (release.state, release.source, release.archive) == ("staged", "updates", "one.zip")
    assert watched.updates.status() == {"arriving": [], "working": None}


def test_one_that_grows_is_left_alone(watched):
    for end in range(10, len(GOOD), 40):
        watched.put("one.zip", GOOD[:end])
        watched.pass_time(QUIET + 1)
    assert watched.kinds() == []
    watched.pass_time(QUIET + 1)  # it stands still, and has no end: a copy over a network may pause
    assert watched.kinds() == [] and watched.names() == ["one.zip"]
    watched.put("one.zip", GOOD)
    watched.pass_time(1)
    watched.pass_time(QUIET)
    assert len(watched.staged) == 1


def test_one_that_never_ends_is_refused_at_last(watched):
    watched.put("one.zip", GOOD[:-10])
    watched.pass_time(0)
    watched.pass_time(UNFINISHED)
    assert watched.kinds() == ["firmware-arrived", "firmware-refused"]
    assert watched.names() == ["one.zip.refused", "one.zip.refused.txt"]
    assert "it ends early" in (watched.folder / "one.zip.refused.txt").read_text()
    watched.pass_time(1000)
    assert len(watched.events) == 2  # what was refused is left alone


def test_one_that_somebody_still_writes_is_left_alone(watched):
    with open(watched.folder / "one.zip", "wb") as file:
        file.write(GOOD)
        file.flush()
        watched.pass_time(0)
        watched.pass_time(UNFINISHED)
        assert watched.kinds() == [] or not writers.is_being_written(watched.folder / "one.zip")
    watched.pass_time(UNFINISHED)
    assert len(watched.staged) == 1


@pytest.mark.parametrize("title", ["climbs", "bomb", "self-extracting", "encrypted"])
def test_a_hostile_one_is_told_of_and_set_aside(title, watched, home):
    made, reason = hostile.ZIPS[title]
    watched.put("bad.zip", hostile.octets(made))
    watched.pass_time(0)
    watched.pass_time(UNFINISHED)
    assert watched.kinds() == ["firmware-arrived", "firmware-refused"]
    assert reason in watched.events[-1].text and watched.events[-1].level == "warning"
    assert reason in (watched.folder / "bad.zip.refused.txt").read_text()
    assert [one.state for one in Releases(home).all()] == ["refused"] and watched.staged == []


def test_temporary_names_links_and_folders_are_nothing(watched, tmp_path):
    for name in (
        "a.zip.part",
        ".a.zip",
        "a.zip.filepart",
        "a.TMP",
        "a.zip.crdownload",
        "a.zip~",
        "b.refused",
    ):
        watched.put(name, GOOD)
    (watched.folder / "folder.zip").mkdir()
    (tmp_path / "else.zip").write_bytes(GOOD)
    (watched.folder / "link.zip").symlink_to(tmp_path / "else.zip")
    before = watched.names()
    for _ in range(3):
        watched.pass_time(UNFINISHED)
    assert watched.events == [] and watched.names() == before


def test_hold_waits_and_says_how_to_go_on(home):
    watched = Watched(home, "hold")
    watched.put("one.zip", GOOD)
    watched.pass_time(0)
    watched.pass_time(QUIET)
    assert watched.kinds() == ["firmware-arrived", "firmware-staged", "firmware-held"]
    assert "mv-iptel firmware publish one-" in watched.events[-1].text
    assert watched.staged == [] and watched.names() == []


def test_what_the_publisher_holds_is_told(watched):
    watched.held = "96xxupgrade.txt:3: GOTO leads nowhere"
    watched.put("one.zip", GOOD)
    watched.pass_time(0)
    watched.pass_time(QUIET)
    assert watched.kinds()[-1] == "firmware-held" and "GOTO leads nowhere" in watched.events[-1].text


def test_a_crash_before_the_archive_was_gone(watched, home):
    """It is found again, and nothing is there twice."""
    for _ in range(2):
        watched.put("one.zip", GOOD)
        watched.pass_time(0)
        watched.pass_time(QUIET)
    kept = Releases(home)
    assert len(kept.all()) == 1 and len(watched.staged) == 2
    kept.put(kept.all()[0].to("published", 1.0))
    watched.put("one.zip", GOOD)
    watched.pass_time(0)
    watched.pass_time(QUIET)
    assert "was here already; it is published" in watched.events[-1].text
    assert len(watched.staged) == 2 and watched.names() == []


def test_a_disk_that_fails_is_tried_again(watched, home):
    releases = home.var / "releases"
    os.rename(releases, home.var / "elsewhere")
    releases.write_text("no folder")
    watched.put("one.zip", GOOD)
    watched.pass_time(0)
    watched.pass_time(QUIET)
    watched.pass_time(QUIET)
    assert watched.kinds() == ["firmware-arrived", "firmware-held"] and watched.names() == ["one.zip"]
    releases.unlink()
    os.rename(home.var / "elsewhere", releases)
    watched.pass_time(updates.AGAIN)
    assert len(watched.staged) == 1 and watched.names() == []


def test_another_one_of_the_same_name_meanwhile(watched, home, monkeypatch):
    """What was not read is neither removed nor set aside."""
    other = hostile.made(hostile.BIN, hostile.ONE)
    watched.publish = watched.staged.append
    watched.updates._staged = lambda release: watched.put("one.zip", other) or ""
    watched.put("one.zip", GOOD)
    watched.pass_time(0)
    watched.pass_time(QUIET)
    assert watched.names() == ["one.zip"] and (watched.folder / "one.zip").read_bytes() == other


def test_names_for_messages_only(watched):
    watched.put("a\x1b[2J.zip", b"MZ")
    watched.pass_time(0)
    watched.pass_time(UNFINISHED)
    assert all(event.text.isprintable() for event in watched.events) and len(watched.events) == 2


def test_the_thread_finds_what_arrives(home, monkeypatch):
    monkeypatch.setattr(updates, "QUIET", 0.01)
    monkeypatch.setattr(updates, "SOON", 0.02)
    watched, there = Watched(home), threading.Event()
    watched.updates._staged = lambda release: watched.publish(release) or there.set() or ""
    watched.updates.start()
    try:
        watched.put("one.zip", GOOD)
        assert there.wait(60)
    finally:
        watched.updates.stop()
    assert len(watched.staged) == 1 and watched.names() == []


@pytest.mark.skipif(os.name != "posix", reason="names of any octets")
def test_names_that_nobody_can_print(watched, home):
    """Neither an archive nor what is none may stop the others, or be a line of a journal or page."""
    names = [b"a\xff\x1b[2J.zip", b"b\nc.zip", b"\xe2\x80\xae" * 60 + b"\xff.zip"]
    for at, name in enumerate(names):
        with open(os.path.join(os.fsencode(watched.folder), name), "wb") as file:
            file.write(b"no archive, number %d" % at)
    watched.put("good.zip", GOOD)
    watched.pass_time(0)
    told = watched.updates.status()["arriving"]
    assert len(told) == 4 and all(one.isprintable() for one in told)
    watched.pass_time(UNFINISHED + 1)
    assert [one.archive for one in watched.staged] == ["good.zip"]
    assert all(event.text.isprintable() and event.source.isprintable() for event in watched.events)
    left = os.listdir(os.fsencode(watched.folder))
    assert sorted(left) == sorted(
        one for name in names for one in (name[:200] + b".refused", name[:200] + b".refused.txt")
    )
    assert watched.kinds().count("firmware-refused") == 3


def test_what_cannot_be_set_aside_is_not_read_again_and_again(watched):
    watched.put("bad.zip", b"no archive")
    (watched.folder / "bad.zip.refused").mkdir()
    for _ in range(4):
        watched.pass_time(UNFINISHED + 1)
    assert watched.kinds().count("firmware-refused") == 1
    watched.put("bad.zip", GOOD)
    watched.pass_time(0)
    watched.pass_time(QUIET + 1)
    assert len(watched.staged) == 1


def test_ten_thousand_names_are_not_all_told(watched):
    for at in range(60):
        watched.put(f"{at}.zip", b"")
    watched.pass_time(0)
    assert len(watched.updates.status()["arriving"]) == updates.TOLD


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_that_takes_the_place_of_a_file_holds_nobody_up(watched):
    os.mkfifo(watched.folder / "pipe.zip")
    assert updates._patience(watched.folder / "pipe.zip") == UNFINISHED
    os.symlink("/etc/hostname", watched.folder / "link.zip")
    assert updates._patience(watched.folder / "link.zip") == UNFINISHED
