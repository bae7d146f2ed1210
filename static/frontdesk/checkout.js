// Checkout page: confirm the address, check the username, open Stripe's payment form. The server makes all the rules; this
// file passes answers on and shows messages next to their fields.
"use strict";

(() => {
  const page = document.getElementById("checkout");
  if (!page) return;
  const { byId, post, clear, showError, busy } = window.frontdeskForms(page);
  const urls = page.dataset;
  let embedded = null;
  let address = byId("email-shown").textContent.trim();

  function showCheckoutError(error) {
    if (error.code !== "full") return showError(error);
    const link = document.createElement("a");
    link.href = `${urls.waitlist}?product=${encodeURIComponent(error.field)}`;
    link.textContent = "Join the waitlist";
    return showError(error, link);
  }

  // --- the address ---
  let resendTimer = 0;

  function pauseResend() {
    const button = byId("code-again");
    const name = "Send a new code";
    window.clearInterval(resendTimer);
    let seconds = 60;
    button.disabled = true;
    button.textContent = `${name} (${seconds})`;
    resendTimer = window.setInterval(() => {
      seconds -= 1;
      button.disabled = seconds > 0;
      button.textContent = seconds > 0 ? `${name} (${seconds})` : name;
      if (seconds <= 0) window.clearInterval(resendTimer);
    }, 1000);
  }

  async function sendCode(typed, again) {
    clear("email", "code");
    byId("code-note").textContent = "";
    const answer = await post(urls.send, { email: typed });
    if (answer.error) return showCheckoutError(again && answer.error.field !== "email" ? { ...answer.error, field: "code" } : answer.error);
    address = typed;
    byId("code-address").textContent = typed;
    byId("email-form").hidden = true;
    byId("code-form").hidden = false;
    byId("code").value = "";
    byId("code").focus();
    if (again) byId("code-note").textContent = "A new code is on its way. The old one no longer works.";
    pauseResend();
  }

  function showEmailForm() {
    byId("code-form").hidden = true;
    byId("email-done").hidden = true;
    byId("email-proven").hidden = true;
    byId("email-form").hidden = false;
    byId("account-fields").disabled = true;
    byId("account-wait").hidden = false;
    byId("email").focus();
  }

  async function verifyCode() {
    clear("code");
    byId("code-note").textContent = "";
    const answer = await post(urls.verify, { email: address, code: byId("code").value });
    if (answer.error) return showCheckoutError(answer.error);
    byId("email-shown").textContent = answer.email;
    byId("code-form").hidden = true;
    byId("email-done").hidden = false;
    byId("email-proven").hidden = false;
    byId("account-fields").disabled = false;
    byId("account-wait").hidden = true;
    byId("username").focus();
  }

  // --- the username, checked shortly after the last key ---
  let checks = 0;
  let checkTimer = 0;

  async function checkUsername() {
    const name = byId("username").value.trim();
    const check = ++checks;
    if (name.length < 3) return;
    const answer = await post(urls.validate, { username: name });
    if (check !== checks || (answer.error && answer.error.code === "too_many")) return;
    const found = answer.error ? { available: false, message: answer.error.message } : answer.username;
    byId("username-note").textContent = found.available ? found.message : "";
    byId("username-error").textContent = found.available ? "" : found.message;
    byId("username").toggleAttribute("aria-invalid", !found.available);
    if (!found.available) byId("username").setAttribute("aria-invalid", "true");
  }

  // --- the payment ---
  async function openPayment(ui) {
    clear("username", "last_name", "terms", "begin_at_once");
    const answer = await post(urls.session, {
      username: byId("username").value,
      last_name: byId("last_name").value,
      terms: byId("terms").checked,
      begin_at_once: byId("begin_at_once")?.checked,
      ui,
      order: page.querySelector("[data-order]").dataset.order,
    });
    if (answer.error && answer.error.code === "order_changed") await showNewOrder();
    if (answer.error) return showCheckoutError(answer.error);
    if (answer.paid || answer.ui === "hosted") {
      window.location.assign(answer.url);
      return;
    }
    showPayment();
    try {
      await mount(answer);
    } catch {
      closePayment();
      showCheckoutError({ message: "The payment form couldn't open here. Please pay on Stripe's page instead.", field: "" });
      byId("payment").hidden = false;
    }
  }

  // What would be charged is not what this page shows: show it, so that the button means the new order.
  async function showNewOrder() {
    const answer = await fetch(window.location.href, { headers: { Accept: "text/html" } });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!fresh.querySelector("[data-order]")) return window.location.reload();
    for (const part of page.querySelectorAll("[data-order-part]")) {
      part.replaceChildren(...fresh.querySelector(`[data-order-part="${part.dataset.orderPart}"]`).childNodes);
    }
    return undefined;
  }

  async function mount(answer) {
    const stripe = window.Stripe(answer.publishable_key);
    const create = stripe.createEmbeddedCheckoutPage || stripe.initEmbeddedCheckout;
    embedded = await create.call(stripe, { fetchClientSecret: async () => answer.client_secret });
    byId("payment-loading").hidden = true;
    embedded.mount("#payment-form");
  }

  function showPayment() {
    byId("account-shown").textContent = byId("username").value.trim().toLowerCase();
    byId("account-form").hidden = true;
    byId("account-done").hidden = false;
    byId("payment").hidden = false;
    byId("payment-loading").hidden = false;
    byId("payment-title").focus();
  }

  function closePayment() {
    if (embedded) embedded.destroy();
    embedded = null;
    byId("payment").hidden = true;
    byId("account-form").hidden = false;
    byId("account-done").hidden = true;
  }

  // The embedded form needs Stripe's script, which loads after this one so that it blocks nothing; if it takes longer than
  // five seconds, Stripe's own page is used instead.
  const script = byId("stripe-js");
  const stripeLoaded = new Promise((done) => {
    if (!script || typeof window.Stripe === "function") done();
    else for (const end of ["load", "error"]) script.addEventListener(end, done);
  });

  async function chooseUi() {
    await Promise.race([stripeLoaded, new Promise((done) => window.setTimeout(done, 5000))]);
    return urls.embedded && typeof window.Stripe === "function" ? "embedded" : "hosted";
  }

  function on(id, event, handle) {
    byId(id)?.addEventListener(event, (fired) => {
      fired.preventDefault();
      handle();
    });
  }

  on("email-form", "submit", () => busy(byId("email-send"), () => sendCode(byId("email").value.trim(), false)));
  on("code-form", "submit", () => busy(byId("code-check"), verifyCode));
  on("code-again", "click", () => sendCode(address, true));
  on("code-other", "click", showEmailForm);
  on("email-change", "click", showEmailForm);
  on("account-form", "submit", () => busy(byId("account-go"), async () => openPayment(await chooseUi())));
  on("account-change", "click", closePayment);
  on("payment-hosted", "click", () => busy(byId("payment-hosted"), () => openPayment("hosted")));
  byId("code").addEventListener("input", () => {
    if (/^\s*\d{3}\s?\d{3}\s*$/.test(byId("code").value)) busy(byId("code-check"), verifyCode);
  });
  byId("username").addEventListener("input", () => {
    clear("username");
    byId("username-note").textContent = "";
    window.clearTimeout(checkTimer);
    checkTimer = window.setTimeout(checkUsername, 600);
  });
  // What was typed before this file loaded.
  if (byId("username").value !== byId("username").defaultValue) checkUsername();
})();
