"""The record of one STOR or RETR: one, whatever happens."""

from __future__ import annotations

import pytest

from mv_iptel.ftp.transfer import Asked, Listing
from mv_iptel.library import Client
from mv_iptel.library.answers import Reason, Refuse, Request
from tests.ftp.site import Site


@pytest.fixture
def asked(home):
    site = Site(home)
    session = site.library.admit(Client("127.0.0.1", 1, "ftp", "ftp:21"))
    yield site, Asked(session, Request(b"1234_4620data.txt", write=True), lambda: None, 100.0)
    site.library.close()


def test_one_record_for_one_request(asked):
    site, one = asked
    one.finish(Refuse(Reason.NO_SNMP, "no answer"), "refused", 0, 101.5)
    one.finish(Refuse(Reason.FAULT), "failed", 0, 102.0)
    told = site.event()
    assert (told.outcome, told.reason, told.seconds, told.op) == ("refused", "no-snmp", 1.5, "store")


def test_nothing_is_stored_by_a_listing():
    assert not Listing(b"").take(b"x")
