/* Tells the server the browser's time zone, by a cookie: the next page is in it. The button at the foot switches to UTC and back. */
"use strict";

(() => {
    const NAME = "console_zone";
    const YEAR_SECONDS = 365 * 86400;
    const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const stored = document.cookie.split("; ").find((one) => one.startsWith(`${NAME}=`))?.slice(NAME.length + 1);

    function store(zone, path) {
        const secure = location.protocol === "https:" ? "; Secure" : "";
        document.cookie = `${NAME}=${zone}; Path=${path}; Max-Age=${YEAR_SECONDS}; SameSite=Lax${secure}`;
    }

    document.addEventListener("DOMContentLoaded", () => {
        const button = document.querySelector("[data-zone]");
        if (!button || !own) {
            return;
        }
        const path = button.dataset.path;
        if (stored !== "UTC" && stored !== own) {
            store(own, path); // new here, or on a journey
        }
        if (own === "UTC") {
            return;
        }
        const other = stored === "UTC" || !stored ? own : "UTC";
        button.textContent = `Show them in ${other}`;
        button.hidden = false;
        button.addEventListener("click", () => {
            store(other, path);
            location.reload();
        });
    });
})();
