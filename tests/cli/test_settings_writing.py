"""Files that commands write: what they replace is kept, and lint is asked about them."""

from __future__ import annotations

import os
import stat
import sys

import pytest

from tests.cli.furnished import run


def test_what_is_replaced_comes_back(site):
    path = site.http_data / "46xxsettings.txt"
    before = path.read_bytes()
    run(site, "new", "--vlan", "20", "--replace")
    assert path.read_bytes() != before
    run(site, "undo", "HTTPdata/46xxsettings.txt")
    assert path.read_bytes() == before


def test_the_same_again_is_unchanged(site):
    run(site, "new", "--vlan", "20", "--replace")
    assert "unchanged" in run(site, "new", "--vlan", "20")


def test_what_lint_finds_in_it_is_told(site):
    """TRUSTCERTS of a file that is not there: written all the same, and said."""
    said = run(site, "new", "--trust", "other_ca.pem", "--replace", code=1)
    assert "no-file" in said and "other_ca.pem" in said
    assert b"other_ca.pem" in (site.http_data / "46xxsettings.txt").read_bytes()


def test_https_counts_what_lies_in_http(site):
    said = run(site, "new", str(site.https_data / "46xxsettings.txt"), "--vlan", "20")
    assert "written" in said
    assert b"TRUSTCERTS mv_ca.txt" in (site.https_data / "46xxsettings.txt").read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="no modes there")
def test_the_mode_stays(site):
    path = site.http_data / "46xxsettings.txt"
    os.chmod(path, 0o660)
    run(site, "new", "--replace")
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_an_ini_that_does_not_load(site):
    site.ini.write_text("[HTTP]\nHTTPPort=telephone\n")
    assert "HTTPPort" in run(site, "new", "--dry", code=2)
