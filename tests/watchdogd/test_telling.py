"""Mail and webhook: what is sent, to servers of this test; trouble with them stops nobody."""

from __future__ import annotations

import http.server
import json
import logging
import socket
import threading
from email import message_from_bytes
from email.policy import default

import pytest

from mv_iptel.config import WatchDogSettings, load_watchdog
from mv_iptel.config.editing import changed
from watchdogd.telling import Message, Teller, call, mail

MESSAGE = Message(
    "restart", 1000.5, "files", "/home/x", "http:81", "wedged", "it does not answer\x1b[2J\nat all"
)


@pytest.fixture
def settings(home):
    def make(**keys: object) -> WatchDogSettings:
        pairs = {("Settings", name): str(value) for name, value in keys.items()}
        home.watchdog_ini.write_text(changed(home.watchdog_ini.read_text(), pairs))
        return load_watchdog(home).settings

    return make


@pytest.fixture
def hook():
    """Its port, and what was posted; every path but /ok redirects."""
    got = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            got.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(200 if self.path == "/ok" else 307)
            self.send_header("Location", "/ok")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, got
        server.shutdown()


@pytest.fixture
def postman():
    """A mail server's port, and what it was told; it knows just enough for one mail."""
    heard = []
    with socket.create_server(("127.0.0.1", 0)) as sock:

        def serve():
            link, _ = sock.accept()
            with link, link.makefile("rb") as lines:
                link.sendall(b"220 here\r\n")
                body = False
                for line in lines:
                    heard.append(line)
                    if body:
                        body = line != b".\r\n"
                        if body:
                            continue
                    body = line.upper().startswith(b"DATA")
                    quits = line.upper().startswith(b"QUIT")
                    link.sendall(b"354 go on\r\n" if body else b"221 bye\r\n" if quits else b"250 good\r\n")
                    if quits:
                        return

        threading.Thread(target=serve, daemon=True).start()
        yield sock.getsockname()[1], heard


def test_a_call(settings, hook):
    port, got = hook
    call(MESSAGE, settings(WebhookURL=f"http://127.0.0.1:{port}/ok"))
    path, said = got[0]
    assert path == "/ok" and said["event"] == "restart" and said["text"] == MESSAGE.text
    assert said["subject"] == "mv-iptel on files: http:81 wedged, the alert script runs"
    with pytest.raises(OSError, match="307"):
        call(MESSAGE, settings(WebhookURL=f"http://127.0.0.1:{port}/elsewhere"))
    assert len(got) == 2  # nobody followed it


def test_a_mail(settings, postman):
    port, heard = postman
    mail(MESSAGE, settings(MailTo="a@example.org,b@example.org", MailFrom="w@example.org",
                           SMTPServer=f"127.0.0.1:{port}"))  # fmt: skip
    told = b"".join(heard)
    assert told.count(b"rcpt TO:") + told.count(b"RCPT TO:") == 2
    letter = message_from_bytes(
        told.partition(b"data\r\n")[2] or told.partition(b"DATA\r\n")[2], policy=default
    )
    assert letter["Subject"] == MESSAGE.subject and letter["From"] == "w@example.org"
    assert "Listener: http:81" in letter.get_content() and letter["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize(("event", "listener", "subject"), [
    ("alert", "all", "mv-iptel on files: wedged"), ("alert", "http:81", "mv-iptel on files: http:81 wedged"),
    ("over", "all", "mv-iptel on files: well again"),
    ("failed", "all", "mv-iptel on files: the alert script failed"),
])  # fmt: skip
def test_subjects(event, listener, subject):
    assert MESSAGE._replace(event=event, listener=listener).subject == subject
    assert "\n" not in MESSAGE._replace(event=event, host="a\nBcc: x").subject


def test_trouble_is_logged_and_stops_nobody(settings, hook, says, caplog):
    port, got = hook
    deaf = settings(MailTo="a@example.org", SMTPServer=f"127.0.0.1:{says(None)}",
                    WebhookURL=f"http://127.0.0.1:{port}/ok")  # fmt: skip
    teller = Teller(again=(0.0,), timeout=0.1)
    with caplog.at_level(logging.WARNING, "mv-watchdog"):
        teller.tell(MESSAGE, deaf)
        teller.tell(MESSAGE._replace(event="over"), deaf)
        teller.close(30)
    assert [one["event"] for _, one in got] == ["restart", "over"]
    assert sum("mail of" in one.message for one in caplog.records) == 4  # each tried twice


def test_nobody_is_to_be_told(settings):
    teller = Teller()
    teller.tell(MESSAGE, settings(MailTo="a@example.org"))  # no server to send it by
    teller.close(30)
