// What the page does beyond plain HTML: it says when a newer week is served.
"use strict";

const EVERY_MS = 60_000;
const served = document.body.dataset.served;
const notice = document.getElementById("newer");

async function look() {
  if (document.hidden) return;
  try {
    const answer = await fetch("/app/served", { credentials: "same-origin", headers: { accept: "application/json" } });
    if (!answer.ok) return;
    const newest = await answer.json();
    if (newest.served && newest.served !== served) notice.hidden = false;
  } catch {
    // The service is away for a while: the page that is shown stays as it is.
  }
}

if (served) {
  setInterval(look, EVERY_MS);
  document.addEventListener("visibilitychange", look);
}
