"""The superuser's tree: what he sees, what he may change, and every way out of it that there is not."""

from __future__ import annotations

import errno
import os
import queue
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mv_iptel import config
from mv_iptel.home import Home
from mv_iptel.library.answers import Reason, Refuse
from mv_iptel.library.tree import Put, Tree, refusal

SECRET = b"not for him"


def make(root: Path) -> Home:
    """A home with something in each directory."""
    home = Home(root)
    for folder in (home.bin, home.certs, home.var, home.http_data, home.ftp_data, home.docs, home.log):
        folder.mkdir(parents=True)
        (folder / "a.txt").write_bytes(SECRET if folder in (home.bin, home.certs, home.var) else b"seen")
    (home.manager).mkdir()
    (root / "initial-passwords.txt").write_bytes(SECRET)
    return home


@pytest.fixture
def home(tmp_path):
    return make(tmp_path / "home")


@pytest.fixture
def tree(home):
    return Tree(config.defaults(home))


def put(tree: Tree, path: str, data: bytes) -> Put | Refuse:
    """Upload, and wait for it."""
    draft = tree.draft(path)
    assert draft.write(data) is None
    done: queue.Queue[Put | Refuse] = queue.Queue()
    draft.commit(done.put)
    return done.get(timeout=30)


def error_of(act, *arguments: object) -> int:
    """The number of the error that this raises, or 0."""
    try:
        act(*arguments)
    except OSError as error:
        assert "/home" not in (error.strerror or ""), "no path of ours is told"
        return error.errno or -1
    return 0


def content(home: Home) -> dict[str, bytes | str]:
    """Everything in the home: to see that nothing changed."""
    found: dict[str, bytes | str] = {}
    for folder, folders, files in os.walk(home.root):
        for name in folders + files:
            path = Path(folder, name)
            if path.is_symlink():
                found[str(path)] = os.readlink(path)
            elif path.is_file():
                found[str(path)] = path.read_bytes()
    return found


def test_he_sees_three_directories(tree):
    assert tree.listdir("/") == ["data", "docs", "log"]
    assert sorted(tree.listdir("/data")) == ["FTPdata", "HTTPdata"]
    assert tree.listdir("/log") == ["a.txt"]


def test_he_reads_in_all_three(tree):
    for path in ("/data/HTTPdata/a.txt", "/docs/a.txt", "/log/a.txt"):
        with tree.open(path) as body:
            assert os.read(body.fd, 100) == b"seen"
            assert body.size == tree.stat(path).st_size == 4


def test_what_he_stores_is_there_whole(tree, home):
    result = put(tree, "/data/HTTPdata/new.txt", b"x" * 100_000)
    assert isinstance(result, Put) and result.size == 100_000
    assert (home.http_data / "new.txt").read_bytes() == b"x" * 100_000
    assert sorted(tree.listdir("/data/HTTPdata")) == ["a.txt", "new.txt"]
    assert not list(home.http_data.glob(".*"))


def test_a_replaced_file_keeps_its_rights(tree, home):
    (home.http_data / "a.txt").chmod(0o640)
    put(tree, "/data/HTTPdata/a.txt", b"new")
    assert (home.http_data / "a.txt").read_bytes() == b"new"
    assert (home.http_data / "a.txt").stat().st_mode & 0o777 == 0o640


def test_nobody_sees_an_upload_before_its_end(tree, home):
    draft = tree.draft("/data/HTTPdata/a.txt")
    draft.write(b"half")
    assert (home.http_data / "a.txt").read_bytes() == b"seen"
    assert tree.listdir("/data/HTTPdata") == ["a.txt"]
    (aside,) = home.http_data.glob(".*.part")
    assert error_of(tree.open, f"/data/HTTPdata/{aside.name}") == errno.ENOENT
    assert error_of(tree.stat, f"/data/HTTPdata/{aside.name}") == errno.ENOENT
    assert error_of(tree.remove, f"/data/HTTPdata/{aside.name}") == errno.ENOENT
    draft.abort()
    draft.abort()
    assert not aside.exists()
    assert isinstance(draft.write(b"more"), Refuse)


def test_what_a_crash_left_is_swept(tree, home):
    draft = tree.draft("/data/HTTPdata/a.txt")
    draft.write(b"half")
    (aside,) = home.http_data.glob(".*.part")
    other = home.ftp_data / ".1234_4620data.txt.0123abcd.part"  # the store looks after its own
    other.write_bytes(b"")
    assert tree.sweep(aside.stat().st_mtime) == 0
    assert tree.sweep(aside.stat().st_mtime + 1) == 1
    assert not aside.exists() and other.exists()
    done: queue.Queue[object] = queue.Queue()
    draft.commit(done.put)
    assert isinstance(done.get(timeout=30), Refuse)
    assert (home.http_data / "a.txt").read_bytes() == b"seen"


def test_directories_and_names(tree, home):
    tree.mkdir("/data/HTTPdata/sub")
    tree.rename("/data/HTTPdata/a.txt", "/data/HTTPdata/sub/b.txt")
    tree.utime("/data/HTTPdata/sub/b.txt", 1_000_000_000)
    assert (home.http_data / "sub" / "b.txt").stat().st_mtime == 1_000_000_000
    assert error_of(tree.rmdir, "/data/HTTPdata/sub") == errno.ENOTEMPTY
    assert error_of(tree.remove, "/data/HTTPdata/sub") == errno.EISDIR
    tree.remove("/data/HTTPdata/sub/b.txt")
    tree.rmdir("/data/HTTPdata/sub")
    assert error_of(tree.draft, "/data/HTTPdata") == errno.EISDIR


def test_rights_stay_within_what_the_server_needs(tree, home):
    tree.mkdir("/data/HTTPdata/sub")
    for mode, file, folder in ((0o777, 0o775, 0o775), (0o000, 0o600, 0o700), (0o644, 0o644, 0o744)):
        tree.chmod("/data/HTTPdata/a.txt", mode)
        tree.chmod("/data/HTTPdata/sub", mode)
        assert (home.http_data / "a.txt").stat().st_mode & 0o777 == file
        assert (home.http_data / "sub").stat().st_mode & 0o777 == folder
    (home.http_data / "link").symlink_to(home.bin / "a.txt")
    for path in ("/data/HTTPdata/link", "/data/HTTPdata", "/docs/a.txt", "/bin/a.txt", "/data"):
        assert error_of(tree.chmod, path, 0o777), path


# (what, names). Each must fail, and change nothing.
FORBIDDEN = [
    ("open", "/bin/a.txt"), ("open", "/certs/a.txt"), ("open", "/var/a.txt"),
    ("open", "/../initial-passwords.txt"),
    ("open", "/data/../bin/a.txt"), ("open", "/data/./../bin/a.txt"), ("open", "/data"), ("open", "/"),
    ("open", "/docs/out/a.txt"), ("open", "/data/HTTPdata/link"), ("open", "/data/HTTPdata/up/bin/a.txt"),
    ("open", "/data/HTTPdata/absolute"), ("open", "/data/HTTPdata/loop"), ("open", "/data/HTTPdata/fifo"),
    ("open", "/data/HTTPdata/chain"),
    ("listdir", "/bin"), ("listdir", "/var"), ("listdir", "/data/.."), ("listdir", "/data/HTTPdata/up"),
    ("listdir", "/docs/out"), ("stat", "/bin"), ("stat", "/certs/a.txt"), ("stat", "/data/HTTPdata/link"),
    ("stat", "/data/HTTPdata/up/bin"),
    ("draft", "/x"), ("draft", "/data"), ("draft", "/data/HTTPdata"), ("draft", "/docs/x"),
    ("draft", "/log/a.txt"), ("draft", "/bin/MV_IPTel.ini"), ("draft", "/data/HTTPdata/up/bin/x"),
    ("draft", "/data/HTTPdata/todocs/x"),
    ("draft", "/data/HTTPdata/a\nb"), ("draft", "/data/HTTPdata/.x.part"),
    ("mkdir", "/x"), ("mkdir", "/data"), ("mkdir", "/bin/x"), ("mkdir", "/log/x"),
    ("mkdir", "/data/HTTPdata/todocs/x"),
    ("rmdir", "/data"), ("rmdir", "/docs"), ("rmdir", "/data/empty"), ("rmdir", "/var"),
    ("remove", "/log/a.txt"), ("remove", "/docs/a.txt"), ("remove", "/bin/a.txt"),
    ("remove", "/data/HTTPdata/todocs/a.txt"),
    ("rename", "/data", "/data2"), ("rename", "/data/HTTPdata", "/data/other"),
    ("rename", "/data/new", "/data/FTPdata"), ("rename", "/data/HTTPdata/a.txt", "/log/a.txt"),
    ("rename", "/data/HTTPdata/a.txt", "/bin/a.txt"), ("rename", "/log/a.txt", "/data/HTTPdata/b.txt"),
    ("rename", "/bin/a.txt", "/data/HTTPdata/b.txt"), ("rename", "/data/HTTPdata/a.txt", "/data/../bin/x"),
    ("rename", "/data/HTTPdata/a.txt", "/data/HTTPdata/todocs/x"),
    ("rename", "/data/HTTPdata/up/bin/a.txt", "/data/HTTPdata/b.txt"),
    ("rename", "/data/sub", "/data/else"),
]  # fmt: skip


@pytest.mark.parametrize("step", FORBIDDEN, ids=" ".join)
def test_there_is_no_way_out(step, home):
    (home.http_data / "link").symlink_to("../../bin/a.txt")
    (home.http_data / "up").symlink_to("../..")
    (home.http_data / "absolute").symlink_to(home.bin / "a.txt")
    (home.http_data / "loop").symlink_to("loop")
    (home.http_data / "chain").symlink_to("up/bin/a.txt")
    (home.http_data / "todocs").symlink_to(home.docs)
    (home.docs / "out").symlink_to(home.bin)
    os.mkfifo(home.http_data / "fifo")
    (home.data / "new").mkdir()
    (home.data / "sub" / "HTTPS").mkdir(parents=True)
    (home.data / "empty").mkdir()
    base = config.defaults(home)
    changed = config.Config(**{
        **{name: getattr(base, name) for name in base.__dataclass_fields__},
        "https": type(base.https)(**{**vars(base.https), "https_dir": home.data / "sub" / "HTTPS"}),
        "tftp": type(base.tftp)(**{**vars(base.tftp), "tftp_dir": home.data / "empty"}),
    })  # fmt: skip
    tree = Tree(changed)
    before = content(home)
    what, *names = step
    assert error_of(getattr(tree, what), *names), step
    assert content(home) == before


def test_links_within_the_tree_are_followed(tree, home):
    (home.http_data / "same").symlink_to("a.txt")
    (home.http_data / "ftp").symlink_to(home.ftp_data)
    (home.http_data / "docs").symlink_to(home.docs)
    with tree.open("/data/HTTPdata/same") as body:
        assert body.size == 4
    put(tree, "/data/HTTPdata/ftp/b.txt", b"b")
    assert (home.ftp_data / "b.txt").read_bytes() == b"b"
    assert tree.listdir("/data/HTTPdata/docs") == ["a.txt"]
    # A link is replaced and removed itself; what it led to stays.
    put(tree, "/data/HTTPdata/same", b"new")
    assert (home.http_data / "a.txt").read_bytes() == b"seen"
    tree.remove("/data/HTTPdata/docs")
    assert (home.docs / "a.txt").exists()


def test_a_data_directory_elsewhere_is_none_of_his(tmp_path):
    """An administrator who moved one out of data by a link keeps it for himself."""
    home = make(tmp_path / "home")
    (tmp_path / "srv").mkdir()
    (home.data / "Updates").symlink_to(tmp_path / "srv")
    tree = Tree(config.defaults(home))
    assert error_of(tree.listdir, "/data/Updates") == errno.ENOENT
    assert error_of(tree.rename, "/data/Updates", "/data/u") == errno.EACCES
    assert error_of(tree.remove, "/data/Updates") == errno.EACCES
    assert error_of(tree.draft, "/data/Updates") == errno.EACCES
    assert error_of(tree.rename, "/data/HTTPdata/a.txt", "/data/Updates") == errno.EACCES


def test_a_directory_that_becomes_a_link_under_way(tree, home):
    """The walk holds directories, not names: what is changed meanwhile leads nowhere else."""
    (home.http_data / "sub").mkdir()
    draft = tree.draft("/data/HTTPdata/sub/a.txt")
    (home.http_data / "sub").rename(home.http_data / "moved")
    (home.http_data / "sub").symlink_to(home.bin)
    draft.write(b"x")
    done = threading.Event()
    draft.commit(lambda _: done.set())
    assert done.wait(30)
    assert (home.bin / "a.txt").read_bytes() == SECRET
    assert (home.http_data / "moved" / "a.txt").read_bytes() == b"x"


PARTS = ["data", "bin", "..", ".", "", "HTTPdata", "up", "var", "a.txt", "docs", "\\"]


@given(st.lists(st.sampled_from(PARTS), max_size=6))
def test_no_name_leads_to_a_secret(made, parts):
    path = "/" + "/".join(parts)
    try:
        with made.open(path) as body:
            assert os.pread(body.fd, 100, 0) == b"seen"
    except OSError:
        pass


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    home = make(tmp_path_factory.mktemp("tree") / "home")
    (home.http_data / "up").symlink_to("../..")
    return Tree(config.defaults(home))


def test_errors_become_reasons():
    for code, reason in ((errno.ENOENT, Reason.NO_FILE), (errno.EACCES, Reason.NOT_ALLOWED),
                         (errno.ENOSPC, Reason.DISK_FULL), (errno.EIO, Reason.FAULT)):  # fmt: skip
        assert refusal(OSError(code, os.strerror(code)), "/data/x").reason is reason


def test_a_full_disk_is_told(tree, home):
    draft = tree.draft("/data/HTTPdata/a.txt")
    os.dup2(os.open("/dev/full", os.O_WRONLY), draft._fd)
    refuse = draft.write(b"x")
    assert refuse is not None and refuse.reason is Reason.DISK_FULL
    draft.abort()
    assert (home.http_data / "a.txt").read_bytes() == b"seen"
    assert not list(home.http_data.glob(".*"))


def test_another_tree_of_directories_wherever_they_lie(home, tmp_path):
    """The manager's: every one of them may be changed, none of them moved, and all else is not there."""
    (tmp_path / "srv" / "sub").mkdir(parents=True)
    (tmp_path / "srv" / "b.txt").write_bytes(b"seen")
    (home.http_data / "srv").symlink_to(tmp_path / "srv")
    (home.http_data / "link.txt").symlink_to("srv/b.txt")
    (home.http_data / "docs").symlink_to(home.docs)
    tree = Tree(config.defaults(home), {"one": home.http_data, "two": tmp_path / "srv"})
    assert sorted(tree.listdir("")) == ["one", "two"]
    put(tree, "/one/srv/c.txt", b"c")
    assert (tmp_path / "srv" / "c.txt").read_bytes() == b"c"
    assert tree.resolve("/one/srv/sub") == "two/sub" and tree.resolve("one/link.txt") == "two/b.txt"
    assert tree.resolve("one") == "one"
    assert error_of(tree.resolve, "/one/docs/a.txt") == errno.ENOENT
    assert error_of(tree.listdir, "/data") == errno.ENOENT
    assert error_of(tree.rmdir, "/two") == errno.EACCES
    assert tree.sweep(0) == 0


def test_no_name_leads_to_a_file_that_is_nobodys(home):
    """A tree of the whole home has no passwords in it."""
    tree = Tree(config.defaults(home), {"all": home.root})
    assert error_of(tree.open, "/all/initial-passwords.txt") == errno.ENOENT
    assert error_of(tree.listdir, "/all/MV_Manager") == errno.ENOENT
    assert error_of(tree.remove, "/all/initial-passwords.txt") == errno.EACCES


def test_what_is_raised_in_its_turn_stops_an_upload(tree, home):
    upload = tree.draft("/data/HTTPdata/a.txt")
    upload.write(b"new")

    @contextmanager
    def turn():
        raise ValueError
        yield

    with pytest.raises(ValueError):
        upload.finish(turn())
    upload.abort()
    assert (home.http_data / "a.txt").read_bytes() == b"seen"
    assert sorted(os.listdir(home.http_data)) == ["a.txt"]
