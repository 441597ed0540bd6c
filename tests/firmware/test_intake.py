"""Intake: an archive becomes a release that is staged, or refused with the reason, and nothing else stays."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from mv_iptel import config
from mv_iptel.firmware import intake
from mv_iptel.firmware.archives import Limits
from mv_iptel.firmware.releases import ID, Releases
from mv_iptel.firmware.working import alone
from mv_iptel.home import Home
from tests.firmware import hostile
from tests.others import MANAGER, SERVER, root_only, run_as, shared

ROOT = Path(__file__).resolve().parents[2]
GOOD = hostile.made(hostile.ONE, hostile.BIN)


@pytest.fixture
def conf(tmp_path):
    home = Home(tmp_path / "home")
    for folder in home.directories():
        folder.mkdir(parents=True, exist_ok=True)
    return config.defaults(home)


def honest(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("96xxupgrade.txt", "SET APPNAME SIP96xx_2_6_17_0.bin\nGET 46xxsettings.txt\n")
        archive.writestr("SIP96xx_2_6_17_0.bin", b"software" * 100)
        archive.writestr("signatures/SIP96xx_2_6_17_0.bin.sig", b"s" * 128)
        archive.writestr("Mlf_German.xml", "<a/>")
    return path


def test_an_honest_package_is_staged(conf, tmp_path):
    seen = []
    archive = honest(tmp_path / "96xx-IPT-SIP-R2_6_17.zip")
    one = intake.take(conf, archive, "command", progress=seen.append, now=lambda: 100.0)
    assert (one.state, one.source, one.arrived, one.note) == ("staged", "command", 100.0, "")
    assert one.id.startswith("96xx-IPT-SIP-R2_6_17-")
    assert {(file.place, file.name, file.role) for file in one.files} == {
        (place, name, role)
        for place in ("TFTPdata", "HTTPdata")
        for name, role in (("96xxupgrade.txt", "script"), ("SIP96xx_2_6_17_0.bin", "software"),
                           ("signatures/SIP96xx_2_6_17_0.bin.sig", "other"), ("Mlf_German.xml", "language"))
    }  # fmt: skip
    kept = Releases(conf.home)
    assert kept.all() == [one]
    for file in one.files:
        content = kept.content(file.sha256)
        assert content.stat().st_size == file.size and content.stat().st_mode & 0o777 == 0o444
    assert {step.what for step in seen} >= {"hashing", "keeping"}
    assert intake.take(conf, archive, "updates") == one  # as it is
    assert not (kept.folder / one.id / ".arriving").exists() and archive.exists()


def tree(folder):
    """Every file beneath a folder, but locks."""
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*")
        if path.is_file() and path.name not in ("lock", ".lock")
    )  # fmt: skip


@pytest.fixture
def archive(tmp_path):
    def write(data: bytes, name: str = "one.zip") -> Path:
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return write


@pytest.mark.parametrize(("name", "stem"), [
    ("96x1-IPT-H323-R6_8.zip", "96x1-IPT-H323-R6_8"), ("a.tar.gz", "a"), ("a.tgz", "a"), ("A.ZIP", "A"),
    ("a b\u00e9(1).zip", "a-b-1"), ("\u00e9.zip", "archive"), (".zip", "archive"), ("..\x1b[2J.zip", "2J"),
    ("x" * 200 + ".zip", "x" * 80), ("-rf.zip", "rf"), ("a..", "a"),
])  # fmt: skip
def test_ids(name, stem):
    found = intake.ident(name, "0123456789abcdef")
    assert found == f"{stem}-01234567" and ID.fullmatch(found)


@pytest.mark.parametrize("name", ["climbs.zip", "link.tar", "bomb.tar.gz", "wrong sum.zip", "program.zip"])
def test_a_hostile_archive_leaves_its_reason_and_nothing_else(name, conf, archive):
    made, reason = next((made, reason) for title, made, reason in hostile.every() if title == name)
    before = tree(conf.home.root)
    one = intake.take(conf, archive(hostile.octets(made), name), "command")
    assert one.state == "refused" and reason in one.note and one.files == ()
    here = conf.home.var.relative_to(conf.home.root) / "releases" / one.id
    assert set(tree(conf.home.root)) - set(before) == {f"{here}/release.json", f"{here}/archive.sha256"}


def test_what_was_refused_may_come_again(conf, archive):
    path = archive(GOOD)
    first = intake.take(conf, path, "command", limits=Limits(entries=1))
    assert first.state == "refused"
    assert intake.take(conf, path, "command").state == "staged"


def test_contents_are_kept_once(conf, archive):
    one = intake.take(conf, archive(GOOD), "command")
    other = intake.take(conf, archive(hostile.made(hostile.BIN, hostile.ONE), "two.zip"), "manager")
    assert one.id != other.id and {file.sha256 for file in one.files} == {file.sha256 for file in other.files}
    kept = Releases(conf.home)
    contents = [path for path in (kept.folder / "content").rglob("*") if path.is_file()]
    assert sorted(path.name for path in contents) == sorted({file.sha256 for file in one.files})
    # One that somebody has damaged is replaced by what has come.
    content = contents[0]
    content.unlink()
    content.write_bytes(b"damaged")
    assert intake.take(conf, archive(GOOD, "three.zip"), "command").state == "staged"
    assert hashlib.sha256(content.read_bytes()).hexdigest() == content.name


def test_another_archive_with_the_same_id(conf, archive):
    path = archive(GOOD)
    one = intake.take(conf, path, "command")
    (Releases(conf.home).folder / one.id / "archive.sha256").write_text("ab" * 32 + "\n")
    with pytest.raises(OSError, match="another archive with the same beginning"):
        intake.take(conf, path, "command")


def test_what_is_no_file(conf, tmp_path):
    os.mkfifo(tmp_path / "pipe.zip")
    for path in (tmp_path / "pipe.zip", tmp_path, tmp_path / "none.zip"):
        with pytest.raises(OSError):
            intake.take(conf, path, "command")
    assert Releases(conf.home).all() == []


def test_two_at_once_take_it_once(conf, archive):
    path, found = archive(GOOD), []
    threads = [
        threading.Thread(target=lambda: found.append(intake.take(conf, path, "command"))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3 and len(set(found)) == 1 and found[0].state == "staged"


def test_reading_an_archive_holds_nobody_up(conf, archive):
    """The lock of releases is taken for the last step only: a rollback need not wait."""

    def told(progress):
        if progress.what == "hashing":
            done = threading.Event()
            thread = threading.Thread(target=lambda: [done.set() for _ in [0] if _alone()])
            thread.start()
            thread.join(30)
            assert done.is_set()

    def _alone():
        with alone(conf.home, 5.0):
            return True

    assert intake.take(conf, archive(GOOD), "command", progress=told).state == "staged"


def test_who_ends_it_leaves_nothing(conf, archive):
    class Ended(Exception):
        pass

    def told(progress):
        if progress.what == "keeping":
            raise Ended

    with pytest.raises(Ended):
        intake.take(conf, archive(GOOD), "command", progress=told)
    assert tree(conf.home.var / "releases") == []


def test_old_refusals_are_forgotten(conf, archive, monkeypatch):
    monkeypatch.setattr(intake, "KEEP_REFUSED", 2)
    for number in range(4):
        intake.take(conf, archive(b"MZ%d" % number, f"{number}.zip"), "command", now=float(number).__float__)
    assert [one.archive for one in Releases(conf.home).all()] == ["3.zip", "2.zip"]


KILLED = """
import os, sys
from pathlib import Path
from mv_iptel import config
from mv_iptel.firmware import intake
from mv_iptel.home import Home
conf = config.defaults(Home(Path(sys.argv[1])))
real = getattr(intake, sys.argv[3])
def kill(*args, **more):
    os.kill(os.getpid(), 9)
def after(*args, **more):
    real(*args, **more)
    os.kill(os.getpid(), 9)
setattr(intake, sys.argv[3], after if sys.argv[4] == "after" else kill)
intake.take(conf, Path(sys.argv[2]), "command")
"""


@pytest.mark.parametrize(("step", "when"), [("_begin", "after"), ("_honest", "after"), ("_keep", "after"),
                                            ("_staged", "before")])  # fmt: skip
def test_a_crash_is_cleaned_away(step, when, conf, archive):
    path = archive(GOOD)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(conf.home.root), str(path), step, when], cwd=ROOT, check=False
    )
    assert done.returncode == -signal.SIGKILL
    kept = Releases(conf.home)
    (one,) = kept.all()
    assert one.state == "arriving"
    assert intake.clean(conf.home) == [one.id]
    assert [name for name in tree(kept.folder) if not name.startswith("content/")] == []
    assert intake.clean(conf.home) == []
    assert intake.take(conf, path, "command").state == "staged"


def test_what_is_arriving_now_is_not_cleaned(conf, archive):
    seen = []

    def told(progress):
        if progress.what == "keeping":
            seen.append(intake.clean(conf.home))

    assert intake.take(conf, archive(GOOD), "command", progress=told).state == "staged"
    assert seen == [[]] and len(Releases(conf.home).all()) == 1


def test_a_worker_that_lies_is_not_believed(conf, archive, monkeypatch):
    real = intake.Worker.unpack
    for lie in ({"name": "../x"}, {"places": ("bin",)}, {"size": 3}, {"sha256": "../../x"}, {"role": "x"},
                {"places": ()}, {"written": 77}):  # fmt: skip

        def lying(self, *args, lie=lie):
            files, left_out = real(self, *args)
            return [files[0]._replace(**lie), *files[1:]], left_out

        monkeypatch.setattr(intake.Worker, "unpack", lying)
        with pytest.raises(OSError, match="what cannot be"):
            intake.take(conf, archive(GOOD), "command")
        assert tree(conf.home.var / "releases") == []


@root_only
def test_one_user_goes_on_in_the_folder_of_another():
    """The lock that the server left is there when the manager is given the same archive."""
    with shared() as var:
        folder = var / "releases" / "one-00000000"

        def hold():
            with intake._held(folder, 0):
                pass

        run_as(SERVER, hold)
        run_as(MANAGER, hold)
        hold()
        run_as(SERVER, hold)
