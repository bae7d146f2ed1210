"""The house around the people of a populated demo: its terms, a product that is full, an outage, changes by hand, and logins."""

import datetime as dt
import os
import re
from typing import Any

import requests

from apps.sandbox.populate.acts import ADA, Resident
from apps.sandbox.simulate.world import SimulatedWorld
from apps.sandbox.walk_browser import Browser

SEATS = 5  # of Photos; who comes after waits
COUPONS: dict[str, dict[str, Any]] = {
    "welcome": {"name": "Welcome", "percent_off": 25, "duration": "repeating", "duration_in_months": 3},
    "friends": {"name": "Friends of the house", "amount_off": 100, "currency": "eur", "duration": "forever"},
    "sorry": {"name": "Sorry for the outage", "percent_off": 50, "duration": "once"},
}
RETRY_DAYS = [3, 5, 7, 14, 21]
FIGURES = dt.timedelta(days=396)
PASSWORD = "a long walk in the park"  # noqa: S105  (of who is logged in)
DEVICES = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Version/19.0 Mobile/15E148 Safari/604.1",
)


def open_house(world: SimulatedWorld, *, bounces: str, spam: str) -> None:
    """On the first day: a week of grace, an account at Stripe that does not cancel who pays late, and the addresses that refuse mail."""
    from apps.access import terms
    from apps.access.models import TermsChange

    world.stripe.control("settings", retry_days=RETRY_DAYS, end="unpaid")
    world.stack.control("mailgun", addresses={bounces: "bounce", spam: "spam"})
    world.read_prices()
    change = TermsChange(
        grace_days=7, expiry_days=30, recovery_hours=72, paused_collection="keep", lost_dispute="suspend"
    )
    terms.save_change(change, actor=ADA, reason="A week to pay, as our customers are used to")
    _sell_photos(world)
    _sell_family(world)
    for key, terms_of_it in COUPONS.items():
        world.stripe.post("coupons", id=key, **terms_of_it)


def _sell_photos(world: SimulatedWorld) -> None:
    """A small app with one instance, which will be full."""
    from apps.catalog.models import Product
    from apps.instances import deployments
    from apps.instances.models import Instance

    product = Product(
        slug="photos", name="Photos", summary="Your pictures, sorted by day.", icon="photo", color="#2f6b3a", position=70,
        placement="general", is_app=True, needs_instance=True,
    )  # fmt: skip
    _sell(world, product, month=300, year=3000)
    instance = Instance(
        product=product, slug="photos-1", name="Photos 1", url="https://photos-1.example.com/",
        soft_cap=SEATS - 1, allocation_cap=SEATS, hard_cap=SEATS + 1,
    )  # fmt: skip
    deployments.create_instance(instance, actor=ADA, reason="Photos for the first few")


def _sell_family(world: SimulatedWorld) -> None:
    """A plan that several people share."""
    from apps.catalog.models import Product

    product = Product(
        slug="family", name="Family", summary="For up to five people, each with an account of their own.", position=45,
        placement="plan", people=5, grants={"storage_gb": 200},
        features=["Nextcloud with 200 GB for each of you", "Vaultwarden included", "Daily backups"],
    )  # fmt: skip
    _sell(world, product, month=1500, year=15000)
    product.includes.set(Product.objects.filter(slug__in=["nextcloud", "vaultwarden"]))


def _sell(world: SimulatedWorld, product: Any, **amounts: int) -> None:
    """Save a product and offer it at these prices, in cents by their interval."""
    from apps.billing.prices import create_price, create_product
    from apps.catalog.models import ProductPrice

    product.stripe_product_id = create_product(slug=product.slug, name=product.name)
    product.save()
    for interval, amount in amounts.items():
        price = create_price(
            product_id=product.stripe_product_id, interval=interval, unit_amount=amount, currency="eur"
        )
        ProductPrice.objects.create(
            product=product, stripe_price_id=price, interval=interval, unit_amount=amount, currency="eur"
        )
        world.prices[f"{product.slug}:{interval}"] = price


def rest_until(world: SimulatedWorld, moment: dt.datetime) -> None:
    """What looks at the whole house each minute, hour or night does so from then on only: a year of nights takes an hour."""
    from apps.core import jobs, retention_check
    from apps.core.models import Schedule

    world.stack.finish_work()
    jobs.withdraw(retention_check.KIND, retention_check.LATER, why="It rests for a year.")
    for kind in jobs.KINDS.values():
        if kind.every:
            Schedule.objects.update_or_create(kind=kind.name, defaults={"next_at": moment})


def look_around(world: SimulatedWorld) -> None:
    """What the application does each quarter of an hour and each night, now: the accounts, what is kept, the laws."""
    from apps.core import jobs, law_checks

    for kind in ("compare_keycloak", "compare_account_owners", "check_retention"):
        jobs.defer(kind, "now", reason="demo")
        world.stack.finish_work()
    law_checks.check_now(actor=ADA, reason="After the changes in Keycloak")
    world.stack.finish_work()


def fill_in_figures(now: dt.datetime) -> None:
    """The figures of thirteen months: a night fills in three."""
    from apps.operations import daily_figures

    daily_figures.fill_in((now - FIGURES).date())


def break_keycloak(world: SimulatedWorld) -> None:
    """Down from now on: what needs it waits."""
    world.stack.control("faults", peer="keycloak", mode="http_503")


def mend_keycloak(world: SimulatedWorld) -> None:
    """Up again, and what waited is done."""
    world.stack.control("faults", peer="keycloak", mode="ok")
    world.stack.finish_work(retries=True)


def change_by_hand(world: SimulatedWorld, residents: list[Resident]) -> None:
    """Somebody opened Keycloak's console: one account disabled, one with more storage, one with another address."""
    keycloak = _Keycloak()
    changes: tuple[dict[str, Any], ...] = (
        {"enabled": False}, {"attributes": {"storage_gb": ["999"]}}, {"email": "new.address@example.org"},
    )  # fmt: skip
    for who, change in zip(residents, changes, strict=True):
        keycloak.change(str(world.profile(who.life).keycloak_id), change)


class _Keycloak:
    """The Admin API, as its console uses it."""

    def __init__(self) -> None:
        server, realm = os.environ["KEYCLOAK_SERVER_URL"], os.environ["KEYCLOAK_REALM"]
        form = {
            "grant_type": "client_credentials",
            "client_id": os.environ["KEYCLOAK_ADMIN_CLIENT_ID"],
            "client_secret": os.environ["KEYCLOAK_ADMIN_CLIENT_SECRET"],
        }
        self.users, self.session = f"{server}/admin/realms/{realm}/users", requests.Session()
        token = self.session.post(f"{server}/realms/{realm}/protocol/openid-connect/token", data=form, timeout=30)
        token.raise_for_status()
        self.session.headers["Authorization"] = f"Bearer {token.json()['access_token']}"

    def change(self, identifier: str, change: dict[str, Any]) -> None:
        found = self.session.get(f"{self.users}/{identifier}", timeout=30)
        found.raise_for_status()
        row = found.json()
        attributes = row.get("attributes", {}) | change.get("attributes", {})
        row |= change | {"attributes": attributes}
        self.session.put(f"{self.users}/{identifier}", json=row, timeout=30).raise_for_status()


def choose_password(world: SimulatedWorld, who: Resident) -> None:
    """By the link of Keycloak's email."""
    box = requests.get(f"{world.stack.sandbox}/inbox.json", params={"to": who.email}, timeout=30).json()
    link = next(one["links"][0] for one in box if re.search("update your account", one["subject"], re.IGNORECASE))
    Browser(world.stack.site).set_password(link, PASSWORD)


def log_in_twice(site: str, username: str) -> None:
    """At a desk and on the phone."""
    for device in DEVICES:
        browser = Browser(site)
        browser.session.headers["User-Agent"] = device
        browser.log_in("/dashboard/", username, PASSWORD)
