"""What changed between two contents, in lines."""

from __future__ import annotations

import time

import pytest

from mv_iptel.history.lines import Change, changes, counted, hidden, shown

OLD = b"## head\r\nSET L2QVLAN 20\r\nSET PHNOL 9\r\n# END\r\n"


def test_lines_that_came_and_went():
    new = b"## head\nSET L2QVLAN 30\nSET PHNOL 9\nSET PHNCC 1\n# END\n"
    found = changes(OLD, new)
    assert found == [
        Change("-", 2, "SET L2QVLAN 20"),
        Change("+", 2, "SET L2QVLAN 30"),
        Change("+", 4, "SET PHNCC 1"),
    ]
    assert counted(found) == (2, 1)


def test_line_ends_and_a_last_empty_line_are_no_change():
    assert changes(OLD, OLD.replace(b"\r\n", b"  \n") + b"\n\n") == []


def test_nothing_and_everything():
    assert changes(b"", b"") == []
    assert changes(b"", b"a\nb") == [Change("+", 1, "a"), Change("+", 2, "b")]
    assert changes(b"a\xe9", b"") == [Change("-", 1, "aé")]


def test_a_whole_other_file_costs_little():
    old = b"".join(b"SET A%d 1\n" % number for number in range(12_000))
    new = b"".join(b"SET A%d 2\n" % number for number in range(11_000)) + b"SET A11999 1\n"
    assert counted(changes(old, new)) == (11_000, 11_999)


def test_the_same_line_thousands_of_times():
    came, went = counted(changes(b"GOTO END\n" * 3000 + b"x\n", b"y\n" + b"GOTO END\n" * 2999))
    assert (came >= 1, went - came) == (True, 1)


def test_secrets_are_hidden():
    assert shown("SET SNMPSTRING s3cret") == "SET SNMPSTRING (hidden)"
    assert shown('set nvikepsk "two words" ## note') == "set nvikepsk (hidden)"
    assert shown("## SET ADMIN_PASSWORD s3cret") == "## SET ADMIN_PASSWORD (hidden)"
    assert shown("SET BRURI https://anna:pw@files.example:411/") == "SET BRURI (hidden)"
    assert shown("##SET\tPROCPSWD 27238") == "##SET\tPROCPSWD (hidden)"
    for badly in ("SET SIPPASSWORD pw", "SET PROCPSWD=27238", "SET SNMPSTRNG pw", "SET PROCPSWD “27238”",
                  "\ufeffSET PROCPSWD 1", "SET\u00a0PROCPSWD\u00a01", "rem SET PROCPSWD 1", "PROCPSWD=1",
                  "IF $PROCPSWD SEQ 27238 GOTO A", "SETT PROCPSWD 27238", "STE SNMPSTRNG pw"):  # fmt: skip
        assert shown(badly).endswith(" (hidden)"), badly
    assert shown("## at https://anna:p/w@files.example/ too") == "## at https://(hidden)@files.example/ too"
    for plain in ('SET SNMPSTRING ""', "## Password of the phones: ask Anna", "SET SIPDOMAIN a@b.example"):
        assert shown(plain) == plain
    for plain in (
        "SET L2QVLAN 20",
        "## comment",
        "",
        "GOTO END",
        "IF $GROUP SEQ 1 GOTO A",
        "SET SNMPSTRING",
        "SETT L2Q 1",
        "GET PROCPSWD.txt",
    ):
        assert shown(plain) == plain


def test_a_secret_on_the_next_line_is_hidden():
    found = changes(b"# A\n", b"# A\nSET PROCPSWD\n27238\nSET L2QVLAN\n5\n")
    assert [one.text for one in found] == ["SET PROCPSWD", "(hidden)", "SET L2QVLAN", "5"]


@pytest.mark.parametrize(
    "text",
    [
        "$" * 200_000,
        "SET A " * 40_000,
        "@" + "://a:" * 40_000 + " @",
        "SET" + " " * 200_000 + "x",
        "a" * 300_000,
    ],
)
def test_no_line_takes_more_than_linear_time(text):
    began = time.process_time()
    changes(b"", text.encode() + b"\n" + text.encode())
    assert time.process_time() - began < 5


def test_lines_that_equal_many_others_are_compared_in_time():
    old = "".join(f"SET A {at % 100}\nSET A {at * 7 % 100}\n" for at in range(2000)).encode()
    new = b"\n".join(reversed(old.split(b"\n")))
    began = time.process_time()
    changes(old, new)
    assert time.process_time() - began < 5


def test_a_whole_file_without_its_secrets():
    text = "## head\nSET PROCPSWD 90210\nSET SNMPSTRING\n  public\nSET L2Q 1\n"
    assert hidden(text) == "## head\nSET PROCPSWD (hidden)\nSET SNMPSTRING\n(hidden)\nSET L2Q 1\n"
