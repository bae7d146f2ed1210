"""What the table of states is made of: the people whose pages are shown, and how a state is told."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings as django_settings
from django.test import Client
from playwright.sync_api import Page

from apps.accounts.models import UserProfile
from apps.catalog.models import Product
from apps.instances.models import Instance
from apps.login import reauthentication
from tests.storefront.visitor import Visitor
from tests.world import World

# As long as the form takes it, and without a place to break.
NAME = "wilhelmine.hohenlohewaldenburg"
LEGAL = Path(django_settings.BASE_DIR) / "apps/sandbox/legal"
TEXTS = ("terms", "privacy", "imprint", "withdrawal", "accessibility")


@dataclass(frozen=True)
class Shown:
    """One state of one page: what is asked for, by whose browser, and what is done on the page before anybody looks."""

    address: str
    client: Client = field(default_factory=lambda: Client(raise_request_exception=False))
    form: dict[str, Any] | None = None  # posted; the answer is the page
    then: Callable[[Page], object] | None = None
    is_public: bool = False  # anyone may open it, so that it has to be light too


State = Callable[["House"], Shown]


@dataclass
class House:
    """The world, and a subscriber with two people's worth of everything."""

    world: World
    payer: UserProfile
    language: str = "en"  # of the browsers of everybody

    def visitor(self) -> Visitor:
        one = Visitor()
        one.client.raise_request_exception = False
        one.client.cookies[django_settings.LANGUAGE_COOKIE_NAME] = self.language
        return one

    def browser(self, profile: UserProfile | None = None) -> Client:
        """Of somebody who has logged in just now; the payer unless told otherwise."""
        client = Client(raise_request_exception=False)
        client.force_login((profile or self.payer).user)
        client.cookies[django_settings.LANGUAGE_COOKIE_NAME] = self.language
        session = client.session
        session[reauthentication.FRESH_UNTIL] = int(time.time()) + 600
        session.save()
        return client

    def becomes(self, **fields: Any) -> UserProfile:
        """The payer's row with other values."""
        UserProfile.objects.filter(pk=self.payer.pk).update(**fields)
        self.payer.refresh_from_db()
        return self.payer


def furnish(settings: Any) -> None:
    """An operator who uses all that there is: both languages, all texts of the law, a promise, days of grace."""
    settings.SITE_LANGUAGES = ["en", "de"]
    settings.LEGAL_FOLDER = str(LEGAL)
    settings.BRAND = settings.BRAND | {f"{name}_url": f"{settings.BASE_URL}/legal/{name}/" for name in TEXTS}
    settings.BRAND_PROMISES = ["Cancel any time", "Your data stays in Germany", "14 days to change your mind"]
    settings.CONSENT_TO_BEGIN = True
    settings.PAYMENT_GRACE_DAYS = 7
    settings.ROOT_URLCONF = "tests.accessibility.urls"


def move_in(world: World) -> House:
    """With plans for three, an app that says how to begin, and a place that its data lives in."""
    Product.objects.filter(placement="plan").update(
        people=3, summary="For everybody at home.", features=["Files", "Calendar"]
    )
    Product.objects.filter(slug="plus").update(highlighted=True, max_quantity=4)  # sold by people
    Product.objects.filter(slug="nextcloud").update(
        summary="Your files, calendars and contacts.",
        first_steps=["Open it and log in.", "Install the program."],
        client_links=[{"name": "Android", "url": "https://example.com/android"}],
        sync_address="{url}remote.php/dav/principals/users/{username}/",
        guide_url="https://example.com/manual",
    )
    Instance.objects.update(location="Falkenstein", country="DE")
    return House(world, world.subscriber(NAME, plus=1, storage_100=2))
