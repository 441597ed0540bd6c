"""Names behind GET."""

from __future__ import annotations

import pytest

from mv_iptel.phones.lint import gets
from mv_iptel.phones.lint.folder import Folder
from mv_iptel.phones.lint.text import Text


@pytest.mark.parametrize(
    ("line", "grave"),
    [
        ("GET 46xxsettings.txt", ""),
        ("GET $MACADDR.txt", ""),
        ("GET the guide first", ""),
        ('GET "site settings.txt"', "info"),
        ("GET site/46xxsettings.txt", "info"),
        ("GET ..\\46xxsettings.txt", "info"),
        ("GET http://192.0.2.5/46xxsettings.txt", "warning"),
        (f"GET {'a' * 50}.txt", "info"),
    ],
)
def test_a_name(line, grave):
    found = list(gets.check(Text.of("46xxupgrade.scr", line.encode()), Folder({})))
    assert [(one.code, one.severity) for one in found] == [("get-name", grave)] * bool(grave)


def test_a_login_is_not_told():
    script = Text.of("46xxupgrade.scr", b"GET http://anna:hunter2@192.0.2.5/46xxsettings.txt")
    (found,) = gets.check(script, Folder({}))
    assert "http://...@192.0.2.5/" in found.text and "hunter2" not in found.text + found.mend


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("GET here.txt\nSET L2Q 1\n", [(2, "warning")]),
        ("GET here.txt\nSET L2Q 1\nGET more.txt\nSET L2Q 2\n", [(2, "warning")]),
        ("GET gone.txt\nSET L2Q 1\n", []),
        ("GET here.txt\nGET $MACADDR.txt\n", [(2, "info")]),
        ("GET $MACADDR.txt\nGET here.txt\n", []),
        ("GET here.txt\nGET more.txt\n", []),  # of settings under two names one is enough
        ("GET here.txt\nGOTO END\n# OTHER\nSET L2Q 1\n# END\n", []),
    ],
)
def test_lines_behind_a_get(text, found):
    folder = Folder({"site.txt": text.encode(), "here.txt": b"SET L2QVLAN 5\n"})
    told = gets.check(Text.of("site.txt", text.encode()), folder)
    assert [(one.line, one.severity) for one in told] == found
    assert all(one.code == "unreachable" for one in told)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("96x1Hupgrade.txt", "SET APPNAME a.tar\n", True),
        ("96x1Hupgrade.txt", "SET APPNAME a.tar\nGET 46xxsettings.txt\n", False),
        ("96x1Hupgrade.txt", "## nothing yet\n", False),
        ("46vpnupgrade.scr", "SET APPNAME a.tar\n", False),
        ("fxd_upgrade.scr", "SET DIRSRVR 192.0.2.1\n", False),
    ],
)
def test_an_upgrade_script_that_leads_nowhere(name, text, told):
    folder = Folder({name: text.encode(), "46xxsettings.txt": b"SET L2Q 0\n"})
    found = list(gets.check(Text.of(name, text.encode()), folder))
    assert [one.code for one in found] == ["no-settings"] * told
    assert list(gets.check(Text.of(name, text.encode()), Folder({name: text.encode()}))) == []
