"""Which phones accept what this site shows: a table of facts, tried by pieces and on a whole home."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mv_iptel import certs, config
from mv_iptel.certs import Names, Shape, accepting
from mv_iptel.certs.accepting import NO, PERHAPS, YES, Shown
from mv_iptel.certs.reading import load_chain
from mv_iptel.http import tls

NOW = datetime.now(UTC)
HOST = "192.0.2.10"


def offer(**modes):
    https = replace(config.defaults(None).https, https_port=411, **modes)  # type: ignore[arg-type]
    return tls.announce(https, 411)


@pytest.fixture(scope="session")
def shown(original):
    """What a fresh home shows, with the settings that `init` writes."""
    loaded = config.defaults(original)
    chain, ca = load_chain(original.cert_file), load_chain(original.ca_cert)
    return Shown(chain, tls.announce(loaded.https, 411), (HOST,), tuple(ca), ("mv_ca.txt",), True)


@pytest.fixture
def look(shown):
    """`look(family, **changes)`: the verdict on it, and all reasons as one text."""

    def verdict(family: str, now=NOW, **changes) -> tuple[str, str]:
        found = {one.family: one for one in accepting.verdicts(replace(shown, **changes), now)}
        return found[family].accepts, "; ".join(found[family].reasons)

    return verdict


OLD = {"TLSv1.0": ("AES128-SHA",), "TLSv1.1": ("AES128-SHA",), "TLSv1.2": (*tls.MODERN, "AES128-SHA")}


@pytest.mark.parametrize(
    ("family", "changes", "accepts", "words"),
    [
        ("J100 SIP", {}, YES, ""),
        ("J100 SIP", {"anchors": ()}, NO, "does not lead to CN=mv-iptel authority of Site North"),
        ("J100 SIP", {"anchors": (), "taught": ()}, YES, ""),
        ("J100 SIP", {"hosts": ("192.0.2.11",)}, NO, "is told to call 192.0.2.11"),
        ("J100 SIP", {"hosts": ("FILES1.example.net",)}, YES, ""),
        ("96x1 H.323", {}, PERHAPS, "LegacyTLS=1"),
        ("96x1 H.323", {"offer": OLD}, YES, ""),
        ("96x1 H.323", {"offer": OLD, "hosts": ("192.0.2.11",)}, YES, ""),
        ("96x1 H.323", {"taught": (), "anchors": ()}, NO, "no TRUSTCERTS"),
        ("96x0 SIP", {}, NO, "set LegacyTLS=1"),
        ("96x0 SIP", {"offer": OLD}, PERHAPS, "may not know SHA256"),
        ("4600", {"offer": OLD}, NO, "only certificates that its vendor signed"),
        ("16xx", {"offer": OLD}, NO, "let them use HTTP"),
        ("11xx, 12xx SIP", {"offer": OLD}, YES, ""),
        ("11xx, 12xx SIP", {"offer": OLD, "hosts": ("192.0.2.11",)}, NO, "has to be an IP name"),
        ("11xx, 12xx SIP", {"offer": OLD, "hosts": ("other",)}, YES, ""),
        ("B179", {}, YES, ""),
        ("B179", {"clock": False}, PERHAPS, "no time server"),
        ("E129", {}, NO, "has to be a DNS name in the certificate, even where it is an address"),
        ("E129", {"hosts": ("files1",), "anchors": ()}, YES, ""),
    ],
)
def test_a_fresh_home_and_what_changes_it(look, family, changes, accepts, words):
    found = look(family, now=NOW + timedelta(days=1), **changes)
    assert found[0] == accepts and words in found[1], found


def test_it_is_a_matter_of_days(look):
    assert look("J100 SIP", NOW + timedelta(days=1000))[0] == NO
    # It begins a day before it was made; one that began an hour ago is refused by clocks that are behind.
    assert look("J100 SIP", NOW - timedelta(hours=23))[0] == PERHAPS


def test_keys_and_hashes(home, look):
    def chain(shape: Shape):
        return (
            certs.make_server(home, Names(("x",), (HOST,)), home.certs / "x", home.certs / "y", shape=shape),
        )

    weak = chain(Shape("rsa1024", "sha1"))
    assert look("B179", NOW + timedelta(days=1), chain=weak) == (
        NO, "wants 2048 bits, the key has 1024; refuses signatures with SHA1"
    )  # fmt: skip
    assert look("96x0 SIP", NOW + timedelta(days=1), chain=weak, offer=OLD) == (YES, "")
    curve = chain(Shape("p256"))
    assert look("J100 SIP", NOW + timedelta(days=1), chain=curve)[0] == PERHAPS
    found = look("96x0 SIP", chain=curve, offer={"TLSv1.2": tls.MODERN})
    assert found[0] == NO and "needs a certificate with an RSA key" in found[1].replace("need a", "needs a")


def test_what_the_settings_tell(home):
    loaded = config.defaults(home)
    for folder in (loaded.http.http_dir, loaded.https.https_dir):
        folder.mkdir(parents=True)
    assert accepting.told(loaded) == ((), (), False)
    (loaded.http.http_dir / "46xxsettings.txt").write_text(
        'SET TLSSRVR "192.0.2.10,files1"\n## SET TLSSRVR 192.0.2.99\n  set TRUSTCERTS mv_ca.txt,http://x/y/z.txt\n'
        "SET SNTPSRVR 192.0.2.1\n"
    )
    told = accepting.told(loaded)
    assert told == (("mv_ca.txt", "http://x/y/z.txt"), ("192.0.2.10", "files1"), True)
    (loaded.http.http_dir / "mv_ca.txt").write_bytes(home.ca_cert.read_bytes())
    (loaded.http.http_dir / "z.txt").write_text("no certificate")
    assert accepting.anchors(loaded, told.trust) == tuple(load_chain(home.ca_cert))
    assert accepting.anchors(loaded, ("../certs/ca.pem", "", "..")) == ()


def test_ports_that_show_the_same_stand_together(home):
    loaded = config.defaults(home)
    assert accepting.ports(loaded, (HOST,), NOW) == []
    on = replace(loaded, https=replace(loaded.https, run_https=True))
    (one,) = accepting.ports(on, (HOST,), NOW)
    assert one.listener == "HTTPS 411, 443" and len(one.verdicts) == len(accepting.FAMILIES)
    old = replace(on, https=replace(on.https, legacy_tls=True))
    first, second = accepting.ports(old, (HOST,), NOW)
    assert (first.listener, second.listener) == ("HTTPS 411", "HTTPS 443")
    assert "accepted by" in first.short() and "certs check" in first.short()
