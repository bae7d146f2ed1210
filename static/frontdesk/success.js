// Success page: asks for the state of the account every 1.5 seconds until nothing is left to wait for.
"use strict";

(() => {
  const page = document.getElementById("progress");
  if (!page) return;
  const words = { waiting: "waiting", busy: "under way", done: "done", held: "takes longer" };
  let misses = 0;

  function show(state) {
    const changed = [];
    for (const stage of state.stages) {
      const row = page.querySelector(`[data-stage="${CSS.escape(stage.id)}"]`);
      if (row.className !== stage.state) changed.push(`${stage.title}: ${words[stage.state]}.`);
      row.className = stage.state;
      row.querySelector("[data-word]").textContent = ` (${words[stage.state]})`;
      row.querySelector(".note").textContent = stage.note;
    }
    if (changed.length) page.querySelector("[data-announce]").textContent = changed.join(" ");
    for (const part of page.querySelectorAll("[data-finished]")) part.hidden = !state.finished;
    for (const part of page.querySelectorAll("[data-usable]")) part.hidden = !state.usable;
    for (const part of page.querySelectorAll("[data-working]")) part.hidden = state.finished;
  }

  async function look() {
    try {
      const response = await fetch(page.dataset.state, { credentials: "same-origin", headers: { Accept: "application/json" } });
      if (!response.ok) throw new Error(String(response.status));
      const state = await response.json();
      misses = 0;
      if (state.settled && !state.finished) return window.location.reload();
      show(state);
      if (state.finished) return undefined;
    } catch {
      misses += 1;
    }
    // Slower when the server does not answer, and while the page is not looked at.
    const pause = 1500 * 2 ** Math.min(misses, 4) * (document.hidden ? 4 : 1);
    return window.setTimeout(look, pause);
  }

  if (!page.dataset.settled) window.setTimeout(look, 1000);

  const form = document.getElementById("resend");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    const note = document.getElementById("resend-note");
    button.disabled = true;
    try {
      const response = await fetch(form.dataset.url, {
        method: "POST",
        credentials: "same-origin",
        headers: { "Content-Type": "application/json", "X-CSRFToken": form.querySelector("input").value },
        body: "{}",
      });
      const answer = await response.json();
      note.textContent = answer.error ? answer.error.message : answer.message;
    } catch {
      note.textContent = "That did not work. Please try again in a moment.";
    }
    button.disabled = false;
  });
})();
