"""Address lists: which file governs, reading it whatever it holds, saving it so that nothing is lost."""

from __future__ import annotations

import os

import pytest

from manager.facts import lists
from manager.problems import Problem
from mv_iptel.config import load
from tests.manager.here import made


@pytest.fixture
def config(tmp_path):
    return load(made(tmp_path / "home"))


def fine(etag: str) -> None:
    """No other state was meant."""


def texts(config, key):
    return [lists.version(config, key, one.id) for one in lists.versions(config, key)]


def test_the_protocols_own_list_governs_before_the_common_one(config):
    folder = config.http.http_dir
    assert lists.place(config, "http") == folder / "HTTP_allow_IP.txt"
    (folder / "Allow_ip.TXT").write_text("10.0.0.1\n")
    assert lists.place(config, "http") == folder / "Allow_ip.TXT"
    (folder / "HTTP_ALLOW_IP.txt").write_text("10.0.0.2\n")
    found = lists.state(config, "http")
    assert found.path.name == "HTTP_ALLOW_IP.txt" and found.entries[0].text == "10.0.0.2" and not found.also


def test_ftp_and_user_data_have_no_common_list(config):
    (config.ftp.ftp_dir / "allow_IP.txt").write_text("10.0.0.1\n")
    assert lists.state(config, "ftp").data is None and lists.state(config, "backup").data is None
    assert lists.place(config, "backup") == config.http.backup_dir / "backup_allow_IP.txt"
    assert lists.place(config, "banned") == config.home.lists / "banned.txt"


@pytest.mark.parametrize("data, text, written", [
    (b"10.1\r\n10.2\r\n", "10.1\n10.2\n", b"10.1\r\n10.3\r\n"),
    (b"\xef\xbb\xbf10.1\n# Stra\xc3\x9fe\n", "10.1\n# Stra\xdfe\n", b"10.1\n10.3\n"),
    (b"10.1 # caf\xe9\n", "10.1 # caf\xe9\n", b"10.1\n10.3\n"),
    (b"", "", b"10.1\n10.3\n"),
])  # fmt: skip
def test_what_an_editor_of_old_wrote_is_read_and_keeps_its_line_ends(config, data, text, written):
    path = lists.place(config, "tftp")
    path.write_bytes(data)
    assert lists.state(config, "tftp").text == text
    lists.save(config, "tftp", fine, lambda _: "10.1\r\n10.3")
    assert path.read_bytes() == written


def test_each_change_is_kept_and_can_be_had_back(config):
    path = lists.place(config, "http")
    path.write_text("10.1\n")  # by hand
    os.utime(path, (1e9, 1e9))
    path.chmod(0o640)
    before, after = lists.save(config, "http", fine, lambda text: text + "10.2\n")
    assert (before.text, after.text) == ("10.1\n", "10.1\n10.2\n") and path.stat().st_mode & 0o777 == 0o640
    lists.save(config, "http", fine, lambda _: None)
    assert not path.exists() and lists.state(config, "http").etag == lists.ABSENT
    path.write_text("10.9\n")
    assert texts(config, "http") == ["10.9\n", "", "10.1\n10.2\n", "10.1\n"]
    assert [one.gone for one in lists.versions(config, "http")] == [False, True, False, False]
    with pytest.raises(Problem, match="not-found"):
        lists.version(config, "http", "../../banned.txt")


def test_nothing_changes_when_it_is_the_same_or_meant_for_another_state(config):
    path = lists.place(config, "http")
    path.write_text("10.1\n")
    old = path.stat()
    before, after = lists.save(config, "http", fine, lambda text: text)
    assert before is after and path.stat().st_mtime_ns == old.st_mtime_ns

    def refuse(etag):
        assert etag == before.etag
        raise Problem("changed")

    with pytest.raises(Problem, match="changed"):
        lists.save(config, "http", refuse, lambda _: "10.2\n")
    assert path.read_text() == "10.1\n"


def test_who_saves_by_hand_at_the_same_moment_loses_nothing(config):
    path = lists.place(config, "http")
    path.write_text("10.1\n")
    asked = []

    def change(text):
        asked.append(text)
        if len(asked) == 1:
            path.write_text("10.7\n")  # between the look and the rename
        return text + "10.2\n"

    assert lists.save(config, "http", fine, change)[1].text == "10.7\n10.2\n"
    assert asked == ["10.1\n", "10.7\n"]


def test_a_link_and_what_cannot_be_read_are_left_alone(config, tmp_path):
    path = lists.place(config, "http")
    (tmp_path / "elsewhere").write_text("10.1\n")
    path.symlink_to(tmp_path / "elsewhere")
    assert lists.state(config, "http").text == "10.1\n"
    with pytest.raises(Problem, match="is a link"):
        lists.save(config, "http", fine, lambda _: "10.2\n")
    path.unlink()
    os.mkfifo(path)
    assert lists.state(config, "http").error == "is no file"
    with pytest.raises(Problem, match="mend that"):
        lists.save(config, "http", fine, lambda _: "10.2\n")
    path.unlink()
    with pytest.raises(Problem, match="too-big"):
        lists.save(config, "http", fine, lambda _: "# no address\n" * 200_000)
    path.symlink_to(tmp_path / "nowhere")
    assert "leads nowhere" in lists.state(config, "http").error


def test_long_lists_are_compared_as_sets():
    old = [f"10.{a}.{b}.1" for a in range(10) for b in range(250)]
    new = [*old[:100], "10.200.0.1", *old[101:]]
    assert lists.difference("\n".join(old), "\n".join(new)) == "-10.0.100.1\n+10.200.0.1"
    assert "+10.2" in lists.difference("10.1\n", "10.1\n10.2\n", "HTTP_allow_IP.txt")
