"""Findings about what SET sets."""

from __future__ import annotations

import pytest

from mv_iptel.phones.lint import settings
from mv_iptel.phones.lint.flow import walk
from mv_iptel.phones.lint.phones import Phones
from mv_iptel.phones.lint.text import Text


def told(text: str, name: str = "46xxsettings.txt") -> list[tuple[int, str, str]]:
    """(line, code, severity) of each finding."""
    file, phones = Text.of(name, text.encode()), Phones()
    flow = walk(file.script, phones, phones.all)
    return [(one.line, one.code, one.severity) for one in settings.check(file, flow, phones)]


ROWS = {
    "SET L2QVLAN 4094": [],
    "SET L2QVLAN 4095": [(1, "value-range", "error")],
    "SET L2Q 3": [(1, "value-range", "error")],
    "SET L2Q x": [(1, "value-range", "error")],
    "SET MCPORT 99999": [(1, "value-range", "error")],
    "SET DSTOFFSET \"\"": [],
    "SET MYCERTCN $MACADDR": [],
    "SET BRURI https://@SERVER@:@HTTPS_PORT@/": [],
    "SET L2QVALN 20": [(1, "misspelt-parameter", "warning")],
    "SET LANG5FILE x": [(1, "unknown-parameter", "info")],
    "SET SSOENABLED 1": [],
    "SET WEP_KEY1 x": [],
    "SET GROUP 1": [(1, "wrong-place", "warning")],
    "SET SIG 2": [],
    "SET APPNAME x.bin": [(1, "wrong-place", "info")],
    "SET L2Q 0\nSET L2Q 0": [],
    "SET L2Q 0\nSET L2Q 1": [(2, "set-twice", "info")],
    "SET L2Q 0\n# TAG\nSET L2Q 1": [],
    "SET ABKNAME001 x": [(1, "other-language", "warning")],
}  # fmt: skip


@pytest.mark.parametrize("text", ROWS)
def test_a_setting(text):
    assert told(text) == ROWS[text]


def test_software_belongs_into_an_upgrade_script():
    assert told("SET APPNAME x.bin", "96x1Hupgrade.txt") == []


def test_a_setting_is_ignored_only_if_all_who_read_it_ignore_it():
    section = "IF $MODEL4 SEQ {} GOTO A\nGOTO B\n# A\nSET FTPSRVR 192.0.2.5\n# B"
    assert told(section.format("J129")) == [(4, "ignored-by-family", "info")]
    assert told("SET FTPSRVR 192.0.2.5") == []
    assert told("IF $GROUP SEQ 1 GOTO A\nGOTO B\n# A\nSET FTPSRVR 192.0.2.5\n# B") == []


def test_no_sentence_shows_a_secret():
    file, phones = (
        Text.of("x.txt", b"SET PROCPSWD hush-hush\nSET FORCE_SIP_PASSWORD " + b"hush" * 99),
        Phones(),
    )
    found = list(settings.check(file, walk(file.script, phones, phones.all), phones))
    assert found and "hush" not in str(found)
