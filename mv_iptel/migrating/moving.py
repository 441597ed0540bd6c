"""A move: first the plan, which only reads, then the home that it leads to."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from mv_iptel import certs, config, files, heartbeat, init
from mv_iptel.config import ConfigError, Finding, lines
from mv_iptel.home import CHECK_FILE, Home, shipped
from mv_iptel.library import access
from mv_iptel.migrating import contents, inis, trees
from mv_iptel.migrating.copying import INI, Copier
from mv_iptel.migrating.inis import New, Place, Taken
from mv_iptel.migrating.old import Old, place
from mv_iptel.migrating.report import CHANGED, DECIDE, TAKEN, Row, about
from mv_iptel.phones import told
from mv_iptel.phones.served import Served

SPARE = 64 << 20  # octets that stay free on the disk


class Cert(NamedTuple):
    """The old certificate and key, usable here."""

    cert_file: Path
    key_file: Path


@dataclass
class Plan:
    """What a move would do, and every row that is known before it."""

    old: Old
    home: Home
    trees: dict[Path, Path]
    found: trees.Found
    server: Taken
    watchdog: Taken | None
    cert: Cert | None
    pair: heartbeat.HeartBeat | None
    rows: list[Row] = field(default_factory=list)

    @property
    def octets(self) -> int:
        """What is to be copied."""
        return sum(one.size for one in (*self.found.copies, *self.found.data))


class Done(NamedTuple):
    """What a move did."""

    copied: int
    same: int
    octets: int
    users: int  # current files of user data
    archived: int
    rows: list[Row]


# --- the plan -------------------------------------------------------------------------------------------


def plan(old: Old, home: Home, own: Sequence[str] = (), now: datetime | None = None) -> Plan:
    """Everything that can be known without writing. `own` are the names and addresses of this host."""
    written = _written(old.ini, home)
    places, news = trees.targets(old, home, written)
    more, rows = trees.others(old, places, home)
    users = place(old, written.get(("FTP", "FTPDir"), "MV_IPTel/data/FTPdata"))
    found = trees.survey({**places, **more}, [users.resolve()] if users else [])
    cert = _certificate(old, written, news, now or datetime.now(UTC))
    server = inis.server(home, old.ini, news, _password(home))
    for target, new in news.items():  # also what the old file left to its defaults
        if new.value is not None:
            server.values.setdefault(target, new.value)
    watchdog = inis.watchdog(home, old.watchdog_ini) if old.watchdog_ini else None
    done = Plan(old, home, places, found, server, watchdog, cert, _pair(old, rows))
    done.rows = [*server.rows, *(watchdog.rows if watchdog else ()), *rows, *found.rows, *_others(done)]
    done.rows += [*_lists(found), *_addresses(done, own)]
    return done


def _written(file: Path, home: Home) -> dict[Place, str]:
    """The paths as the old ini has them."""
    known = {(section.lower(), key.lower()): (section, key) for section, key in inis.PATHS}
    found: dict[Place, str] = {}
    for item in lines.read(file.read_bytes()[: lines.MAX_BYTES]):
        if isinstance(item, lines.Entry) and (name := known.get((item.section.lower(), item.key.lower()))):
            found[name] = item.value.strip()
    return found


def _password(home: Home) -> str:
    """The made-up one that the home has; before there is a home, a word for it."""
    try:
        return config.load(home).ftp.su_password or "(made up)"
    except ConfigError:
        return "(made up)"


def _certificate(old: Old, written: dict[Place, str], news: dict[Place, New], now: datetime) -> Cert | None:
    names = ("HTTPS", "CertFile"), ("HTTPS", "KeyFile")
    standard = ("IPTelcert.pem", "IPTelkey.pem")
    paths = [
        place(old, written.get(name) or f"MV_IPTel/certs/{leaf}")
        for name, leaf in zip(names, standard, strict=True)
    ]
    if not all(one and one.is_file() for one in paths):
        for name in names:
            if name in written:
                news[name] = news[name]._replace(why="there was none: this home's own certificate is used")
        return None
    cert_file, key_file = paths
    assert cert_file and key_file
    bad = [one for one in certs.check(cert_file, key_file, now=now) if one.level == "error"] or _refused(
        cert_file, key_file
    )
    for name in names:
        if bad:
            why = f"{bad[0].text}: this home's own certificate is used; phones must trust its authority"
            news[name] = news[name]._replace(verdict=DECIDE, why=why)
        else:
            news[name] = news[name]._replace(why="copied into the home")
    return None if bad else Cert(cert_file, key_file)


def _refused(cert_file: Path, key_file: Path) -> list[Finding]:
    """What the engine that would load it says: the last word."""
    from mv_iptel.http import tls

    try:
        standard = config.defaults(Home(cert_file.parent)).https
        tls.make_context(cert_file, key_file, tls.policy(standard, standard.https_port))
    except tls.CertificateError as error:
        return [Finding(str(cert_file), 0, "", "", str(error))]
    return []


def _pair(old: Old, rows: list[Row]) -> heartbeat.HeartBeat | None:
    if not old.heartbeat:
        return None
    data = {}
    for path in old.heartbeat:
        try:
            data[path.name.lower()] = path.read_bytes()[: lines.MAX_BYTES]
        except OSError as error:  # authkeys is for root alone
            rows.append(about(path, f"cannot be read ({error.strerror}); run as a user who may"))
    return heartbeat.parse(*(data.get(name, b"") for name in heartbeat.FILES))


def _others(done: Plan) -> Iterator[Row]:
    """Files beside the data that somebody has to look at."""
    old = done.old
    if old.manager_ini:
        yield about(
            old.manager_ini,
            "its keys are nobody's knowledge; the manager here has a MV_Manager.ini of its own",
        )
    if old.alert and done.watchdog:
        kept = done.home.watchdog / "bin" / f"{old.alert.name}.old"
        yield about(
            old.alert,
            f"was the site's to edit; kept as {kept.name}, carry over what you added",
            new=str(kept),
        )
    for one in done.pair.findings if done.pair else ():
        near = next((path for path in old.heartbeat if path.name.lower() == one.file), one.file)
        yield Row(str(near), one.line, "", one.key, "", "", DECIDE, one.text)
    if done.pair and done.pair.shared:
        addresses = ", ".join(one.address for one in done.pair.shared)
        files_ = " ".join(str(one) for one in old.heartbeat)
        why = f"a standby pair with the shared address {addresses}: `mv-iptel standby convert {files_}`"
        yield about(old.heartbeat[0], why)


def _lists(found: trees.Found) -> Iterator[Row]:
    """Address lists with lines that are none."""
    for one in found.copies:
        name = one.source.name.lower()
        if one.link or not name.endswith("allow_ip.txt") or one.size > access.MAX_LIST:
            continue
        try:
            text = one.source.read_bytes().decode("utf-8", "replace")
        except OSError:
            continue
        _, problems = access.parse(text)
        for problem in problems:
            yield Row(str(one.source), problem.line, "", "", "", "", DECIDE, problem.text)


def _addresses(done: Plan, own: Sequence[str]) -> Iterator[Row]:
    """Settings that send phones to an address that is not this host's."""
    pair = done.pair
    by_target = {target: source for source, target in done.trees.items()}
    values = [done.server.values[one] for one in trees.DIRECTORIES if one[0] != "FTP"]
    roots = (by_target.get(done.home.root / one, done.home.var / "nowhere") for one in values)
    files_ = Served.split(*roots)
    known = {one.casefold() for one in own} | {one.address for one in (pair.shared if pair else ())}
    for host, one in told.hosts(told.settings_of(files_, told.OURS)):
        if host.casefold() not in known:
            why = f"phones are sent to {host}, no address of this host: move it here, or write this host's"
            yield Row(one.place.rpartition(":")[0], one.line, "", one.name, one.value, "", DECIDE, why)


# --- the move -------------------------------------------------------------------------------------------


def room(done: Plan) -> str:
    """Why there is no room for a move; empty: there is."""
    here = next(one for one in (done.home.root, *done.home.root.parents) if one.exists())
    free = shutil.disk_usage(here).free
    there = sum(one.size for one in done.found.copies if _size(one.target) == one.size)
    need = done.octets - there + SPARE
    return f"{need >> 20} MiB are needed in {here}, {free >> 20} are free" if need > free else ""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def move(
    done: Plan,
    name: str = "",
    addresses: Sequence[str] = (),
    progress: Callable[[int], None] = lambda octets: None,
) -> Done:
    """Do it. `progress` is told of octets. Raises OSError, CertError and ConfigError: begin again then."""
    home = done.home
    init.create(home, name, addresses)
    with Copier(home) as copier:
        _write_inis(done, copier)
        if copier.known("samples") is None:
            _put_samples_away(done, copier)
            copier.remember("samples", [])
        loaded = config.load(home)
        for one in done.found.copies:
            copier.copy(one)
            progress(one.size)
        users = archived = 0
        for kept, data in contents.by_name(done.found.data).items():
            moved = contents.move(loaded, kept, data)
            users, archived = users + moved.current, archived + moved.archived
            copier.rows += moved.rows
            progress(sum(one.size for one in data))
        if done.cert and copier.known("cert") is None:
            certs.import_files(loaded.https.cert_file, loaded.https.key_file, *done.cert)
            copier.remember("cert", [str(done.cert.cert_file)])
        if done.old.alert and done.watchdog:
            kept_as = home.watchdog / "bin" / f"{done.old.alert.name}.old"
            if not kept_as.exists():  # not to be run: it restarts what is not here
                files.replace(kept_as, done.old.alert.read_bytes(), 0o640)
    init.create(home, name, addresses, sample=False)  # rights, check files, what a copy has left out
    return Done(copier.copied, copier.same, copier.octets, users, archived, copier.rows)


def _write_inis(done: Plan, copier: Copier) -> None:
    """The ini files, unless somebody has edited what a move wrote before."""
    password = config.load(done.home).ftp.su_password
    values = {
        place: password if value == "(made up)" else value for place, value in done.server.values.items()
    }
    dog = done.watchdog.values if done.watchdog else {}
    for taken, source, path, mark in (
        (values, done.old.ini, done.home.ini, INI),
        (dog, done.old.watchdog_ini, done.home.watchdog_ini, "watchdog"),
    ):
        if source is None:
            continue
        data, old_hash = path.read_bytes(), _hash(source.read_bytes())
        before = copier.known(mark)
        if before is not None and before[0] != _hash(data):
            verdict = CHANGED if before[1:] == [old_hash] else DECIDE
            copier.rows.append(about(path, "was changed since a move wrote it; kept as it is", verdict))
            continue
        if before is None:
            copier.keep_aside(path)
        new = config.changed(data.decode("utf-8"), taken).encode("utf-8")
        files.replace(path, new, 0o640)
        copier.remember(mark, [_hash(new), old_hash])


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _put_samples_away(done: Plan, copier: Copier) -> None:
    """Samples that `init` laid out do not join a site's own scripts: phones would find them."""
    for folder, target in init.COPIES.items():
        source = shipped() / folder
        if not target.startswith("MV_IPTel/data/"):
            continue
        for path in sorted(source.rglob("*")):
            there = done.home.root / target / path.relative_to(source)
            if path.is_file() and path.name[0] != "." and there.is_file() and _is_sample(path, there):
                copier.keep_aside(there)
                there.unlink()
    for folder in (done.home.tftp_data, done.home.http_data, done.home.https_data, done.home.ftp_data):
        if os.path.isdir(folder) and os.listdir(folder) == [CHECK_FILE]:
            (folder / CHECK_FILE).unlink()  # an empty directory stays empty


def _is_sample(sample: Path, there: Path) -> bool:
    """Whether a file is a sample as it was laid out, whatever this site's words in it are."""
    parts = re.split(rb"@[A-Z_]+@", sample.read_bytes())
    form = rb"[^\r\n]*".join(re.escape(part) for part in parts)
    return re.fullmatch(form, there.read_bytes()) is not None


def summary(rows: Sequence[Row]) -> dict[str, int]:
    """How many of each verdict."""
    return {verdict: sum(one.verdict == verdict for one in rows) for verdict in (TAKEN, CHANGED, DECIDE)}
