"""What answered objects show, and what is never taken for an extension or a type."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mv_iptel import config as configuration
from mv_iptel.home import Home
from mv_iptel.snmp.families import FAMILIES, SYS_OBJECT, Shown, Silence, Strange, Terms, judge, objects

TERMS = Terms("ours")
OF_4600, OF_96X0, OF_16XX, OF_96X1, OF_J100 = FAMILIES
ENTERPRISE = "1.3.6.1.4.1.6889.1.69"


def said(family=OF_4600, ext=b"1234", model=b"4621SW", identity="", **other):
    """What an agent of this family answers."""
    values = {SYS_OBJECT: identity or f"{ENTERPRISE}.{family.number}.1"}
    return values | {family.ext_object: ext, family.type_object: model} | other


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_each_family_is_read_from_its_own_objects(family):
    assert judge(said(family, b"77", b"X1"), TERMS) == Shown("77", "X1", family.name)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_others_objects_do_not_count(family):
    """What a phone has of another family's objects says nothing, as long as it says what it is."""
    other = OF_4600 if family is not OF_4600 else OF_96X0
    values = {other.ext_object: b"666", other.type_object: b"Other"} | said(family, b"77", b"X1")
    assert judge(values, TERMS) == Shown("77", "X1", family.name)


@pytest.mark.parametrize(
    "identity", [f"{ENTERPRISE}.99.1", "1.3.6.1.4.1.9.1", f"{ENTERPRISE}.11", ENTERPRISE]
)
def test_an_unknown_identity_counts_as_4600(identity):
    assert judge(said(identity=identity), TERMS) == Shown("1234", "4621SW", "4600")
    both = said(identity=identity) | {OF_16XX.ext_object: b"7", OF_16XX.type_object: b"1616"}
    assert judge(both, TERMS).family == "4600"


@pytest.mark.parametrize("identity", [None, b"octets", Strange("Integer32"), f"{ENTERPRISE}.99"])
def test_without_a_4600s_objects_it_is_whose_it_has(identity):
    values = said(OF_96X0, b"9", b"9640") | {SYS_OBJECT: identity}
    assert judge(values, TERMS) == Shown("9", "9640", "96x0")


def test_the_administrators_objects_replace_those_of_the_4600_only():
    terms = TERMS._replace(ext_object=".1.3.6.1.4.1.1.1.0", type_object="1.3.6.1.4.1.1.2.0")
    assert {"1.3.6.1.4.1.1.1.0", "1.3.6.1.4.1.1.2.0"} <= set(objects(terms))
    assert OF_4600.ext_object not in objects(terms) and OF_96X0.ext_object in objects(terms)
    values = {SYS_OBJECT: "1.3", "1.3.6.1.4.1.1.1.0": b"5", "1.3.6.1.4.1.1.2.0": b"4610SW"}
    assert judge(values, terms) == Shown("5", "4610SW", "4600")
    assert judge(said(OF_96X0), terms).family == "96x0"
    twice = TERMS._replace(ext_object=OF_96X0.ext_object)
    assert len(objects(twice)) == len(set(objects(twice)))


@pytest.mark.parametrize("family", [OF_96X1, OF_J100], ids=lambda family: family.name)
def test_a_guessed_object_may_be_missing(family):
    assert judge(said(family, None, b"9611G"), TERMS) == Shown("", "9611G", family.name, guessed=True)
    assert judge(said(family, None, None), TERMS) == Shown("", "", family.name, guessed=True)
    # There, and empty: it is the extension's object, and nobody is logged in.
    assert isinstance(judge(said(family, b"", b"9611G"), TERMS), Silence)


@pytest.mark.parametrize("ext", [b"0", b"0123", b"1" * 20, b" 42 ", b"42\0\0\0", b'"42"', b"'42'\r\n"])
def test_an_extension(ext):
    shown = judge(said(ext=ext), TERMS)
    assert shown.ext == ext.strip(b" \0\"'\r\n").decode()


BAD = {
    b"": "empty: is a user logged in",
    b"  \0": "empty",
    b'""': "empty",
    b"../../x": "no number: '../../x'",
    b"12 34": "no number",
    b"12\n34": r"no number: '12\n34'",
    b"12\0" + b"34": r"'12\x0034'",
    b"1" * 21: "no number",
    b"-1": "no number",
    b"+491": "no number",
    "\u0661\u0662".encode(): r"no number: '\xd9\xa1\xd9\xa2'",
    b"\x1b[2J": r"'\x1b[2J'",
    b"x" * 10_000: "... (10000 octets)",
    Strange("Integer32"): "as Integer32, not as text",
    "1.3.6": "as object identifier",
    None: "no extension object",
}


@pytest.mark.parametrize("ext", BAD, ids=lambda value: repr(value)[:20])
def test_no_extension(ext):
    answer = judge(said(ext=ext), TERMS)
    assert isinstance(answer, Silence) and BAD[ext] in answer.text
    assert answer.means and "SNMPADD" not in answer.means  # it has answered: its settings are right
    assert answer.text.isprintable() and answer.text.isascii() and len(answer.text) < 250


@pytest.mark.parametrize("model", [b"", b"../x", b"a/b", b"a\\b", b"46\n21", b"=1+1", b"x" * 41, b"\xff",
                                   None, Strange("Counter32"), "1.3"])  # fmt: skip
def test_no_type(model):
    answer = judge(said(model=model), TERMS)
    assert isinstance(answer, Silence) and "type" in answer.text and answer.text.isprintable()
    assert answer.means and "SNMPADD" not in answer.means


@given(st.dictionaries(
    st.sampled_from(objects(TERMS)),
    st.none() | st.binary(max_size=60) | st.from_regex(r"[0-9]{1,21}", fullmatch=True).map(str.encode)
    | st.sampled_from([f"{ENTERPRISE}.{number}" for number in range(8)]) | st.just(Strange("Opaque")),
))  # fmt: skip
def test_whatever_is_answered(values):
    """Either it has the form of an extension and a type, or it is a text that harms nobody."""
    answer = judge(values, TERMS)
    if isinstance(answer, Shown):
        assert answer.guessed is (answer.ext == "")
        assert answer.guessed or (answer.ext.isascii() and answer.ext.isdigit() and len(answer.ext) <= 20)
        assert answer.model.isascii() and answer.model.isprintable() and "/" not in answer.model
    else:
        assert answer.text.isascii() and answer.text.isprintable() and len(answer.text) < 250


def test_terms_of_the_configuration(tmp_path):
    config = configuration.defaults(Home(tmp_path))
    snmp = dataclasses.replace(
        config.snmp, community="hidden", snmp_version="1", snmp_port=1161, snmp_retries=4, snmp_timeout=0.5
    )
    terms = Terms.of(dataclasses.replace(config, snmp=snmp))
    assert terms[:5] == ("hidden", "1", 1161, 0.5, 4)
    assert terms.limit == config.ftp.ftp_time_out
    assert objects(terms) == objects(TERMS)  # the defaults are the 4600's own objects
    assert "hidden" not in repr(terms)
