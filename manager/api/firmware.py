"""Releases as JSON: taken in, looked at, published, taken back, removed, and held against the disk."""

from __future__ import annotations

import contextlib
import errno
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from manager.behalf import Behalf
from manager.call import Call
from manager.facts import firmware as facts
from manager.facts.advised import advised
from manager.facts.forecasts import ACTIONS, CHOICES
from manager.facts.reports import Reports
from manager.incoming import MOST
from manager.operations import Operation
from manager.problems import Problem
from manager.routing import OPERATOR, VIEWER, Route
from mv_iptel.config import Config
from mv_iptel.events import Event, Notice
from mv_iptel.firmware import generations, intake
from mv_iptel.firmware.names import shown
from mv_iptel.firmware.publishing import Done, Held, Publisher
from mv_iptel.firmware.releases import ARRIVING, REFUSED, STATES, Release
from mv_iptel.firmware.verifying import verify
from mv_iptel.firmware.working import alone
from mv_iptel.journal import plain

LONGEST = 200  # characters of an archive's name
WAIT = 120.0  # seconds for somebody else who works on releases
LOOK = 10.0  # seconds that a program waits for a forecast
_STEPS = {"hashing": "Reading it", "looking": "Looking at what is in it", "unpacking": "Unpacking",
          "keeping": "Keeping it"}  # fmt: skip

_log = logging.getLogger("manager.firmware")


def reports(call: Call) -> Reports:
    """Where this manager keeps what scans and checks came to."""
    return Reports(call.site.home.manager / "data" / "firmware.db")


async def the_release(call: Call) -> Release:
    """The one that the path names. Raises Problem."""
    one = await call.run(facts.release, call.site.home, call.path["id"])
    if one is None:
        raise Problem("not-found", "there is no such release")
    return one


# reading


async def _list(call: Call) -> web.StreamResponse:
    state = call.choice("state", ("", *STATES), "")
    found = await call.run(facts.listed, call.site.home, True)
    found = [one for one in found if not state or one.state == state]
    limit, offset = call.number("limit", 50, 1, 200), call.number("offset", 0)
    more = offset + limit < len(found)
    where = f"/api/v1/firmware/releases?state={state}&limit={limit}&offset={offset + limit}"
    items = [facts.told(one) for one in found[offset : offset + limit]]
    return call.json({"items": items, "total": len(found), "next": where if more else None})


async def _one(call: Call) -> web.StreamResponse:
    one = await the_release(call)
    files = [each._asdict() for each in facts.contents(one)]
    etag = await call.run(facts.etag, call.site.home, one)
    return call.json({**facts.told(one), "contents": files}, etag=etag)


async def _forecast(call: Call) -> web.StreamResponse:
    one = await the_release(call)
    action = call.choice("action", ACTIONS, "publish")
    live = call.choice("live", CHOICES[action], "stop")
    config = await call.run(call.site.config)
    found = await call.run(call.site.forecasts.ask, config, action, one.id, live, LOOK)
    if found is None:
        return call.json({"action": action, "release": one.id, "live": live, "made": None}, 202,
                         headers={"Retry-After": "2"})  # fmt: skip
    return call.json(found.as_dict(), etag=await call.run(facts.etag, call.site.home, one))


async def _advisories(call: Call) -> web.StreamResponse:
    rows, problems = await call.run(advised, await call.run(call.site.config))
    return call.json({"items": rows, "total": len(rows), "next": None, "problems": problems})


async def _check(call: Call) -> web.StreamResponse:
    found = await call.run(reports(call).check)
    if found is None:
        raise Problem("not-found", "nothing was ever held against what is published")
    return call.json(found)


# taking in


async def _take(call: Call) -> web.StreamResponse:
    told = call.query.get("name", "").replace("\\", "/").rpartition("/")[2].strip()
    name = shown(told)
    if not name or len(told) > LONGEST:
        raise Problem("bad-request", f"name= names the archive, in at most {LONGEST} characters")
    path = await call.site.incoming.take(call, MOST)
    taking = _Taking(await call.run(call.site.config), path, name, Behalf(call))
    try:
        return call.operation("firmware-intake", f"Taking in {name}", taking)
    except Problem:
        await call.run(_gone, path)
        raise


class _Taking:
    """The work of one upload."""

    def __init__(self, config: Config, path: Path, name: str, behalf: Behalf):
        self._config, self._path, self._name, self._behalf = config, path, name, behalf

    def __call__(self, operation: Operation) -> dict[str, Any]:
        try:
            with _disk():
                intake.clean(self._config.home)
                one = intake.take(
                    self._config, self._path, "manager",
                    lambda at: operation.say(_STEPS.get(at.what, at.what), at.done, at.total),
                    name=self._name,
                )  # fmt: skip
        finally:
            _gone(self._path)
        if one.state == REFUSED:
            self._behalf.audit("firmware refused", self._name, "", one.note)
            raise Problem("invalid", f"{plain(self._name)} is refused: {plain(one.note, 500)}")
        here = f"it was here already, {one.state}" if one.state != "staged" else "staged"
        self._behalf.audit("firmware taken in", one.id, "", f"{here}; {one.size:,} octets")
        self._behalf.refresh()
        operation.then = f"/firmware/releases/{one.id}"
        operation.say("It is here")
        return facts.told(one)

    def __del__(self) -> None:
        # An operation that waits never begins once the manager ends.
        _gone(self._path)


def _gone(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


# changing


async def _publish(call: Call) -> web.StreamResponse:
    one = await the_release(call)
    told = await call.document()
    live = _live(told, "publish")
    losses, force = (_flag(told, key) for key in ("losses", "force"))

    def work(publisher: Publisher, operation: Operation) -> Done | Held:
        operation.say("Looking at what it would do")

        def step(done: int, total: int) -> None:
            operation.say("Publishing", done, total)

        return publisher.publish(one.id, live, losses=losses, force=force, step=step)

    place = f"/firmware/releases/{one.id}"
    return await _begin(
        call, ("firmware-publish", f"Publishing {one.id}", place), "firmware published", one, work
    )


async def _rollback(call: Call) -> web.StreamResponse:
    one = await the_release(call)
    live = _live(await call.document(), "rollback")

    def work(publisher: Publisher, operation: Operation) -> Done | Held:
        operation.say("Serving again what it replaced")
        return publisher.rollback(one.id, live)

    place = f"/firmware/releases/{one.id}"
    return await _begin(
        call, ("firmware-rollback", f"Taking back {one.id}", place), "firmware taken back", one, work
    )


async def _remove(call: Call) -> web.StreamResponse:
    one = await the_release(call)
    if one.state == ARRIVING:  # one that a crash has cut off is held by nobody
        if one.id not in await call.run(intake.clean, call.site.home):
            raise Problem("conflict", f"{one.id} is being taken in; wait until that is over")
        return call.nothing()

    def work(publisher: Publisher, operation: Operation) -> Done | Held:
        operation.say("Removing what only it has")
        return publisher.remove(one.id)

    told = ("firmware-remove", f"Removing {one.id}", "/firmware")
    return await _begin(call, told, "firmware removed", one, work)


async def _verify(call: Call) -> web.StreamResponse:
    config, behalf, kept = await call.run(call.site.config), Behalf(call), reports(call)

    def work(operation: Operation) -> dict[str, Any]:
        with _disk():
            found = verify(
                config, lambda done, total: operation.say("Reading what is published", done, total)
            )
        number = kept.checked(found, behalf.who, time.time())
        faults = sum(one.fault for one in found.found)
        operation.say("All is as it was published" if found.sound else f"{faults} not as published")
        return {"id": number, "sound": found.sound, "faults": faults}

    return call.operation("firmware-verify", "Holding what is served against what was published", work,
                          "/firmware/verification")  # fmt: skip


async def _begin(
    call: Call, operation: tuple[str, str, str], action: str, one: Release,
    work: Callable[[Publisher, Operation], Done | Held],
) -> web.Response:  # fmt: skip
    """Begin a change of what is published: alone, audited, told to the server. Raises Problem.

    `operation` is its kind, what is said of it, and the page to look at when it is done. If-Match must hold
    when it is asked for and when its turn comes: others may publish meanwhile.
    """
    etag = await call.run(facts.etag, call.site.home, one)
    call.match(etag)
    config, behalf, forecasts = await call.run(call.site.config), Behalf(call), call.site.forecasts

    def deed(operation: Operation) -> dict[str, Any]:
        operation.say("Waiting for whoever else works on releases")
        with _disk(), alone(config.home, WAIT):
            now = facts.release(config.home, one.id)
            if now is None or facts.etag(config.home, now) != etag:
                raise Problem("changed", "look at it again, then decide on what is there now")
            before = generations.current(config.home)
            # The server's way: what computes for long does so in a process of its own.
            done = work(Publisher(config, _note, apart=True), operation)
            after = generations.current(config.home)
        forecasts.forget()
        if isinstance(done, Held):
            raise Problem("conflict", _sentence(done), why=list(done.why))
        behalf.audit(action, one.id, *facts.changes(before, after))
        behalf.refresh()
        operation.say(f"{done.changed:,} file{'' if done.changed == 1 else 's'} changed")
        return {**facts.told(done.release), "generation": done.generation, "changed_files": done.changed,
                "left": list(done.left)}  # fmt: skip

    kind, what, then = operation
    return call.operation(kind, what, deed, then)


def _sentence(held: Held) -> str:
    why = "; ".join(plain(one, 300) for one in held.why[:5])
    more = f"; and {len(held.why) - 5} more" if len(held.why) > 5 else ""
    return f"nothing was changed: {why}{more}"


def _note(event: Event) -> None:
    """What a crash has left and this finished stands in the manager's log."""
    if isinstance(event, Notice) and event.level in ("warning", "error"):
        _log.warning("%s", plain(event.text, 1000))


@contextlib.contextmanager
def _disk() -> Any:
    """A fault of the disk, or somebody else who does not end, in words."""
    try:
        yield
    except OSError as error:
        kind = {errno.EBUSY: "busy", errno.ENOSPC: "disk-full"}.get(error.errno or 0, "fault")
        where = f"{error.filename}: " if error.filename else ""
        raise Problem(kind, f"{where}{error.strerror or type(error).__name__}") from error


def _live(told: dict[str, Any], action: str) -> str:
    live = told.get("live", "stop")
    if live not in CHOICES[action]:
        text = f"one of {', '.join(CHOICES[action])}"
        raise Problem("invalid", f"live: {text}", errors=[{"field": "live", "text": text}])
    return str(live)


def _flag(told: dict[str, Any], key: str) -> bool:
    value = told.get(key, False)
    if not isinstance(value, bool):
        raise Problem("invalid", f"{key}: true or false", errors=[{"field": key, "text": "true or false"}])
    return value


ROUTES = (
    Route("GET", "/api/v1/firmware/releases", _list, VIEWER),
    Route("POST", "/api/v1/firmware/releases", _take, OPERATOR, streams=True),
    Route("GET", "/api/v1/firmware/releases/{id}", _one, VIEWER),
    Route("DELETE", "/api/v1/firmware/releases/{id}", _remove, OPERATOR),
    Route("GET", "/api/v1/firmware/releases/{id}/forecast", _forecast, VIEWER),
    Route("POST", "/api/v1/firmware/releases/{id}/publish", _publish, OPERATOR),
    Route("POST", "/api/v1/firmware/releases/{id}/rollback", _rollback, OPERATOR),
    Route("GET", "/api/v1/firmware/verification", _check, VIEWER),
    Route("POST", "/api/v1/firmware/verification", _verify, OPERATOR),
    Route("GET", "/api/v1/firmware/advisories", _advisories, VIEWER),
)
