"""Names for another machine, and what a client finds in them."""

from __future__ import annotations

import pytest

from mv_iptel.certs import CertError, Names, host_names
from mv_iptel.certs.names import given_names


def test_another_machine_is_named_by_what_was_given_only():
    names = given_names(["pbx.example.net", "192.0.2.20"], ["2001:0db8::1"], ["https://pbx.example.net/"])
    assert names == Names(("pbx.example.net",), ("192.0.2.20", "2001:db8::1"), ("https://pbx.example.net/",))
    assert "localhost" not in names.every


@pytest.mark.parametrize("names", [["a b"], ["ok", "-x"]])
def test_what_is_no_name(names):
    with pytest.raises(CertError, match="neither a DNS name nor an address"):
        given_names(names)


@pytest.mark.parametrize("uri", ["files1", "http://[", "http://a b/", "http://ä/"])
def test_what_is_no_uri(uri):
    with pytest.raises(CertError, match="is not a URI"):
        host_names(uris=[uri])


@pytest.mark.parametrize(
    ("host", "found"),
    [("files1", True), ("FILES1.", True), ("a.example.net", True), ("a.b.example.net", False),
     ("example.net", False), ("192.0.2.10", True), ("192.0.2.11", False),
      ("[2001:0db8::10]", True), ("", False)],
)  # fmt: skip
def test_a_client_compares(host, found):
    assert Names(("files1", "*.example.net"), ("192.0.2.10", "2001:db8::10")).covers(host) == found
