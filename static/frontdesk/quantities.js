// Storage page: minus and plus buttons beside each number, and the order beside the form follows. The amounts shown here
// are a convenience; the server computes them anew.
"use strict";

(() => {
  const form = document.querySelector("[data-quantities]");
  const order = document.querySelector("[data-order]");
  if (!form || !order) return;
  const list = order.querySelector(".summary");
  const total = order.querySelector("[data-total]");
  const currency = total.dataset.currency.toUpperCase();
  const inputs = [...form.querySelectorAll("[data-amount]")];
  const wholeDigits = new Intl.NumberFormat("en-GB", { style: "currency", currency }).resolvedOptions().maximumFractionDigits;

  function money(minor) {
    const amount = minor / 10 ** wholeDigits;
    const digits = Number.isInteger(amount) ? 0 : wholeDigits;
    return new Intl.NumberFormat("en-GB", { style: "currency", currency, minimumFractionDigits: digits, maximumFractionDigits: digits }).format(amount);
  }

  function count(input) {
    const value = Number.parseInt(input.value, 10);
    return Number.isNaN(value) ? 0 : Math.min(Math.max(value, 0), Number(input.max));
  }

  // The lines that are not storage stay; those of storage are written anew.
  const names = new Set(inputs.map((input) => input.dataset.name));
  const base = Number(total.dataset.total) - inputs.reduce((sum, input) => sum + Number(input.dataset.amount) * Number(input.defaultValue || 0), 0);
  for (const line of list.children) {
    if (names.has(line.firstElementChild.firstChild.textContent.trim())) line.dataset.storage = "yes";
  }

  function update() {
    for (const line of list.querySelectorAll("[data-storage]")) line.remove();
    let sum = base;
    for (const input of inputs) {
      const quantity = count(input);
      const amount = Number(input.dataset.amount) * quantity;
      const [minus, plus] = input.parentElement.querySelectorAll("button");
      minus.disabled = quantity <= 0;
      plus.disabled = quantity >= Number(input.max);
      sum += amount;
      if (quantity) list.append(lineOf(input.dataset.name, quantity, amount));
    }
    total.textContent = money(sum);
  }

  function lineOf(name, quantity, amount) {
    const line = document.createElement("li");
    line.dataset.storage = "yes";
    const text = document.createElement("span");
    text.textContent = quantity > 1 ? `${name} × ${quantity}` : name;
    const price = document.createElement("span");
    price.className = "amount";
    price.textContent = money(amount);
    line.append(text, price);
    return line;
  }

  function button(input, step, sign, word) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = sign;
    made.setAttribute("aria-label", `${word} ${input.dataset.name}`);
    made.addEventListener("click", () => {
      input.value = String(count(input) + step);
      update();
    });
    return made;
  }

  for (const input of inputs) {
    input.before(button(input, -1, "−", "Remove one:"));
    input.after(button(input, 1, "+", "Add one:"));
    input.addEventListener("input", update);
  }
  update();
})();
