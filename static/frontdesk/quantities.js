// Storage page: minus and plus buttons beside each number; the order updates with them. The server computes the real amounts.
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

  // Storage lines are rewritten on every change; the others stay.
  const slugs = new Set(inputs.map((input) => input.name));
  let base = 0;
  for (const line of list.children) {
    if (slugs.has(line.dataset.product)) line.dataset.storage = "yes";
    else base += Number(line.dataset.amount);
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
      if (quantity) list.append(orderLine(input.dataset.name, quantity, amount));
    }
    total.textContent = money(sum);
  }

  function orderLine(name, quantity, amount) {
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

  function stepButton(input, step, sign, label) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = sign;
    button.setAttribute("aria-label", `${label} ${input.dataset.name}`);
    button.addEventListener("click", () => {
      input.value = String(count(input) + step);
      update();
    });
    return button;
  }

  for (const input of inputs) {
    input.before(stepButton(input, -1, "−", "Remove one:"));
    input.after(stepButton(input, 1, "+", "Add one:"));
    input.addEventListener("input", update);
  }
  update();
})();
