"""What can be wished of a certificate, as OpenSSL sees it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from mv_iptel import certs
from mv_iptel.certs import CertError, Names, Shape, looking, making
from mv_iptel.certs.shape import crl_points, shape

NAMES = Names(("files1",), ("192.0.2.10",), ("https://files1.example.net/",))


def made(home, wish: Shape):
    target = home.certs / "one.pem"
    return certs.make_server(home, NAMES, target, home.certs / "one-key.pem", shape=wish), target


def test_all_wishes_at_once(home, openssl):
    wish = shape("p256", "sha384", 90, "CN=pbx,O=Example,C=DE", "http://files1.example.net/site.crl")
    leaf, file = made(home, wish)
    text = openssl("x509", "-in", file, "-noout", "-text")
    for expected in ("sha384WithRSAEncryption", "NIST CURVE: P-256", "URI:http://files1.example.net/site.crl",
                     "DNS:files1, IP Address:192.0.2.10, URI:https://files1.example.net/"):  # fmt: skip
        assert expected in text
    assert leaf.subject.rfc4514_string() == "CN=pbx,O=Example,C=DE"
    assert timedelta(89) < leaf.not_valid_after_utc - datetime.now(UTC) <= timedelta(90)
    assert crl_points(leaf) == ["http://files1.example.net/site.crl"]
    assert looking.kind_of(leaf) == "EC secp256r1" and looking.digest_of(leaf) == "sha384"
    openssl("verify", "-CAfile", home.ca_cert, file)


def test_sha1_and_1024_bits_for_sets_that_know_nothing_better(home, openssl):
    leaf, file = made(home, shape("rsa1024", "sha1"))
    assert "sha1WithRSAEncryption" in openssl("x509", "-in", file, "-noout", "-text")
    openssl("verify", "-auth_level", "0", "-CAfile", home.ca_cert, file)
    texts = [one.text for one in certs.check(file, home.certs / "one-key.pem")]
    assert "only 1024 bits" in texts[0] and "signed with SHA1" in texts[1]
    assert making.is_ours(home, leaf)


def test_sha1_needs_an_authority_with_rsa(home):
    making.put_authority(home, *_authority_of(ec.generate_private_key(ec.SECP256R1())))
    with pytest.raises(CertError, match="RSA only"):
        made(home, shape(digest="sha1", kind="p256"))


def _authority_of(key):
    from cryptography import x509

    return [making._self_signed(Shape(), key, x509.Name.from_rfc4514_string("CN=EC"), None)], key


def test_the_next_one_is_like_the_last(home):
    wish = shape("", "sha512", 45, "CN=like,O=Example", "http://a.example/b.crl")
    _, file = made(home, wish)
    new = certs.renew(home, file, home.certs / "one-key.pem", force=True)
    assert new is not None and certs.names_of(new) == NAMES
    assert Shape.of(new) == wish
    # 45 days are a short life: it is renewed in the last third of it, not 30 days before.
    now = datetime.now(UTC)
    assert not making.due(new, now + timedelta(days=29)) and making.due(new, now + timedelta(days=31))


@pytest.mark.parametrize(
    ("wish", "words"),
    [({"subject": "nonsense"}, "is not a subject"), ({"days": -1}, "lasts from 1"),
     ({"days": 40_000}, "36500"), ({"crl": "files1/site.crl"}, "http://HOST/NAME.crl")],
)  # fmt: skip
def test_wishes_that_cannot_be(wish, words):
    with pytest.raises(CertError, match=words):
        shape(**wish)
