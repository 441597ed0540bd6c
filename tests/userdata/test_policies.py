"""Which policy counts for an address, and the file of passwords."""

from __future__ import annotations

import dataclasses
import hashlib
import ipaddress
import os

import pytest

from mv_iptel import config as configuration
from mv_iptel import passwords
from mv_iptel.config import Policy
from mv_iptel.home import Home
from mv_iptel.userdata.policies import Passwords, policy_of

NETS = "10.8.0.0/16=pin 10.0.0.0/8=basic 192.168.7.9=none fd00::/8=pin"


@pytest.fixture
def config(tmp_path):
    plain = configuration.defaults(Home(tmp_path))
    nets = tuple(Policy(ipaddress.ip_network(net), policy)
                 for net, _, policy in (part.partition("=") for part in NETS.split()))  # fmt: skip
    return dataclasses.replace(plain, http=dataclasses.replace(plain.http, backup_per_net=nets))


POLICIES = {
    "10.8.1.2": "pin",
    "10.9.1.2": "basic",
    "::ffff:10.9.1.2": "basic",
    "192.168.7.9": "none",
    "192.168.7.10": "snmp",
    "fd00::1": "pin",
    "fe80::1%eth0": "snmp",
    "2001:db8::1": "snmp",
    "no address": "snmp",
    "": "snmp",
}


@pytest.mark.parametrize("address", POLICIES)
def test_the_first_match_counts(config, address):
    assert policy_of(config, address) == POLICIES[address]


def test_without_networks_the_setting_counts(tmp_path):
    plain = configuration.defaults(Home(tmp_path))
    assert policy_of(plain, "10.8.1.2") == "snmp"
    basic = dataclasses.replace(plain, http=dataclasses.replace(plain.http, backup_auth="basic"))
    assert policy_of(basic, "10.8.1.2") == "basic"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "backup-passwords.txt"


def write(file, text):
    """As a careful administrator: aside, then renamed, so that the file is another one."""
    aside = file.with_name("aside")
    aside.write_bytes(text if isinstance(text, bytes) else text.encode())
    os.replace(aside, file)


def test_plain_and_hashed_passwords(file):
    write(file, f"# who may\n\n 1234 : s3:cret \n1235:{passwords.make('other')}\r\n\n")
    kept = Passwords(file)
    assert kept.problems() == []
    assert kept.check("1234", "s3:cret") and not kept.check("1234", "other")
    assert kept.check("1235", "other") and not kept.check("1235", "s3:cret")
    assert not kept.check("1236", "") and not kept.check("", "") and not kept.check("# who may", "")


def test_the_time_does_not_tell_who_is_in_the_file(file, monkeypatch):
    """What takes the time is counted, which a busy machine does not change."""
    costs, compute = [], hashlib.scrypt

    def scrypt(*arguments, **more):
        costs.append(more["n"])
        return compute(*arguments, **more)

    monkeypatch.setattr("hashlib.scrypt", scrypt)
    write(file, "1:plain\n")
    kept = Passwords(file)
    assert kept.check("1", "plain") and not kept.check("2", "plain") and costs == []
    write(file, f"1:plain\n2:{passwords.make('hashed')}\n")
    costs.clear()
    for user, password in (("2", "hashed"), ("2", "other"), ("3", "hashed"), ("1", "other"), ("1", "plain")):
        assert kept.check(user, password) is ((user, password) in (("2", "hashed"), ("1", "plain")))
    assert len(costs) == 5 and len(set(costs)) == 1
    file.unlink()
    assert not kept.check("2", "hashed") and len(costs) == 5


def test_bad_lines_are_told_and_let_nobody_in(file):
    write(
        file,
        b"\xef\xbb\xbf1:one\nnothing\n:empty\n2:\n1:two\n3:scrypt:typo\n4:\xff\n5:good\n",
    )
    kept = Passwords(file)
    assert [(name, line) for name, line, _ in kept.problems()] == [(str(file), line) for line in range(2, 8)]
    texts = " ".join(text for _, _, text in kept.problems())
    assert "user:password" in texts and "second time" in texts and "scrypt" in texts and "UTF-8" in texts
    for secret in ("one", "two", "nothing", "typo"):
        assert secret not in texts
    assert kept.check("1", "one") and kept.check("5", "good")
    for user, password in (("1", "two"), ("2", ""), ("3", "scrypt:typo"), ("4", "\xff"), ("", "empty")):
        assert not kept.check(user, password)


def test_it_is_read_again_when_it_changed(file):
    kept = Passwords(file)
    assert not kept.check("1", "one")
    assert "cannot be read" in kept.problems()[0][2]
    write(file, "1:one\n")
    assert kept.check("1", "one") and kept.problems() == []
    write(file, "1:two\n")
    assert not kept.check("1", "one") and kept.check("1", "two")
    file.unlink()
    assert not kept.check("1", "two") and kept.problems()


def test_no_file_lets_nobody_in(tmp_path, file):
    assert not Passwords(None).check("1", "") and Passwords(None).problems() == []
    assert not Passwords(tmp_path).check("1", "")  # a directory
    assert Passwords(tmp_path).problems()
    write(file, b"1:one\n" + b"#" * (5 << 20))
    assert not Passwords(file).check("1", "one") and "MiB" in Passwords(file).problems()[0][2]
