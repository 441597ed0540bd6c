"""Tells people and programs of an alert: by mail and by a call of the webhook, beside the watching."""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import smtplib
import socket
import ssl
import threading
import urllib.error
import urllib.request
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any, NamedTuple

from mv_iptel.config import WatchDogSettings
from mv_iptel.journal import plain

TIMEOUT = 15.0  # seconds for each step of a mail or a call
AGAIN = (15.0, 60.0)  # seconds before it is tried again
WAITING = 100  # messages; more are lost and logged: nobody reads so many

_log = logging.getLogger("mv-watchdog")


class Message(NamedTuple):
    """What is told: `event` is restart, alert, failed (the script) or over."""

    event: str
    time: float
    host: str
    home: str
    listener: str
    reason: str
    text: str

    @property
    def subject(self) -> str:
        """The mail's subject, one line."""
        what = {
            "over": "well again",
            "restart": f"{self.listener} {self.reason}, the alert script runs",
            "failed": "the alert script failed",
        }.get(self.event, f"{self.listener} {self.reason}" if self.listener != "all" else self.reason)
        return plain(f"mv-iptel on {self.host}: {what}", 200)


class Teller:
    """One thread that tells, in order. Trouble with it is logged and stops nobody."""

    def __init__(self, again: tuple[float, ...] = AGAIN, timeout: float = TIMEOUT):
        self._again = again
        self._timeout = timeout
        self._queue: queue.Queue[tuple[Message, WatchDogSettings] | None] = queue.Queue(WAITING)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="telling", daemon=True)
        self._thread.start()

    def tell(self, message: Message, settings: WatchDogSettings) -> None:
        """Tell it soon, by what the settings name."""
        if not settings.webhook_url and not (settings.mail_to and settings.smtp_server):
            return
        try:
            self._queue.put_nowait((message, settings))
        except queue.Full:
            _log.error("nobody is told of %s: too many messages wait", message.subject)

    def close(self, seconds: float = 3.0) -> None:
        """Tell what waits, but not for long."""
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)
        self._thread.join(seconds)
        self._ended.set()

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            message, settings = job
            for way in (call, mail):
                self._try(way, message, settings)

    def _try(self, way: Any, message: Message, settings: WatchDogSettings) -> None:
        for pause in (*self._again, None):
            try:
                way(message, settings, self._timeout)
                return
            except (OSError, smtplib.SMTPException, ValueError) as error:
                told = plain(str(error) or type(error).__name__, 200)
                _log.warning("%s of %r did not work: %s", way.__name__, message.subject, told)
            if pause is None or self._ended.wait(pause):
                return


class _Straight(urllib.request.HTTPRedirectHandler):
    """A call goes where the administrator wrote, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


def call(message: Message, settings: WatchDogSettings, timeout: float = TIMEOUT) -> None:
    """POST the message as JSON to WebhookURL. Raises OSError."""
    if not settings.webhook_url:
        return
    body = json.dumps(message._asdict() | {"subject": message.subject}).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "mv-watchdog"}
    request = urllib.request.Request(settings.webhook_url, body, headers, method="POST")  # noqa: S310
    with urllib.request.build_opener(_Straight).open(request, timeout=timeout) as answer:
        answer.read(4096)


def mail(message: Message, settings: WatchDogSettings, timeout: float = TIMEOUT) -> None:
    """Send it to everybody of MailTo. Raises OSError and SMTPException."""
    if not (settings.mail_to and settings.smtp_server):
        return
    letter = EmailMessage()
    letter["Subject"] = message.subject
    letter["From"] = plain(settings.mail_from or f"mv-watchdog@{socket.gethostname()}")
    letter["To"] = ", ".join(plain(one) for one in settings.mail_to)
    letter["Date"] = formatdate(message.time, localtime=True)
    letter["Message-ID"] = make_msgid("mv-watchdog")
    letter["Auto-Submitted"] = "auto-generated"
    facts = {"Listener": message.listener, "Reason": message.reason, "Host": message.host,
             "Home": message.home, "Time": formatdate(message.time, localtime=True)}  # fmt: skip
    letter.set_content(f"{message.text}\n\n" + "".join(f"{name}: {value}\n" for name, value in facts.items()))
    host, _, port = settings.smtp_server.partition(":") if settings.smtp_server.count(":") < 2 else (
        settings.smtp_server, "", "")  # fmt: skip
    with smtplib.SMTP(host, int(port or 25), timeout=timeout) as server:
        server.ehlo_or_helo_if_needed()
        if server.has_extn("starttls"):
            # As mail servers do among themselves: better than in the clear, and there is no secret in it.
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            server.starttls(context=context)
        server.send_message(letter)
