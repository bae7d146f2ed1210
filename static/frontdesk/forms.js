// Shared by pages that call the JSON APIs: post, show an error beside its field, keep a button busy, poll.
// Loaded before the page's own file, which calls `frontdeskForms(page)`. The server makes all the rules, and all sentences: `page`
// has those of this file by the template tag `form_texts`.
"use strict";

window.frontdeskForms = (page) => {
  const byId = (id) => document.getElementById(id);
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
      return failure(page.dataset.offline, "offline");
    }
    try {
      return await response.json();
    } catch {
      return failure(page.dataset.unreadable, "unknown");
    }
  }

  function clear(...names) {
    if (byId("problem")) byId("problem").hidden = true;
    for (const name of names) {
      byId(name)?.removeAttribute("aria-invalid");
      if (byId(`${name}-error`)) byId(`${name}-error`).textContent = "";
    }
  }

  // Beside its field if that is visible, else above the form, where a link may follow.
  function showError(error, link) {
    const field = error.field ? byId(error.field) : null;
    const errorLine = error.field ? byId(`${error.field}-error`) : null;
    if (field && errorLine && !field.closest("[hidden]")) {
      errorLine.textContent = error.message;
      field.setAttribute("aria-invalid", "true");
      field.focus();
      return;
    }
    const problem = byId("problem");
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

  // Asks `url` every `pause` milliseconds until `isDone(answer, response)`; less often while the server does not answer or the
  // page is hidden.
  function poll(url, isDone, pause = 1500) {
    let failures = 0;
    async function ask() {
      try {
        const response = await fetch(url, { credentials: "same-origin", headers: { Accept: "application/json" } });
        if (response.status >= 500) throw new Error(String(response.status));
        if (isDone(await response.json(), response)) return;
        failures = 0;
      } catch {
        failures += 1;
      }
      window.setTimeout(ask, pause * 2 ** Math.min(failures, 4) * (document.hidden ? 4 : 1));
    }
    window.setTimeout(ask, 1000);
  }

  return { byId, post, clear, showError, busy, poll };
};
