// Plan page: offers an add-on of one plan only while that plan is chosen; what the chosen plan includes is ticked, and stays so.
// Without scripts the page says so in words, and the server checks.
"use strict";

(() => {
  const form = document.querySelector("[data-plan-form]");
  if (!form) return;
  const planAddons = form.querySelectorAll("[data-parent], [data-included]");

  // The tick of one's own comes back when another plan is chosen, which has it for a price.
  function showIncluded(addon, included) {
    const box = addon.querySelector("input");
    const was = addon.classList.contains("choice-included");
    addon.querySelector("[data-included-label]").hidden = !included;
    addon.querySelector("[data-price]").hidden = included;
    if (included === was) return;
    addon.classList.toggle("choice-included", included);
    if (included) box.dataset.own = `${box.checked} ${box.disabled}`;
    const [checked, disabled] = included ? [true, true] : box.dataset.own.split(" ").map((one) => one === "true");
    box.checked = checked;
    box.disabled = disabled;
  }

  function update() {
    const plan = form.querySelector('input[name="plan"]:checked');
    for (const addon of planAddons) {
      const id = plan === null ? "" : plan.dataset.product;
      const included = (addon.dataset.included || "").split(" ").includes(id);
      const fits = included || addon.dataset.parent === undefined || addon.dataset.parent === id;
      addon.hidden = !fits;
      showIncluded(addon, included);
      if (!fits) addon.querySelector("input").checked = false;
    }
    const people = form.querySelector("[data-by-people]");
    if (people) {
      people.hidden = plan === null || !people.dataset.byPeople.split(" ").includes(plan.dataset.product);
      people.toggleAttribute("data-unfit", people.hidden);
    }
    const group = form.querySelector("[data-addons]");
    if (group) group.hidden = !group.querySelector(".choice:not([hidden])");
  }

  form.addEventListener("change", update);
  update();
  const problem = document.querySelector('.banner[role="alert"]');
  if (problem) problem.focus();
})();
