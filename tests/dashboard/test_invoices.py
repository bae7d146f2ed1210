"""A subscriber's invoices: the list, one that is late, the way to each at Stripe, and nobody else's."""

from html import unescape
from typing import Any

import pytest
import requests
from django.contrib.messages import get_messages
from django.http import HttpResponse
from django.test import Client

from apps.accounts.models import UserProfile
from apps.billing import copies
from apps.core import clock
from tests.sandbox.stripe_fixture import GOOD
from tests.world import World

pytestmark = pytest.mark.django_db
PAGE, SHOW = "/dashboard/invoices/", "/dashboard/invoices/show/"


def browser(profile: UserProfile) -> Client:
    client = Client()
    client.force_login(profile.user)
    return client


def text(answer: HttpResponse) -> str:
    return unescape(" ".join(answer.content.decode().split()))


def invoice_of(world: World, profile: UserProfile) -> str:
    return world.shop.v1.invoices.list({"customer": profile.stripe_customer_id or ""}).data[0].id


def test_each_sees_and_opens_their_own_and_nobody_else_does(world: World, settings: Any) -> None:
    settings.LIMITS = settings.LIMITS | {
        "portal_links": ((1, 3600),)
    }  # of the billing portal, for which invoices do not count
    dana, omar = world.subscriber("dana"), world.subscriber("omar", plus=1)
    mine, theirs = invoice_of(world, dana), invoice_of(world, omar)
    client = browser(dana)
    page = text(client.get(PAGE))
    for words in ("€5", "Paid", f"?invoice={mine}", f"?invoice={mine}&as=pdf"):
        assert words in page, words
    assert theirs not in page
    assert "€9" not in page
    shown = client.get(SHOW, {"invoice": mine})
    assert "Invoice paid" in requests.get(shown["Location"], timeout=30).text
    file = client.get(SHOW, {"invoice": mine, "as": "pdf"})
    assert requests.get(file["Location"], timeout=30).content.startswith(b"%PDF-")
    asked = len(world.requests)
    for wrong in (theirs, "in_nobody", "", "\x00"):
        refused = client.get(SHOW, {"invoice": wrong})
        assert refused["Location"] == PAGE
        assert "You don't have such an invoice." in [str(one) for one in get_messages(refused.wsgi_request)]
    assert len(world.requests) == asked  # nobody else's invoice is even asked for
    assert Client().get(SHOW, {"invoice": mine})["Location"].endswith(f"?next={PAGE}")


def test_a_late_one_is_named_with_its_amount_and_paid_on_its_page(world: World, settings: Any) -> None:
    settings.PAYMENT_GRACE_DAYS = 7
    dana = world.subscriber("dana")
    world.shop.control("payments", customer=dana.stripe_customer_id, mode="fail")
    world.pass_time(days=32)
    world.deliver()
    client, link = browser(dana), f"{world.url}/stripe/invoice/{invoice_of(world, dana)}"
    page = text(client.get(PAGE))
    assert "€5 is still to be paid." in page
    assert "To be paid" in page
    home = text(client.get("/dashboard/"))
    assert f'href="{link}"' in home
    assert "Pay €5 now" in home
    assert "Open since" in home
    paid = world.shop.post(client.get(SHOW, {"invoice": invoice_of(world, dana)})["Location"], card=GOOD, name="Dana")
    assert paid.headers["X-Sandbox-Outcome"] == "paid"
    world.deliver()
    assert world.state(dana).access == "active"
    assert "still to be paid" not in text(client.get(PAGE))
    assert "Pay €5 now" not in text(client.get("/dashboard/"))


def test_an_old_invoice_keeps_its_amount_and_its_link(world: World) -> None:
    """Of old ones the mirror keeps little, and Stripe's links expire: they are asked for again."""
    dana = world.subscriber("dana")
    copies.prune(clock.now())
    client = browser(dana)
    page = text(client.get(PAGE))
    assert "€5" in page
    assert "Paid" in page
    assert world.url in client.get(SHOW, {"invoice": invoice_of(world, dana)})["Location"]


def test_stripe_away_is_told_and_the_list_needs_no_call(world: World) -> None:
    dana = world.subscriber("dana")
    client, mine = browser(dana), invoice_of(world, dana)
    world.fault("stripe", "down")
    assert client.get(PAGE).status_code == 200
    answer = client.get(SHOW, {"invoice": mine})
    assert answer.status_code == 503
    assert "reach our payment partner" in text(answer)
