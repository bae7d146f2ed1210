// Plan page: add-ons that belong to one plan are offered only while that plan is chosen, and those it includes only while
// it is not. Without scripts the page says so in words and the server checks.
"use strict";

(() => {
  const form = document.querySelector("[data-plan-form]");
  if (!form) return;
  const bound = form.querySelectorAll("[data-parent], [data-included]");

  function update() {
    const plan = form.querySelector('input[name="plan"]:checked');
    for (const choice of bound) {
      const id = plan === null ? "" : plan.dataset.product;
      const included = (choice.dataset.included || "").split(" ").includes(id);
      const fits = !included && (choice.dataset.parent === undefined || choice.dataset.parent === id);
      choice.hidden = !fits;
      if (!fits) choice.querySelector("input").checked = false;
    }
  }

  form.addEventListener("change", update);
  update();
  const problem = document.querySelector('.banner[role="alert"]');
  if (problem) problem.focus();
})();
