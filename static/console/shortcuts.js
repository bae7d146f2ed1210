/* Two keys lead to a page: g, then the page's letter, as the dialog of "?" lists them. All keys without Ctrl or Cmd, Unfold's too,
   can be switched off there, do nothing while one types or chooses, and nothing while a dialog is open. */
"use strict";

(() => {
    const STORED = "consoleShortcuts";
    const UNFOLDS = ["?", "/", "[", "f", "c"];
    const WAIT_MILLISECONDS = 1500;
    const TYPED = "input, textarea, select, [contenteditable]";
    let began = 0; // when "g" was pressed

    const isOn = () => localStorage.getItem(STORED) !== "off";
    const isOpen = () => {
        const page = window.Alpine?.$data(document.documentElement) ?? {};
        return page.openModal || page.openCommandResults || page.shortcutsOpen || false;
    };
    const listed = () => Boolean(window.Alpine?.$data(document.documentElement).shortcutsOpen);

    function follow(letter) {
        const link = document.querySelector(`a[data-keys="g ${CSS.escape(letter)}"]`);
        if (link) {
            location.assign(link.href);
        }
        return Boolean(link);
    }

    // On the way down to the element, and so before Unfold's own listener.
    window.addEventListener("keydown", (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.(TYPED)) {
            if (UNFOLDS.includes(event.key) && event.target.matches?.("select")) {
                event.stopImmediatePropagation(); // the letter chooses
            }
            return;
        }
        if (!isOn() || isOpen()) {
            if (UNFOLDS.includes(event.key) && !(event.key === "?" && listed())) {
                event.stopImmediatePropagation();
            }
            return;
        }
        const isSecond = Date.now() - began < WAIT_MILLISECONDS;
        began = !isSecond && event.key === "g" ? Date.now() : 0;
        if (isSecond && follow(event.key)) {
            event.preventDefault();
            event.stopImmediatePropagation();
        }
    }, true);

    document.addEventListener("DOMContentLoaded", () => {
        const box = document.getElementById("shortcuts-on");
        if (box) {
            box.checked = isOn();
            box.addEventListener("change", () => localStorage.setItem(STORED, box.checked ? "on" : "off"));
        }
    });
})();
