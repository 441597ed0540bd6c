// What all pages share: changes sent as JSON, confirmations, long work with its progress, dropping a zip.
// No page needs another script for a plain change; forms say it in attributes:
//   <form data-api="POST /api/v1/…" data-etag="…" data-then="reload | stay | /path" data-ask="Really?"
//         data-done="Saved.">   fields become JSON; data-kind="number|flag|list" on a field gives its type
//   <button data-api="…" data-body='{"a": 1}' …>   the same without fields
//   <form data-upload="PUT /api/v1/…/{name}">   with <input type=file>: each file raw, with progress
"use strict";
(() => {
  const csrf = document.querySelector("meta[name=csrf]")?.content ?? "";
  const $ = (id) => document.getElementById(id);

  function toast(text) {
    const line = document.createElement("p");
    line.textContent = text;
    $("toast").append(line);
    setTimeout(() => line.remove(), 6000);
  }

  function ask(text, yes) {
    const dialog = $("ask");
    $("ask-text").textContent = text;
    $("ask-yes").textContent = yes || "Do it";
    dialog.returnValue = "no";
    dialog.showModal();
    return new Promise((told) => dialog.addEventListener("close", () => told(dialog.returnValue === "yes"), { once: true }));
  }

  // One call. Gives {ok, status, told, etag, place}; a fault of the network is told like a refusal.
  async function call(method, path, body, etag, type) {
    const headers = { "X-CSRF-Token": csrf, Accept: "application/json" };
    if (etag === "*") headers["If-None-Match"] = "*"; // it must be new
    else if (etag) headers["If-Match"] = `"${etag}"`;
    if (body !== undefined) headers["Content-Type"] = type || "application/json";
    try {
      const answer = await fetch(path, { method, headers, body: type ? body : body === undefined ? undefined : JSON.stringify(body) });
      let told = null;
      if ((answer.headers.get("Content-Type") || "").includes("json")) told = await answer.json();
      if (answer.status === 401) location.assign("/sign-in?to=" + encodeURIComponent(location.pathname + location.search));
      return { ok: answer.ok, status: answer.status, told, etag: (answer.headers.get("ETag") || "").replaceAll('"', ""), place: answer.headers.get("Location") };
    } catch {
      return { ok: false, status: 0, told: { title: "The manager does not answer", detail: "Nothing was changed; try again." } };
    }
  }

  const sentence = (told) => (told?.detail ? `${told.title}: ${told.detail}` : told?.title || "It could not be done.");

  // Shows long work until it is over; gives how it ended.
  function follow(told) {
    const dialog = $("work");
    const show = (now) => {
      $("work-what").textContent = now.what || now.kind;
      $("work-text").textContent = now.problem ? sentence(now.problem) : now.text;
      const bar = $("work-bar");
      if (now.total) { bar.max = now.total; bar.value = now.done; } else bar.removeAttribute("value");
      bar.hidden = ["done", "failed", "interrupted"].includes(now.state);
      $("work-close").textContent = bar.hidden ? "Close" : "Close, it goes on";
    };
    show(told);
    if (!dialog.open) dialog.showModal();
    return new Promise((ended) => {
      const source = new EventSource(`/api/v1/operations/${told.id}/events`);
      source.addEventListener("operation", (event) => {
        const now = JSON.parse(event.data);
        show(now);
        if (["done", "failed", "interrupted"].includes(now.state)) {
          source.close();
          if (now.state === "done") dialog.close();
          ended(now);
        }
      });
      source.addEventListener("end", () => source.close());
    });
  }

  async function after(element, result) {
    if (result.status === 202) {
      const now = await follow(result.told);
      if (now.state !== "done") return false;
      result = { ...result, told: now.result, then: now.then };
    }
    const then = result.then || result.told?.then || element.dataset.then || "reload";
    if (element.dataset.done) {
      if (then === "stay") toast(element.dataset.done);
      else sessionStorage.setItem("toast", element.dataset.done); // told by the page that comes
    }
    element.dispatchEvent(new CustomEvent("api-done", { bubbles: true, detail: result }));
    if (then === "reload") location.reload();
    else if (then !== "stay") location.assign(then);
    return true;
  }

  function refused(element, told) {
    const place = element.querySelector("[data-told]");
    for (const one of element.querySelectorAll(".invalid")) one.classList.remove("invalid");
    for (const one of told?.errors || []) {
      const field = element.elements?.[one.field];
      if (field?.classList) { field.classList.add("invalid"); field.title = one.text; }
    }
    if (!place) { toast(sentence(told)); return; }
    const more = (told?.errors || []).filter((one) => !sentence(told).includes(one.text)).map((one) => `${one.field}: ${one.text}`);
    place.className = "banner bad";
    place.setAttribute("role", "alert");
    place.textContent = sentence(told) + (more.length ? ` (${more.join("; ")})` : "");
  }

  function fields(form) {
    const body = {};
    for (const field of form.elements) {
      if (!field.name || field.disabled || field.type === "file" || (field.type === "radio" && !field.checked)) continue;
      const kind = field.dataset.kind || (field.type === "checkbox" ? "flag" : "");
      body[field.name] = kind === "flag" ? field.checked : kind === "number" ? Number(field.value)
        : kind === "list" ? field.value.split(/[\s,]+/).filter(Boolean) : field.value;
    }
    return body;
  }

  async function send(element, body) {
    if (element.dataset.ask && !(await ask(element.dataset.ask, element.dataset.yes))) return;
    const [method, path] = element.dataset.api.split(" ");
    const buttons = element.matches("form") ? [...element.querySelectorAll("button")] : [element];
    buttons.forEach((one) => (one.disabled = true));
    element.setAttribute("aria-busy", "true");
    const result = await call(method, path, body, element.dataset.etag);
    const fine = result.ok ? await after(element, result) : (refused(element, result.told), false);
    element.removeAttribute("aria-busy");
    buttons.forEach((one) => (one.disabled = false));
    return fine;
  }

  // Sends one file raw; `onward(done, total)` is told how far it is. An `etag` is what it replaces.
  function upload(method, path, file, onward, etag) {
    return new Promise((told) => {
      const request = new XMLHttpRequest();
      request.open(method, path);
      request.setRequestHeader("X-CSRF-Token", csrf);
      request.setRequestHeader("Content-Type", "application/octet-stream");
      if (method === "PUT") request.setRequestHeader(etag ? "If-Match" : "If-None-Match", etag ? `"${etag}"` : "*");
      request.upload.onprogress = (event) => onward(event.loaded, event.total);
      request.onload = () => {
        let answer = null;
        try { answer = JSON.parse(request.responseText); } catch { /* not JSON: told by the status */ }
        told({ ok: request.status >= 200 && request.status < 300, status: request.status, told: answer });
      };
      request.onerror = () => told({ ok: false, status: 0, told: { title: "The upload broke off", detail: "Nothing was changed; try again." } });
      request.send(file);
    });
  }

  // Uploads files one after the other in the dialog of long work. `to(file)` is the path.
  async function uploads(element, method, files, to) {
    const dialog = $("work");
    let there = {}; // data-there: which of them replace a file, and in what state that is
    if (element.dataset.there) {
      const [verb, path] = element.dataset.there.split(" ");
      const result = await call(verb, path, { names: files.map((one) => one.name) });
      if (!result.ok) return refused(element, result.told);
      there = result.told.there;
      const names = Object.keys(there);
      if (names.length && !(await ask(`There already: ${names.join(", ")}.\nReplace? What is there now is kept and can be put back.`, "Replace"))) return;
    }
    for (const file of files) {
      $("work-what").textContent = `Uploading ${file.name}`;
      $("work-text").textContent = "";
      $("work-bar").hidden = false;
      if (!dialog.open) dialog.showModal();
      const result = await upload(method, to(file), file, (done, total) => {
        $("work-bar").max = total;
        $("work-bar").value = done;
        $("work-text").textContent = `${Math.floor((100 * done) / Math.max(1, total))} %`;
      }, there[file.name] || element.dataset.etag);
      if (!result.ok) { dialog.close(); refused(element, result.told); return; }
      if (file === files[files.length - 1]) {
        if (result.status !== 202) dialog.close();
        await after(element, result);
      }
    }
  }

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.api) {
      event.preventDefault();
      send(form, fields(form));
    } else if (form.dataset.upload) {
      event.preventDefault();
      const [method, path] = form.dataset.upload.split(" ");
      const files = [...form.querySelector("input[type=file]").files];
      if (files.length) uploads(form, method, files, (file) => path.replace("{name}", encodeURIComponent(file.name)));
    }
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-api]");
    if (button) send(button, button.dataset.body ? JSON.parse(button.dataset.body) : {});
    if (event.target.closest("[data-sign-out]")) call("DELETE", "/api/v1/session").then(() => location.assign("/sign-in"));
    const menu = document.querySelector("details.me[open]");
    if (menu && !menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select, [contenteditable]");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) { event.preventDefault(); $("q")?.focus(); }
    if (event.key === "Escape") document.querySelector("details.me[open]")?.removeAttribute("open");
  });
  $("work-close")?.addEventListener("click", () => $("work").close());

  // A zip dropped anywhere is firmware; a page with an upload form of its own ([data-drop-here]) takes files itself.
  let depth = 0;
  const carries = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
  document.addEventListener("dragenter", (event) => { if (carries(event)) { depth++; document.body.dataset.drop = document.querySelector("[data-drop-here]")?.dataset.dropHere || "Drop firmware here"; document.body.classList.add("dropping"); } });
  document.addEventListener("dragleave", (event) => { if (carries(event) && --depth <= 0) document.body.classList.remove("dropping"); });
  document.addEventListener("dragover", (event) => { if (carries(event)) event.preventDefault(); });
  document.addEventListener("drop", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    depth = 0;
    document.body.classList.remove("dropping");
    const files = [...event.dataTransfer.files];
    const here = document.querySelector("form[data-drop-here]");
    if (here) {
      const [method, path] = here.dataset.upload.split(" ");
      uploads(here, method, path.includes("{name}") ? files : files.slice(0, 1), (file) => path.replace("{name}", encodeURIComponent(file.name)));
    } else if (csrf) {
      uploads(document.body, "POST", files.slice(0, 1), (file) => "/api/v1/firmware/releases?name=" + encodeURIComponent(file.name));
    }
  });

  // What refreshes itself keeps nobody signed in; what was refused is told.
  document.addEventListener("htmx:configRequest", (event) => {
    const trigger = event.detail.elt.getAttribute("hx-trigger") || "";
    if (trigger.includes("every")) event.detail.headers["X-Background"] = "1";
  });
  document.addEventListener("htmx:responseError", (event) => {
    const trigger = event.detail.elt.getAttribute("hx-trigger") || "";
    if (!trigger.includes("every")) toast("The manager refused that; load the page again.");
  });

  const left = $("toast") && sessionStorage.getItem("toast");
  if (left) { sessionStorage.removeItem("toast"); toast(left); }

  window.mv = { call, ask, toast, follow, uploads, sentence };
})();
