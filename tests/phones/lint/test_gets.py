"""Names behind GET."""

from __future__ import annotations

import pytest

from mv_iptel.phones.lint import gets
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
    found = list(gets.check(Text.of("46xxupgrade.scr", line.encode())))
    assert [(one.code, one.severity) for one in found] == [("get-name", grave)] * bool(grave)
