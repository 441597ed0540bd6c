"""Bytes to bytes: requests, options, both halves of a transfer over any network."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mv_iptel.library.answers import Reason
from mv_iptel.tftp.protocol import (
    REPLIES,
    Ask,
    Fetch,
    FromNetascii,
    Limits,
    ProtocolError,
    SourceLost,
    Terms,
    Transfer,
    agree,
    blocks_per_segment,
    cut,
    parse,
    request,
    to_netascii,
)
from tests.tftp.channel import Text, Weather, talk


def ack(block: int) -> bytes:
    return struct.pack(">HH", 4, block & 0xFFFF)


def data(block: int, payload: bytes) -> bytes:
    return struct.pack(">HH", 3, block & 0xFFFF) + payload


def transfer(content: bytes, terms: Terms | None = None, now: float = 0.0) -> Transfer:
    terms = terms or Terms()
    return Transfer(Text(content, terms.blksize), terms, now)


def options(**wanted: int) -> dict[str, bytes]:
    return {key: b"%d" % value for key, value in wanted.items()}


# Requests


@pytest.mark.parametrize(
    ("datagram", "ask"),
    [
        (b"\0\1a\0octet\0", Ask(b"a")),
        (b"\0\1a\0OcTeT\0", Ask(b"a")),
        (b"\0\1a b\\c\0netascii\0", Ask(b"a b\\c", "netascii")),
        (b"\0\2a\0octet\0", Ask(b"a", write=True)),
        (b"\0\1\xff\xfe\0octet\0", Ask(b"\xff\xfe")),
        (
            b"\0\1a\0octet\0BlkSize\x001428\0tsize\x000\0",
            Ask(b"a", options={"blksize": b"1428", "tsize": b"0"}),
        ),
        (b"\0\1a\0octet\0blksize\x00512\0blksize\x001024\0", Ask(b"a", options={"blksize": b"512"})),
        (b"\0\1a\0octet\0blksize\x00512\0tsi", Ask(b"a", options={"blksize": b"512"})),  # cut off
        (b"\0\1a\0octet\0blksize\x00512\0tsize\x000", Ask(b"a", options={"blksize": b"512"})),
        (b"\0\1a\0octet\0\0\0\xff\0\xff\0", Ask(b"a", options={"": b"", "ÿ": b"\xff"})),
    ],
)
def test_requests(datagram, ask):
    assert parse(datagram) == ask


@pytest.mark.parametrize(
    ("datagram", "silent"),
    [
        (b"", True),
        (b"\0", True),
        (b"\1", True),
        (b"\0\3\0\1data", True),
        (b"\0\4\0\1", True),
        (b"\0\5\0\0text\0", True),  # an ERROR is never answered
        (b"\0\6blksize\x00512\0", True),
        (b"\0\0a\0octet\0", False),
        (b"\0\7a\0octet\0", False),
        (b"\1\1a\0octet\0", False),
        (b"\xff\xff", False),
        (b"\0\1", False),
        (b"\0\1\0octet\0", False),
        (b"\0\1name", False),
        (b"\0\1name\0octet", False),
        (b"\0\1name\0mail\0", False),
        (b"\0\1name\0\0", False),
        (b"\0\1" + b"n" * 2048 + b"\0octet\0", False),
    ],
)
def test_what_is_no_request(datagram, silent):
    with pytest.raises(ProtocolError) as wrong:
        parse(datagram)
    assert wrong.value.silent is silent
    assert str(wrong.value).isprintable()


def test_options_without_end_cost_nothing():
    flood = b"\0\1a\0octet\0" + b"".join(b"o%d\x001\0" % n for n in range(300))
    assert len(parse(flood[:2048]).options) == 16


@given(st.binary(max_size=600) | st.binary(max_size=80).map(lambda tail: b"\0\1" + tail))
def test_any_bytes_end_in_a_request_or_an_error(datagram):
    try:
        ask = parse(datagram)
    except ProtocolError:
        return
    assert ask.name and b"\0" not in ask.name
    assert agree(ask, 1000, Limits()).blksize >= 8


@given(
    st.binary(min_size=1, max_size=40).filter(lambda name: b"\0" not in name),
    st.sampled_from(["octet", "netascii"]),
    st.dictionaries(st.sampled_from(["blksize", "tsize", "windowsize", "x"]), st.integers(0, 70000)),
)
def test_what_is_asked_is_what_is_read(name, mode, wanted):
    ask = Ask(name, mode, options(**wanted))
    assert parse(request(ask)) == ask


def test_a_request_cut_at_every_byte():
    whole = request(Ask(b"46xxupgrade.scr", options=options(blksize=1428, tsize=0)))
    for end in range(len(whole)):
        try:
            ask = parse(whole[:end])
        except ProtocolError:
            continue
        assert ask.name == b"46xxupgrade.scr"
        assert set(ask.options) <= {"blksize"}


# Options


@pytest.mark.parametrize(
    ("wanted", "oack"),
    [
        ({}, b""),
        ({"blksize": b"1428"}, b"\0\6blksize\x001428\0"),
        ({"blksize": b"65535"}, b"\0\6blksize\x0065464\0"),
        ({"blksize": b"8"}, b"\0\6blksize\x008\0"),
        ({"blksize": b"7"}, b""),
        ({"blksize": b"0"}, b""),
        ({"blksize": b"-5"}, b""),
        ({"blksize": b"abc"}, b""),
        ({"blksize": b""}, b""),
        ({"blksize": b"9" * 300}, b""),
        ({"blksize": "²".encode()}, b""),
        ({"windowsize": b"16"}, b"\0\6windowsize\x0016\0"),
        ({"windowsize": b"65535"}, b"\0\6windowsize\x0064\0"),
        ({"windowsize": b"65536"}, b""),
        ({"windowsize": b"0"}, b""),
        ({"timeout": b"3"}, b"\0\6timeout\x003\0"),
        ({"timeout": b"0"}, b""),
        ({"timeout": b"256"}, b""),
        ({"tsize": b"0"}, b"\0\6tsize\x005000\0"),
        ({"tsize": b"17"}, b""),
        ({"saveas": b"1", "multicast": b""}, b""),
        ({"saveas": b"1", "tsize": b"0", "blksize": b"x"}, b"\0\6tsize\x005000\0"),
    ],
)
def test_options_are_granted_or_left_out(wanted, oack):
    assert agree(Ask(b"a", options=wanted), 5000, Limits()).oack == oack


def test_options_within_the_configured_limits():
    terms = agree(Ask(b"a", options=options(blksize=4096, windowsize=32)), 5000, Limits(1024, 4))
    assert (terms.blksize, terms.window) == (1024, 4)
    assert terms.oack == b"\0\6blksize\x001024\0windowsize\x004\0"


def test_the_size_is_not_told_of_text_nor_of_nothing():
    assert not agree(Ask(b"a", "netascii", options(tsize=0)), 5000, Limits()).oack
    assert not agree(Ask(b"a", options=options(tsize=0)), 0, Limits()).oack


def test_every_reason_has_a_reply_and_says_only_the_phrase():
    assert set(REPLIES) == set(Reason)
    assert REPLIES[Reason.NO_FILE] == b"\0\5\0\1File not found\0"
    assert REPLIES[Reason.NO_FILE] == REPLIES[Reason.BAD_NAME] == REPLIES[Reason.NOT_ALLOWED]
    assert REPLIES[Reason.READ_ONLY] == REPLIES[Reason.NOT_LISTED] == b"\0\5\0\2Access violation\0"
    assert REPLIES[Reason.BAD_REQUEST] == b"\0\5\0\4Illegal TFTP operation\0"
    assert REPLIES[Reason.FAULT][:4] == b"\0\5\0\0"
    assert {reason for reason, packet in REPLIES.items() if packet is None} == {
        Reason.BANNED, Reason.BUSY, Reason.NO_SLOT}  # fmt: skip


# The server's half


def test_lock_step():
    sending = transfer(b"x" * 1000)
    assert sending.to_send() == [data(1, b"x" * 512)]
    assert sending.to_send() == []
    assert sending.receive(ack(1), 0.1)
    assert sending.to_send() == [data(2, b"x" * 488)]
    assert sending.sent == 1000 and not sending.outcome
    assert sending.receive(ack(2), 0.2)
    assert (sending.outcome, sending.to_send(), sending.resends) == ("ok", [], 0)


@pytest.mark.parametrize(
    ("size", "blocks"), [(0, 1), (1, 1), (511, 1), (512, 2), (513, 2), (32768, 65), (65536, 129)]
)
def test_every_file_ends_in_a_short_block(size, blocks):
    sending = transfer(b"y" * size)
    packets = []
    for block in range(1, blocks + 1):
        assert not sending.outcome
        packets += sending.to_send()
        sending.receive(ack(block), 0.0)
    assert sending.outcome == "ok"
    assert len(packets) == blocks and len(packets[-1]) == 4 + size % 512
    assert sending.sent == size


def test_an_echo_of_an_ack_sends_nothing():
    sending = transfer(b"x" * 5000)
    sending.to_send()
    sending.receive(ack(1), 0.0)
    assert len(sending.to_send()) == 1
    for _ in range(5):
        assert not sending.receive(ack(1), 0.01)
        assert not sending.receive(ack(0), 0.01)
        assert not sending.receive(ack(7), 0.01)  # of what was never sent
        assert sending.to_send() == []
    sending.receive(ack(2), 0.02)
    assert sending.to_send() == [data(3, b"x" * 512)]


def test_an_ack_repeated_by_the_clients_timer_is_answered_once_a_timeout():
    sending = transfer(b"x" * 5000)
    sending.to_send()
    sending.receive(ack(1), 0.0)
    sending.to_send()
    sending.tick(1.0)
    assert sending.to_send() == [data(2, b"x" * 512)]
    sending.receive(ack(1), 1.5)
    assert sending.to_send() == []
    sending.receive(ack(1), 2.0)
    assert sending.to_send() == [data(2, b"x" * 512)]
    sending.receive(ack(1), 2.5)
    assert sending.to_send() == []
    assert sending.deadline == 3.0  # the client's timer does not put off ours, or a mute one lived for ever
    assert sending.resends == 2


def test_an_unanswered_first_packet_is_sent_three_times_in_all():
    for terms in (Terms(), Terms(oack=b"\0\6tsize\x009\0")):
        sending = transfer(b"x" * 9, terms)
        sent = [sending.to_send()]
        for now in (1.0, 3.0, 7.0):
            assert sending.deadline == now
            sending.tick(now)
            sent.append(sending.to_send())
        assert sent[0] == sent[1] == sent[2] and len(sent[0]) == 1 and sent[3] == []
        assert sending.outcome == "timeout"


def test_later_packets_are_repeated_with_growing_patience():
    sending = transfer(b"x" * 5000)
    sending.to_send()
    sending.receive(ack(1), 0.0)
    sending.to_send()
    waits, now = [], 0.0
    while not sending.outcome:
        waits.append(sending.deadline - now)
        now = sending.deadline
        sending.tick(now)
        sending.to_send()
    assert waits == [1, 2, 4, 8, 8, 8]
    assert (sending.outcome, sending.resends, sending.sent) == ("timeout", 5, 1024)


def test_the_timeout_option_counts_once_the_client_has_shown_itself():
    """A forged request for 255 seconds held its socket for a quarter of an hour."""
    terms = agree(Ask(b"a", options=options(timeout=40)), 10, Limits())
    sending = transfer(b"x" * 2000, terms)
    assert sending.deadline == 8.0
    sending.receive(ack(0), 0.0)
    assert sending.deadline == 40.0
    forged, now = transfer(b"x" * 2000, Terms(timeout=255.0, oack=b"o")), 0.0
    while not forged.outcome:
        now = forged.deadline
        forged.tick(now)
    assert forged.outcome == "timeout" and now == 24.0


def test_a_missing_last_ack_is_told_apart():
    sending = transfer(b"x" * 600)
    sending.to_send()
    sending.receive(ack(1), 0.0)
    sending.to_send()
    while not sending.outcome:
        sending.tick(sending.deadline)
        sending.to_send()
    assert (sending.outcome, sending.sent) == ("timeout", 600)
    assert "last ACK" in sending.why


def test_the_clients_error_ends_it():
    sending = transfer(b"x" * 600)
    sending.to_send()
    sending.receive(b"\0\5\0\3disk\nfull\0", 0.0)
    assert sending.outcome == "aborted" and sending.why == r"client says 3: disk\nfull"
    assert sending.to_send() == []


@given(st.lists(st.binary(max_size=12), max_size=20))
def test_garbage_moves_nothing(datagrams):
    sending = transfer(b"x" * 5000, Terms(window=4, oack=b"\0\6windowsize\x004\0"))
    assert len(sending.to_send()) == 1
    for datagram in datagrams:
        if datagram[:2] in (b"\0\4", b"\0\5"):
            continue
        assert not sending.receive(datagram, 0.0)
        assert sending.to_send() == [] and not sending.outcome


def test_no_window_before_the_oack_is_answered():
    sending = transfer(b"x" * 5000, Terms(window=4, oack=b"\0\6windowsize\x004\0"))
    assert sending.to_send() == [b"\0\6windowsize\x004\0"]
    assert not sending.receive(ack(1), 0.0)
    sending.again(0.5)
    assert sending.to_send() == [b"\0\6windowsize\x004\0"]
    assert sending.receive(ack(0), 0.6)
    assert [packet[3] for packet in sending.to_send()] == [1, 2, 3, 4]


def test_a_flood_of_repeated_requests_draws_one_packet():
    sending = transfer(b"x" * 5000, Terms())
    assert len(sending.to_send()) == 1
    for step in range(1, 20):
        sending.again(step * 0.01)
        assert sending.to_send() == []
    sending.again(0.3)
    assert len(sending.to_send()) == 1


def test_a_window_goes_on_where_the_client_is():
    sending = transfer(b"x" * 5000, Terms(window=4, oack=b"\0\6windowsize\x004\0"))
    sending.to_send()
    sending.receive(ack(0), 0.0)
    sending.to_send()
    sending.receive(ack(2), 0.0)  # 3 was lost
    assert [packet[3] for packet in sending.to_send()] == [3, 4, 5, 6]
    sending.receive(ack(2), 0.0)  # said again for 5 and 6
    assert sending.to_send() == []
    sending.receive(ack(6), 0.0)
    assert [packet[3] for packet in sending.to_send()] == [7, 8, 9, 10]
    sending.tick(1.0)
    assert [packet[3] for packet in sending.to_send()] == [7, 8, 9, 10]
    sending.receive(ack(10), 1.1)
    assert sending.outcome == "ok"


@pytest.mark.parametrize("window", [1, 3, 64])
@pytest.mark.parametrize("size", [65535 * 8 - 1, 65535 * 8, 65536 * 8, 65537 * 8 + 3, 2 * 65536 * 8])
def test_block_numbers_wrap_to_zero(window, size):
    content = bytes(range(251)) * (size // 251 + 1)
    content = content[:size]
    terms = Terms(blksize=8, window=window, oack=b"\0\6blksize\x008\0")
    sending = transfer(content, terms)
    assert sending.to_send() == [terms.oack]
    sending.receive(ack(0), 0.0)
    got, block = [], 0
    while not sending.outcome:
        for packet in sending.to_send():
            block += 1
            assert packet[:4] == data(block, b"")
            got.append(packet[4:])
        assert sending.receive(ack(block), 0.0)
    assert b"".join(got) == content and block == size // 8 + 1


def test_a_changed_file_ends_in_an_error():
    class Lost(Text):
        def segment(self, index):
            if index:
                raise SourceLost("it was changed")
            return super().segment(index)

    sending = Transfer(Lost(b"x" * 100_000, 512), Terms(), 0.0)
    last = []
    for block in range(1, 66):
        last = sending.to_send()
        sending.receive(ack(block), 0.0)
    assert last == [b"\0\5\0\0Not defined\0"]
    assert (sending.outcome, sending.why) == ("failed", "it was changed")


@given(st.integers(8, 65464), st.integers(1, 200_000))
@settings(max_examples=60)
def test_a_cut_file_is_the_file(blksize, size):
    count = blocks_per_segment(blksize)
    content = bytes(size)
    source, got, index = Text(content, blksize), 0, 0
    while True:
        segment = source.segment(index)
        assert len(segment.packets) == len(segment.acks) <= count
        for place, (packet, answer) in enumerate(zip(segment.packets, segment.acks, strict=True)):
            block = index * count + place + 1
            assert packet[:4] == data(block, b"") and answer == ack(block)
            got += len(packet) - 4
        if segment.final:
            break
        assert len(segment.packets) == count
        index += 1
    assert got == size


def test_the_final_piece_may_be_empty():
    assert cut(b"", 65, 512, True).packets == [data(65, b"")]


# netascii


def test_netascii():
    assert to_netascii(b"a\nb\rc\r\nd") == b"a\r\nb\r\0c\r\0\r\nd"


@given(st.lists(st.binary(max_size=6) | st.sampled_from([b"\r", b"\n", b"\r\n", b"\0"]), max_size=20))
def test_netascii_there_and_back_in_any_pieces(pieces):
    content = b"".join(pieces)
    assert b"".join(map(to_netascii, pieces)) == to_netascii(content)
    back, wire = FromNetascii(), to_netascii(content)
    third = len(wire) // 3
    parts = [wire[:third], wire[third : 2 * third], wire[2 * third :]]
    assert (
        b"".join(back.feed(part, part is parts[-1]) for part in parts[:2]) + back.feed(parts[2], True)
        == content
    )


# The client's half


def test_a_fetch_without_options():
    fetch = Fetch(Ask(b"a"), 0.0)
    assert fetch.to_send() == [b"\0\1a\0octet\0"]
    fetch.receive(data(1, b"x" * 512), 0.1)
    assert (fetch.to_send(), fetch.answered, fetch.outcome) == ([ack(1)], True, "")
    fetch.receive(data(1, b"x" * 512), 0.1)
    assert fetch.to_send() == [ack(1)]  # ours was lost, perhaps
    fetch.receive(data(2, b"y"), 0.1)
    assert (fetch.to_send(), fetch.outcome, fetch.read()) == ([ack(2)], "ok", b"x" * 512 + b"y")
    fetch.receive(data(2, b"y"), 0.2)
    assert (fetch.to_send(), fetch.read()) == ([ack(2)], b"")


def test_a_fetch_repeats_itself_each_second_and_gives_up():
    fetch = Fetch(Ask(b"a"), 0.0, retries=3)
    said = fetch.to_send()
    while not fetch.outcome:
        fetch.tick(fetch.deadline)
        said += fetch.to_send()
    assert (len(said), fetch.outcome, fetch.deadline) == (4, "timeout", 4.0)


def test_a_fetch_in_windows_says_once_where_it_is():
    fetch = Fetch(Ask(b"a", options=options(windowsize=4)), 0.0)
    fetch.to_send()
    fetch.receive(b"\0\6windowsize\x004\0", 0.0)
    assert fetch.to_send() == [ack(0)]

    def hear(*blocks: int) -> list[bytes]:
        for block in blocks:
            fetch.receive(data(block, b"x" * 512), 0.0)
        return fetch.to_send()

    assert hear(1, 2, 3, 4) == [ack(4)]
    assert hear(5, 6, 5, 6) == []  # echoes within the window
    assert hear(8, 9) == [ack(6)]  # 7 was lost
    assert hear(7, 8, 9, 10) == [ack(10)]
    assert hear(7, 8, 9, 10) == [ack(10)]  # our ACK was lost


def test_a_refused_fetch():
    fetch = Fetch(Ask(b"a"), 0.0)
    fetch.receive(b"\0\5\0\1File not found\0", 0.1)
    assert (fetch.outcome, fetch.error) == ("refused", (1, "File not found"))


@pytest.mark.parametrize(
    "oack",
    [b"tsize\x009\0", b"blksize\x001429\0", b"blksize\x00x\0", b"blksize\x000\0", b"windowsize\x009\0"],
)
def test_a_fetch_refuses_what_it_did_not_ask_for(oack):
    fetch = Fetch(Ask(b"a", options=options(blksize=1428)), 0.0)
    fetch.to_send()
    fetch.receive(b"\0\6" + oack, 0.1)
    assert fetch.outcome == "failed" and fetch.why
    assert fetch.to_send() == [b"\0\5\0\x08Option refused\0"]


def test_a_block_longer_than_agreed_is_no_block():
    fetch = Fetch(Ask(b"a"), 0.0)
    fetch.receive(data(1, b"x" * 513), 0.1)
    assert fetch.outcome == "failed"


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_a_fetch_survives_anything(datagrams):
    fetch = Fetch(Ask(b"a", options=options(blksize=1428, windowsize=4)), 0.0)
    for now, datagram in enumerate(datagrams):
        fetch.receive(datagram, float(now))
        fetch.tick(float(now))
        fetch.to_send()
        fetch.read()


# Both, over a network

SIZES = st.sampled_from([0, 1, 511, 512, 513, 1024, 4 * 512]) | st.integers(0, 6000)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "blksize": st.sampled_from([8, 16, 511, 512, 1428]),
        "windowsize": st.integers(1, 20),
        "tsize": st.just(0),
        "unknown": st.just(1),
    },
)
MODES = st.sampled_from(["octet", "netascii"])


@given(SIZES, OPTIONS, MODES, st.integers(0, 1 << 32))
@settings(max_examples=60)
def test_a_good_network_needs_each_packet_once(size, wanted, mode, seed):
    content = (b"a\nbc\r" * 1200)[:size]  # seven octets on the wire: edges fall everywhere
    done = talk(content, Ask(b"f", mode, options(**wanted)), Weather(delay=0.0), seed)
    assert done.data == content
    assert (done.fetch.outcome, done.transfer.outcome, done.transfer.resends) == ("ok", "ok", 0)
    assert done.fetch.repeats == 0
    assert len(done.said) == len(set(done.said))


@given(SIZES, OPTIONS, MODES, st.floats(0, 0.25), st.floats(0, 0.3), st.integers(0, 1 << 32))
@settings(max_examples=150)
def test_a_bad_network_changes_no_byte(size, wanted, mode, lose, double, seed):
    content = (b"a\nbc\r" * 1200)[:size]  # seven octets on the wire: edges fall everywhere
    done = talk(content, Ask(b"f", mode, options(**wanted)), Weather(lose, double, 0.1), seed)
    assert done.fetch.outcome in ("ok", "timeout")
    if done.fetch.outcome == "ok":
        assert done.data == content
    if done.transfer is not None:
        assert done.transfer.outcome in ("ok", "timeout")
        if done.transfer.outcome == "ok":
            assert done.fetch.outcome == "ok"


@given(SIZES, st.sampled_from([{}, {"blksize": 16}]), st.floats(0, 0.9), st.integers(0, 1 << 32))
@settings(max_examples=60)
def test_echoes_do_not_multiply(size, wanted, double, seed):
    """However much the network doubles and reorders, each block leaves once (RFC 1123, 4.2.3.1)."""
    done = talk(bytes(size), Ask(b"f", options=options(**wanted)), Weather(0.0, double, 0.3), seed)
    assert (done.fetch.outcome, done.transfer.outcome, done.data) == ("ok", "ok", bytes(size))
    blocks = [packet for packet in done.said if packet[1] == 3 and packet[2:4] != b"\0\1"]
    assert len(blocks) == len(set(blocks))


def test_five_in_a_hundred_lost_each_way_still_arrive():
    for seed in range(30):
        done = talk(bytes(64 << 10), Ask(b"f"), Weather(0.05, 0.05, 0.02), seed)
        assert (done.fetch.outcome, len(done.data)) == ("ok", 64 << 10), seed
