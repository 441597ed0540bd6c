"""A phone's session: it goes anywhere, sees nothing, learns nothing, and changes nothing but its own data."""

from __future__ import annotations

import ftplib

import pytest

from mv_iptel.events import Finished
from tests.ftp.site import SUPER, Site, fetch, store

NAME = "1234_4620data.txt"


def code(client: ftplib.FTP, line: str) -> str:
    """The code that answers a command."""
    try:
        return client.sendcmd(line)[:3]
    except ftplib.Error as error:
        return str(error)[:3]


def test_any_user_with_any_password_is_a_phone(site):
    for user, password in (("anonymous", "x@y"), ("ftp", ""), ("root", "root"), ("Mvuser", "of this site")):
        client = site.connect()
        assert client.welcome.startswith("220") and "pyftpdlib" not in client.welcome
        assert client.login(user, password).startswith("230")
        assert client.nlst() == []
        client.quit()


def test_nothing_without_a_login(site):
    client = site.connect()
    for line in ("STOR x", f"RETR {NAME}", "PASV", "PORT 127,0,0,1,100,1", "CWD /", "MKD x", "LIST", "TYPE I",
                 "SITE CHMOD 777 x", "APPE x", "STAT x"):  # fmt: skip
        assert code(client, line) == "530", line
    assert code(client, "PASS x") == "503"
    assert code(client, "NOOP") == code(client, "USER anonymous")[:0] + "200"
    client.close()


def test_every_directory_is_there(site):
    client = site.phone()
    base = "/opt/ecs/mvuser/MV_IPTel/data"
    for went, is_now in ((f"{base}/FTPdata", f"{base}/FTPdata"), ("..", base), ("a dir", f"{base}/a dir"),
                         ("/", "/"), ("../../..", "/"), ('a"b', '/a"b'), ("//x//y/", "/x/y"),
                         ("data\\FTPdata", "/x/y/data\\FTPdata")):  # fmt: skip
        assert client.sendcmd(f"CWD {went}").startswith("250")
        assert client.pwd() == is_now
    assert client.sendcmd("CDUP").startswith("250")
    assert client.pwd() == "/x/y"
    assert code(client, "CWD " + "x" * 1030) == "550"
    client.quit()


@pytest.mark.parametrize(
    "folder", ["", "/", "/opt/ecs/mvuser/MV_IPTel/data/FTPdata", "\\data\\FTPdata", "x y"]
)
def test_only_the_last_part_of_a_name_counts(site, folder):
    client = site.phone()
    if folder:
        client.cwd(folder)
    assert store(client, NAME, b"a").startswith("226")
    assert store(client, f"/any/{NAME}", b"b").startswith("226")
    client.cwd("/elsewhere")
    assert fetch(client, NAME) == b"b"
    client.quit()
    assert [path.name for path in site.home.ftp_data.iterdir()] == [NAME]


def test_listings_are_empty_and_correct(site):
    client = site.phone()
    store(client, NAME, b"there")
    for line in ("LIST", "LIST -la", "NLST", "MLSD", "LIST /", f"NLST {NAME}", "LIST ../.."):
        found: list[str] = []
        assert client.retrlines(line, found.append).startswith("226")
        assert found == []
    assert client.sendcmd("STAT /").startswith("213")
    assert "Connected" in client.sendcmd("STAT")
    assert "type=dir" in client.sendcmd("MLST")
    client.quit()


def test_nothing_is_learnt_without_asking_for_the_file(site):
    client = site.phone()
    store(client, NAME, b"there")
    for line, answer in (("SIZE", "502"), ("MDTM", "502"), ("MLST", "550")):
        assert code(client, f"{line} {NAME}") == code(client, f"{line} 9999_4620data.txt") == answer
    client.quit()


@pytest.mark.parametrize(
    ("line", "answer", "op"),
    [
        ("MKD x", "550", "store"), ("XMKD x", "550", "store"), ("RMD x", "550", "delete"),
        (f"DELE {NAME}", "550", "delete"), (f"RNFR {NAME}", "550", "store"), ("RNTO x", "503", ""),
        (f"APPE {NAME}", "550", "store"), ("STOU", "550", "store"), (f"STOU {NAME}", "550", "store"),
        ("SITE CHMOD 777 x", "550", "store"), ("SITE EXEC ls", "550", "store"),
        (f"MFMT 20200101000000 {NAME}", "550", "store"),
        ("XYZZY", "500", ""), ("STOR", "501", ""), ("RETR", "501", ""), ("MODE Z", "501", ""),
        ("STRU R", "504", ""),
    ],
)  # fmt: skip
def test_everything_else_is_refused_and_seen(site, line, answer, op):
    client = site.phone()
    store(client, NAME, b"there")
    assert code(client, line) == answer
    assert fetch(client, NAME) == b"there"
    client.quit()
    assert [one.op for one in site.events(outcome="refused", reason="read-only")] == ([op] if op else [])


def test_types_are_all_one(site):
    data = b"lines\r\nof\nboth\rkinds\x00\xff" * 100
    client = site.phone()
    for kind in ("A", "A N", "I", "L 8"):
        assert code(client, f"TYPE {kind}") == "200"
        with client.transfercmd(f"STOR {NAME}") as sock:
            sock.sendall(data)
        assert client.voidresp().startswith("226")
        assert (site.home.ftp_data / NAME).read_bytes() == data
        client.sendcmd(f"TYPE {kind}")
        with client.transfercmd(f"RETR {NAME}") as sock, sock.makefile("rb") as file:
            assert file.read() == data
        assert client.voidresp().startswith("226")
    assert code(client, "TYPE E") == "504"
    client.quit()


def test_a_stored_file_is_stored_whole(site):
    client = site.phone()
    store(client, NAME, b"0123456789")
    client.voidcmd("TYPE I")
    client.sendcmd("PASV")
    assert client.sendcmd("REST 4").startswith("350")
    assert code(client, f"STOR {NAME}") == "501"
    assert fetch(client, NAME, 4) == b"456789"
    assert fetch(client, NAME, 10) == b""
    assert fetch(client, NAME) == b"0123456789"
    client.sendcmd("REST 11")
    with pytest.raises(ftplib.error_perm, match="501"):
        fetch(client, NAME)
    client.quit()


OTHERS = ["x.txt", "../../bin/MV_IPTel.ini", "FTP_allow_IP.txt", "1234_4620data.txt.bak", "..", "data.txt",
          "46xxsettings.txt"]  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_other_names_are_neither_stored_nor_fetched(site, name):
    client = site.phone()
    for act in (lambda: store(client, name, b"x"), lambda: fetch(client, name)):
        with pytest.raises(ftplib.error_perm, match="550"):
            act()
    client.quit()
    assert list(site.home.ftp_data.iterdir()) == []
    assert len(site.events(Finished, outcome="refused")) == 2


def test_octets_that_are_no_utf_8_come_back_as_they_went(site):
    client = ftplib.FTP(encoding="latin-1")
    site.phone(client=client)
    client.cwd("/B\xfcro")
    assert client.pwd() == "/B\xfcro"
    assert store(client, NAME, b"x").startswith("226")
    client.quit()


def test_a_name_with_control_characters_is_none(site):
    client = site.phone()
    client.sock.sendall(b"CWD a\n230 b\r\n")
    with pytest.raises(ftplib.error_perm, match="501"):
        client.getresp()
    assert client.pwd() == "/"
    client.quit()


def test_who_only_tries_is_shown_out(home):
    with Site(home) as site:
        client = site.phone()
        codes = []
        for _ in range(80):
            try:
                codes.append(code(client, "DELE x"))
            except (EOFError, OSError):
                break
        assert set(codes[:63]) == {"550"}
        assert len(codes) < 70
        assert len(site.events(outcome="refused")) <= 64


def test_a_phone_signs_in_anew(site):
    client = site.phone()
    client.cwd("/x")
    assert client.login("another", "y").startswith("230")
    assert client.pwd() == "/"
    assert client.sendcmd("REIN").startswith("230")
    assert code(client, "PWD") == "530"
    assert client.login().startswith("230")
    client.quit()


def test_the_superusers_name_opens_nothing_without_his_password(site):
    client = site.connect()
    with pytest.raises(ftplib.error_perm, match="530"):
        client.login(SUPER, "wrong")
    assert code(client, "PWD") == "530"
    client.close()
    assert site.event(reason="bad-login").op == "read"
