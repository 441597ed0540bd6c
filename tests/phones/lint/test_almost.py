"""Lines that were meant as statements: each is a row, with what is told or nothing."""

from __future__ import annotations

import pytest

from mv_iptel.phones.lint import almost
from mv_iptel.phones.lint.text import Text

ROWS = [
    ("L2QVLAN 20", "without SET"),
    ('DOMAIN "example.com"', "without SET"),
    ("L2QVLAN none", ""),  # no value of it: rather prose
    ("GROUP 5", ""),  # no file sets it
    ("L2QVLAN", ""),
    ("Domain example.com", ""),
    ("SETL2QVLAN 20", "no blank stands behind SET"),
    ("SET_LANG es_ES", "no blank stands behind SET"),
    ("SETTLEMENT 20", ""),
    ("SETT L2QVLAN 20", "SETT is no SET"),
    ("ST L2QVLAN 20", "ST is no SET"),
    ("SEE L2QVLAN below", ""),
    ("IFF $GROUP SEQ 1 GOTO LOBBY", "IFF is no IF"),
    ("IF$GROUP SEQ 1 GOTO LOBBY", "is no IF"),
    ("Write $GROUP SEQ 1 or the like", ""),
    ("ELSE", "there is no ELSE"),
    ("ELSE GOTO END", "there is no ELSE"),
    ("END IF", "there is no END"),
    ("GO TO LOBBY", "GO TO is no GOTO"),
    ("GOT LOBBY", "GOT is no GOTO"),
    ("GOTO:LOBBY", "no blank stands behind GOTO"),
    ("GOT NOWHERE", ""),
    ("GETT 46xxsettings.txt", "GETT is no GET"),
    ("GUT gemacht", ""),
    ("## L2QVLAN 20", ""),
    (" L2QVLAN 20", ""),
    (";SET L2QVLAN 20", ""),
    ("//SET L2QVLAN 20", ""),
    ("REM SET L2QVLAN 20", ""),
    ("\ufeffSET L2QVLAN 20", ""),
    ("To jest test pliku 46xx", ""),
]


@pytest.mark.parametrize(("line", "told"), ROWS, ids=[line for line, _ in ROWS])
def test_a_line(line, told):
    found = list(almost.check(Text.of("46xxsettings.txt", f"## first\n{line}\n# LOBBY\n".encode())))
    assert [(one.code, one.line, one.severity) for one in found] == [("broken-line", 2, "warning")] * bool(
        told
    )
    assert all(told in one.text for one in found)
