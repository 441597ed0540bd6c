"""Whom a branch asks, when it leaves somebody alone, and what it makes of answers."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from contextlib import suppress

import pytest

from mv_iptel import config as configuration
from mv_iptel.central import peers
from mv_iptel.central.peers import FIRST, LONGEST, Away, Link, Peer, Peers, Reply, Said, token_of, words
from tests.central.branch import Site, invitation
from tests.central.office import Office


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path / "oslo")
    made.set(backup_servers={
        "use_primary_svr": True, "primary_ip": "192.0.2.1", "primary_port": 1,
        "use_secondary_svr": True, "secondary_ip": "2001:db8::1", "secondary_port": 2,
        "update_interval": 3600.0, "peer_token": "one-token,two-token",
    })  # fmt: skip
    return made


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def first(peers: Peers, ask) -> object:
    async def work() -> object:
        return await peers.first(ask)

    return asyncio.run(work())


def test_the_primary_then_the_secondary_with_ever_longer_pauses(site):
    clock = Clock()
    peers = Peers(site.config, clock)
    primary, secondary = peers.all
    assert (primary.url, secondary.url) == ("https://192.0.2.1:1", "https://[2001:db8::1]:2")
    asked = []

    async def ask(link: Link) -> str:
        asked.append(link.peer.role)
        if link.peer is primary:
            raise Away("it sleeps")
        return "yes"

    assert first(peers, ask) == "yes"
    assert asked == ["primary", "secondary"]
    assert peers.current is secondary and peers.error == ""
    assert first(peers, ask) == "yes"
    assert asked[2:] == ["secondary"]  # the primary is left alone for a moment
    pauses = []
    for _ in range(12):
        peers.failed(primary, "no")
        pauses.append(peers._until[primary] - clock.now)
        clock.now += pauses[-1]
    assert FIRST / 2 <= pauses[0] <= 2 * FIRST
    assert LONGEST / 2 <= pauses[-1] <= LONGEST
    asked.clear()
    assert first(peers, ask) == "yes"
    assert asked == ["primary", "secondary"]


def test_with_nobody_there_the_reason_is_told(site):
    peers = Peers(site.config, Clock())

    async def ask(link: Link) -> str:
        raise Away(f"{link.peer.role} sleeps")

    with pytest.raises(Away, match="secondary sleeps"):
        first(peers, ask)
    assert peers.wait() > 0 and peers.usable() == []
    with pytest.raises(Away, match="secondary sleeps"):
        first(peers, ask)
    peers.hurry()
    assert len(peers.usable()) == 2


MENDED = {401: True, 403: True, 429: True, 503: True, 507: True, 404: False, 400: False}


@pytest.mark.parametrize(("status", "elsewhere"), MENDED.items())
def test_what_another_server_may_mend(site, status, elsewhere):
    peers = Peers(site.config, Clock())
    asked = []

    async def ask(link: Link) -> str:
        asked.append(link.peer.role)
        raise Said(status, "word", "text", 77.0)

    with pytest.raises(Said):
        first(peers, ask)
    assert len(asked) == (2 if elsewhere else 1)
    assert peers.wait() == (77.0 if elsewhere else 0.0)  # as long as Retry-After says


def test_each_has_its_own_token(site):
    primary, secondary = Peers(site.config).all
    assert (token_of(site.config, primary), token_of(site.config, secondary)) == ("one-token", "two-token")
    site.set(backup_servers={"peer_token": "same"})
    assert token_of(site.config, primary) == token_of(site.config, secondary) == "same"


def test_nobody_is_asked_where_nobody_is_named(tmp_path):
    peers = Peers(configuration.defaults(Site(tmp_path).home))
    assert peers.all == () and peers.wait() == LONGEST


@pytest.mark.parametrize("body", [b"", b"[]", b"nonsense", b"[" * 100_000, b"\xff"])
def test_an_answer_that_is_none(body):
    with pytest.raises(Away):
        Reply(200, {}, body).json()


def test_words_are_short_and_hold_no_secret():
    assert words(Away("plain")) == "plain"
    assert words(TimeoutError()) == "it does not answer in time"
    assert "refused" in words(ConnectionRefusedError(111, "Connection refused"))
    assert "(404)" in words(Said(404, "no-file", "there is none"))


def say(site: Site, answer: bytes, hold: float = 0.0) -> Exception:
    """What a link makes of a server that says so, over TLS with a certificate that is trusted."""
    with Office(site.home.root.parent / "office") as office:
        site.join(invitation(office))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(office.config.https.cert_file, office.config.https.key_file)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ended = threading.Event()

        def serve() -> None:
            while True:  # who is cut off without an answer may ask once more
                try:
                    raw, _ = listening.accept()
                except OSError:
                    return
                with suppress(OSError), context.wrap_socket(raw, server_side=True) as peer:
                    peer.recv(65536)
                    peer.sendall(answer)
                    ended.wait(hold)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()

        async def work() -> Reply:
            link = Link(Peer("primary", "127.0.0.1", listening.getsockname()[1]), site.config)
            try:
                return await link.ask("GET", "/v1/manifest", most=1000)
            finally:
                await link.close()

        with pytest.raises((Away, Said)) as told:
            asyncio.run(work())
        ended.set()
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    return told.value


def test_an_answer_that_never_ends(site, monkeypatch):
    monkeypatch.setattr(peers, "LONGEST_ANSWER", -59.5)
    told = say(site, b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nhalf", 30.0)
    assert type(told) is Away and "in time" in str(told)


REFUSAL = b'{"error":"quiet","text":"not\\u001b[2Jnow"}'
LENGTH = b"\r\nContent-Length: %d\r\n\r\n%s" % (len(REFUSAL), REFUSAL)


@pytest.mark.parametrize(
    ("answer", "kind", "after"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000, Away, None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nhalf", Away, None),
        (b"nonsense\r\n\r\n", Away, None),
        (b"", Away, None),
        (b"HTTP/1.1 302 Found\r\nLocation: https://192.0.2.9/\r\nContent-Length: 0\r\n\r\n", Away, None),
        (b"HTTP/1.1 503 No\r\nRetry-After: 9" + LENGTH, Said, 9),
        (b"HTTP/1.1 503 No\r\nRetry-After: 99999999999" + LENGTH, Said, 3600),
    ],
)  # fmt: skip
def test_strange_servers(site, answer, kind, after):
    told = say(site, answer)
    assert type(told) is kind
    assert str(told).isprintable() and len(str(told)) < 300
    if after is not None:
        assert told.after == after and told.elsewhere
