"""Each rule of the language at work: what a phone takes from a script that turns on it."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mv_iptel.phones.effects import effects
from mv_iptel.phones.evaluate import DEFAULT, Ended, Evaluation, Switches
from mv_iptel.phones.families import FAMILIES, Handset, family_of
from mv_iptel.phones.languages import LANGUAGES, expected
from mv_iptel.phones.rules import MARKS, page, rules
from mv_iptel.phones.script import parse

DOCS = Path(__file__).resolve().parents[2] / "docs"
PHONE = Handset("9640", "00040dabcdef", "5", runs="ha96xx_3_2.bin", boot="hb1.bin")


class Case(NamedTuple):
    """`main` played for a phone: the values that come out, and what else the rule decides."""

    script: str | bytes
    values: dict[str, str]
    files: dict[str, str] = {}  # noqa: RUF012 - read only
    phone: Handset = PHONE
    switches: dict[str, Any] = {}  # noqa: RUF012 - read only
    why: str = "end"
    asked: tuple[str, ...] = ()


def octets(script: str | bytes) -> bytes:
    return script.encode() if isinstance(script, str) else script


def played(case: Case) -> tuple[Evaluation, Ended]:
    switches = replace(case.phone.family.switches, **case.switches)
    evaluation = Evaluation(case.phone.variables(), switches, case.phone.identity())
    running = evaluation.run("main")
    next(running)
    answer = octets(case.script)
    try:
        while True:
            ask = running.send(answer)
            answer = case.files[ask.name].encode() if ask.name in case.files else None
    except StopIteration as stop:
        return evaluation, stop.value


def phone(model: str, **more: Any) -> Handset:
    return Handset(model, "00040dabcdef", **more)


ONE = {"more": "SET M 1"}
SKIP = "IF $X SEQ 1 GOTO T\nSET A 1\n# T\nSET B 2"
SHOWN: list[tuple[str, Case]] = [
    ("comment", Case("just text\nSET A 1\n= 5", {"A": "1"})),
    ("hash-comment", Case("GOTO T\n## T\n#T\n# T T\nSET A 1", {}, why="no-tag")),
    ("tag", Case("GOTO T\nSET A 1\n# T\nSET B 2", {"B": "2"})),
    ("tag", Case("GOTO T\n#  T\nSET A 1", {}, why="no-tag")),
    ("tag-trailing-blanks", Case("GOTO T  \nSET A 1\n# T \t\nSET B 2", {"B": "2"})),
    ("keyword-case", Case("set A 1\nif $GROUP seq 5 goto T\nSet B 2\n# T\nGet more", {"A": "1", "M": "1"},
        ONE)),
    ("keyword-ascii", Case("ſET A 1\nıF $GROUP SEQ 5 GOTO T\nSET B 2\n# T", {"B": "2"})),
    ("keyword-blank", Case("SETTING A 1\nSET=A 1\nGOTO:T\nSET B 2\n# T", {"B": "2"})),
    ("runs-of-blanks", Case("IF  $GROUP   SEQ 5  goto  T\nSET A 1\n# T\nSET   B   2", {"B": "2"})),
    ("tabs", Case("GOTO\tT\n#\tT\nSET A 1\n# T\nSET\tB\t2\t", {"B": "2"})),
    ("leading-blanks", Case(" SET A 1\n\tGOTO T\nSET B 2\n # T", {"B": "2"})),
    ("broken-statement", Case("IF GROUP SEQ 5 GOTO T\nIF $GROUP EQ 5 GOTO T\nSET\nGOTO\nGET\nSET A 1\n# T",
        {"A": "1"})),
    ("add", Case("ADD A 1", {})),
    ("add", Case("ADD A 1", {"A": "1"}, switches={"add": "set"})),
    ("name-case", Case("SET Mcipadd 10.0.0.1\nIF $mcipadd SEQ 10.0.0.1 GOTO T\nSET A 1\n# T",
        {"MCIPADD": "10.0.0.1"})),
    ("last-value", Case("SET A 1\nSET A 2", {"A": "2"})),
    ("value-to-end", Case("SET A 10.0.0.1,10.0.0.2  \t", {"A": "10.0.0.1,10.0.0.2"})),
    ("value-unquoted-blanks", Case("SET A 10.0.0.1, 10.0.0.2", {"A": "10.0.0.1, 10.0.0.2"})),
    ("value-quoted", Case('SET A "two  words"\nSET B "1"', {"A": "two  words", "B": "1"})),
    ("value-null", Case('SET A 1\nSET A ""', {"A": ""})),
    ("value-open-quote", Case('SET A "two words\nSET B 1', {"A": "two words", "B": "1"})),
    ("value-absent", Case("SET A 1\nSET A\nSET A  ", {"A": "1"})),
    ("value-next-line", Case('SET A 1\nSET A\n"2"\nSET B\n3', {"A": "1"})),
    ("value-curly-quotes", Case("SET A 1\nSET A “2”", {"A": "1"})),
    ("value-curly-quotes", Case(b"SET A 1\r\nSET A \x932\x94\r\n", {"A": "1"})),
    ("value-inline-comment", Case('SET A "1"   # one', {"A": "1"})),
    ("value-inline-comment", Case('SET A "1"   # one', {}, switches={"inline_comment": "refused"})),
    ("name-unknown", Case("SET NEVER_HEARD 1\nIF $NEVER_HEARD SEQ 1 GOTO T\nSET A 1\n# T",
        {"NEVER_HEARD": "1"})),
    ("name-limit", Case(f"SET {'N' * 31} 1\nSET {'N' * 30} 2", {"N" * 30: "2"}, phone=phone("9611G"))),
    ("name-limit", Case(f"SET {'N' * 31} 1", {"N" * 31: "1"})),
    ("value-limit", Case(f"SET A 1\nSET A {'v' * 256}\nSET B {'v' * 255}", {"A": "1", "B": "v" * 255},
        phone=phone("9611G"))),
    ("value-limit", Case(f"SET A {'v' * 256}", {"A": "v" * 256})),
    ("condition", Case("IF $GROUP SEQ 5 GOTO T\nSET A 1\n# T\nIF $GROUP SEQ 6 GOTO U\nSET B 2\n# U",
        {"B": "2"})),
    ("condition-quotes",
        Case('IF $GROUP SEQ "5" GOTO T\nSET A 1\n# T\nSET X ""\nIF $X SEQ "" GOTO U\nSET B 2\n# U',
        {"X": ""})),
    ("condition-text-after", Case("IF $GROUP SEQ 5 GOTO T  ## the shop\nSET A 1\n# T", {})),
    ("seq-case", Case("IF $BOOTNAME SEQ HB1.Bin GOTO T\nSET A 1\n# T", {})),
    ("seq-case", Case("IF $BOOTNAME SEQ HB1.Bin GOTO T\nSET A 1\n# T", {"A": "1"},
        switches={"compare": "exact"})),
    ("variable-unknown", Case("IF $SIG_IN_USE SEQ H323 GOTO T\nSET A 1\n# T", {"A": "1"})),
    ("variable-families", Case("IF $SIG SEQ 1 GOTO T\nSET A 1\n# T", {}, phone=phone("4621SW"))),
    ("variable-families", Case("IF $SIG SEQ 2 GOTO T\nSET A 1\n# T", {}, phone=phone("9640",
        signalling="SIP"))),
    ("variable-families", Case("IF $SIG SEQ 1 GOTO T\nSET A 1\n# T", {"A": "1"}, phone=phone("9611G"))),
    ("variable-families", Case("IF $SIG_IN_USE SEQ H323 GOTO T\nSET A 1\n# T", {}, phone=phone("9611G"))),
    ("variable-families", Case("IF $MODEL4 SEQ 1616 GOTO T\nSET A 1\n# T", {}, phone=phone("1616"))),
    ("variable-families", Case("IF $MODEL4 SEQ 4621 GOTO T\nSET A 1\n# T", {"A": "1"},
        phone=phone("4621SW"))),
    ("variable-families", Case("IF $APPNAME_IN_USE SEQ 4.1.3.0.6 GOTO T\nSET A 1\n# T", {},
        phone=phone("J179", runs="FW_S_J179_R4_1_3_0_6.bin"))),
    ("variable-families", Case("IF $MODEL6 SEQ K175CW GOTO T\nSET A 1\n# T", {}, phone=phone("K175",
        facts=(("MODEL6", "K175CW"),)))),
    ("variable-families", Case("IF $MODEL6 SEQ K175CW GOTO T\nSET A 1\n# T", {"A": "1"},
        phone=phone("K175"))),
    ("variable-families", Case("IF $VPNACTIVE SEQ 1 GOTO T\nSET A 1\n# T", {}, phone=phone("9640",
        facts=(("VPNACTIVE", "1"),)))),
    ("variable-set", Case(f"SET X 1\n{SKIP}", {"X": "1", "B": "2"})),
    ("variable-set", Case("SET GROUP 7\nIF $GROUP SEQ 7 GOTO T\nSET A 1\n# T", {"GROUP": "7", "A": "1"})),
    ("variable-mac", Case("IF $MACADDR SEQ 00:04:0D:AB:CD:EF GOTO T\nSET A 1\n# T", {})),
    ("variable-mac", Case("IF $MACADDR SEQ 00040dabcdef GOTO T\nSET A 1\n# T", {})),
    ("variable-mac", Case("IF $MACADDR SEQ 00:04:0d:ab:cd:ef GOTO T\nSET A 1\n# T", {"A": "1"},
        switches={"mac": "plain"})),
    ("variable-mac", Case("IF $MACADDR SEQ 00040dabcdef GOTO T\nSET A 1\n# T", {"A": "1"},
        switches={"mac": "colons"})),
    ("substitution", Case("SET HTTPDIR /$MACADDR/$MODEL4\nSET SCEPPASSWORD $SERIALNO",
        {"HTTPDIR": "/00040dabcdef/9640", "SCEPPASSWORD": "S0DABCDEF"})),
    ("substitution", Case("SET A $MACADDR_UPPER", {"A": "00040DABCDEF"})),
    ("substitution", Case("SET A $MACADDR\nSET TLSDIR $MACADDR", {"A": "$MACADDR", "TLSDIR": "00040dabcdef"},
        switches={"substitution": "listed"})),
    ("substitution-names", Case("GET $MACADDR.cfg", {"M": "1"}, {"00040dabcdef.cfg": "SET M 1"},
        asked=("00040dabcdef.cfg",))),
    ("substitution-pkcs12", Case("SET PKCS12URL http://h/$MACADDR.p12",
        {"PKCS12URL": "http://h/00040DABCDEF.p12"})),
    ("dollar-literal", Case("SET A $GROUP$$NEVER", {"A": "$GROUP$$NEVER"})),
    ("jump", Case("SET A 1\nGOTO T\nSET B 2\n# T\nSET C 3", {"A": "1", "C": "3"})),
    ("jump-no-tag", Case("SET A 1\nIF $GROUP SEQ 5 GOTO NOWHERE\nSET B 2", {"A": "1"}, why="no-tag")),
    ("jump-commented-tag", Case("GOTO AUTO\n## AUTO\nSET A 1\n# END", {}, why="no-tag")),
    ("jump-forward", Case("# T\nSET A 1\nGOTO T\nSET B 2", {"A": "1"}, why="no-tag")),
    ("jump-forward", Case("IF $X SEQ 1 GOTO E\n# T\nIF $X SEQ 1 GOTO E\nSET X 1\nGOTO T\n# E\nSET B 2",
        {"X": "1", "B": "2"}, switches={"search": "whole"})),
    ("jump-first", Case("GOTO T\n# T\nSET A 1\n# T\nSET B 2", {"A": "1", "B": "2"})),
    ("tag-case", Case("GOTO skipTos\nSET A 1\n# SKIPTOS\nSET B 2", {}, why="no-tag")),
    ("tag-case", Case("GOTO skipTos\nSET A 1\n# SKIPTOS\nSET B 2", {"B": "2"}, switches={"tags": "folded"})),
    ("jump-loop", Case("# T\nSET A 1\nGOTO T", {"A": "1"}, switches={"search": "whole"}, why="goto-loop")),
    ("jump-loop", Case("# T\nGET more\nGOTO T", {"M": "1"}, ONE, switches={"search": "whole",
        "get_returns": True}, why="goto-loop")),
    ("fall-through", Case("IF $GROUP SEQ 5 GOTO ONE\nGOTO TWO\n# ONE\nSET A 1\n# TWO\nSET A 2", {"A": "2"})),
    ("get", Case("SET A 1\nGET more\nSET B 2", {"A": "1", "M": "1"}, ONE)),
    ("get", Case("SET A 1\nGET more\nSET B 2", {"A": "1", "M": "1", "B": "2"}, ONE,
        switches={"get_returns": True})),
    ("get-failed", Case("GET absent\nSET A 1", {"A": "1"}, asked=("absent",))),
    ("get-failed", Case("GET absent\nSET A 1", {}, phone=phone("4624"), why="get-failed")),
    ("get-names", Case(f"GET a/b.txt\nGET {'n' * 51}\nGET n,1\nGET more", {"M": "1"}, {**ONE,
        "a/b.txt": "SET A 1"}, phone=phone("9611G"), asked=("more",))),
    ("get-names", Case("GET $MACADDR.txt\nGET $NEVER.txt", {}, phone=phone("9611G"),
        asked=("00040dabcdef.txt",))),
    ("get-names", Case("GET a/b.txt", {"A": "1"}, {"a/b.txt": "SET A 1"})),
    ("get-quotes", Case('GET "more"', {"M": "1"}, ONE)),
    ("get-first-word", Case("GET more ## the rest", {"M": "1"}, ONE)),
    ("get-loop", Case("SET A 1\nGET more", {"A": "1"}, {"more": "GET MAIN"}, why="get-loop")),
    ("get-loop", Case("GET more\nGET more\nSET A 1", {"M": "1", "A": "1"}, ONE,
        switches={"get_returns": True})),
    ("get-nesting", Case("GET a", {"A": "1"}, {"a": "SET A 1\nGET b", "b": "SET B 1"},
        switches={"nesting": 2}, why="nesting")),
    ("get-specials", Case("SET A 1\n# END\nGET 46xxspecials.txt", {"A": "2"},
        {"46xxspecials.txt": "SET A 2"})),
    ("get-own-file", Case("SET A 1\nGET $MACADDR.txt", {"A": "2"}, {"00040dabcdef.txt": "SET A 2"},
        phone("J179"))),
    ("get-scr-then-txt", Case("GET 46xxsettings.scr\nGET 46xxsettings.txt", {"A": "1"},
        {"46xxsettings.txt": "SET A 1"}, phone("4621SW"), asked=("46xxsettings.scr", "46xxsettings.txt"))),
    ("vpn-insert", Case("IF $GROUP SEQ 876 goto vpn\nGET 46xxsettings.txt\n# vpn\nGET 46xxvpn.scr",
        {"NVVPNMODE": "1"}, {"46xxvpn.scr": "GET 46vpnsetting.txt", "46vpnsetting.txt": "SET NVVPNMODE 1"},
        phone("4621SW", group="876"), asked=("46xxvpn.scr", "46vpnsetting.txt"))),
    ("line-ends", Case(b"GOTO T\r\nSET A 1\r\n# T\r\nSET B 2\nSET C 3\r\n", {"B": "2", "C": "3"})),
    ("line-ends", Case(b"SET A 1\rSET B 2\rSET C 3\r", {"A": "1\rSET B 2\rSET C 3"})),
    ("no-last-line-end", Case("SET A 1\nGET more", {"A": "1", "M": "1"}, ONE)),
    ("other-bytes", Case("SET A é\n".encode() + b"SET B caf\xe9\nSET C \x80\n", {"A": "é", "B": "café",
        "C": "€"})),
    ("byte-order-mark", Case(b"\xef\xbb\xbfSET A 1\nSET B 2", {"B": "2"})),
    ("utf-16", Case("SET A 1\n".encode("utf-16"), {})),
    ("not-text", Case(b"\x7fELF\x00\x00\x01\n", {})),
    ("long-lines", Case(f"## {'x' * 100_000}\nSET A {'v' * 100_000}", {"A": "v" * 100_000})),
    ("sip-4602", Case("# a 4602\nDHCP 1\nPROXY 10.0.0.1\nREGISTRAR 10.0.0.1\n", {})),
    ("11xx-list", Case("[DEVICE_CONFIG]\nDOWNLOAD_MODE AUTO\nVERSION 000001\nFILENAME 11xxsettings.txt\n",
        {})),
    ("11xx-settings", Case("SIP_DOMAIN1 example.org\nSERVER_IP1_1 10.0.0.1\nSERVER_PORT1_1 5060\n", {})),
    ("markup", Case("<?xml version='1.0'?>\n<x/>\n", {})),
    ("markup", Case("<html><body>404 Not Found</body></html>\n", {})),
    ("markup", Case("-----BEGIN CERTIFICATE-----\nAAAA\n", {})),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "case"), SHOWN, ids=[f"{n}-{rule}" for n, (rule, _) in enumerate(SHOWN)])
def test_rule(rule, case):
    evaluation, ended = played(case)
    assert {name: made.value for name, made in evaluation.parameters.items()} == case.values
    assert ended.why == case.why
    if case.asked:
        assert tuple(name for name, _ in evaluation.files[1:]) == case.asked
    table = rules()[rule]
    if table.switch in case.switches:
        other, otherwise = played(case._replace(switches={}))
        assert (other.parameters, otherwise) != (evaluation.parameters, ended), "the switch changes nothing"


def test_a_value_that_fails_its_check_leaves_the_old_one():
    """The rule `value-refused`: the table of settings judges, so `effects` shows it."""
    settings = b"SET L2QVLAN 20\nSET L2QVLAN 9999\n"
    got = effects({"96xxupgrade.txt": b"GET 46xxsettings.txt\n", "46xxsettings.txt": settings}, PHONE)
    assert (got.parameters["L2QVLAN"].value, got.parameters["L2QVLAN"].line) == ("20", 1)


FOREIGN = {
    "sip-4602": ("sip_00040dabcdef.txt", "4602D01A.txt", "4602D02A.txt"),
    "11xx-list": ("1140eSIP.cfg", "1220.cfg", "1165eSIP.cfg"),
    "11xx-settings": ("11xxsettings.txt", "SIP00040DABCDEF.cfg"),
    "xml": ("avayab179.xml", "avaya-00040DABCDEF.xml", "cfg.xml", "cfg00040dabcdef.xml"),
    "script": ("46xxsettings.txt", "46XXvpn.scr", "46vpnsetting.txt", "00040dabcdef.txt", "K1xxSupgrade.txt"),
}


@pytest.mark.parametrize("language", FOREIGN)
def test_a_name_tells_the_language_that_phones_expect(language):
    assert {expected(name).name for name in FOREIGN[language]} == {language}


FAULTS = {
    "sip-4602": "NAME and value",
    "11xx-settings": "NAME and value",
    "11xx-list": "11xx and 12xx",
    "utf-16": "UTF-16",
    "not-text": "NUL",
}


def test_another_language_is_said_to_be_one():
    for rule, case in SHOWN:
        fault = parse("46xxsettings.txt", octets(case.script)).fault
        if rule in FAULTS or rule == "markup":
            assert FAULTS.get(rule, "no line of it is for phones") in fault, rule
            step = played(case)[0].trace[0]
            assert (step.kind, step.line, step.effect) == ("fault", 1, fault)
        else:
            assert not fault or rule in ("line-ends", "comment"), (rule, fault)
    # A settings file of comments only, a short one, and prose are none of these.
    prose = b"Read me first.\nThis is how it is done:\n" * 9
    for sound in (b"## nothing yet\n# END\n", b"", b"hello world\n", prose):
        assert parse("46xxsettings.txt", sound).fault == ""
    assert set(LANGUAGES) >= set(FOREIGN)


def test_every_rule_is_shown_and_every_shown_rule_is_one():
    assert {rule for rule, _ in SHOWN} | {"value-refused"} == set(rules())
    turned = set()
    for rule, case in SHOWN:
        row = rules()[rule]
        if row.switch in case.switches or case.phone.family.name in row.families:
            turned.add(rule)
    assert turned == {rule.name for rule in rules().values() if rule.switch}


def test_the_switches_hold_what_the_rules_say():
    switched = {rule.switch: rule for rule in rules().values() if rule.switch}
    assert set(switched) == {field.name for field in fields(Switches)}
    for name, rule in switched.items():
        assert vars(DEFAULT)[name] == rule.default, name
        for family in FAMILIES.values():
            wanted = rule.families.get(family.name, rule.default)
            assert vars(family.switches)[name] == wanted, (name, family.name)
    assert {rule.mark for rule in rules().values()} == set(MARKS)
    assert {family for rule in rules().values() for family in rule.only} <= set(FAMILIES)


def test_the_96x1_takes_the_file_names_that_the_table_of_settings_says():
    import tomllib

    from mv_iptel.phones.parameters import FILE

    names = tomllib.loads(FILE.read_text("utf-8"))["file_names"]
    assert names["96x1"]["pattern"] == family_of("9611G").switches.file_names
    assert set(names) == {name for name, each in FAMILIES.items() if each.switches.file_names}


def test_the_page_is_made_from_the_table():
    told = "run python -m mv_iptel.phones.rules > docs/scripts.md"
    assert (DOCS / "scripts.md").read_text("utf-8") == page(), told
