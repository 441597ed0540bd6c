// Shows a made-up password once: it is in the answer and nowhere else.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  document.addEventListener("api-done", (event) => {
    const told = event.detail.told;
    if (!told?.password) return;
    $("password-name").textContent = told.name;
    $("password-text").textContent = told.password;
    $("password").showModal();
  });
  $("password-copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText($("password-text").textContent);
      $("password-copy").textContent = "Copied";
    } catch {
      getSelection().selectAllChildren($("password-text")); // no leave to copy: it is marked for the keyboard
    }
  });
  $("password-close").addEventListener("click", () => $("password").close());
  $("password").addEventListener("close", () => location.reload());
})();
