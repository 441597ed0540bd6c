"""The command `settings new`: over a home, and without one."""

from __future__ import annotations

import json

from mv_iptel.config import load
from mv_iptel.home import Home
from tests.cli.furnished import booted, run


def test_a_new_file_has_the_ports_and_the_community_of_the_home(site):
    said = run(site, "new", "--call-server", "192.0.2.20", "--vlan", "20", code=1)
    assert "there already" in said and "46xxsettings.txt" in said
    run(site, "new", "--call-server", "192.0.2.20", "--vlan", "20", "--replace")
    community = load(site).snmp.community
    found = booted(site, "9608")
    assert found.ready, found.why
    values = {name: made.value for name, made in found.parameters.items()}
    assert values["BRURI"] == "https://192.0.2.5:6411/" and values["HTTPPORT"] == "6081"
    assert (values["SNMPSTRING"], values["SNMPADD"]) == (community, "192.0.2.5")
    assert (values["MCIPADD"], values["L2QVLAN"], values["TRUSTCERTS"]) == ("192.0.2.20", "20", "mv_ca.txt")
    assert booted(site, "1608").parameters["BRURI"].value == "http://192.0.2.5:6081/"


def test_vpn_phones(site):
    run(
        site,
        "new",
        "--vpn",
        "generic-psk",
        "--vpn-gateway",
        "198.51.100.1",
        "--set",
        "NVIKEID=OFFICE",
        "--replace",
    )
    for model in ("4620", "9640", "9608"):
        found = booted(site, model, "876")
        assert found.ready, found.why
        assert found.parameters["NVSGIP"].value == "198.51.100.1"
        assert found.parameters["NVIKEID"].value == "OFFICE"
        assert "NVSGIP" not in booted(site, model).parameters
    # The branch stays when the script is written anew for its firmware.
    (site.http_data / "4620_031225.app").write_bytes(b"\0")
    run(site, "upgrade-script", "--replace")
    assert booted(site, "4620", "876").parameters["NVSGIP"].value == "198.51.100.1"
    assert booted(site, "4620").handset.runs == "4620_031225.app"


def test_nothing_is_written_where_a_value_is_wrong(site):
    before = (site.http_data / "46xxsettings.txt").read_bytes()
    said = run(site, "new", "--vlan", "9999", "--set", "L2QVLAM=3", "--replace", code=2)
    assert "L2QVLAN is a number" in said and "did you mean L2QVLAN" in said
    assert "write NAME=VALUE" in run(site, "new", "--set", "PHNOL", code=2)
    assert "not among the families" in run(site, "new", "--vpn", "avaya", "--family", "96x1", code=2)
    assert "neither an offset" in run(site, "new", "--zone", "Mars", code=2)
    assert (site.http_data / "46xxsettings.txt").read_bytes() == before


def test_a_secret_comes_from_a_file(site, tmp_path):
    (tmp_path / "psk").write_text("s3cret\n")
    words = (
        "new",
        "--vpn",
        "generic-psk",
        "--vpn-gateway",
        "198.51.100.1",
        "--set",
        f"NVIKEPSK=@{tmp_path}/psk",
    )
    run(site, *words, "--replace")
    assert b"SET NVIKEPSK s3cret\n" in (site.http_data / "46vpnsetting.txt").read_bytes()
    assert "/none" in run(site, "new", "--set", "NVIKEPSK=@/none", code=2)


def test_questions(site):
    answers = (
        "96x1 j100-sip\n192.0.2.20\n192.0.2.30\nexample.com\n20\n192.0.2.50\n192.0.2.40\n\nEurope/Vienna\n"
    )
    shown = run(site, "new", "-", "--ask", answers=answers)
    for line in ("SET MCIPADD 192.0.2.20", "SET SIP_CONTROLLER_LIST 192.0.2.30", "SET SIPDOMAIN example.com",
                 "SET L2QVLAN 20", "SET LOGSRVR 192.0.2.50", "SET SNTPSRVR 192.0.2.40", "SET GMTOFFSET 1:00",
                 "SET TLSSRVR 192.0.2.5"):  # fmt: skip
        assert line in shown, line
    assert "9640" not in shown


def test_an_answer_that_no_phone_would_take_is_asked_again(site):
    answers = "9x\n96x1-sip\n\n\n\n5000\n20\n\n\n\nMars/Base\n1:00\n"
    shown = run(site, "new", "-", "--ask", answers=answers)
    assert "SET L2QVLAN 20\n" in shown and "SET GMTOFFSET 1:00\n" in shown
    for told in ("no family 9x", "5000 is too large", "Mars/Base is neither"):
        assert told in shown


def test_ports(site):
    shown = run(site, "new", "-", "--http-port", "8080", "--tls-port", "8443")
    assert "SET HTTPPORT 8080\n" in shown and "SET TLSPORT 8443\n" in shown
    assert "SET BRURI https://192.0.2.5:8443/\n" in shown and "SET BRURI http://192.0.2.5:8080/\n" in shown


def test_without_a_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    nowhere = Home(tmp_path / "none")
    run(nowhere, "new", "--server", "192.0.2.5", "--family", "4600", "--community", "abc")
    assert "SET FTPSRVR 192.0.2.5\n" in (tmp_path / "46xxsettings.txt").read_text()
    told = json.loads(run(nowhere, "new", "--dry", "--json", "--family", "16xx", "--no-backups"))
    assert told["findings"] == [] and told["files"][0]["what"] == "shown"
    assert "name a directory" in run(nowhere, "upgrade-script", code=2)


def test_a_name_that_no_phone_can_ask_for(site, tmp_path):
    for name in ("ünï.txt", "my settings.txt", "a\x1b[31m.txt", 'a"b.txt', "a\nSET X 1.txt", "$MACADDR.txt"):
        said = run(site, "new", str(tmp_path / name), "--vpn", "generic-psk", code=2)
        assert "cannot ask for" in said and "\x1b" not in said
    assert list(tmp_path.glob("*.txt")) == []
