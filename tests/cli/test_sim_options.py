"""What the commands of sim share: whose community and port an agent takes, and the phone that is meant."""

from __future__ import annotations

import pytest

from mv_iptel.cli.sim_options import colons, handset_of, snmp_of
from mv_iptel.config.editing import changed
from mv_iptel.home import Home, shipped


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path)
    home.ini.parent.mkdir(parents=True)
    text = (shipped() / "MV_IPTel.ini").read_text("utf-8")
    home.ini.write_text(changed(text, {("SNMP", "Community"): "w", ("SNMP", "SNMPPort"): "6161"}), "utf-8")
    return home


def test_an_agent_takes_what_the_home_asks_with(home, tmp_path):
    assert snmp_of(home, None, None) == ("w", 6161)
    assert snmp_of(home, "other", None) == ("other", 6161)
    assert snmp_of(home, None, 0) == ("w", 0)
    assert snmp_of(Home(tmp_path / "none"), None, None) == ("public", 161)
    home.ini.write_text("[SNMP]\nSNMPPort = many\n")
    assert snmp_of(home, None, None) == ("public", 161)


def test_the_phone_that_options_name():
    handset = handset_of("9611g", mac="00-04-0D-AA-BB-CC", ext="4711")
    assert (handset.model, handset.mac, handset.ext) == ("9611G", "00040daabbcc", "4711")
    assert colons(handset.mac) == "00:04:0d:aa:bb:cc"


@pytest.mark.parametrize("wrong", [{"mac": "00:04"}, {"group": "1000"}, {"group": "-1"}, {"sig": "SCCP"}])
def test_a_phone_that_there_is_not_ends_the_command(wrong, capsys):
    with pytest.raises(SystemExit) as ended:
        handset_of("9640", **wrong)
    assert ended.value.code == 2 and capsys.readouterr().err.strip()
