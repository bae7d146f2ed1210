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
    pay.addEventListener("click", (event) => {
      event.preventDefault();  // without JavaScript it is a form
      return busy(pay, async () => {
        clear();
        const answer = await post(urls.pay, {});
        if (answer.error) return showRecoveryError(answer.error);
        return window.location.assign(answer.url);
      });
    });
  }

  const password = byId("password");
  if (password) {
    password.addEventListener("click", (event) => {
      event.preventDefault();
      return busy(password, async () => {
        const answer = await post(urls.password, {});
        byId("note").textContent = answer.error ? answer.error.message : answer.message;
      });
    });
  }

  // While a payment is on its way, and while one is to be made: Stripe's page of an invoice does not lead back here.
  if (pay || byId("waiting")) {
    const follow = (answer, response) => {
      const ended = response.status === 404;  // who presses the button then is told so
      if (answer.open || (ended && !pay)) window.location.assign(window.location.pathname);
      return answer.open || ended;
    };
    poll(urls.state, follow, pay ? 4000 : 1500);
  }
})();
