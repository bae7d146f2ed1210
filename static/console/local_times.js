/* Moments in the reader's own time zone: the page has them in UTC, and the exact one stays in the title. */
"use strict";

(() => {
    const format = new Intl.DateTimeFormat("en-GB", {
        day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short",
    });

    function localize(root) {
        for (const time of root.querySelectorAll("time[data-local]")) {
            const moment = new Date(time.dateTime);
            if (!Number.isNaN(moment.getTime())) {
                time.textContent = format.format(moment);
                time.removeAttribute("data-local");
            }
        }
    }

    document.addEventListener("DOMContentLoaded", () => localize(document));
    document.addEventListener("htmx:load", (event) => localize(event.target));
})();
