// Checkout page: prove the mailbox, check the username, open Stripe's payment form. All rules are the server's; this file
// only carries answers to and fro and shows sentences next to the fields they belong to.
"use strict";

(() => {
  const page = document.getElementById("checkout");
  if (!page) return;
  const { at, post, clear, show: tell, busy } = window.frontdeskForms(page);
  const urls = page.dataset;
  let embedded = null;
  let address = at("email-shown").textContent.trim();

  function show(error) {
    if (error.code !== "full") return tell(error);
    const link = document.createElement("a");
    link.href = `${urls.waitlist}?product=${encodeURIComponent(error.field)}`;
    link.textContent = "Join the waitlist";
    return tell(error, link);
  }

  // --- the mailbox ---
  let waiting = 0;

  function pauseResend() {
    const button = at("code-again");
    const name = "Send a new code";
    window.clearInterval(waiting);
    let seconds = 60;
    button.disabled = true;
    button.textContent = `${name} (${seconds})`;
    waiting = window.setInterval(() => {
      seconds -= 1;
      button.disabled = seconds > 0;
      button.textContent = seconds > 0 ? `${name} (${seconds})` : name;
      if (seconds <= 0) window.clearInterval(waiting);
    }, 1000);
  }

  async function send(typed, again) {
    clear("email", "code");
    at("code-note").textContent = "";
    const answer = await post(urls.send, { email: typed });
    if (answer.error) return show(again && answer.error.field !== "email" ? { ...answer.error, field: "code" } : answer.error);
    address = typed;
    at("code-address").textContent = typed;
    at("email-form").hidden = true;
    at("code-form").hidden = false;
    at("code").value = "";
    at("code").focus();
    if (again) at("code-note").textContent = "A new code is on its way. The old one no longer works.";
    pauseResend();
  }

  function showEmailForm() {
    at("code-form").hidden = true;
    at("email-done").hidden = true;
    at("email-proven").hidden = true;
    at("email-form").hidden = false;
    at("account-fields").disabled = true;
    at("account-wait").hidden = false;
    at("email").focus();
  }

  async function verify() {
    clear("code");
    at("code-note").textContent = "";
    const answer = await post(urls.verify, { email: address, code: at("code").value });
    if (answer.error) return show(answer.error);
    at("email-shown").textContent = answer.email;
    at("code-form").hidden = true;
    at("email-done").hidden = false;
    at("email-proven").hidden = false;
    at("account-fields").disabled = false;
    at("account-wait").hidden = true;
    at("username").focus();
  }

  // --- the username, asked a little after the last key ---
  let asked = 0;
  let timer = 0;

  async function checkName() {
    const name = at("username").value.trim();
    const mine = ++asked;
    if (name.length < 3) return;
    const answer = await post(urls.validate, { username: name });
    if (mine !== asked || (answer.error && answer.error.code === "too_many")) return;
    const found = answer.error ? { available: false, message: answer.error.message } : answer.username;
    at("username-note").textContent = found.available ? found.message : "";
    at("username-error").textContent = found.available ? "" : found.message;
    at("username").toggleAttribute("aria-invalid", !found.available);
    if (!found.available) at("username").setAttribute("aria-invalid", "true");
  }

  // --- the payment ---
  async function open(ui) {
    clear("username", "last_name", "terms");
    const answer = await post(urls.session, {
      username: at("username").value,
      last_name: at("last_name").value,
      terms: at("terms").checked,
      ui,
    });
    if (answer.error) return show(answer.error);
    if (answer.paid || answer.ui === "hosted") {
      window.location.assign(answer.url);
      return;
    }
    showPayment();
    try {
      await mount(answer);
    } catch {
      closePayment();
      show({ message: "The payment form couldn't open here. Please pay on Stripe's page instead.", field: "" });
      at("payment").hidden = false;
    }
  }

  async function mount(answer) {
    const stripe = window.Stripe(answer.publishable_key);
    const make = stripe.createEmbeddedCheckoutPage || stripe.initEmbeddedCheckout;
    embedded = await make.call(stripe, { fetchClientSecret: async () => answer.client_secret });
    at("payment-loading").hidden = true;
    embedded.mount("#payment-form");
  }

  function showPayment() {
    at("account-shown").textContent = at("username").value.trim().toLowerCase();
    at("account-form").hidden = true;
    at("account-done").hidden = false;
    at("payment").hidden = false;
    at("payment-loading").hidden = false;
    at("payment-title").focus();
  }

  function closePayment() {
    if (embedded) embedded.destroy();
    embedded = null;
    at("payment").hidden = true;
    at("account-form").hidden = false;
    at("account-done").hidden = true;
  }

  // The embedded form needs Stripe's script, which comes after this one so that it holds nobody up; where it does not load
  // within five seconds, Stripe's own page does the same.
  const script = at("stripe-js");
  const stripeCame = new Promise((done) => {
    if (!script || typeof window.Stripe === "function") done();
    else for (const end of ["load", "error"]) script.addEventListener(end, done);
  });

  async function preferred() {
    await Promise.race([stripeCame, new Promise((done) => window.setTimeout(done, 5000))]);
    return urls.embedded && typeof window.Stripe === "function" ? "embedded" : "hosted";
  }

  function on(id, event, work) {
    at(id)?.addEventListener(event, (happened) => {
      happened.preventDefault();
      work();
    });
  }

  on("email-form", "submit", () => busy(at("email-send"), () => send(at("email").value.trim(), false)));
  on("code-form", "submit", () => busy(at("code-check"), verify));
  on("code-again", "click", () => send(address, true));
  on("code-other", "click", showEmailForm);
  on("email-change", "click", showEmailForm);
  on("account-form", "submit", () => busy(at("account-go"), async () => open(await preferred())));
  on("account-change", "click", closePayment);
  on("payment-hosted", "click", () => busy(at("payment-hosted"), () => open("hosted")));
  at("code").addEventListener("input", () => {
    if (/^\s*\d{3}\s?\d{3}\s*$/.test(at("code").value)) busy(at("code-check"), verify);
  });
  at("username").addEventListener("input", () => {
    clear("username");
    at("username-note").textContent = "";
    window.clearTimeout(timer);
    timer = window.setTimeout(checkName, 600);
  });
  // What was typed before this file had come.
  if (at("username").value !== at("username").defaultValue) checkName();
})();
