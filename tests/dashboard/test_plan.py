"""A subscriber changes plan, interval and storage on our own pages: what is shown is what is charged, or nothing changes."""

import html
import re
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.messages import get_messages
from django.core import signing
from django.http import HttpResponse
from django.test import Client

from apps.accounts.models import UserProfile
from apps.billing import plan_changes
from apps.billing.models import Subscription
from apps.catalog.models import Product, ProductPrice
from apps.core.models import AttentionItem, AuditEntry
from apps.dashboard import views_plan
from tests.sandbox.stripe_fixture import ASKS, FAILS_LATER, GOOD
from tests.world import World

pytestmark = pytest.mark.django_db
PAGE, PREVIEW, CHANGE = "/dashboard/plan/", "/dashboard/plan/preview/", "/dashboard/plan/change/"


def browser(profile: UserProfile) -> Client:
    client = Client()
    client.force_login(profile.user)
    return client


def text(answer: HttpResponse) -> str:
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split()))


def said(answer: HttpResponse) -> str:
    return " ".join(str(one) for one in get_messages(answer.wsgi_request))


def offer_in(answer: HttpResponse) -> dict[str, str]:
    found = re.search(r'name="offer" value="([^"]+)"', answer.content.decode())
    assert found, text(answer)
    return {"offer": html.unescape(found[1])}


def preview(client: Client, plan: str = "plus", interval: str = "month", **storage: int) -> HttpResponse:
    return client.get(f"{PREVIEW}?{urlencode({'plan': plan, 'interval': interval, **storage})}")


def at_stripe(world: World, profile: UserProfile) -> dict[str, int]:
    """Price to quantity."""
    lines = world.stripe_state(profile)["items"]["data"]
    return {one["price"]["id"]: one["quantity"] for one in lines}


def paid(world: World, profile: UserProfile) -> list[int]:
    """What was charged, the newest first."""
    return [
        one.amount
        for one in world.shop.v1.charges.list({"customer": profile.stripe_customer_id or ""}).data
        if one.paid
    ]


def use_card(world: World, profile: UserProfile, card: str) -> None:
    """A new card in the portal; the answer to a bank that asks is yes."""
    page = world.shop.portal(profile.stripe_customer_id or "")
    done = world.shop.post(
        page, action="card", card=card, exp="12/34", cvc="123", name="Dana", authentication="confirm"
    )
    assert done.headers["X-Sandbox-Outcome"] == "done"


def test_a_larger_plan_costs_what_the_preview_said_and_opens_at_once(world: World) -> None:
    dana = world.subscriber("dana", personal=1, storage_100=1)
    client = browser(dana)
    page = text(client.get(PAGE))
    assert "Your plan today" in page
    world.pass_time(days=15)
    shown = preview(client, storage_100=2)
    words = text(shown)
    assert "Opens for you: Vaultwarden" in words
    assert "700 GB of storage instead of 200 GB" in words
    assert "Then €12 a month" in words  # 9 and twice 1.50
    today = re.search(r"Change plan and pay €([\d.]+)", words)
    assert today, words
    world.pass_time(seconds=1800)  # the time is split at the second that was shown
    done = client.post(CHANGE, offer_in(shown))
    assert (done["Location"], "has changed" in said(done)) == ("/dashboard/", True)
    assert paid(world, dana)[0] == round(float(today[1]) * 100)
    assert at_stripe(world, dana) == {world.price("plus"): 1, world.price("storage_100"): 2}
    world.skip()  # Stripe's events are late
    world.work()
    assert dict(world.state(dana).seats)["vaultwarden"] == "assigned"
    assert world.account(dana)["attributes"]["storage_gb"] == ["700"]
    entry = AuditEntry.objects.get(action="plan_changed", subject_id=str(dana.pk))
    assert (entry.actor, entry.reason) == ("customer", "on the dashboard")
    world.assert_laws_hold()


def test_in_a_trial_without_a_card_it_is_said_what_the_change_depends_on(world: World) -> None:
    dana = world.subscriber("dana")
    client = browser(dana)
    assert "Change card" in text(client.get(PAGE))
    assert "add a card" not in text(preview(client))
    rows = Subscription.objects.filter(stripe_id=dana.stripe_subscription_id)
    rows.update(status="trialing", after_trial="cancel")
    assert "Add a card" in text(client.get(PAGE))
    assert "If you want to go on, add a card before then." in text(preview(client))


def test_a_smaller_one_closes_what_it_lacks_and_credits_the_rest(world: World) -> None:
    dana = world.subscriber("dana", plus=1, storage_100=3)
    client = browser(dana)
    shown = preview(client, "personal")
    words = text(shown)
    for expected in (
        "Closes for you: Vaultwarden",
        "100 GB of storage instead of 800 GB",
        "Today €0",
        "Then €5 a month",
        "We set off €8.50",
    ):
        assert expected in words, expected
    client.post(CHANGE, offer_in(shown))
    assert at_stripe(world, dana) == {world.price("personal"): 1}
    assert world.shop.v1.customers.retrieve(dana.stripe_customer_id or "").balance == -850
    world.deliver()
    assert [name for name, _ in world.state(dana).seats if name == "vaultwarden"] == []


def test_a_year_begins_today_and_all_lines_follow(world: World) -> None:
    dana = world.subscriber("dana", personal=1, storage_100=1)
    client = browser(dana)
    shown = preview(client, "personal", "year", storage_100=1)
    words = text(shown)
    assert "Then €65 a year" in words
    assert "Change plan and pay €58.50" in words  # 65 less the month that was paid
    client.post(CHANGE, offer_in(shown))
    assert at_stripe(world, dana) == {world.price("personal", "year"): 1, world.price("storage_100", "year"): 1}
    assert paid(world, dana)[0] == 5850


def test_a_price_that_is_no_longer_sold_stays_for_who_has_it(world: World) -> None:
    dana = world.subscriber("dana")
    old = world.price("personal")
    ProductPrice.objects.filter(stripe_price_id=old).update(is_active=False)
    world.sell(Product.objects.get(slug="personal"), interval="month", amount=700)
    client = browser(dana)
    client.post(CHANGE, offer_in(preview(client, "personal", storage_100=1)))
    assert at_stripe(world, dana) == {old: 1, world.price("storage_100"): 1}


def test_a_refused_card_changes_nothing_and_says_what_to_do(world: World) -> None:
    dana = world.subscriber("dana")
    use_card(world, dana, FAILS_LATER)
    client, before = browser(dana), at_stripe(world, dana)
    done = client.post(CHANGE, offer_in(preview(client)))
    assert done["Location"] == PAGE
    assert "didn't say why" in said(done)
    assert "Change card" in text(client.get(PAGE))
    assert (at_stripe(world, dana), world.stripe_state(dana)["status"]) == (before, "active")
    use_card(world, dana, GOOD)
    world.deliver()
    client.post(CHANGE, offer_in(preview(client)))
    assert at_stripe(world, dana) == {world.price("plus"): 1}


def ask_the_bank(world: World, dana: UserProfile) -> str:
    """The page of the invoice that a change waits for."""
    use_card(world, dana, ASKS)
    world.deliver()
    client = browser(dana)
    asked = client.post(CHANGE, offer_in(preview(client)))
    assert "Nothing has changed or been charged yet." in text(asked)
    found = re.search(r'href="([^"]+/stripe/invoice/[^"]+)"', asked.content.decode())
    assert found
    assert at_stripe(world, dana) == {world.price("personal"): 1}
    world.deliver()
    assert (world.state(dana).access, world.state(dana).subscription) == ("active", "active")  # nothing is late
    assert "waits for its payment" in text(preview(client, storage_100=1))
    assert "€4 is still to be paid." in text(client.get("/dashboard/invoices/"))
    return found[1]


def test_a_bank_that_asks_first_is_answered_on_the_page_of_the_invoice(world: World) -> None:
    dana = world.subscriber("dana")
    page = ask_the_bank(world, dana)
    answered = world.shop.post(page, card=ASKS, exp="12/34", cvc="123", name="Dana", authentication="confirm")
    assert answered.headers["X-Sandbox-Outcome"] == "paid"
    assert at_stripe(world, dana) == {world.price("plus"): 1}
    world.deliver()
    assert dict(world.state(dana).seats)["vaultwarden"] == "assigned"
    assert paid(world, dana)[0] == 400
    world.assert_laws_hold()


def test_where_the_bank_can_ask_on_no_page_nothing_waits(world: World) -> None:
    """Accounts may switch the invoices' pages off: the change would wait for a day, for a payment that nobody can make."""
    world.shop.control("settings", invoice_pages=False)
    dana = world.subscriber("dana")
    use_card(world, dana, ASKS)
    world.deliver()
    client = browser(dana)
    done = client.post(CHANGE, offer_in(preview(client)))
    assert done["Location"] == PAGE
    assert "isn't possible with the card we have" in said(done)
    assert (at_stripe(world, dana), world.stripe_state(dana)["pending_update"]) == ({world.price("personal"): 1}, None)
    use_card(world, dana, GOOD)
    world.deliver()
    assert "has changed." in said(client.post(CHANGE, offer_in(preview(client))))
    assert (at_stripe(world, dana), paid(world, dana)) == ({world.price("plus"): 1}, [400, 500])


def test_a_change_that_could_not_be_dropped_is_left_to_staff_and_the_customer_reads_why_it_failed(world: World) -> None:
    world.shop.control("settings", invoice_pages=False)
    dana = world.subscriber("dana")
    use_card(world, dana, ASKS)
    world.deliver()
    client = browser(dana)
    offer = offer_in(preview(client))
    world.fault("stripe", "http_503", path="/void", method="POST")
    done = client.post(CHANGE, offer)
    world.fault("stripe", "ok")
    assert "isn't possible with the card we have" in said(done)
    item = AttentionItem.objects.get(cause="page_refused", resolved_at=None)
    (invoice,) = world.shop.v1.invoices.list({"customer": dana.stripe_customer_id or "", "status": "open"}).data
    assert (item.key, item.profile_ids) == (invoice.id, [dana.pk])
    assert "Void it at Stripe." in item.sentence
    world.shop.v1.invoices.void_invoice(item.key)
    assert (at_stripe(world, dana), world.stripe_state(dana)["pending_update"]) == ({world.price("personal"): 1}, None)


def test_another_card_is_tried_with_the_same_form_and_a_lost_answer_is_not_asked_for_twice(world: World) -> None:
    """Stripe keeps a decline for a day, for its idempotency key; the form in another tab still has that."""
    dana = world.subscriber("dana")
    use_card(world, dana, FAILS_LATER)
    world.deliver()
    client = browser(dana)
    offer = offer_in(preview(client))
    for _ in range(2):
        assert "didn't go through" in said(client.post(CHANGE, offer))
    use_card(world, dana, GOOD)
    world.fault("stripe", "stored_500", path="/v1/subscriptions/", method="POST")
    assert "don't know yet" in said(client.post(CHANGE, offer))
    world.fault("stripe", "ok")
    for _ in range(2):
        assert "has changed." in said(client.post(CHANGE, offer))
    assert (at_stripe(world, dana), paid(world, dana)) == ({world.price("plus"): 1}, [400, 500])


def test_what_the_customer_does_not_confirm_within_a_day_changes_nothing(world: World) -> None:
    dana = world.subscriber("dana")
    ask_the_bank(world, dana)
    world.pass_time(days=1)
    world.deliver()
    assert at_stripe(world, dana) == {world.price("personal"): 1}
    assert world.state(dana).access == "active"
    assert "still to be paid" not in text(browser(dana).get("/dashboard/invoices/"))
    world.assert_laws_hold()


def test_what_is_sent_twice_is_charged_once(world: World) -> None:
    dana = world.subscriber("dana")
    client = browser(dana)
    offer = offer_in(preview(client))
    for _ in range(2):
        assert "has changed." in said(client.post(CHANGE, offer))
    world.deliver()
    assert "has changed." in said(client.post(CHANGE, offer))
    assert paid(world, dana) == [400, 500]
    assert AuditEntry.objects.filter(action="plan_changed").count() == 1


def test_what_was_seen_and_is_no_longer_so_changes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its mutant: without the comparison, the older offer would be charged on the newer plan."""
    dana = world.subscriber("dana")
    client = browser(dana)
    offer = offer_in(preview(client))
    item = world.stripe_state(dana)["items"]["data"][0]["id"]
    world.shop.v1.subscriptions.update(
        world.stripe_state(dana)["id"], {"items": [{"id": item, "price": world.price("personal", "year")}]}
    )
    world.skip()
    before = at_stripe(world, dana)
    assert "Nothing was done" in said(client.post(CHANGE, offer))
    assert at_stripe(world, dana) == before
    monkeypatch.setattr(plan_changes, "digest", lambda _: signing.loads(offer["offer"], salt=views_plan.SALT)["seen"])
    client.post(CHANGE, offer)
    assert at_stripe(world, dana) != before


def test_only_what_is_sold_and_has_room(world: World) -> None:
    dana = world.subscriber("dana")
    client = browser(dana)
    offer = offer_in(preview(client))
    world.only_room_for(1, "vaultwarden")
    world.subscriber("emil", plus=1)
    assert "Plus is full right now" in text(preview(client))
    assert "full right now" in said(client.post(CHANGE, offer))
    for wrong, words in (
        ({"plan": "nextcloud"}, "Please choose a plan."),
        ({"interval": "week"}, "Please choose monthly or yearly."),
        ({"plan": "personal"}, "That's what you have already."),
        ({"plan": "personal", "storage_100": 11}, "whole number from 0 to 10"),
    ):
        assert words in text(preview(client, **wrong))  # type: ignore[arg-type]
    assert at_stripe(world, dana) == {world.price("personal"): 1}


def test_an_offer_is_of_one_person_for_one_hour(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    dana, omar = world.subscriber("dana"), world.subscriber("omar")
    offer = offer_in(preview(browser(dana)))
    assert "check them again" in said(browser(omar).post(CHANGE, offer))
    assert "check them again" in said(browser(dana).post(CHANGE, {"offer": offer["offer"] + "x"}))
    assert Client().post(CHANGE, offer)["Location"].endswith(f"?next={PAGE}")
    monkeypatch.setattr(views_plan, "VALID", -1)
    assert "check them again" in said(browser(dana).post(CHANGE, offer))
    assert at_stripe(world, dana) == at_stripe(world, omar) == {world.price("personal"): 1}


def test_who_cannot_change_it_here_reads_why(world: World, settings: Any) -> None:
    settings.PAYMENT_GRACE_DAYS = 7
    dana = world.subscriber("dana")
    client = browser(dana)
    world.shop.control("payments", customer=dana.stripe_customer_id, mode="fail")
    world.pass_time(days=32)
    world.deliver()
    assert "A payment is still open." in text(client.get(PAGE))
    assert preview(client)["Location"] == PAGE
    omar = world.subscriber("omar")
    offer = offer_in(preview(browser(omar)))
    browser(omar).post("/dashboard/plan/cancel/confirm/", {"subscription": f"{omar.stripe_subscription_id}"})
    asked = len(world.requests)
    for _ in ("stated", "carried out"):  # an offer from before is as closed as the page
        assert "You've canceled" in text(browser(omar).get(PAGE))
        assert preview(browser(omar))["Location"] == PAGE
        assert "nothing was done" in said(browser(omar).post(CHANGE, offer))
        assert len(world.requests) == asked
        world.deliver()
        asked = len(world.requests)


def test_what_is_no_longer_sold_stays_when_something_else_changes(world: World) -> None:
    dana = world.subscriber("dana", personal=1, storage_100=1, vaultwarden=1)
    Product.objects.filter(slug="vaultwarden").update(is_active=False)
    client = browser(dana)
    shown = preview(client, plan="personal", storage_100=3)
    assert client.post(CHANGE, offer_in(shown)).status_code == 302
    assert at_stripe(world, dana) == {
        world.price("personal"): 1,
        world.price("storage_100"): 3,
        world.price("vaultwarden"): 1,
    }
