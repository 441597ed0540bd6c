"""What the commands that write scripts share: where files go, what they replace, what lint says."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

from mv_iptel import config as configuration
from mv_iptel import files
from mv_iptel.cli.options import NEGATIVE, USAGE, console, end, errors, print_json
from mv_iptel.config import Config, ConfigError
from mv_iptel.events import Event, Notice
from mv_iptel.history import History
from mv_iptel.home import Home
from mv_iptel.journal import plain
from mv_iptel.phones.lint import Finding, Folder, lint
from mv_iptel.phones.lint.folder import MOST, content


def config_of(home: Home) -> Config | None:
    """The home's configuration, if there is a home; the end if there is one that does not load."""
    if not home.ini.exists():
        return None
    try:
        return configuration.load(home)
    except ConfigError as error:
        end(USAGE, "\n".join(str(finding) for finding in error.findings))
    except OSError as error:
        end(USAGE, f"{home.ini}: {error.strerror}; run as a user who may read it, or name another --home")


def names_in(folder: Path, config: Config | None) -> list[str]:
    """The files that phones find where they find this folder's: what HTTPSdata lacks comes from HTTPdata."""
    found = set()
    for place in (folder, *elsewhere(folder, config)):
        try:
            found.update(os.listdir(place))
        except OSError:
            continue
    return sorted(found)


def elsewhere(folder: Path, config: Config | None) -> list[Path]:
    """Other directories whose files count as there too."""
    if config is not None and os.path.realpath(folder) == os.path.realpath(config.https.https_dir):
        return [config.http.http_dir]
    return []


def put(
    made: Mapping[Path, bytes],
    notes: list[str],
    replace: bool,
    dry: bool,
    as_json: bool,
    config: Config | None,
) -> None:
    """Write the files, all or none, and tell of it; what they replace is kept. Ends the command."""
    old = {path: _read(path) for path in made}
    standing = [path for path, data in made.items() if old[path] not in (None, data)]
    if standing and not (replace or dry):
        listed = "\n".join(f"  {path}" for path in standing)
        end(NEGATIVE, f"nothing was written, for this is there already:\n{listed}\n--replace replaces it")
    if not dry:
        _write({path: data for path, data in made.items() if old[path] != data}, config)
    found = _findings(made, config)
    if as_json:
        rows = [
            {"file": path, "what": _what(old[path], data, dry), "text": data.decode("ascii", "replace")}
            for path, data in made.items()
        ]
        print_json({"files": rows, "notes": notes, "findings": [one.as_dict() for one in found]})
    elif dry:
        for path, data in made.items():
            if len(made) > 1:
                console.print(f"=== {plain(str(path))}", style="bold", markup=False)
            text = data.decode("utf-8", "replace").removesuffix("\n")
            console.print("\n".join(plain(line, MOST) for line in text.split("\n")), markup=False)
    else:
        for path, data in made.items():
            what = f"{_what(old[path], data, dry):<9}  {plain(str(path))}"
            console.print(what, style="green", markup=False)
    if not as_json:
        for note in notes:
            console.print(f"note  {plain(note)}", style="yellow", markup=False)
        for one in found:
            console.print(plain(str(one)), style="yellow", markup=False)
    end(NEGATIVE if found else 0)


def _what(old: bytes | None, new: bytes, dry: bool) -> str:
    if dry:
        return "shown"
    return "written" if old is None else "unchanged" if old == new else "replaced"


def _read(path: Path) -> bytes | None:
    try:
        return content(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        end(USAGE, f"{path}: {error.strerror}")


def _write(made: Mapping[Path, bytes], config: Config | None) -> None:
    history = history_of(config)
    for path, data in made.items():
        try:
            replace_kept(history, Path(os.path.realpath(path)), data)  # a link stays one
        except OSError as error:
            end(USAGE, f"{error.filename or path}: {error.strerror}")


def history_of(config: Config | None) -> History | None:
    """What keeps a copy of the files that are replaced; it says so if it cannot."""

    def told(event: Event) -> None:
        if isinstance(event, Notice):
            errors.print(f"{plain(event.source)}: {plain(event.text)}", style="yellow", markup=False)

    return History(config, told) if config is not None else None


def replace_kept(
    history: History | None, path: Path, data: bytes, state: list[tuple[int, ...]] | None = None
) -> None:
    """Replace a file as a whole; the history has it before and after. Raises OSError.

    `state` is what `files.states` said when the old content was read: what was saved since then stays.
    """

    def last() -> None:
        if state is not None and files.states([path]) != state:
            why = "it was changed by somebody else meanwhile; try again"
            raise OSError(errno.EBUSY, why, os.fspath(path))

    if history is not None:
        history.take(path)
    files.replace(path, data, path.stat().st_mode & 0o7777 if path.exists() else 0o644, last=last)
    if history is not None:
        history.take(path)


def _findings(made: Mapping[Path, bytes], config: Config | None) -> list[Finding]:
    """What lint says of the new files among those that are there; what is only worth knowing is left out."""
    found: list[Finding] = []
    for folder in dict.fromkeys(path.parent for path in made):
        own = {path.name: data for path, data in made.items() if path.parent == folder}
        read = Folder.read(folder, elsewhere=elsewhere(folder, config))
        whole = Folder({**read.files, **own}, read.others - set(own), read.elsewhere, read.nearby)
        found += [one for one in lint(whole, own) if one.severity != "info"]
    return found
