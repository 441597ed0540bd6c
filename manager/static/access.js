// The editor of an address list: each line is checked while it is typed, and whom the change would shut out.
"use strict";
(() => {
  const form = document.getElementById("list");
  const text = form.elements.text;
  const marks = document.getElementById("marks");
  let asked = 0;
  let timer = 0;

  function go(line) {
    const lines = text.value.split("\n");
    const start = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
    text.focus();
    text.setSelectionRange(start, start + (lines[line - 1] || "").length);
    text.scrollTop = Math.max(0, (line - 4) * (text.scrollHeight / Math.max(1, lines.length)));
  }

  function mark(tone, words, line) {
    const item = document.createElement("li");
    item.className = tone;
    if (line) {
      const place = document.createElement("button");
      place.type = "button";
      place.className = "small";
      place.textContent = `line ${line}`;
      place.addEventListener("click", () => go(line));
      item.append(place, " ");
    }
    item.append(words);
    marks.append(item);
  }

  const names = (rows, all) => rows.slice(0, 5).map((one) => one.filter(Boolean).join(" ")).join(", ") + (all > 5 ? ` and ${all - 5} more` : "");

  function show(told) {
    marks.replaceChildren();
    for (const one of told.problems) mark("bad", one.text, one.line);
    if (told.wrong > told.problems.length) mark("bad", `and ${told.wrong - told.problems.length} more lines that are wrong`);
    if (told.shut_out) mark("bad", `${told.shut_out} of ${told.seen} phones seen lately would be shut out: ${names(told.out, told.shut_out)}`);
    if (told.let_in) mark("good", `${told.let_in} phones seen lately would be let in: ${names(told.into, told.let_in)}`);
  }

  async function check() {
    const mine = ++asked;
    const result = await window.mv.call("POST", form.dataset.check, { text: text.value });
    if (mine === asked && result.ok) show(result.told);
  }

  async function begin() {
    if (form.dataset.load) {
      const result = await window.mv.call("GET", form.dataset.load);
      if (!result.ok) { window.mv.toast(window.mv.sentence(result.told)); return; }
      text.value = result.told.text;
      form.dataset.etag = result.told.etag;
    }
    if (Number(form.dataset.line)) go(Number(form.dataset.line));
    if (marks) {
      text.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(check, 400); });
      check();
    }
  }
  begin();
})();
