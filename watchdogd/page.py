"""The watchdog's page as HTML, in the look of the server's. What comes from elsewhere is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from mv_iptel.status.page import frame
from mv_iptel.status.words import clock, span
from watchdogd.judge import MATTERS
from watchdogd.loop import View
from watchdogd.snapshot import document, state

WORDS = {
    "same": ("good", "good"), "missing": ("answers", "good"), "differs": ("another file", "bad"),
    "closed": ("nobody listens", "bad"), "silent": ("no answer", "bad"), "busy": ("busy", "warn"),
    "broken": ("broke off", "bad"),
}  # fmt: skip


def render(view: View, started: float, now: float) -> str:
    """The whole page."""
    status = document(view, started, now)
    word, tone = state(view)
    refresh = max(1, int(view.config.settings.status_refresh))
    told = f"version {status['watchdog']['version']}, up {span(now - started)}, as of {clock(now, now)}"
    body = "\n".join(
        filter(None, (part(status, now) for part in (_banners, _listeners, _phones, _alerts, _house)))
    )
    return frame(
        title="mv-iptel watchdog",
        head="mv-iptel watchdog",
        state=(word, tone),
        told=told,
        refresh=refresh,
        stale="The watchdog is gone. What stands here is old.",
        body=body,
    )


def _banners(status: dict[str, Any], now: float) -> str:
    banners = [
        ("bad", f"{row['proto']}:{row['port']}: {row['text']}")
        for row in status["listeners"]
        if row["failures"]
    ]
    banners += [("bad", row["text"]) for row in status["phones"] if row["failures"]]
    banners += [("bad" if MATTERS.get(one["kind"]) else "warn", one["text"]) for one in status["matters"]
                if one["kind"] != "check-never"]  # fmt: skip
    restarts = status["restarts"]
    if restarts["max"] and restarts["hour"] >= restarts["max"]:
        banners.append(("warn", f"All {restarts['max']} restarts of this hour are used up"))
    banners += [("warn", text) for text in status["config"]["findings"]]
    unique = dict.fromkeys(banners)
    return "\n".join(f'<p class="banner {tone}">{escape(text)}</p>' for tone, text in unique)


def _listeners(status: dict[str, Any], now: float) -> str:
    limit = status["config"]["limit"]
    body = []
    for row in status["listeners"]:
        text, tone = WORDS.get(row["result"], (row["result"], "warn"))
        if row["result"] == "missing" and not row["up"]:
            text, tone = "withheld", "bad"
        said = row["text"] or (
            f"it has no check file: {row['detail']}" if row["result"] == "missing" else row["detail"]
        )
        body.append([
            f"<td>{escape(row['proto'])}", f"<td class=num>{row['port']}",
            f"<td class=num>{escape(row['address'])}",
            f"<td><span class='pill {tone}'>{escape(text)}</span>",
            f"<td class=num>{row['seconds'] * 1000:.0f} ms",
            f"<td class=num>{row['failures']} of {limit}",
            f"<td class=num>{clock(row['last_ok'] or 0, now)}", f"<td class=wide>{escape(said)}",
        ])  # fmt: skip
    head = ["Server", "Port", "Asked at", "Download", "Took", "Missed", "Last good", ""]
    return _table("Listeners", head, body, "No server is switched on, or the first round goes on.")


def _phones(status: dict[str, Any], now: float) -> str:
    body = [
        [f"<td><b>{escape(row['model'])}</b>",
         f"<td><span class='pill {'good' if row['result'] == 'same' else 'bad'}'>"
         f"{'booted' if row['result'] == 'same' else 'did not boot'}</span>",
         f"<td class=num>{row['seconds']:.1f} s", f"<td class=num>{clock(row['last_ok'] or 0, now)}",
         f"<td class=wide>{escape(row['text'])}"]
        for row in status["phones"]
    ]  # fmt: skip
    return _table("Simulated phones", ["Model", "Boot", "Took", "Last good", ""], body) if body else ""


def _alerts(status: dict[str, Any], now: float) -> str:
    tones = {"restart": "bad", "alert": "warn", "over": "good"}
    body = [
        [f"<td class=num>{clock(row['time'], now)}",
         f"<td><span class='pill {tones.get(row['kind'], 'dim')}'>{escape(row['kind'])}</span>",
         f"<td>{escape(row['listener'])}", f"<td>{escape(row['reason'])}",
         f"<td class=wide>{escape(row['text'])}"]
        for row in status["alerts"][:20]
    ]  # fmt: skip
    ran = [
        [f"<td class=num>{clock(row['time'], now)}", f"<td>{escape(row['listener'])} {escape(row['reason'])}",
         f"<td class=num>{'–' if row['code'] is None else row['code']}",
         f"<td class=num>{row['seconds']:.1f} s",
         f"<td class=wide>{escape(row['error'])}<small class=place>{escape(row['printed'][:500])}</small>"]
        for row in status["runs"][:10]
    ]  # fmt: skip
    head = ["Time", "What", "Listener", "Reason", ""]
    told = _table("Alerts", head, body, "Nothing had to be told since the start.")
    if ran:
        told += _table(
            "Runs of the alert script", ["Time", "Because of", "Exit code", "Took", "It said"], ran
        )
    return told


def _house(status: dict[str, Any], now: float) -> str:
    config, server, restarts = status["config"], status["server"], status["restarts"]
    port = {None: "not asked", True: "answers", False: "does not answer"}[server["answers"]]
    rows = [
        ("Watches", f"{config['host']}, {status['watchdog']['home']}"),
        ("Rounds", f"{status['rounds']['count']}, every {config['timer']:g} s, the last took "
                   f"{status['rounds']['seconds']:.2f} s; a download may take {config['timeout']:g} s"),
        ("Server", f"process {server['pid'] or 'unknown'}, {server['process']}; its status port {port}"),
        ("Restarts", f"{restarts['hour']} of {restarts['max']} within the last hour"),
        ("Configuration", config["file"] or "none: defaults"),
    ]  # fmt: skip
    rows += [("Note", one["text"]) for one in status["matters"] if one["kind"] == "check-never"]
    inside = "".join(f"<dt>{escape(what)}</dt><dd>{escape(value)}</dd>" for what, value in rows)
    return f'<section><h2>Watchdog</h2><dl class="house">{inside}</dl></section>'


def _table(title: str, head: Sequence[str], body: Iterable[Sequence[str]], empty: str = "") -> str:
    """A section with one table; each cell begins with its `<td` and gets its heading as a label."""
    rows = []
    for cells in body:
        inside = ""
        for label, cell in zip(head, cells, strict=True):
            start, _, content = cell.partition(">")
            none = " data-empty" if content in ("", "–") else ""
            inside += f'{start} data-label="{escape(label)}"{none}><div>{content}</div></td>'
        rows.append(f"<tr>{inside}</tr>")
    if not rows:
        return f"<section><h2>{escape(title)}</h2><p class=sub>{escape(empty)}</p></section>"
    columns = "".join(f'<th scope="col">{escape(one)}</th>' for one in head)
    return (
        f"<section><h2>{escape(title)}</h2><div class=scroll><table><thead><tr>{columns}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div></section>"
    )
