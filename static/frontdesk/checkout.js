// Checkout page: check the username, open Stripe's payment form. The server makes all the rules; this file passes answers on and
// shows messages next to their fields. The address is confirmed by plain forms (partials/mailbox_code.html).
"use strict";

(() => {
  const page = document.getElementById("checkout");
  if (!page) return;
  const { byId, post, clear, showError, busy } = window.frontdeskForms(page);
  const urls = page.dataset;
  let embedded = null;

  function showCheckoutError(error) {
    if (error.field === "username") byId("username-note").textContent = "";
    const link = document.createElement("a");
    if (error.code === "full") {
      link.href = `${urls.waitlist}?product=${encodeURIComponent(error.field)}`;
      link.textContent = urls.textWaitlist;
      return showError(error, link);
    }
    if (error.code === "login" || (error.code === "taken" && error.field === "email")) {
      link.href = urls.account;
      link.textContent = urls.textAccount;
      return showError(error, link);
    }
    if (error.code !== "no_signup") return showError(error);
    link.href = urls.start;
    link.textContent = urls.textStart;
    return showError(error, link);
  }

  // --- the username, checked shortly after the last key ---
  let checks = 0;
  let checkTimer = 0;

  function stopCheck() {
    checks += 1;
    window.clearTimeout(checkTimer);
  }

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

  // --- what was typed, kept in this tab until it is ordered: a reload and "Back" lose nothing ---
  const DRAFT = "frontdesk-account";
  const fields = ["username", "first_name", "last_name"].map(byId).filter(Boolean);
  const boxes = [...byId("account-form").querySelectorAll('input[type="checkbox"]')];

  function saveDraft() {
    const draft = { of: urls.draft, typed: fields.map((field) => field.value), ticked: boxes.map((box) => box.checked) };
    try {
      window.sessionStorage.setItem(DRAFT, JSON.stringify(draft));
    } catch {
      // This browser keeps nothing.
    }
  }

  function readDraft() {
    try {
      const draft = JSON.parse(window.sessionStorage.getItem(DRAFT) || "{}");
      if (draft.of !== urls.draft) return;
      fields.forEach((field, at) => {
        if (!field.value && !field.readOnly) field.value = draft.typed.at(at) || "";
      });
      boxes.forEach((box, at) => {
        box.checked = box.checked || draft.ticked.at(at) === true;
      });
    } catch {
      // Nothing was kept, or something else.
    }
  }

  function forgetDraft() {
    try {
      window.sessionStorage.removeItem(DRAFT);
    } catch {
      // Nothing was kept.
    }
  }

  // --- the payment ---
  async function openPayment(ui) {
    stopCheck();  // its late answer would wipe what this one says
    clear("username", "first_name", "last_name", "terms", "begin_at_once");
    const answer = await post(urls.session, {
      username: byId("username").value,
      first_name: byId("first_name")?.value,
      last_name: byId("last_name").value,
      terms: byId("terms").checked ? byId("terms").value : "",
      begin_at_once: byId("begin_at_once")?.checked,
      ui,
      order: page.querySelector("[data-order]").dataset.order,
    });
    if (answer.error && answer.error.code === "order_changed") await showNewOrder();
    if (answer.error && answer.error.code === "terms_changed") {
      byId("terms").checked = false;
      byId("terms").value = answer.error.version;
    }
    if (answer.error) return showCheckoutError(answer.error);
    if (answer.paid) forgetDraft();
    if (answer.paid || answer.ui === "hosted") {
      window.location.assign(answer.url);
      return;
    }
    showPayment();
    try {
      await mount(answer);
    } catch {
      closePayment();
      showCheckoutError({ message: urls.textHosted, field: "" });
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
    page.querySelector('[name="order"]').value = page.querySelector("[data-order]").dataset.order;
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

  byId("account-form").addEventListener("submit", (event) => {
    if (event.submitter && event.submitter.value === "back") return;
    event.preventDefault();
    busy(byId("account-go"), async () => openPayment(await chooseUi()));
  });
  for (const event of ["input", "change"]) byId("account-form").addEventListener(event, saveDraft);
  on("account-change", "click", closePayment);
  on("payment-hosted", "click", () => busy(byId("payment-hosted"), () => openPayment("hosted")));
  byId("username").addEventListener("input", () => {
    clear("username");
    byId("username-note").textContent = "";
    window.clearTimeout(checkTimer);
    checkTimer = window.setTimeout(checkUsername, 600);
  });
  readDraft();
  // What was typed before this file loaded, or is kept of earlier.
  if (byId("username").value !== byId("username").defaultValue) checkUsername();
})();
