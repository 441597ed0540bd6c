"""The data file of weak and unsupported versions: what it says, what is wrong with it, whom it concerns."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from mv_iptel.config import defaults
from mv_iptel.firmware.advisories import KINDS, NAME, SHIPPED, concerning, known, numbers, read
from mv_iptel.home import Home
from mv_iptel.phones.families import FAMILIES

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "advisories.md"
GOOD = """
schema = 1
[[advisory]]
id = "one"
kind = "weak"
families = ["96x1"]
below = "6.8.2"
text = "It is weak."
source = "us"
"""


def table(tmp_path, text):
    path = tmp_path / NAME
    path.write_text(text, "utf-8")
    return read(path)


def test_the_shipped_file_is_whole():
    found, problems = read(SHIPPED)
    assert problems == [] and len(found) >= 7
    assert {one.kind for one in found} == set(KINDS)
    for one in found:
        assert one.confirmed or re.search("general knowledge|public report", one.source)


@pytest.mark.parametrize(
    ("software", "version"),
    [
        ("FW_S_J179_R4_1_3_0_6.bin", (4, 1, 3, 0, 6)),
        ("S9608_11HALBR6_4_0_14_V452.tar", (6, 4, 0, 14)),
        ("SIP96xx_2_6_17_0_SHA256.bin", (2, 6, 17, 0)),
        ("i20d01a2_9.bin", (2, 9)),
        ("4.1.3.0.6", (4, 1, 3, 0, 6)),
        ("4620_031225.app", ()),
        ("replboot_v3.app", ()),
        ("", ()),
    ],
)
def test_the_version_in_a_name(software, version):
    assert numbers(software) == version


@pytest.mark.parametrize(
    ("family", "software", "ids"),
    [
        ("96x1", "S9608_11HALBR6_4_0_14_V452.tar", ["h323-before-6.8.2-dhcp"]),
        ("96x1", "6.8.2", []),
        ("96x1", "6.8.10", []),
        ("96x1", "", []),
        ("96x0-sip", "SIP96xx_2_6_17_0.bin", ["96x0-sip-tls-1.0", "96x0-out-of-support"]),
        ("96x0-sip", "SIP96xx_2_6_18_0.bin", ["96x0-out-of-support"]),
        ("96x0", "", ["96x0-out-of-support"]),
        ("4600", "i20d01a2_9.bin", ["4600-out-of-support"]),
        ("4600", "a20d01a2_5.bin",
         ["4600-before-2.6-open-agent", "4600-out-of-support"]),
        ("4600", "a20d01a2_0.bin",
         ["4600-before-2.6-open-agent", "4600-before-2.2-tftp-only", "4600-out-of-support"]),
        ("J100-sip", "4.1.3.0.6", []),
        ("", "", []),
    ],
)  # fmt: skip
def test_whom_it_concerns(family, software, ids):
    assert [one.id for one in concerning(read(SHIPPED)[0], family, "", software)] == ids


def test_a_model_is_named_in_any_letter_case(tmp_path):
    (one,), _ = table(
        tmp_path, GOOD.replace('families = ["96x1"]', 'models = ["j179"]').replace("below", "upto")
    )
    assert one.concerns("J100-sip", "J179", "6.8.2.9") and not one.concerns("J100-sip", "J179", "6.8.3")
    assert not one.concerns("J100-sip", "J169", "6.8.2")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("schema = 1", "schema = 2", "schema is not 1"),
        ("schema = 1", "schema = 1\nmore = 1", "more is no key"),
        ("schema = 1", "schema = ", "it is no TOML"),
        ("[[advisory]]", "[advisory]", "write [[advisory]]"),
        ('id = "one"', "", "id is missing"),
        ('id = "one"', "id = 1", "id: a text"),
        ('"weak"', '"bad"', "kind: one of weak, unsupported"),
        ('["96x1"]', '["9600"]', "'9600' is no family; they are 4600"),
        ('["96x1"]', '"96x1"', "families: a list"),
        ('families = ["96x1"]', 'models = ["X1"]', "'x1' is no model"),
        ('families = ["96x1"]', "", "it is about nobody"),
        ('"6.8.2"', "6.8", "below: a version in quotes"),
        ('"6.8.2"', '"six"', "below: a version in quotes"),
        ('below = "6.8.2"', 'below = "6.8.2"\nupto = "7"', "below and upto at once"),
        ('"us"', '"us"\nconfirmed = "yes"', "confirmed: true or false"),
        ('"us"', '"us"\nseverity = 9', "severity is no key of an advisory"),
        ('"It is weak."', '"It\\u001b is weak."', "text: a text of one line"),
    ],
)
def test_what_is_wrong_is_told(tmp_path, old, new, said):
    assert old in GOOD
    found, problems = table(tmp_path, GOOD.replace(old, new))
    assert said in problems[0] and str(tmp_path / NAME) in problems[0]
    assert not found or "no key here" in said or "more is" in said


def test_one_bad_entry_spares_the_others(tmp_path):
    found, problems = table(tmp_path, GOOD + GOOD.replace("schema = 1", "").replace('"weak"', '"bad"')
                            + GOOD.replace("schema = 1", ""))  # fmt: skip
    assert [one.id for one in found] == ["one"]
    assert (
        len(problems) == 2
        and "advisory 2 (one): kind" in problems[0]
        and "another with this id" in problems[1]
    )


@pytest.mark.parametrize("data", [b"\xff\xfe", b"a = " + b"[" * 100_000, b"# " + bytes(2 << 20)])
def test_a_file_that_is_none(tmp_path, data):
    path = tmp_path / NAME
    path.write_bytes(data)
    found, problems = read(path)
    assert found == [] and len(problems) == 1


def test_the_sites_own_file_adds_and_replaces(tmp_path):
    home = Home(tmp_path)
    config = defaults(home)
    assert known(config) == (read(SHIPPED)[0], [])
    home.ini.parent.mkdir(parents=True)
    config = replace(config, file=home.ini)
    own = GOOD + GOOD.replace("schema = 1", "").replace('"one"', '"16xx-out-of-support"')
    (home.ini.parent / NAME).write_text(own)
    found, problems = known(config)
    assert problems == [] and len(found) == len(read(SHIPPED)[0]) + 1
    assert [one.text for one in found if one.id == "16xx-out-of-support"] == ["It is weak."]
    (home.ini.parent / NAME).write_text("schema = 3")
    assert known(config)[0] == read(SHIPPED)[0] and "schema" in known(config)[1][0]


def test_every_key_is_documented():
    text = DOCUMENT.read_text()
    for key in (
        "schema",
        "id",
        "kind",
        "families",
        "models",
        "below",
        "upto",
        "text",
        "source",
        "confirmed",
        *KINDS,
    ):
        assert f"`{key}`" in text
    assert all(name in text for name in FAMILIES)


def test_the_documents_example_is_one(tmp_path):
    (one,), problems = table(tmp_path, re.search(r"```toml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)[1])
    assert problems == [] and one.concerns("J100-sip", "J169", "4.0.8")
