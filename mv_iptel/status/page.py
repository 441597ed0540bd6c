"""The status page as HTML. Everything a phone has sent is escaped; nothing comes from elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from mv_iptel.events import Notice
from mv_iptel.status.counters import Refusal
from mv_iptel.status.snapshot import problem
from mv_iptel.status.words import REASONS, central, clock, count, firmware, mac, size, span, userdata

CERT_DAYS = 30  # a certificate that ends sooner is told
EVERYWHERE = {"": "all", "0.0.0.0": "all IPv4", "::": "all IPv6"}  # noqa: S104
# What each legacy mode means to somebody who did not switch it on.
LEGACY = {
    "IPTel": "IPTel=1: TLS from 1.0 on and without encryption is allowed on the HTTPS port",
    "LegacyTLS": "LegacyTLS=1: TLS 1.0 and 1.1 are allowed on the HTTPS port",
}
DISK_SHARE = 0.05  # less free than this is told


@dataclass
class View:
    """What one rendering shows."""

    now: float
    refresh: int
    status: dict[str, Any]
    refusals: Sequence[Refusal] = ()
    notices: Sequence[Notice] = ()
    slots: Sequence[dict[str, Any]] = ()
    phones: Sequence[dict[str, Any]] = ()
    problems: Sequence[tuple[str, int, str]] = ()  # broken and lost lists: file, line, what
    buffers: Mapping[tuple[str, str, int], int] = field(default_factory=dict)  # receive buffers granted
    reload_refused: str = ""
    restart: Sequence[str] = ()
    kept: Mapping[str, int] = field(default_factory=dict)  # user data since the start, as `Counters.kept`


def render(view: View) -> str:
    """The whole page."""
    status = view.status
    name = status["server"]["name"]
    title = "mv-iptel" if name in ("", "Unknown") else f"{name} · mv-iptel"
    word, tone = state(status, view.problems)
    parts = (_banners, _figures, _transfers, _refusals, _phones, _listeners, _slots, _notices, _house)
    body = "\n".join(filter(None, (part(view) for part in parts)))
    told = f"version {status['server']['version']}, up {span(status['server']['uptime_s'])}"
    return frame(
        title=title,
        head=name if name not in ("", "Unknown") else "mv-iptel",
        state=(word, tone),
        told=f"{told}, as of {clock(view.now, view.now)}",
        refresh=view.refresh,
        stale="The server does not answer. What stands here is old.",
        body=body,
        more=" · on the server: <code>mv-iptel status</code>, <code>watch</code>,\n<code>why NUMBER</code>",
    )


def frame(
    *,
    title: str,
    head: str,
    state: tuple[str, str],
    told: str,
    refresh: int,
    stale: str,
    body: str,
    more: str = "",
) -> str:
    """A page that refreshes itself, as page.js and page.css expect it. `body` and `more` are HTML."""
    word, tone = state
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(word)} · {escape(title)}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/page.css">
<noscript><meta http-equiv="refresh" content="{refresh}"></noscript>
<script src="/page.js" defer></script>
</head>
<body data-refresh="{refresh}">
<header>
<h1>{escape(head)}</h1>
<p class="pill {tone}" id="state">{escape(word)}</p>
<p class="sub" id="told">{escape(told)}</p>
</header>
<p id="stale" class="banner bad" role="alert" hidden>{escape(stale)}</p>
<main id="live">
{body}
</main>
<footer>Refreshes every {refresh} s · <a href="/status.json">status.json</a> ·
<a href="/metrics">metrics</a>{more}</footer>
</body>
</html>
"""


def state(status: dict[str, Any], problems: Sequence[Any] = ()) -> tuple[str, str]:
    """The server's state in a word, and its tone: good, warn or bad."""
    phones = [row for row in status["listeners"] if row["proto"] != "status"]
    if not any(row["state"] == "up" for row in phones):
        return "No listener is up", "bad"
    if any(row["state"] == "failed" for row in phones):
        return "Serving, a listener failed", "bad"
    if problems:
        return "Serving, something is broken", "bad"
    if status["config"]["findings"]:
        return "Serving, with findings", "warn"
    if status["server"]["legacy"]:
        return "Serving, legacy mode on", "warn"
    return "Serving", "good"


def _banners(view: View) -> str:
    status = view.status
    banners: list[tuple[str, str]] = []
    for row in status["listeners"]:
        if row["state"] == "failed":
            banners.append(("bad", f"{row['proto']} on port {row['port']} is not up: {row['error']}"))
    broken = {problem(one) for one in view.problems}
    banners += [("bad", text) for text in sorted(broken)]
    if view.reload_refused:
        text = f"{view.reload_refused} was not loaded; the configuration before it is in force"
        banners.append(("bad", text))
    for mode in status["server"]["legacy"]:
        banners.append(("legacy", f"Legacy mode {LEGACY.get(mode, mode)}"))
    if view.restart:
        banners.append(("warn", f"Needs a restart to take effect: {', '.join(view.restart)}"))
    findings = [one for one in status["config"]["findings"] if one not in broken]
    banners += [("warn", finding) for finding in findings[:8]]
    if len(findings) > 8:
        banners.append(("warn", f"and {len(findings) - 8} more findings: mv-iptel check"))
    for certificate in status["certs"]:
        left = certificate["not_after"] - view.now
        if left < CERT_DAYS * 86400:
            text = f"The certificate {certificate['subject']} "
            text += f"ends in {span(left)}" if left > 0 else "has ended"
            banners.append(("warn" if left > 0 else "bad", text))
    disk = status["disk"]
    if disk["total"] and disk["free"] / disk["total"] < DISK_SHARE:
        banners.append(("bad", f"Only {size(disk['free'])} of {size(disk['total'])} are free on the disk"))
    return "\n".join(f'<p class="banner {tone}">{escape(text)}</p>' for tone, text in banners)


def _figures(view: View) -> str:
    status = view.status
    transfers, slots, phones = status["transfers"], status["slots"], status["phones"]
    cards = [
        (count(len(transfers["active"])), "transfers now", ""),
        (count(phones["seen_15m"]), "phones seen in 15 min", f"{count(phones['known'])} known"),
        (count(transfers["ok"]), "transfers complete", "since the start"),
        (count(transfers["refused"]), "refused", ""),
        (count(transfers["failed"]), "broken off", ""),
    ]
    if slots["max"]:
        taken = f"{count(slots['used'])} of {count(slots['max'])}"
        cards.append((taken, "slots taken", f"{count(slots['refused'])} refused"))
    inside = "".join(
        f"<div><dd>{escape(value)}</dd><dt>{escape(what)}</dt><dd class=more>{escape(more)}</dd></div>"
        for value, what, more in cards
    )
    return f'<dl class="figures">{inside}</dl>'


def _transfers(view: View) -> str:
    rows = view.status["transfers"]["active"]
    if not rows:
        return ""
    body = []
    for row in rows[:60]:
        total, done = row.get("total") or 0, row.get("bytes") or 0
        bar = f'<progress max="{max(total, 1)}" value="{min(done, max(total, 1))}"></progress>'
        body.append(
            [
                _who(row), f"<td class=name>{escape(str(row['name']))}", f"<td>{escape(str(row['proto']))}",
                f"<td class=wide>{bar} <span class=num>{size(done)} of {size(total)}</span>",
                f"<td class=num>{span(view.now - row['started'])}",
            ]
        )  # fmt: skip
    more = f"{count(len(rows))} in all" if len(rows) > 60 else ""
    return _table("Transfers", ["Phone", "File", "Over", "Progress", "Since"], body, more)


def _refusals(view: View) -> str:
    body = []
    for one in view.refusals:
        why = escape(REASONS.get(one.reason, one.reason))
        detail = f"<small>{escape(one.detail)}</small>" if one.detail else ""
        shown = one.source and (one.line or one.source not in one.detail)
        place = f"<small class=place>{escape(_place(one.source, one.line))}</small>" if shown else ""
        times = f" <span class=times>{count(one.count)} times</span>" if one.count > 1 else ""
        row = {"mac": one.mac, "model": one.model, "ext": one.ext, "peer": one.peer}
        body.append(
            [
                f"<td class=num>#{one.id}", f"<td class=num>{_time(one.time, view.now)}", _who(row),
                f"<td>{escape(one.proto)}", f"<td class=name>{escape(one.name) or '–'}{times}",
                f"<td class=wide><b>{escape(one.reason)}</b>: {why}{detail}{place}",
            ]
        )  # fmt: skip
    head = ["Number", "Time", "Phone", "Over", "Asked for", "Why"]
    return _table("Refused lately", head, body, empty="Nothing was refused since the start.")


def _phones(view: View) -> str:
    body = []
    for row in view.phones:
        runs = row["runs"]
        by = " by its script" if row["runs_source"] == "script" else ""
        body.append(
            [
                _who({**row, "peer": ""}), f"<td>{escape(row['ext']) or '–'}",
                f"<td class=num>{escape(row['address'])}",
                f"<td class=name>{escape(runs)}<small>{by}</small>" if runs else "<td class=dim>unknown",
                f"<td class=num>{count(row['requests'])}",
                f"<td class=num>{count(row['refused']) if row['refused'] else '–'}",
                f"<td class=num>{span(view.now - row['last_seen'])} ago",
            ]
        )  # fmt: skip
    known = view.status["phones"]["known"]
    more = f"the last {len(body)} of {count(known)}; all: mv-iptel phones list" if known > len(body) else ""
    head = ["Phone", "Extension", "Address", "Runs", "Requests", "Refused", "Seen"]
    return _table("Phones", head, body, more, empty="No phone was seen yet.")


def _listeners(view: View) -> str:
    """One row per port: what listens on both families alike is one thing to its reader."""
    ports: dict[tuple[Any, ...], list[str]] = {}
    for row in view.status["listeners"]:
        buffer = view.buffers.get((row["proto"], row["address"], row["port"]), 0)
        key = (row["proto"], row["port"], row["state"], row["error"] or "", row["tls"] or "", buffer)
        ports.setdefault(key, []).append(str(row["address"]))
    body = []
    for (proto, port, up, error, tls, buffer), addresses in ports.items():
        tone = {"up": "good", "failed": "bad"}.get(up, "dim")
        notes = [error, tls, f"receive buffer {size(buffer)}" if buffer else ""]
        places = ", ".join(EVERYWHERE.get(one, one) for one in addresses)
        body.append(
            [
                f"<td>{escape(proto)}",
                f"<td class=num>{port}",
                f"<td class=num>{escape(places)}",
                f"<td><span class='pill {tone}'>{escape(up)}</span>",
                f"<td class=wide>{escape('; '.join(filter(None, notes)))}",
            ]
        )
    return _table("Listeners", ["Server", "Port", "Address", "State", ""], body)


def _slots(view: View) -> str:
    slots = view.status["slots"]
    if not slots["max"]:
        return ""
    body = [
        [
            f"<td class=num>{escape(str(row['address']))}", f"<td class=num>{span(float(str(row['age'])))}",
            f"<td class=num>{span(float(str(row['idle'])))}", f"<td class=num>{row['sessions']}",
        ]
        for row in view.slots[:100]
    ]  # fmt: skip
    more = f"{slots['used']} of {slots['max']} taken"
    return _table("Slots", ["Address", "Taken for", "Idle for", "Open sessions"], body, more,
                  empty="No slot is taken.")  # fmt: skip


def _notices(view: View) -> str:
    body = []
    for one in view.notices:
        tone = {"error": "bad", "warning": "warn"}.get(one.level, "dim")
        place = f"<small class=place>{escape(_place(one.source, one.line))}</small>" if one.source else ""
        body.append(
            [
                f"<td class=num>{_time(one.time, view.now)}",
                f"<td><span class='pill {tone}'>{escape(one.kind)}</span>",
                f"<td class=wide>{escape(one.text)}{place}",
            ]
        )
    return _table("Notices", ["Time", "Kind", "What"], body) if body else ""


def _house(view: View) -> str:
    status = view.status
    server, config, disk = status["server"], status["config"], status["disk"]
    loaded = f"generation {config['generation']}, loaded {clock(config['loaded'], view.now)}"
    rows = [("Home", server["home"]), ("Configuration", f"{config['file'] or 'none'}, {loaded}")]
    for certificate in status["certs"]:
        left = certificate["not_after"] - view.now
        text = f"{certificate['subject']}, " + (f"ends in {span(left)}" if left > 0 else "has ended")
        rows.append(("Certificate", f"{text} ({os.path.basename(certificate['file'])})"))
    rows.append(("User data", userdata(status["backups"], view.kept)))
    for what, told in (
        ("Firmware", firmware(status["firmware"], status["rollout"])),
        ("Other servers", central(status["central"], view.now)),
    ):
        if told:
            rows.append((what, told))
    if disk["total"]:
        rows.append(("Disk", f"{size(disk['free'])} free of {size(disk['total'])}"))
    seen = status["watchdog"]["last_seen"]
    looked = f"looked {span(view.now - seen)} ago" if seen else "has not looked since the start"
    rows.append(("Watchdog", looked))
    rows.append(("Process", f"{server['pid']}, started {clock(server['started'], view.now)}"))
    inside = "".join(f"<dt>{escape(what)}</dt><dd>{escape(value)}</dd>" for what, value in rows)
    return f'<section><h2>Server</h2><dl class="house">{inside}</dl></section>'


def _table(
    title: str, head: Sequence[str], body: Iterable[Sequence[str]], more: str = "", empty: str = ""
) -> str:
    """A section with one table. The cells are HTML that begins with its `<td`; headings become labels."""
    rows = []
    for cells in body:
        row = "".join(_cell(label, cell) for label, cell in zip(head, cells, strict=True))
        rows.append(f"<tr>{row}</tr>")
    more = f" <span class=sub>{escape(more)}</span>" if more else ""
    if not rows:
        return f"<section><h2>{escape(title)}</h2><p class=sub>{escape(empty)}</p></section>"
    columns = "".join(f'<th scope="col">{escape(one)}</th>' for one in head)
    return (
        f"<section><h2>{escape(title)}{more}</h2><div class=scroll><table><thead><tr>{columns}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _cell(label: str, cell: str) -> str:
    """`<td class=x>content` with its label, which narrow screens show instead of the table's head."""
    start, _, content = cell.partition(">")
    empty = " data-empty" if content in ("", "–") else ""
    return f'{start} data-label="{escape(label)}"{empty}><div>{content}</div></td>'


def _who(row: dict[str, Any]) -> str:
    """The cell of a phone: model and MAC, or its address."""
    parts = []
    if row.get("model"):
        parts.append(f"<b>{escape(str(row['model']))}</b>")
    if row.get("mac"):
        parts.append(f"<span class=mac>{escape(mac(str(row['mac'])))}</span>")
    if row.get("peer") and row.get("ext"):
        parts.append(f"<span class=mac>ext {escape(str(row['ext']))}</span>")
    text = " ".join(parts)
    address = escape(str(row.get("peer") or ""))
    if not text:
        return f"<td class=num>{address or escape(str(row.get('address') or '–'))}"
    return f"<td class=who>{text}<small class=num>{address}</small>" if address else f"<td class=who>{text}"


def _time(when: float, now: float) -> str:
    return escape(clock(when, now))


def _place(source: str, line: int) -> str:
    return f"{source}:{line}" if line else source
