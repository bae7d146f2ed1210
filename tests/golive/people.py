"""Who comes to the house by a browser: its first member of staff, who sets up what is sold, and its first customer, who pays."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from playwright.sync_api import Browser, Page, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from apps.sandbox.keycloak.second_factor import STEP, code_of
from tests import browser
from tests.golive.machine import SITE, SOURCE
from tests.golive.peers import SANDBOX
from tests.journeys.keycloak_pages import LoginPage, PasswordPage

STAFF_PASSWORD, PASSWORD = "the key to the whole front desk", "a long walk in the park"
CARD = {
    "Card number": "4242424242424242",
    "Expires": "12/34",
    "Security code": "123",
    "Name on the card": "Dana Example",
}
REASON = "The house opens today"
CUSTOMER, ADDRESS = "dana", "dana@customer.example"
SECONDS = 60
expect.set_options(timeout=30_000)


@contextmanager
def browsing() -> Iterator[Browser]:
    """A Chromium; it takes our authority for granted, as it has a list of its own."""
    program = browser.find_or_install()
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=program, args=list(browser.ARGUMENTS))


def open_page(chromium: Browser) -> Page:
    """A browser of somebody's own."""
    return chromium.new_context(
        ignore_https_errors=True, locale="en-GB", viewport={"width": 1440, "height": 900}
    ).new_page()


def mail(to: str, word: str) -> dict[str, Any]:
    """The newest email to somebody whose subject has the word, once it is there."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        box = requests.get(f"{SANDBOX}/inbox.json", params={"to": to}, timeout=10).json()
        if found := [one for one in box if word.lower() in one["subject"].lower()]:
            return dict(found[0])
        time.sleep(0.2)
    raise AssertionError(f"No email about “{word}” to {to}: {[one['subject'] for one in box]}")


def open_shop(chromium: Browser, first_password: str) -> None:
    """Staff come for the first time, and put up what is sold."""
    with picture_of_failure(page := open_page(chromium)):
        enter_console(page, "ada", first_password)
        sell(page)


def become_customer(chromium: Browser) -> None:
    """Somebody signs up, pays, and logs in."""
    with picture_of_failure(page := open_page(chromium)):
        sign_up(page)
        log_in(page)


@contextmanager
def picture_of_failure(page: Page) -> Iterator[None]:
    """AssertionError with what stands on the page where somebody is stuck, and its picture in this folder's .data."""
    try:
        yield
    except (AssertionError, PlaywrightError) as error:
        picture = SOURCE / ".data/golive.png"
        picture.parent.mkdir(exist_ok=True)
        page.screenshot(path=picture, full_page=True)
        shown = page.locator("body").inner_text()[:2000]
        raise AssertionError(f"{error}\nat {page.url}, {picture}:\n{shown}") from error


# --- staff ------------------------------------------------------------------------------------------------------------


SECRETS: dict[str, str] = {}  # what is in the authenticator app of each


def enter_again(page: Page, name: str) -> None:
    """A later login, with a code that was not used before."""
    page.goto(f"https://{SITE}/admin/")
    LoginPage(page).sign_in(name, STAFF_PASSWORD)
    page.locator("#otp").fill(code_of(SECRETS[name], step=int(time.time()) // STEP + 1))
    page.get_by_role("button", name="Sign In").click()
    page.wait_for_url(f"https://{SITE}/admin/")


def enter_console(page: Page, name: str, first_password: str) -> None:
    """The first login: another password, and an authenticator app."""
    page.goto(f"https://{SITE}/admin/")
    LoginPage(page).sign_in(name, first_password)
    PasswordPage(page).fill(STAFF_PASSWORD)
    page.get_by_role("button", name="Submit").click()
    secret = page.locator("#totpSecret").get_attribute("value") or ""
    SECRETS[name] = secret
    page.locator("#totp").fill(code_of(secret, step=int(time.time()) // STEP))
    page.locator("#userLabel").fill("phone")
    page.get_by_role("button", name="Submit").click()
    page.wait_for_url(f"https://{SITE}/admin/")


def add(
    page: Page,
    path: str,
    values: dict[str, str],
    *,
    checked: tuple[str, ...] = (),
    chosen: dict[str, str] | None = None,
) -> None:
    """One form of the console, by the names of its fields."""
    page.goto(f"https://{SITE}/admin/{path}/add/")
    for name, label in (chosen or {}).items():
        several, one = page.locator(f"#id_{name}_from"), page.locator(f"select[name={name}]")
        box = several if several.is_visible() else one
        box.select_option(box.locator("option", has_text=label).first.get_attribute("value"))
        if box is several:
            page.locator(f"#id_{name}_add_link, #id_{name}_add").first.click()
    for name, value in values.items():
        page.locator(f"[name={name}]").first.fill(value)
    for name in checked:
        page.locator(f"input[name={name}]").check(force=True)
    page.locator("[name=reason]").fill(REASON)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text(re.compile("was added successfully|The .* was added"))).to_be_visible()


def sell(page: Page) -> None:
    """An app, a plan with it and its price at Stripe, and a server with room."""
    app = {"name": "Nextcloud", "slug": "nextcloud", "summary": "Your files, calendar and contacts."}
    add(page, "catalog/product", app, checked=("is_app", "needs_instance"))
    plan = {"name": "Personal", "slug": "personal", "grants_name": "storage_gb", "grants_amount": "100"}
    add(page, "catalog/product", plan, chosen={"placement": "Plan", "includes": "Nextcloud"})
    add(page, "catalog/productprice", {}, chosen={"product": "Personal", "stripe_price": "€5 / month"})
    server = {
        "name": "Cloud 1",
        "slug": "cloud-1",
        "url": "https://cloud-1.example.com/",
        "soft_cap": "900",
        "allocation_cap": "1000",
        "hard_cap": "1100",
    }
    add(page, "instances/instance", server, chosen={"product": "Nextcloud"})


# --- a customer -------------------------------------------------------------------------------------------------------


def sign_up(page: Page) -> None:
    """From the first page to the one that says that the account is ready."""
    page.goto(f"https://{SITE}/onboarding/")
    page.get_by_label("What's your first name?").fill("Dana")
    page.get_by_role("button", name="Choose a plan").click()
    page.locator("label.plan", has_text="Personal").click()
    page.get_by_role("button", name="Continue").click()
    if page.get_by_role("heading", name="Almost there, Dana").is_hidden():
        page.get_by_role("button", name="Continue").click()
    page.get_by_role("textbox", name="Email address").fill(ADDRESS)
    page.get_by_role("button", name="Email me a code").click()
    page.get_by_label("Code", exact=True).fill(re.findall(r"\b\d{6}\b", mail(ADDRESS, "code")["text"])[0])
    expect(page.get_by_text("Confirmed", exact=True)).to_be_visible()
    page.get_by_label("Username").fill(CUSTOMER)
    expect(page.get_by_text("This username is available.")).to_be_visible()
    page.get_by_label("I accept the terms").check()
    page.get_by_role("button", name="Order and pay").click()
    frame = page.frame_locator("#payment-frame iframe")
    for label, typed in CARD.items():
        frame.get_by_label(label).fill(typed)
    frame.get_by_role("button", name=re.compile("^Pay €")).click()
    expect(page.get_by_role("heading", name="Your account is ready, Dana")).to_be_visible(timeout=SECONDS * 1000)


def log_in(page: Page) -> None:
    """By the link of Keycloak's email to the dashboard, which has the app."""
    PasswordPage(page).open(mail(ADDRESS, "Update Your Account")["links"][0])
    PasswordPage(page).fill(PASSWORD)
    PasswordPage(page).submit()
    see_apps(page, CUSTOMER)


def see_apps(page: Page, name: str) -> None:
    """Log in, and see the app on the dashboard."""
    page.goto(f"https://{SITE}/dashboard/")
    if LoginPage(page).is_shown():
        LoginPage(page).sign_in(name, PASSWORD)
    apps = page.get_by_role("region", name="Your apps")
    expect(apps.get_by_role("link", name="Open Nextcloud")).to_have_attribute("href", "https://cloud-1.example.com/")
