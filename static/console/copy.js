/* Buttons that copy the command beside them. Where the browser keeps the clipboard to itself, the command is selected
   instead, so that one key copies it. */
"use strict";

(() => {
    const SHOWN_MILLISECONDS = 2000;

    function select(text) {
        const range = document.createRange();
        range.selectNodeContents(text);
        const selection = window.getSelection();
        selection.removeAllRanges();
        selection.addRange(range);
    }

    async function copy(button) {
        const text = button.parentElement.querySelector("pre");
        let word = "Copied";
        try {
            await navigator.clipboard.writeText(text.textContent);
        } catch {
            select(text);
            word = "Selected";
        }
        button.textContent = word;
        button.setAttribute("aria-label", `${word} the command`);
        setTimeout(() => {
            button.textContent = "Copy";
            button.setAttribute("aria-label", "Copy the command");
        }, SHOWN_MILLISECONDS);
    }

    document.addEventListener("click", (event) => {
        const button = event.target.closest("[data-copy]");
        if (button) {
            copy(button);
        }
    });
})();
