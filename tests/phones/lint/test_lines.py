"""Findings of a single line: each way of writing it is a row, with its code or nothing."""

from __future__ import annotations

import pytest

from mv_iptel.phones.lint import lines
from mv_iptel.phones.lint.text import Text

ROWS = [
    ("SET L2Q 0", []),
    ("SET\tL2Q\t0  ", []),
    (" SET L2Q 0", ["leading-blanks"]),
    ("\tgoto END", ["leading-blanks"]),
    ("  GET the guide", []),
    ("  Set aside", []),
    ("SET L2Q", ["no-value"]),
    ("SET L2Q  \t", ["no-value"]),  # seen in files of IP Office, with blanks at the end
    ("SET", ["broken-line"]),
    ("GET", ["broken-line"]),
    ("SET L2QVLAN= 20", ["equals-sign"]),
    ("SET L2QVLAN =20", ["equals-sign"]),
    ("SET PHNIC ‘011’", ["curly-quotes"]),
    ("SET PHNIC '011'", ["curly-quotes"]),
    ("SET MYCERTCN 'Telephone $MACADDR'", ["curly-quotes"]),
    ('SET TRUSTCERTS "root.pem issuing.pem"', ["list-blanks"]),
    ('SET DISPLAY_NAME "the boss\'s"', []),
    ("SET PHNIC “011", ["curly-quotes"]),
    ('SET PHNIC "011', ["open-quote"]),
    ('SET PHNIC ""', []),
    ("SET MYCERTCN a b", ["unquoted-blanks"]),
    ("SET L2Q 0 # automatic", ["text-after"]),
    ("SET MCIPADD a,b ,c", ["list-blanks"]),
    ("SET MCIPADD a b", ["unquoted-blanks"]),
    ("IF $GROUP SEQ 1 GOTO A B", ["text-after"]),
    ("IF GROUP SEQ 1 GOTO A", ["broken-line"]),
    ("IF $GROUP EQ 1 GOTO A", ["broken-line"]),
    ("If in doubt, ask.", []),
    ("Set the clock by hand", []),
    ("Goto the guide", ["text-after"]),
    ("ADD L2Q 0", []),
    ("SET L2Q\u00a00", ["non-ascii"]),
    ("SET DISPLAY_NAME Büro", ["non-ascii"]),
    ("SET L2Q 0  ## für alle", ["text-after"]),
    ("SET L2Q=0  ## für alle", ["equals-sign"]),
    ("GET $MACADDR.txt  ## für jedes", ["text-after"]),
    ('SET DISPLAY_NAME "Büro # 1"', ["non-ascii"]),
    ("# Büro", []),
    ("Büro", []),
]


@pytest.mark.parametrize(("line", "codes"), ROWS, ids=[line.strip() for line, _ in ROWS])
def test_a_line(line, codes):
    found = list(lines.check(Text.of("46xxsettings.txt", f"## first\n{line}\n## last\n".encode())))
    assert [(one.code, one.line) for one in found] == [(code, 2) for code in codes]


@pytest.mark.parametrize(
    ("below", "code"),
    [
        ('"a,b"', "value-on-next-line"),
        ("a,b", "value-on-next-line"),
        ("SET L2Q 0", "no-value"),
        ("## a", "no-value"),
        ("two words", "no-value"),
        ("", "no-value"),
    ],
)
def test_what_stands_below_a_line_without_a_value(below, code):
    found = list(lines.check(Text.of("x.txt", f"SET MCIPADD\n{below}\n".encode())))
    assert (found[0].code, found[0].line) == (code, 1)
