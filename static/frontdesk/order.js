// Plan and storage page: keeps the order true while the visitor chooses. Asks the server for this page with the choice as it is,
// puts its parts in place, and says the new total to screen readers. The server makes all amounts and sentences.
"use strict";

(() => {
  const form = document.querySelector("form[data-order-form]");
  const live = document.getElementById("order-live");
  if (!form || !live) return;
  const failed = document.getElementById("order-failed");
  const parts = () => document.querySelectorAll("[data-order-part]");
  let timer = 0;
  let asking = null;

  async function fetchPage() {
    const choice = new URLSearchParams(new FormData(form));
    choice.delete("csrfmiddlewaretoken");
    asking?.abort();
    asking = new AbortController();
    const answer = await fetch(`${window.location.pathname}?${choice}`, { credentials: "same-origin", signal: asking.signal });
    if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  }

  async function update() {
    try {
      const fresh = await fetchPage();
      for (const part of parts()) {
        const found = fresh.querySelector(`[data-order-part="${part.dataset.orderPart}"]`);
        if (found) part.replaceChildren(...found.childNodes);
        part.hidden = false;
      }
      failed.hidden = true;
      const order = document.querySelector("[data-spoken]");
      live.textContent = order ? order.dataset.spoken : document.querySelector('[data-order-part="summary"]').textContent.trim();
    } catch (error) {
      if (error.name === "AbortError") return; // a newer choice is being asked for
      for (const part of parts()) part.hidden = true; // an old total would be wrong
      failed.hidden = false;
    }
  }

  form.addEventListener("input", () => {
    window.clearTimeout(timer);
    timer = window.setTimeout(update, 150);
  });
})();
