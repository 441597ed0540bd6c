"""A scan over agents of the test's own: whom it asks, what it makes of the answers, what it keeps."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import replace

import pytest

from mv_iptel.config import defaults
from mv_iptel.events import Finished
from mv_iptel.firmware.releases import Releases
from mv_iptel.firmware.scanning import MOST, changed, scan, targets
from mv_iptel.home import Home
from mv_iptel.inventory import Inventory
from mv_iptel.inventory.scanned import Scanned
from mv_iptel.rollout import plans
from mv_iptel.rollout.rings import stage_of
from tests.firmware.field import AVAYA, COMMUNITY, FAULTS, SYS_OBJECT, Field, j100, octets, oid, sip96x0
from tests.happened import finished

NEW = "FW_S_J179_R4_1_3_0_6.bin"
OLD = "FW_S_J179_R4_0_0_0_1.bin"
SCRIPTS = {
    "J100Supgrade.txt": f"SET APPNAME {NEW}\nGET 46xxsettings.txt\n",
    "96xxupgrade.txt": (
        "IF $SIG SEQ 2 GOTO SIP\nGOTO END\n# SIP\nIF $GROUP SEQ 876 GOTO TRIAL\n"
        "SET APPNAME SIP96xx_2_6_17_0.bin\nGOTO END\n# TRIAL\nSET APPNAME SIP96xx_2_6_18_0.bin\n# END\n"
        "GET 46xxsettings.txt\n"
    ),
    "46xxsettings.txt": "SET DOMAIN example.org\n",
}


class Site:
    """A home without a server: its inventory is written by the test."""

    def __init__(self, folder, port):
        home = Home(folder)
        config = defaults(home)
        terms = replace(config.snmp, community=COMMUNITY, snmp_port=port, snmp_timeout=0.5, snmp_retries=2)
        self.config = replace(config, snmp=terms)
        for place in (config.tftp.tftp_dir, config.http.http_dir, config.https.https_dir):
            place.mkdir(parents=True, exist_ok=True)
        for name, text in SCRIPTS.items():
            (config.http.http_dir / name).write_text(text)
        self.inventory = Inventory(config.settings.database)

    def happen(self, *events: Finished | Scanned):
        for one in events:
            if isinstance(one, Scanned):
                self.inventory.scanned([one])
            else:
                self.inventory.receive([one])
        self.inventory.flush()

    def scan(self, *nets, **options):
        report = scan(self.config, nets, **options)
        assert not isinstance(report, str), report
        return report


@pytest.fixture
def site(tmp_path):
    made = []

    def make(field):
        made.append(Site(tmp_path / f"home{len(made)}", field.port))
        return made[-1]

    yield make
    for one in made:
        one.inventory.close()


def ago(seconds, **changes):
    """A request so long ago."""
    return replace(finished(**changes), time=time.time() - seconds)


@pytest.mark.parametrize(
    ("nets", "found"),
    [
        (["10.1.0.0/30"], ["10.1.0.1", "10.1.0.2"]),
        (["10.1.0.0/31"], ["10.1.0.0", "10.1.0.1"]),
        (["10.1.0.1-10.1.0.3", "10.1.0.2"], ["10.1.0.1", "10.1.0.2", "10.1.0.3"]),
        (["::ffff:10.1.0.1"], ["10.1.0.1"]),
        (["fd00::/127"], ["fd00::", "fd00::1"]),
        (["10.1"], None),
        (["10.0.0.0/8"], None),
        (["fd00::/64"], None),
        (["phones.example.org"], None),
        (["10.1.0.9-10.1.0.1"], None),
    ],
)
def test_whom_networks_mean(nets, found):
    told = targets(nets)
    if nets == ["10.1"]:
        assert len(told) == MOST
    else:
        assert told == found if found is not None else isinstance(told, str)


def test_the_inventorys_phones_are_asked_where_they_were_last(site):
    with Field({"127.9.0.1": j100()}) as field:
        home = site(field)
        home.happen(
            ago(500, peer="127.9.0.7", mac="00040d000001", model="J179", identified="agent"),
            ago(400, peer="127.9.0.1", mac="00040d000001", model="J179", identified="agent"),
            ago(90 * 86400, peer="127.9.0.9", mac="00040d000009", model="J179", identified="agent"),
        )
        report = home.scan()
    assert set(field.asked) == {"127.9.0.1"}
    (row,) = report.rows
    assert (row.state, row.mac, row.ext, row.runs, row.source) == (
        "compliant",
        "00040d000001",
        "4711",
        NEW,
        "snmp",
    )
    assert (row.ordered, row.ordered_by, row.family) == (NEW, "J100Supgrade.txt:1", "J100-sip")
    assert not report.findings and report.kept == [
        Scanned(report.time, "127.9.0.1", "", "4711", "J179", NEW)
    ]  # fmt: skip


def test_every_state(site):
    phones = {
        f"127.9.0.{at}": j100(software=software) for at, software in enumerate((NEW, OLD, OLD, OLD, ""), 1)
    }
    with Field(phones) as field:
        home = site(field)
        for at in range(1, 7):
            home.happen(
                ago(9000, peer=f"127.9.0.{at}", mac=f"00040d00000{at}", model="J179", identified="agent")
            )
        # The second read its script since the order, the third fetched the firmware too.
        for name in ("J100Supgrade.txt", NEW):
            home.happen(
                ago(3600, peer="127.9.0.3", mac="00040d000003", model="J179", identified="agent", name=name)
            )
        home.happen(ago(3600, peer="127.9.0.2", mac="00040d000002", model="J179", identified="agent",
                        name="J100Supgrade.txt"))  # fmt: skip
        later = time.time() + 2 * 86400
        report = home.scan(now=lambda: later, recent=10 * 86400)
    found = {row.address: row for row in report.rows}
    assert {address[-1]: row.state for address, row in found.items()} == {
        "1": "compliant", "2": "pending", "3": "pending", "4": "pending", "5": "unknown", "6": "silent",
    }  # fmt: skip
    # The scripts are younger than what the phones did: that is what the scan sees on this disk.
    assert all(row.text.startswith("ordered") for row in report.rows if row.state == "pending")
    assert report.states == {"compliant": 1, "pending": 3, "stuck": 0, "unknown": 1, "silent": 1}


def test_a_phone_that_fetched_it_and_runs_the_old_is_stuck(site):
    with Field({"127.9.0.1": j100(software=OLD), "127.9.0.2": j100(software=OLD)}) as field:
        home = site(field)
        later = time.time() + 3 * 86400
        soon = later - 2 * 86400  # a day after the scripts were put there
        for at, names in ((1, ["J100Supgrade.txt"]), (2, ["J100Supgrade.txt", NEW])):
            for name in names:
                event = ago(0, peer=f"127.9.0.{at}", mac=f"00040d00000{at}", model="J179", name=name)
                home.happen(replace(event, time=soon, identified="agent"))
        report = home.scan(now=lambda: later)
    assert [row.state for row in report.rows] == ["stuck", "stuck"] and report.findings
    texts = {row.address: row.text for row in report.rows}
    assert "has not loaded " + NEW in texts["127.9.0.1"] and "does not run it" in texts["127.9.0.2"]


def test_a_group_that_the_phone_tells(site):
    phones = {
        "127.9.0.1": sip96x0(),
        "127.9.0.2": sip96x0(group=876, mac="00:04:0d:00:00:02"),
        "127.9.0.3": sip96x0("SIP96xx_2_6_18_0.bin", 876, "00:04:0d:00:00:03"),
    }
    with Field(phones) as field:
        report = site(field).scan("127.9.0.1-127.9.0.4")
    found = {row.address[-1]: (row.state, row.group, row.ordered) for row in report.rows}
    assert found == {
        "1": ("compliant", "0", "SIP96xx_2_6_17_0.bin"), "2": ("pending", "876", "SIP96xx_2_6_18_0.bin"),
        "3": ("compliant", "876", "SIP96xx_2_6_18_0.bin"),
    }  # fmt: skip
    assert (report.asked, report.answered) == (4, 3)
    weak = {row.address[-1]: [one.id for one in row.advisories] for row in report.rows}
    assert weak["1"] == ["96x0-sip-tls-1.0", "96x0-out-of-support"] and weak["3"] == ["96x0-out-of-support"]
    assert report.findings


def test_who_answers_at_an_address_is_the_phone_known_there(site):
    phones = {"127.9.0.1": j100(), "127.9.0.2": j100(), "127.9.0.3": sip96x0(mac="00:04:0d:00:00:0c")}
    with Field(phones) as field:
        home = site(field)
        home.happen(
            ago(400, peer="127.9.0.1", mac="00040d00000a", model="J179", identified="agent"),
            # Another model had the address; and two had it within a day.
            ago(400, peer="127.9.0.3", mac="00040d00000b", model="1616", identified="agent"),
            ago(500, peer="127.9.0.2", mac="00040d00000d", model="J179", identified="agent"),
            ago(400, peer="127.9.0.2", mac="00040d00000e", model="J179", identified="agent"),
        )
        report = home.scan()
    found = {(row.address[-1], row.mac, row.state) for row in report.rows}
    assert found == {
        ("1", "00040d00000a", "compliant"), ("2", "", "compliant"), ("2", "00040d00000d", "silent"),
        ("2", "00040d00000e", "silent"), ("3", "00040d00000c", "compliant"), ("3", "00040d00000b", "silent"),
    }  # fmt: skip
    assert {row.text.partition(";")[0] for row in report.rows if row.state == "silent"} == {
        "its address is another phone's now"
    }


def test_what_is_known_of_a_silent_phone_is_told(site):
    with Field({}) as field:
        home = site(field)
        agent = "Mozilla/4.0 AVAYA/J179-4.1.3.0.6 (MAC:00040d00000a)"
        event = ago(400, peer="127.9.0.1", mac="00040d00000a", model="J179", version="4.1.3.0.6")
        home.happen(replace(event, agent=agent, identified="agent"))
        report = home.scan()
    (row,) = report.rows
    assert (row.state, row.runs, row.source) == ("silent", "4.1.3.0.6", "agent")
    assert (
        row.text.startswith("no answer by SNMP")
        and "last known: 4.1.3.0.6, it runs what is ordered" in row.text
    )
    assert report.findings and report.kept == []


def test_a_guess_is_shown_as_one_and_not_kept(site):
    at = f"{AVAYA}.2.69.2.1"
    guess = {SYS_OBJECT: oid(f"{AVAYA}.1.69.2.1"), f"{at}.43.0": octets("9640D01A"),
             f"{at}.58.0": octets("S9640_3_2_2.bin")}  # fmt: skip
    with Field({"127.9.0.1": guess, "127.9.0.2": guess}) as field:
        home = site(field)
        event = ago(400, peer="127.9.0.2", mac="00040d00000a", model="9640", version="3.2.1")
        home.happen(replace(event, agent="AVAYA/9640-3.2.1 (MAC:00040d00000a)", identified="agent"))
        report = home.scan("127.9.0.1-127.9.0.2")
    assert {(row.runs, row.source) for row in report.rows} == {
        ("S9640_3_2_2.bin", "guess"),
        ("3.2.1", "agent"),
    }
    assert [one.version for one in report.kept] == ["", ""]


@pytest.mark.parametrize("fault", FAULTS)
def test_hostile_agents(site, fault):
    with Field({"127.9.0.1": fault, "127.9.0.2": j100()}) as field:
        home = site(field)
        home.happen(ago(400, peer="127.9.0.1", mac="00040d00000a", model="J179", identified="agent"))
        report = home.scan("127.9.0.1-127.9.0.2")
    found = {row.address[-1]: row for row in report.rows}
    assert found["2"].state == "compliant"
    for value in vars(found["1"]).values():
        assert ".." not in str(value).replace("'../../x'", "").replace("'../../etc'", "")
        assert len(str(value)) < 400 and str(value).isprintable()
    assert report.others == (fault == "stranger")
    assert all("/" not in str(one) for one in report.kept)


def test_a_phone_in_the_ring_is_held_against_the_rings_order(site):
    with Field({"127.9.0.1": j100(), "127.9.0.2": j100()}) as field:
        home = site(field)
        (home.config.http.http_dir / "J100Supgrade.txt").write_text(
            SCRIPTS["J100Supgrade.txt"].replace(NEW, OLD)
        )
        for at in (1, 2):
            home.happen(
                ago(400, peer=f"127.9.0.{at}", mac=f"00040d00000{at}", model="J179", identified="agent")
            )
        sha256 = put(home.config.home, SCRIPTS["J100Supgrade.txt"].encode())
        now = time.time()
        stages = (stage_of(["127.9.0.1"], [], []),)
        scripts = {"HTTPdata": {"J100Supgrade.txt": sha256}}
        rollout = plans.Rollout("0123abcd", "new-01234567", plans.RUNNING, stages, 0, now, now, now,
                                scripts=scripts)  # fmt: skip
        plans.save(home.config.home, rollout)
        met = plans.Met("00040d000001", "127.9.0.1", "00040d000001", "J179", 0, plans.RUNS, now)
        plans.Log(plans.log_of(home.config.home, "0123abcd")).write([met])
        report = home.scan()
    found = {row.address[-1]: row for row in report.rows}
    assert (found["1"].state, found["1"].release) == ("compliant", "new-01234567")
    assert "in the ring of new-01234567" in found["1"].text
    assert (found["2"].state, found["2"].ordered, found["2"].release) == ("pending", OLD, "")


def put(home, data):
    sha256 = hashlib.sha256(data).hexdigest()
    path = Releases(home).content(sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return sha256


def test_when_a_script_came_here(site, tmp_path):
    with Field({}) as field:
        config = site(field).config
    path = config.http.http_dir / "J100Supgrade.txt"
    os.utime(path, (1, 1))  # as the vendor's archive has it
    assert time.time() - changed(config, "http", "j100supgrade.txt") < 600
    assert changed(config, "https", "J100Supgrade.txt") == changed(config, "http", "J100Supgrade.txt")
    assert changed(config, "tftp", "J100Supgrade.txt") == 0.0


def test_the_sites_own_advisories_and_their_mistakes(site):
    with Field({"127.9.0.1": j100()}) as field:
        home = site(field)
        ini = home.config.home.ini
        ini.parent.mkdir(parents=True, exist_ok=True)
        own = '[[advisory]]\nid = "x"\nkind = "weak"\nmodels = ["J179"]\ntext = "t"\nsource = "s"\n'
        (ini.parent / "advisories.toml").write_text("schema = 1\n" + own + "[[advisory]]\n")
        home.config = replace(home.config, file=ini)
        report = home.scan("127.9.0.1")
    assert [one.id for one in report.rows[0].advisories] == ["x"]
    assert len(report.problems) == 1 and "id is missing" in report.problems[0]


def test_nobody_to_ask(site):
    with Field({}) as field:
        report = site(field).scan()
    assert (report.asked, report.rows, report.findings) == (0, [], True)
