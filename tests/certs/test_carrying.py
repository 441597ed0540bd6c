"""What other authorities hand out, and what other machines are given."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs7

from mv_iptel import certs
from mv_iptel.certs import CertError, carrying
from mv_iptel.certs.reading import load_chain, load_key, pem


@pytest.fixture
def parts(home):
    """The server's certificate, its authority and its key, and the home."""
    return load_chain(home.cert_file)[0], load_chain(home.ca_cert)[0], load_key(home.key_file)


@pytest.mark.parametrize("form", ["pem", "turned", "der", "p7b", "p7b-pem"])
def test_a_signed_certificate_finds_the_key_that_waits(home, parts, tmp_path, form):
    leaf, authority, _ = parts
    source = tmp_path / "signed"
    both = [authority, leaf]
    source.write_bytes({
        "pem": lambda: pem(leaf), "turned": lambda: pem(authority, leaf),
        "der": lambda: leaf.public_bytes(serialization.Encoding.DER),
        "p7b": lambda: pkcs7.serialize_certificates(both, serialization.Encoding.DER),
        "p7b-pem": lambda: pkcs7.serialize_certificates(both, serialization.Encoding.PEM),
    }[form]())  # fmt: skip
    chain, key = carrying.bring(source, None, None, [tmp_path / "none.pem", home.key_file])
    assert chain[0] == leaf and key.public_key() == leaf.public_key()
    assert chain[1:] in ([], [authority])


def test_no_key_no_import(home, parts, tmp_path):
    (tmp_path / "one.pem").write_bytes(pem(parts[0]))
    with pytest.raises(CertError, match="give --key"):
        carrying.bring(tmp_path / "one.pem", None, None, [home.ca_key])
    (tmp_path / "x").write_bytes(b"nothing of the kind")
    with pytest.raises(CertError, match="PEM, DER, PKCS#7"):
        carrying.bring(tmp_path / "x", None)


def test_a_server_is_no_authority(home, tmp_path):
    with pytest.raises(CertError, match="is not an authority"):
        carrying.import_authority(home, home.cert_file, home.key_file)


def test_old_systems_open_the_old_pkcs12(home, openssl, tmp_path):
    data = certs.export(home, home.cert_file, home.key_file, "p12-old", b"word")
    (tmp_path / "old.p12").write_bytes(data)
    said = openssl("pkcs12", "-legacy", "-in", tmp_path / "old.p12", "-passin", "pass:word", "-nodes")
    assert said.count("BEGIN CERTIFICATE") == 2
    chain, _ = carrying.bring(tmp_path / "old.p12", None, b"word")
    assert chain == [load_chain(home.cert_file)[0], load_chain(home.ca_cert)[0]]


def test_a_chain_alone_has_no_key(home):
    assert b"PRIVATE" not in certs.export(home, home.cert_file, home.key_file, "chain")
