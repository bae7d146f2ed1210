// Inside the frame: tells the page around it how high the form is and when the payment is done.
(function () {
  "use strict";
  if (window.parent === window) {
    return;
  }
  function tell(message) {
    window.parent.postMessage(message, "*");
  }
  function height() {
    tell({ type: "sandbox-checkout-height", height: document.documentElement.scrollHeight });
  }
  window.addEventListener("load", height);
  window.addEventListener("resize", height);
  var done = document.querySelector("[data-complete]");
  if (done) {
    tell({ type: "sandbox-checkout-complete", url: done.getAttribute("data-complete") });
  }
})();
