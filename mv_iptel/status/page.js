// Brings the page up to date without a flicker; without scripts the page reloads itself.
"use strict";
(() => {
  const pause = Math.max(1, Number(document.body.dataset.refresh) || 10) * 1000;
  const stale = document.getElementById("stale");

  async function refresh() {
    if (!document.hidden && !String(getSelection())) {
      try {
        const answer = await fetch("/", { cache: "no-store" });
        if (!answer.ok) throw new Error(answer.status);
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const id of ["live", "state", "told"]) {
          const old = document.getElementById(id), now = page.getElementById(id);
          if (!old.isEqualNode(now)) old.replaceWith(document.adoptNode(now));
        }
        document.title = page.title;
        stale.hidden = true;
      } catch {
        stale.hidden = false;
      }
    }
    setTimeout(refresh, pause);
  }
  setTimeout(refresh, pause);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) stale.hidden = true; });
})();
