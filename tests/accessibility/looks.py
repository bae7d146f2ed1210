"""What a browser finds wrong with a page: axe, in each look; what moves, is cut off, or is wider than the window."""

import contextlib
import contextvars
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import brotli
import pytest_playwright_axe
from django.conf import settings
from django.contrib.staticfiles import finders
from django.urls import Resolver404
from playwright.sync_api import Browser, Request, Route

from tests.accessibility.house import Shown
from tests.security.addresses import route_of

SITE = "http://testserver"
AXE = next(Path(pytest_playwright_axe.__file__).parent.rglob("axe.min.js")).read_text()
DESK, PHONE, SMALL = {"width": 1280, "height": 900}, {"width": 390, "height": 844}, {"width": 320, "height": 640}
# Its form is Stripe's, in a frame of its own.
STRIPE = "window.Stripe = () => ({initEmbeddedCheckout: async () => ({mount() {}, destroy() {}})});"
LOOKS = ("light", "dark", "forced")
MOST_REQUESTS, MOST_BYTES = 8, 50_000  # of a public page
COLORS = ["color-contrast", "link-in-text-block"]
# Every rule, those for good practice and the size of targets (WCAG 2.2, 2.5.8) too, or the named ones.
FOUND = """async only => (await axe.run({exclude: [["iframe"]]}, {
    resultTypes: ["violations"], preload: false, iframes: false,
    ...(only.length ? {runOnly: only} : {rules: {"target-size": {enabled: true}}}),
})).violations.map(one => `${one.id}, ${one.nodes.length} times: ${one.nodes.slice(0, 2).map(
    node => `${node.target.join(" ")} ${node.html.slice(0, 200)} ${[...node.any, ...node.all, ...node.none].map(check => check.message).join(" ")}`).join("; ")}`)"""
WATCHED = """window.moved = []; new PerformanceObserver(list => { for (const one of list.getEntries()) if (!one.hadRecentInput)
    window.moved.push(`${one.value.toFixed(4)} ${one.sources.map(source => source.node && (source.node.outerHTML || source.node.textContent).slice(0, 80).replace(/\\s+/g, ' ')).join(", ")}`);
}).observe({type: "layout-shift", buffered: true});"""
# After three pictures, since what moves may move only then.
MOVED = """async () => { for (let n = 0; n < 3; n++) await new Promise(requestAnimationFrame);
    await new Promise(done => setTimeout(done, 50)); return window.moved; }"""
# Wider than the window; or a text that somebody can't read to its end.
LOST = """() => { const root = document.documentElement, found = [];
    const seen = [...document.querySelectorAll("body *")].filter(one => !one.closest(".visually-hidden, .scroll, .skip-link, svg, iframe") && one.checkVisibility());
    if (root.scrollWidth > root.clientWidth) found.push(`wider by ${root.scrollWidth - root.clientWidth}: ${seen.filter(
        one => one.getBoundingClientRect().right > root.clientWidth + 1).slice(0, 3).map(one => one.outerHTML.slice(0, 140)).join("; ")}`);
    for (const one of seen) { const style = getComputedStyle(one);
        if (style.clipPath !== "none" || !one.textContent.trim()) continue;
        if (style.overflowX !== "visible" && one.scrollWidth > one.clientWidth + 1 || style.overflowY !== "visible" && one.scrollHeight > one.clientHeight + 1)
            found.push(`cut off: ${one.outerHTML.slice(0, 140)}`); }
    for (const one of seen.filter(one => one.matches(".code-input")))
        if (one.scrollWidth > one.clientWidth + 1) found.push(`cut off: ${one.outerHTML.slice(0, 140)}`);
    return found; }"""


@dataclass
class Reader:
    """One browser window that reads every state, answered by the test's own client: in this transaction, without a server."""

    browser: Browser
    pictures: Path | None = None
    shown: Shown = field(default_factory=lambda: Shown("/"))
    language: str = "en"
    sizes: dict[str, int] = field(
        default_factory=dict
    )  # of what the page has loaded, in bytes as production sends them
    routes: set[str] = field(default_factory=set)  # that have been read
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.context = self.browser.new_context(reduced_motion="reduce")
        # Playwright calls in a context of its own, which has another connection to the database.
        self.ours = contextvars.copy_context()
        self.context.route("**/*", self._answer)
        self.context.add_init_script(WATCHED)
        self.page = self.context.new_page()
        self.devtools = self.context.new_cdp_session(self.page)
        self.page.on(
            "console", lambda said: self.failures.append(said.text) if "Content Security" in said.text else None
        )
        self.page.on("pageerror", lambda error: self.failures.append(str(error)))

    def _answer(self, route: Route) -> None:
        request = route.request
        address = request.url.removeprefix(SITE)
        if request.url == settings.STRIPE_JS_URL:
            return route.fulfill(body=STRIPE, content_type="text/javascript")
        if not request.url.startswith(SITE):
            return route.abort()
        if address.startswith(settings.STATIC_URL):
            path = Path(str(finders.find(address.removeprefix(settings.STATIC_URL).partition("?")[0])))
            self.sizes[address] = _compressed(path)
            return route.fulfill(path=path)
        got = self.ours.copy().run(self._ask, route.request, address)
        self.sizes[address] = len(got.content)
        return route.fulfill(status=got.status_code, headers=dict(got.items()), body=got.content)

    def _ask(self, request: Request, address: str) -> Any:
        client = self.shown.client
        client.cookies[settings.LANGUAGE_COOKIE_NAME] = self.language
        if request.is_navigation_request() and address == self.shown.address and self.shown.form is not None:
            return client.post(address, self.shown.form)
        headers = {"Accept": request.headers.get("accept", "")}
        if request.method == "POST":
            return client.post(
                address, request.post_data or "", content_type=request.headers["content-type"], headers=headers
            )
        return client.get(address, headers=headers)

    def read(self, name: str, shown: Shown, language: str) -> Iterator[str]:
        """All that is wrong with this state in this language."""
        with contextlib.suppress(Resolver404):
            self.routes.add(route_of(shown.address.partition("?")[0]))
        self.shown, self.language, self.sizes, self.failures = shown, language, {}, []
        where = f"{name} [{language}]"
        yield from (f"{where} {one}" for one in self._open())
        if shown.then:
            shown.then(self.page)
        self.page.evaluate(AXE)
        for look in LOOKS:
            yield from (f"{where} {look}: {one}" for one in self._look(look))
            self._take(name, look)
        self._dress("light")
        for pixels, size in ((32, DESK), (32, PHONE), (16, PHONE), (16, SMALL)):
            self.page.set_viewport_size(size)  # type: ignore[arg-type]
            self._enlarge(pixels)
            yield from (f"{where} {size['width']}, text of {pixels}: {one}" for one in self.page.evaluate(LOST))
        yield from (f"{where}: {one}" for one in self.failures)

    def _open(self) -> Iterator[str]:
        page = self.page
        page.set_viewport_size(DESK)  # type: ignore[arg-type]
        page.goto(SITE + self.shown.address)
        if page.evaluate(MOVED):  # on a busy machine a page may be painted before all of it has come
            page.goto(SITE + self.shown.address)
        yield from (f"moves: {one}" for one in page.evaluate(MOVED))
        if page.locator("html").get_attribute("lang") != self.language:
            yield "is not in this language"
        if self.shown.is_public and (len(self.sizes) > MOST_REQUESTS or sum(self.sizes.values()) > MOST_BYTES):
            yield f"heavy: {self.sizes}"

    def _look(self, look: str) -> list[str]:
        """What axe finds; what the eye can't see is the same in each look."""
        self._dress(look)
        found: list[str] = self.page.evaluate(FOUND, [] if look == "light" else COLORS)
        return found

    def _dress(self, look: str) -> None:
        self.page.emulate_media(
            color_scheme="light" if look == "light" else "dark", forced_colors="active" if look == "forced" else "none"
        )

    def _enlarge(self, pixels: int) -> None:
        """The size of text that the person has set in the browser."""
        self.devtools.send("Page.setFontSizes", {"fontSizes": {"standard": pixels, "fixed": pixels}})

    def _take(self, name: str, look: str) -> None:
        """A picture, on a phone."""
        if not self.pictures:
            return
        self.pictures.mkdir(parents=True, exist_ok=True)
        self.page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        self.page.screenshot(
            path=self.pictures / f"{name.replace(' ', '-')}-{self.language}-{look}.png", full_page=True
        )
        self.page.set_viewport_size(DESK)  # type: ignore[arg-type]


_sizes: dict[Path, int] = {}


def _compressed(path: Path) -> int:
    """As whitenoise stores it when the image is built."""
    if path not in _sizes:
        _sizes[path] = len(brotli.compress(path.read_bytes()))
    return _sizes[path]
