"""The check of a pair's member: real downloads from a real server, and from sockets that do it wrong."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mv_iptel.home import CHECK_FILE, Home
from mv_iptel.standby import checking
from mv_iptel.standby.checking import Target, Unusable, check, targets

HOST = "127.0.0.1"
CONTENT = b"mv-iptel watchdog check file\n"


@contextmanager
def answers(*said: bytes, wait: bool = False) -> Iterator[int]:
    """A TCP listener that answers its clients so, one after the other; its port. `wait`: it says nothing."""
    with socket.create_server((HOST, 0)) as listener:
        ended = threading.Event()

        def serve() -> None:
            for text in said:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    client.recv(4096)
                    client.sendall(text)

        thread = threading.Thread(target=serve, daemon=True)
        if not wait:
            thread.start()
        yield listener.getsockname()[1]
        ended.set()


@contextmanager
def tftp(*said: bytes) -> Iterator[int]:
    """A TFTP server that answers one packet after the other with these."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
        here.bind((HOST, 0))

        def serve() -> None:
            for text in said:
                try:
                    _, sender = here.recvfrom(2048)
                    here.sendto(text, sender)
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield here.getsockname()[1]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / CHECK_FILE).write_bytes(CONTENT)
    return tmp_path


def http(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


def one(proto: str, port: int, *folders: object, limit: float = 5.0) -> checking.Result:
    return check([Target(proto, HOST, port, tuple(map(str, folders)))], limit)[0]


class TestHTTP:
    """What a listener may answer, and what that means."""

    @pytest.mark.parametrize(
        ("said", "good", "text"),
        [
            (http(CONTENT), True, ""),
            (b"HTTP/1.0 200 OK\n\n" + CONTENT, False, "no HTTP"),
            (http(CONTENT)[:-5], False, "ended after"),
            (http(b"other"), False, "is not the one"),
            (http(b"", b"404 Not Found"), False, "no mv_watchdog_check.txt"),
            (http(b"", b"503 Busy"), False, "answers 503"),
            (b"220 ready\r\n", False, "no HTTP"),
            (b"", False, "no HTTP"),
        ],
    )
    def test_is_held_against_the_disk(self, folder, said, good, text):
        with answers(said, said) as port:
            result = one("http", port, folder)
        assert (result.good, text in result.text) == (good, True)

    def test_the_file_may_lie_in_the_second_directory(self, folder, tmp_path_factory):
        with answers(http(CONTENT)) as port:
            assert one("http", port, tmp_path_factory.mktemp("empty"), folder).good

    def test_a_file_that_is_nowhere_is_told_and_no_failure(self, tmp_path):
        with answers(http(b"", b"404 Not Found")) as port:
            result = one("http", port, tmp_path)
        assert result.good
        assert "lies in" in result.text

    def test_one_written_anew_meanwhile_is_asked_for_again(self, folder):
        with answers(http(b"before"), http(CONTENT)) as port:
            assert one("http", port, folder).good

    def test_silence_ends_at_the_limit(self, folder):
        with answers(wait=True) as port:
            result = one("https", port, folder, limit=0.2)
        assert (result.good, result.text) == (False, "no answer in time")

    def test_nobody_listens(self, folder):
        with socket.create_server((HOST, 0)) as gone:
            port = gone.getsockname()[1]
        result = one("https", port, folder, limit=0.1)
        assert (result.good, result.text) == (False, "nobody listens")


class TestTFTP:
    """The same over TFTP."""

    def test_blocks_in_order(self, tmp_path):
        content = bytes(range(256)) * 2 + b"end"
        (tmp_path / CHECK_FILE).write_bytes(content)
        with tftp(
            b"\0\3\0\1" + content[:512], b"\0\3\0\1" + content[:512], b"\0\3\0\2" + content[512:]
        ) as port:
            # The repeated block is passed over; the next packet comes after a repeat of ours.
            assert one("tftp", port, tmp_path).good

    def test_refusals(self, folder):
        with tftp(b"\0\5\0\1No\0", b"\0\5\0\1No\0") as port:
            assert "says that there is no" in one("tftp", port, folder).text
        with tftp(b"\0\5\0\2No\0") as port:
            assert "error 2" in one("tftp", port, folder).text

    def test_silence_ends_at_the_limit(self, folder):
        with tftp() as port:
            assert not one("tftp", port, folder, limit=0.2).good


def test_the_first_bad_one_decides(folder):
    with answers(http(b"x"), http(b"x")) as port:
        bad = Target("http", HOST, port, (str(folder),))
        assert len(check([bad, bad], 5.0)) == 1


class TestTargets:
    """What is asked follows the ini, and outlives its mistakes."""

    def ini(self, tmp_path, text: str) -> Home:
        home = Home(tmp_path)
        home.bin.mkdir(parents=True, exist_ok=True)
        home.var.mkdir(parents=True, exist_ok=True)
        home.ini.write_text(text)
        return home

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("[HTTPS]\nRunHTTPS=1\nHTTPSPort=7411\n", [("https", 7411), ("tftp", 69)]),
            ("[HTTPS]\nRunHTTPS=0\n", [("http", 81), ("tftp", 69)]),
            ("[HTTPS]\nRunHTTPS=1\n[TFTP]\nRunTrivialFTP=0\n", [("https", 411)]),
        ],
    )
    def test_what_is_switched_on(self, tmp_path, text, found):
        assert [(one.proto, one.port) for one in targets(self.ini(tmp_path, text))] == found

    def test_nothing_on_is_nothing_to_ask(self, tmp_path):
        home = self.ini(tmp_path, "[HTTPS]\nRunHTTPS=0\n[HTTP]\nRunHTTP=0\n[TFTP]\nRunTrivialFTP=0\n")
        with pytest.raises(Unusable, match="switched off"):
            targets(home)

    def test_it_asks_at_the_address_that_the_server_has(self, tmp_path):
        home = self.ini(tmp_path, "[Settings]\nBindAddress=127.0.0.9\n")
        assert {one.host for one in targets(home)} == {"127.0.0.9"}

    def test_an_ini_with_mistakes_leaves_what_was(self, tmp_path):
        home = self.ini(tmp_path, "[HTTPS]\nRunHTTPS=1\n")
        known = targets(home)
        home.ini.write_text("[TFTP]\nTrivialFTPPort=many\n")
        assert targets(home) == known
        (home.var / "standby.json").write_text("{broken")
        with pytest.raises(Unusable, match="does not load"):
            targets(home)

    def test_a_changed_ini_is_read_again(self, tmp_path):
        home = self.ini(tmp_path, "[TFTP]\nTrivialFTPPort=70\n")
        assert targets(home)[-1].port == 70
        assert targets(home)[-1].port == 70  # as it was remembered
        home.ini.write_text("[TFTP]\nTrivialFTPPort=1069\n")
        assert targets(home)[-1].port == 1069

    @pytest.mark.parametrize("text", ["[]", '{"targets": [[1]]}', '{"targets": 3, "ini": 1}', "\xff"])
    def test_what_is_remembered_may_be_damaged(self, tmp_path, text):
        home = self.ini(tmp_path, "")
        (home.var / "standby.json").write_text(text)
        assert targets(home)[-1].port == 69


def test_main_speaks_by_its_exit_code(tmp_path, capsys):
    assert checking.main(["--home"]) == checking.UNKNOWN
    assert checking.main(["--nonsense", "1"]) == checking.UNKNOWN
    assert checking.main(["--home", str(tmp_path)]) == checking.UNKNOWN
    home = TestTargets().ini(tmp_path, "[HTTPS]\nRunHTTPS=0\n[HTTP]\nRunHTTP=0\n")
    with tftp(b"\0\3\0\1" + CONTENT) as port:
        home.ini.write_text(
            f"[HTTPS]\nRunHTTPS=0\n[HTTP]\nRunHTTP=0\n[TFTP]\nTrivialFTPPort={port}\nTFTPDir={tmp_path}\n"
        )
        (tmp_path / CHECK_FILE).write_bytes(CONTENT)
        assert checking.main(["--home", str(tmp_path)]) == checking.GOOD
    capsys.readouterr()
    assert checking.main(["--home", str(tmp_path), "--limit", "0.2"]) == checking.BAD
    assert capsys.readouterr().out.startswith("tftp ")
    assert json.loads((home.var / "standby.json").read_text())["targets"]
