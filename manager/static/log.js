// The live log: rows come as the server's own HTML in an event stream; while it is paused or its tab is
// hidden nothing is shown, and what was missed is read from the log itself.
"use strict";
(() => {
  const MOST = 300; // rows on the page; older ones are a link away
  const said = document.getElementById("live");
  const pause = document.getElementById("pause");
  let source = null;
  let error = "";
  let held = []; // rows that came while it was paused
  let later = 0;
  let shown = document.getElementById("rows");

  const place = () => document.getElementById("rows");
  const paused = () => pause?.getAttribute("aria-pressed") === "true";

  function tell() {
    if (!pause) return;
    const text = paused() ? `Paused${held.length ? `, ${held.length} new` : ""}` : error ? "Not live" : source ? "Live" : "";
    if (said.textContent !== text) said.textContent = text;
    said.title = error;
    said.className = error ? "pill bad" : paused() ? "pill warn" : "pill good";
  }

  const parsed = (html) => [...new DOMParser().parseFromString(`<table><tbody>${html}</tbody></table>`, "text/html").querySelectorAll("tr")];

  // A phone that asks for the same again and again is one row with a count, as in the inventory.
  function joined(body, row) {
    if (!row.dataset.same) return false;
    const twin = body.querySelector(`tr[data-same="${row.dataset.same}"]`);
    if (!twin || Number(row.dataset.time) - Number(twin.dataset.last || twin.dataset.time) > 5) return false;
    if (Number(row.dataset.time) - Number(twin.dataset.time) > 60) return false;
    const times = twin.querySelector(".times");
    times.textContent = ` ×${(Number(times.textContent.replace(/\D/g, "")) || 1) + 1}`;
    twin.dataset.last = row.dataset.time;
    return true;
  }

  // The log's own row of what is counted here already: it began before this page listened.
  function counted(body, row, time) {
    const twin = row.dataset.same && body.querySelector(`tr[data-fresh][data-same="${row.dataset.same}"]`);
    return Boolean(twin) && Number(twin.dataset.time) >= time && Number(twin.dataset.time) - time <= 60;
  }

  // Each where its time belongs; those that are there already are not shown twice.
  function add(rows, live) {
    const body = place().querySelector("tbody");
    for (const row of rows.reverse()) {
      if (body.querySelector(`tr[data-key="${row.dataset.key}"]`)) continue;
      const time = Number(row.dataset.time);
      if (live ? joined(body, row) : counted(body, row, time)) continue;
      if (live) row.dataset.fresh = "1";
      const next = [...body.children].find((one) => Number(one.dataset.time) <= time);
      body.insertBefore(document.adoptNode(row), next || null);
    }
    while (body.children.length > MOST) body.lastElementChild.remove();
    const any = body.children.length > 0;
    place().querySelector("table").hidden = !any;
    document.getElementById("none").hidden = any;
  }

  function missed(count) {
    const body = place().querySelector("tbody");
    const before = [...body.children].slice(0, 50).find((one) => one.dataset.missed);
    const all = count + Number(before?.dataset.missed || 0);
    before?.remove();
    const row = document.createElement("tr");
    Object.assign(row.dataset, { key: "missed", missed: all, time: Date.now() / 1000 });
    const cell = row.insertCell();
    cell.colSpan = 6;
    cell.className = "dim";
    cell.textContent = `… ${all} more came too fast to be shown; the downloads have them all`;
    body.prepend(row);
  }

  async function fill() {
    const here = place();
    try {
      const answer = await fetch(here.dataset.here, { headers: { "HX-Request": "true", "X-Background": "1" } });
      if (!answer.ok || here !== place() || paused()) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const top = here.querySelector("tbody tr");
      const rows = [...page.querySelectorAll("tbody tr")];
      add(rows.filter((one) => !top || Number(one.dataset.time) >= Number(top.dataset.time) - 60), false);
    } catch { /* the stream says that nobody answers */ }
  }

  function close() {
    clearTimeout(later);
    source?.close();
    source = null;
  }

  function open() {
    close();
    const path = place()?.dataset.live;
    if (!path || document.hidden) return;
    const mine = new EventSource(path);
    source = mine;
    mine.addEventListener("state", (event) => {
      error = JSON.parse(event.data).error;
      // What came just before the line stood is in the inventory a moment later.
      if (!error) later = setTimeout(fill, 1500);
      tell();
    });
    mine.addEventListener("rows", (event) => {
      const told = JSON.parse(event.data);
      const rows = parsed(told.html);
      if (paused()) {
        held = [...rows, ...held].slice(0, MOST);
      } else {
        if (rows.length) add(rows, true);
        if (told.skipped) missed(told.skipped);
      }
      tell();
    });
    mine.addEventListener("end", () => location.reload());
    mine.addEventListener("error", () => {
      error = "The manager does not answer; it is asked again";
      if (mine.readyState === EventSource.CLOSED && mine === source) later = setTimeout(open, 5000);
      tell();
    });
    tell();
  }

  pause?.addEventListener("click", () => {
    const now = !paused();
    pause.setAttribute("aria-pressed", String(now));
    pause.textContent = now ? "Go on" : "Pause";
    if (!now) { add(held, true); held = []; fill(); }
    tell();
  });
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  // Other filters: other rows, another stream.
  for (const name of ["htmx:load", "htmx:afterSettle"]) {
    document.addEventListener(name, () => {
      if (place() === shown) return;
      shown = place();
      held = [];
      open();
    });
  }
  open();
})();
