// Stands in for https://js.stripe.com: window.Stripe(key) with embedded Checkout, in both its old and its new name.
(function () {
  "use strict";
  var base = new URL(document.currentScript.src);
  var home = base.href.replace(/\/(js|dahlia)\/[^/]*$/, "");

  function element(place) {
    var found = typeof place === "string" ? document.querySelector(place) : place;
    if (!found) {
      throw new Error("Stripe sandbox: there is no element " + place + " to mount on.");
    }
    return found;
  }

  function page(options) {
    var frame = null;
    var listener = null;
    var destroyed = false;
    var secret = options.clientSecret
      ? Promise.resolve(options.clientSecret)
      : Promise.resolve(options.fetchClientSecret());

    function hear(event) {
      if (event.origin !== base.origin || !frame || event.source !== frame.contentWindow) {
        return;
      }
      var said = event.data || {};
      if (said.type === "sandbox-checkout-height") {
        frame.setAttribute("height", String(Math.max(320, Number(said.height) || 0)));
      }
      if (said.type === "sandbox-checkout-complete") {
        if (options.onComplete) {
          options.onComplete();
        }
        if (said.url) {
          window.location.assign(said.url);
        }
      }
    }

    function unmount() {
      if (frame) {
        frame.remove();
        frame = null;
      }
      if (listener) {
        window.removeEventListener("message", listener);
        listener = null;
      }
    }

    return secret.then(function (value) {
      if (typeof value !== "string" || value.indexOf("_secret_") < 0) {
        throw new Error("Stripe sandbox: fetchClientSecret must give the client_secret of a Checkout Session.");
      }
      return {
        mount: function (place) {
          if (destroyed) {
            throw new Error("Stripe sandbox: this checkout has been destroyed.");
          }
          unmount();
          frame = document.createElement("iframe");
          frame.src = home + "/checkout/embedded/" + encodeURIComponent(value);
          frame.title = "Secure payment form (sandbox)";
          frame.name = "embedded-checkout";
          frame.setAttribute("width", "100%");
          frame.setAttribute("height", "760");
          frame.setAttribute("frameborder", "0");
          frame.setAttribute("allow", "payment");
          listener = hear;
          window.addEventListener("message", listener);
          element(place).appendChild(frame);
        },
        unmount: unmount,
        destroy: function () {
          unmount();
          destroyed = true;
        }
      };
    });
  }

  window.Stripe = function (key) {
    if (typeof key !== "string" || key.indexOf("pk_") !== 0) {
      throw new Error("Stripe sandbox: give a publishable key (pk_test_…).");
    }
    return {
      createEmbeddedCheckoutPage: page,
      initEmbeddedCheckout: page,
      redirectToCheckout: function (options) {
        window.location.assign(home + "/checkout/" + options.sessionId);
        return Promise.resolve({});
      }
    };
  };
  window.Stripe.version = "sandbox";
})();
