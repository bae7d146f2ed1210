"""The site in this very process for journeys in a browser: a world of its own for each, its settings as the test has them.

    pytestmark = [pytest.mark.browser, pytest.mark.long]

    def test_somebody_does_something(site: Site, visit: Visit, album: Album, settings: Any) -> None:
        settings.STRIPE_TRIAL_DAYS = 14
        page = visit(width=390)
        page.goto(f"{site.url}/onboarding/")
        ...
        site.world.deliver()          # Stripe's events and all jobs: what elsewhere the worker does meanwhile

Quicker than stack.py, whose processes are the demo's own; what runs in between is said by the test. People log in at the
stand-in for Keycloak, pay at the one for Stripe, and open apps at a door of their own (tests/door.py).
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Frame, FrameLocator, Page, expect

from apps.accounts.models import UserProfile
from apps.dashboard.views import PORTAL_HOSTS
from apps.instances.models import Instance
from apps.login import oidc
from apps.storefront import views
from tests.door import CALLBACKS, Door, door
from tests.journeys.keycloak_pages import LoginPage, PasswordPage
from tests.journeys.stack import Complaints, Visit, visits
from tests.login.conftest import log_in_at
from tests.sandbox.stripe_fixture import ASKS, GOOD
from tests.storefront.visitor import code_mailed
from tests.world import World

PASSWORD = "a long walk in the park"
CARD = {"Expires": "12/34", "Security code": "123", "Name on the card": "Dana Example"}


class Doors:
    """Where an app's door stands; nothing else listens there."""

    def __init__(self, port: int) -> None:
        self.port = port

    def url(self, _slug: str) -> str:
        return f"http://127.0.0.1:{self.port}"

    def making_room(self, _slug: str) -> AbstractContextManager[None]:
        return nullcontext()


@dataclass
class Site:
    """The site's address, and the world that it lives in; `refusing`: paths whose refusals are what the test is about."""

    url: str
    world: World
    refusing: set[str] = field(default_factory=set)

    def client_of_keycloak(self, name: str, **values: Any) -> None:
        """Have the realm's client know these addresses."""
        (client,) = self.world.admin("GET", "/clients", params={"clientId": name}).json()
        answer = self.world.admin("PUT", f"/clients/{client['id']}", json=client | values)
        assert answer.status_code == 204, answer.text

    def subscriber(self, name: str = "dana", **basket: int) -> UserProfile:
        """Somebody who pays and has a password."""
        profile = self.world.subscriber(name, **basket)
        self.world.standin.set_password(profile.keycloak_id or "", PASSWORD)
        return profile

    def log_in(self, page: Page, name: str, path: str = "/dashboard/") -> None:
        """Open a page of the person's; Keycloak asks for the password unless it has before."""
        page.goto(f"{self.url}{path}")
        if LoginPage(page).is_shown():
            LoginPage(page).sign_in(name, PASSWORD)
        expect(page.get_by_role("navigation", name=re.compile("^(Your pages|Ihre Seiten)$"))).to_be_visible()

    def mail(self, to: str, word: str) -> dict[str, Any]:
        """The newest email to somebody whose subject has a word."""
        found = [one for one in self.world.standin.inbox(to) if word.lower() in one["subject"].lower()]
        assert found, (word, [one["subject"] for one in self.world.standin.inbox(to)])
        return found[0]

    def set_password(self, page: Page, email: str, subject: str = "Update Your Account") -> None:
        """By the link of Keycloak's email."""
        PasswordPage(page).open(self.mail(email, subject)["links"][0])
        PasswordPage(page).fill(PASSWORD)
        PasswordPage(page).submit()

    def recover(self, page: Page, email: str) -> None:
        """From the first page to what the account needs, with the link of the email."""
        page.goto(f"{self.url}/onboarding/")
        page.get_by_role("link", name="Trouble logging in?").click()
        page.get_by_label("Your account's email address").fill(email)
        page.get_by_role("button", name="Email me a code").click()
        expect(page.get_by_label("Code from the email")).to_be_focused()
        self.world.work()
        page.goto(next(one for one in self.mail(email, "recovery code")["links"] if "/recovery/" in one))
        page.get_by_role("button", name="Confirm").click()

    @contextmanager
    def app(self, slug: str, port: int) -> Iterator[Door]:
        """The app's door; all its instances are behind it."""
        server: Any = self.world.standin
        server.told = Doors(port)
        address = server.told.url(slug)
        self.client_of_keycloak(
            slug, redirectUris=[f"{address}{CALLBACKS[slug]}"], attributes={"backchannel.logout.url": f"{address}/out"}
        )
        Instance.objects.filter(product__slug=slug).update(url=f"{address}/")
        with door(server, slug) as one:
            yield one


@pytest.fixture
def site(
    transactional_db: None, world: World, live_server: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    """The site with stand-ins in the place of Stripe, Keycloak and Mailgun."""
    one = Site(str(live_server.url), world)
    settings.BASE_URL = one.url
    settings.STRIPE_JS_URL = f"{world.url}/stripe/js/stripe.js"
    for directive in views.STRIPE_CSP:
        monkeypatch.setitem(views.STRIPE_CSP, directive, [world.url])
    policy = settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]
    settings.CONTENT_SECURITY_POLICY = {"DIRECTIVES": policy | {"form-action": ["'self'", world.url]}}
    log_in_at(world.standin, settings)
    oidc.KEYS.forget()
    one.client_of_keycloak(
        "frontdesk-web",
        rootUrl=one.url,
        redirectUris=[f"{one.url}/accounts/oidc/keycloak/login/callback/", f"{one.url}/accounts/welcome/"],
        attributes={
            "post.logout.redirect.uris": f"{one.url}/",
            "backchannel.logout.url": f"{one.url}/oidc/backchannel-logout/",
        },
    )
    PORTAL_HOSTS.append(world.url)
    yield one
    PORTAL_HOSTS.remove(world.url)
    oidc.KEYS.forget()


@pytest.fixture
def visit(new_context: Callable[..., BrowserContext], site: Site) -> Iterator[Visit]:
    """At the end of the test none of the browsers may have had anything to complain about."""
    yield from visits(new_context, Complaints(refusing=site.refusing))


# --- what people do on the way ----------------------------------------------------------------------------------------


def heading(page: Page, text: str | re.Pattern[str]) -> None:
    expect(page.get_by_role("heading", name=text, level=1)).to_be_visible()


def to_account(page: Page, site: Site, *, plan: str = "Personal") -> None:
    """From the first page to the one that asks for the account."""
    page.goto(f"{site.url}/onboarding/")
    page.get_by_label("What's your first name?").fill("Dana")
    page.get_by_role("button", name="Choose a plan").click()
    page.locator("label.plan", has_text=plan).click()
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Continue").click()
    heading(page, "Almost there, Dana")


def fill_account(page: Page, name: str = "dana") -> None:
    """Mailbox and username; the order button is next."""
    page.get_by_role("textbox", name="Email address").fill(f"{name}@example.com")
    page.get_by_role("button", name="Email me a code").click()
    prove_mailbox(page)
    expect(page.get_by_text("Confirmed", exact=True)).to_be_visible()
    page.get_by_label("Username").fill(name)
    expect(page.get_by_text("This username is available.")).to_be_visible()
    page.get_by_label("I accept the terms").check()


def prove_mailbox(page: Page, template: str = "signup_code") -> None:
    """Type the code of the email; the page goes on by itself."""
    code = page.get_by_label(re.compile("^Code"))
    expect(code).to_be_focused()
    code.fill(code_mailed(template))


def end_session(page: Page) -> None:
    """Here, not at Keycloak, which knows the person for longer."""
    page.context.clear_cookies(name="frontdesk-sid")


def payment(page: Page) -> FrameLocator:
    """Stripe's form inside our page."""
    frame = page.frame_locator("#payment-frame iframe")
    expect(frame.get_by_role("heading", name="Payment")).to_be_visible()
    return frame


def fill_card(form: FrameLocator | Page | Frame, number: str = GOOD) -> None:
    form.get_by_label("Card number").fill(number)
    for label, typed in CARD.items():
        form.get_by_label(label).fill(typed)


def becomes_ready(page: Page, site: Site, name: str = "dana") -> UserProfile:
    """The success page, which follows by itself while events and jobs are done."""
    page.wait_for_url("**/onboarding/success/**")
    site.world.deliver()
    expect(page.get_by_role("heading", name="Your account is ready, Dana")).to_be_visible()
    return UserProfile.objects.get(user__username=name)


def pay_invoice(page: Page, amount: str, card: str = GOOD) -> None:
    """On Stripe's page of an invoice; the answer to a bank that asks is yes."""
    fill_card(page, card)
    page.get_by_role("button", name=f"Pay {amount}").click()
    if card == ASKS:
        page.get_by_role("button", name="Complete authentication").click()
    expect(page.get_by_text("Invoice paid")).to_be_visible()
