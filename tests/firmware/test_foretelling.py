"""The same is found out here and in a process of its own; a process that fails holds the release."""

from __future__ import annotations

import sys

from mv_iptel.firmware.foretelling import UNKNOWN, foretold
from mv_iptel.firmware.publishing import Done, Publisher
from tests.firmware.site import Site, script

SCRIPT = "HTTPdata/96x1Hupgrade.txt"


def test_apart(tmp_path, monkeypatch):
    site = Site(tmp_path)
    site.lay("HTTPdata/46xxsettings.txt", b"")
    path = site.lay(SCRIPT, script("a.tar"))
    site.lay("HTTPdata/a.tar", b"a")
    new = tmp_path / "new"
    new.write_bytes(script("gone.tar"))
    told = foretold(site.config, {str(path): new}, apart=True)
    assert told == foretold(site.config, {str(path): new}) and all(told)
    publisher = Publisher(site.config, site.events.append, site.clock, apart=True)
    good = site.add("good", {"HTTPdata/b.tar": b"b", SCRIPT: script("b.tar")})
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    assert UNKNOWN in publisher.publish(good, live="replace").why
    monkeypatch.undo()
    assert isinstance(publisher.publish(good, live="replace"), Done)


def test_who_gets_other_firmware(tmp_path):
    site = Site(tmp_path)
    site.lay("HTTPdata/46xxsettings.txt", b"")
    path = site.lay(SCRIPT, script("a.tar"))
    site.lay("HTTPdata/b.tar", b"b")
    new = tmp_path / "new"
    new.write_bytes(script("b.tar"))
    told = foretold(site.config, {str(path): new})
    assert {one.text for one in told.gains} == {"APPNAME b.tar instead of a.tar"}
    assert told.losses == told.errors == []
