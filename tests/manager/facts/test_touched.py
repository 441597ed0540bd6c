"""Whom a file concerns: who fetched it, what names it, who breaks."""

from __future__ import annotations

import time

from manager.facts.touched import Edited, askers, whom
from mv_iptel.config import load
from tests.manager.field import BIN, MAC, site


def test_who_fetched_a_file_and_what_names_it(fresh):
    site(fresh)
    config = load(fresh)
    script = fresh.http_data / "96xxupgrade.txt"
    found = askers(config, script, "HTTPdata/96xxupgrade.txt")
    assert (found.phones, found.lately) == (2, 2) and {one["mac"] for one in found.rows} >= {MAC}
    assert found.needed == "2 phones fetched it within 14 days"
    late = askers(config, script, "HTTPdata/96xxupgrade.txt", time.time() + 15 * 86_400)
    assert (late.phones, late.lately, late.needed) == (2, 0, "")
    firmware = askers(config, fresh.http_data / BIN, f"HTTPdata/{BIN}")
    assert firmware.phones == 0 and firmware.needed == "HTTPdata/96xxupgrade.txt names it"


def test_who_breaks(fresh):
    site(fresh)
    config = load(fresh)
    same = whom(config, "HTTPdata", "96xxupgrade.txt", (fresh.http_data / "96xxupgrade.txt").read_bytes())
    assert same["counted"] and same["phones"] == 2 and not same["changed"]
    gone = whom(config, "HTTPdata", BIN, None)
    assert gone["breaks"][0]["phones"] == 2 and "ha96xxua3_2_8.bin" in gone["breaks"][0]["told"][0]["text"]
    other = whom(config, "HTTPdata", "46xxsettings.txt", b"SET SNMPSTRING other\nSET L2Q 0\n")
    text = " ".join(one["text"] for block in other["changes"] for one in block["told"])
    assert "L2Q: 2 → 0" in text and "topsecret" not in text and "other," not in text
    # The same name in another directory is another file.
    assert not whom(config, "Updates", "46xxsettings.txt", b"")["changed"]


def test_without_phones_every_model_is_judged(fresh):
    found = whom(load(fresh), "HTTPdata", "96x1Hupgrade.txt", b"")
    assert not found["counted"] and found["phones"] == 0 and found["changed"]
    assert all(block["phones"] == 0 for part in ("breaks", "mends", "changes") for block in found[part])


def test_a_directory_with_one_file_edited(tmp_path):
    (tmp_path / "A.txt").write_bytes(b"old")
    (tmp_path / "b.txt").write_bytes(b"b")
    edited = Edited(tmp_path, "A.txt", b"new")
    assert edited.find("a.TXT", True).data == b"new" and edited.find("b.txt", True).data == b"b"
    assert sorted(edited.names()) == ["A.txt", "b.txt"]
    gone = Edited(tmp_path, "A.txt", None)
    assert gone.find("A.txt", False) is None and list(gone.names()) == ["b.txt"]
    assert sorted(Edited(tmp_path, "c.txt", b"").names()) == ["A.txt", "b.txt", "c.txt"]
