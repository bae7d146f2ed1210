// Plan page: offers an add-on of one plan only while that plan is chosen, and an included add-on only while its plan is not.
// Without scripts the page says so in words, and the server checks.
"use strict";

(() => {
  const form = document.querySelector("[data-plan-form]");
  if (!form) return;
  const planAddons = form.querySelectorAll("[data-parent], [data-included]");

  function update() {
    const plan = form.querySelector('input[name="plan"]:checked');
    for (const addon of planAddons) {
      const id = plan === null ? "" : plan.dataset.product;
      const included = (addon.dataset.included || "").split(" ").includes(id);
      const fits = !included && (addon.dataset.parent === undefined || addon.dataset.parent === id);
      addon.hidden = !fits;
      if (!fits) addon.querySelector("input").checked = false;
    }
    const group = form.querySelector("[data-addons]");
    if (group) group.hidden = !group.querySelector(".choice:not([hidden])");
  }

  form.addEventListener("change", update);
  update();
  const problem = document.querySelector('.banner[role="alert"]');
  if (problem) problem.focus();
})();
