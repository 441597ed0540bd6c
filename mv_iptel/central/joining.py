"""Enrolment of a branch, by the one line that the centre printed (docs/central.md, Enrolment).

Nothing secret is sent before the centre's authority has shown the fingerprint that stands in the line. What
is written: the authority, token, certificate and key in `certs`, and the keys of `[BACKUP_SERVERS]`.
"""

from __future__ import annotations

import hashlib
import json
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mv_iptel import __version__, files
from mv_iptel.central.authority import fingerprint, folder, key_pem, pem
from mv_iptel.central.inviting import TOKEN, Invite
from mv_iptel.central.peers import Away, Link, Peer, Said, certificate_of, token_of
from mv_iptel.central.state import State
from mv_iptel.certs.reading import KEY_MODE
from mv_iptel.config import editing
from mv_iptel.userdata.disk import locked, write_record

if TYPE_CHECKING:
    from pathlib import Path

    from mv_iptel.config import Config
    from mv_iptel.home import Home

LARGEST = 64 << 10  # octets of an answer
ROLES = {"primary": ("UsePrimarySvr", "PrimaryIP", "PrimaryPort"),
         "secondary": ("UseSecondarySvr", "SecondaryIP", "SecondaryPort")}  # fmt: skip


class NotJoined(Exception):
    """Why it did not work and what to do, for people; no secret stands in it."""


class NobodyThere(NotJoined):
    """None of the invitation's addresses answers."""


class Joined(NamedTuple):
    """What came of it."""

    name: str  # what the centre calls this branch
    server: str  # what the centre calls itself
    peer: Peer
    generation: int


async def join(config: Config, invite: Invite, role: str = "primary") -> Joined:
    """Enrol, and write what the server needs to go on. Raises NotJoined, OSError."""
    peer, authority = await _find(config, invite, role)
    key_file = _key_file(config.home, invite)
    key = _key(key_file)
    told = {"token": invite.token, "csr": _request(key), "server": config.settings.server_name,
            "version": __version__}  # fmt: skip
    context = ssl.create_default_context(cadata=pem(authority))
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    link = Link(peer, config, context)
    try:
        data = json.dumps(told).encode()
        reply = await link.ask("POST", "/v1/join", {"Content-Type": "application/json"}, data, most=LARGEST)
        given = reply.json()
    except Away as away:
        raise NotJoined(f"{peer.place}: {away}") from None
    except Said as said:
        raise NotJoined(f"the central server refuses: {said}") from None
    finally:
        await link.close()
    name, token, certificate = (given.get(one) for one in ("name", "token", "certificate"))
    generation = given.get("generation")
    sound = isinstance(name, str) and isinstance(token, str) and TOKEN.fullmatch(token)
    if not sound or not isinstance(certificate, str) or not _fits(certificate, key):
        raise NotJoined(f"{peer.place} says yes, but not what a central server says then; is it up to date?")
    _write(config, peer, pem(authority), token, certificate, key)
    with suppress(OSError):
        key_file.unlink()
    state = State(config.home)
    state.forget(peer)
    state.learn(peer, name=_shown(name))
    (config.home.var / "queue" / f"central-{role}.sent").unlink(missing_ok=True)
    return Joined(_shown(name), _shown(str(given.get("server", ""))), peer,
                  generation if type(generation) is int else 0)  # fmt: skip


async def _find(config: Config, invite: Invite, role: str) -> tuple[Peer, x509.Certificate]:
    """The first of its addresses where the right authority is shown. Raises NotJoined."""
    why = []
    for address in invite.addresses:
        peer = Peer(role, address, invite.port)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the fingerprint shows who it is
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        link = Link(peer, config, context)
        try:
            reply = await link.ask("GET", "/v1/authority", most=LARGEST)
            found = x509.load_pem_x509_certificate(reply.body)
        except (Away, Said) as error:
            why.append(f"{peer.place}: {error}")
            continue
        except ValueError:
            raise NotJoined(f"what answers at {peer.place} is no central server") from None
        finally:
            await link.close()
        if fingerprint(found) != invite.authority:
            text = (
                f"{peer.place} shows another authority than the invitation names: somebody may stand between"
            )
            raise NotJoined(f"{text}. Nothing was sent; make sure of the address, or ask for a new line")
        return peer, found
    mend = f"Is the central server on, and port {invite.port} open from here?"
    other = "`central invite NAME --address A` there makes an invitation that names another address"
    raise NobodyThere(f"{'; '.join(why)}. {mend} {other}")


def _key_file(home: Home, invite: Invite) -> Path:
    """Where the key waits: if the answer is lost only the same key may come again."""
    return folder(home) / f"joining-{hashlib.sha256(invite.token.encode()).hexdigest()[:16]}.pem"


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    with suppress(OSError, ValueError, TypeError):
        found = serialization.load_pem_private_key(path.read_bytes(), None)
        if isinstance(found, ec.EllipticCurvePrivateKey):
            return found
    made = ec.generate_private_key(ec.SECP256R1())
    write_record(path, key_pem(made), 0o600)
    return made


def _request(key: ec.EllipticCurvePrivateKey) -> str:
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def _fits(certificate: str, key: ec.EllipticCurvePrivateKey) -> bool:
    try:
        return x509.load_pem_x509_certificate(certificate.encode()).public_key() == key.public_key()
    except ValueError:
        return False


def _shown(text: str) -> str:
    return "".join(one for one in text if one.isprintable())[:100]


def _write(
    config: Config, peer: Peer, authority: str, token: str, certificate: str, key: ec.EllipticCurvePrivateKey
) -> None:
    """Everything into its place; the ini last, so that it never names what is not there."""
    home, certs = config.home, config.home.certs
    other = "secondary" if peer.role == "primary" else "primary"
    write_record(certificate_of(home, peer), certificate.encode() + key_pem(key), KEY_MODE)
    write_record(certs / f"peer-ca-{peer.role}.pem", authority.encode(), 0o644)
    bundle = [authority]
    with suppress(FileNotFoundError):
        bundle.append((certs / f"peer-ca-{other}.pem").read_text("ascii"))
    write_record(certs / "peer-ca.pem", "".join(bundle).encode(), 0o644)
    use, address, port = ROLES[peer.role]
    theirs = token_of(config, Peer(other, "", 0)) if certificate_of(home, Peer(other, "", 0)).exists() else ""
    pair = (token, theirs) if peer.role == "primary" else (theirs or token, token)
    tokens = ",".join(filter(None, dict.fromkeys(pair))) + "\n"
    write_record(certs / "peer.token", tokens.encode(), KEY_MODE)
    values = {
        use: "1", address: peer.host, port: str(peer.port),
        "PeerCA": _relative(certs / "peer-ca.pem", home),
        "PeerToken": "@" + _relative(certs / "peer.token", home),
        "RequestUpdates": "1", "RequestBackup": "1",
    }  # fmt: skip
    with locked(home.lock):
        text = home.ini.read_text("utf-8", "surrogateescape")
        changed = editing.changed(text, {("BACKUP_SERVERS", name): value for name, value in values.items()})
        files.replace(home.ini, changed.encode("utf-8", "surrogateescape"), home.ini.stat().st_mode & 0o777)


def _relative(path: Path, home: Home) -> str:
    """As it stands in an ini: a home may be moved."""
    return path.relative_to(home.root).as_posix()
