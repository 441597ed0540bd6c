"""Address lists: every form of a line, edits at the next request, and lists that break."""

from __future__ import annotations

import ipaddress
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mv_iptel.library.access import AddressList, Lists, parse


@pytest.mark.parametrize(
    ("line", "inside", "outside"),
    [
        ("192.168.0.1", ["192.168.0.1"], ["192.168.0.2", "192.168.0.10"]),
        ("192.168.0", ["192.168.0.0", "192.168.0.255"], ["192.168.1.0", "192.168.01"]),
        ("192.168.0.", ["192.168.0.7"], ["192.168.1.7"]),
        ("10", ["10.255.255.255"], ["100.0.0.1"]),
        ("10.1", ["10.1.0.0"], ["10.10.0.0"]),
        ("192.168.0.5-192.168.0.7", ["192.168.0.5", "192.168.0.7"], ["192.168.0.4", "192.168.0.8"]),
        ("192.168.0.0/30", ["192.168.0.3"], ["192.168.0.4"]),
        ("192.168.0.9/30", ["192.168.0.8"], ["192.168.0.12"]),
        ("2001:db8::1", ["2001:db8::1"], ["2001:db8::2", "32.1.13.184"]),
        ("2001:db8::/64", ["2001:db8::ffff"], ["2001:db9::1"]),
        ("::ffff:10.0.0.1", ["10.0.0.1"], ["10.0.0.2"]),
        ("::ffff:10.0.0.0/120", ["10.0.0.255"], ["10.0.1.0"]),
        ("::ffff:10.0.0.1-::ffff:10.0.0.9", ["10.0.0.9"], ["10.0.0.10"]),
        ("10.0.0.1 # the lab", ["10.0.0.1"], []),
        ("  10.0.0.1  ", ["10.0.0.1"], []),
    ],
)
def test_forms_of_a_line(line, inside, outside):
    entries, problems = parse(f"# ours\n\n{line}\n")
    assert problems == []
    assert entries[0].line == 3
    made = AddressList("x", entries, [])
    for address in inside:
        assert made.match(address).line == 3
    for address in outside:
        assert made.match(address) is None


@pytest.mark.parametrize(
    "line",
    ["192.168.0.256", "300", "10.0.0.9-10.0.0.1", "phone7", "10.0.0.1-::1", "10.0.0.0/40",
     "1.2.3.4.5", "10..1", "10.0.0.1,10.0.0.2"],
)  # fmt: skip
def test_a_broken_line_is_skipped_and_told(line):
    entries, problems = parse(f"10.9.9.9\n{line}\n10.9.9.8")
    assert [entry.line for entry in entries] == [1, 3]
    assert problems[0].line == 2
    assert "write" in problems[0].text


@given(st.text(max_size=300))
def test_any_text_is_entries_and_problems(text):
    entries, problems = parse(text)
    lines = max(1, len(text.splitlines()))
    assert all(0 < item.line <= lines for item in [*entries, *problems])


@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), min_size=1, max_size=20),
    st.integers(0, 255),
)
def test_overlapping_ranges_match_as_a_plain_search_would(ranges, probe):
    text = "\n".join(f"10.0.0.{min(a, b)}-10.0.0.{max(a, b)}" for a, b in ranges)
    made = AddressList("x", *parse(text))
    plain = any(min(a, b) <= probe <= max(a, b) for a, b in ranges)
    assert (made.match(f"10.0.0.{probe}") is not None) == plain


def test_nearest_line():
    made = AddressList("x", *parse("127.0.0.1-127.0.0.5\n127.0.0.9\n127.0.0.10"))
    assert made.nearest("127.0.0.11").line == 3
    assert made.nearest("127.0.0.6").line == 1
    assert made.nearest("::1").line == 1, "of the other kind there is none"
    assert AddressList("x", [], []).nearest("127.0.0.1") is None


@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)).map(sorted), min_size=1, max_size=8),
    st.integers(0, 255),
)
def test_nearest_is_nearest(ranges, probe):
    made = AddressList("x", *parse("\n".join(f"10.0.0.{a}-10.0.0.{b}" for a, b in ranges)))
    if made.match(f"10.0.0.{probe}") is None:
        near = made.nearest(f"10.0.0.{probe}")
        assert min(abs((end & 255) - probe) for end in (near.first, near.last)) == min(
            abs(end - probe) for pair in ranges for end in pair
        )


def test_a_refusal_does_not_look_at_every_line():
    made = AddressList("x", *parse("\n".join(f"10.{i >> 8}.{i & 255}.1" for i in range(50_000))))
    began = time.process_time()
    for number in range(1000):
        assert made.nearest(f"172.16.{number >> 8}.{number & 255}").line == 50_000
    assert time.process_time() - began < 5, "all lines, a thousand times, are half a minute"


@pytest.fixture
def lists(tmp_path):
    said = []
    data, keep = tmp_path / "HTTPdata", tmp_path / "lists"
    data.mkdir()
    made = Lists(data, "http", keep, lambda *words: said.append(words))
    made.said, made.data, made.keep = said, data, keep
    return made


def ask(lists, address):
    current = lists.current()
    return current is None or current.match(address) is not None


def test_without_a_list_everybody_may(lists):
    assert ask(lists, "10.0.0.1")


def test_edits_take_effect_at_the_next_request(lists):
    (lists.data / "allow_IP.txt").write_text("10.0.0.1\n")
    assert ask(lists, "10.0.0.1") and not ask(lists, "10.0.0.2")
    (lists.data / "allow_IP.txt").write_text("10.0.0.2\n")
    assert not ask(lists, "10.0.0.1") and ask(lists, "10.0.0.2")
    (lists.data / "HTTP_allow_IP.txt").write_text("10.0.0.3\n")  # the server's own list wins
    assert ask(lists, "10.0.0.3") and not ask(lists, "10.0.0.2")
    (lists.data / "HTTP_allow_IP.txt").unlink()
    assert ask(lists, "10.0.0.2")
    (lists.data / "allow_IP.txt").unlink()
    assert ask(lists, "10.9.9.9")


def test_a_hundred_quick_edits_are_all_seen(lists):
    file = lists.data / "http_ALLOW_ip.txt"  # letter case does not matter, as it did not on Windows
    for turn in range(100):
        file.write_text(f"10.0.0.{turn % 2}\n")
        assert ask(lists, f"10.0.0.{turn % 2}") and not ask(lists, f"10.0.0.{1 - turn % 2}")


def test_a_settled_directory_costs_no_reading(lists, monkeypatch):
    (lists.data / "allow_IP.txt").write_text("10.0.0.1\n")
    past = time.time() - 10
    os.utime(lists.data / "allow_IP.txt", (past, past))
    os.utime(lists.data, (past, past))
    lists.current()
    monkeypatch.setattr("mv_iptel.library.access._read", lambda path: pytest.fail("read again"))
    assert ask(lists, "10.0.0.1")


def test_broken_lines_are_told_once(lists):
    (lists.data / "allow_IP.txt").write_text("10.0.0.1\nnonsense\n")
    for _ in range(3):
        assert ask(lists, "10.0.0.1") and not ask(lists, "10.0.0.2")
    assert [(kind, line) for kind, _, _, line in lists.said] == [("list-broken", 2)]
    assert lists.problems()[0][1] == 2


def test_a_list_without_a_valid_line_lists_nobody(lists):
    (lists.data / "allow_IP.txt").write_text("# nobody yet\n")
    assert not ask(lists, "10.0.0.1")
    assert "nobody" in lists.said[0][1]


def test_an_unreadable_list_keeps_the_last_good_one_also_after_a_restart(lists):
    file = lists.data / "allow_IP.txt"
    file.write_text("10.0.0.1\n")
    assert ask(lists, "10.0.0.1")
    file.unlink()
    file.mkdir()  # what root cannot read either
    assert ask(lists, "10.0.0.1") and not ask(lists, "10.0.0.2")
    assert [words[0] for words in lists.said] == ["list-lost"]
    assert lists.problems()
    again = Lists(lists.data, "http", lists.keep)
    assert ask(again, "10.0.0.1") and not ask(again, "10.0.0.2")
    file.rmdir()
    file.write_text("10.0.0.2\n")
    assert ask(lists, "10.0.0.2") and not ask(lists, "10.0.0.1")


def test_a_link_to_nowhere_is_a_list_that_cannot_be_read(lists):
    file = lists.data / "allow_IP.txt"
    file.write_text("10.0.0.1\n")
    assert ask(lists, "10.0.0.1")
    file.unlink()
    file.symlink_to("nowhere")
    assert ask(lists, "10.0.0.1") and not ask(lists, "10.0.0.2")


def test_many_lines_answer_fast_enough_to_be_asked_per_request():
    text = "\n".join(str(ipaddress.ip_address(0x0A000000 + 2 * n)) for n in range(20_000))
    made = AddressList("x", *parse(text))
    assert made.match("10.0.0.2").line == 2
    assert made.match("10.0.0.3") is None


def test_a_list_from_the_future_is_read_once(lists):
    """Another clock set its stamp: it was parsed again for every request."""
    path = lists.data / "HTTP_allow_IP.txt"
    path.write_text("10.0.0.1\n")
    os.utime(path, (time.time() + 86400,) * 2)
    os.utime(lists.data, (time.time() + 86400,) * 2)
    assert lists.current() is lists.current()


def test_a_fifo_with_the_name_of_a_list_holds_nobody_up(lists):
    os.mkfifo(lists.data / "HTTP_allow_IP.txt")
    assert lists.current().match("10.0.0.1") is None


def test_a_kept_copy_that_cannot_be_removed_refuses_nobody(lists):
    kept = lists.keep / "http_allow_IP.txt"
    kept.mkdir(parents=True)
    assert lists.current() is None
