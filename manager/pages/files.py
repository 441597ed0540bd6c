"""Files: the directories that phones fetch from, a folder of one, a file with its editor, what it was."""

from __future__ import annotations

from urllib.parse import urlencode

from aiohttp import web

from manager.api.files import history, href, on_disk, place
from manager.call import Call
from manager.facts import texts
from manager.facts.changing import Changes, Refused
from manager.facts.files import KINDS, PAGE, SORTS, Data, sha256_of
from manager.facts.touched import askers
from manager.problems import Problem
from manager.routing import OPERATOR, VIEWER, Route

MANY = 400  # changed lines that a page shows


async def _areas(call: Call) -> web.StreamResponse:
    data = await on_disk(call, Data, call.site.config())
    return await call.page(
        "files/areas.html", areas=await call.run(_counted, data), running=call.site.config()
    )


def _counted(data: Data) -> list[dict[str, object]]:
    rows = []
    for one in data.areas.values():
        try:
            total = len(data.listdir(one.label))
        except OSError:
            total = None
        rows.append({"label": one.label, "path": str(one.path), "uses": one.uses, "total": total})
    return rows


async def _show(call: Call) -> web.StreamResponse:
    """A folder, a file, one that is new, or one that is not there any more."""
    area, name = place(call)
    data = await on_disk(call, Data, call.site.config())
    if area not in data.areas:
        raise Problem("not-found", "there is no such directory")
    try:
        folder = not name or await on_disk(call, data.is_folder, area, name)
    except Problem as problem:
        if problem.kind != "not-found":
            raise
        return await _absent(call, data, area, name)
    if folder:
        return await _folder(call, data, area, name)
    own = await on_disk(call, data.resolve, f"{area}/{name}")
    if own != f"{area}/{name}":
        return call.go(href(own))
    return await _file(call, data, area, name)


async def _folder(call: Call, data: Data, area: str, name: str) -> web.StreamResponse:
    new = call.query.get("new", "").strip()
    if new and call.may(OPERATOR):
        return call.go(href("/".join(filter(None, (area, name, new)))) + "?new=1")
    sort, page = call.choice("sort", SORTS, "name"), call.number("page", 1, 1, 1 << 20)
    query, down = call.query.get("q", "")[:200], call.query.get("down") == "1"
    kind = call.choice("kind", ("", *KINDS), "")
    found = await on_disk(call, data.listing, area, name, query, sort, down, page, kind)
    chosen = (("q", query), ("kind", kind), ("sort", sort if sort != "name" else ""))
    kept = {key: value for key, value in chosen if value}
    here = href(f"{area}/{name}" if name else area)
    values = {
        "area": data.areas[area], "name": name, "trail": _trail(area, name), "found": found, "here": here,
        "query": query, "kind": kind, "sort": sort, "down": down, "page": page,
        "pages": -(-found.total // PAGE) or 1,
        "link": f"{here}?{urlencode({**kept, **({'down': 1} if down else {})})}", "href": href,
        "key": f"{area}/{name}" if name else area,
    }  # fmt: skip
    if call.query.get("part") == "deleted":
        work = await on_disk(call, Changes, call.site.config())
        return await call.page(
            "files/_deleted.html", area=area, rows=await on_disk(call, work.deleted, area), href=href
        )
    return await call.page("files/_rows.html" if call.htmx else "files/folder.html", **values)


async def _file(call: Call, data: Data, area: str, name: str) -> web.StreamResponse:
    file = await on_disk(call, data.look, area, name)
    part = call.query.get("part", "")
    if part == "askers":
        found = await call.run(askers, call.site.config(), file.path, file.key)
        return await call.page("files/_askers.html", file=file, askers=found, path=_path(file.key))
    if part == "hash":
        return await call.page("files/_hash.html", hash=await on_disk(call, sha256_of, data, file))
    if part == "history":
        return await _past(call, area, name, file.etag)
    if "step" in call.query:
        return await _step(call, area, name, file.etag)
    return await call.page(
        "files/file.html", file=file, area=data.areas[area], name=name, new=False, trail=_trail(area, name),
        path=_path(file.key), here=href(file.key), editable=texts.EDITABLE,
    )  # fmt: skip


async def _absent(call: Call, data: Data, area: str, name: str) -> web.StreamResponse:
    """One that may be made, or that was deleted."""
    work = await on_disk(call, Changes, call.site.config())
    if call.query.get("new") == "1" and call.may(OPERATOR):
        try:
            await call.run(work._good, area, name)
        except Refused as no:
            raise Problem(no.kind, no.why) from None
        return await call.page(
            "files/file.html", file=None, area=data.areas[area], name=name, new=True,
            trail=_trail(area, name), path=_path(f"{area}/{name}"), here=href(f"{area}/{name}"),
            editable=texts.EDITABLE,
        )  # fmt: skip
    try:
        await call.run(work._good, area, name)
        steps = await on_disk(call, work.past, area, name)
    except Refused:
        steps = []
    if not steps:
        raise Problem("not-found", "there is no such file here")
    if call.query.get("part") == "history":
        return await _past(call, area, name, "*")
    if "step" in call.query:
        return await _step(call, area, name, "*")
    return await call.page("files/gone.html", area=area, name=name, trail=_trail(area, name),
                           here=href(f"{area}/{name}"))  # fmt: skip


async def _past(call: Call, area: str, name: str, etag: str) -> web.StreamResponse:
    work = await on_disk(call, Changes, call.site.config())
    rows = await on_disk(call, history, work, call.site.store, area, name)
    return await call.page(
        "files/_history.html", rows=rows[:60], more=max(0, len(rows) - 60), etag=etag,
        path=_path(f"{area}/{name}"), here=href(f"{area}/{name}"),
    )  # fmt: skip


async def _step(call: Call, area: str, name: str, etag: str) -> web.StreamResponse:
    """One content of the past: what is otherwise now, and what it was before."""
    work = await on_disk(call, Changes, call.site.config())
    steps = await on_disk(call, work.past, area, name)
    wanted = call.query["step"]
    at = next((at for at, one in enumerate(steps) if one.id == wanted), None)
    if at is None:
        raise Problem("not-found", "no such content is kept of this file")
    step = steps[at]
    before = next((one for one in steps[at + 1 :] if one.script == step.script), None)
    content = await call.run(_content, work, area, name, step)
    current = b""
    if etag != "*":
        _, current = await on_disk(call, work.data.read, area, name)
    readable = len(content) <= texts.EDITABLE and texts.is_text(content) and texts.is_text(current)
    previous = await call.run(_content, work, area, name, before)
    since = await call.run(texts.differences, name, content, current) if readable and not step.now else []
    made = (
        await call.run(texts.differences, name, previous, content) if readable and before is not None else []
    )
    return await call.page(
        "files/step.html", area=area, name=name, step=step, before=before, since=since[:MANY],
        made=made[:MANY],
        more=(max(0, len(since) - MANY), max(0, len(made) - MANY)), readable=readable, etag=etag,
        trail=_trail(area, name), path=_path(f"{area}/{name}"), here=href(f"{area}/{name}"),
    )  # fmt: skip


def _content(work: Changes, area: str, name: str, step: object) -> bytes:
    if step is None or step.gone:  # type: ignore[attr-defined]
        return b""
    kept = work.kept_file(area, name, step.id)  # type: ignore[attr-defined]
    if kept is not None:
        with kept.open("rb") as file:
            return file.read(texts.EDITABLE + 1)
    try:
        return work.content(area, name, step.id)  # type: ignore[attr-defined]
    except (OSError, Refused):
        return b""


def _path(key: str) -> str:
    """As part of an address of the API."""
    return href(key).removeprefix("/files/")


def _trail(area: str, name: str) -> list[tuple[str, str]]:
    """What lies above: word and address, from the area down."""
    parts = [area, *(name.split("/") if name else [])]
    return [(part, href("/".join(parts[: at + 1]))) for at, part in enumerate(parts)]


ROUTES = (
    Route("GET", "/files", _areas, VIEWER),
    Route("GET", "/files/{area}", _show, VIEWER),
    Route("GET", "/files/{area}/{name:.+}", _show, VIEWER),
)
