"""The directories of Files: what is in them, what is not, and every way out that there is not."""

from __future__ import annotations

import os
from threading import BoundedSemaphore

import pytest

from manager.facts import files
from manager.facts.files import Data, areas, etag_of, sha256_of
from mv_iptel.config import load
from mv_iptel.config.editing import changed
from mv_iptel.home import CHECK_FILE


@pytest.fixture
def home(fresh):
    return fresh


@pytest.fixture
def data(home):
    return Data(load(home))


def test_every_directory_has_its_name_and_who_gives_it(home):
    found = areas(load(home))
    assert {label: one.uses for label, one in found.items()} == {
        "HTTPdata": ("HTTP",), "HTTPSdata": ("HTTPS",), "TFTPdata": ("TFTP",), "FTPdata": ("FTP",),
        "Updates": ("Updates",),
    }  # fmt: skip


def test_one_directory_for_two_servers_is_one_and_may_lie_elsewhere(home, tmp_path):
    (tmp_path / "srv").mkdir()
    keys = {("TFTP", "TFTPDir"): str(tmp_path / "srv"), ("HTTP", "HTTPDir"): str(tmp_path / "srv")}
    home.ini.write_text(changed(home.ini.read_text("utf-8"), keys), "utf-8")
    found = areas(load(home))
    (label,) = (one for one in found if one.startswith("srv-"))
    assert found[label].uses == ("HTTP", "TFTP")
    (tmp_path / "srv" / "a.txt").write_text("x")
    data = Data(load(home))
    assert [one.name for one in data.listing(label).entries] == ["a.txt"]
    assert data.look(label, "a.txt").key == f"{label}/a.txt"


def test_a_directory_that_holds_the_whole_home_shows_none_of_it(home):
    keys = {("TFTP", "TFTPDir"): str(home.root)}
    home.ini.write_text(changed(home.ini.read_text("utf-8"), keys), "utf-8")
    data = Data(load(home))
    label = next(one for one in data.areas if one.startswith("home-"))
    for name in ("initial-passwords.txt", "MV_Manager/data/manager.db", "MV_IPTel/var/control.token",
                 "MV_IPTel/bin/MV_IPTel.ini", "MV_IPTel/certs/IPTelkey.pem", "MV_WatchDog/bin"):  # fmt: skip
        with pytest.raises(OSError):
            data.look(label, name)
        with pytest.raises(OSError):
            data.draft(f"{label}/{name}")


HIDDEN = ["HTTP_allow_IP.txt", "allow_IP.txt", ".secret", "a.ini", "a.key", "a.p12", "a.tmp", "a~", "archive",
          "4711_96xxdata.txt", "4711_4620data_sip.txt"]  # fmt: skip


@pytest.mark.parametrize("name", HIDDEN)
def test_what_is_never_served_is_not_here_either(home, data, name):
    (home.http_data / name).write_bytes(b"secret")
    (home.http_data / "innocent.txt").symlink_to(name)
    listed = {one.name: one for one in data.listing("HTTPdata").entries}
    assert name not in listed and listed["innocent.txt"].link == "nowhere"
    for asked in (name, "innocent.txt", f"./{name}", f"x/../{name}"):
        with pytest.raises(OSError):
            data.read("HTTPdata", asked)
    with pytest.raises(OSError):
        data.remove(f"HTTPdata/{name}")
    with pytest.raises(OSError):
        data.draft(f"HTTPdata/{name}")


def test_users_data_has_its_own_page(home, data):
    (home.ftp_data / "9610data.txt").write_bytes(b"x")
    (home.http_data / "9610data.txt").write_bytes(b"x")
    assert data.listing("FTPdata").hidden == 1
    with pytest.raises(OSError):
        data.read("FTPdata", "9610data.txt")
    assert data.read("HTTPdata", "9610data.txt")[1] == b"x"  # given to every 9610


@pytest.mark.parametrize(
    "name", ["../bin/MV_IPTel.ini", "..", "a/../../x", "/etc/passwd", "out", "out/x", "fifo"]
)
def test_nothing_leads_out(home, data, name):
    (home.http_data / "out").symlink_to("/etc")
    os.mkfifo(home.http_data / "fifo")
    with pytest.raises(OSError):
        data.read("HTTPdata", name)


def test_links_within_lead_to_the_files_own_name(home, data):
    (home.http_data / "sub").mkdir()
    (home.http_data / "sub" / "link.txt").symlink_to("../46xxsettings.txt")
    (home.tftp_data / "there").symlink_to(home.http_data)
    assert data.resolve("HTTPdata/sub/link.txt") == "HTTPdata/46xxsettings.txt"
    assert data.resolve("TFTPdata/there/sub/link.txt") == "HTTPdata/46xxsettings.txt"
    assert data.look("TFTPdata", "there/46xxsettings.txt").key == "HTTPdata/46xxsettings.txt"
    row = next(one for one in data.listing("HTTPdata", "sub").entries)
    assert row.link == "HTTPdata/46xxsettings.txt" and row.size > 1000


def test_a_page_of_a_long_listing(home, data):
    folder = home.http_data / "many"
    folder.mkdir()
    for number in range(130):
        (folder / f"0004f20000{number:02x}.txt").write_bytes(b"x" * number)
    (folder / "Z").mkdir()
    (folder / "a.bin").write_bytes(b"")
    (folder / "46xxsettings.txt").write_bytes(b"")
    first, second = (data.listing("HTTPdata", "many", page=page) for page in (1, 2))
    assert first.total == 133 and len(first.entries) == 100 and len(second.entries) == 33
    assert first.entries[0].name == "Z" and first.entries[0].folder
    biggest = data.listing("HTTPdata", "many", sort="size", down=True).entries
    assert [one.size for one in biggest[1:3]] == [129, 128]
    assert data.listing("HTTPdata", "many", query="F2000001").total == 1
    kinds = {
        kind: data.listing("HTTPdata", "many", kind=kind).total for kind in ("scripts", "firmware", "phone")
    }
    assert kinds == {"scripts": 1, "firmware": 1, "phone": 130}


def test_a_file_is_described(home, data, monkeypatch):
    found, content = data.read("HTTPdata", "46xxsettings.txt")
    assert found.text and found.what == "settings" and found.size == len(content) and not found.fixed
    assert found.etag == etag_of(os.stat(home.http_data / "46xxsettings.txt"))
    (home.http_data / "x.bin").write_bytes(b"\0" * 5000)
    binary = data.look("HTTPdata", "x.bin")
    assert not binary.text and binary.what == "firmware"
    told = sha256_of(data, binary)
    assert len(told) == 64
    monkeypatch.setattr(files, "_hashing", BoundedSemaphore(1))
    assert files._hashing.acquire(blocking=False)  # somebody else reads a long file
    assert sha256_of(data, binary) == told, "it is read once for each state"
    with pytest.raises(files.Busy):
        sha256_of(data, found)
    assert data.look("HTTPdata", CHECK_FILE).fixed


def test_the_state_of_a_file_is_another_one_after_every_change(home, data):
    path = home.http_data / "a.txt"
    path.write_bytes(b"a")
    states = [data.look("HTTPdata", "a.txt").etag]
    path.write_bytes(b"ab")
    states.append(data.look("HTTPdata", "a.txt").etag)
    os.utime(path, ns=(1, 1))
    states.append(data.look("HTTPdata", "a.txt").etag)
    os.link(path, home.var / "kept")  # keeping it is no change
    assert len(set(states)) == 3 and data.look("HTTPdata", "a.txt").etag == states[-1]
