"""The Billing tab of the subscriber's page: what it says about the money, its links out, its flags, and that it asks nobody."""

from collections.abc import Callable

import pytest
from django.db.models import F
from django.test import Client
from django.urls import reverse

from apps.accounts.models import UserProfile
from apps.billing.models import Subscription
from tests.world import World

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]


def tab(client: Client, profile: UserProfile) -> str:
    address = reverse("admin:accounts_userprofile_tab", args=[profile.pk])
    return client.get(address, {"tab": "billing"}).content.decode()


def head(client: Client, profile: UserProfile) -> str:
    """The page without its tabs."""
    page = client.get(reverse("admin:accounts_userprofile_change", args=[profile.pk])).content.decode()
    return page.split("What there is about this subscriber")[0]


def flagged(client: Client, flag: str) -> list[str]:
    """Who is in the list of subscribers with that flag."""
    answer = client.get(reverse("admin:accounts_userprofile_changelist"), {"view": flag})
    return [row.user.username for row in answer.context["cl"].result_list]


def test_it_says_what_is_paid_and_what_comes_next_and_asks_nobody(town: World, staff: Staff) -> None:
    dana = town.subscriber("dana", personal=1, storage_100=2)
    town.requests.clear()
    text = tab(staff("support"), dana)
    assert "Personal for €5 / month, 2 × 100 GB more for €3 / month" in text
    assert "€8 on " in text
    assert "Visa ending in 4242, expires 12/2034" in text
    assert "No invoices" not in text
    assert ">Paid in total</dt><dd>€8</dd>" in text
    assert ">Owed</dt><dd>nothing</dd>" in text
    invoice = town.stripe_state(dana)["latest_invoice"]
    test_mode = "https://dashboard.stripe.com/test"
    assert f'href="{test_mode}/customers/{dana.stripe_customer_id}"' in text
    assert f'href="{test_mode}/subscriptions/{dana.stripe_subscription_id}"' in text
    assert f'href="{test_mode}/invoices/{invoice}"' in text
    assert town.requests == []
    page = staff("support").get(reverse("admin:accounts_userprofile_change", args=[dana.pk])).content.decode()
    assert f"/users/{dana.keycloak_id}/settings" in page


def test_its_lines_stay_in_their_order_when_one_of_them_is_written_again(town: World, staff: Staff) -> None:
    dana = town.subscriber("dana", personal=1, storage_100=2)
    first = dana.items.earliest("pk")
    dana.items.filter(pk=first.pk).update(quantity=3)
    assert "3 × Personal for €15 / month, 2 × 100 GB more for €3 / month" in tab(staff("viewer"), dana)


def test_a_payment_that_fails_is_owed_with_its_attempts(town: World, staff: Staff) -> None:
    dana = town.subscriber("dana")
    town.shop.control("payments", customer=dana.stripe_customer_id, mode="fail")
    town.pass_time(days=32)
    town.deliver()
    text = tab(staff("viewer"), dana)
    assert "€5, " in text
    assert "tried 1 time, next on " in text
    assert "insufficient funds" in text


def test_a_partial_refund_is_a_flag_and_in_the_sums(town: World, staff: Staff) -> None:
    dana, emil = town.subscriber("dana"), town.subscriber("emil")
    town.shop.v1.refunds.create({"charge": town.charge(dana), "amount": 200})
    town.deliver()
    client = staff("viewer")
    text = tab(client, dana)
    assert "€3 (€2 went back)" in text
    assert "€2 given back" in text
    assert "Partly refunded" in head(client, dana)
    assert flagged(client, "returned") == ["dana"]
    town.shop.v1.refunds.create({"charge": town.charge(emil)})
    town.deliver()
    assert ">Refunded<" in head(client, emil)
    assert flagged(client, "returned") == ["emil", "dana"]
    assert flagged(client, "disputed") == []


def test_a_dispute_is_a_flag_until_it_is_won_and_another_one_when_it_is_lost(town: World, staff: Staff) -> None:
    dana, emil = town.subscriber("dana"), town.subscriber("emil")
    client, disputes = staff("viewer"), {}
    for one in (dana, emil):
        disputes[one.pk] = town.shop.control("dispute", charge=town.charge(one))["id"]
    town.deliver()
    assert "Payment disputed" in head(client, dana)
    assert "answer until " in tab(client, dana)
    assert flagged(client, "disputed") == ["emil", "dana"]
    town.shop.control("close_dispute", dispute=disputes[dana.pk], status="won")
    town.shop.control("close_dispute", dispute=disputes[emil.pk], status="lost")
    town.deliver()
    assert "disputed" not in head(client, dana)
    assert "Dispute lost" in head(client, emil)
    assert flagged(client, "disputed") == []
    assert flagged(client, "dispute_lost") == ["emil"]
    assert ">Paid in total</dt><dd>€0 (€5 went back)</dd>" in tab(client, emil)


def test_a_pause_and_an_end_are_said_in_words(town: World, staff: Staff) -> None:
    dana = town.subscriber("dana")
    town.shop.v1.subscriptions.update(dana.stripe_subscription_id or "", {"pause_collection": {"behavior": "void"}})
    town.deliver()
    assert "none while payments are paused" in tab(staff("viewer"), dana)
    town.shop.v1.subscriptions.update(
        dana.stripe_subscription_id or "", {"pause_collection": "", "cancel_at_period_end": True}
    )
    town.deliver()
    assert "none: it ends on " in tab(staff("viewer"), dana)


def test_a_trial_without_a_card_has_no_next_charge(town: World, staff: Staff) -> None:
    dana = town.subscriber("dana")
    rows = Subscription.objects.filter(stripe_id=dana.stripe_subscription_id)
    rows.update(status="trialing", trial_end=F("current_period_end"), after_trial="cancel")
    assert "none without a card: the trial ends on " in tab(staff("viewer"), dana)


def test_it_has_words_for_somebody_who_never_paid(town: World, staff: Staff) -> None:
    dana = town.subscriber("dana")
    UserProfile.objects.filter(pk=dana.pk).update(stripe_customer_id=None)
    assert "No customer at Stripe yet" in tab(staff("viewer"), UserProfile.objects.get(pk=dana.pk))
