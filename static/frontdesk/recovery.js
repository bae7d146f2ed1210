// Recovery, once the address is confirmed: go to pay, and see the account open again. The server makes all the rules.
"use strict";

(() => {
  const page = document.getElementById("account");
  if (!page) return;
  const { byId, post, clear, showError, busy, poll } = window.frontdeskForms(page);
  const urls = page.dataset;

  function showRecoveryError(error) {
    if (error.code !== "no_recovery") return showError(error);
    const link = document.createElement("a");
    link.href = window.location.pathname;
    link.textContent = urls.textAgain;
    return showError(error, link);
  }

  const pay = byId("pay");
  if (pay) {
    pay.addEventListener("click", () =>
      busy(pay, async () => {
        clear();
        const answer = await post(urls.pay, {});
        if (answer.error) return showRecoveryError(answer.error);
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
