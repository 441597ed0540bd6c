"""A branch joins: nothing that it says of itself goes further than it must."""

from __future__ import annotations

import pytest
from cryptography import x509

from mv_iptel import certs, config
from mv_iptel.central.enrolling import Enrolling
from mv_iptel.central.refusing import No
from mv_iptel.central.tokens import Branches
from mv_iptel.home import Home
from tests.central.office import Key


@pytest.fixture
def enrolling(tmp_path):
    home = Home(tmp_path)
    home.var.mkdir(parents=True)
    certs.make_authority(home, "here")
    certs.make_server(home, certs.Names(("centre",), ("127.0.0.1",)))
    events = []
    enrolling = Enrolling(config.defaults(home), Branches(home), events.append)
    enrolling.events, enrolling.known = events, Branches(home)
    return enrolling


def test_what_a_branch_gets(enrolling):
    key = Key()
    told = {"token": enrolling.known.invite("Oslo", 7), "csr": key.csr, "server": "Os\x1b[2Jlo" + "x" * 300}
    given = enrolling.join(told, "192.0.2.7")
    made = x509.load_pem_x509_certificate(given["certificate"].encode())
    assert made.public_key() == key.key.public_key() and made.subject.rfc4514_string() == "CN=Oslo"
    known = enrolling.known.who(given["token"])
    assert known.name == "Oslo" and known.server.isprintable() and len(known.server) == 100
    (event,) = enrolling.events
    assert event.peer == "192.0.2.7" and given["token"] not in repr(event)


def test_a_wrong_invitation_leaves_nothing(enrolling):
    assert "unknown" in enrolling.join({"token": "x" * 43, "csr": Key().csr}, "192.0.2.7")
    assert enrolling.known.all() == [] == enrolling.events


def test_a_bad_request_uses_no_invitation_up(enrolling):
    once = enrolling.known.invite("Oslo", 7)
    with pytest.raises(No):
        enrolling.join({"token": once, "csr": "nothing"}, "192.0.2.7")
    assert len(enrolling.known.invitations()) == 1
