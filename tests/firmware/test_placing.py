"""Placing: which directory each member of an archive goes to, and what it is to a phone."""

from __future__ import annotations

from pathlib import Path

import pytest

from mv_iptel import config
from mv_iptel.firmware.placing import Described, described, directories, needs_content, place, role
from mv_iptel.home import Home

BOTH = ("TFTPdata", "HTTPdata")


def placed(*names: str, **where: str):
    found = place(names, {key: Path(value) for key, value in where.items()})
    assert not found.wrong, found.wrong
    return {one.name: one.places for one in found.placed}


def test_the_top_says_where_and_else_both():
    assert placed(
        "96xxupgrade.txt", "signatures/one.sig", "HTTPdata/page.txt", "tftpDATA/sub/a.bin", "FTPdata/b.txt",
        "HTTPSdata/c.txt", "docs/TFTPdata/d.txt",
    ) == {
        "96xxupgrade.txt": BOTH, "signatures/one.sig": BOTH, "page.txt": ("HTTPdata",),
        "sub/a.bin": ("TFTPdata",),
        "b.txt": ("FTPdata",), "c.txt": ("HTTPSdata",), "docs/TFTPdata/d.txt": BOTH,
    }  # fmt: skip


def test_lists_go_where_they_are_named_for():
    assert placed("a.bin", "TFTP_allow_IP.txt", "HTTP_allow_IP.txt", "HTTPS_ALLOW_ip.txt", "FTP_allow_IP.txt",
                  "HTTPdata/allow_IP.txt") == {
        "a.bin": BOTH, "TFTP_allow_IP.txt": ("TFTPdata",), "HTTP_allow_IP.txt": ("HTTPdata",),
        "HTTPS_ALLOW_ip.txt": ("HTTPSdata",), "FTP_allow_IP.txt": ("FTPdata",), "allow_IP.txt": ("HTTPdata",),
    }  # fmt: skip
    assert placed("a.bin", "allow_IP.txt")["allow_IP.txt"] == BOTH


@pytest.mark.parametrize(("names", "found"), [
    (["96x1/96x1Hupgrade.txt", "96x1/signatures/a.sig"], ["96x1Hupgrade.txt", "signatures/a.sig"]),
    (["a/b/46xxupgrade.scr", "a/b/one.app"], ["46xxupgrade.scr", "one.app"]),
    (["pkg/TFTPdata/a.bin", "pkg/HTTPdata/b.bin"], ["a.bin", "b.bin"]),
    (["pkg/a.bin", "__MACOSX/pkg/._a.bin", "pkg/.DS_Store"], ["a.bin"]),
    (["signatures/a.sig", "signatures/b.sig"], ["signatures/a.sig", "signatures/b.sig"]),
    (["pkg/a.bin", "readme.txt"], ["pkg/a.bin", "readme.txt"]),
    (["TFTPdata/x/a.bin"], ["x/a.bin"]),
])  # fmt: skip
def test_the_folder_around_everything(names, found):
    assert sorted(placed(*names)) == sorted(found)


@pytest.mark.parametrize(("names", "where", "word"), [
    (["a.bin", "TFTPdata/a.bin"], {}, "one name"),
    (["a.bin", "HTTPdata/A.BIN"], {}, "one name"),
    (["TFTPdata/a.bin", "HTTPdata/a.bin"], {"TFTPdata": "/d", "HTTPdata": "/d"}, "one name"),
    (["TFTPdata/h/a.bin", "HTTPdata/a.bin"], {"TFTPdata": "/d", "HTTPdata": "/d/h"}, "one name"),
    (["4711_96xxdata.txt"], {}, "user data"),
    (["a.bin", "HTTPdata"], {}, "data directory"),
    ([".a"], {}, "no file"),
])  # fmt: skip
def test_what_is_not_placed(names, where, word):
    found = place(names, {key: Path(value) for key, value in where.items()})
    assert word in found.wrong


def test_places_that_are_one_directory():
    """Both of the usual places may be one here: then a member does not collide with itself."""
    assert placed("a.bin", TFTPdata="/d", HTTPdata="/d") == {"a.bin": BOTH}
    assert placed("TFTPdata/a.bin", "HTTPdata/a.bin") == {"a.bin": ("HTTPdata",)}


def test_the_directories_of_a_home(tmp_path):
    found = directories(config.defaults(Home(tmp_path)))
    assert (
        {path.name for path in found.values()}
        == set(found)
        == {"TFTPdata", "HTTPdata", "HTTPSdata", "FTPdata"}
    )


@pytest.mark.parametrize(("name", "data", "told", "found"), [
    ("46xxupgrade.scr", None, "", "script"), ("96X1HUPGRADE.TXT", None, "", "script"),
    ("fxd_96xxupgrade.txt", None, "", "script"), ("46vpnupgrade.scr", None, "", "script"),
    ("46xxsettings.txt", None, "", "settings"), ("46vpnsetting.txt", b"SET A 1\n", "", "settings"),
    ("46xxvpn.scr", b"IF $GROUP SEQ 876 GOTO V\nGET 46vpnupgrade.scr\n# V\n", "", "script"),
    ("site.txt", b"SET APPNAME a.bin\n", "", "script"),
    ("site.txt", b"SET LOGSRVR 10.0.0.1\n", "", "settings"),
    ("readme.txt", b"Read me first.\n", "", "other"), ("1140eSIP.cfg", b"[FW]\nVERSION 1\n", "", "script"),
    ("avaya_fw_version.xml", None, "", "script"), ("SIP96xx_2_6_17_0.bin", None, "", "software"),
    ("S9608_11HALBR6_4_0_14_V452.tar", None, "", "software"), ("4620_031225.app", None, "", "software"),
    ("Mlf_German.xml", None, "", "language"), ("mlf_S31_v76_dutch.txt", None, "", "language"),
    ("TFTP_allow_IP.txt", None, "", "list"), ("signatures/a.bin.sig256", None, "", "other"),
    ("strange.xyz", None, "app", "software"), ("Sprache.xml", None, "lang", "language"),
    ("96xxmibDRAFT.txt", b"SET A 1", "mib", "other"),
])  # fmt: skip
def test_what_a_file_is(name, data, told, found):
    assert role(name, data, told) == found
    assert data is None or needs_content(name) or found in ("other", "settings", "script")


RELEASE = b"""<?xml version="1.0"?><phone-release><release-header><name> SIP 2.6.17 </name><date>2018</date>
<description>Long</description></release-header><files-in-release><file><name>a.bin</name><type>app</type></file>
<file><name>b.xml</name><type>lang</type><version>1</version></file></files-in-release></phone-release>"""


def test_what_release_xml_says():
    found = described(RELEASE)
    assert (found.name.strip(), found.date, found.description) == ("SIP 2.6.17", "2018", "Long")
    assert found.type_of("a.bin") == "app" and found.type_of("x/b.xml") == "lang" and found.type_of("c") == ""


@pytest.mark.parametrize("data", [
    b"", b"<a>", b"no xml", b"<a/>", b"\xff\xfe", b"<a>" * 100_000, b"x" * (2 << 20),
    b'<?xml version="1.0" encoding="utf-7"?><a/>', b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a>&b;</a>',
])  # fmt: skip
def test_a_strange_release_xml_says_nothing(data):
    assert described(data) == Described()


@pytest.mark.parametrize("data", [
    b'<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>',
    b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    b'<!DOCTYPE a [<!ENTITY % b SYSTEM "http://127.0.0.1/"> %b;]><a/>',
])  # fmt: skip
def test_entities_are_no_vendors(data):
    with pytest.raises(ValueError, match="entities"):
        described(data)
