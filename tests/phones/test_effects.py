"""What a phone ends up with: the last good line counts, and only what its family takes."""

from __future__ import annotations

import pytest

from mv_iptel.phones.effects import alike, anyone, by_mac, effects, judge
from mv_iptel.phones.families import Handset
from mv_iptel.phones.served import Served

MAC = "00040d112233"


def play(settings: str, model: str = "9611G", more: dict[str, bytes] | None = None, **fields):
    """A phone over one settings file and the upgrade scripts of three families."""
    get = b"GET 46xxsettings.txt\n"
    files = {"96x1Hupgrade.txt": get, "J100Supgrade.txt": get, "46xxupgrade.scr": get}
    served = Served.memory({**files, "46xxsettings.txt": settings.encode(), **(more or {})})
    symbolic = fields.pop("symbolic", False)
    return effects(served, Handset(model, **fields), symbolic=symbolic)


def lines(made):
    return [(each.value, each.line) for each in made]


def test_the_last_line_counts_and_the_earlier_ones_are_told():
    found = play("SET HTTPPORT 81\nset httpport 82\nSET HTTPPORT 83\n")
    assert found.parameters["HTTPPORT"][1:] == ("83", "46xxsettings.txt", 3)
    assert lines(found.overridden["HTTPPORT"]) == [("81", 1), ("82", 2)]
    assert found.value("HTTPPORT") == "83" and found.value("VLANTEST") == "60"
    assert found.settled and found.start == "96x1Hupgrade.txt"


def test_a_value_that_fails_its_check_keeps_the_old_one():
    found = play("SET VLANTEST 30\nSET VLANTEST 5000\n")
    assert found.value("VLANTEST") == "30" and "VLANTEST" not in found.overridden
    (rejected,) = found.rejected["VLANTEST"]
    assert rejected.made.line == 2 and "too large" in rejected.why
    assert play("SET VLANTEST 5000\n").value("VLANTEST") == "60"


def test_what_the_family_does_not_take_does_nothing():
    settings = "SET LANGUAGES a.xml\n"
    found = play(settings)
    assert "LANGUAGES" not in found.parameters
    assert found.ignored["LANGUAGES"].made.line == 1 and "96x1" in found.ignored["LANGUAGES"].why
    assert play(settings, "J179").value("LANGUAGES") == "a.xml"
    assert "GROUP" in play("SET GROUP 5\n").ignored


def test_another_spelling_is_the_same_setting_where_it_is_known():
    assert play("SET SNMPSTAT abc\n").parameters["SNMPSTRING"].name == "SNMPSTAT"
    assert play("SET NVVLANTEST 9\n", "4621SW").value("VLANTEST") == "9"
    assert play("SET NVVLANTEST 9\n").value("VLANTEST") == "60"


def test_an_unknown_setting_is_kept_by_its_own_name():
    assert play("SET NOSUCHTHING 9\n").value("NOSUCHTHING") == "9"


def test_a_profile_writes_what_hangs_on_it():
    found = play("SET NVIKEIDTYPE 1\nSET NVVPNCFGPROF 3\nSET NVVPNAUTHTYPE 4\n")
    assert found.profiled["NVIKEIDTYPE"] == "NVVPNCFGPROF" and found.value("NVIKEIDTYPE") is None
    assert lines(found.overridden["NVIKEIDTYPE"]) == [("1", 1)]
    assert found.value("NVVPNAUTHTYPE") == "4" and "NVVPNAUTHTYPE" not in found.profiled
    assert not play("SET NVVPNCFGPROF 0\n").profiled


def test_without_an_upgrade_script_nothing_is_read():
    found = effects({"46xxsettings.txt": b"SET HTTPPORT 81\n"}, Handset("9611G"))
    assert not found.start and not found.parameters and not found.settled
    assert [asked.name for asked in found.missing] == ["96x1Hupgrade.txt"]


def test_firmware_is_asked_for_with_its_line():
    script = b"SET RFSNAME k.tar\nSET APPNAME a.tar\nGET 46xxsettings.txt\n"
    found = play("SET HTTPPORT 81\n", more={"96x1Hupgrade.txt": script, "K.TAR": b"x"})
    software = {asked.name: asked for asked in found.asked if asked.kind == "software"}
    assert software["k.tar"].had and not software["a.tar"].had
    assert software["a.tar"][1:3] == ("96x1Hupgrade.txt", 2)
    assert found.handset.runs == "a.tar" and found.value("HTTPPORT") == "81"


def test_a_boot_file_comes_first_as_on_a_real_phone():
    script = (
        b"IF $BOOTNAME SEQ b20d01b2_9.bin GOTO APP\nSET APPNAME b20d01b2_9.bin\nGOTO END\n"
        b"# APP\nSET APPNAME a20.bin\n# END\nGET 46xxsettings.txt\n"
    )
    found = play("", "4621SW", {"46xxupgrade.scr": script, "b20d01b2_9.bin": b"", "a20.bin": b""})
    assert [asked.name for asked in found.asked if asked.kind == "software"] == ["b20d01b2_9.bin", "a20.bin"]
    assert found.value("APPNAME") == "a20.bin" and not found.restless


def test_scripts_that_never_agree():
    script = b"IF $APPNAME SEQ a.bin GOTO B\nSET APPNAME a.bin\nGOTO END\n# B\nSET APPNAME b.bin\n# END\n"
    found = effects({"96xxupgrade.txt": script}, Handset("9640"))
    assert found.restless


def test_h323_firmware_over_tls_lies_in_https_data_in_vain(tmp_path):
    for folder in ("HTTPdata", "HTTPSdata"):
        (tmp_path / folder).mkdir()
    (tmp_path / "HTTPdata" / "96x1Hupgrade.txt").write_bytes(b"SET APPNAME a.tar\n")
    (tmp_path / "HTTPSdata" / "a.tar").write_bytes(b"x")
    served = Served.directory(tmp_path)
    assert [asked.name for asked in effects(served, Handset("9611G")).missing] == ["a.tar"]


def test_an_old_set_reads_tftp_first(tmp_path):
    for folder in ("HTTPdata", "TFTPdata"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "46xxupgrade.scr").write_text("GET 46xxsettings.txt\n")
        (tmp_path / folder / "46xxsettings.txt").write_text(f"SET FTPDIR {folder}\n")
    assert effects(Served.directory(tmp_path), Handset("4621SW")).value("FTPDIR") == "TFTPdata"
    (tmp_path / "TFTPdata" / "46xxupgrade.scr").unlink()
    assert effects(Served.directory(tmp_path), Handset("4621SW")).value("FTPDIR") == "HTTPdata"


def test_files_that_settings_name():
    found = play("SET TRUSTCERTS a.pem,b.pem,http://x/c.pem\n", more={"a.pem": b""})
    assert [(one.name, one.had) for one in found.asked if one.kind == "file"] == [
        ("a.pem", True),
        ("b.pem", False),
    ]


def test_nobodys_mac_stays_a_variable():
    settings = "SET HTTPDIR /$MACADDR\nSET MYCERTCN $SERIALNO\nGET $MACADDR.txt\n"
    own = {f"{MAC}.txt": b"SET L2QVLAN 5\n"}
    nobody = play(settings, more=own, mac=anyone(Handset("9611G")).mac)
    assert nobody.value("HTTPDIR") == "/$MACADDR" and nobody.value("MYCERTCN") == "$SERIALNO"
    assert [asked.name for asked in nobody.missing] == ["$MACADDR.txt"]
    one = play(settings, more=own, mac=MAC, symbolic=True)
    assert one.value("HTTPDIR") == "/$MACADDR" and one.value("L2QVLAN") == "5"
    assert play(settings, more=own, mac=MAC).value("HTTPDIR") == f"/{MAC}"


def test_who_is_known_by_mac():
    files = {
        "96x1Hupgrade.txt": b"IF $MACADDR SEQ 00040D000001 GOTO X\nGET $MACADDR.txt\n# X",
        f"{MAC}.txt": b"",
    }  # fmt: skip
    served = Served.memory(files)
    test = by_mac(effects(served, anyone(Handset("9611G")), symbolic=True), served)
    assert test(MAC) and test("00040d000001") and not test("00040d000002")


def test_who_takes_the_same_way():
    settings = "IF $GROUP SEQ 5 GOTO FIVE\nIF $MODEL4 SEQ 9611 GOTO END\nSET HTTPPORT 1\n# FIVE\n# END\n"
    nobody = anyone(Handset("9611G"))
    seen = play(settings, mac=nobody.mac, symbolic=True)
    for model, group, same in (("9611G", "7", True), ("9611G", "5", False), ("9608", "0", False)):
        assert alike(seen, anyone(Handset(model, group=group))) is same, (model, group)
    five = play(settings, mac=nobody.mac, symbolic=True, group="5")
    assert alike(five, anyone(Handset("9608", group="5")))


def test_a_name_with_the_model_in_it_parts_models():
    seen = play("GET $MODEL4.txt\n", mac=anyone(Handset("9611G")).mac, symbolic=True)
    assert not alike(seen, anyone(Handset("9608"))) and alike(seen, anyone(Handset("9611G", group="3")))


@pytest.mark.parametrize(
    ("name", "family", "value", "does"),
    [
        ("L2QVLAN", "96x1", "9", "set"), ("L2QVLAN", "96x1", "9999", "rejected"),
        ("BOOTNAME", "4600", "x", "ignored"), ("MCIPADD", "J100-sip", "192.0.2.1", "ignored"),
        ("NOSUCH", "96x1", "x", "set"), ("MCPORT", "96x1", "0x", "rejected"),
    ],
)  # fmt: skip
def test_what_becomes_of_a_line(name, family, value, does):
    assert judge(name, family, value).does == does
