"""The Authorization header: a name and a password out of what phones and browsers send."""

from __future__ import annotations

import binascii

from mv_iptel.library.answers import Login

MAX_CREDENTIALS = 1024  # octets of the header's value; a call server's address and a password have fifty


def read(value: bytes, channel: str) -> Login | None:
    """The login in the value of an Authorization header; None: there is none that is understood here.

    Only Basic (RFC 7617). Lenient in case, blanks and missing padding, because phones are; octets that are
    not UTF-8 count as Latin-1. Never raises, and never says what it read.
    """
    scheme, _, coded = value.replace(b"\t", b" ").partition(b" ")
    if scheme.lower() != b"basic" or len(value) > MAX_CREDENTIALS:
        return None
    coded = coded.strip(b" ").rstrip(b"=")
    try:
        data = binascii.a2b_base64(coded + b"=" * (-len(coded) % 4), strict_mode=True)
    except (binascii.Error, ValueError):
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    user, colon, password = text.partition(":")
    if not colon or any(ord(char) < 0x20 or ord(char) == 0x7F for char in text):
        return None
    return Login(user, password, channel)
