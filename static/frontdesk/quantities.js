// Plan and storage page: minus and plus buttons beside each number. What it comes to is order.js's work.
"use strict";

(() => {
  const inputs = document.querySelectorAll("[data-quantity] input");

  function count(input) {
    const value = Number.parseInt(input.value, 10);
    const least = Number(input.min);
    return Number.isNaN(value) ? least : Math.min(Math.max(value, least), Number(input.max));
  }

  function limitButtons(input) {
    const [minus, plus] = input.parentElement.querySelectorAll("button");
    minus.disabled = count(input) <= Number(input.min);
    plus.disabled = count(input) >= Number(input.max);
  }

  function stepButton(input, step, sign, label) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = sign;
    button.setAttribute("aria-label", label);
    button.addEventListener("click", () => {
      input.value = String(count(input) + step);
      input.dispatchEvent(new Event("input", { bubbles: true }));
    });
    return button;
  }

  for (const input of inputs) {
    input.before(stepButton(input, -1, "−", input.dataset.remove));
    input.after(stepButton(input, 1, "+", input.dataset.add));
    input.addEventListener("input", () => limitButtons(input));
    limitButtons(input);
  }
})();
