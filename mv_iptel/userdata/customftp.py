"""The customer's own FTP server, as one who copies files there sees it.

A file goes up under another name and is renamed, so that nobody there ever reads half of one. A server that
forbids this gets the file under its own name; one that ran out of room does not, because that would cost it
the copy it has.
"""

from __future__ import annotations

import ftplib
import socket
import ssl
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mv_iptel.config import Config

TIMEOUT = 30.0  # seconds that one answer may take
# What ends a connection: the network, a server that speaks nonsense, and what cannot be sent at all
# (ftplib says so with a ValueError).
FAILURES = (*ftplib.all_errors, ValueError)


class Destination(NamedTuple):
    """Where copies go. `ca` is one more authority to trust (PeerCA), besides the system's."""

    host: str
    port: int
    folder: str
    user: str
    password: str
    tls: bool
    ca: Path | None = None

    @classmethod
    def of(cls, config: Config) -> Destination:
        """What `[BACKUP_SERVERS]` says; no CustomFTPHost means the primary file server."""
        keys = config.backup_servers
        return cls(
            keys.custom_ftp_host or keys.primary_ip,
            keys.custom_ftp_port,
            keys.custom_ftp_dir.strip(),
            keys.custom_ftp_uname or "anonymous",
            keys.custom_ftp_pwd,
            keys.custom_ftp_tls,
            keys.peer_ca,
        )

    def __repr__(self) -> str:
        return f"Destination({self.place!r}, {self.user!r}, ...)"

    @property
    def place(self) -> str:
        """Where this is, for people and for the record of what was sent."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}/{self.folder.lstrip('/')}"

    @property
    def head(self) -> str:
        """The first line of the record of what is there."""
        return f"# {self.place} {self.user}".replace("\n", " ")


class CustomFTP:
    """One destination. Connected or not; `send` wants it connected."""

    def __init__(self, to: Destination):
        self.to = to
        self._ftp: ftplib.FTP | None = None
        self._plainly = False  # it was seen to forbid the other name or the renaming

    def connect(self) -> None:
        """Log in and go to the folder, which is made where it is missing. Raises FAILURES."""
        # A greeting in some other alphabet must not end the session; utf-8 is needed only for our own words.
        plain = (self.to.user + self.to.password + self.to.folder).isascii()
        encoding = "latin-1" if plain else "utf-8"
        if self.to.tls:
            context = ssl.create_default_context()
            if self.to.ca is not None:
                context.load_verify_locations(self.to.ca)
            ftp: ftplib.FTP = _OverTLS(context=context, timeout=TIMEOUT, encoding=encoding)
        else:
            ftp = ftplib.FTP(timeout=TIMEOUT, encoding=encoding)  # noqa: S321 - what CustomFTPTLS=0 says
        self._ftp = ftp
        ftp.connect(self.to.host, self.to.port)
        ftp.login(self.to.user, self.to.password)  # over TLS ftplib secures the connection first
        if isinstance(ftp, ftplib.FTP_TLS):
            ftp.prot_p()
        _enter(ftp, self.to.folder)

    def send(self, name: str, content: IO[bytes]) -> str:
        """Bring one file there: "", or the server's words where it refuses this file.

        Raises FAILURES where the connection is of no use any more.
        """
        assert self._ftp is not None
        if not self._plainly:
            said = self._aside(self._ftp, name, content)
            if said[:3] not in {"550", "553"} and not said.startswith("rename"):
                return said  # it is there; or a reason that the other way would not mend
        said = self._store(self._ftp, name, content)
        if not said:
            self._plainly = True
        return said

    def _aside(self, ftp: ftplib.FTP, name: str, content: IO[bytes]) -> str:
        other = f"{name}.part"
        said = self._store(ftp, other, content)
        if said:
            return said
        try:
            ftp.rename(other, name)
        except ftplib.error_perm as error:
            try:
                ftp.delete(other)
            except ftplib.error_perm:
                pass  # such a server keeps one useless file of ours; the next one goes the other way
            return f"rename: {error}"
        return ""

    @staticmethod
    def _store(ftp: ftplib.FTP, name: str, content: IO[bytes]) -> str:
        content.seek(0)
        try:
            ftp.storbinary(f"STOR {name}", content, blocksize=65536)
        except (ftplib.error_perm, ftplib.error_temp) as error:
            if str(error).startswith("421"):
                raise  # it says good-bye
            return str(error)
        return ""

    def remove(self, name: str, when: float) -> str:
        """Nothing: the customer's copy stays."""
        return ""

    def quit(self) -> None:
        """Leave politely, if there still is anybody."""
        ftp, self._ftp = self._ftp, None
        if ftp is None:
            return
        try:
            if ftp.sock is not None:
                ftp.quit()
        except FAILURES:
            pass
        ftp.close()

    def drop(self) -> None:
        """Close without a word, after a failure."""
        ftp, self._ftp = self._ftp, None
        if ftp is not None:
            try:
                ftp.close()
            except OSError:
                pass

    def abort(self) -> None:
        """From another thread: whatever waits for the server's answer waits no longer."""
        sock = getattr(self._ftp, "sock", None)
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def words(self, error: BaseException | str) -> str:
        """A failure as one short printable line. A server may repeat what it was sent: no password in it."""
        if isinstance(error, ftplib.Error | str):
            text = str(error)
        elif isinstance(error, EOFError):
            text = "the connection was closed"
        else:
            text = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
            if isinstance(error, ssl.SSLCertVerificationError):
                text = f"its certificate is not trusted: {error.verify_message}"
        if self.to.password:
            text = text.replace(self.to.password, "...")
        return "".join(c if c.isprintable() else " " for c in text)[:160].strip() or type(error).__name__


class _OverTLS(ftplib.FTP_TLS):
    """Data connections resume the session of the control connection: vsftpd and others insist on it."""

    def ntransfercmd(self, cmd, rest=None):
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)  # noqa: S321 - encrypted right below
        session = self.sock.session  # type: ignore[union-attr]
        return self.context.wrap_socket(connection, server_hostname=self.host, session=session), size


def _enter(ftp: ftplib.FTP, folder: str) -> None:
    if not folder:
        return
    try:
        ftp.cwd(folder)
        return
    except ftplib.error_perm:
        pass  # then step by step, and what is missing is made
    if folder.startswith("/"):
        ftp.cwd("/")
    for part in filter(None, folder.split("/")):
        try:
            ftp.cwd(part)
        except ftplib.error_perm:
            ftp.mkd(part)
            ftp.cwd(part)
