"""The phone's half of FTP, byte for byte: in one piece, cut everywhere, refused, and nonsense."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mv_iptel.phones.ftp import MAX_LINE, Client

GREETING = b"220-Welcome\r\n220-to us\r\n 220 this line is none\r\n220 Ready\r\n"
PASSIVE = b"227 Entering passive mode (127,0,0,1,4,1).\r\n"


def play(client: Client, *replies: bytes) -> list[bytes]:
    """What the client says to each of these."""
    said = []
    for reply in replies:
        client.receive(reply)
        said.append(client.to_send())
    return said


def until_passive(client: Client, directory: bool = False) -> list[bytes]:
    folder = (b"250 ok\r\n",) if directory else ()
    replies = (GREETING, b"331 Password\r\n", b"230 In\r\n", *folder, b"200 Type\r\n", PASSIVE)
    return play(client, *replies)


def test_a_store():
    client = Client("4711_4620data.txt", True, "data")
    assert until_passive(client, True) == [
        b"USER anonymous\r\n", b"PASS phone\r\n", b"CWD data\r\n", b"TYPE I\r\n", b"PASV\r\n", b"",
    ]  # fmt: skip
    assert client.port == 1025 and not client.flowing
    client.connected()
    assert client.to_send() == b"STOR 4711_4620data.txt\r\n"
    client.receive(b"150 Go\r\n")
    assert client.flowing and not client.outcome
    client.drained()
    assert play(client, b"226 Done\r\n") == [b"QUIT\r\n"]
    assert (client.outcome, client.detail) == ("ok", "226 Done")


def test_a_restore_whose_226_comes_before_the_last_octets():
    client = Client("f", False)
    until_passive(client)
    client.connected()
    assert client.to_send() == b"RETR f\r\n"
    play(client, b"125 Go\r\n", b"226 Done\r\n")
    assert not client.outcome
    client.drained()
    assert client.outcome == "ok"


def test_a_server_that_wants_no_password():
    client = Client("f", True)
    said = play(client, b"220 x\r\n", b"230 In\r\n")
    assert said == [b"USER anonymous\r\n", b"TYPE I\r\n"]


def test_every_cut():
    whole = GREETING + b"331 x\r\n230 x\r\n200 x\r\n" + PASSIVE
    for at in range(1, len(whole)):
        client = Client("f", True)
        client.receive(whole[:at])
        client.receive(whole[at:])
        assert client.port == 1025
        assert client.to_send() == b"USER anonymous\r\nPASS phone\r\nTYPE I\r\nPASV\r\n"


REFUSALS = {
    "full": ([b"421 Too many\r\n"], "421 Too many"),
    "no anonymous": ([b"220 x\r\n", b"530 No\r\n"], "530 No"),
    "no directory": ([b"220 x\r\n", b"230 x\r\n", b"550 None\r\n"], "550 None"),
}


def test_refused_before_the_transfer():
    for replies, detail in REFUSALS.values():
        client = Client("f", True, "d")
        play(client, *replies)
        assert (client.outcome, client.detail) == ("refused", detail)


def test_refused_at_the_transfer():
    for early, detail in ((b"550 No", "550 No"), (b"452 Full\x1b[2J", "452 Full [2J")):
        client = Client("f", True)
        until_passive(client)
        client.connected()
        client.receive(early + b"\r\n")
        assert (client.outcome, client.detail) == ("refused", detail) and not client.flowing
    client = Client("f", True)
    until_passive(client)
    client.connected()
    play(client, b"150 Go\r\n", b"452 Full\r\n")
    assert (client.outcome, client.detail) == ("refused", "452 Full")


def test_a_word_out_of_turn_ends_it():
    client = Client("f", True)
    until_passive(client)
    client.receive(b"421 Idle\r\n")  # before the data connection stands
    assert client.outcome == "refused"
    client.connected()
    assert client.to_send() == b""


FAILURES = {
    "closed": [b"220 x\r\n", b""],
    "no FTP": [b"SSH-2.0\r\n"],
    "no port": [b"220 x\r\n230 x\r\n200 x\r\n227 somewhere\r\n"],
    "no end": [b"220-" + b"x" * MAX_LINE],
    "lines without end": [b"220-x\r\n" * 4000],
}


def test_failures():
    for name, replies in FAILURES.items():
        client = Client("f", True)
        for reply in replies:
            client.receive(reply)
        assert client.outcome == "failed", name
        assert client.detail


WORDS = [b"220 x\r\n", b"230 x\r\n", PASSIVE, b"150 x\r\n", b"226 x\r\n"]


@given(st.lists(st.binary(max_size=40) | st.sampled_from(WORDS)))
def test_nonsense_never_raises(pieces):
    client = Client("f", False)
    for piece in pieces:
        client.receive(piece)
        client.to_send()
        client.connected()
        client.drained()
    assert client.outcome in ("", "ok", "refused", "failed")
