"""What publishing a release, or taking it back, would do: found out beside the pages, kept for a while."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from manager.problems import Problem
from mv_iptel.config import Config
from mv_iptel.files import states
from mv_iptel.firmware import generations
from mv_iptel.firmware.foretelling import foretold
from mv_iptel.firmware.placing import directories
from mv_iptel.firmware.planning import LIVE, MARGIN, plan
from mv_iptel.firmware.releases import Releases
from mv_iptel.firmware.returning import Returning

ACTIONS = ("publish", "rollback")
AGE = 120.0  # seconds for which it is shown; who publishes has it found out again anyway
WAITING = 16  # that may be asked for at once
KEPT = 64
LISTED = 500  # files that are named
CHOICES = {"publish": LIVE, "rollback": LIVE[:3]}

_log = logging.getLogger("manager.forecasts")


@dataclass(frozen=True)
class Forecast:
    """As `firmware.planning.Plan` and `firmware.returning.Draft` tell it."""

    action: str
    release: str
    live: str
    made: float
    counts: dict[str, int] = field(default_factory=dict)  # new, replaced, merged, same, kept; removed
    files: tuple[dict[str, str], ...] = ()
    conflicts: tuple[dict[str, str], ...] = ()
    problems: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    losses: tuple[dict[str, Any], ...] = ()
    gains: tuple[dict[str, Any], ...] = ()
    left: tuple[str, ...] = ()  # what stays, and why
    needs: int = 0
    free: int = 0

    @property
    def full(self) -> bool:
        return self.needs > 0 and self.needs + MARGIN > self.free

    @property
    def blocked(self) -> bool:
        """Nothing that may be allowed would have it done."""
        return bool(self.problems or self.conflicts or self.full)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "full": self.full}


def forecast(config: Config, action: str, ident: str, live: str) -> Forecast:
    """Find it out; it takes as long as it takes. Lint and phones are played in a process of its own."""
    now = time.time()
    kept = Releases(config.home)
    one = kept.get(ident)
    if one is None:
        return Forecast(action, ident, live, now, problems=(f"there is no release {ident}",))
    try:
        if action == "publish":
            made = plan(config, one, live, apart=True)
            return Forecast(
                action, ident, live, now, dict(Counter(each.what for each in made.items)),
                tuple({"place": each.file.place, "name": each.file.name, "role": each.file.role,
                       "what": each.what} for each in made.items if each.what != "same")[:LISTED],
                tuple(each._asdict() for each in made.conflicts), tuple(made.problems), tuple(made.errors),
                tuple(each._asdict() for each in made.losses), tuple(each._asdict() for each in made.gains),
                needs=made.needs, free=made.free,
            )  # fmt: skip
        return _back(config, kept, ident, live, now)
    except LookupError as error:
        return Forecast(action, ident, live, now, problems=(str(error.args[0]),))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return Forecast(action, ident, live, now, problems=(f"{where}{error.strerror or error}",))


def _back(config: Config, kept: Releases, ident: str, live: str, now: float) -> Forecast:
    draft = Returning(config, kept, now).taken_back(ident, live)
    names = {str(path): place for place, path in directories(config).items()}
    files, changed = [], {}
    for one in draft.changes.values():
        changed[one.path] = kept.content(one.after) if one.after else None
        root = next((root for root in names if one.path.startswith(root + "/")), "")
        what = "removed" if not one.after else "replaced"
        name = one.path[len(root) + 1 :] if root else Path(one.path).name
        files.append({"place": names.get(root, ""), "name": name, "role": one.role, "what": what})
    seen = foretold(config, changed, apart=True) if changed and not draft.conflicts else None
    return Forecast(
        "rollback", ident, live, now, dict(Counter(one["what"] for one in files)),
        tuple(sorted(files, key=lambda one: (one["place"], one["name"])))[:LISTED],
        tuple(one._asdict() for one in draft.conflicts), (), tuple(seen.errors) if seen else (),
        tuple(one._asdict() for one in seen.losses) if seen else (),
        tuple(one._asdict() for one in seen.gains) if seen else (), tuple(draft.left),
    )  # fmt: skip


Key = tuple[str, str, str]


class Forecasts:
    """Of one manager. One is found out at a time; who asks meanwhile comes again."""

    def __init__(
        self,
        find: Callable[[Config, str, str, str], Forecast] = forecast,
        now: Callable[[], float] = time.time,
    ):
        self._find, self._now = find, now
        self._lock = threading.Condition()
        self._turn = threading.Lock()
        self._known: dict[Key, tuple[object, Forecast]] = {}
        self._asked: set[Key] = set()

    def ask(self, config: Config, action: str, ident: str, live: str, wait: float = 0.0) -> Forecast | None:
        """What is known, or None while it is found out; waits so many seconds at most. Raises Problem."""
        key, state = (action, ident, live), state_of(config)
        with self._lock:
            found = self._fresh(key, state)
            if found is not None:
                return found
            if key not in self._asked:
                if len(self._asked) >= WAITING:
                    raise Problem("busy", "too much is being looked at; try again in a moment")
                self._asked.add(key)
                # Nothing is lost with it when the manager ends, so nobody waits for it then.
                threading.Thread(target=self._run, args=(config, key), name="forecast", daemon=True).start()
            self._lock.wait_for(lambda: key not in self._asked, wait)
            return self._fresh(key, state)

    def forget(self) -> None:
        """Something was published: all is to be found out again."""
        with self._lock:
            self._known.clear()

    def _fresh(self, key: Key, state: object) -> Forecast | None:
        kept = self._known.get(key)
        if kept is None or kept[0] != state or self._now() - kept[1].made > AGE:
            return None
        return kept[1]

    def _run(self, config: Config, key: Key) -> None:
        with self._turn:
            state = state_of(config)
            try:
                found = self._find(config, *key)
            except Exception as fault:
                _log.exception("what %s of %s would do", key[0], key[1])
                found = Forecast(
                    *key, self._now(), problems=(f"it cannot be found out: {type(fault).__name__}",)
                )
        with self._lock:
            if len(self._known) >= KEPT:
                self._known.clear()
            self._known[key] = (state, found)
            self._asked.discard(key)
            self._lock.notify_all()


def state_of(config: Config) -> object:
    """Another one when something was published, or a file of a data directory was replaced."""
    folders = list(directories(config).values())
    ini = [config.file] if config.file is not None else []
    return generations.current(config.home).number, tuple(states([*folders, *ini]))
