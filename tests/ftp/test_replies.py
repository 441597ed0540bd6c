"""What goes to the client for each reason."""

from __future__ import annotations

import re

from mv_iptel.ftp.replies import REPLIES, line
from mv_iptel.library.answers import Reason


def test_every_reason_has_a_proper_reply():
    for reason in Reason:
        assert re.fullmatch(r"[45]\d\d [A-Z][A-Za-z .]+", line(reason))


def test_who_may_not_have_a_file_does_not_learn_whether_there_is_one():
    alike = (Reason.NO_FILE, Reason.NO_SNMP, Reason.SNMP_MISMATCH, Reason.NOT_LISTED, Reason.BAD_NAME,
             Reason.NOT_ALLOWED)  # fmt: skip
    assert {REPLIES[reason] for reason in alike} == {(550, "Requested action not taken.")}


def test_what_an_administrator_must_tell_apart():
    codes = {reason: REPLIES[reason][0] for reason in Reason}
    assert codes[Reason.DISK_FULL] == 452
    assert codes[Reason.TOO_BIG] == codes[Reason.QUOTA] == 552
    assert codes[Reason.FAULT] == 451
    assert codes[Reason.NO_SLOT] == codes[Reason.BANNED] == 421
