"""Passwords as they are kept: hashed by scrypt, or plain where an administrator wrote them so."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re

_COST, _BLOCK, _PARALLEL = 15, 8, 1  # 2**15 rounds of 1 KiB: 32 MiB and about a tenth of a second
_SALT, _HASH = 16, 32
_MOST = 256 << 20  # memory that a stored cost may ask for
_FORM = re.compile(
    r"scrypt:([0-9]{1,2}),([0-9]{1,2}),([0-9]{1,2}):([A-Za-z0-9+/=]{8,}):([A-Za-z0-9+/=]{16,})\Z"
)


def make(password: str) -> str:
    """What is kept of a password: `scrypt:COST,BLOCK,PARALLEL:SALT:HASH`. Slow on purpose."""
    salt = os.urandom(_SALT)
    parts = (salt, _hash(password, salt, _COST, _BLOCK, _PARALLEL, _HASH))
    texts = (base64.b64encode(part).decode() for part in parts)
    return ":".join((f"scrypt:{_COST},{_BLOCK},{_PARALLEL}", *texts))


def check(stored: str, password: str) -> bool:
    """Whether this is the password. Slow, where it is hashed: nothing for an event loop.

    An empty `stored` is nobody's password, and so is a `scrypt:` that cannot be read.
    """
    if not stored:
        return False
    if not stored.startswith("scrypt:"):
        return hmac.compare_digest(_octets(stored), _octets(password))
    parts = _parse(stored)
    if parts is None:
        return False
    cost, block, parallel, salt, kept = parts
    return hmac.compare_digest(kept, _hash(password, salt, cost, block, parallel, len(kept)))


def broken(stored: str) -> str:
    """What is wrong with a password as it is kept; empty: nothing."""
    if not stored:
        return "the password is empty"
    if stored.startswith("scrypt:") and _parse(stored) is None:
        return "scrypt: is not followed by COST,BLOCK,PARALLEL:SALT:HASH"
    return ""


def _parse(stored: str) -> tuple[int, int, int, bytes, bytes] | None:
    match = _FORM.match(stored)
    if match is None:
        return None
    cost, block, parallel = (int(match[at]) for at in (1, 2, 3))
    # A typing mistake must not take all memory, nor minutes.
    if not (1 <= cost <= 20 and block and 1 <= parallel <= 16 and (block << cost) * 128 <= _MOST):
        return None
    try:
        return (cost, block, parallel, *(base64.b64decode(match[at], validate=True) for at in (4, 5)))
    except binascii.Error:
        return None


def _hash(password: str, salt: bytes, cost: int, block: int, parallel: int, size: int) -> bytes:
    return hashlib.scrypt(
        _octets(password), salt=salt, n=1 << cost, r=block, p=parallel, dklen=size, maxmem=_MOST + (32 << 20)
    )


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # a header may have held any octets
