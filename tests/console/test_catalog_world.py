"""What staff change in the catalog reaches the people who hold it: in Keycloak, in the seats, and nobody else."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import UserProfile
from apps.billing import prices
from apps.billing.models import UserSubscriptionItem
from apps.catalog.models import Product, ProductPrice
from apps.core.models import AuditEntry
from tests.console.catalog_pages import REASON, confirm, save
from tests.world import World

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]


def test_an_app_dropped_from_a_plan_is_lost_by_those_who_hold_it_and_comes_back(town: World, staff: Staff) -> None:
    plus, cloud = Product.objects.get(slug="plus"), Product.objects.get(slug="nextcloud")
    dana, ben = town.subscriber("dana", plus=1), town.subscriber("ben", plus=1)
    both, carl = town.subscriber("both", plus=1, storage_100=2), town.subscriber("carl", personal=1)
    before = {one.pk: town.state(one) for one in (dana, ben, both, carl)}
    client = staff("admin")

    preview = save(client, plus, includes=[cloud.pk])
    found = preview.context["found"]
    assert (len(found.holders), found.gain, found.lose) == (3, 0, 3)
    assert [(line.name, line.lose) for line in found.apps] == [("vaultwarden", 3)]
    assert [(room.app, room.given_back) for room in found.rooms] == [("vaultwarden", 3)]
    town.work()
    assert town.state(dana) == before[dana.pk]

    assert confirm(client, preview).status_code == 302
    town.work()
    assert town.jobs() == []
    for one in (dana, ben, both):
        was, now = before[one.pk], town.state(one)
        assert was.attributes.items() - now.attributes.items() == {
            ("has_vaultwarden", "true"),
            ("vaultwarden_instance", "vaultwarden-1"),
        }
        assert now.attributes.items() <= was.attributes.items()
        assert set(was.groups) - set(now.groups) == {"/frontdesk/vaultwarden-1"}
        assert set(now.groups) <= set(was.groups)
        assert now.seats == (("nextcloud", "assigned"),)
        assert (now.access, now.account) == ("active", True)
    assert town.state(carl) == before[carl.pk]
    assert not UserProfile.objects.exclude(pending_since=None).exists()

    again = save(client, plus, includes=[cloud.pk, Product.objects.get(slug="vaultwarden").pk])
    assert (again.context["found"].gain, again.context["found"].rooms[0].needed) == (3, 3)
    assert confirm(client, again).status_code == 302
    town.work()
    assert {one.pk: town.state(one) for one in (dana, ben, both, carl)} == before


def test_a_number_taken_out_of_the_whole_catalog_leaves_the_accounts(town: World, staff: Staff) -> None:
    client = staff("admin")
    dana = town.subscriber("dana")
    personal = Product.objects.get(slug="personal")
    Product.objects.exclude(slug="personal").update(grants={}, names_given=[])
    assert town.state(dana).attributes["storage_gb"] == "100"
    assert confirm(client, save(client, personal, grants_name=[""], grants_amount=[""])).status_code == 302
    town.work()
    assert "storage_gb" not in town.state(dana).attributes
    assert town.state(dana).attributes["has_nextcloud"] == "true"


def test_more_storage_for_everybody_with_the_plan_is_multiplied_and_added_up(town: World, staff: Staff) -> None:
    client = staff("admin")
    dana = town.subscriber("dana", personal=1, storage_100=3)
    storage = Product.objects.get(slug="storage_100")
    assert town.state(dana).attributes["storage_gb"] == "400"
    assert confirm(client, save(client, storage, grants_amount=["200"])).status_code == 302
    town.work()
    assert town.state(dana).attributes["storage_gb"] == "700"


def unknown_price(town: World, *people: UserProfile) -> str:
    """Somebody at Stripe's dashboard puts these people on a price of which nobody here was told."""
    price = town.shop.price(700, currency="eur")
    for one in people:
        subscription = town.stripe_state(one)
        (line,) = subscription["items"]["data"]
        items = [{"id": line["id"], "price": price}]
        town.shop.v1.subscriptions.update(subscription["id"], {"items": items})
    town.deliver()
    return price


def test_a_price_nobody_placed_is_seen_placed_in_one_dialog_and_gives_access(town: World, staff: Staff) -> None:
    dana, ben, carl = (town.subscriber(name) for name in ("dana", "ben", "carl"))
    before = {one.pk: town.state(one) for one in (dana, ben, carl)}
    price = unknown_price(town, dana, ben)
    held = {pk: replace(state, items=((price, 1),) if pk != carl.pk else state.items) for pk, state in before.items()}
    assert {one.pk: town.state(one) for one in (dana, ben, carl)} == held  # nobody loses over a gap in our table
    assert town.jobs() == []

    client = staff("admin")
    page = client.get(reverse("admin:catalog_productprice_changelist"))
    (row,) = page.context["unmapped"]
    assert (row["id"], row["holders"]) == (price, 2)
    assert "Unmapped Stripe prices" in page.content.decode()
    assert "€7 / month" in row["title"]

    dialog = re.search(r'hx-get="([^"]*map_price[^"]*)"', page.content.decode())
    assert dialog is not None
    choices = client.get(dialog[1]).context["form"].fields["price"].choices
    assert [key for key, _ in choices] == [price]
    data = {"price": price, "product": Product.objects.get(slug="plus").pk, "reason": REASON, "_form_submitted": "1"}
    assert staff("operator").post(dialog[1], data).status_code == 403
    assert "at least 10 characters" in client.post(dialog[1], data | {"reason": "x"}).content.decode()
    assert client.post(dialog[1], data | {"price": "price_other"}).status_code == 200
    assert not ProductPrice.objects.filter(stripe_price_id=price).exists()

    answer = client.post(dialog[1], data)
    assert answer.status_code == 302, answer.context["form"].errors
    town.work()
    assert town.jobs() == []
    for one in (dana, ben):
        assert town.state(one).attributes["has_vaultwarden"] == "true"
        assert town.state(one).attributes["storage_gb"] == "500"
        assert dict(town.state(one).seats) == {"nextcloud": "assigned", "vaultwarden": "assigned"}
    assert town.state(carl) == before[carl.pk]
    ours = ProductPrice.objects.get(stripe_price_id=price)
    assert (ours.product.slug, ours.interval, ours.unit_amount, ours.is_active) == ("plus", "month", 700, False)
    entry = AuditEntry.objects.get(subject_kind="price", subject_id=str(ours.pk))
    assert (entry.action, entry.actor, entry.reason) == ("price_mapped", "staff:admin-ada", REASON)
    assert entry.after["holders"] == 2
    assert prices.unmapped_prices() == []
    assert client.get(reverse("admin:catalog_productprice_changelist")).context["unmapped"] == []


def test_lines_kept_without_a_product_are_counted_and_follow_the_price_at_once(town: World, staff: Staff) -> None:
    dana = town.subscriber("dana")
    ProductPrice.objects.filter(stripe_price_id=town.price("personal")).delete()
    item = UserSubscriptionItem.objects.get(profile=dana)
    UserSubscriptionItem.objects.update(product=None)
    (unknown,) = prices.unmapped_prices()
    assert (unknown.id, unknown.holders, unknown.name) == (item.stripe_price_id, 1, "Personal")
    client = staff("admin")
    plus = Product.objects.get(slug="plus")
    address = reverse("admin:catalog_productprice_changelist")
    dialog = re.search(r'hx-get="([^"]*map_price[^"]*)"', client.get(address).content.decode())
    assert dialog is not None
    data = {"price": unknown.id, "product": plus.pk, "reason": REASON, "_form_submitted": "1"}
    answer = client.post(dialog[1], data)
    assert answer.status_code == 302, answer.context["form"].errors
    town.work()
    assert town.state(dana).attributes["has_vaultwarden"] == "true"
    assert "is mapped to a product" in client.get(dialog[1]).content.decode()


def test_stripe_withdraws_a_price_and_never_offers_one_that_staff_withdrew(town: World) -> None:
    price = ProductPrice.objects.get(stripe_price_id=town.price("plus"))
    ProductPrice.objects.filter(pk=price.pk).update(is_active=False)
    town.shop.v1.prices.update(price.stripe_price_id, {"nickname": "spring"})
    town.deliver()
    price.refresh_from_db()
    assert not price.is_active
    assert town.jobs() == []
