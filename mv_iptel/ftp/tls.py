"""TLS for FTP: pyOpenSSL contexts of TLS 1.2 and 1.3, from a certificate that may change on disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL

from mv_iptel.events import Event, Notice
from mv_iptel.files import states

SUITES = ":".join(
    f"ECDHE-{key}-{cipher}"
    for cipher in ("AES256-GCM-SHA384", "CHACHA20-POLY1305", "AES128-GCM-SHA256")
    for key in ("RSA", "ECDSA")
)


class CertificateError(Exception):
    """The certificate or its key cannot be used; the text says why and names the file."""


def make_context(cert_file: Path, key_file: Path) -> SSL.Context:
    """A context of one certificate. Raises `CertificateError`."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(SUITES.encode())
    # A client must not make us compute by asking for a new handshake within the old one.
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE)
    context.set_session_id(b"mv-iptel")  # clients resume the control connection's session for data
    for path in (cert_file, key_file):
        if not os.access(path, os.R_OK):
            what = "cannot be read" if path.exists() else "is not there"
            raise CertificateError(f"{path} {what}; make one with: mv-iptel certs server")
    try:
        context.use_certificate_chain_file(os.fspath(cert_file))
        # Not by its file: an encrypted key would ask for its password on the terminal.
        context.use_privatekey(serialization.load_pem_private_key(key_file.read_bytes(), None))
        context.check_privatekey()
    except SSL.Error as error:
        if "key values mismatch" in str(error):
            raise CertificateError(f"the key in {key_file} is not that of {cert_file}") from error
        raise CertificateError(f"{cert_file} with {key_file}: {reason(error)}") from error
    except (ValueError, TypeError, OSError, UnsupportedAlgorithm) as error:
        what = "is encrypted" if isinstance(error, TypeError) else "cannot be read"
        raise CertificateError(
            f"the key in {key_file} {what}; make one with: mv-iptel certs server"
        ) from error
    return context


class Contexts:
    """The context of the certificate that lies on the disk.

    Its files are looked at for each connection: two stats beside a handshake. A broken new pair keeps the
    old one in force and is told once.
    """

    def __init__(self, cert_file: Path, key_file: Path, publish: Callable[[Event], None]):
        self.files = (cert_file, key_file)
        self._publish = publish
        self._context: SSL.Context | None = None
        self._state: object = None
        self._error = ""

    def get(self) -> SSL.Context:
        """The context for the next session. Raises `CertificateError` if there never was a good one."""
        state = states(self.files)
        if state != self._state:
            self._state = state
            self._renew()
        if self._context is None:
            raise CertificateError(self._error)
        return self._context

    def _renew(self) -> None:
        first = self._context is None
        try:
            self._context = make_context(*self.files)
        except CertificateError as error:
            self._error = str(error)
            if not first:
                text = f"FTP: {error}; the certificate that was loaded before stays in use"
                self._publish(Notice("certificate", text, "error", source=os.fspath(self.files[0])))
        else:
            if not first:
                text = f"FTP: {self.files[0]} was replaced and is used from the next session on"
                self._publish(Notice("certificate", text, "info", source=os.fspath(self.files[0])))


def reason(error: SSL.Error) -> str:
    """Why the TLS library failed, in its own short words."""
    told = error.args[0] if error.args else ""
    if isinstance(told, list) and told:
        return str(told[-1][-1]) or "no reason given"
    return str(error.args[-1]) if error.args else "no reason given"
