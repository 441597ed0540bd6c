"""The superuser: who is let in and how fast, and what he sees, changes and leaves behind."""

from __future__ import annotations

import ftplib
import ipaddress
import os
import threading

import pytest

from mv_iptel import passwords
from mv_iptel.events import Finished, Notice
from mv_iptel.ftp.superuser import FIRST, LONGEST, WAITING, Guard, _who
from mv_iptel.userdata import versions
from tests.ftp.site import PASSWORD, PATIENCE, SUPER, Site, fetch, store, wait_for
from tests.ftp.test_handler import abort, begin, closed
from tests.ftp.test_phone import code

SECRET = b"not for him"


def denied(site: Site, user: str, password: str, address: str = "127.0.0.1") -> bool:
    client = site.connect(address)
    try:
        client.login(user, password)
    except ftplib.error_perm as error:
        assert str(error) == "530 Not logged in."
        client.close()
        return True
    client.quit()
    return False


# The guard: clock by hand


def test_nobody_waits_for_a_first_login():
    assert Guard().enter("192.0.2.1", 100.0) == 0.0


def test_each_failure_makes_the_next_slower():
    guard, now, waits = Guard(), 1000.0, []
    for _ in range(8):
        wait = guard.enter("192.0.2.1", now)
        waits.append(wait)
        now += wait
        guard.leave("192.0.2.1", False, now)
    assert waits == [0.0, FIRST, 2 * FIRST, 4 * FIRST, 8 * FIRST, 16 * FIRST, LONGEST, LONGEST]
    assert guard.enter("192.0.2.2", now) == 0.0  # others do not wait
    assert guard.enter("192.0.2.1", now + 3600) == 0.0  # nor for ever


def test_many_connections_wait_in_a_row():
    guard = Guard()
    guard.enter("192.0.2.1", 0.0)
    guard.leave("192.0.2.1", False, 0.0)
    assert [guard.enter("192.0.2.1", 0.0) for _ in range(WAITING)] == [
        FIRST * (1 + n) for n in range(WAITING)
    ]
    assert guard.enter("192.0.2.1", 0.0) is None
    guard.leave("192.0.2.1", True, 5.0)  # the right password clears the slate
    assert guard.enter("192.0.2.1", 5.0) == 0.0


def test_the_guard_forgets_the_oldest():
    guard = Guard()
    for number in range(3000):
        guard.leave(f"192.0.2.{number}", False, 0.0)
    assert len(guard._tries) == 1024
    assert guard.enter("192.0.2.2999", 0.0) == FIRST


def test_a_host_with_many_addresses_is_one():
    assert _who("192.0.2.1") == "192.0.2.1"
    assert _who("2001:db8::1") == _who("2001:db8::ffff") != _who("2001:db8:0:1::1")


# Login


@pytest.mark.parametrize("stored", ["plain", "scrypt"])
def test_he_signs_in(home, stored):
    kept = passwords.make(PASSWORD) if stored == "scrypt" else PASSWORD
    with Site(home, {"ftp": {"su_password": kept}}) as site:
        client = site.superuser()
        assert client.nlst() == ["data", "docs", "log"]
        client.quit()
        assert "127.0.0.1" in site.event(Notice, kind="superuser").text
        assert denied(site, SUPER, PASSWORD + "x")
        assert not denied(site, SUPER.upper(), PASSWORD)  # that is any phone
        refused = site.event(reason="bad-login")
        assert (refused.op, refused.detail) == ("read", "superuser: wrong password")
        assert PASSWORD not in repr(site.listener.events)


@pytest.mark.parametrize("keys", [{"enable_su": False}, {"su_password": ""}, {"su_password": "Avaya"}])
def test_switched_off_he_is_nobody(home, keys):
    with Site(home, {"ftp": keys}) as site:
        for password in (PASSWORD, "", "Avaya"):
            assert denied(site, SUPER, password)
        assert {one.detail for one in site.events()} == {
            "the superuser is switched off (EnableSU, or no password of this site's own)"
        }


def test_he_comes_from_his_networks_only(home):
    with Site(home, {"ftp": {"su_allow_from": (ipaddress.ip_network("127.0.0.64/28"),)}}) as site:
        assert not denied(site, SUPER, PASSWORD, "127.0.0.65")
        assert denied(site, SUPER, PASSWORD, "127.0.0.1")
        assert "SUAllowFrom" in site.event(reason="bad-login").detail


def test_after_three_failures_the_session_ends(home, monkeypatch):
    monkeypatch.setattr("mv_iptel.ftp.superuser.FIRST", 0.01)
    with Site(home) as site:
        client = site.connect()
        for _ in range(3):
            with pytest.raises(ftplib.error_perm, match="530"):
                client.login(SUPER, "wrong")
        assert client.sock.recv(1) == b""


def test_a_password_that_is_being_looked_at_holds_up_nobody(home, monkeypatch):
    gate = threading.Event()

    def check(stored: str, password: str) -> bool:
        assert gate.wait(PATIENCE)
        return stored == password

    monkeypatch.setattr(passwords, "check", check)
    with Site(home) as site:
        client = site.connect()
        client.putcmd(f"USER {SUPER}")
        client.getresp()
        client.putcmd(f"PASS {PASSWORD}")
        gone = site.connect()
        gone.sock.sendall(f"USER {SUPER}\r\nPASS x\r\n".encode())
        gone.getresp()
        other = site.phone("127.0.0.61")
        assert other.nlst() == []
        other.quit()
        gone.file.close()
        abort(gone.sock)
        gate.set()
        assert client.getresp().startswith("230")
        client.quit()


CHANGES = [
    {"enable_su": False},
    {"su_user_name": "another"},
    {"su_password": "another"},
    {"su_allow_from": (ipaddress.ip_network("127.0.0.0/8"),)},  # he is in it: the next login finds that out
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_a_reload_that_changes_his_login_ends_his_sessions(site, change):
    (site.home.http_data / "a.txt").write_bytes(b"seen")
    client, phone = site.superuser(), site.phone("127.0.0.61")
    site.reload({"settings": {"max_clients": 7}})
    assert client.pwd() == "/"  # this is no business of his
    site.reload({"ftp": change})
    with pytest.raises(ftplib.error_temp, match="421"):
        client.delete("/data/HTTPdata/a.txt")
    assert closed(client.sock)
    assert (site.home.http_data / "a.txt").read_bytes() == b"seen"
    assert phone.pwd() == "/"
    phone.quit()


def test_a_reload_while_his_password_is_looked_at(home, monkeypatch):
    gate, began = threading.Event(), threading.Event()

    def check(stored: str, password: str) -> bool:
        began.set()
        assert gate.wait(PATIENCE)
        return stored == password

    monkeypatch.setattr(passwords, "check", check)
    with Site(home) as site:
        client = site.connect()
        client.sendcmd(f"USER {SUPER}")
        client.putcmd(f"PASS {PASSWORD}")
        assert began.wait(PATIENCE)
        site.reload({"ftp": {"su_password": "another"}})
        gate.set()
        assert client.getresp().startswith("230")
        with pytest.raises(ftplib.error_temp, match="421"):
            client.pwd()


# His work


@pytest.fixture
def client(site):
    for folder in (site.home.bin, site.home.certs, site.home.var):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "secret.txt").write_bytes(SECRET)
    (site.home.http_data / "a.txt").write_bytes(b"seen")
    (site.home.docs / "manual.txt").write_bytes(b"read me")
    (site.home.log / "MV_IPTel.log").write_bytes(b"{}")
    running = site.superuser()
    yield running
    running.close()


def test_he_works_beneath_data(site, client):
    data = site.home.http_data
    assert client.pwd() == "/"
    client.cwd("data/HTTPdata")
    assert client.pwd() == "/data/HTTPdata"
    assert client.mkd("new") == "/data/HTTPdata/new"
    client.cwd("new")
    assert store(client, "x y.txt", b"x" * 300_000).startswith("226")
    assert (data / "new" / "x y.txt").stat().st_size == client.size("x y.txt") == 300_000
    assert client.sendcmd("MFMT 20200102030405 x y.txt").startswith("213")
    assert client.sendcmd("MDTM x y.txt") == "213 20200102030405"
    assert fetch(client, "x y.txt", 299_990) == b"x" * 10
    client.rename("x y.txt", "../z.txt")
    client.cwd("..")
    client.rmd("new")
    assert sorted(client.nlst()) == ["a.txt", "z.txt"]
    facts = dict(client.mlsd())
    assert (
        facts["z.txt"]["size"] == "300000"
        and facts["z.txt"]["type"] == "file"
        and "w" in facts["z.txt"]["perm"]
    )
    lines: list[str] = []
    client.retrlines("LIST", lines.append)
    assert len(lines) == 2 and all("owner" in line for line in lines)
    client.delete("z.txt")
    assert code(client, "SIZE z.txt") == code(client, "MDTM z.txt") == code(client, "DELE z.txt") == "550"
    # Everything that changed left its record, and so did what was fetched.
    site.events()
    done = [(one.op, one.name) for one in site.events(outcome="ok")]
    assert done == [
        ("store", "/data/HTTPdata/new"), ("store", "/data/HTTPdata/new/x y.txt"),
        ("store", "/data/HTTPdata/new/x y.txt"), ("read", "/data/HTTPdata/new/x y.txt"),
        ("store", "/data/HTTPdata/z.txt"), ("delete", "/data/HTTPdata/new"),
        ("delete", "/data/HTTPdata/z.txt"),
    ]  # fmt: skip
    removed = site.event(name="/data/HTTPdata/z.txt", op="delete", outcome="ok")
    assert removed.file == str(data / "z.txt")
    assert {one.mac + one.ext + one.model for one in site.events()} == {""}


def test_user_data_that_he_replaces_is_kept(site, client):
    """It becomes a version, and the history says who replaced it; elsewhere a file is a file."""
    name = "1234_4620data.txt"
    store(client, f"/data/FTPdata/{name}", b"the phone's\n")
    store(client, f"/data/FTPdata/{name}", b"his\n")
    store(client, f"/data/HTTPdata/{name}", b"no user data\n")
    assert fetch(client, f"/data/FTPdata/{name}") == b"his\n"
    found = versions.of(site.config, name)
    assert [versions.read(site.config, name, one.id) for one in found] == [b"his\n", b"the phone's\n"]
    told = versions.changes(site.config, name)
    assert [(one.how, one.address, one.proto) for one in told] == [("superuser", "127.0.0.1", "ftp")] * 2
    assert (site.home.http_data / name).read_bytes() == b"no user data\n"


def test_he_reads_docs_and_log(site, client):
    assert fetch(client, "/docs/manual.txt") == b"read me"
    assert fetch(client, "/log/MV_IPTel.log") == b"{}"
    for line in ("DELE /docs/manual.txt", "MKD /log/x", "RMD /log", "DELE /log/MV_IPTel.log", "RMD /docs"):
        assert code(client, line) == "550", line
    for name in ("/docs/manual.txt", "/log/x", "/x", "/data/x/y"):
        with pytest.raises(ftplib.error_perm, match="550"):
            store(client, name, b"x")
    assert dict(client.mlsd("/docs"))["manual.txt"]["perm"] == "r"


ESCAPES = """
CWD bin
CWD /bin
CWD /data/../bin
CWD ..//bin
CWD /certs
CWD /var
CWD data/HTTPdata/up
LIST /bin
NLST /var
MLSD /certs
MLST /bin/secret.txt
STAT /bin
SIZE /bin/secret.txt
MDTM /var/secret.txt
RETR /bin/secret.txt
RETR ../bin/secret.txt
RETR /data/HTTPdata/link
RETR /data/HTTPdata/up/certs/secret.txt
STOR /bin/x
STOR ../x
STOR /data/HTTPdata/up/bin/secret.txt
STOR /initial-passwords.txt
DELE /bin/secret.txt
DELE /data/HTTPdata/up/bin/secret.txt
MKD /bin/x
MKD /x
RMD /data
RMD /data/FTPdata
RMD /var
MFMT 20200101000000 /bin/secret.txt
RNFR /bin/secret.txt
RNFR /bin
RNFR /data/HTTPdata/up/bin/secret.txt
RNFR /
""".strip().splitlines()


@pytest.mark.parametrize("line", ESCAPES)
def test_bin_certs_and_var_do_not_exist(site, client, line):
    (site.home.http_data / "link").symlink_to(site.home.bin / "secret.txt")
    (site.home.http_data / "up").symlink_to("../..")
    before = sorted(site.home.root.rglob("*"))
    client.sendcmd("PASV")
    assert code(client, line) in ("550", "501"), line
    assert client.pwd() == "/"
    assert sorted(site.home.root.rglob("*")) == before
    for folder in (site.home.bin, site.home.certs, site.home.var):
        assert (folder / "secret.txt").read_bytes() == SECRET


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/data/HTTPdata/a.txt", "/bin/a.txt"),
        ("/data/HTTPdata/a.txt", "/log/a.txt"),
        ("/data/HTTPdata/a.txt", "/a.txt"),
        ("/data/HTTPdata/a.txt", "../../../x"),
        ("/data/HTTPdata", "/data/other"),
        ("/data", "/other"),
        ("/docs/manual.txt", "/data/HTTPdata/m.txt"),
        ("/data/HTTPdata/a.txt", "/data/FTPdata"),
    ],
)
def test_no_rename_leads_out(site, client, old, new):
    before = sorted(site.home.root.rglob("*"))
    assert code(client, f"RNFR {old}") == "350"
    assert code(client, f"RNTO {new}") == "550"
    assert code(client, f"RNTO {new}") == "503"
    assert sorted(site.home.root.rglob("*")) == before


def test_what_nobody_has(client):
    for line, answer in (("APPE /data/x", "502"), ("STOU", "502"), ("SITE EXEC id", "500"),
                         ("SITE CHMOD 777 /data", "550"), ("SITE CHMOD 777 /bin", "550"),
                         ("SITE CHMOD 99 /data/x", "501"), ("SITE", "501"),
                         ("SITE CHMOD 777 /data/HTTPdata/a.txt", "200")):  # fmt: skip
        assert code(client, line) == answer, line
    client.sendcmd("PASV")
    client.sendcmd("REST 5")
    assert code(client, "STOR /data/HTTPdata/a.txt") == "501"


def test_an_upload_that_breaks_leaves_the_old(site, client):
    client.cwd("/data/HTTPdata")
    data = begin(client, "STOR a.txt")
    assert client.getresp().startswith("150")
    data.sendall(b"half")
    wait_for("octets", lambda: [row for row in site.server.active() if row["bytes"] == 4])
    assert client.sendcmd("NOOP").startswith("200")
    abort(data)
    with pytest.raises(ftplib.error_temp, match="426"):
        client.getresp()
    assert fetch(client, "a.txt") == b"seen"
    assert client.nlst() == ["a.txt"]
    assert os.listdir(site.home.http_data) == ["a.txt"]
    assert site.event(Finished, outcome="aborted").name == "/data/HTTPdata/a.txt"


def test_he_takes_no_slot(home):
    with Site(home, {"settings": {"max_clients": 1, "client_session_time": 600.0}}) as site:
        client = site.phone("127.0.0.61")
        store(client, "1234_4620data.txt", b"x")
        boss = site.superuser("127.0.0.62")
        assert fetch(boss, "/data/FTPdata/1234_4620data.txt") == b"x"
        assert store(boss, "/data/HTTPdata/x", b"x").startswith("226")
        assert site.library.slots.used == 1
        client.quit()
        boss.quit()


def test_a_new_user_in_the_same_session_is_not_him(site, client):
    client.cwd("/data")
    assert client.login("anonymous", "x").startswith("230")
    assert client.pwd() == "/" and client.nlst() == []
    with pytest.raises(ftplib.error_perm, match="550"):
        fetch(client, "/docs/manual.txt")


def test_what_a_crash_left_is_swept_at_the_start(home):
    home.http_data.mkdir(parents=True, exist_ok=True)
    left = home.http_data / ".0123456789abcdef.part"
    left.write_bytes(b"half")
    os.utime(left, (1, 1))
    with Site(home):
        wait_for("it is gone", lambda: not left.exists())
