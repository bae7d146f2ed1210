// What pages share that talk to the JSON APIs: post, show what is wrong beside its field, keep a button busy, look again.
// Loaded before the page's own file, which calls `frontdeskForms(page)`. All rules are the server's.
"use strict";

window.frontdeskForms = (page) => {
  const at = (id) => document.getElementById(id);
  const token = page.querySelector('input[name="csrfmiddlewaretoken"]').value;
  const failure = (message, code) => ({ error: { message, field: "", code } });

  async function post(url, body) {
    let response;
    try {
      response = await fetch(url, {
        method: "POST",
        credentials: "same-origin",
        headers: { "Content-Type": "application/json", "X-CSRFToken": token },
        body: JSON.stringify(body),
      });
    } catch {
      return failure("You seem to be offline. Check your connection and try again.", "offline");
    }
    try {
      return await response.json();
    } catch {
      return failure("That didn't work. Please reload the page and try again.", "unknown");
    }
  }

  function clear(...names) {
    if (at("problem")) at("problem").hidden = true;
    for (const name of names) {
      at(name)?.removeAttribute("aria-invalid");
      if (at(`${name}-error`)) at(`${name}-error`).textContent = "";
    }
  }

  // Beside its field where that is to be seen, else above the form; there a link may follow.
  function show(error, link) {
    const field = error.field ? at(error.field) : null;
    const place = error.field ? at(`${error.field}-error`) : null;
    if (field && place && !field.closest("[hidden]")) {
      place.textContent = error.message;
      field.setAttribute("aria-invalid", "true");
      field.focus();
      return;
    }
    const problem = at("problem");
    problem.textContent = `${error.message} `;
    if (link) problem.append(link);
    problem.hidden = false;
    problem.focus();
  }

  async function busy(button, work) {
    if (button.disabled) return;
    button.disabled = true;
    button.setAttribute("aria-busy", "true");
    try {
      await work();
    } finally {
      button.disabled = false;
      button.removeAttribute("aria-busy");
    }
  }

  // Asks `url` until `heard(answer, response)` says that it is enough; slower when the server does not answer, and while
  // the page is not looked at.
  function watch(url, heard) {
    let misses = 0;
    async function look() {
      try {
        const response = await fetch(url, { credentials: "same-origin", headers: { Accept: "application/json" } });
        if (response.status >= 500) throw new Error(String(response.status));
        if (heard(await response.json(), response)) return;
        misses = 0;
      } catch {
        misses += 1;
      }
      window.setTimeout(look, 1500 * 2 ** Math.min(misses, 4) * (document.hidden ? 4 : 1));
    }
    window.setTimeout(look, 1000);
  }

  return { at, post, clear, show, busy, watch };
};
