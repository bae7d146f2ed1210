/* Unfold's dialogs and menus of actions, for keyboards and screen readers: Unfold shows, traps and hides them; this says
   what they are, moves the focus in when one opens, to what was refused, and back to where one came from when it closes. */
"use strict";

(() => {
    const MENU_BUTTON = "li[x-ref] > a:not([href])";
    const MORE = "a[x-on\\:click='showActions = !showActions']"; // on a small screen it shows the actions
    const MENU = "nav[x-show='actionDropdownOpen']";
    const STEPS = new Map([["ArrowDown", 1], ["ArrowUp", -1]]);
    const FIELD = "input:not([type=hidden]), select, textarea";
    let opener = null; // where the focus goes when the dialog closes
    let button = null; // whose menu was opened last

    const seen = (element) => element && element.getClientRects().length > 0;
    const state = (element) => window.Alpine?.$data(element) ?? {}; // Unfold's own; a menu that fades away is still seen
    const openMenu = () => [...document.querySelectorAll(MENU)].find((menu) => state(menu).actionDropdownOpen);
    const enterMenu = () => {
        const menu = openMenu();
        if (menu && !menu.contains(document.activeElement)) { // else somebody is on their way through it already
            menu.querySelector("a")?.focus();
        }
    };
    const soon = (work) => requestAnimationFrame(() => requestAnimationFrame(work));

    function nameButtons() {
        for (const one of document.querySelectorAll(".material-symbols-outlined:not([aria-hidden])")) {
            one.setAttribute("aria-hidden", "true"); // else the name of the picture is read out
        }
        for (const one of document.querySelectorAll(MENU_BUTTON)) {
            one.setAttribute("role", "button");
            one.setAttribute("tabindex", "0");
            one.setAttribute("aria-haspopup", "true");
            one.setAttribute("aria-expanded", "false");
        }
        for (const one of document.querySelectorAll(MORE)) {
            one.setAttribute("role", "button");
            one.setAttribute("aria-label", "Actions");
        }
    }

    function goBack(to) {
        const more = [...document.querySelectorAll(MORE)].find(seen);
        (seen(to) ? to : more)?.focus();
    }

    function tellButtons() {
        for (const one of document.querySelectorAll(MENU_BUTTON)) {
            one.setAttribute("aria-expanded", String(Boolean(state(one).actionDropdownOpen)));
        }
    }

    function setMenu(isOpen) {
        if (button) {
            state(button).actionDropdownOpen = isOpen;
            soon(tellButtons);
        }
    }

    function nameDialog(box) {
        box.setAttribute("role", "dialog");
        box.setAttribute("aria-modal", "true");
        box.setAttribute("tabindex", "-1");
        const title = box.querySelector("#dialog h1");
        if (title) {
            title.id = "dialog-title";
            box.setAttribute("aria-labelledby", title.id);
        }
    }

    function enterDialog(box, from) {
        const menu = from.closest(MENU);
        opener = menu ? button : from;
        if (menu) {
            setMenu(false);
        }
        nameDialog(box);
        // Unfold's trap remembers the focused element a moment after opening; it must not be the one in the dialog.
        setTimeout(() => moveFocusInto(box), 60);
    }

    function moveFocusInto(box, tries = 40) {
        (box.querySelector(`#dialog-form :is(${FIELD})`) || box).focus();
        if (!box.contains(document.activeElement) && tries > 0) {
            setTimeout(() => moveFocusInto(box, tries - 1), 50); // on a slow machine the dialog is not shown yet
        }
    }

    function watchClosing(box) {
        const shell = box.parentElement;
        let wasOpen = false;
        new MutationObserver(() => {
            const isOpen = shell.style.display !== "none";
            if (wasOpen && !isOpen && opener) {
                const back = opener;
                opener = null;
                soon(() => goBack(back));
            }
            wasOpen = isOpen;
        }).observe(shell, { attributes: true, attributeFilter: ["style"] });
    }

    // Enter opens the first of what the search has found; Unfold waits for an arrow key.
    function chooseFirst(results) {
        if (results.querySelector("li a") && "currentIndex" in state(results)) {
            state(results).currentIndex = 1;
        }
    }

    function start() {
        const box = document.getElementById("modal-content");
        nameButtons();
        document.body.addEventListener("htmx:after-swap", (event) => {
            if (event.target.id === "command-results") {
                chooseFirst(event.target); // after Unfold's own listener of this event, which chooses none
            }
        });
        if (!box) {
            return;
        }
        watchClosing(box);
        document.body.addEventListener("htmx:afterSwap", (event) => {
            if (event.detail.target.id === "modal-content") {
                enterDialog(box, event.detail.requestConfig.elt);
            }
        });
        document.body.addEventListener("htmx:afterSettle", (event) => {
            if (event.target.closest(".fd-plans")) {
                return; // a plan that came in meanwhile
            }
            const refused = box.querySelector("#dialog-form [aria-invalid=true]");
            if (refused && seen(box)) {
                refused.focus();
            }
        });
        box.addEventListener("click", (event) => {
            if (event.target.closest("a[href='#']")) {
                event.preventDefault(); // "Cancel" closes; the page stays where it was scrolled to
            }
        });
    }

    document.addEventListener("click", (event) => {
        if (event.target.closest(MORE)) {
            event.preventDefault();
        }
        button = event.target.closest(MENU_BUTTON) || button;
        soon(tellButtons);
    });

    document.addEventListener("keydown", (event) => {
        if (event.target.matches(MORE) && event.key === " ") {
            event.preventDefault();
            event.target.click();
            return;
        }
        if (event.target.matches(MENU_BUTTON) && ["Enter", " ", "ArrowDown"].includes(event.key)) {
            event.preventDefault();
            button = event.target;
            setMenu(true);
            soon(enterMenu);
            return;
        }
        const menu = event.target.closest(MENU);
        if (!menu) {
            return;
        }
        const items = [...menu.querySelectorAll("a")];
        const step = STEPS.get(event.key);
        if (step) {
            event.preventDefault();
            items.at((items.indexOf(document.activeElement) + step + items.length) % items.length).focus();
        } else if (event.key === "Escape" || event.key === "Tab") {
            event.preventDefault();
            setMenu(false);
            goBack(button);
        }
    });

    document.addEventListener("DOMContentLoaded", start);
})();
