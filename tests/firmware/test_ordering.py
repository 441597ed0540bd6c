"""A file comes before those that name it, whichever way the change goes."""

from __future__ import annotations

from mv_iptel.firmware.journal import Change
from mv_iptel.firmware.keeping import keep_bytes
from mv_iptel.firmware.ordering import ordered
from tests.firmware.site import Site


def test_the_order(tmp_path):
    releases = Site(tmp_path).releases

    def change(name: str, before: str, after: str, role: str = "script") -> Change:
        hashes = [keep_bytes(releases, text.encode()) if text else "" for text in (before, after)]
        return Change(f"/data/{name}", *hashes, role)

    changes = [
        change("a.txt", "GET c.txt\n", "GET B.txt\n"),
        change("b.txt", "", "GET 46xxsettings.txt\n"),
        change("c.txt", "SET X 1\n", ""),
        change("z.bin", "", "z", "software"),
    ]
    names = [one.path for one in ordered(releases, changes)]
    assert names[0] == "/data/z.bin" and names[-1] == "/data/a.txt"
    circle = [change("a.txt", "", "GET b.txt\n"), change("b.txt", "", "GET a.txt\n")]
    assert len(ordered(releases, circle)) == 2
