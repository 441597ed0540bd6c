"""The command `phones`: who was seen, what they run, what they asked for."""

from __future__ import annotations

import re
import sys
import time
from typing import Any
from urllib.parse import quote

import click

from mv_iptel.cli import leads
from mv_iptel.cli.asking import did, installed, post
from mv_iptel.cli.backup_views import rows_of
from mv_iptel.cli.forms import Columns, day, line_of, moment, write_csv
from mv_iptel.cli.options import NEGATIVE, common, console, end, print_json, seconds
from mv_iptel.home import Home
from mv_iptel.inventory import Reader
from mv_iptel.inventory.reader import SORTS
from mv_iptel.journal import plain
from mv_iptel.rollout import plans
from mv_iptel.status.words import REASONS, SOURCES, mac, many, size, span

FATES = {
    plans.REACHED: "has the new script", plans.LOADED: "loaded the new firmware", plans.RUNS: "runs it",
    plans.FAILED: "failed", plans.LOOPS: "in a boot loop",
}  # fmt: skip


@click.group()
def phones() -> None:
    """Phones that were seen: who they are, what they run, what they asked for.

    \b
    Examples:
      mv-iptel phones list --model 96 --seen 1d
      mv-iptel phones show 00:04:0d:12:34:56
    """


@phones.command(name="list")
@click.option("--model", default="", help="Only models that begin so.")
@click.option("--version", default="", help="Only phones that run a version (or file) that begins so.")
@click.option("--seen", default="", metavar="TIME", help="Only phones seen within TIME: 15m, 8h, 30d.")
@click.option("--unseen", default="", metavar="TIME", help="Only phones not seen for TIME.")
@click.option("--sort", default="seen", show_default=True, type=click.Choice(list(SORTS)))
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@common
def list_phones(
    home: Home, as_json: bool, model: str, version: str, seen: str, unseen: str, sort: str, as_csv: bool
) -> None:
    """List phones.

    \b
    Examples:
      mv-iptel phones list --seen 1d --sort model
      mv-iptel phones list --version S9640 --csv > phones.csv
      mv-iptel phones list --unseen 30d
    """
    now = time.time()
    reader = Reader(installed(home).settings.database)
    since = now - seconds(seen, "--seen") if seen else 0.0
    until = now - seconds(unseen, "--unseen") if unseen else 0.0
    rows = reader.phones(model=model, version=version, since=since, until=until, sort=sort, limit=1_000_000)
    reader.close()
    if as_json:
        print_json(rows)
    elif as_csv:
        _write_csv(rows)
    elif not rows:
        console.print("no such phone was seen")
    else:
        table = Columns("MAC", "ext", "model", "runs", "address", ">requests", ">refused", ">seen")
        for row in rows:
            table.add_row(
                mac(row["mac"]) or "-", plain(row["ext"]) or "-", plain(row["model"]) or "-", _runs(row),
                row["address"], str(row["requests"]), str(row["refused"]),
                f"{span(now - row['last_seen'])} ago",
            )  # fmt: skip
        table.show()
        note = "; * by its script: it read one that orders this and went on to its settings"
        starred = note if any(row["runs_source"] == "script" for row in rows) else ""
        console.print(f"{len(rows)} phone{'s' if len(rows) != 1 else ''}{starred}", style="dim")
    end(0 if rows else NEGATIVE)


@phones.command(name="show")
@click.argument("who", metavar="MAC|ADDRESS|EXT")
@click.option("--last", default=30, show_default=True, metavar="N", help="The last N requests.")
@common
def show_phone(home: Home, as_json: bool, who: str, last: int) -> None:
    """Show one phone: identity and who told it, versions, files, user data, one time line over all protocols.

    \b
    Examples:
      mv-iptel phones show 00:04:0d:12:34:56
      mv-iptel phones show 4711 --last 100
    """
    config = installed(home)
    reader = Reader(config.settings.database)
    phone = reader.phone(who)
    timeline = reader.timeline(who, last)
    if phone is None and not timeline:
        reader.close()
        end(NEGATIVE, f"{plain(who)}: no such phone was seen; `mv-iptel phones list` shows all")
    peers = [one["address"] for one in phone["addresses"]] if phone else [who]
    notices = reader.notices(10, peers)
    reader.close()
    kept = rows_of(config, (phone["ext"],)) if phone and re.fullmatch(r"[0-9]{1,20}", phone["ext"]) else []
    ring = plans.met_at(home, phone["key"]) if phone else None
    scripts = leads.Leads(config)
    for row in timeline:
        if row["reason"] == "no-file" and row["op"] == "read":
            row["sent_by"] = scripts.line(row["name"], phone)
    if as_json:
        print_json(
            {
                **(phone or {"address": who}),
                "userdata": kept,
                "rollout": _in_ring(*ring) if ring else None,
                "timeline": timeline,
                "notices": notices,
            }
        )
        return
    if phone is None:
        text = f"{plain(who)} is no known phone: it showed no MAC and got no file"
        console.print(text, style="bold", markup=False)
    else:
        _show_phone(phone, kept, ring)
    if timeline:
        console.print("\nTime line", style="bold")
        for row in timeline:
            console.print(line_of(row))
    refused = [row for row in timeline if row["outcome"] == "refused"]
    if refused:
        console.print("\nRefused, in plain words", style="bold")
        told = {}
        for row in refused:
            told[row["name"], row["reason"]] = row
        for row in list(told.values())[-8:]:
            words = REASONS.get(row["reason"], row["reason"])
            console.print(f"  {plain(row['name']) or '-'}: {words}  (mv-iptel why {row['id']})", markup=False)
            if row.get("sent_by"):
                console.print(f"    {plain(leads.words(row['sent_by']))}", style="cyan", markup=False)
    for notice in reversed(notices):
        console.print(f"{day(notice['time'])}  {notice['kind']}: {plain(notice['text'])}", style="magenta",
                      markup=False)  # fmt: skip


def _in_ring(rollout: plans.Rollout, met: plans.Met) -> dict[str, Any]:
    return {"release": rollout.release, "state": rollout.state, "stage": met.stage + 1, "fate": met.fate,
            "detail": met.detail, "since": moment(met.time), "counts": met.counts}  # fmt: skip


def _show_phone(
    phone: dict[str, Any], kept: list[dict[str, Any]], ring: tuple[plans.Rollout, plans.Met] | None
) -> None:
    name = " ".join(filter(None, (phone["model"], mac(phone["mac"]) or phone["address"])))
    console.print(plain(name), style="bold", markup=False)
    labels = {"mac": "MAC", "ext": "extension", "model": "model", "group": "GROUP", "serial": "serial number",
              "boot": "boot file"}  # fmt: skip
    for field, label in labels.items():
        for one in [row for row in phone["identity"] if row["field"] == field][:4]:
            value = mac(one["value"]) if field == "mac" else plain(one["value"])
            source = SOURCES.get(one["source"], one["source"])
            when = f"until {day(one['last_seen'])}" if one["last_seen"] > one["first_seen"] else ""
            console.print(f"  {label:<13} {value:<22} by its {source} {when}".rstrip(), markup=False)
    runs = plain(phone["runs"]) or "unknown"
    how = f"by its {SOURCES.get(phone['runs_source'], '')}" if phone["runs"] else ""
    console.print(f"  {'runs':<13} {runs:<22} {how}".rstrip(), markup=False)
    earlier = [one for one in phone["versions"] if one["version"] != phone["runs"]]
    for one in earlier[:5]:
        console.print(f"  {'ran':<13} {plain(one['version']):<22} {day(one['first_seen'])} to "
                      f"{day(one['last_seen'])}", markup=False)  # fmt: skip
    if ring:
        rollout, met = ring
        fate = f"{FATES[met.fate]}, {plain(met.detail)}".rstrip(", ")
        text = f"{rollout.release} ({rollout.state}), stage {met.stage + 1}: {fate}"
        console.print(f"  {'roll-out':<13} {text}", markup=False)
    console.print(f"  {'seen':<13} {day(phone['first_seen'])} to {day(phone['last_seen'])}", markup=False)
    sums = f"{phone['requests']:,}, {phone['refused']:,} refused, {phone['failed']:,} broken off"
    console.print(f"  {'requests':<13} {sums}, {size(phone['bytes'])} sent", markup=False)
    for one in phone["addresses"][:5]:
        console.print(f"  {'address':<13} {one['address']:<22} until {day(one['last_seen'])}", markup=False)
    for one in kept:
        what = "deleted" if one["size"] is None else size(one["size"])
        text = f"{one['file']:<22} {what}, changed {day(one['changed'])}, {many(one['versions'], 'version')}"
        console.print(f"  {'user data':<13} {text}", markup=False)
    if phone["files"]:
        console.print("\nLast files", style="bold")
        table = Columns("file", "over", ">size", ">times", "last")
        for one in phone["files"][:12]:
            table.add_row(plain(one["name"]), one["proto"], size(one["bytes"]), str(one["count"]),
                          day(one["last_seen"]))  # fmt: skip
        table.show()


@phones.command(name="forget")
@click.argument("who", metavar="MAC|ADDRESS|EXT")
@common
def forget_phone(home: Home, as_json: bool, who: str) -> None:
    """Remove a phone from the inventory; if it comes again it is new.

    \b
    Example:
      mv-iptel phones forget 00:04:0d:12:34:56
    """
    config = installed(home)
    reader = Reader(config.settings.database)
    phone = reader.phone(who)
    reader.close()
    if phone is None:
        end(NEGATIVE, f"{plain(who)}: no such phone was seen")
    did(lambda: post(config, f"/control/phones/{quote(phone['key'])}/forget"), as_json,
         f"{phone['key']} is forgotten")  # fmt: skip


def _write_csv(rows: list[dict[str, Any]]) -> None:
    fields = ("mac", "ext", "model", "version", "runs", "runs_source", "address", "first_seen", "last_seen",
              "requests", "refused", "failed", "bytes")  # fmt: skip
    times = ("first_seen", "last_seen")
    write_csv(fields, ({**row, **{key: moment(row[key]) for key in times}} for row in rows), sys.stdout)


def _runs(row: dict[str, Any]) -> str:
    return plain(row["runs"]) + (" *" if row["runs_source"] == "script" else "") if row["runs"] else "unknown"


commands: list[click.Command] = [phones]
