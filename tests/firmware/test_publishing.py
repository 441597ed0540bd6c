"""Publishing, rolling back, removing: what is served, what is kept, and what is held."""

from __future__ import annotations

import os

import pytest

from mv_iptel.firmware import generations, journal, releases
from mv_iptel.firmware.publishing import Done, Held
from tests.firmware.site import Site, missing, script

S = b"SET L2QVLAN 1\n"
SCRIPT, SETTINGS = "HTTPdata/96x1Hupgrade.txt", "HTTPdata/46xxsettings.txt"


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def one(site: Site, number: int, **more: bytes) -> str:
    app = f"S9608_11HALBR6_{number}_V1.tar"
    files = {f"HTTPdata/{app}": b"app %d " % number * 9, SCRIPT: script(app), SETTINGS: S}
    return site.add(f"96x1-{number}", {**files, **more})


def test_a_release_is_published_and_taken_back_exactly(site):
    site.lay(SETTINGS, b"SET L2QVLAN 7\n")
    site.lay("HTTPdata/logo.jpg", b"the site's")
    before = site.served()
    first, second = one(site, 1), one(site, 2)
    done = site.publisher.publish(first)
    assert isinstance(done, Done) and (done.generation, done.changed) == (1, 2)
    at_first = site.served()
    assert at_first[SETTINGS] == b"SET L2QVLAN 7\n", "the site's settings are never overwritten"
    assert at_first[SCRIPT] == script("S9608_11HALBR6_1_V1.tar") and missing(at_first) == []
    assert isinstance(site.publisher.publish(second), Done)
    assert (site.state(first), site.state(second)) == (releases.SUPERSEDED, releases.PUBLISHED)
    assert missing(site.served()) == []

    assert isinstance(site.publisher.rollback(), Done)
    assert site.served() == at_first
    assert (site.state(first), site.state(second)) == (releases.PUBLISHED, releases.SUPERSEDED)
    assert isinstance(site.publisher.rollback(), Done)
    assert site.served() == before
    assert site.number() == 4, "numbers only grow"
    assert isinstance(site.publisher.rollback(), Held)
    assert isinstance(site.publisher.publish(second), Done)
    assert site.tree() == site.served(), "nothing is left written aside"


def test_identical_files_are_stored_once_and_scripts_are_copies(site):
    data = b"the same" * 100
    files = {f"{place}/a.bin": data for place in ("TFTPdata", "HTTPdata")}
    ident = site.add("both", {**files, SCRIPT: script(), SETTINGS: S})
    assert isinstance(site.publisher.publish(ident), Done)
    sha256 = next(file.sha256 for file in site.releases.get(ident).files if file.name == "a.bin")
    content = site.releases.content(sha256)
    for path in files:
        assert os.path.samefile(site.home.data / path, content)
    (site.home.data / SCRIPT).write_bytes(b"an editor that writes in place")
    assert isinstance(site.publisher.rollback(live="replace"), Done)
    assert isinstance(site.publisher.publish(ident), Done)
    assert (site.home.data / SCRIPT).read_bytes() == script()


@pytest.mark.parametrize(("live", "holds"), [("stop", True), ("keep", False), ("replace", False)])
def test_a_script_that_the_site_has_changed(site, live, holds):
    first, second = one(site, 1), one(site, 2)
    site.publisher.publish(first)
    edited = script("S9608_11HALBR6_1_V1.tar", tail="## our word\n")
    site.lay(SCRIPT, edited)
    before = site.served()
    done = site.publisher.publish(second, live=live)
    assert isinstance(done, Held) is holds
    if holds:
        assert site.served() == before and "not as it was published" in done.why[0]
        assert site.releases.get(second).note == done.why[0]
        return
    kept = edited if live == "keep" else script("S9608_11HALBR6_2_V1.tar")
    assert site.served()[SCRIPT] == kept
    # What the site keeps is no vendor's: the next release asks again.
    assert isinstance(site.publisher.publish(one(site, 3)), Held if live == "keep" else Done)
    if live == "replace":
        site.publisher.rollback()
        site.publisher.rollback()
        assert site.served()[SCRIPT] == edited, "what was replaced comes back as it was"


def test_a_script_of_unknown_origin_stops_it_and_a_sample_does_not(site):
    site.lay(SCRIPT, b"GET 46xxsettings.txt\n")
    assert isinstance(site.publisher.publish(one(site, 1)), Held)
    from mv_iptel.home import shipped

    site.lay(SCRIPT, (shipped() / SCRIPT).read_bytes())
    assert isinstance(site.publisher.publish(one(site, 1)), Done)


INSERT = "IF $GROUP SEQ 876 goto VPN\ngoto NOVPN\n# VPN\nGET 46xxvpn.scr\ngoto END\n# NOVPN\n"


def test_the_insert_for_vpn_phones_survives_a_merge(site):
    first, second, third = one(site, 1), one(site, 2), one(site, 3)
    site.publisher.publish(first)
    site.lay("HTTPdata/46xxvpn.scr", b"SET VPNPROC 2\n")
    site.lay(SCRIPT, script("S9608_11HALBR6_1_V1.tar", insert=INSERT))
    for number, ident in ((2, second), (3, third)):
        assert isinstance(site.publisher.publish(ident), Held)
        assert isinstance(site.publisher.publish(ident, live="merge"), Done)
        assert site.served()[SCRIPT] == script(f"S9608_11HALBR6_{number}_V1.tar", insert=INSERT)
    site.publisher.rollback()
    assert site.served()[SCRIPT] == script("S9608_11HALBR6_2_V1.tar", insert=INSERT)


def test_lint_errors_hold_and_a_loss_says_so_first(site):
    broken = site.add("broken", {SCRIPT: script("not-there.tar"), SETTINGS: S})
    held = site.publisher.publish(broken)
    assert isinstance(held, Held) and any("not-there.tar" in why for why in held.why)
    site.publisher.publish(one(site, 1))
    bare = site.add("bare", {SCRIPT: b"GET 46xxsettings.txt\n"})
    held = site.publisher.publish(bare)
    assert isinstance(held, Held) and "96x1" in held.plan.losses[0].who, held.why
    assert isinstance(site.publisher.publish(bare, losses=True), Done)


def test_two_families_stand_beside_each_other(site):
    first = one(site, 1)
    name = "HTTPdata/J100Supgrade.txt"
    app = "FW_S_J179_R4.bin"
    other = site.add("J100", {f"HTTPdata/{app}": b"j" * 50, name: script(app), SETTINGS: S})
    site.publisher.publish(first)
    site.publisher.publish(other)
    assert site.state(first) == site.state(other) == releases.PUBLISHED
    site.publisher.rollback(first)
    assert site.state(first) == releases.SUPERSEDED and site.state(other) == releases.PUBLISHED
    assert SCRIPT not in site.served() and name in site.served() and missing(site.served()) == []


def test_removing_what_is_superseded(site):
    first, second = one(site, 1), one(site, 2)
    site.publisher.publish(first)
    assert isinstance(site.publisher.remove(first), Held)
    site.publisher.publish(second)
    content = site.releases.content(site.releases.get(first).files[0].sha256)
    assert isinstance(site.publisher.remove(first), Done)
    assert "HTTPdata/S9608_11HALBR6_1_V1.tar" not in site.served() and missing(site.served()) == []
    assert not content.exists() and site.state(first) == releases.REMOVED
    held = site.publisher.rollback()
    assert isinstance(held, Held) and "not in the store" in held.why[0]


def test_software_that_a_script_names_is_not_removed(site):
    first, second = one(site, 1), one(site, 2)
    site.publisher.publish(first)
    site.publisher.publish(second)
    site.lay("TFTPdata/46xxupgrade.scr", b"SET APPNAME S9608_11HALBR6_1_V1.tar\n")
    held = site.publisher.remove(first)
    assert isinstance(held, Held) and "46xxupgrade.scr names it" in held.why[0]


def test_what_a_phone_fetched_lately_is_not_removed(site):
    from mv_iptel.inventory import schema

    first, second = one(site, 1), one(site, 2)
    site.publisher.publish(first)
    site.publisher.publish(second)
    database = schema.prepare(os.fspath(site.config.settings.database))
    file = site.home.http_data / "S9608_11HALBR6_1_V1.tar"
    row = (1, file.name, str(file), "http", 9, site.time - 13 * 86_400, 1)
    database.execute("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    held = site.publisher.remove(first)
    assert isinstance(held, Held) and "14 days" in held.why[0]
    site.time += 2 * 86_400
    assert isinstance(site.publisher.remove(first), Done)
    database.close()


def test_a_roll_out_lays_out_all_but_scripts_and_takes_it_back(site):
    first, second = one(site, 1), one(site, 2)
    site.publisher.publish(first)
    before = site.served()
    assert isinstance(site.publisher.expose(second), Done)
    assert site.state(second) == releases.RING
    assert site.served() == {**before, "HTTPdata/S9608_11HALBR6_2_V1.tar": b"app 2 " * 9}
    assert isinstance(site.publisher.withdraw(second), Done)
    assert site.served() == before and site.state(second) == releases.STAGED
    site.publisher.expose(second)
    assert isinstance(site.publisher.publish(second), Done)
    assert isinstance(site.publisher.rollback(), Done)
    assert site.served()[SCRIPT] == before[SCRIPT]


def test_the_disk_fails_and_all_is_as_it_was(site, monkeypatch):
    first, second = one(site, 1), one(site, 2)
    site.publisher.publish(first)
    before = site.tree()
    real, count = os.replace, [0]

    def failing(source, target, **more):
        if str(target).startswith(str(site.home.http_data)):
            count[0] += 1
            if count[0] == 2:
                raise OSError(28, "No space left on device", str(target))
        return real(source, target, **more)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="No space"):
        site.publisher.publish(second)
    assert site.tree() == before and journal.read(site.home) is None
    assert (site.number(), site.state(second)) == (1, releases.STAGED)
    assert isinstance(site.publisher.publish(second), Done)


def test_letter_case_and_links_find_the_file_that_is_there(site):
    site.lay("TFTPdata/46XXUPGRADE.SCR", b"GET 46xxsettings.txt\n")
    site.lay("TFTPdata/46xxsettings.txt", S)
    ident = site.add("4600", {"TFTPdata/46xxupgrade.scr": b"SET APPNAME x.bin\nGET 46xxsettings.txt\n",
                              "TFTPdata/x.bin": b"x"})  # fmt: skip
    assert isinstance(site.publisher.publish(ident, live="replace"), Done)
    names = ["46XXUPGRADE.SCR", "46xxsettings.txt", "x.bin"]
    assert sorted(site.served()) == [f"TFTPdata/{name}" for name in names]
    assert generations.current(site.home).entry("TFTPdata", "46xxupgrade.scr").name == "46XXUPGRADE.SCR"
    outside = site.home.root / "outside.bin"
    outside.write_bytes(b"not ours")
    (site.home.http_data / "y.bin").symlink_to(outside)
    held = site.publisher.publish(site.add("y", {"HTTPdata/y.bin": b"y"}))
    assert isinstance(held, Held) and "leads out" in held.why[0] and outside.read_bytes() == b"not ours"


def test_a_damaged_content_is_never_served(site):
    first, second = one(site, 1), one(site, 2)
    site.publisher.publish(first)
    before = site.tree()
    made = next(file for file in site.releases.get(second).files if file.role == "script")
    content = site.releases.content(made.sha256)
    content.chmod(0o644)
    content.write_bytes(content.read_bytes().replace(b"S9608", b"T9608"))
    with pytest.raises(OSError, match="damaged"):
        site.publisher.publish(second, losses=True, force=True)
    assert site.tree() == before and journal.read(site.home) is None


def test_a_damaged_journal_is_set_aside_and_told(site):
    journal.path_of(site.home).parent.mkdir(parents=True, exist_ok=True)
    journal.path_of(site.home).write_bytes(b"{")
    assert "damaged" in site.publisher.recover()[0]
    assert site.kinds() == ["firmware-fault"] and site.publisher.recover() == []


def test_what_is_not_there_is_held(site):
    one = site.publisher
    for call in (one.publish, one.expose, one.withdraw, one.remove, one.rollback):
        assert isinstance(call("nothing-01234567"), Held)
