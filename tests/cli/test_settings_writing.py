"""Files that commands write: what they replace is kept, and lint is asked about them."""

from __future__ import annotations

import os
import stat
import sys

import pytest

from mv_iptel import files
from mv_iptel.cli.settings_writing import replace_kept
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


@pytest.mark.skipif(sys.platform == "win32", reason="links want rights there")
def test_a_link_stays_a_link(site, tmp_path):
    path, target = site.http_data / "46xxsettings.txt", tmp_path / "shared.txt"
    path.replace(target)
    path.symlink_to(target)
    run(site, "new", "--vlan", "20", "--replace")
    assert path.is_symlink() and b"SET L2QVLAN 20" in target.read_bytes()


def test_what_was_saved_meanwhile_stays(tmp_path):
    path = tmp_path / "46xxsettings.txt"
    path.write_text("one")
    state = files.states([path])
    path.write_text("another")
    with pytest.raises(OSError, match="somebody else"):
        replace_kept(None, path, b"two", state)
    assert path.read_text() == "another" and len(list(tmp_path.iterdir())) == 1
    replace_kept(None, path, b"two", files.states([path]))
    assert path.read_text() == "two"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="only POSIX has FIFOs")
def test_a_pipe_holds_nobody_up(site):
    path = site.http_data / "46xxsettings.txt"
    path.unlink()
    os.mkfifo(path)
    assert "no ordinary file" in run(site, "new", "--vlan", "20", "--replace", code=2)


def test_what_stands_in_a_script_is_shown_harmless(site):
    (site.http_data / "46xxupgrade.scr").write_text("## \x1b[2J\x9b\tx\nGET 46xxsettings.txt\n")
    said = run(site, "new", "--vpn", "generic-psk", "--vpn-gateway", "198.51.100.1", "--dry")
    assert "\\x1b[2J" in said and said.replace("\n", "").isprintable()
