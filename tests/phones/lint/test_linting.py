"""Any bytes give findings; the samples and sound files give none; time grows with length only."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mv_iptel.phones.lint import CODES, Folder, Site, lint
from mv_iptel.phones.lint.findings import ORDER

DATA = Path(__file__).resolve().parents[3] / "data"
SITE = Site(addresses=frozenset({"192.0.2.5"}))


def told(files: dict[str, bytes], **more) -> list[tuple[str, int, str]]:
    """(file, line, code) of every finding in these files."""
    whole = more.pop("whole", False)
    return [(one.file, one.line, one.code) for one in lint(Folder(files, whole=whole), **more)]


@pytest.mark.parametrize("name", ["TFTPdata", "HTTPdata", "docs"])
def test_every_sample_is_clean(name):
    assert lint(Folder.read(DATA / name, whole=False)) == []


@given(st.binary(max_size=300))
def test_any_bytes_give_findings(data):
    for one in lint(Folder({"46xxsettings.txt": data}), site=SITE):
        assert one.code in CODES and one.severity in ORDER
        assert one.line >= 0 and one.text and one.mend


PIECES = st.sampled_from(
    [
        b"SET ",
        b"IF $",
        b" SEQ ",
        b"GOTO ",
        b"GET ",
        b"# ",
        b"## ",
        b'"',
        b" ",
        b"\t",
        b"\n",
        b"\r\n",
        b"X",
        b"=",
        b"\xe9",
        "“".encode(),
        b"\x93",
        b"\xc2\xa0",
        b"MODEL4",
        b"BRURI http://",
        b"L2QVLAN 5000",
        b",",
        b"GROUP",
        b"46xxsettings.txt",
        b"APPNAME",
        b"SNMPADD",
        b"# lint: ignore no-tag",
        b"\xef\xbb\xbf",
        b"$MACADDR.txt",
        b"MCIPADD ",
        b"\x0b",
        b"ADD ",
        b"set",
        b"FTPSRVR 192.0.2.9",
    ]
)


@given(st.lists(PIECES, max_size=60).map(b"".join))
def test_near_statements_give_findings(data):
    files = {"46xxsettings.txt": data, "96x1Hupgrade.txt": data + b"\nGET 46xxsettings.txt"}
    for one in lint(Folder(files), site=SITE):
        assert one.code in CODES
        assert one.line <= data.count(b"\n") + 2


def test_kinds_leave_what_these_phones_read():
    from mv_iptel.phones.lint.phones import kinds_of

    data = b"IF $MODEL4 SEQ 9640 GOTO OLD\nSET L2QVLAN 9999\nGOTO END\n# OLD\nSET L2Q 9\n# END\n"
    files = {"46xxsettings.txt": data}
    assert told(files) == [("46xxsettings.txt", 2, "value-range"), ("46xxsettings.txt", 5, "value-range")]
    assert told(files, kinds=kinds_of("9640")) == [("46xxsettings.txt", 5, "value-range")]
    assert told(files, kinds=kinds_of("J179")) == [("46xxsettings.txt", 2, "value-range")]


def big(lines: int) -> bytes:
    """Half comments, half settings with sections and jumps, as the vendor's template with all switched on."""
    part = (
        b"## L2QVLAN is the identity of the voice VLAN, from 0 to 4094; see the phones' guide for more.\r\n"
        b"## It is taken by all of them.\r\nSET L2QVLAN 5\r\n"
        b'SET MYCERTCN "Avaya telephone with MAC address $MACADDR"\r\nSET SNMPADD 192.0.2.1,192.0.2.2\r\n'
        b"## SET HTTPSRVR 192.0.2.3\r\n##\r\nIF $GROUP SEQ %d GOTO G%d\r\nSET UNKNOWN%d 1\r\n# G%d\r\n"
    )
    return b"".join(part % ((at % 999,) + (at,) * 3) for at in range(lines // 10))


@pytest.mark.parametrize(("lines", "seconds"), [(6_000, 0.3), (15_000, 1.5)])
def test_time_is_linear(lines, seconds):
    folder = Folder({"46xxsettings.txt": big(lines)})
    lint(Folder({"46xxsettings.txt": big(100)}))  # the table is read once
    best = 99.0
    for _ in range(3):
        began = time.process_time()
        lint(folder)
        best = min(best, time.process_time() - began)
    assert (
        best < 4 * seconds
    )  # the bound itself is measured by the benchmarks; a busy machine gets some slack
    print(lines, best)


@pytest.mark.parametrize(
    "line",
    [
        b"GOTO T%d\n",
        b"IF $GROUP SEQ 1 GOTO X%d\n",
        b"SET NAME%d 1\n",
        b"# T%d\n",
        b"GOTO A\nSET L2Q 1\n# B%d\n",
        b"## T%d\nGOTO T%d\n",
        b" SET L2Q %d\n",
    ],
)
def test_no_damage_takes_more_than_linear_time(line):
    def seconds(count: int) -> float:
        data = b"".join(line.replace(b"%d", b"%d" % at) for at in range(count))
        best = 99.0
        for _ in range(2):
            began = time.process_time()
            lint(Folder({"46xxsettings.txt": data}))
            best = min(best, time.process_time() - began)
        return best

    seconds(100)
    small, large = seconds(1_000), seconds(8_000)
    assert large < 0.3 or large < 24 * small  # eight times the work; quadratic would be 64 times


@pytest.mark.parametrize(
    "data",
    [
        b" GET " + b"a." * 60_000 + b" x",
        b"SET MCIPADD a" + b" " * 120_000 + b"b,c",
        b"GOTO Z\n" + b"#" * 100_000 + b" x y",
        b"SET BRURI http://" + b":" * 400_000,
        b"SET SNMPADD "
        + b",".join(b"h%d" % at for at in range(10_000))
        + b"\n"
        + b"SET BRURI http://10.0.0.1:81/\n" * 5_000,
        b"GET $SERIALNO$SERIALNO$SERIALNO$SERIALNO$SERIALNO$SERIALNO$SERIALNO$SERIALNO$SERIALNO-.txt",
    ],
    ids=["dots", "blanks", "hashes", "colons", "hosts", "variables"],
)
def test_no_long_line_takes_more_than_linear_time(data):
    folder = Folder({"46xxsettings.txt": data + b"\n", "a" * 250: b""})
    began = time.process_time()
    lint(folder, site=Site(frozenset({"10.0.0.1"}), frozenset({"phones"})))
    assert time.process_time() - began < 5  # else it is a minute, or a year


def test_a_missing_end_does_no_harm_yet():
    found = lint(Folder({"46xxsettings.txt": b"IF $GROUP SEQ 1 GOTO END\nSET L2Q 0\nGOTO A\n# A\n"}))
    assert [(one.line, one.code, one.severity) for one in found] == [(1, "no-tag", "warning")]


def test_a_comment_that_switches_nothing_off_is_told():
    found = lint(Folder({"46xxsettings.txt": b"## lint: ignore vallue-range\nSET L2Q 0\n"}))
    assert [(one.line, one.code, one.severity) for one in found] == [(1, "unknown-code", "info")]
    assert found[0].mend == "write value-range"


@pytest.mark.parametrize("name", ["sip_00040d000001.txt", "4602D01A.txt"])
def test_sip_sets_of_the_4602_know_no_set(tmp_path, name):
    (tmp_path / name).write_bytes(b"SNTP 192.0.2.1\nSET PROXY 192.0.2.7\nSET DHCP 1\n")
    found = lint(Folder.read(tmp_path))
    assert [(one.file, one.line, one.code) for one in found] == [(name, 2, "other-language")]
    assert "1 more" in found[0].text
    (tmp_path / name).write_bytes(b"# Set by hand\nSNTP 192.0.2.1\nPROXY 192.0.2.7\n")
    assert lint(Folder.read(tmp_path)) == []


def test_a_1603_with_sip_software_takes_settings_for_sip():
    files = {
        "16xxupgrade.txt": b"SET APPNAME sa1603ua1_0100.bin\nGET 16xxsettings.txt\n",
        "16xxsettings.txt": b"SET SIPDOMAIN example.com\n",
    }
    assert lint(Folder(files, whole=False)) == []
    files["16xxupgrade.txt"] = files["16xxupgrade.txt"].replace(b"sa1603", b"ha1603")
    assert [one.code for one in lint(Folder(files, whole=False))] == ["ignored-by-family"]


def test_comments_switch_findings_off():
    data = b"## lint: ignore value-range\nSET L2QVLAN 5000\nSET L2QVLAN 5000\n"
    assert told({"a.txt": data}) == [("a.txt", 3, "value-range")]
    assert told({"a.txt": b"# lint: ignore-file value-range, no-tag\n" + data + b"GOTO NONE\n"}) == []
    assert told({"a.txt": b"## lint: ignore no-tag\n" + data[28:]}) != []
