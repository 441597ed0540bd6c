"""A plan says what would happen and touches nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mv_iptel.firmware.mapping import Unusable, path_of
from mv_iptel.firmware.planning import plan
from mv_iptel.firmware.publishing import reasons
from mv_iptel.firmware.releases import File
from mv_iptel.inventory import schema
from tests.firmware.site import Site, script

SCRIPT, SETTINGS = "HTTPdata/96xxupgrade.txt", "HTTPdata/46xxsettings.txt"


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def made(site: Site, ident: str, **how):
    before = site.tree()
    found = plan(site.config, site.releases.get(ident), **how)
    assert site.tree() == before
    return found


def test_what_comes_and_what_stays(site):
    site.lay(SETTINGS, b"SET L2QVLAN 7\n")
    site.lay("HTTPdata/same.bin", b"same")
    site.lay("HTTPdata/logo.jpg", b"old")
    files = {SCRIPT: script("app.bin"), "HTTPdata/app.bin": b"a", SETTINGS: b"", "HTTPdata/same.bin": b"same",
             "HTTPdata/logo.jpg": b"new"}  # fmt: skip
    found = made(site, site.add("one", files))
    what = {f"{one.file.place}/{one.file.name}": one.what for one in found.items}
    assert what == {SCRIPT: "new", "HTTPdata/app.bin": "new", SETTINGS: "kept", "HTTPdata/same.bin": "same",
                    "HTTPdata/logo.jpg": "replaced"}  # fmt: skip
    assert found.needs == len(script("app.bin")), "what is linked needs no room"
    assert not found.full and reasons(found) == []


def test_the_script_that_two_kinds_of_phones_share(site):
    """96x0 with H.323 and with SIP read one script: a SIP release takes the others' firmware."""
    h323 = {SCRIPT: b"SET APPNAME ha96xxua3_2_1.bin\nGET 46xxsettings.txt\n", SETTINGS: b"",
            "HTTPdata/ha96xxua3_2_1.bin": b"h"}  # fmt: skip
    site.publisher.publish(site.add("h323", h323), losses=True)
    database = schema.prepare(str(site.config.settings.database))
    for number in range(3):
        row = (
            f"00040d00000{number}",
            f"00040d00000{number}",
            "",
            "9620",
            "",
            "",
            "",
            0,
            "10.0.0.1",
            1,
            1,
            1,
            0,
            0,
            0,
        )
        database.execute(
            "INSERT INTO phones (key, mac, ext, model, version, runs, runs_source, runs_seen, address, "
            "first_seen, last_seen, requests, refused, failed, bytes) "
            "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", row,
        )  # fmt: skip
    database.close()
    sip = {SCRIPT: b"SET APPNAME SIP96xx_2_6_17_0.bin\nGET 46xxsettings.txt\n",
           "HTTPdata/SIP96xx_2_6_17_0.bin": b"s"}  # fmt: skip
    found = made(site, site.add("sip", sip), live="replace")
    texts = [one.text for one in found.losses]
    assert any("from H.323 to SIP" in text for text in texts), texts
    assert sum(one.phones for one in found.losses) == 3
    assert reasons(found) and reasons(found, losses=True) == []


def test_what_cannot_be_published(site):
    ident = site.add("one", {"HTTPdata/a.bin": b"a"})
    one = site.releases.get(ident)
    odd = [
        File("HTTPdata", name, 1, one.files[0].sha256, "other") for name in ("../a", ".b", "a//b", "a.key")
    ]
    found = plan(site.config, replace(one, files=(*odd, File("HTTPdata", "c", 1, "00" * 32, "other"))))
    assert len(found.problems) == 5 and found.items == []
    (site.home.http_data / "a.bin").mkdir()
    assert "folder" in made(site, ident).problems[0]
    with pytest.raises(Unusable):
        path_of(site.config, "etc", "passwd")


def test_two_places_that_are_one_directory(site):
    http = replace(site.config.http, http_dir=site.config.tftp.tftp_dir)
    config = replace(site.config, http=http)
    same = site.releases.get(site.add("same", {"TFTPdata/a": b"a", "HTTPdata/a": b"a"}))
    other = site.releases.get(site.add("other", {"TFTPdata/a": b"a", "HTTPdata/a": b"b"}))
    assert plan(config, same).problems == []
    assert "one directory" in plan(config, other).problems[0]


def test_lint_tells_only_what_is_new(site):
    site.lay("HTTPdata/J100Supgrade.txt", b"SET APPNAME gone.bin\nGET 46xxsettings.txt\n")
    site.lay(SETTINGS, b"")
    ident = site.add("one", {SCRIPT: script("app.bin"), "HTTPdata/app.bin": b"a"})
    assert made(site, ident).errors == []
    ident = site.add("two", {SCRIPT: script("missing.bin")})
    errors = made(site, ident).errors
    assert errors and all("missing.bin" in one for one in errors)


def test_a_list_is_not_merged(site):
    name = "HTTPdata/HTTP_allow_IP.txt"
    site.lay(name, b"10.0.0.0/8\n")
    ident = site.add("lists", {name: b"192.0.2.\n"})
    assert made(site, ident, live="merge").conflicts[0].text == "only upgrade scripts can be merged"
