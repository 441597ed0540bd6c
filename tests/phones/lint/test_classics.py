"""The classic mistakes, each planted in a realistic site: found in its line, and nothing on the sound one."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from mv_iptel.phones.lint import Folder, lint
from tests.phones.lint.site import OTHERS, SERVER, scripts

SETTINGS = "46xxsettings.txt"


class Mistake(NamedTuple):
    """What an administrator does, and what lint shall say: `mark` is a text in the line that is told."""

    old: str
    new: str
    code: str
    mark: str
    says: str
    file: str = SETTINGS
    severity: str = "error"


MISTAKES = {
    "a misspelt name": Mistake(
        "SET L2QVLAN 20",
        "SET L2QVALN 20",
        "misspelt-parameter",
        "L2QVALN",
        "write L2QVLAN",
        severity="warning",
    ),
    "a number out of range": Mistake(
        "L2QVLAN 20", "L2QVLAN 4095", "value-range", "L2QVLAN 4095", "0 to 4094"
    ),
    "an address that is none": Mistake(
        "SET DNSSRVR 192.0.2.53,192.0.2.54",
        "SET DNSSRVR 192.0.2.53,192.0.2.540",
        "value-type",
        "DNSSRVR",
        "no IPv4 address",
    ),
    "a setting for other phones": Mistake(
        "SET SIPDOMAIN example.com",
        "SET SIPDOMAIN example.com\nSET MCPORT 1719\nSET FTPSRVR 192.0.2.5",
        "ignored-by-family",
        "MCPORT 1719\nSET FTP",
        "ignore FTPSRVR",
        severity="info",
    ),
    "a jump to a tag that is not there": Mistake(
        "# SETTINGS9640\n",
        "# SETTINGS9650\n",
        "no-tag",
        "9640 GOTO SETTINGS9640",
        "ignore the rest of the file",
    ),
    "a tag that is commented out": Mistake(
        "\n# GROUP_1\n", "\n## GROUP_1\n", "tag-commented", "SEQ 1 GOTO GROUP_1", "one # and one blank"
    ),
    "a tag twice": Mistake(
        "# GROUP_2\n",
        "# GROUP_1\nSET AUDIOENV 1\nGOTO END\n\n# GROUP_2\n",
        "tag-twice",
        "SET PROCSTAT 1\nGOTO END\n\n# GROUP_1",
        "already",
        severity="warning",
    ),
    "a jump backwards": Mistake(
        "SET AGCHEAD 0\nSET PHNEMERGNUM 112\nGOTO END",
        "SET AGCHEAD 0\nSET PHNEMERGNUM 112\nGOTO GROUP_1",
        "tag-behind",
        "112\nGOTO GROUP_1",
        "search forward",
    ),
    "a section that runs into the next": Mistake(
        "SET PROCSTAT 1\nGOTO END\n\n# GROUP_2",
        "SET PROCSTAT 1\n\n# GROUP_2",
        "fall-through",
        "# GROUP_2",
        "GROUP_1 run on",
        severity="warning",
    ),
    "conditions without a way for the others": Mistake(
        "IF $GROUP SEQ 2 GOTO GROUP_2\nGOTO END\n",
        "IF $GROUP SEQ 2 GOTO GROUP_2\n",
        "fall-through",
        "\n# GROUP_1",
        "no condition above",
        severity="warning",
    ),
    "lines that nobody reads": Mistake(
        "# SETTINGSJ179\nSET PHNNUMOFSA 3\nGOTO GROUP_SETTINGS",
        "# SETTINGSJ179\nGOTO GROUP_SETTINGS\nSET PHNNUMOFSA 3",
        "unreachable",
        "SET PHNNUMOFSA",
        "no phone reads",
        severity="warning",
    ),
    "blanks without quotes": Mistake(
        '"Telephone $MACADDR of Example Ltd"',
        "Telephone $MACADDR of Example Ltd",
        "unquoted-blanks",
        "MYCERTCN",
        "straight quotes",
    ),
    "curly quotes": Mistake(
        'BRURI "https://192.0.2.5:411/"',
        "BRURI “https://192.0.2.5:411/”",
        "curly-quotes",
        "BRURI “",
        "refuse",
    ),
    "a value on the next line": Mistake(
        "SIP_CONTROLLER_LIST 192",
        "SIP_CONTROLLER_LIST\n192",
        "value-on-next-line",
        "SIP_CONTROLLER_LIST",
        "next line",
    ),
    "blanks before a statement": Mistake(
        "SET PHNLD 0", "    SET PHNLD 0", "leading-blanks", "PHNLD", "comment", severity="warning"
    ),
    "a list with blanks": Mistake(
        "192.0.2.10,192.0.2.11\nSET FTPSRVR",
        "192.0.2.10, 192.0.2.11\nSET FTPSRVR",
        "list-blanks",
        "192.0.2.10, ",
        "no blanks",
    ),
    "an accent in a name of a file": Mistake(
        "mlf_example_german.txt",
        "mlf_example_gérman.txt",
        "non-ascii",
        "gérman",
        "outside ASCII",
        severity="warning",
    ),
    "a folder with too long a path": Mistake(
        "SET PHNOL 9", f"SET PHNOL 9\nSET HTTPDIR {'a' * 200}", "value-long", "HTTPDIR", "127"
    ),
    "settings that lead back": Mistake(
        "SET PHNOL 9", "SET PHNOL 9\nGET 96x1Hupgrade.txt", "get-loop", "GET 96x1H", "GET loop"
    ),
    "a settings file that is not there": Mistake(
        "GET 46xxsettings.scr\nGET 46xxsettings.txt",
        "GET 46xxsetings.txt",
        "no-file",
        "GET",
        "no such file",
        "96x1Hupgrade.txt",
    ),
    "firmware that is not there": Mistake(
        "S9621_41_example_6_8_5",
        "S9621_41_example_6_8_6",
        "no-firmware",
        "6_8_6",
        "restart for ever",
        "96x1Hupgrade.txt",
    ),
    "a name in other letters": Mistake(
        "TRUSTCERTS mv_ca.txt\nSET UNN",
        "TRUSTCERTS MV_CA.txt\nSET UNN",
        "file-case",
        "MV_CA",
        "mv_ca.txt",
        severity="info",
    ),
    "a tag in other letters": Mistake(
        "# GROUP_2", "# Group_2", "tag-case", "GOTO GROUP_2", "Group_2", severity="warning"
    ),
    "backups without SNMP": Mistake(
        "SET SNMPSTRING lookbutdonottouch\n",
        "",
        "backup-snmp",
        "SET FTPSRVR",
        "SNMPSTRING",
        severity="warning",
    ),
    "backups to another server": Mistake(
        "BRURI https://192.0.2.5:411/\nSET TRUSTCERTS mv_ca.txt\nSET UNN",
        "BRURI https://192.0.2.6:411/\nSET TRUSTCERTS mv_ca.txt\nSET UNN",
        "backup-elsewhere",
        "192.0.2.6",
        "no address of this server",
        severity="warning",
    ),
    "backups to a port that is none of ours": Mistake(
        "BRURI http://192.0.2.5:81/",
        "BRURI http://192.0.2.5:411/",
        "backup-port",
        "BRURI http://192.0.2.5:411/",
        "411",
        severity="warning",
    ),
    "a password for everybody": Mistake(
        "SET SIPDOMAIN",
        "SET FORCE_SIP_PASSWORD hush-hush\nSET SIPDOMAIN",
        "open-secret",
        "FORCE_SIP",
        "anyone",
        severity="warning",
    ),
    "firmware for refused phones": Mistake(
        "## VPN telephones first\n",
        "SET APPNAME 4620_example.app\n",
        "fxd-firmware",
        "SET APPNAME",
        "refused",
        "fxd_upgrade.scr",
    ),
    "a variable that is misspelt": Mistake(
        "$MODEL4 SEQ J179", "$MODLE4 SEQ J179", "unknown-variable", "MODLE4", "$MODEL4", severity="warning"
    ),
    "a model that is too long": Mistake(
        "SEQ 9641 GOTO SETTINGS96X1",
        "SEQ 9641G GOTO SETTINGS96X1",
        "never-true",
        "9641G",
        "four characters",
        severity="warning",
    ),
    "an equals sign": Mistake(
        "SET VLANTEST 60", "SET VLANTEST=60", "equals-sign", "VLANTEST", "SET VLANTEST"
    ),
    "a profile that overwrites": Mistake(
        "SET NVVPNCFGPROF 6\nSET NVVPNAUTHTYPE 3",
        "SET NVVPNAUTHTYPE 3\nSET NVVPNCFGPROF 6",
        "wrong-order",
        "NVVPNAUTHTYPE",
        "overwrites",
        "46xxvpn.scr",
        "warning",
    ),
}


def linted(texts: dict[str, str]):
    folder = Folder({name: text.encode() for name, text in texts.items()}, OTHERS)
    return lint(folder, site=SERVER)


def test_nothing_is_wrong_with_the_sound_site():
    assert linted(scripts()) == []


@pytest.mark.parametrize("ending", ["\r\n", "\n"])
@pytest.mark.parametrize("coding", ["cp1252", "utf-8"])
def test_nor_in_other_encodings(ending, coding):
    files = {name: text.replace("\n", ending).encode(coding) for name, text in scripts().items()}
    assert lint(Folder(files, OTHERS), site=SERVER) == []


def test_there_are_twenty():
    assert len(MISTAKES) >= 20


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_found_in_its_line(name):
    mistake = MISTAKES[name]
    texts = scripts()
    if mistake.file not in texts:
        texts[mistake.file] = texts["46xxupgrade.scr"]
    before = texts[mistake.file]
    assert before.count(mistake.old) == 1 or mistake.mark.startswith("SET FTPSRVR")
    texts[mistake.file] = after = before.replace(mistake.old, mistake.new)
    at = after.index(mistake.mark)
    # The line told is that in which the mark ends; a mark may begin some lines above to be the only one.
    line = after.count("\n", 0, at + len(mistake.mark)) + 1
    found = [one for one in linted(texts) if one.file == mistake.file and one.code == mistake.code]
    assert line in {one.line for one in found}, linted(texts)
    one = next(each for each in found if each.line == line)
    assert one.severity == mistake.severity
    assert mistake.says in f"{one.text}; {one.mend}"
    assert "hush-hush" not in str(linted(texts))


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_brings_no_false_alarm(name):
    """What besides is told follows from the mistake: no other code is an error."""
    mistake = MISTAKES[name]
    texts = scripts()
    texts.setdefault(mistake.file, texts["46xxupgrade.scr"])
    texts[mistake.file] = texts[mistake.file].replace(mistake.old, mistake.new)
    others = [one for one in linted(texts) if one.code != mistake.code]
    follows = FOLLOWS.get(name, set())
    assert {one.code for one in others} <= follows, others


FOLLOWS = {
    # Its old section is then read by nobody, or its own tag is jumped to by nobody.
    "a jump to a tag that is not there": {"unreachable"},
    "an accent in a name of a file": {"no-file"},
    "settings that lead back": set(),
    "firmware for refused phones": set(),
    "a setting for other phones": {"ignored-by-family"},
}
