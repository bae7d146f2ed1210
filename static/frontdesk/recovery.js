// Recovery: ask for a code, prove it, go to pay, and see the account open again. All rules are the server's.
"use strict";

(() => {
  const page = document.getElementById("recovery") || document.getElementById("account");
  if (!page) return;
  const { at, post, clear, show, busy, watch } = window.frontdeskForms(page);
  const urls = page.dataset;

  // --- the mailbox ---
  if (page.id === "recovery") {
    let address = "";

    const send = async (typed, again) => {
      clear("email", "code");
      // Said here, because the server answers every address alike.
      if (!at("email").validity.valid) {
        return show({ message: "Please enter an email address like anna@example.com.", field: "email" });
      }
      const answer = await post(urls.send, { email: typed });
      if (answer.error) return show(again ? { ...answer.error, field: "code" } : answer.error);
      address = typed;
      at("code-address").textContent = typed;
      at("email-form").hidden = true;
      at("code-form").hidden = false;
      at("code").value = "";
      at("code").focus();
      at("code-note").textContent = again ? "A new code is on its way. The old one no longer works." : "";
      return undefined;
    };

    at("email-form").addEventListener("submit", (event) => {
      event.preventDefault();
      busy(event.submitter || at("email-form").querySelector("button"), () => send(at("email").value.trim(), false));
    });
    at("code-again").addEventListener("click", (event) => busy(event.currentTarget, () => send(address, true)));
    at("other-address").addEventListener("click", () => {
      clear("email", "code");
      at("code-form").hidden = true;
      at("email-form").hidden = false;
      at("email").focus();
    });
    at("code-form").addEventListener("submit", (event) => {
      event.preventDefault();
      busy(event.submitter || at("code-form").querySelector("button.button"), async () => {
        clear("email", "code");
        const answer = await post(urls.verify, { email: address, code: at("code").value });
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
        clear("email", "code");
        const answer = await post(urls.pay, {});
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
        const answer = await post(urls.password, {});
        at("note").textContent = answer.error ? answer.error.message : answer.message;
      }),
    );
  }

  if (urls.back && at("waiting")) {
    watch(urls.state, (answer, response) => {
      const over = response.status === 404 || answer.open;
      if (over) window.location.assign(window.location.pathname);
      return over;
    });
  }
})();
