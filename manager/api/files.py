"""Files by JSON: what lies there, texts, saving and uploading, renaming, deleting, the past, lint."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeVar
from urllib.parse import quote, unquote

from aiohttp import web

from manager.call import Call
from manager.facts import texts
from manager.facts.changing import LONGEST, Changes, Refused
from manager.facts.files import KINDS, PAGE, SORTS, Busy, Data, Found, etag_of, sha256_of
from manager.facts.touched import askers
from manager.guarding import dress
from manager.problems import Problem
from manager.routing import OPERATOR, TEXT, VIEWER, Route
from mv_iptel.history.lines import changes, counted

T = TypeVar("T")
FILE = "{area}/{name:.+}"
EDITS = (  # of a file, by this manager: its own page's, and what the guide wrote
    "SELECT who, time FROM audit WHERE what = ? AND (action LIKE 'file %' OR action = 'telephone system') "
    "ORDER BY id DESC LIMIT ?"
)
CLOSE = 5.0  # seconds between a change and its line in the audit trail


def place(call: Call) -> tuple[str, str]:
    """Which area and which name in it the address means; octets that are no UTF-8 survive."""
    raw = call.request.rel_url.raw_path
    _, _, rest = raw.partition(call.route.path.partition("{")[0])
    area, _, name = rest.partition("/")
    return unquote(area, errors="surrogateescape"), unquote(name, errors="surrogateescape").rstrip("/")


async def on_disk(call: Call, work: Callable[..., T], *args: Any) -> T:
    """Work with files on a thread; what cannot be becomes a Problem."""
    try:
        return await call.run(work, *args)
    except Refused as no:
        raise Problem(no.kind, no.why, **({"etag": no.etag} if no.etag else {})) from None
    except Busy:
        raise Problem("busy", "other files are being read; try again in a moment") from None
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise Problem("not-found", "there is no such file here") from None
    except OSError as error:
        kinds = {13: "conflict", 1: "conflict", 28: "disk-full", 22: "invalid", 36: "invalid", 40: "conflict"}
        kind = kinds.get(error.errno or 0)
        raise Problem(kind or "fault", error.strerror or type(error).__name__) from None


def wanted(call: Call) -> str | None:
    """The state that a change is for; None: there must be nothing yet. Raises Problem."""
    match, none = call.request.headers.get("If-Match", ""), call.request.headers.get("If-None-Match", "")
    if match:
        return match.strip().removeprefix("W/").strip('"')
    if none.strip() == "*":
        return None
    raise Problem(
        "match-needed", "send If-Match with the ETag that was read, or If-None-Match: * for a new file"
    )


def told(found: Found) -> dict[str, Any]:
    """A file for JSON."""
    return {
        "area": found.area, "name": found.name, "size": found.size, "changed": round(found.changed, 3),
        "kind": found.what or "other", "text": found.text, "etag": found.etag, "href": href(found.key),
    }  # fmt: skip


def href(key: str) -> str:
    """The page of a file."""
    return "/files/" + quote(key.encode("utf-8", "surrogateescape"), safe="/")


async def _areas(call: Call) -> web.StreamResponse:
    data = await on_disk(call, Data, call.site.config())
    rows = [
        {
            "area": one.label,
            "path": str(one.path),
            "uses": list(one.uses),
            "href": f"/api/v1/files/{one.label}",
        }
        for one in data.areas.values()
    ]
    return call.json({"items": rows, "total": len(rows), "next": None})


async def _get(call: Call) -> web.StreamResponse:
    area, name = place(call)
    data = await on_disk(call, Data, call.site.config())
    if not name or await on_disk(call, data.is_folder, area, name):
        sort, page = call.choice("sort", SORTS, "name"), call.number("page", 1, 1, 1 << 20)
        query, down = call.query.get("q", "")[:200], call.query.get("down") == "1"
        kind = call.choice("kind", ("", *KINDS), "")
        found = await on_disk(call, data.listing, area, name, query, sort, down, page, kind)
        rows = [
            {"name": one.name, "folder": one.folder, "size": one.size, "changed": round(one.changed, 3),
             "kind": one.what or "other", "link": one.link} for one in found.entries
        ]  # fmt: skip
        more = call.request.rel_url.update_query(page=page + 1)
        return call.json({"items": rows, "total": found.total,
                          "next": str(more.relative() if more.is_absolute() else more)
                          if page * PAGE < found.total else None})  # fmt: skip
    file, content = await on_disk(call, data.read, area, name)
    answer = told(file)
    if file.text and call.query.get("text") == "1":
        answer["content"], answer["masked"] = _readable(call, file, content)
        answer["by"] = await call.run(last_by, call, file.key)
    elif call.query.get("sha256") == "1":
        answer["sha256"] = await on_disk(call, sha256_of, data, file)
    return call.json(answer, etag=file.etag)


def _readable(call: Call, file: Found, content: bytes) -> tuple[str, bool]:
    """The text as this user may see it, and whether something in it is hidden from him."""
    if call.may(OPERATOR):
        return texts.text_of(content), False
    shown = texts.masked(file.name, content)
    return shown, shown != texts.text_of(content)


def last_by(call: Call, key: str) -> dict[str, Any] | None:
    """Who changed it last by this manager, and when."""
    rows = call.site.store.ask(EDITS, key, 1)
    return {"who": rows[0]["who"], "time": rows[0]["time"]} if rows else None


async def _put(call: Call) -> web.StreamResponse:
    """Text as JSON from the editor, or octets as they are."""
    area, name = place(call)
    etag = wanted(call)
    work = await on_disk(call, Changes, call.site.config())
    if call.request.content_type == "application/json":
        text = call.text(await call.document(), "text", TEXT)
        before = await on_disk(call, _before, work, area, name, etag)
        content = texts.octets_of(text, before)
        if len(content) > texts.EDITABLE:
            raise Problem("too-big", f"a text has at most {texts.EDITABLE >> 20} MiB here; upload it instead")
        if content.count(b"\n") > texts.LINES:
            raise Problem("too-big", f"a text has at most {texts.LINES:,} lines here; upload it instead")
        found = await on_disk(call, work.put, area, name, content, etag)
        old, new = _lines(name, before, content)
        await call.audit("file saved" if etag is not None else "file made", found.key, old, new)
    else:
        found = await _uploaded(call, work, area, name, etag)
    await call.site.link.refresh()
    return call.json(told(found), 200 if etag is not None else 201, found.etag)


def _before(work: Changes, area: str, name: str, etag: str | None) -> bytes:
    """What the editor's text is an edit of; nothing where another file lies there already."""
    if etag is None:
        return b""
    found, content = work.data.read(area, name)
    if found.etag != etag:
        raise Refused(
            "changed", "somebody else has saved this file meanwhile; nothing was changed", found.etag
        )
    return content


def _lines(name: str, old: bytes, new: bytes) -> tuple[str, str]:
    """The lines that went and those that came, with their numbers; secrets hidden."""
    found = texts.differences(name, old, new)
    sides = ["\n".join(f"{one.line}: {one.text}" for one in found if one.sign == sign) for sign in "-+"]
    return sides[0], sides[1]


async def _uploaded(call: Call, work: Changes, area: str, name: str, etag: str | None) -> Found:
    size = call.request.content_length or 0
    draft = await on_disk(call, work.draft, area, name, etag, size)
    try:
        async for piece in call.parts(LONGEST):
            await on_disk(call, draft.write, piece)
        found = await on_disk(call, draft.commit)
    finally:
        await call.run(draft.abort)
    await call.audit("file uploaded", found.key, "" if etag is None else "another file",
                     f"{found.size} octets")  # fmt: skip
    return found


async def _delete(call: Call) -> web.StreamResponse:
    area, name = place(call)
    given = await call.document()
    work = await on_disk(call, Changes, call.site.config())
    if await on_disk(call, work.data.is_folder, area, name):
        await on_disk(call, work.remove_folder, area, name)
        await call.audit("folder removed", f"{area}/{name}")
        return call.nothing()
    etag = wanted(call) or ""
    found = await on_disk(call, work.data.look, area, name)
    if given.get("force") is not True:
        await _unneeded(call, found)
    await on_disk(call, work.remove, area, name, etag)
    await call.audit("file deleted", found.key, f"{found.size} octets; they are kept")
    await call.site.link.refresh()
    return call.nothing()


async def _unneeded(call: Call, found: Found) -> None:
    """Raises Problem for a file that phones or scripts ask for."""
    needed = (await call.run(askers, call.site.config(), found.path, found.key)).needed
    if needed:
        raise Problem("conflict", f'{needed}; send {{"force": true}} to do it all the same', needed=needed)


async def _move(call: Call) -> web.StreamResponse:
    area, name = place(call)
    given = await call.document()
    new = call.text(given, "name", 1024)
    folder = name.rpartition("/")[0]
    new = f"{folder}/{new}" if folder and "/" not in new else new
    work = await on_disk(call, Changes, call.site.config())
    found = await on_disk(call, work.data.look, area, name)
    if given.get("force") is not True:
        await _unneeded(call, found)
    renamed = await on_disk(call, work.rename, area, name, new, wanted(call) or "")
    await call.audit("file renamed", renamed.key, found.key, renamed.key)
    await call.site.link.refresh()
    return call.json({**told(renamed), "then": href(renamed.key)}, etag=renamed.etag)


async def _folder(call: Call) -> web.StreamResponse:
    area, name = place(call)
    new = call.text(await call.document(), "name", 1024)
    work = await on_disk(call, Changes, call.site.config())
    made = await on_disk(call, work.make_folder, area, f"{name}/{new}" if name else new)
    await call.audit("folder made", f"{area}/{made}")
    return call.json({"area": area, "name": made}, 201)


async def _present(call: Call) -> web.StreamResponse:
    """Which of these names are files in a folder already, and in what state."""
    area, name = place(call)
    names = (await call.document()).get("names")
    if not isinstance(names, list) or len(names) > 1000 or not all(isinstance(one, str) for one in names):
        raise Problem("invalid", "names: a list of at most 1000 names is wanted")
    data = await on_disk(call, Data, call.site.config())
    return call.json({"there": await on_disk(call, _states, data, f"{area}/{name}" if name else area, names)})


def _states(data: Data, folder: str, names: list[str]) -> dict[str, str]:
    there = set(data.listdir(folder))
    return {one: etag_of(data.stat(f"{folder}/{one}")) for one in names if one in there}


# The past


async def _past(call: Call) -> web.StreamResponse:
    area, name = place(call)
    work = await on_disk(call, Changes, call.site.config())
    rows = await on_disk(call, history, work, call.site.store, area, name)
    return call.json({"items": rows, "total": len(rows), "next": None})


def history(work: Changes, store: Any, area: str, name: str) -> list[dict[str, Any]]:
    """What a file was, with how many lines came and went, and who changed it by this manager."""
    steps = work.past(area, name)
    edits = store.ask(EDITS, f"{area}/{name}", 500)
    rows: list[dict[str, Any]] = []
    scripts = [one for one in steps if one.script]
    older = {one.id: before for one, before in pairwise(scripts)}
    for one in steps:
        row: dict[str, Any] = {**one._asdict(), "added": None, "removed": None}
        before = older.get(one.id)
        if before is not None:
            try:
                pair = [b"" if each.gone else work.content(area, name, each.id) for each in (before, one)]
                row["added"], row["removed"] = counted(changes(*pair))
            except (OSError, Refused):
                pass
        row["by"] = ""
        rows.append(row)
    for edit in edits:
        for script in (True, False):  # a change is kept right before it is noted
            made = [row for row in rows if row["script"] is script and row["time"] <= edit["time"]]
            if made and edit["time"] - made[0]["time"] < CLOSE:
                made[0]["by"] = made[0]["by"] or edit["who"]
    return rows


async def _back(call: Call) -> web.StreamResponse:
    """Put an earlier content back."""
    area, name = place(call)
    step = call.text(await call.document(), "step", 100)
    etag = wanted(call)
    work = await on_disk(call, Changes, call.site.config())
    before = await on_disk(call, _before, work, area, name, etag)
    found = await on_disk(call, work.put_back, area, name, step, etag)
    old, new = "", f"as of {step}"
    if found.text and texts.is_text(before):
        _, content = await on_disk(call, work.data.read, area, name)
        old, new = await call.run(_lines, name, before, content)
    await call.audit("file put back", found.key, old, new)
    await call.site.link.refresh()
    return call.json(told(found), etag=found.etag)


async def _raw(call: Call) -> web.StreamResponse:
    """A file as it is, or as it was, to keep."""
    area, name = place(call)
    step = call.query.get("step", "")
    last = name.rpartition("/")[2]
    if step:
        work = await on_disk(call, Changes, call.site.config())
        kept = await on_disk(call, work.kept_file, area, name, step)
        return call.download(kept or await on_disk(call, work.content, area, name, step), last)
    data = await on_disk(call, Data, call.site.config())
    body = await on_disk(call, data.open, f"{area}/{name}")
    with body:
        return await _streamed(call, body, last)


async def _streamed(call: Call, body: Any, name: str) -> web.StreamResponse:
    """By the descriptor that was looked at, not by a path that may lead elsewhere by now."""
    answer = web.StreamResponse(headers=call.download(b"", name).headers)
    answer.headers["Content-Length"] = str(body.size)
    dress(answer)
    await answer.prepare(call.request)
    at = 0
    while at < body.size:
        piece = await call.run(os.pread, body.fd, min(1 << 18, body.size - at), at)
        if not piece:
            break
        await answer.write(piece)
        at += len(piece)
    return answer


ROUTES = (
    Route("GET", "/api/v1/files", _areas, VIEWER),
    Route("GET", "/api/v1/files/{area}", _get, VIEWER),
    Route("GET", f"/api/v1/files/{FILE}", _get, VIEWER),
    Route("PUT", f"/api/v1/files/{FILE}", _put, OPERATOR, body=TEXT, streams=True),
    Route("DELETE", f"/api/v1/files/{FILE}", _delete, OPERATOR),
    Route("POST", f"/api/v1/file-name/{FILE}", _move, OPERATOR),
    Route("POST", "/api/v1/folders/{area}", _folder, OPERATOR),
    Route("POST", f"/api/v1/folders/{FILE}", _folder, OPERATOR),
    Route("POST", "/api/v1/files-there/{area}", _present, OPERATOR, asks=True),
    Route("POST", f"/api/v1/files-there/{FILE}", _present, OPERATOR, asks=True),
    Route("GET", f"/api/v1/file-history/{FILE}", _past, VIEWER),
    Route("POST", f"/api/v1/file-history/{FILE}", _back, OPERATOR),
    Route("GET", f"/api/v1/download/{FILE}", _raw, OPERATOR),
)
