"""Addresses of a telephone system: which are taken, and into which lines they go."""

from __future__ import annotations

import pytest

from manager.facts import telephony
from manager.facts.changing import Refused
from mv_iptel.config import load
from tests.manager.here import made


@pytest.fixture
def config(tmp_path):
    return load(made(tmp_path))


@pytest.mark.parametrize(
    ("key", "value", "good"),
    [
        ("h323", "192.0.2.10", True), ("h323", "192.0.2.10,cm.example.com", True),
        ("h323", "2001:db8::1", True),
        ("h323", "192.0.2.10, 192.0.2.11", False), ("h323", "", False), ("h323", "a b", False),
        ("h323", ",".join(["10.0.0.1"] * 9), False), ("h323", 'x"y', False),
        ("h323", "192.0.2.1\nSET A b", False), ("h323", "192.0.2.1\n", False),
        ("sip", "192.0.2.20:5061;transport=tls", True), ("sip", "sm.example.com", True),
        ("sip", "[2001:db8::1]:5061;transport=tcp", True), ("sip", "192.0.2.20;transport=x", False),
        ("sip", "192.0.2.20:5061;transport=tls SET", False), ("sip", "$MACADDR", False),
    ],
)  # fmt: skip
def test_what_is_an_address(key, value, good):
    assert (telephony.fault(key, value) == "") == good


def test_every_line_for_it_is_written_live_or_example(config):
    file = config.http.http_dir / "46xxsettings.txt"
    file.write_bytes(
        b"SET MCIPADD 10.0.0.1\r\n##  set mcipadd old\r\n## about SET MCIPADD\r\n## SET MCIPADDX 1\r\n"
    )
    done = telephony.write_system(config, {"h323": "10.0.0.2", "sip": ""})
    assert file.read_bytes() == (
        b"SET MCIPADD 10.0.0.2\r\nSET MCIPADD 10.0.0.2\r\n## about SET MCIPADD\r\n## SET MCIPADDX 1\r\n"
    )
    assert "HTTPdata/46xxsettings.txt" in done


def test_settings_without_a_line_for_it_are_left_alone(config):
    for folder in (config.http.http_dir, config.tftp.tftp_dir):
        (folder / "46xxsettings.txt").write_text("SET PHNCC 1\n")
    with pytest.raises(Refused, match="SIP_CONTROLLER_LIST"):
        telephony.write_system(config, {"h323": "", "sip": "10.0.0.2"})


def test_the_state_changes_with_any_of_the_files(config):
    before = telephony.state_of(config)
    assert len(telephony.files_of(config)) == 2
    (config.tftp.tftp_dir / "46xxsettings.txt").write_text("SET PHNCC 1\n")
    assert telephony.state_of(config) not in ("", before)
    for folder in (config.http.http_dir, config.tftp.tftp_dir):
        (folder / "46xxsettings.txt").unlink()
    assert telephony.state_of(config) == "" and telephony.files_of(config) == []
