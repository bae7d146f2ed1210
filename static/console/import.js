/* A file for an import, read in the browser into the text of its dialog: a request of ours holds no files. */
"use strict";

(() => {
    const MARKS = [[[0xef, 0xbb, 0xbf], "utf-8"], [[0xff, 0xfe], "utf-16le"], [[0xfe, 0xff], "utf-16be"]];

    function decode(bytes) {
        const marked = MARKS.find(([mark]) => mark.every((byte, index) => bytes.at(index) === byte));
        try {
            return new TextDecoder(marked?.at(1) ?? "utf-8", { fatal: true }).decode(bytes);
        } catch {
            return new TextDecoder("windows-1252").decode(bytes);
        }
    }

    async function fill(text, file) {
        const found = decode(new Uint8Array(await file.arrayBuffer()));
        const isTooLong = found.length > Number(text.dataset.file);
        text.setCustomValidity(isTooLong ? "The file is too large for the console. Use manage.py import_customers." : "");
        text.value = isTooLong ? "" : found;
        text.reportValidity();
        const name = text.form.querySelector("[data-file-name]");
        if (name) {
            name.value = file.name.slice(0, 120);
        }
    }

    function offer(text) {
        const input = document.createElement("input");
        input.type = "file";
        input.accept = ".csv,.txt,text/csv";
        input.setAttribute("aria-label", "Choose the file");
        input.addEventListener("change", () => input.files[0] && fill(text, input.files[0]));
        text.addEventListener("input", () => text.setCustomValidity(""));
        text.before(input);
        text.dataset.offered = "true";
    }

    document.addEventListener("htmx:afterSettle", () => {
        document.querySelectorAll("textarea[data-file]:not([data-offered])").forEach(offer);
    });
})();
