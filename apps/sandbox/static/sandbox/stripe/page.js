// Fills the form from a test card's button, keeps the digits in groups, and sends a form only once.
(function () {
  "use strict";
  var number = document.querySelector("input[name=card]");
  if (!number) {
    return;
  }
  function fill(name, value) {
    var field = document.querySelector("input[name=" + name + "]");
    if (field && !field.value) {
      field.value = value;
    }
  }
  document.querySelectorAll("[data-card]").forEach(function (button) {
    button.addEventListener("click", function () {
      number.value = button.getAttribute("data-card");
      fill("exp", "12/34");
      fill("cvc", "123");
      fill("name", "Test Customer");
      number.focus();
    });
  });
  number.addEventListener("input", function () {
    if (number.selectionStart === number.value.length) {
      number.value = (number.value.replace(/\D/g, "").match(/.{1,4}/g) || []).join(" ");
    }
  });
  document.querySelectorAll("form").forEach(function (form) {
    form.addEventListener("submit", function (event) {
      if (form.getAttribute("data-sent")) {
        event.preventDefault();
      }
      form.setAttribute("data-sent", "1");
    });
  });
  window.addEventListener("pageshow", function () {
    document.querySelectorAll("form[data-sent]").forEach(function (form) {
      form.removeAttribute("data-sent");
    });
  });
})();
