"""Every page of the console as axe and a phone see it: light and dark, at 1440 and at 390 pixels, with rows in it."""

import contextvars
from collections.abc import Callable, Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
import pytest_playwright_axe
from django.conf import settings
from django.contrib.staticfiles import finders
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, BrowserContext, Page, Route

from apps.console.zones import COOKIE
from tests.security.town import Town
from tests.security.url_table import table

pytestmark = [pytest.mark.browser, pytest.mark.django_db]

AXE = next(Path(pytest_playwright_axe.__file__).parent.rglob("axe.min.js")).read_text()
SITE, ZONE = "http://testserver", "America/Argentina/Buenos_Aires"  # a long name
WIDE, PHONE = {"width": 1440, "height": 1000}, {"width": 390, "height": 844}
STILL = "*, *::before, *::after { transition: none !important; animation: none !important; }"
LOADED = "() => !document.getElementById('page') || window.Alpine && !document.querySelector('[x-cloak]:is(html)') && !document.querySelector('.htmx-request')"
THEME = "theme => { Alpine.$data(document.documentElement).switchTheme(theme); return Alpine.nextTick(); }"
OPENED = """address => htmx.ajax("GET", address, {target: "#modal-content", select: "#dialog"}).then(() => {
    Alpine.$data(document.documentElement).openModal = true; })"""
FOUND = """async rules => (await axe.run(document, rules.length ? {runOnly: rules} : {})).violations.map(one =>
    `${one.id}, ${one.nodes.length} times: ${one.nodes.slice(0, 2).map(
        node => `${node.target.join(" ")} ${node.html.slice(0, 200)} ${node.any.map(check => check.message).join(" ")}`).join("; ")}`)"""
TOO_WIDE = """() => { const root = document.documentElement; if (root.scrollWidth <= root.clientWidth) return [];
    const wide = [...document.querySelectorAll("main *, header *")].filter(one => one.getBoundingClientRect().right > root.clientWidth + 1);
    return [`wider than the phone by ${root.scrollWidth - root.clientWidth}: ${wide.slice(0, 3).map(one => one.outerHTML.slice(0, 160)).join("; ")}`]; }"""


def read(town: Town, address: str, headers: dict[str, str] | None = None) -> Any:
    """An admin's GET, with the login that there was at first, and from far away."""
    client = town.client
    client.cookies = SimpleCookie({settings.SESSION_COOKIE_NAME: town.cookies["admin"].value, COOKIE: ZONE})  # type: ignore[union-attr]
    return client.get(address, headers=headers)


def serve(context: BrowserContext, town: Town) -> None:
    """Answer what the browser asks for by the test's own client: in this transaction, without a server."""
    ours = (
        contextvars.copy_context()
    )  # Playwright calls in one of its own, which has another connection to the database

    def answer(route: Route) -> None:
        address = route.request.url.removeprefix(SITE)
        if address.startswith(settings.STATIC_URL):
            return route.fulfill(path=finders.find(address.removeprefix(settings.STATIC_URL)))
        asked = {name: value for name, value in route.request.headers.items() if name.startswith("hx-")}
        got = ours.copy().run(read, town, address, asked)
        return route.fulfill(status=got.status_code, headers=dict(got.items()), body=got.content)

    context.route("**/*", answer)


def pages(town: Town) -> Iterator[str]:
    """The addresses of all pages that an admin may read, each while its row is in a fitting state."""
    for route, answers in table().items():
        if route.startswith("admin/") and answers.get["admin"] == "200":
            with town.undone():
                address = town.address(route)
                if b"<html" in read(town, address).content:
                    yield address


def dialogs(town: Town) -> Iterator[str]:
    """The addresses of all dialogs that an admin may open, each while its row is in a fitting state."""
    for route, answers in table().items():
        if route.startswith("admin/") and answers.get["admin"] == "200" and town.case(route):
            with town.undone():
                address = town.address(route)
                if b'id="dialog"' in read(town, address).content:
                    yield address


def faults_of_dialog(page: Page, address: str) -> Iterator[str]:
    """What is wrong with one dialog, over the page that is open."""
    page.evaluate(OPENED, address)
    page.wait_for_function("() => document.activeElement.closest('#modal-content')")
    for scheme in ("light", "dark"):
        page.evaluate(THEME, scheme)
        rules = [] if scheme == "light" else ["color-contrast"]
        yield from (f"{address} {scheme}: {one}" for one in page.evaluate(FOUND, rules))
    yield from (f"{address}: {one}" for one in page.evaluate(TOO_WIDE))
    page.keyboard.press("Escape")


def faults(page: Page, address: str) -> Iterator[str]:
    """What is wrong with one page."""
    page.set_viewport_size(WIDE)
    page.goto(SITE + address)
    page.wait_for_function(LOADED)
    page.add_style_tag(content=STILL)
    page.evaluate("() => document.fonts.ready")
    page.evaluate(AXE)
    is_console = page.locator("#page").count()
    for scheme in ("light", "dark") if is_console else ("light",):
        for size in (WIDE, PHONE):
            page.set_viewport_size(size)  # type: ignore[arg-type]
            if is_console:
                page.evaluate(THEME, scheme)
            rules = [] if scheme == "light" else ["color-contrast"]  # the others see no colours
            where = f"{address} {scheme} {size['width']}"
            yield from (f"{where}: {one}" for one in page.evaluate(FOUND, rules))
    yield from (f"{address}: {one}" for one in page.evaluate(TOO_WIDE))


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_axe_finds_nothing_on_any_page_and_none_is_wider_than_a_phone(
    browser: Browser, staff: Callable[..., Client]
) -> None:
    town = Town(staff)
    context = browser.new_context()
    serve(context, town)
    page = context.new_page()
    found: list[str] = []
    counted = 0
    for address in pages(town):
        found += faults(page, address)
        counted += 1
    assert (found, counted > 120) == ([], True)
    page.goto(SITE + reverse("admin:roles"))
    page.wait_for_function(LOADED)
    page.add_style_tag(content=STILL)
    page.evaluate(AXE)
    for address in dialogs(town):
        found += faults_of_dialog(page, address)
        counted += 1
    assert (found, counted > 200) == ([], True)
    page.evaluate(
        "() => { document.querySelector('main').innerHTML = '<button></button><p class=fd-ago style=\"width:500px\">x</p>'; }"
    )
    assert [one.partition(",")[0] for one in page.evaluate(FOUND, [])] == ["button-name"]
    assert page.evaluate(TOO_WIDE)
