"""Scripts edited under a running server: each content is kept, a broken one is told until it is mended."""

from __future__ import annotations

import json

from tests.clients.daemon import wait_for

NAME = "46xxsettings.txt"


def contents(daemon):
    """What is kept of the file, the newest first."""
    folder = daemon.home.var / "history" / "HTTPdata" / NAME
    return [path.read_bytes() for path in sorted(folder.glob("2*"), reverse=True)] if folder.is_dir() else []


def broken(daemon):
    return [one for one in daemon.seen()["config"]["findings"] if "NOWHERE" in one]


def notices(daemon):
    events = [json.loads(line) for line in daemon.journal().splitlines()]
    return [event for event in events if event.get("kind") == "script-broken"]


def test_edits_are_kept_and_a_broken_one_is_told(daemon):
    path = daemon.home.http_data / NAME
    first = path.read_bytes()
    wait_for("the first copy", lambda: contents(daemon) == [first])
    second = b"GOTO NOWHERE\n" + first
    daemon.write(path.parent, NAME, second)  # by rename, as careful editors do
    wait_for("the second copy", lambda: contents(daemon) == [second, first])
    wait_for("a finding", lambda: broken(daemon))
    wait_for("an event", lambda: notices(daemon))
    (event,) = notices(daemon)
    assert (event["source"], event["line"], event["level"]) == (str(path), 1, "error")
    with path.open("ab") as file:  # in place, as others do
        file.write(b"## a word more\n")
    wait_for("the third copy", lambda: len(contents(daemon)) == 3)
    daemon.run("settings", "undo", "HTTPdata/" + NAME, first_of(daemon))
    assert path.read_bytes() == first
    wait_for("it is mended", lambda: not broken(daemon))
    path.unlink()
    wait_for("its removal", lambda: contents(daemon)[0] == b"")
    daemon.run("settings", "undo", "HTTPdata/" + NAME)
    wait_for("it is back", lambda: path.read_bytes() == first == contents(daemon)[0])
    assert len(notices(daemon)) >= 1  # a script that names it was told too while it was gone


def first_of(daemon):
    """The id of the oldest copy."""
    rows = json.loads(daemon.run("settings", "log", "HTTPdata/" + NAME, "--json").stdout)
    return rows[-1]["version"]
