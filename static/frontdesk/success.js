// Success page: asks for the state of the account every 1.5 seconds until nothing will change any more; every five while a
// bank takes days to pay.
"use strict";

(() => {
  const page = document.getElementById("progress");
  if (!page) return;
  const said = page.dataset;
  const words = new Map([["waiting", said.waiting], ["busy", said.busy], ["done", said.done], ["delayed", said.delayed]]);
  const form = document.getElementById("resend");
  const { byId, post, busy, poll } = window.frontdeskForms(page);

  function show(state) {
    const changed = [];
    for (const stage of state.stages) {
      const row = page.querySelector(`[data-stage="${CSS.escape(stage.id)}"]`);
      if (row.className !== stage.state) changed.push(`${stage.title}: ${words.get(stage.state)}.`);
      row.className = stage.state;
      row.querySelector("[data-word]").textContent = ` (${words.get(stage.state)})`;
      row.querySelector(".note").textContent = stage.note;
    }
    if (changed.length) page.querySelector("[data-announce]").textContent = changed.join(" ");
    for (const part of page.querySelectorAll("[data-finished]")) part.hidden = !state.finished;
    for (const part of page.querySelectorAll("[data-usable]")) part.hidden = !state.usable;
    for (const part of page.querySelectorAll("[data-working]")) part.hidden = state.finished;
  }

  // The order is confirmed once it is paid: by then this page is older than it.
  async function showOrder() {
    const place = byId("order-confirmation");
    if (place.firstElementChild) return;
    const answer = await fetch(window.location.href, { headers: { Accept: "text/html" } });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("order-confirmation");
    if (fresh) place.replaceChildren(...fresh.childNodes);
  }

  if (!said.final) {
    const debited = Boolean(said.debited);
    const follow = (state, response) => {
      if (!response.ok) throw new Error(String(response.status));
      const other = (state.final && !state.finished) || state.debited !== debited;
      if (other) window.location.reload();
      else show(state);
      if (state.finished) showOrder();
      return other || state.finished;
    };
    poll(said.state, follow, debited ? 5000 : 1500);
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(form.querySelector("button"), async () => {
      const answer = await post(form.dataset.url, {});
      byId("resend-note").textContent = answer.error ? answer.error.message : answer.message;
    });
  });
})();
