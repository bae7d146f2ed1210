/* Unfold draws some buttons as plain text and leaves parts of the page without a name. This names them, lets the keyboard
   reach and press them, and lets what is wider than a phone be scrolled by keyboard. Where a part keeps itself up to date, the whole page is loaded again
   once its work has ended: the actions and the timeline around it are those of before. */
"use strict";

(() => {
    const NAMES = {
        "#nav-sidebar-inner": "Menu",
        "#tabs-items": "Views of this list",
        "#tabs-dropdown": "More views of this list",
        "#nav-sidebar-inner a.shrink-0": "Today",
        "#searchbar": "Search this list",
        "#searchbar-submit": "Search",
        "#search-input-command": "Search everything",
        "#command-submit": "Search",
        ".related-lookup": "Choose",
    };
    // Selectors of what is pressed, by the name it gets; an empty name where its text says it.
    const PRESSED = {
        "span:has(> [x-on\\:click='sidebarToggle()'])": "Show or hide the menu",
        "#nav-sidebar-inner [x-on\\:click='sidebarToggle()']": "Close the menu",
        "#nav-sidebar-inner [x-on\\:click*='opencommand']": "",
        "#nav-sidebar-inner [x-on\\:click*='openUserLinks = !openUserLinks']": "",
        "#nav-sidebar-inner a[x-on\\:click^='switchTheme']": "",
        "[x-on\\:click*='openTabsDropdown = !openTabsDropdown']": "More views of this list",
        "a.filter-open-button": "",
        "[x-on\\:click='handleClear()']": "Close the search",
    };
    const SCROLLED = ".fd-scroll, .fd-code, .overflow-x-auto, .fd-plans";

    const GOES_ON = 'data-at-end="reload"';
    const RELOADS = `[${GOES_ON}]`;

    function nameParts() {
        for (const [selector, name] of Object.entries(NAMES)) {
            for (const part of document.querySelectorAll(`${selector}:not([aria-label])`)) {
                part.setAttribute("aria-label", name);
            }
        }
        for (const [selector, name] of Object.entries(PRESSED)) {
            for (const part of document.querySelectorAll(`${selector}:not([role])`)) {
                part.setAttribute("role", "button");
                part.setAttribute("tabindex", "0");
                part.dataset.pressed = "";
                part.removeAttribute("aria-hidden"); // the picture is the button
                if (name) {
                    part.setAttribute("aria-label", name);
                }
            }
        }
    }

    function nameScrolled(root) {
        for (const part of root.querySelectorAll(SCROLLED)) {
            const scrolls = part.scrollWidth > part.clientWidth || part.scrollHeight > part.clientHeight + 1;
            if (scrolls && !part.hasAttribute("tabindex")) {
                const heading = part.closest("section, article, details, form")?.querySelector("h2, h3, summary");
                part.setAttribute("tabindex", "0");
                part.setAttribute("role", "group");
                part.setAttribute("aria-label", heading?.textContent.trim() || "The table, which can be scrolled");
            }
        }
    }

    document.addEventListener("keydown", (event) => {
        if (event.target.matches("[data-pressed]") && (event.key === "Enter" || event.key === " ")) {
            event.preventDefault();
            (event.target.querySelector("[x-on\\:click]") || event.target).click();
        }
    });

    // While a dialog is open, what is filled in there stays; the part asks again in two seconds.
    function reloadAtEnd(event) {
        const { target, serverResponse } = event.detail;
        if (!event.detail.shouldSwap || !target.matches(RELOADS) || serverResponse.includes(GOES_ON)) {
            return;
        }
        event.detail.shouldSwap = false;
        if (!document.getElementById("modal-content")?.getClientRects().length) {
            location.reload();
        }
    }

    document.addEventListener("htmx:beforeSwap", reloadAtEnd);
    document.addEventListener("DOMContentLoaded", () => {
        nameParts();
        nameScrolled(document);
        window.addEventListener("resize", () => nameScrolled(document));
    });
    // Django's boxes for many choices are drawn when the page has loaded.
    window.addEventListener("load", () => setTimeout(() => {
        for (const part of document.querySelectorAll(".help-tooltip[aria-label]")) {
            part.setAttribute("role", "img");
        }
    }));
    document.addEventListener("htmx:load", (event) => nameScrolled(event.target));
})();
