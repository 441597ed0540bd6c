"""The words that all protocols share are those of DESIGN section 5, letter for letter."""

from mv_iptel.library import Reason


def test_reasons_are_the_contracts():
    assert [reason.value for reason in Reason] == [
        "banned", "busy", "not-listed", "no-slot", "bad-name", "no-file", "not-allowed", "read-only",
        "need-login", "bad-login", "no-snmp", "snmp-mismatch", "pin-mismatch", "changed",
        "too-big", "quota", "disk-full", "bad-request", "fault",
    ]  # fmt: skip
