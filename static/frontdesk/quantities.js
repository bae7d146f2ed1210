// Plan and storage page: the minus and plus buttons beside each number. What it comes to is order.js's work.
"use strict";

(() => {
  function count(input) {
    const value = Number.parseInt(input.value, 10);
    const least = Number(input.min);
    return Number.isNaN(value) ? least : Math.min(Math.max(value, least), Number(input.max));
  }

  for (const input of document.querySelectorAll("[data-quantity] input")) {
    const [minus, plus] = input.parentElement.querySelectorAll("button");
    const limit = () => {
      minus.disabled = count(input) <= Number(input.min);
      plus.disabled = count(input) >= Number(input.max);
    };
    for (const [button, step] of [[minus, -1], [plus, 1]]) {
      button.addEventListener("click", () => {
        input.value = String(count(input) + step);
        input.dispatchEvent(new Event("input", { bubbles: true }));
      });
    }
    input.addEventListener("input", limit);
    limit();
  }
})();
