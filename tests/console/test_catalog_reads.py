"""Pages read our typed rows alone: with Stripe away and every table of dj-stripe's gone, they say the same as before."""

import html
import re
from collections.abc import Callable

import pytest
from django.contrib import admin
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import Signup, UserProfile
from apps.billing.models import UserSubscriptionItem
from apps.console import dashboard
from tests.world import World

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]
PUBLIC = (
    "onboarding-welcome", "onboarding-plan", "onboarding-addons", "onboarding-checkout", "onboarding-waitlist",
    "onboarding-cancel", "recovery", "home",
)  # fmt: skip


@pytest.fixture
def dana(town: World) -> UserProfile:
    """Somebody who pays for a plan and three times more storage."""
    return town.subscriber("dana", plus=1, storage_100=3)


INVOICES = "djstripe_invoice"  # what a subscriber has paid and owes is read from the mirror


def poison(town: World, *, spared: str = "") -> None:
    """Stripe does not answer, and whoever names one of dj-stripe's tables, but for the spared one, meets an error."""
    town.fault("stripe", "down")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename LIKE 'djstripe_%'"
        )
        tables = [row[0] for row in cursor.fetchall() if row[0] != spared]
        assert len(tables) > 20
        for name in tables:
            cursor.execute(f'ALTER TABLE "{name}" RENAME TO "gone_{name[9:]}"')


def words(answer: object) -> str:
    """What a page says, without tokens, moments, how long ago they were, and how long a search took."""
    text = re.sub(r"<[^>]*>", " ", answer.content.decode())  # type: ignore[attr-defined]
    return re.sub(
        r"\d\d:\d\d:\d\d|\b0\.\d\d\b|\((now|\d+ \w+ ago|in \d+ \w+)\)", "", " ".join(html.unescape(text).split())
    )


def same_as_before(town: World, client: Client, addresses: list[str], *, spared: str = "") -> list[str]:
    """Open each page, poison the mirror, open each again: no error, no query of the mirror, no call, the same words."""
    dashboard.forget()
    before = {address: (answer := client.get(address)).status_code and words(answer) for address in addresses}
    called = len(town.requests)
    poison(town, spared=spared)
    dashboard.forget()
    with CaptureQueriesContext(connection) as asked:
        after = {address: client.get(address) for address in addresses}
    tables = {name for query in asked for name in re.findall(r"djstripe_\w+", query["sql"])}
    assert tables <= {spared}
    assert {address for address, answer in after.items() if answer.status_code not in {200, 302}} == set()
    assert town.requests[called:] == []
    for address, answer in after.items():
        assert words(answer).split() == before[address].split(), address
    return [words(answer) for answer in after.values()]


def test_the_dashboard_and_the_success_page_of_a_subscriber(town: World, dana: UserProfile) -> None:
    client = Client()
    client.force_login(dana.user)
    session = client.session
    assert isinstance(session, SessionStore)
    session["signup"] = str(Signup.objects.get(profile=dana).pk)
    session.save()
    pages = same_as_before(
        town,
        client,
        [reverse("dashboard"), reverse("onboarding-success"), reverse("onboarding-success-state")],
        spared=INVOICES,
    )
    for part in ("Plus", "100 GB more", "Nextcloud"):
        assert part in pages[0], pages[0]


def test_the_pages_of_the_shop_and_of_recovery(town: World) -> None:
    client = Client()
    client.post(reverse("onboarding-welcome"), {"first_name": "Dana"})
    client.post(reverse("onboarding-plan"), {"plan": "plus", "interval": "month"})
    client.post(reverse("onboarding-addons"), {})
    pages = same_as_before(town, client, [reverse(name) for name in PUBLIC])
    assert "Plus" in pages[1]


def test_every_page_of_the_console_but_the_mirrors_own(town: World, dana: UserProfile, staff: Staff) -> None:
    client = staff("admin")
    client.get(reverse("admin:index"))
    addresses = [reverse("admin:search") + "?s=dana"]  # the first page's open payments are the mirror's
    for model in admin.site._registry:
        if model._meta.app_label == "djstripe":
            continue
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        addresses.append(reverse(f"{name}_changelist"))
        if model is UserProfile:  # its payments are the mirror's: tests/field/test_mirror_in_use.py
            continue
        row = model._default_manager.order_by("pk").first()
        addresses += [reverse(f"{name}_change", args=[row.pk])] if row else []
    assert len(addresses) > 20
    pages = same_as_before(town, client, addresses)
    assert any("dana" in page and "Active" in page for page in pages)


def test_what_a_page_shows_of_a_subscription_is_the_line_we_have(town: World, dana: UserProfile) -> None:
    UserSubscriptionItem.objects.filter(profile=dana, product__slug="storage_100").update(quantity=7)
    client = Client()
    client.force_login(dana.user)
    assert "7 × 100 GB more" in words(client.get(reverse("dashboard")))
