"""What servers hand out: names in any case, TLS that falls back, and which file stands in for which."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from mv_iptel.phones.served import Served, pair, stands_for

UPGRADE = b"GET 46xxsettings.txt\n"


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def test_a_name_is_found_in_any_case_and_below(tmp_path):
    write(tmp_path / "sub", deep__txt="SET A 1\n")
    write(tmp_path, **{"46XXSettings__txt": "SET B 1\n"})
    served = Served.directory(tmp_path)
    assert served.script("http", "46xxsettings.TXT").name == "46XXSettings.txt"
    assert served.has("tftp", "/SUB\\Deep.txt") and served.has("tftp", "./sub/deep.txt")
    assert not served.has("http", "sub") and not served.has("http", "../" + tmp_path.name + "/sub/deep.txt")
    assert served.script("http", "none.txt") is None and not served.has("http", "")


def test_https_falls_back_to_http_and_tftp_to_nothing(tmp_path):
    write(tmp_path / "HTTPdata", a__txt="h", b__txt="h")
    write(tmp_path / "HTTPSdata", a__txt="s")
    write(tmp_path / "TFTPdata", c__txt="t")
    served = Served.directory(tmp_path)
    assert served.content("https", "a.txt") == b"s" and served.content("https", "b.txt") == b"h"
    assert served.content("http", "a.txt") == b"h" and served.content("tftp", "a.txt") is None
    assert {name for _, name in served.names()} == {"a.txt", "b.txt", "c.txt"}


def test_a_home_is_a_servers_data_too(tmp_path):
    write(tmp_path / "MV_IPTel" / "data" / "HTTPdata", a__txt="h")
    assert Served.directory(tmp_path).has("https", "a.txt")


def test_a_file_is_parsed_once():
    served = Served.memory({"a.txt": b"SET A 1\n"})
    assert served.script("http", "a.txt") is served.script("tftp", "a.txt")


def test_a_file_stands_in_where_it_lay(tmp_path):
    write(tmp_path / "HTTPdata", a__txt="h")
    write(tmp_path / "TFTPdata", b__txt="t")
    served = Served.directory(tmp_path).with_file("A.txt", b"new")
    assert served.content("http", "a.txt") == b"new" == served.content("https", "a.txt")
    assert served.content("tftp", "a.txt") is None


def test_which_files_phones_come_to():
    served = Served.memory(
        {"96x1Hupgrade.txt": b"GET Site.txt\n", "site.txt": b"GET $MACADDR.txt\n", "other.txt": b""}
    )
    for name, leads in (("SITE.txt", True), ("96x1hupgrade.txt", True), ("other.txt", False),
                        ("00040d112233.txt", True), ("00040d11223.txt", False)):  # fmt: skip
        assert served.leads_to(name) is leads, name


def test_a_circle_of_scripts_leads_nowhere():
    assert not Served.memory({"96xxupgrade.txt": b"GET 96xxupgrade.txt\nGET a.txt\n", "a.txt": b""}).leads_to(
        "b"
    )


def test_two_directories(tmp_path):
    old, new = pair(write(tmp_path / "a", x__txt="1"), write(tmp_path / "b", x__txt="2"))
    assert (old.content("http", "x.txt"), new.content("http", "x.txt")) == (b"1", b"2")


@pytest.mark.parametrize("backwards", [False, True])
def test_a_file_takes_its_namesakes_place_beside_the_scripts(tmp_path, backwards):
    live = write(tmp_path / "live", **{"96x1Hupgrade__txt": "GET 46xxsettings.txt", "46xxsettings__txt": "1"})
    draft = tmp_path / "draft.txt"
    draft.write_text("2")
    paths = (live / "46xxsettings.txt", draft)
    old, new = pair(*(reversed(paths) if backwards else paths))
    contents = [each.content("http", "46xxsettings.txt") for each in (old, new)]
    assert contents == ([b"2", b"1"] if backwards else [b"1", b"2"])
    assert old.start == new.start == "" and old.whole and new.has("http", "96x1Hupgrade.txt")


def test_files_that_no_script_leads_to_are_read_as_they_are(tmp_path):
    write(tmp_path, a__txt="SET A 1", b__txt="SET A 2")
    old, new = pair(tmp_path / "a.txt", tmp_path / "b.txt")
    assert (old.start, new.start) == ("a.txt", "b.txt") and not old.whole


def test_a_file_against_a_directory(tmp_path):
    live = write(tmp_path / "live", a__txt="1")
    write(tmp_path, a__txt="2", b__txt="3")
    old, new = pair(live, tmp_path / "a.txt")
    assert (old.content("http", "a.txt"), new.content("http", "a.txt")) == (b"1", b"2")
    old, new = pair(tmp_path / "a.txt", live)
    assert (old.content("http", "a.txt"), new.content("http", "a.txt")) == (b"2", b"1")
    assert "has no b.txt" in pair(live, tmp_path / "b.txt")


def test_names_with_variables():
    assert stands_for("A.txt", "a.TXT") and not stands_for("a.txt", "b.txt")
    assert stands_for("x$MODEL4.txt", "x9640.txt") and not stands_for("x$MODEL4.txt", "x964.txt")
    assert stands_for("$OTHER.txt", "$other.txt")


def test_a_quick_no():
    served = Served.memory({"A.txt": b"", "sub/b.txt": b""})
    assert served.may_have("a.TXT") and served.may_have("any/where.txt") and not served.may_have("c.txt")


def test_no_name_takes_for_ever_to_fit():
    began = time.process_time()
    assert not stands_for("$SERIALNO" * 9 + "-", "a" * 250)
    assert not stands_for("$SERIALNO" * 3 + "-", "a" * 250)
    assert time.process_time() - began < 5
    assert stands_for("$MODEL4-$SERIALNO.txt", "9611-11WZ12345678.txt")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="only POSIX has devices")
def test_a_device_is_read_to_an_end(tmp_path, monkeypatch):
    monkeypatch.setattr("mv_iptel.phones.served.LONGEST", 1000)
    (tmp_path / "a.txt").write_text("SET A 1\n")
    _, after = pair(tmp_path / "a.txt", Path("/dev/zero"))
    assert len(after.content("http", "zero")) == 1000
