"""TLS for the phone ports: what each port offers, certificates that change on disk, failures in plain words.

One port alone may be old (DESIGN section 4): sets of 2004 to 2007 speak TLS 1.0, some of them with
suites that only authenticate. Everything else is TLS 1.2 and 1.3.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mv_iptel.config import HTTPS, Config, Pair
from mv_iptel.events import Event, Notice
from mv_iptel.files import states

SAY_AGAIN = 600.0  # seconds before the same client's failures are told again
REMEMBERED = 1024  # clients and kinds of failure that are told apart

TLS13 = ("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256")
MODERN = ("{}-AES256-GCM-SHA384", "{}-CHACHA20-POLY1305", "{}-AES128-GCM-SHA256")
OLD = ("AES128-SHA", "AES256-SHA")
AUTHENTICATE_ONLY = ("NULL-SHA",)

# Suites that today's library has no name for, and that old sets may still offer.
_OLD_NAMES = {
    0x0001: "NULL-MD5", 0x0002: "NULL-SHA", 0x0003: "EXP-RC4-MD5", 0x0004: "RC4-MD5", 0x0005: "RC4-SHA",
    0x0006: "EXP-RC2-CBC-MD5", 0x0008: "EXP-DES-CBC-SHA", 0x0009: "DES-CBC-SHA", 0x000A: "DES-CBC3-SHA",
    0x0016: "DHE-RSA-DES-CBC3-SHA", 0x002F: "AES128-SHA", 0x0033: "DHE-RSA-AES128-SHA", 0x0035: "AES256-SHA",
    0x0039: "DHE-RSA-AES256-SHA", 0x003B: "NULL-SHA256", 0x003C: "AES128-SHA256", 0x003D: "AES256-SHA256",
    0x009C: "AES128-GCM-SHA256", 0x009D: "AES256-GCM-SHA384", 0xC013: "ECDHE-RSA-AES128-SHA",
    0xC014: "ECDHE-RSA-AES256-SHA", 0xC02F: "ECDHE-RSA-AES128-GCM-SHA256",
    0xC030: "ECDHE-RSA-AES256-GCM-SHA384",
}  # fmt: skip
_NO_SUITE = {0x00FF, 0x5600}  # signals that travel as suites: RFC 5746, RFC 7507
_VERSIONS = {0x0300: "SSL 3", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}


class CertificateError(Exception):
    """The certificate or its key cannot be used; the text says why and names the file."""


class Policy(NamedTuple):
    """What a TLS port offers besides TLS 1.2 and 1.3."""

    iptel: bool = False  # TLS 1.0 and up with NULL-SHA: the client checks the server, nothing is secret
    legacy: bool = False  # TLS 1.0 and 1.1 with AES-CBC-SHA

    def __str__(self) -> str:
        modes = []
        if self.legacy:
            modes.append("AES-CBC-SHA")
        if self.iptel:
            modes.append("NULL-SHA, not encrypted")
        return f"TLS 1.0 to 1.3, also {', also '.join(modes)}" if modes else "TLS 1.2, 1.3"


def policy(https: HTTPS, port: int) -> Policy:
    """What `port` offers; only `HTTPSPort` is ever old."""
    return Policy(https.iptel, https.legacy_tls) if port == https.https_port else Policy()


def pair(config: Config, port: int) -> Pair:
    """The certificate that `port` shows: old sets may need another one than everybody else."""
    return config.pair("https" if port == config.https.https_port else "https-alt")


def announce(https: HTTPS, port: int, key: str = "RSA") -> dict[str, tuple[str, ...]]:
    """Protocol to suites that a port offers; `key` is the certificate's kind, RSA or ECDSA.

    The old suites need an RSA key. They stand under every protocol up to TLS 1.2.
    """
    offer = policy(https, port)
    old = (OLD if offer.legacy else ()) + (AUTHENTICATE_ONLY if offer.iptel else ())
    if key != "RSA":
        old = ()
    offered = {"TLSv1.2": (*(suite.format(f"ECDHE-{key}") for suite in MODERN), *old), "TLSv1.3": TLS13}
    return {"TLSv1.0": old, "TLSv1.1": old, **offered} if old else offered


def make_context(cert_file: Path, key_file: Path, offer: Policy) -> ssl.SSLContext:
    """A context for one policy. Raises `CertificateError`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # A client must not make us compute by asking for a new handshake within the old one.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    suites = [suite.format(f"ECDHE-{key}") for suite in MODERN for key in ("RSA", "ECDSA")]
    if offer.legacy or offer.iptel:
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        suites += (OLD if offer.legacy else ()) + (AUTHENTICATE_ONLY if offer.iptel else ())
        suites.append("@SECLEVEL=0")  # TLS 1.0 signs with MD5 and SHA-1
    else:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join(suites))
    for path in (cert_file, key_file):
        if not os.access(path, os.R_OK):
            what = "cannot be read" if path.exists() else "is not there"
            raise CertificateError(f"{path} {what}; make one with: mv-iptel certs server")
    try:
        # The empty password keeps an encrypted key from asking on the terminal.
        context.load_cert_chain(cert_file, key_file, password="")
    except (ssl.SSLError, OSError, ValueError) as error:
        if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
            raise CertificateError(f"the key in {key_file} is not that of {cert_file}") from error
        raise CertificateError(f"{cert_file} with {key_file}: {_reason(error)}") from error
    return context


class Contexts:
    """The contexts of all ports, from one certificate that may be replaced on disk at any time.

    Its files are looked at for each connection: two stats beside a handshake. A broken new pair keeps
    the old one in force and is told once.
    """

    def __init__(self, cert_file: Path, key_file: Path, publish: Callable[[Event], None]):
        self.files = (cert_file, key_file)
        self._publish = publish
        self.problem = ""  # why the pair on disk is not the one in use
        self._contexts: dict[Policy, ssl.SSLContext] = {}
        self._state: object = None

    def get(self, offer: Policy) -> ssl.SSLContext:
        """The context for the next connection. Raises `CertificateError` if there never was a good one."""
        state = states(self.files)
        if state != self._state:
            self._renew(state)
        context = self._contexts.get(offer)
        if context is None:
            context = self._contexts[offer] = make_context(*self.files, offer)
        return context

    def _renew(self, state: object) -> None:
        self._state = state
        if not self._contexts:
            return
        try:
            self._contexts = {offer: make_context(*self.files, offer) for offer in self._contexts}
        except CertificateError as error:
            self.problem = f"{error}; the certificate that was loaded before stays in use"
            self._publish(Notice("certificate", self.problem, "error", source=os.fspath(self.files[0])))
        else:
            self.problem = ""
            text = f"{self.files[0]} was replaced and is used from the next connection on"
            self._publish(Notice("certificate", text, "info", source=os.fspath(self.files[0])))


class Hello(NamedTuple):
    """What a client offered in its first message: the newest version, and its suites by name."""

    version: str
    suites: tuple[str, ...]


def read_hello(data: bytes) -> Hello | None:
    """The offer in the first octets of a TLS connection (RFC 5246, 7.4.1.2; RFC 8446, 4.1.2), or None.

    Only for the operator's eyes: the handshake itself is the TLS library's.
    """
    if len(data) < 46 or data[0] != 0x16 or data[5] != 1:
        return None
    newest = int.from_bytes(data[9:11], "big")
    at = 44 + data[43]  # behind the session id
    length = int.from_bytes(data[at : at + 2], "big")
    listed = data[at + 2 : at + 2 + length]
    codes = [int.from_bytes(listed[i : i + 2], "big") for i in range(0, len(listed) - 1, 2)]
    suites = tuple(
        _suite_names().get(code, f"0x{code:04X}")
        for code in codes
        if code not in _NO_SUITE and code & 0x0F0F != 0x0A0A  # RFC 8701: values that mean nothing
    )
    at += 2 + length
    at += 1 + (data[at] if at < len(data) else 0)  # compression methods
    at += 2
    while at + 4 <= len(data):
        kind, size = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
        if kind == 43:  # supported_versions
            versions = data[at + 5 : at + 4 + size]
            offered = [int.from_bytes(versions[i : i + 2], "big") for i in range(0, len(versions) - 1, 2)]
            newest = max([newest, *(v for v in offered if v in _VERSIONS)])
        at += 4 + size
    return Hello(_VERSIONS.get(newest, f"version 0x{newest:04X}"), suites)


_names: dict[int, str] = {}


def _suite_names() -> dict[int, str]:
    if not _names:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
        _names.update({suite["id"] & 0xFFFF: suite["name"] for suite in context.get_ciphers()})
        _names.update(_OLD_NAMES)
    return _names


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return str(error) or type(error).__name__


def explain(error: Exception, hello: Hello | None, offer: Policy) -> str:
    """Why a handshake failed and what would mend it, in plain words."""
    reason = (error.reason or "") if isinstance(error, ssl.SSLError) else ""
    if reason in ("NO_SHARED_CIPHER", "UNSUPPORTED_PROTOCOL", "VERSION_TOO_LOW", "WRONG_SSL_VERSION"):
        if hello is None:
            return f"no common protocol or suite ({reason.replace('_', ' ').lower()})"
        listed = ", ".join(hello.suites[:12]) + (", ..." if len(hello.suites) > 12 else "")
        what = "no shared cipher" if reason == "NO_SHARED_CIPHER" else "no common protocol"
        return f"{what}: the client offers {hello.version} with {listed or 'no suite'}; {_mend(hello, offer)}"
    if "UNKNOWN_CA" in reason or "BAD_CERTIFICATE" in reason or "CERTIFICATE_UNKNOWN" in reason:
        return (
            "the client does not trust this server's certificate "
            f"({reason.partition('ALERT_')[2].replace('_', ' ').lower()}): "
            "give it the authority's certificate by SET TRUSTCERTS, over plain HTTP"
        )
    if "CERTIFICATE_EXPIRED" in reason:
        return "the client says this server's certificate has expired: check its clock and the certificate"
    if "ALERT_HANDSHAKE_FAILURE" in reason or "ALERT_PROTOCOL_VERSION" in reason:
        return f"the client gave up: {_reason(error)}; {_mend(hello, offer)}"
    if isinstance(error, ConnectionError | ssl.SSLEOFError) or "EOF" in reason:
        return "the client closed within the handshake, as 16xx sets do; it may not accept the certificate"
    if isinstance(error, TimeoutError):
        return "the client did not finish the handshake in time"
    return f"the handshake failed: {_reason(error)}"


def _mend(hello: Hello | None, offer: Policy) -> str:
    if hello is None:
        return "see which versions the client speaks"
    if not offer.legacy and any(suite in OLD for suite in hello.suites):
        return "set LegacyTLS=1 and let the phone use HTTPSPort"
    if not offer.iptel and any(suite in AUTHENTICATE_ONLY for suite in hello.suites):
        return "set IPTel=1 and let the phone use HTTPSPort"
    if hello.version == "SSL 3":
        return "no maintained TLS library has SSL 3; serve this phone by HTTP"
    return "no maintained TLS library has these; serve this phone by HTTP"


class Failures:
    """Failed handshakes: counted all, told once per client and kind in `SAY_AGAIN` seconds.

    A 16xx set that cannot finish a handshake tries again and again; that is no attack, and no reason
    to fill a log.
    """

    def __init__(self, publish: Callable[[Event], None]):
        self.count = 0
        self._publish = publish
        self._said: dict[tuple[str, str], list[float]] = {}  # when it was told, failures since

    def tell(self, address: str, listener: str, text: str, now: float) -> None:
        """Count one failure of `address`; `now` is in monotonic seconds."""
        self.count += 1
        # What stands before the colon is the kind of failure; the rest may differ each time.
        place = (address, text.partition(":")[0])
        said = self._said.get(place)
        if said is not None and now - said[0] < SAY_AGAIN:
            said[1] += 1
            return
        more = f" ({said[1]:.0f} more since it was last told)" if said is not None and said[1] else ""
        if said is None and len(self._said) >= REMEMBERED:
            del self._said[next(iter(self._said))]
        self._said[place] = [now, 0]
        self._publish(Notice("tls-failed", f"{listener} to {address}: {text}{more}", peer=address))
