// The forms of partials/mailbox_code.html work without this file. It keeps what is no part of a code out of the field, sends a
// complete code at once, lets a form be sent only once, and counts down until another code may be asked for.
"use strict";

(() => {
  const form = document.querySelector("[data-mailbox]");
  if (!form) return;

  form.addEventListener("submit", (event) => {
    if (form.hasAttribute("aria-busy")) event.preventDefault();
    form.setAttribute("aria-busy", "true");
  });
  window.addEventListener("pageshow", () => form.removeAttribute("aria-busy"));

  const field = document.getElementById("code");
  if (!field) return;
  const alphabet = form.dataset.alphabet === "yes";
  const complete = alphabet ? /(?<![0-9A-Z])([0-9A-Z]{4})-([0-9A-Z]{4})(?![0-9A-Z])/ : /(?<![0-9])([0-9]{3})(?: |-)?([0-9]{3})(?![0-9])/;

  function tidy(text) {
    const plain = text.normalize("NFKC").toUpperCase();
    const found = complete.exec(plain);
    if (found) return alphabet ? `${found[1]}-${found[2]}` : `${found[1]}${found[2]}`;
    return alphabet ? plain.replace(/[^0-9A-Z -]/g, "") : plain.replace(/[^0-9 ]/g, "");
  }

  function take() {
    const before = field.value;
    const after = tidy(before);
    if (after !== before) field.value = after;
    if (!alphabet && /^[0-9]{6}$/.test(after)) form.requestSubmit(document.getElementById("code-check"));
  }

  field.addEventListener("input", take);

  const again = document.getElementById("code-again");
  let seconds = Number(form.dataset.wait || "0");
  if (!again || seconds <= 0) return;
  const shown = again.querySelector(".countdown");
  const show = () => {
    again.disabled = seconds > 0;
    shown.textContent = seconds > 0 ? `(${seconds})` : "";
  };
  show();
  const timer = window.setInterval(() => {
    seconds -= 1;
    show();
    if (seconds <= 0) window.clearInterval(timer);
  }, 1000);
})();
