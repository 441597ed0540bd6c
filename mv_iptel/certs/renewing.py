"""All certificates of a home, each renewed when it is time: by a timer, by the manager, by hand."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509

from mv_iptel.certs.making import authority, due, make_server, renew
from mv_iptel.certs.names import names_of
from mv_iptel.certs.places import Held, every
from mv_iptel.certs.reading import CertError, is_root, load_chain
from mv_iptel.certs.shape import Shape
from mv_iptel.userdata.disk import locked

if TYPE_CHECKING:
    from mv_iptel.config import Config, ManagerConfig
    from mv_iptel.home import Home


class Outcome(NamedTuple):
    """What became of one certificate: renewed, not due, or failed with a reason."""

    file: Path
    listeners: tuple[str, ...]
    result: str
    text: str
    ends: datetime | None = None


def renew_all(
    config: Config, manager: ManagerConfig, now: datetime | None = None, force: bool = False
) -> list[Outcome]:
    """Renew what is due. Raises OSError where the home's lock cannot be had.

    A certificate of another authority cannot be renewed here; it is `failed` once it is due, and so is one
    that a listener needs and that is not there.
    """
    now = now or datetime.now(UTC)
    home = config.home
    home.var.mkdir(parents=True, exist_ok=True)
    with locked(home.lock):
        found = [one for held in every(config, manager) if (one := _renewed(home, held, now, force))]
    return [*found, *_authority(home, now)]


def reissue(config: Config, manager: ManagerConfig, before: Iterable[x509.Certificate]) -> list[Path]:
    """New ones from a new authority for all that one of `before` signed. Raises CertError, OSError."""
    subjects = {one.subject for one in before}
    done = []
    for held in every(config, manager):
        if not held.pair.cert_file.exists():
            continue
        old = load_chain(held.pair.cert_file)[0]
        if old.issuer in subjects:
            make_server(
                config.home, names_of(old), *held.pair, keep_key=True, shape=Shape.of(old)
            )  # fmt: skip
            done.append(held.pair.cert_file)
    return done


def _renewed(home: Home, held: Held, now: datetime, force: bool) -> Outcome | None:
    cert_file, key_file = held.pair

    def told(result: str, text: str, one: x509.Certificate | None = None) -> Outcome:
        return Outcome(cert_file, held.listeners, result, text, one.not_valid_after_utc if one else None)

    if not cert_file.exists():
        if not held.used:
            return None
        return told("failed", f"{cert_file} is not there; run `mv-iptel certs server`, or import one")
    try:
        old = load_chain(cert_file)[0]
        if not force and not due(old, now):
            return told("not due", f"ends on {old.not_valid_after_utc:%Y-%m-%d}", old)
        new = renew(home, cert_file, key_file, now, force=True)
    except CertError as error:
        return told("failed", str(error))
    except OSError as error:
        return told("failed", f"{error.filename or cert_file}: {error.strerror or error}")
    assert new is not None
    if new.not_valid_after_utc <= old.not_valid_after_utc and not force:
        return told("failed", "it ends with its authority; `mv-iptel certs ca --renew` comes first", new)
    return told("renewed", f"ends on {new.not_valid_after_utc:%Y-%m-%d}", new)


def _authority(home: Home, now: datetime) -> list[Outcome]:
    """The authority is not renewed by itself, because phones have to fetch its new certificate."""
    try:
        own, _ = authority(home)
    except CertError:
        return []  # a home without one has certificates of others
    if not due(own, now):
        return []
    mend = "`mv-iptel certs ca --renew`" if is_root(own) else "`mv-iptel certs ca --request FILE`"
    text = f"the authority itself ends on {own.not_valid_after_utc:%Y-%m-%d}; {mend}"
    return [Outcome(home.ca_cert, ("authority",), "failed", text, own.not_valid_after_utc)]
