"""What was changed behind our back is named; the site's settings are no fault."""

from __future__ import annotations

import pytest

from mv_iptel.firmware import journal
from mv_iptel.firmware.verifying import verify
from tests.firmware.site import Site, script

SCRIPT, SETTINGS = "HTTPdata/96x1Hupgrade.txt", "HTTPdata/46xxsettings.txt"


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    files = {"HTTPdata/a.tar": b"a" * 99, SCRIPT: script("a.tar"), SETTINGS: b"SET L2QVLAN 1\n"}
    site.publisher.publish(site.add("one", files))
    return site


def test_what_is_as_it_was_published(site):
    told: list[tuple[int, int]] = []
    found = verify(site.config, lambda *at: told.append(at))
    assert found.sound and (found.generation, found.files, found.found) == (1, 3, ())
    assert told[-1][0] == told[-1][1] == found.octets


def test_what_is_not(site):
    site.lay(SCRIPT, b"GET 46xxsettings.txt\n")
    site.lay(SETTINGS, b"SET L2QVLAN 7\n")
    (site.home.http_data / "a.tar").unlink()
    found = verify(site.config)
    assert {(one.name, one.what) for one in found.found} == {
        ("96x1Hupgrade.txt", "changed"), ("46xxsettings.txt", "edited"), ("a.tar", "missing"),
    }  # fmt: skip
    assert not found.sound and found.found[0].release.startswith("one-")


def test_a_content_that_rots_and_one_that_is_gone(site):
    one, other = (site.releases.content(file.sha256) for file in site.releases.all()[0].files[:2])
    one.chmod(0o644)
    one.write_bytes(b"b" * 99)  # the served name is a link to it
    other.unlink()
    found = {(each.place, each.what) for each in verify(site.config).found}
    assert found == {("HTTPdata", "changed"), ("content", "damaged"), ("content", "missing")}


def test_what_was_broken_off_is_told(site):
    journal.path_of(site.home).write_bytes(b"{}")
    assert "broken off" in verify(site.config).found[0].text
