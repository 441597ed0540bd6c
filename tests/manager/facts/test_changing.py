"""Changes to files: nobody overwrites what he has not seen, and nothing is ever lost."""

from __future__ import annotations

import errno
import os
import threading

import pytest

from manager.facts import changing
from manager.facts.changing import Changes, Refused
from mv_iptel.config import load
from mv_iptel.history.keeper import copies_of
from mv_iptel.home import CHECK_FILE
from mv_iptel.userdata.disk import locked


@pytest.fixture
def home(fresh):
    return fresh


@pytest.fixture
def work(home):
    return Changes(load(home))


def kind(call, *args) -> str:
    with pytest.raises(Refused) as refused:
        call(*args)
    return refused.value.kind


def test_a_file_is_made_saved_and_never_overwritten_unseen(work, home):
    first = work.put("HTTPdata", "a.txt", b"SET A 1\n", None)
    assert (home.http_data / "a.txt").read_bytes() == b"SET A 1\n"
    assert kind(work.put, "HTTPdata", "a.txt", b"x", None) == "conflict"
    second = work.put("HTTPdata", "a.txt", b"SET A 2\n", first.etag)
    with pytest.raises(Refused) as late:
        work.put("HTTPdata", "a.txt", b"SET A 3\n", first.etag)
    assert late.value.kind == "changed" and late.value.etag == second.etag
    assert (home.http_data / "a.txt").read_bytes() == b"SET A 2\n"
    os.unlink(home.http_data / "a.txt")
    assert kind(work.put, "HTTPdata", "a.txt", b"x", second.etag) == "changed"
    assert not any(name.startswith(".") for name in os.listdir(home.http_data))


def test_of_many_who_save_at_once_one_is_first_and_the_others_are_told(work, home):
    first = work.put("HTTPdata", "a.txt", b"0", None)
    told: list[str] = []

    def save(number: int) -> None:
        try:
            Changes(load(home)).put("HTTPdata", "a.txt", b"%d" % number, first.etag)
            told.append("saved")
        except Refused as refused:
            told.append(refused.kind)

    threads = [threading.Thread(target=save, args=(number,)) for number in range(1, 7)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(told) == ["changed"] * 5 + ["saved"]


def test_rights_of_a_file_stay(work, home):
    path = home.http_data / "46xxsettings.txt"
    path.chmod(0o640)
    work.put("HTTPdata", path.name, b"x", work.data.look("HTTPdata", path.name).etag)
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_script_goes_through_the_history_of_the_commands(work, home):
    found, before = work.data.read("HTTPdata", "46xxsettings.txt")
    work.put("HTTPdata", "46xxsettings.txt", before + b"SET L2Q 1\n", found.etag)
    copies = copies_of(home)
    kept = copies.of("HTTPdata/46xxsettings.txt")
    assert [copies.read("HTTPdata/46xxsettings.txt", one.id) for one in kept] == [
        before + b"SET L2Q 1\n",
        before,
    ]
    assert work.kept.of("HTTPdata/46xxsettings.txt") == []
    steps = work.past("HTTPdata", "46xxsettings.txt")
    assert [(one.now, one.script) for one in steps] == [(True, True), (False, True)]


@pytest.mark.parametrize("area, name, old", [
    ("HTTPdata", "ha96xxua3.bin", b"\0old"), ("FTPdata", "notes.txt", b"old"),
    ("HTTPdata", "mv_ca.txt", None),
    ("HTTPdata", "46xxsettings.txt", b"\0" * (5 << 20)),
])  # fmt: skip
def test_what_no_history_has_is_kept_when_it_is_replaced_or_deleted(work, home, area, name, old):
    path = work.data.areas[area].path / name
    if old is None:
        old = path.read_bytes()
    path.write_bytes(old)
    found = work.put(area, name, b"new", work.data.look(area, name).etag)
    (step,) = [one for one in work.past(area, name) if not one.script]
    assert work.content(area, name, step.id) == old
    work.remove(area, name, found.etag)
    assert not path.exists()
    back = work.put_back(area, name, step.id, None)
    assert path.read_bytes() == old
    again = work.put_back(
        area, name, next(one.id for one in work.past(area, name) if one.size == 3), back.etag
    )
    assert path.read_bytes() == b"new" and again.size == 3


def test_a_deleted_file_is_listed_and_comes_back(work, home):
    found, before = work.data.read("TFTPdata", "46xxupgrade.scr")
    work.remove("TFTPdata", "46xxupgrade.scr", found.etag)
    binary = work.put("TFTPdata", "a.bin", b"\0", None)
    work.remove("TFTPdata", "a.bin", binary.etag)
    assert [name for name, _ in work.deleted("TFTPdata")] == ["a.bin", "46xxupgrade.scr"]
    assert work.deleted("HTTPdata") == []
    step = next(one for one in work.past("TFTPdata", "46xxupgrade.scr") if not one.gone)
    assert kind(work.content, "TFTPdata", "46xxupgrade.scr", "nonsense") == "not-found"
    work.put_back("TFTPdata", "46xxupgrade.scr", step.id, None)
    assert (home.tftp_data / "46xxupgrade.scr").read_bytes() == before
    assert [name for name, _ in work.deleted("TFTPdata")] == ["a.bin"]


def test_what_cannot_be_kept_is_not_replaced(work, home, tmp_path):
    found = work.put("HTTPdata", "a.bin", b"\0old", None)
    (home.var / "kept").write_bytes(b"in the way")
    assert kind(work.put, "HTTPdata", "a.bin", b"new", found.etag) == "fault"
    assert kind(work.remove, "HTTPdata", "a.bin", found.etag) == "fault"
    assert (home.http_data / "a.bin").read_bytes() == b"\0old"


@pytest.mark.parametrize("name", [
    "../x", "a/../../x", "/x", "a\\b", "nul.txt", "COM1", "a ", "a.", "a:b", "a?b", "x%41",
    "a\u202etxt", "a\nb",
    "a" * 201, "HTTP_allow_IP.txt", "allow_ip.TXT", "4711_96xxdata.txt", ".hidden", "a.ini", "A.KEY", "a.p12",
    "a.part", "archive/x", "a~", CHECK_FILE, "", "a//b", "x\0y",
])  # fmt: skip
def test_names_that_are_not_taken(work, home, name):
    before = sorted(os.listdir(home.http_data))
    assert kind(work.put, "HTTPdata", name, b"x", None) == "invalid"
    assert kind(work.make_folder, "HTTPdata", name) == "invalid"
    found = work.data.look("HTTPdata", "mv_ca.txt")
    assert kind(work.rename, "HTTPdata", "mv_ca.txt", name, found.etag) == "invalid"
    assert sorted(os.listdir(home.http_data)) == before
    assert kind(work.put, "nowhere", "a.txt", b"x", None) == "not-found"


def test_names_that_phones_cannot_tell_apart(work):
    work.put("HTTPdata", "Läb.txt", b"x", None)
    assert kind(work.put, "HTTPdata", "46XXsettings.txt", b"x", None) == "conflict"
    assert kind(work.put, "HTTPdata", "la\u0308b.TXT", b"x", None) == "conflict"


def test_the_watchdogs_file_is_the_servers(work):
    etag = work.data.look("HTTPdata", CHECK_FILE).etag
    assert kind(work.put, "HTTPdata", CHECK_FILE, b"x", etag) == "conflict"
    assert kind(work.remove, "HTTPdata", CHECK_FILE, etag) == "conflict"


def test_a_link_is_not_changed_but_what_it_leads_to(work, home):
    (home.http_data / "link.txt").symlink_to("46xxsettings.txt")
    etag = work.data.look("HTTPdata", "link.txt").etag
    assert kind(work.put, "HTTPdata", "link.txt", b"x", etag) == "conflict"
    assert kind(work.remove, "HTTPdata", "link.txt", etag) == "conflict"


def test_rename(work, home):
    found = work.data.look("HTTPdata", "46xxsettings.txt")
    assert kind(work.rename, "HTTPdata", "46xxsettings.txt", "mv_ca.txt", found.etag) == "conflict"
    assert kind(work.rename, "HTTPdata", "46xxsettings.txt", "b.txt", "other") == "changed"
    renamed = work.rename("HTTPdata", "46xxsettings.txt", "46XXsettings.txt", found.etag)
    assert renamed.name == "46XXsettings.txt" and renamed.etag == found.etag
    assert copies_of(home).of("HTTPdata/46xxsettings.txt")[0].gone
    assert [name for name, _ in work.deleted("HTTPdata")] == ["46xxsettings.txt"]


def test_folders(work, home):
    assert work.make_folder("HTTPdata", "site") == "site"
    assert kind(work.make_folder, "HTTPdata", "SITE") == "conflict"
    work.put("HTTPdata", "site/46xxsettings.txt", b"SET L2Q 1\n", None)
    assert kind(work.remove_folder, "HTTPdata", "site") == "conflict"
    work.remove("HTTPdata", "site/46xxsettings.txt", work.data.look("HTTPdata", "site/46xxsettings.txt").etag)
    work.remove_folder("HTTPdata", "site")
    assert not (home.http_data / "site").exists()


def test_data_directories_stay(work, home):
    (home.http_data / "TFTP").symlink_to(home.tftp_data)
    for area in ("HTTPdata", "Updates"):
        with pytest.raises(OSError):
            work.data.rmdir(area)
        with pytest.raises(OSError):
            work.data.rename(area, "HTTPdata/x")


def test_there_are_limits(work, monkeypatch):
    assert kind(work.draft, "HTTPdata", "a.bin", None, changing.LONGEST + 1) == "too-big"
    monkeypatch.setattr(changing, "SPARE", 1 << 60)
    assert kind(work.draft, "HTTPdata", "a.bin", None, 10) == "disk-full"


def test_a_disk_that_gets_full_meanwhile_stays_usable(work, home, monkeypatch):
    """A body in chunks says not how long it is; and others write, too."""
    draft = work.draft("HTTPdata", "a.bin", None)
    draft.write(b"half")
    monkeypatch.setattr(changing, "SPARE", 1 << 60)
    assert kind(draft.write, b"more") == "disk-full"
    draft.abort()
    assert not list(home.http_data.glob("*a.bin"))


def test_a_draft_that_is_given_up_leaves_nothing(work, home):
    draft = work.draft("HTTPdata", "a.bin", None)
    draft.write(b"half")
    draft.abort()
    draft.abort()
    assert not (home.http_data / "a.bin").exists()
    assert not any(name.startswith(".") for name in os.listdir(home.http_data))


def test_what_a_crash_left_goes(work, home):
    for name, age in ((".0123456789abcdef.part", 7200), (".fedcba9876543210.part", 0)):
        path = home.http_data / name
        path.write_bytes(b"half")
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    changing._swept.discard(home.root)
    work.put("HTTPdata", "a.txt", b"x", None)
    assert [name for name in os.listdir(home.http_data) if name[0] == "."] == [".fedcba9876543210.part"]


def test_a_lock_that_somebody_keeps_stops_it(work, home, monkeypatch):
    monkeypatch.setattr(changing, "locked", lambda path: locked(path, 0.05))
    from mv_iptel.userdata.disk import open_lock, take_lock

    fd = open_lock(home.lock)
    try:
        assert take_lock(fd)
        with pytest.raises((Refused, OSError)) as told:
            work.put("HTTPdata", "a.txt", b"x", None)
    finally:
        os.close(fd)
    assert not isinstance(told.value, OSError) or told.value.errno == errno.ETIMEDOUT
    assert not (home.http_data / "a.txt").exists()
