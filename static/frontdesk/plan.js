// Plan page: add-ons that belong to one plan are offered only while that plan is chosen. Without scripts the page says so
// in words and the server checks.
"use strict";

(() => {
  const form = document.querySelector("[data-plan-form]");
  if (!form) return;
  const bound = form.querySelectorAll("[data-parent]");

  function update() {
    const plan = form.querySelector('input[name="plan"]:checked');
    for (const choice of bound) {
      const fits = plan !== null && plan.dataset.product === choice.dataset.parent;
      choice.hidden = !fits;
      if (!fits) choice.querySelector("input").checked = false;
    }
  }

  form.addEventListener("change", update);
  update();
  const problem = document.querySelector('.banner[role="alert"]');
  if (problem) problem.focus();
})();
