"""A client's garbage is not logged; a fault of ours is."""

from __future__ import annotations

import pytest
from aiohttp.http_exceptions import BadStatusLine
from aiohttp.web import RequestPayloadError

from mv_iptel.strangers import wire


@pytest.mark.parametrize("error", [BadStatusLine("\0"), RequestPayloadError("x"), ConnectionResetError()])
def test_what_clients_do(caplog, error):
    log = wire("mv_iptel.test.wire")
    assert wire("mv_iptel.test.wire") is log and len(log.filters) == 1
    log.error("Error handling request", exc_info=error)
    assert caplog.records == []


def test_what_we_do(caplog):
    wire("mv_iptel.test.wire").error("Error handling request", exc_info=KeyError("ours"))
    wire("mv_iptel.test.wire").error("something else")
    assert len(caplog.records) == 2
