"""Ports of the central API that cannot be opened; the rest is tried by test_server.py."""

from __future__ import annotations

import asyncio

import pytest

from mv_iptel import config
from mv_iptel.central.listening import Context, Ports
from mv_iptel.home import Home
from mv_iptel.http.tls import CertificateError
from mv_iptel.init import create


def test_without_a_certificate_every_address_is_failed(tmp_path):
    told = []

    async def story():
        ports = Ports(lambda: None, told.append)
        await ports.open(config.defaults(Home(tmp_path)), None, "there is no certificate")
        assert ports.failed
        assert {(row["state"], row["error"]) for row in ports.listeners()} == {
            ("failed", "there is no certificate")
        }
        await ports.close()
        assert ports.listeners() == []

    asyncio.run(story())
    assert {event.state for event in told} == {"failed", "off"}


def test_an_authority_of_branches_that_is_none(tmp_path):
    home = Home(tmp_path / "home")
    create(home, "localhost", ["127.0.0.1"])
    broken = tmp_path / "ca.pem"
    broken.write_text("nothing")
    with pytest.raises(CertificateError, match="cannot be used"):
        Context(config.load(home), broken, lambda event: None)
