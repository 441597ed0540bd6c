"""What phones would get: a directory as it will be, and which scripts name a file then."""

from __future__ import annotations

import pytest

from mv_iptel.firmware.foreseeing import Planned, names_of_scripts, served
from tests.firmware.site import Site


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_a_directory_as_it_will_be(site):
    site.lay("HTTPdata/Stays.txt", b"1")
    site.lay("HTTPdata/goes.txt", b"2")
    new = site.home.root / "new"
    new.write_bytes(b"3")
    changes = {
        "goes.txt": ("goes.txt", None),
        "sub/new.txt": ("sub/new.txt", new),
        "top.txt": ("Top.txt", new),
    }
    planned = Planned(site.home.http_data, changes)
    assert sorted(planned.names()) == ["Stays.txt", "Top.txt"]
    assert planned.find("stays.TXT", True).data == b"1" and planned.find("GOES.txt", False) is None
    assert planned.find("sub\\NEW.txt", True) == ("sub/new.txt", b"3")


def test_what_each_protocol_gives(site):
    path = site.lay("HTTPdata/a.txt", b"old")
    new = site.home.root / "new"
    new.write_bytes(b"new")
    then = served(site.config, {str(path): new, str(site.home.tftp_data / "b.txt"): new})
    assert then.content("http", "a.txt") == then.content("https", "a.txt") == b"new"
    assert not then.has("tftp", "a.txt") and then.has("tftp", "B.TXT")


def test_who_names_a_file(site):
    site.lay(
        "HTTPdata/96x1Hupgrade.txt", b"## SET APPNAME old.tar\n# TAG\nSET APPNAME new.tar\nGET part.txt\n"
    )
    site.lay("TFTPdata/46xxsettings.txt", b'SET LANG1FILE "Mlf_a.xml,Mlf_b.xml"\n')
    site.lay("HTTPdata/branch/96x1Hupgrade.txt", b"SET APPNAME http://10.0.0.1/dir/inner.tar\n")
    who = names_of_scripts(site.config, {})
    assert who("old.tar") == ""
    assert (
        who("NEW.tar") == who("signatures/new.tar.sig256") == who("part.txt") == "HTTPdata/96x1Hupgrade.txt"
    )
    assert who("mlf_b.xml") == "TFTPdata/46xxsettings.txt"
    assert who("inner.tar") == "HTTPdata/branch/96x1Hupgrade.txt"
    gone = names_of_scripts(site.config, {str(site.home.http_data / "96x1Hupgrade.txt"): None})
    assert gone("new.tar") == ""
