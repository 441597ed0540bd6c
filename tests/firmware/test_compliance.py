"""What phones run beside what scripts order: every state, and why; time is passed."""

from __future__ import annotations

import pytest

from mv_iptel.firmware.compliance import (
    SETTLE_SECONDS,
    STATES,
    STUCK_SECONDS,
    Known,
    Order,
    Orders,
    is_same,
    judge,
)
from mv_iptel.phones.served import Served
from mv_iptel.phones.whom import Phone

NEW, OLD = "S96x1_UPD_6_8_5.tar", "S96x1_UPD_6_6_0.tar"
SETTINGS = b"SET DOMAIN example.org\n"
SCRIPT = f"""IF $GROUP SEQ 876 GOTO TRIAL
SET APPNAME {OLD}
GOTO END
# TRIAL
SET APPNAME {NEW}
# END
GET 46xxsettings.txt
""".encode()
PLAIN = b"SET APPNAME S96x1_UPD_6_8_5.tar\nGET 46xxsettings.txt\n"
NOW = 1_700_000_000.0
DAY = 86_400.0
ORDER = Order(NEW, "96x1Hupgrade.txt", 1, NOW - 3 * DAY)


def orders(script=PLAIN, changed=lambda protocol, name: NOW, **more):
    return Orders(Served.memory({"96x1Hupgrade.txt": script, "46xxsettings.txt": SETTINGS, **more}), changed)


def test_what_is_ordered_and_by_which_line():
    assert orders().of(Phone("9611G")) == Order(NEW, "96x1Hupgrade.txt", 1, NOW)


def test_a_phone_whose_group_is_known_gets_its_groups_order():
    live = orders(SCRIPT)
    assert live.of(Phone("9611G"), group="876").software == NEW
    order = live.of(Phone("9611G"), group="5")
    assert (order.software, order.groups) == (OLD, ())
    order = live.of(Phone("9611G"))
    assert (order.software, order.groups) == (OLD, (("876", NEW),))


def test_a_model_as_the_phone_says_it():
    """A script may test for the hardware behind the four digits."""
    script = (
        b"IF $MODEL SEQ 9620D02L GOTO L\nSET APPNAME a_1_1.bin\nGOTO E\n# L\nSET APPNAME b_2_2.bin\n# E\n"
    )
    live = Orders(
        Served.memory({"96xxupgrade.txt": script + b"GET 46xxsettings.txt\n", "46xxsettings.txt": b""})
    )
    assert live.of(Phone("9620"), "9620D01A").software == "a_1_1.bin"
    assert live.of(Phone("9620"), "9620D02L").software == "b_2_2.bin"
    assert live.of(Phone("9620")).software == "a_1_1.bin"


def test_which_macs_scripts_know():
    script = b"IF $MACADDR SEQ 00:04:0d:11:22:33 GOTO ONE\n# ONE\nGET 46xxsettings.txt\n"
    known = orders(script).by_mac(Phone("9611G"))
    assert known("00040d112233") and not known("00040d445566")
    assert not orders().by_mac(Phone("9611G"))("00040d112233")
    assert not orders(script).by_mac(Phone("toaster"))("00040d112233")


def test_a_phone_that_scripts_know_by_its_mac():
    script = (
        b"IF $MACADDR SEQ 00040D000007 GOTO ONE\nSET APPNAME a_1_1.tar\nGOTO E\n# ONE\n"
        b"SET APPNAME b_2_2.tar\n# E\nGET 46xxsettings.txt\n"
    )
    live = orders(script)
    found = {mac: live.of(Phone("9611G", mac)).software for mac in ("00040d000007", "00040d000008", "")}
    assert found == {"00040d000007": "b_2_2.tar", "00040d000008": "a_1_1.tar", "": "a_1_1.tar"}


@pytest.mark.parametrize(
    ("phone", "files", "why"),
    [
        (Phone(""), {}, "its model is not known"),
        (Phone("9999X"), {}, "nobody knows a model 9999X"),
        (Phone("J179"), {}, "there is no J100Supgrade.txt"),
        (Phone("J179"), {"J100Supgrade.txt": b"GET 46xxsettings.txt\n"},
         "J100Supgrade.txt orders no firmware for it"),
    ],
)  # fmt: skip
def test_no_order_and_why(phone, files, why):
    order = orders(PLAIN, **files).of(phone)
    assert (order.software, order.why) == ("", why)
    assert judge(Known("x"), order, NOW) == ("unknown", why)


def test_scripts_that_never_come_to_rest():
    script = (
        b"IF $APPNAME SEQ a_1_1.bin GOTO B\nSET APPNAME a_1_1.bin\nGOTO E\n# B\nSET APPNAME b_2_2.bin\n# E\n"
    )
    live = Orders(Served.memory({"96xxupgrade.txt": script, "46xxsettings.txt": b""}))
    assert "for ever" in live.of(Phone("9630")).why


def test_the_order_is_as_old_as_the_youngest_script_on_the_way():
    times = {"96x1Hupgrade.txt": NOW - 10 * DAY, "more.txt": NOW - DAY}
    files = {"more.txt": PLAIN}
    live = orders(b"GET more.txt\n", lambda protocol, name: times[name], **files)
    assert live.of(Phone("9611G")) == Order(NEW, "more.txt", 1, NOW - DAY)
    live = orders(b"GET more.txt\n", lambda protocol, name: 0.0 if name == "more.txt" else NOW, **files)
    assert live.of(Phone("9611G")).since == 0.0


@pytest.mark.parametrize(
    ("told", "same"),
    [
        ("FW_S_J179_R4_1_3_0_6.bin", True),
        ("fw_s_j179_r4_1_3_0_6", True),
        ("4.1.3.0.6", True),
        ("R4_1_3_0_6", True),
        ("04.01.03.00.06", True),
        ("4.1.3.0.5", False),
        ("4.1.3", False),
        ("FW_S_J179_R4_1_3_0_5.bin", False),
        ("FW_S_J169_R4_1_3_0_6.bin", False),
    ],
)
def test_what_a_phone_says_and_the_files_name(told, same):
    assert is_same(told, "FW_S_J179_R4_1_3_0_6.bin") is same


def test_a_signed_copy_is_the_same_and_a_name_without_version_cannot_be_compared():
    assert is_same("SIP96xx_2_6_17_0.bin", "SIP96xx_2_6_17_0_SHA256.bin")
    assert is_same("1.2.3", "replboot_v3.app") is None


SETTLED = SETTLE_SECONDS + 1
LATE = NOW - 2 * DAY  # after the order
JUDGED = [
    # what is known, state, part of the text
    (Known(NEW), "compliant", "it runs what is ordered"),
    (Known("6.8.5", "agent"), "compliant", "it runs what is ordered"),
    (Known(""), "unknown", "nothing tells what it runs"),
    (Known(OLD, seen=NOW), "pending", "ordered 3 d ago; it has not asked for its script since"),
    (Known(OLD, seen=NOW, asked=NOW - 4 * DAY), "pending", "has not asked"),
    (Known(OLD, seen=NOW, asked=LATE), "stuck", "it read its script 2 d ago, and has not loaded " + NEW),
    # That it still ran the old one when it asked says nothing.
    (Known(OLD, seen=LATE, asked=LATE), "pending", "it read its script 2 d ago"),
    (Known(OLD, seen=LATE + SETTLED, asked=LATE), "stuck", "has not loaded"),
    (Known(OLD, seen=NOW, asked=LATE, got={NEW.casefold(): LATE}), "stuck", f"it fetched {NEW} 2 d ago"),
    (Known(OLD, seen=LATE, asked=LATE, got={NEW.casefold(): LATE}), "pending", "read its script"),
    # Fetched before this order: of an earlier time when it was ordered too.
    (Known(OLD, seen=NOW, got={NEW.casefold(): NOW - 9 * DAY}), "pending", "has not asked"),
]  # fmt: skip


@pytest.mark.parametrize(("known", "state", "text"), JUDGED)
def test_each_state(known, state, text):
    found = judge(known, ORDER, NOW)
    assert found.state == state and text in found.text and state in STATES


def test_an_order_is_not_stuck_before_it_is_old():
    young = ORDER._replace(since=NOW - STUCK_SECONDS + 60)
    known = Known(OLD, seen=NOW, asked=NOW - 3600)
    assert judge(known, young, NOW).state == "pending"
    assert judge(known, young, NOW, stuck=3600).state == "stuck"
    # But who has fetched it and comes back with the old one has shown it at once.
    assert judge(known._replace(got={NEW.casefold(): NOW - 1800}), young, NOW).state == "stuck"


def test_an_order_of_unknown_age():
    known = Known(OLD, seen=NOW, asked=LATE)
    assert judge(known, ORDER._replace(since=0.0), NOW).state == "stuck"
    assert "nobody knows" in judge(known._replace(asked=0.0), ORDER._replace(since=0.0), NOW).text


def test_what_another_group_is_ordered():
    order = ORDER._replace(groups=(("876", "S96x1_UPD_7_0_0.tar"),))
    found = judge(Known("7.0.0", seen=NOW, asked=LATE), order, NOW)
    assert found == ("unknown", "it runs what GROUP 876 is ordered; its own GROUP is not told")
    assert "0 is assumed" in judge(Known(NEW), order, NOW).text


def test_names_that_cannot_be_compared():
    order = ORDER._replace(software="replboot_v3.app")
    assert judge(Known("1.2.3"), order, NOW).state == "unknown"


def test_thousands_of_phones_are_played_once_a_kind():
    live = orders(SCRIPT)
    for number in range(2000):
        live.of(Phone("9611G", f"00040d{number:06x}"))
    assert len(live._played) == 2
