"""The whole world around Frontdesk for one test: the sandbox on a port of its own, a catalog, customers who pay.

Ask for the fixture `world` (tests/conftest.py has it):

    def test_it_opens_the_apps(world: World) -> None:
        dana = world.subscriber("dana")                   # signed up, paid, every event delivered, every job done
        assert world.state(dana).access == "active"
        assert world.account(dana)["attributes"]["has_nextcloud"] == ["true"]

    def test_it_suspends(world: World) -> None:
        dana = world.subscriber("dana")
        world.shop.control("payments", customer=dana.stripe_customer_id, mode="fail")
        world.pass_time(days=32)                          # both clocks: Stripe renews, the application follows
        world.deliver()                                   # Stripe's new events by hand, then all jobs
        assert world.state(dana).access == "suspended"

Nothing is delivered automatically: `new_events` are what Stripe has to tell, `post_events` posts some of them, signed, in any order,
`work` runs what is due, `sweep` does what the minute and hour do. Peers: `world.shop` (Stripe), `world.standin` (Keycloak,
faults, inbox); `world.requests` are the calls the application made to Stripe. Works with `db` and with real transactions.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import stripe
from django.db import connection
from django.db.models import Q
from django.http import HttpResponse
from django.test import Client, TestCase

from apps.access import lifecycle_emails
from apps.accounts.models import Signup, UserProfile
from apps.billing import backfill, stripe_client
from apps.billing.prices import create_price, create_product
from apps.catalog.models import Product, ProductPrice
from apps.core import clock, jobs
from apps.core.models import Job
from apps.identity import keycloak
from apps.instances import allocation, deployments
from apps.instances.models import Instance, Seat
from apps.notifications.models import Notification
from apps.onboarding import signup_checkout
from apps.operations import product_sweep, stripe_comparison, sweeps
from apps.sandbox.run.servers import free_port
from tests.laws import violated
from tests.sandbox.keycloak_fixture import Standin
from tests.sandbox.stripe_fixture import GOOD, KEY, Shop
from tests.world_memory import WorldMemory

START_SECONDS = 90
LONGEST_ALLOWANCE = 1200  # seconds after which no law of the database waits for work in progress
ROOT = Path(__file__).resolve().parents[1]
WEBHOOK = "/onboarding/webhook/"
SECRET = "whsec_" + "world0123456789" * 3
MINE = ("has_", "nextcloud_", "vaultwarden_", "storage_")  # attributes of the catalog below
APPS: dict[str, dict[str, Any]] = {
    "nextcloud": {"name": "Nextcloud"},
    "vaultwarden": {
        "name": "Vaultwarden",
        "placement": "general",
        "prices": {"month": 200, "year": 2000},
    },
}
OFFERS: dict[str, dict[str, Any]] = {
    "personal": {
        "name": "Personal", "placement": "plan", "includes": ["nextcloud"], "grants": {"storage_gb": 100},
        "prices": {"month": 500, "year": 5000},
    },
    "plus": {
        "name": "Plus", "placement": "plan", "includes": ["nextcloud", "vaultwarden"], "grants": {"storage_gb": 500},
        "prices": {"month": 900, "year": 9000},
    },
    "storage_100": {
        "name": "100 GB more", "placement": "storage", "grants": {"storage_gb": 100}, "max_quantity": 10,
        "prices": {"month": 150, "year": 1500},
    },
}  # fmt: skip
INSTANCES = [
    ("nextcloud-1", "nextcloud"),
    ("nextcloud-2", "nextcloud"),
    ("vaultwarden-1", "vaultwarden"),
]


@dataclass(frozen=True)
class State:
    """What one person has, everywhere; equal for two ways to the same end."""

    access: str
    subscription: str
    items: tuple[tuple[str, int], ...]
    seats: tuple[tuple[str, str], ...]
    account: bool | None
    attributes: dict[str, str] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    local_groups: tuple[str, ...] = ()


def bring_welcomes_forward() -> int:
    """The welcome leaves a minute after access: here at once. How many there were."""
    waiting = Job.objects.filter(kind=lifecycle_emails.WELCOME, state="queued", not_before__gt=clock.now())
    return waiting.update(not_before=clock.now())


class World:
    """A running sandbox, the application pointed at it, and a hand on everything that comes in between."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.shop = Shop(url)
        self.standin = Standin(url, 0)
        self.client = Client()
        self.requests: list[tuple[str, str, str]] = []
        self.seen: set[str] = set()
        self.inside: list[str] = []  # requests made while a transaction was open: there must be none
        self._token = ""
        self.memory = WorldMemory()

    # --- things to sell ----------------------------------------------------------------------------------------------

    def open_shop(self, *, caps: tuple[int, int, int] = (40, 50, 60)) -> None:
        """The demo's catalog, here and at Stripe."""
        for slug, offer in (APPS | OFFERS).items():
            fields = {name: value for name, value in offer.items() if name not in {"includes", "prices"}}
            product = Product.objects.create(slug=slug, is_app=slug in APPS, needs_instance=slug in APPS, **fields)
            product.includes.set(Product.objects.filter(slug__in=offer.get("includes", [])))
            if "prices" in offer:
                product.stripe_product_id = create_product(slug=slug, name=product.name)
                product.save()
            for interval, amount in offer.get("prices", {}).items():
                self.sell(product, interval=interval, amount=amount)
        for slug, app in INSTANCES:
            self.instance(slug, app, caps=caps)

    def open_demo_shop(self) -> None:
        """`open_shop`, after whose events nobody asks any more."""
        if not self.memory.bring_shop(self):
            self.open_shop()
            self.skip()
            self.memory.keep_shop(self)

    def sell(self, product: Product, *, interval: str, amount: int) -> ProductPrice:
        """A price of ours, made at Stripe."""
        price = create_price(
            product_id=product.stripe_product_id or "",
            interval=interval,
            unit_amount=amount,
            currency="eur",
        )
        return ProductPrice.objects.create(
            product=product,
            stripe_price_id=price,
            interval=interval,
            unit_amount=amount,
            currency="eur",
        )

    def instance(self, slug: str, app: str, *, caps: tuple[int, int, int] = (40, 50, 60)) -> Instance:
        soft, allocation_cap, hard = caps
        made = Instance(
            product=Product.objects.get(slug=app), slug=slug, name=slug, url=f"https://{slug}.example.com/",
            soft_cap=soft, allocation_cap=allocation_cap, hard_cap=hard,
        )  # fmt: skip
        return deployments.create_instance(made, actor="staff:ada", reason="test")

    def only_room_for(self, seats: int, app: str = "nextcloud") -> Instance:
        """One open instance of `app` with room for so many new people; returns it."""
        first, *others = Instance.objects.filter(product__slug=app)
        for one in others:
            deployments.set_availability(
                instance=one, is_active=True, auto_allocate=False, actor="staff:ada", reason="test"
            )
        return deployments.change_caps(
            instance=first,
            soft_cap=0,
            allocation_cap=seats,
            hard_cap=seats + 1,
            actor="staff:ada",
            reason="test",
        )

    def price(self, slug: str, interval: str = "month") -> str:
        return ProductPrice.objects.get(product__slug=slug, interval=interval, is_active=True).stripe_price_id

    # --- people ------------------------------------------------------------------------------------------------------

    def signup(self, name: str = "dana", *, interval: str = "month", **basket: int) -> Signup:
        """A wizard filled in, the address proven; the basket is `personal=1` unless told otherwise."""
        now = clock.now()
        return Signup.objects.create(
            first_name=name.title(), last_name="Example", username=name, email=f"{name}@example.com",
            email_proven_at=now, interval=interval, basket=basket or {"personal": 1}, terms_version="1",
            terms_accepted_at=now, created_at=now,
        )  # fmt: skip

    def pay(self, signup: Signup, *, card: str = GOOD, **form: str) -> UserProfile:
        """Open the Checkout page and pay it; no event is delivered."""
        opened = signup_checkout.open_checkout(signup, ui="embedded")
        answer = self.shop.pay({"url": "", "client_secret": opened.client_secret}, card=card, **form)
        assert answer.headers["X-Sandbox-Outcome"] == "paid", answer.text[:500]
        signup.refresh_from_db()
        assert signup.profile is not None
        return signup.profile

    def subscriber(self, name: str = "dana", *, interval: str = "month", **basket: int) -> UserProfile:
        """Somebody who has signed up and paid, with all events delivered and all jobs done."""
        wanted = repr((name, interval, sorted(basket.items())))
        if not self.memory.bring_person(self, wanted):
            is_first = self.memory.is_untouched(self)
            self.pay(self.signup(name, interval=interval, **basket))
            self.deliver()
            if is_first:
                self.memory.keep_person(self, wanted)
        return UserProfile.objects.get(user__username=name)

    def stripe_state(self, profile: UserProfile) -> dict[str, Any]:
        """The person's newest subscription at Stripe."""
        found = self.shop.v1.subscriptions.list({"customer": profile.stripe_customer_id or "", "status": "all"})
        return found.data[0].to_dict()

    def charge(self, profile: UserProfile) -> str:
        """The person's latest charge."""
        return self.shop.v1.charges.list({"customer": profile.stripe_customer_id or ""}).data[0].id

    # --- Stripe's events ---------------------------------------------------------------------------------------------

    def new_events(self) -> list[dict[str, Any]]:
        """What Stripe has to tell and has not told by `post_events` or `skip`, oldest first."""
        found: list[dict[str, Any]] = []
        page: dict[str, Any] = {"data": [], "has_more": True}
        while page["has_more"]:
            after = {"starting_after": page["data"][-1]["id"]} if page["data"] else {}
            answer = requests.get(
                f"{self.url}/stripe/v1/events",
                params={"limit": "100"} | after,
                auth=(KEY, ""),
                timeout=30,
            )
            page = answer.json()
            fresh = [event for event in page["data"] if event["id"] not in self.seen]
            found += fresh
            if not fresh:
                break
        return found[::-1]

    def skip(self) -> list[dict[str, Any]]:
        """Lose all new events; returns them."""
        lost = self.new_events()
        self.seen |= {event["id"] for event in lost}
        return lost

    def post_events(self, events: Iterable[dict[str, Any]]) -> list[int]:
        """Post events to the webhook, signed, in this order; the statuses. No job runs."""
        statuses = []
        for event in events:
            self.seen.add(event["id"])
            statuses.append(self.post(json.dumps(event).encode()).status_code)
        return statuses

    def post(self, body: bytes, *, header: str | None = None) -> HttpResponse:
        """Post a body to the webhook, signed with the right secret at the right time unless `header` is given."""
        if header is None:
            header = stripe.WebhookSignature.generate_signature_header(body.decode(), SECRET, clock.timestamp())
        headers = {"Stripe-Signature": header}
        answer: HttpResponse = self.client.post(WEBHOOK, body, content_type="application/json", headers=headers)
        return answer

    def deliver(self) -> None:
        """All new events in their order, then all jobs; again, until Stripe has nothing more to tell."""
        while events := self.new_events():
            assert set(self.post_events(events)) == {200}
            self.work()
        self.work()
        if bring_welcomes_forward():
            self.work()

    # --- time and work -----------------------------------------------------------------------------------------------

    def work(self) -> int:
        """Run all jobs that are due, and what they wait to do after their commit; how many ran."""
        count = 0
        while True:
            with TestCase.captureOnCommitCallbacks(execute=True):
                ran = jobs.drain()
            count += ran
            if not ran:
                return count

    def pass_time(self, *, days: float = 0, seconds: int = 0) -> None:
        """Move both clocks; at Stripe everything happens that falls due on the way."""
        self.shop.pass_time(days=days, seconds=seconds)

    def retry(self) -> int:
        """Move past the longest back-off and run what is due then."""
        self.pass_time(seconds=200)
        return self.work()

    def sweep(self) -> None:
        """What minute, quarter of an hour and hour do, then all jobs."""
        with TestCase.captureOnCommitCallbacks(execute=True):
            sweeps.sweep_access("periodic")
            allocation.release_expired("periodic")
            backfill.fetch_undelivered("periodic")
            stripe_comparison.compare_subscriptions("periodic")
            product_sweep.sweep_products("periodic")
        self.work()

    def fault(self, peer: str, mode: str, **options: Any) -> None:
        """Switch a fault of a peer on (`ok`: all off)."""
        self.standin.control("faults", peer=peer, mode=mode, **options)

    def assert_laws_hold(self) -> None:
        """All laws that the database answers hold once nothing is in progress. At the end of a test, since time passes."""
        self.deliver()
        self.pass_time(seconds=LONGEST_ALLOWANCE)
        self.deliver()
        self.sweep()
        found = violated()
        assert found == {}, found

    # --- what is -----------------------------------------------------------------------------------------------------

    def state(self, profile: UserProfile) -> State:
        """What the person has, read again from our rows and from Keycloak."""
        profile.refresh_from_db()
        account = self.account(profile) if profile.keycloak_id else None
        attributes = account["attributes"] if account else {}
        live = Seat.objects.filter(profile=profile).exclude(state="released")
        return State(
            access=profile.access_state,
            subscription=profile.subscription_status,
            items=tuple(sorted(profile.items.values_list("stripe_price_id", "quantity"))),
            seats=tuple(sorted(live.values_list("product__slug", "state"))),
            account=account["enabled"] if account else None,
            attributes={name: "##".join(given) for name, given in attributes.items() if name.startswith(MINE)},
            groups=tuple(self.groups(profile)) if account else (),
            local_groups=tuple(profile.user.groups.order_by("name").values_list("name", flat=True)),
        )

    def account(self, profile: UserProfile) -> dict[str, Any]:
        """The person's Keycloak user, past the application's client."""
        return dict(self.admin("GET", f"/users/{profile.keycloak_id}").json()) | {}

    def groups(self, profile: UserProfile) -> list[str]:
        """The paths of all Keycloak groups of the person, but for the one that every customer is in."""
        return sorted(group["path"] for group in self.memberships(profile))

    def memberships(self, profile: UserProfile) -> list[dict[str, Any]]:
        """These groups themselves."""
        rows = self.admin("GET", f"/users/{profile.keycloak_id}/groups").json()
        return [group for group in rows if group["path"] != "/frontdesk"]

    def users(self, name: str) -> list[dict[str, Any]]:
        """Keycloak users whose name or address contains `name`."""
        found: list[dict[str, Any]] = self.admin("GET", "/users", params={"search": name, "max": 1000}).json()
        return found

    def admin(self, method: str, path: str, **rest: Any) -> requests.Response:
        """One call of Keycloak's Admin API, past the application; a new token is fetched when it has expired."""
        for _ in range(2):
            headers = {"Authorization": f"Bearer {self._token}"}
            answer = self.standin.call(method, path, headers=headers, **rest)
            if answer.status_code != 401:
                break
            self._token = self.standin.root()["Authorization"].removeprefix("Bearer ")
        return answer

    def mails(self, profile: UserProfile | str = "") -> list[str]:
        """The subjects in the inbox, to one person or to all, oldest first."""
        address = profile if isinstance(profile, str) else profile.email
        return [mail["subject"] for mail in self.standin.inbox(address)][::-1]

    def notifications(self, profile: UserProfile) -> list[str]:
        """The templates of the person's mails that have left, oldest first."""
        sent = Notification.objects.filter(profile=profile, state="sent").order_by("pk")
        return list(sent.values_list("template", flat=True))

    def jobs(self, *states: str) -> list[str]:
        """The jobs in these states as "kind: reason"; without states all that failed or should have run by now."""
        found = Job.objects.filter(state__in=states)
        if not states:
            later = Q(state="queued", not_before__gt=clock.now(), last_error="")
            found = Job.objects.exclude(state__in=["done", "superseded"]).exclude(later)
        return [f"{job.kind}: {job.last_error}" for job in found.order_by("pk")]


@pytest.fixture(scope="session")
def world_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A sandbox for this test worker: its address, and the file it writes its clock to."""
    folder = tmp_path_factory.mktemp("world")
    port, clock_file = free_port(), folder / "clock"
    command = [
        sys.executable,
        "-m",
        "apps.sandbox",
        "--port",
        str(port),
        "--clock-file",
        str(clock_file),
    ]
    # An endpoint that is never called, so that Stripe lists its events as not delivered.
    command += ["--webhook-url", "http://127.0.0.1:9/", "--webhook-secret", SECRET]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                requests.get(f"{url}/control/clock", timeout=5)
                break
            except requests.ConnectionError:
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, "the sandbox does not answer"
                time.sleep(0.05)
        yield url, clock_file
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest.fixture
def empty_world(
    world_process: tuple[str, Path], settings: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[World]:
    """The sandbox as after its start and the application pointed at it; nothing is sold, the database is not asked."""
    url, clock_file = world_process
    world = World(url)
    world.standin.control("reset")
    world.shop.webhooks("drop")
    point_at(settings, url, clock_file)
    monkeypatch.setattr(stripe, "api_base", f"{url}/stripe")  # dj-stripe's own calls; there should be none
    _listen(world, monkeypatch)
    stripe_client.client.cache_clear()
    keycloak._client.cache_clear()
    world.memory.watch(request, settings, monkeypatch)
    yield world
    stripe_client.client.cache_clear()
    keycloak._client.cache_clear()


@pytest.fixture
def world(empty_world: World, db: None) -> World:
    """The world with the demo's catalog on sale."""
    empty_world.open_demo_shop()
    return empty_world


def point_at(settings: Any, url: str, clock_file: Path) -> None:
    """Settings as an operator would write them for this sandbox."""
    settings.CLOCK_OFFSET_FILE = str(clock_file)
    settings.KEYCLOAK_SERVER_URL = f"{url}/keycloak"
    settings.KEYCLOAK_ISSUER = f"{url}/keycloak/realms/frontdesk"
    settings.KEYCLOAK_ADMIN_CLIENT_ID = "frontdesk-sync"
    settings.KEYCLOAK_ADMIN_CLIENT_SECRET = "dev-only-sync-secret"
    settings.OIDC_RP_CLIENT_SECRET = "dev-only-web-secret"
    settings.STRIPE_API_HOST = f"{url}/stripe"
    settings.STRIPE_WEBHOOK_SECRET = SECRET
    settings.ANYMAIL = settings.ANYMAIL | {"MAILGUN_API_URL": f"{url}/mailgun/v3"}
    settings.MAILGUN_WEBHOOK_SIGNING_KEY = "signing-key-of-the-sandbox"
    settings.WHITENOISE_AUTOREFRESH = True  # else it warns of the folder that only collectstatic makes
    settings.EMAIL_BACKEND = (
        "apps.notifications.mailgun.DirectBackend"  # the test runner puts the memory one in its place
    )


def _listen(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write down what the application asks of Stripe: method, path, and the encoded parameters."""
    plain = stripe.RequestsClient.request

    def request(self: Any, method: str, url: str, headers: Any, post_data: Any = None) -> Any:
        if type(self) is stripe.RequestsClient:  # the tests' own calls come through a class of theirs
            path, _, query = url.removeprefix(f"{world.url}/stripe").partition("?")
            world.requests.append((method.upper(), path, query if method == "get" else post_data or ""))
            if any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks):
                world.inside.append(f"{method} {path}")
        return plain(self, method, url, headers, post_data)

    monkeypatch.setattr(stripe.RequestsClient, "request", request)
