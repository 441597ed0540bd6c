"""One phone: its user's data by name, what is known against its firmware, its requests and refusals."""

from __future__ import annotations

import pytest

from manager.facts import phone
from mv_iptel.config import load
from mv_iptel.inventory import Reader
from tests.manager import field
from tests.manager.here import made


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = made(tmp_path_factory.mktemp("home"))
    field.site(home)
    return home


@pytest.fixture
def reader(home):
    reader = Reader(home.database)
    yield reader
    reader.close()


@pytest.mark.parametrize(
    ("ext", "files"), [("4711", ["4711_96xxdata.txt"]), ("4712", []), ("", []), ("../x", [])]
)
def test_what_is_kept_for_an_extension(home, ext, files):
    found = phone.kept(load(home), ext)
    assert [one["file"] for one in found] == files
    assert all((one["size"], one["older"]) == (15, 0) for one in found)


def test_what_is_known_against_its_firmware(home, reader):
    found = phone.warnings(load(home), reader.phone(field.MAC))
    assert {one.kind for one in found} == {"unsupported"}  # no 96x0 gets anything new
    assert phone.warnings(load(home), {**reader.phone(field.MAC), "model": "toaster"}) == ()


def test_its_requests_by_protocol_and_outcome(reader):
    def numbers(**choice):
        return [row["id"] for row in phone.timeline(reader, field.MAC, **choice)]

    assert numbers() == [4, 3, 2, 1] and numbers(most=2) == [4, 3] and numbers(before=3) == [2, 1]
    assert numbers(outcome="refused") == [3] and numbers(proto="tftp") == []


def test_each_refusal_once_with_the_line_that_sent_it_there(home, reader):
    (one,) = phone.refused(load(home), reader, field.MAC, reader.phone(field.MAC))
    assert (one["name"], one["times"]) == ("none.txt", 1) and one["sent_by"].startswith("46xxsettings.txt:6")
    (one,) = phone.refused(load(home), reader, "198.51.100.9", None)
    assert one["reason"] == "not-listed" and one["sent_by"] == ""
