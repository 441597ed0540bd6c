"""The authority over its life: new dates, below the company's, ended; and what it signs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mv_iptel import certs
from mv_iptel.certs import CertError, Names, Shape, carrying, making
from mv_iptel.certs.reading import key_pem, load_chain, pem

NAMES = Names(("pbx",), ("192.0.2.20",))


@pytest.fixture
def below(home, tmp_path, openssl):
    """`home` with an authority that a company's root has signed by OpenSSL; gives the root's file."""
    root, key = tmp_path / "root.pem", tmp_path / "root-key.pem"
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "100", "-subj", "/CN=Company",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign",
            "-keyout", key, "-out", root)  # fmt: skip
    waiting, asked, signed = (tmp_path / name for name in ("waiting.pem", "ca.csr", "ca.pem"))
    own = Shape().key()
    waiting.write_bytes(key_pem(own))
    asked.write_bytes(making.request(Names((), ()), Shape(), own, "North"))
    extensions = tmp_path / "extensions"
    extensions.write_text("basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n"
                          "subjectKeyIdentifier=hash\n")  # fmt: skip
    openssl("x509", "-req", "-in", asked, "-CA", root, "-CAkey", key, "-days", "90", "-extfile", extensions,
            "-out", signed)  # fmt: skip
    signed.write_bytes(root.read_bytes() + signed.read_bytes())
    carrying.import_authority(home, signed, None, None, waiting)
    return root


def test_below_the_companys_authority_phones_trust_its_root(home, below, openssl):
    leaf = certs.make_server(home, NAMES)
    chain = load_chain(home.cert_file)
    assert [one.subject.rfc4514_string() for one in chain] == ["CN=pbx", "CN=mv-iptel authority of North"]
    openssl("verify", "-x509_strict", "-CAfile", below, "-untrusted", home.cert_file, home.cert_file)
    assert certs.public_pem(home) == pem(*load_chain(below))
    # A certificate never outlives its authority, which ends in 90 days here.
    assert leaf.not_valid_after_utc - datetime.now(UTC) <= timedelta(days=90)
    assert certs.check(home.cert_file, home.key_file) == []
    with pytest.raises(CertError, match="ask there"):
        making.renew_authority(home)
    assert certs.renew(home, force=True) is not None
    assert len(load_chain(home.cert_file)) == 2


def test_new_dates_for_the_authority_leave_all_certificates_valid(home, openssl, tmp_path):
    (tmp_path / "old.pem").write_bytes(home.ca_cert.read_bytes())
    new = making.renew_authority(home, days=9000)
    assert new.not_valid_after_utc > datetime.now(UTC) + timedelta(days=8999)
    assert certs.public_pem(home) == home.ca_cert.read_bytes()
    made = certs.make_server(home, NAMES)
    assert made.issuer == new.subject
    # In both directions: sets with the old certificate trust what is signed now, and the other way round.
    openssl("verify", "-CAfile", tmp_path / "old.pem", "-no_check_time", home.cert_file)


def test_an_authority_that_has_ended_signs_nothing(home):
    late = datetime.now(UTC) + timedelta(days=making.AUTHORITY_DAYS + 1)
    with pytest.raises(CertError, match="ca --renew"):
        certs.make_server(home, NAMES, now=late)
    (found,) = certs.check_authority(home, late)
    assert found.level == "error" and "ended on" in found.text
    (found,) = certs.check_authority(home, late - timedelta(days=100))
    assert found.level == "finding" and "ca --renew" in found.text
    assert certs.check_authority(home) == []


def test_a_certificate_names_something(home):
    with pytest.raises(CertError, match="name something"):
        certs.make_server(home, Names((), ()))


def test_one_file_may_hold_both(home):
    both = home.certs / "both.pem"
    certs.make_server(home, NAMES, both, both)
    assert certs.check(both, both) == [] and both.stat().st_mode & 0o777 == certs.KEY_MODE
    before = load_chain(both)[0].serial_number
    assert certs.renew(home, both, both, force=True)
    assert load_chain(both)[0].serial_number != before and certs.check(both, both) == []


def test_a_request_asks_for_the_same_names(home, openssl, tmp_path):
    key = Shape().key()
    (tmp_path / "one.csr").write_bytes(making.request(NAMES, Shape(), key))
    text = openssl("req", "-in", tmp_path / "one.csr", "-noout", "-text", "-verify")
    assert "DNS:pbx, IP Address:192.0.2.20" in text and "TLS Web Server Authentication" in text
