"""Whom a change touches: each kind of phone played once, told in a few groups, fast for fifty thousand."""

from __future__ import annotations

import random
import time

from mv_iptel.phones.differences import Trouble, difference
from mv_iptel.phones.effects import effects
from mv_iptel.phones.families import FAMILIES, MODELS
from mv_iptel.phones.naming import name
from mv_iptel.phones.parameters import parameters
from mv_iptel.phones.served import Served
from mv_iptel.phones.whom import Kind, Phone, compare, handset_of, phones_of

SCRIPTS = {script: b"GET 46xxsettings.txt\n" for family in FAMILIES.values() for script in family.scripts}


def served(settings: str, **more: bytes) -> Served:
    files = {name.replace("__", "."): data for name, data in more.items()}
    return Served.memory({**SCRIPTS, "46xxsettings.txt": settings.encode(), **files})


def blocks(found):
    """(phones, who, what) of each block of changes."""
    return [
        (block.phones, name(block.kinds, found.kinds), [told.what.name for told in block.told])
        for block in found.changes
    ]


def test_the_same_for_all_is_one_block():
    phones = [Phone("9611G")] * 30 + [Phone("4621SW")] * 12
    found = compare(served(""), served("SET L2QVLAN 9\n"), phones)
    assert blocks(found) == [(42, "every phone", ["L2QVLAN"])]
    assert not compare(served(""), served("## nothing\n"), phones)


def test_blocks_by_whom_they_touch_the_most_phones_first():
    new = (
        "SET L2QVLAN 9\nSET LANGUAGES a.xml\nIF $MODEL4 SEQ 9611 GOTO A\nGOTO END\n# A\nSET VLANTEST 9\n# END"
    )
    phones = [Phone("9611G")] * 3 + [Phone("9608")] * 5 + [Phone("J179")] * 40
    found = compare(served(""), served(new, a__xml=b""), phones)
    assert blocks(found) == [
        (48, "every phone", ["L2QVLAN"]),
        (40, "J179 (SIP)", ["LANGUAGES"]),
        (3, "9611G", ["VLANTEST"]),
        (8, "all 96x1", ["LANGUAGES"]),  # which they ignore
    ]
    assert found.changes[-1].told[0].what.sort == "ignored"


def test_the_gravest_comes_first():
    script = b"IF $MODEL4 SEQ 9608 GOTO X\nSET APPNAME a.tar\nGET 46xxsettings.txt\n"
    old, new = served("SET TRUSTCERTS ca.pem\n", ca__pem=b""), served("SET TRUSTCERTS ca.pem\n")
    new = new.with_file("96x1Hupgrade.txt", script)
    found = compare(old, new, [Phone("9611G"), Phone("9608")] + [Phone("J179")] * 50)
    assert [(block.told[0].what.kind, block.phones) for block in found.breaks] == [
        ("settings", 1), ("firmware", 1), ("file", 51),
    ]  # fmt: skip
    assert [block.phones for block in compare(new, old, [Phone("9608")]).mends] == [1]


def test_groups_that_scripts_ask_for_are_supposed():
    new = served("IF $GROUP SEQ 876 GOTO A\nGOTO END\n# A\nIF $GROUP SEQ 7 GOTO END\nSET VLANTEST 9\n# END\n")
    phones = [Phone("9611G")] * 5
    assert not compare(served(""), new, phones)
    found = compare(served(""), new, phones, None)
    assert blocks(found) == [(0, "9611G in group 876", ["VLANTEST"])]
    assert {kind.group for kind in found.kinds} == {"0", "7", "876"}
    assert found.kinds.total() == 5
    assert blocks(compare(served(""), new, phones, ["876"])) == [(0, "9611G in group 876", ["VLANTEST"])]


def test_phones_that_scripts_know_by_mac_stand_alone():
    macs = [f"00040d0000{number:02x}" for number in range(20)]
    phones = [Phone("9611G", mac) for mac in macs]
    text = "IF $MACADDR SEQ 00040D000003 GOTO A\nGET $MACADDR.txt\n# A\nSET VLANTEST 9\n"
    found = compare(served(text), served(text, **{f"{macs[5]}__txt": b"SET L2QVLAN 5\n"}), phones)
    assert blocks(found) == [(1, "9611G with MAC 00:04:0d:00:00:05", ["L2QVLAN", "VLANTEST"])]
    assert len(found.kinds) == 3 and found.kinds.total() == 20


def test_what_holds_a_mac_is_the_same_change_for_all():
    phones = [Phone("9611G", f"00040d0000{number:02x}") for number in range(20)]
    found = compare(served(""), served("SET HTTPDIR $MACADDR\n"), phones)
    assert blocks(found) == [(20, "9611G", ["HTTPDIR"])]
    assert found.changes[0].told[0].what.new == "$MACADDR" and len(found.kinds) == 1


def test_phones_that_nothing_parts_are_played_once():
    phones = [Phone(model, group=str(group)) for model in MODELS for group in range(20)]
    found = compare(served("SET L2QVLAN 1\n"), served("SET L2QVLAN 2\n"), phones)
    assert len(found.kinds) == len(phones) and found.played == 2 * len({kind.family for kind in found.kinds})


def test_a_script_counts_by_its_content_whatever_it_is_called():
    old, new = (
        Served.memory(
            {"96x1Hupgrade.txt": b"SET APPNAME a.tar\nGET site.cfg\n", "site.cfg": data, "a.tar": data}
        )
        for data in (b"SET VLANTEST 8\n", b"SET VLANTEST 9\n")
    )
    assert blocks(compare(old, new, [Phone("9611G")])) == [(1, "9611G", ["VLANTEST"])]
    assert compare(old, old.with_file("a.tar", b"other"), [Phone("9611G")]).played == 1


def test_nobodys_models_and_families_without_a_script():
    old, new = (
        Served.memory({"96xxupgrade.txt": b"GET a.txt\n", "a.txt": data})
        for data in (b"", b"SET VLANTEST 9\n")
    )
    found = compare(old, new, [Phone("9640"), Phone("x"), Phone("x"), Phone(""), Phone("J179")])
    assert found.strange == {"x": 2, "": 1}
    assert {kind.model for kind in found.scriptless} == {"J179"}
    assert blocks(found)[0][0] == 1


def test_an_inventorys_phones():
    def row(key, model, runs=""):
        return {"key": key, "mac": "", "model": model, "runs": runs}

    rows = [row("1", "9611G"), row("2", "9611G"), row("3", "9640D01A", "SIP96xx_2_6.bin"), row("4", "4621SW"),
            row("5", "9640", "ha96xx.bin"), row("6", "J179")]  # fmt: skip
    scripts = {
        "1": "/x/96x1SUpgrade.txt", "2": "96x1Hupgrade.txt", "3": "96xxupgrade.txt", "4": "96x1Supgrade.txt",
        "6": "J100Hupgrade.txt",
    }  # fmt: skip
    assert [(phone.model, phone.signalling) for phone in phones_of(rows, scripts)] == [
        ("9611G", "SIP"), ("9611G", "H323"), ("9640", "SIP"), ("4621SW", ""), ("9640", ""), ("J179", "H323"),
    ]  # fmt: skip


def anything(random_: random.Random) -> dict[str, bytes]:
    """A small tree of scripts with every turn that a phone can take."""
    tags, names = ("A", "B", "C", "END"), ("46xxsettings.txt", "$MACADDR.txt", "$MODEL4.txt", "gone.txt")
    tests = (("GROUP", ("0", "5")), ("MODEL4", ("9611", "9640")), ("SIG", ("2",)), ("SIG_IN_USE", ("sip",)),
             ("MACADDR", ("00:04:0d:00:00:01", "00040D000002")), ("BOOTNAME", ("b20.bin",)), ("X", ("1",)),
             ("L2QVLAN", ("1",)), ("APPNAME", ("app.bin",)))  # fmt: skip
    sets = (
        "LANGSYS",
        "L2QVLAN",
        "VLANTEST",
        "LANGUAGES",
        "HTTPDIR",
        "NVVPNCFGPROF",
        "NVIKEIDTYPE",
        "NOSUCH",
        "X",
    )
    values = ("1", "2", "9999", "$MACADDR", "$MODEL4", "a b")

    def line():
        variable, strings = random_.choice(tests)
        return random_.choice((
            f"SET {random_.choice(sets)} {random_.choice(values)}",
            f"SET {random_.choice(sets)} {random_.choice(values)}",
            f"IF ${variable} SEQ {random_.choice(strings)} GOTO {random_.choice(tags)}",
            f"# {random_.choice(tags)}",
            f"GOTO {random_.choice(tags)}" if random_.random() < 0.2 else "# A",
            f"GET {random_.choice(names)}" if random_.random() < 0.3 else "# B",
            f"SET APPNAME {random_.choice(('app.bin', 'b20.bin', '$MODEL4.bin'))}",
        ))  # fmt: skip

    def script(end):
        return "\n".join([*(line() for _ in range(random_.randint(0, 12))), end]).encode()

    files = {name: script("GET 46xxsettings.txt") for name in SCRIPTS if random_.random() < 0.9}
    for file in ("46xxsettings.txt", "00040d000003.txt", "9611.txt", "app.bin", "9640.bin"):
        if random_.random() < 0.8:
            files[file] = script("# END")
    return files


def _any_mac(trouble: Trouble, kind: Kind, mac: str) -> Trouble:
    """As it is told of a phone that shares its kind with others."""
    if kind.mac:
        return trouble._replace(file="", line=0)
    return Trouble(trouble.kind, trouble.key.replace(mac, "$macaddr"), trouble.text.replace(mac, "$MACADDR"))


def test_each_phone_is_told_what_it_would_be_alone():
    """Phones that share one play, and those that have their own, against each phone played by itself."""
    random_ = random.Random(7)
    phones = [
        Phone(model, f"00040d00000{number}", group, signalling)
        for model, signalling in (
            ("9611G", ""),
            ("9611G", "SIP"),
            ("9640", ""),
            ("9640", "SIP"),
            ("4621SW", ""),
        )
        for group in ("0", "5")
        for number in (0, 1, 2, 3)
    ]
    for _ in range(60):
        files = anything(random_)
        changed = {
            **files,
            **{name: data for name, data in anything(random_).items() if random_.random() < 0.4},
        }
        old, new = Served.memory(files), Served.memory(changed)
        found = compare(old, new, phones)
        told = {kind: set() for kind in found.kinds}
        for block in (*found.breaks, *found.mends, *found.changes):
            for each in block.told:
                for kind in each.kinds:
                    told[kind].add(each.what)
        for phone in phones:
            handset = handset_of(phone)
            kind = Kind(handset.family.name, handset.model, phone.group, phone.mac)
            kind = kind if kind in told else kind._replace(mac="")
            alone = difference(*(effects(side, handset, symbolic=True) for side in (old, new)))
            troubles = {_any_mac(each, kind, phone.mac) for each in (*alone.breaks, *alone.mends)}
            assert told[kind] == troubles | {change for change, _ in alone.changes}, (phone, files, changed)


CHANGED = ("HTTPSRVR", "L2QVLAN", "L2QAUD")  # by nothing but the change, whatever else the table has


def template(seed: int) -> list[str]:
    """Fifteen thousand lines, most of them comments, as the vendor's template has them."""
    random_ = random.Random(seed)
    names = [each.name for each in parameters().values() if each.type in ("text", "integer", "flag")]
    names = [name for name in names if name not in CHANGED]

    def settings(count):
        return [f"SET {random_.choice(names)} {random_.randint(0, 1)}" for _ in range(count)]

    lines = [f"## SET {random_.choice(names)} 1" for _ in range(13_000)] + settings(400)
    models = sorted({model[:4] for model in MODELS})
    lines += [f"IF $MODEL4 SEQ {model} GOTO M{model}" for model in models]
    for model in models:
        lines += ["GOTO GROUPS", f"# M{model}", *settings(20)]
    lines += ["# GROUPS", *(f"IF $GROUP SEQ {group} GOTO G{group}" for group in range(1, 12)), "GOTO END"]
    for group in range(1, 12):
        lines += [f"# G{group}", *settings(20), "GOTO END"]
    return [*lines, "# END", "GET $MACADDR.txt"]


def test_fifty_thousand_phones():
    old = template(1)
    new = list(old)
    new.insert(13_000, "SET HTTPSRVR 192.0.2.9")
    new.insert(new.index("# M9611") + 1, "SET L2QVLAN 77")
    new.insert(new.index("# G3") + 1, "SET L2QAUD 3")
    kinds = [(model, str(group)) for group in range(12) for model in MODELS][:200]
    phones = [Phone(kinds[at % 200][0], f"00040d{at:06x}", kinds[at % 200][1]) for at in range(50_000)]
    before, after = served("\n".join(old)), served("\n".join(new))
    began = time.process_time()
    found = compare(before, after, phones)
    spent = time.process_time() - began
    assert spent < 5, f"{spent:.1f} s of CPU"
    assert len(found.kinds) == 200 and found.kinds.total() == 50_000
    assert len(found.changes) <= 6
    assert (found.changes[0].phones, found.changes[0].told[0].what.name) == (50_000, "HTTPSRVR")


def test_a_group_for_each_floor_is_judged_once():
    """Each of very many groups asks for all the others."""
    groups = range(1, 200)
    jumps = "".join(f"IF $GROUP SEQ {at} GOTO G{at}\n" for at in groups)

    def settings(more: int) -> bytes:
        sections = "".join(f"# G{at}\nSET L2QVLAN {at + more}\nGOTO END\n" for at in groups)
        return f"{jumps}GOTO END\n{sections}# END\n".encode()

    upgrade = {"96x1Hupgrade.txt": b"GET 46xxsettings.txt\n"}
    old, new = (Served.memory({**upgrade, "46xxsettings.txt": settings(more)}) for more in (0, 1))
    began = time.process_time()
    found = compare(old, new, [Phone("9611G"), Phone("9608G")], None)
    assert time.process_time() - began < 8
    assert len(found.kinds) == 400 and found.played == 400
    assert sorted(len(block.kinds) for block in found.changes) == [2] * 199
