"""What a rollback and a removal come to: what stays, and why."""

from __future__ import annotations

import pytest

from mv_iptel.firmware.publishing import Done, Held
from mv_iptel.firmware.returning import Returning
from tests.firmware.site import Site, missing, script

SCRIPT, SETTINGS = "HTTPdata/96x1Hupgrade.txt", "HTTPdata/46xxsettings.txt"


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_a_script_that_the_site_leads_to_stays_with_all_it_names(site):
    files = {"HTTPdata/a.tar": b"a", "HTTPdata/part.txt": b"SET APPNAME a.tar\nGET 46xxsettings.txt\n",
             SCRIPT: b"GET part.txt\n", SETTINGS: b""}  # fmt: skip
    ident = site.add("one", files, {"HTTPdata/part.txt": "script"})
    site.publisher.publish(ident)
    site.lay("HTTPdata/16xxupgrade.txt", b"GET part.txt\n")
    done = site.publisher.rollback()
    assert isinstance(done, Done) and len(done.left) == 3, done.left
    assert set(site.served()) == {"HTTPdata/16xxupgrade.txt", "HTTPdata/part.txt", "HTTPdata/a.tar", SETTINGS}
    assert missing(site.served()) == []


def test_settings_of_the_site_are_never_taken_back(site):
    site.publisher.publish(site.add("one", {SCRIPT: script(), SETTINGS: b"SET L2QVLAN 1\n"}))
    site.lay(SETTINGS, b"SET L2QVLAN 7\n")
    done = site.publisher.rollback()
    assert isinstance(done, Done) and "site's own" in done.left[0]
    assert site.served() == {SETTINGS: b"SET L2QVLAN 7\n"}


def test_a_script_changed_since_is_asked_about(site):
    site.publisher.publish(site.add("one", {SCRIPT: script(), SETTINGS: b""}))
    site.lay(SCRIPT, script(tail="## mine\n"))
    held = site.publisher.rollback()
    assert isinstance(held, Held) and "--keep or --replace" in held.why[-1]
    assert isinstance(site.publisher.rollback(live="keep"), Done)
    assert site.served()[SCRIPT] == script(tail="## mine\n")


def test_the_site_s_own_file_stays_when_the_release_that_had_it_too_goes(site):
    site.lay("HTTPdata/a.bin", b"a")
    first = site.add("first", {"HTTPdata/a.bin": b"a", SCRIPT: script("a.bin"), SETTINGS: b""})
    site.publisher.publish(first)
    second = {"HTTPdata/b.bin": b"b", SCRIPT: script("b.bin"), SETTINGS: b""}
    site.publisher.publish(site.add("second", second))
    draft = Returning(site.config, site.releases, site.time).removed(first)
    assert draft.changes == {} and draft.left == []
    assert isinstance(site.publisher.remove(first), Done)
    assert site.served()["HTTPdata/a.bin"] == b"a"


def test_what_was_deleted_by_hand_is_no_hindrance(site):
    site.publisher.publish(site.add("one", {"HTTPdata/a.bin": b"a", SCRIPT: script("a.bin"), SETTINGS: b""}))
    (site.home.http_data / "a.bin").unlink()
    assert isinstance(site.publisher.rollback(), Done)
