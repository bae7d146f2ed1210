"""The number of people of a running subscription: changed with Stripe's preview, and never below those who share it."""

from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from apps.access import memberships
from apps.accounts.models import Membership, UserProfile
from apps.catalog.models import Product, ProductPrice
from apps.core import clock, jobs
from apps.instances.models import Instance
from apps.onboarding.basket import Shop
from tests.access.test_sharing import make_member
from tests.dashboard.conftest import Catalog, catalog, person, subscribe
from tests.dashboard.test_plan import CHANGE, PAGE, PREVIEW, at_stripe, browser, offer_in, said, text
from tests.world import World

__all__ = ["catalog"]  # a fixture


@pytest.fixture
def family(world: World) -> tuple[World, UserProfile]:
    """Dana pays for three by the person, and shares with Mia and Ned, who joined later."""
    Product.objects.filter(slug="plus").update(people=1, max_quantity=5)
    dana = world.subscriber("dana", plus=3)
    make_member(dana)
    make_member(dana, "ned", accepted_at=clock.now())
    UserProfile.objects.filter(user__username__in=("mia", "ned")).update(
        keycloak_id=None
    )  # their accounts are still to be made
    jobs.defer(memberships.KIND, dana.pk, reason="test")
    world.work()
    return world, dana


def ask(client: Client, people: Any, plan: str = "plus") -> HttpResponse:
    return client.get(PREVIEW, {"plan": plan, "interval": "month", "people": people})


def test_more_people_cost_what_the_preview_says_and_fewer_than_share_it_are_refused(
    family: tuple[World, UserProfile],
) -> None:
    world, dana = family
    client, plus = browser(dana), world.price("plus")
    assert (
        'name="people" type="number" inputmode="numeric" min="1" max="5" value="3"' in client.get(PAGE).content.decode()
    )
    shown = ask(client, 5)
    assert "For 5 people , you included. Until now it's for 3 people." in text(shown)
    assert "Then €45 a month" in text(shown)
    assert "of storage" not in text(shown)  # each has the storage of one
    assert client.post(CHANGE, offer_in(shown))["Location"] == "/dashboard/"
    assert at_stripe(world, dana) == {plus: 5}
    world.deliver()
    assert memberships.count_people(dana) == memberships.PeopleCount(people=5, members=2)

    fewer = ask(client, 3)  # still fits
    make_member(dana, "ida")
    Membership.objects.create(payer=dana, email="new@example.com", invited_at=clock.now())
    refused = client.post(CHANGE, offer_in(fewer))
    assert "First remove Ned, new@example.com" in said(refused)
    for people, named in ((4, "First remove new@example.com under"), (1, "First remove")):
        answer = ask(client, people)
        assert (answer.status_code, named in text(answer)) == (409, True)
    answer = ask(client, "", plan="personal")
    assert "This choice is for you alone, and 5 people share your subscription" in text(answer)
    assert at_stripe(world, dana) == {plus: 5}
    assert Membership.objects.filter(payer=dana, ended_at=None).count() == 4
    stranger = world.subscriber("sam")
    assert "Ned" not in text(ask(browser(stranger), 1))


@pytest.mark.django_db
def test_a_full_plan_keeps_its_people_field_for_who_holds_it(catalog: Catalog) -> None:
    """Nora pays and still waits for her seat: for everybody else the plan is full."""
    Product.objects.filter(pk=catalog.plan.pk).update(people=1, max_quantity=5)
    price = {"stripe_price_id": "price_home", "interval": "month", "unit_amount": 1250, "currency": "eur"}
    ProductPrice.objects.create(product=catalog.plan, is_active=True, **price)
    Instance.objects.update(allocated_seats=3)
    nora = person("nora")
    subscribe(nora, catalog.plan)
    page = browser(nora).get(PAGE).content.decode()
    assert 'name="people"' in page
    assert "Full right now" not in page
    assert 'value="home" checked' in page
    assert Shop.load(person("sam")).plans[0].full


def test_a_quantity_lowered_at_stripe_itself_ends_the_newest_membership(family: tuple[World, UserProfile]) -> None:
    world, dana = family
    (item,) = world.stripe_state(dana)["items"]["data"]
    world.shop.v1.subscriptions.update(
        dana.stripe_subscription_id or "", {"items": [{"id": item["id"], "quantity": 2}]}
    )
    world.deliver()
    ended = Membership.objects.exclude(ended_at=None).values_list("member__user__username", "end")
    assert list(ended) == [("ned", "reduced")]
    states = [
        world.state(one).access
        for one in (dana, *UserProfile.objects.filter(user__username__in=("mia", "ned")).order_by("pk"))
    ]
    assert states == ["active", "active", "canceled"]
    assert "people_left" in world.notifications(dana)
    world.assert_laws_hold()
