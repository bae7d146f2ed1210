// Recovery: ask for a code, confirm it, go to pay, and see the account open again. The server makes all the rules.
"use strict";

(() => {
  const page = document.getElementById("recovery") || document.getElementById("account");
  if (!page) return;
  const { byId, post, clear, showError, busy, poll } = window.frontdeskForms(page);
  const urls = page.dataset;

  // --- the address ---
  if (page.id === "recovery") {
    let address = "";

    const sendCode = async (typed, again) => {
      clear("email", "code");
      // Checked here, because the server gives every address the same answer.
      if (!byId("email").validity.valid) {
        return showError({ message: "Please enter an email address like anna@example.com.", field: "email" });
      }
      const answer = await post(urls.send, { email: typed });
      if (answer.error) return showError(again ? { ...answer.error, field: "code" } : answer.error);
      address = typed;
      byId("code-address").textContent = typed;
      byId("email-form").hidden = true;
      byId("code-form").hidden = false;
      byId("code").value = "";
      byId("code").focus();
      byId("code-note").textContent = again ? "A new code is on its way. The old one no longer works." : "";
      return undefined;
    };

    byId("email-form").addEventListener("submit", (event) => {
      event.preventDefault();
      busy(event.submitter || byId("email-form").querySelector("button"), () => sendCode(byId("email").value.trim(), false));
    });
    byId("code-again").addEventListener("click", (event) => busy(event.currentTarget, () => sendCode(address, true)));
    byId("other-address").addEventListener("click", () => {
      clear("email", "code");
      byId("code-form").hidden = true;
      byId("email-form").hidden = false;
      byId("email").focus();
    });
    byId("code-form").addEventListener("submit", (event) => {
      event.preventDefault();
      busy(event.submitter || byId("code-form").querySelector("button.button"), async () => {
        clear("email", "code");
        const answer = await post(urls.verify, { email: address, code: byId("code").value });
        if (answer.error) return showError(answer.error);
        return window.location.reload();
      });
    });
    return;
  }

  // --- the account ---
  const pay = byId("pay");
  if (pay) {
    pay.addEventListener("click", () =>
      busy(pay, async () => {
        clear("email", "code");
        const answer = await post(urls.pay, {});
        if (answer.error && answer.error.code === "paid") return window.location.assign(`${window.location.pathname}?session_id=paid`);
        if (answer.error) return showError(answer.error);
        return window.location.assign(answer.url);
      }),
    );
  }

  const password = byId("password");
  if (password) {
    password.addEventListener("click", () =>
      busy(password, async () => {
        const answer = await post(urls.password, {});
        byId("note").textContent = answer.error ? answer.error.message : answer.message;
      }),
    );
  }

  if (urls.back && byId("waiting")) {
    poll(urls.state, (answer, response) => {
      const done = response.status === 404 || answer.open;
      if (done) window.location.assign(window.location.pathname);
      return done;
    });
  }
})();
