// The editor of scripts and settings: line numbers, lint beside the lines, who breaks, saving when nobody was faster.
// Only the lines in sight have rows beside them, so that long files stay light.
"use strict";
(() => {
  const box = document.querySelector("[data-editor]");
  if (!box) return;
  const { call, ask, toast, sentence } = window.mv;
  const $ = (id) => document.getElementById(id);
  const path = box.dataset.editor, writing = box.dataset.writing === "yes";
  const text = $("text"), gutter = $("gutter"), beside = $("beside");
  const PAUSE = 350; // ms without a key before lint looks
  let etag = box.dataset.etag, base = "", findings = [], byLine = new Map(), turn = 0, timer = 0, cursor = 1, errors = 0, known = null; // known: errors that the saved file has

  const height = () => parseFloat(getComputedStyle(text).lineHeight);
  const dirty = () => text.value !== base;
  const make = (tag, kind, words) => {
    const made = document.createElement(tag);
    if (kind) made.className = kind;
    if (words !== undefined) made.textContent = words;
    return made;
  };

  // Rows beside what is in sight

  function draw() {
    const line = height(), lines = count(), first = Math.floor(text.scrollTop / line);
    const last = Math.min(lines, first + Math.ceil(text.clientHeight / line) + 1);
    const numbers = document.createDocumentFragment(), notes = document.createDocumentFragment();
    for (let at = first + 1; at <= last; at++) {
      const here = byLine.get(at);
      const number = make("div", here ? here[0].severity : "", String(at));
      const note = make("div", "", here ? undefined : "\u00a0");
      if (here) {
        const told = make("span", here[0].severity, here[0].text + (here.length > 1 ? ` (and ${here.length - 1} more)` : ""));
        number.dataset.line = told.dataset.line = at;
        told.title = here.map((one) => `${one.text}; ${one.mend}`).join("\n");
        note.append(told);
        const behind = `.6rem + ${columns(at) + 2}ch - ${text.scrollLeft}px`; // over the end of a long line, but never of the one that is being written
        note.style.paddingLeft = at === cursor ? `calc(${behind})` : `max(.6rem, min(${behind}, 100% - 24rem))`;
      }
      numbers.append(number);
      notes.append(note);
    }
    gutter.replaceChildren(numbers);
    beside.replaceChildren(notes);
    gutter.scrollTop = beside.scrollTop = text.scrollTop - first * line;
  }

  let counted = { value: null, lines: 1 };
  function count() {
    if (counted.value !== text.value) {
      let lines = 1;
      for (let at = text.value.indexOf("\n"); at >= 0; at = text.value.indexOf("\n", at + 1)) lines++;
      counted = { value: text.value, lines };
    }
    return counted.lines;
  }

  const start = (line) => { let at = 0; for (let one = 1; one < line; one++) at = text.value.indexOf("\n", at) + 1; return at; };
  function columns(line) {
    const from = start(line), end = text.value.indexOf("\n", from);
    let many = 0;
    for (const sign of text.value.slice(from, end < 0 ? undefined : end)) many += sign === "\t" ? 4 - (many % 4) : 1;
    return many;
  }
  function go(line) {
    const from = start(line), end = text.value.indexOf("\n", from);
    text.focus();
    text.setSelectionRange(from, end < 0 ? text.value.length : end);
    text.scrollTop = Math.max(0, (line - 4) * height());
    say();
  }

  // The line that the cursor is in
  function say() {
    const line = text.value.slice(0, text.selectionStart).split("\n").length, here = byLine.get(line);
    const words = here ? `Line ${line}: ${here.map((one) => `${one.text}; ${one.mend}`).join(" ")}` : "\u00a0";
    if ($("line").textContent !== words) $("line").textContent = words;
    if (line !== cursor) { cursor = line; draw(); }
  }

  // As if typed, so that the browser can undo it.
  function write(from, to, words) {
    text.focus();
    text.setSelectionRange(from, to);
    if (!document.execCommand("insertText", false, words)) { text.setRangeText(words, from, to, "end"); changed(); }
  }

  // Lint

  async function lint() {
    const mine = ++turn;
    const result = writing ? await call("POST", `/api/v1/lint/${path}`, { text: text.value }) : await call("GET", `/api/v1/lint/${path}`);
    if (mine !== turn) return;
    if (!result.ok) { $("counts").textContent = `Lint: ${sentence(result.told)}`; return; }
    findings = result.told.findings;
    byLine = new Map();
    for (const one of findings) if (one.line) byLine.set(one.line, [...(byLine.get(one.line) || []), one]);
    errors = result.told.counts.error;
    known ??= errors;
    const told = Object.entries(result.told.counts).filter(([, many]) => many).map(([grade, many]) => `${many} ${grade === "info" ? "note" : grade}${many === 1 ? "" : "s"}`);
    $("counts").textContent = `Lint: ${told.join(", ") || "nothing to mend"}${dirty() ? " · not saved" : ""}`;
    list();
    draw();
    say();
  }

  function list() {
    const rows = findings.slice(0, 200).map((one) => {
      const row = make("li", one.severity), jump = make("button", "link", one.line ? `Line ${one.line}` : "The file");
      jump.type = "button";
      if (one.line) jump.dataset.line = one.line; else jump.disabled = true;
      row.append(jump, " ", make("span", "pill " + { error: "bad", warning: "warn", info: "" }[one.severity], one.severity === "info" ? "note" : one.severity), " ", make("span", "", `${one.text}; ${one.mend}`), " ", make("code", "dim", one.code));
      if (one.fix !== null && writing) {
        const mend = make("button", "small", "Mend");
        mend.type = "button";
        mend.addEventListener("click", () => { const from = start(one.line), end = text.value.indexOf("\n", from); write(from, end < 0 ? text.value.length : end, one.fix); });
        row.append(" ", mend);
      }
      return row;
    });
    if (findings.length > 200) rows.push(make("li", "dim", `and ${findings.length - 200} more`));
    if (!rows.length) rows.push(make("li", "dim", "Nothing to mend."));
    $("findings").replaceChildren(...rows);
  }

  function changed() {
    clearTimeout(timer);
    timer = setTimeout(lint, PAUSE);
    draw();
  }

  // Who breaks

  const PARTS = [["breaks", "Would stop finding firmware, settings or files", "bad"], ["mends", "Would find again what is missing now", "good"], ["changes", "Would have other settings", ""]];
  async function whom(quiet) {
    box.setAttribute("aria-busy", "true");
    $("touched").hidden = false;
    $("touched-rows").replaceChildren(make("p", "dim", "Every phone is played over what is saved and over what stands here…"));
    const result = await call("POST", `/api/v1/who-breaks/${path}`, { text: text.value });
    box.removeAttribute("aria-busy");
    if (!result.ok) { $("touched-rows").replaceChildren(make("p", "banner warn", sentence(result.told))); return null; }
    show(result.told);
    if (!quiet) $("touched-title").focus();
    return result.told;
  }

  function show(told) {
    const rows = [];
    for (const [part, title, tone] of PARTS) {
      if (!told[part].length) continue;
      rows.push(make("h3", tone && `tone ${tone}`, title));
      for (const block of told[part]) {
        const whom = make("p", "", `${block.phones ? `${block.phones.toLocaleString("en")} phone${block.phones === 1 ? "" : "s"}: ` : ""}${block.who}`), lines = make("ul", "told");
        for (const one of block.told) { const row = make("li", "", one.text); if (one.where) row.append(" ", make("span", "dim", one.where)); lines.append(row); }
        if (block.more) lines.append(make("li", "dim", `and ${block.more} more`));
        rows.push(whom, lines);
      }
    }
    if (!rows.length) rows.push(make("p", "", "No phone would notice anything."));
    rows.push(make("p", "sub", told.counted ? `${told.phones.toLocaleString("en")} phones of the inventory were judged.` : "The inventory has no phones yet, so every known model was judged."));
    $("touched-rows").replaceChildren(...rows);
  }

  // Saving

  async function save(sure) {
    if (!writing || text.disabled) return;
    for (const one of box.querySelectorAll("button")) one.disabled = true;
    try {
      if (!sure && !(await fine())) return;
      const result = await call("PUT", `/api/v1/files/${path}`, { text: text.value }, etag);
      if (result.status === 412 || (result.status === 409 && result.told?.etag)) return await conflict(result);
      if (!result.ok) { toast(sentence(result.told)); return; }
      const fresh = etag === "*";
      etag = result.told.etag;
      base = text.value;
      known = errors;
      $("conflict").hidden = $("touched").hidden = true;
      if (fresh) { location.assign(result.told.href); return; }
      toast("Saved. What it replaced is kept.");
      if ($("history")) window.htmx.trigger("#history", "again");
      lint();
    } finally {
      for (const one of box.querySelectorAll("button:not([data-off])")) one.disabled = false;
    }
  }

  async function fine() {
    const doubts = [];
    clearTimeout(timer);
    await lint();
    if (errors > (known ?? 0)) doubts.push(`Lint finds ${errors} error${errors === 1 ? "" : "s"}${known ? `, ${errors - known} more than in what is saved` : ""}.`);
    if (box.dataset.alone === undefined) {
      const told = await whom(true);
      if (!told) doubts.push("It could not be found out whom this touches.");
      for (const block of told?.breaks || []) doubts.push(`${block.phones ? `${block.phones} phone${block.phones === 1 ? "" : "s"}: ` : ""}${block.who}: ${block.told[0].text}`);
    }
    if (!doubts.length) return true;
    return ask(doubts.slice(0, 6).join("\n") + "\n\nSave it all the same?", "Save");
  }

  const shown = (place, rows) => place.replaceChildren(...(rows.length ? rows.slice(0, 300).map((one) => make("span", one.sign === "+" ? "added" : "removed", `${one.sign} ${String(one.line).padStart(4)}  ${one.text}`)) : [make("span", "dim", "nothing")]));
  let other = null;
  async function conflict(first) {
    const result = await call("POST", `/api/v1/merge/${path}`, { base, text: text.value });
    if (result.status === 404) { etag = "*"; toast("Somebody has deleted this file meanwhile. Save again to make it anew."); return; }
    if (!result.ok) { toast(sentence(first.told)); return; }
    other = result.told;
    $("conflict-title").textContent = `${other.by ? other.by.who : "Somebody"} has saved this file while you edited it`;
    shown($("theirs"), other.their_changes);
    shown($("mine"), other.my_changes);
    $("merge").toggleAttribute("data-off", other.merged === null);
    $("conflict").hidden = false;
    $("conflict-title").focus();
  }

  function settle(words) {
    base = other.theirs;
    etag = other.etag;
    $("conflict").hidden = true;
    if (words !== null) { write(0, text.value.length, words); lint(); }
  }

  $("merge")?.addEventListener("click", () => {
    const lines = other.conflicts;
    settle(other.merged);
    toast(lines.length ? `Both are in the editor now. In ${lines.length} place${lines.length === 1 ? "" : "s"} both of you had changed the same lines: choose, then save.` : "Both are in the editor now. Look at it, then save.");
    if (lines.length) go(lines[0]);
  });
  $("keep-mine")?.addEventListener("click", () => { settle(null); save(); });
  $("take-theirs")?.addEventListener("click", () => settle(other.theirs));
  $("save")?.addEventListener("click", () => save());
  $("whom")?.addEventListener("click", () => whom());
  text.addEventListener("input", changed);
  text.addEventListener("scroll", draw);
  for (const kind of ["keyup", "click"]) text.addEventListener(kind, say);
  new ResizeObserver(draw).observe(text);
  box.addEventListener("click", (event) => { const line = event.target.closest("[data-line]")?.dataset.line; if (line) go(Number(line)); });
  document.addEventListener("keydown", (event) => { if ((event.ctrlKey || event.metaKey) && event.key === "s" && writing) { event.preventDefault(); save(); } });
  addEventListener("beforeunload", (event) => { if (dirty()) event.preventDefault(); });

  (async () => {
    if (etag !== "*") {
      const result = await call("GET", `/api/v1/files/${path}?text=1`);
      if (!result.ok) { $("counts").textContent = sentence(result.told); return; }
      text.value = result.told.content;
      etag = result.told.etag;
    }
    base = text.value;
    text.disabled = false;
    text.setSelectionRange(0, 0);
    draw();
    lint();
  })();
})();
