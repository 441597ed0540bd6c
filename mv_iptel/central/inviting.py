"""The line that enrols a branch: where the central server is, how to know it, and a token that works once."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field

from mv_iptel.addresses import address_of
from mv_iptel.certs import is_dns_name

COMMAND = "mv-iptel central join"
MARK = "mvc1:"
MOST_ADDRESSES = 8
LONGEST = 4096  # characters; a line of eight addresses has some 500

_SHA256 = re.compile(r"[0-9a-f]{64}")
TOKEN = re.compile(r"[A-Za-z0-9_-]{20,200}")


@dataclass(frozen=True)
class Invite:
    """What the line says. The token is a secret, so it is not in the repr."""

    addresses: tuple[str, ...]  # names or addresses of the central server, the best first
    port: int
    authority: str  # sha256, in hex, of its authority's certificate (DER)
    token: str = field(repr=False)

    @property
    def line(self) -> str:
        """The whole line, to be pasted at the branch."""
        told = {"a": list(self.addresses), "p": self.port, "f": self.authority, "t": self.token}
        data = json.dumps(told, separators=(",", ":")).encode()
        return f"{COMMAND} {MARK}{base64.urlsafe_b64encode(data).decode().rstrip('=')}"


def parse(text: str) -> Invite:
    """What a line says: whole or from `mvc1:` on, also when a mail has broken it into several.

    ValueError with a sentence for what is no such line; it never repeats the text, which holds a secret.
    """
    _, mark, data = text.strip().strip("\"'").rpartition(MARK)
    data = "".join(data.split())
    if not mark or not re.fullmatch(r"[A-Za-z0-9_-]+=*", data) or len(data) > LONGEST:
        raise ValueError(f"this is no invitation; paste the whole line that begins with {COMMAND} {MARK}")
    data = data.rstrip("=")
    try:
        told = json.loads(base64.urlsafe_b64decode(data + "=" * (-len(data) % 4)))
        addresses, port, authority, token = told["a"], told["p"], told["f"], told["t"]
    except (ValueError, binascii.Error, KeyError, TypeError, RecursionError):
        raise ValueError("this invitation is damaged; copy the whole line again") from None
    sound = (
        isinstance(addresses, list) and 0 < len(addresses) <= MOST_ADDRESSES and all(map(_is_host, addresses))
        and type(port) is int and 0 < port < 65536
        and isinstance(authority, str) and _SHA256.fullmatch(authority)
        and isinstance(token, str) and TOKEN.fullmatch(token)
    )  # fmt: skip
    if not sound:
        raise ValueError("this invitation says nothing that can be; ask for a new one at the central server")
    return Invite(tuple(addresses), port, authority, token)


def _is_host(text: object) -> bool:
    return isinstance(text, str) and (address_of(text) == text or is_dns_name(text))
