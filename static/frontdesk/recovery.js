// Recovery: ask for a code, prove it, go to pay, and see the account open again. All rules are the server's.
"use strict";

(() => {
  const page = document.getElementById("recovery") || document.getElementById("account");
  if (!page) return;
  const at = (id) => document.getElementById(id);
  const token = page.querySelector('input[name="csrfmiddlewaretoken"]').value;
  const urls = page.dataset;

  async function ask(url, body) {
    try {
      const response = await fetch(url, {
        method: "POST",
        credentials: "same-origin",
        headers: { "Content-Type": "application/json", "X-CSRFToken": token },
        body: JSON.stringify(body),
      });
      return await response.json();
    } catch {
      return { error: { message: "That did not work. Please try again in a moment.", field: "", code: "offline" } };
    }
  }

  function clear() {
    at("problem").hidden = true;
    for (const name of ["email", "code"]) {
      if (!at(name)) continue;
      at(name).removeAttribute("aria-invalid");
      at(`${name}-error`).textContent = "";
    }
  }

  function show(error) {
    const field = error.field ? at(error.field) : null;
    const place = error.field ? at(`${error.field}-error`) : null;
    if (field && place && !field.closest("[hidden]")) {
      place.textContent = error.message;
      field.setAttribute("aria-invalid", "true");
      field.focus();
      return;
    }
    at("problem").textContent = error.message;
    at("problem").hidden = false;
    at("problem").focus();
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

  // --- the mailbox ---
  if (page.id === "recovery") {
    let address = "";

    const send = async (typed, again) => {
      clear();
      // Said here, because the server answers every address alike.
      if (!at("email").validity.valid) {
        return show({ message: "Please enter a mail address like anna@example.com.", field: "email" });
      }
      const answer = await ask(urls.send, { email: typed });
      if (answer.error) return show(again ? { ...answer.error, field: "code" } : answer.error);
      address = typed;
      at("code-address").textContent = typed;
      at("email-form").hidden = true;
      at("code-form").hidden = false;
      at("code").value = "";
      at("code").focus();
      at("code-note").textContent = again ? "A new code is on its way; the one before no longer works." : "";
      return undefined;
    };

    at("email-form").addEventListener("submit", (event) => {
      event.preventDefault();
      busy(event.submitter || at("email-form").querySelector("button"), () => send(at("email").value.trim(), false));
    });
    at("code-again").addEventListener("click", (event) => busy(event.currentTarget, () => send(address, true)));
    at("other-address").addEventListener("click", () => {
      clear();
      at("code-form").hidden = true;
      at("email-form").hidden = false;
      at("email").focus();
    });
    at("code-form").addEventListener("submit", (event) => {
      event.preventDefault();
      busy(event.submitter || at("code-form").querySelector("button.button"), async () => {
        clear();
        const answer = await ask(urls.verify, { email: address, code: at("code").value });
        if (answer.error) return show(answer.error);
        return window.location.reload();
      });
    });
    return;
  }

  // --- the account ---
  const pay = at("pay");
  if (pay) {
    pay.addEventListener("click", () =>
      busy(pay, async () => {
        clear();
        const answer = await ask(urls.pay, {});
        if (answer.error && answer.error.code === "paid") return window.location.assign(`${window.location.pathname}?session_id=paid`);
        if (answer.error) return show(answer.error);
        return window.location.assign(answer.url);
      }),
    );
  }

  const password = at("password");
  if (password) {
    password.addEventListener("click", () =>
      busy(password, async () => {
        const answer = await ask(urls.password, {});
        at("note").textContent = answer.error ? answer.error.message : answer.message;
      }),
    );
  }

  let misses = 0;
  async function look() {
    try {
      const response = await fetch(urls.state, { credentials: "same-origin", headers: { Accept: "application/json" } });
      if (response.status === 404) return window.location.assign(window.location.pathname);
      const answer = await response.json();
      if (answer.open) return window.location.assign(window.location.pathname);
      misses = 0;
    } catch {
      misses += 1;
    }
    return window.setTimeout(look, 1500 * 2 ** Math.min(misses, 4) * (document.hidden ? 4 : 1));
  }
  if (urls.back && at("waiting")) window.setTimeout(look, 1000);
})();
