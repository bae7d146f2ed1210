"""What staff do to money, over HTTP with the stand-in: what happens at Stripe, what follows, what is refused, and that twice is once."""

import re
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import F
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from apps.accounts.models import UserProfile
from apps.billing import payment_changes
from apps.billing.change_requests import ChangeRequest
from apps.billing.models import Subscription
from apps.core.errors import BadInput
from apps.core.models import AuditEntry
from apps.login import reauthentication
from tests.console.desk import REASON, dialog, done, lines, send
from tests.security.url_table import AT_STRIPE, WITHOUT_FRESH_LOGIN, least_role
from tests.world import World

pytestmark = pytest.mark.django_db
Staff = Callable[..., Client]
ROLES = ("viewer", "support", "operator", "admin")


def act(client: Client, profile: UserProfile, action: str, *, key: str = "", **filled: Any) -> HttpResponse:
    return send(client, profile, action, key=key or uuid.uuid4().hex, **filled)


def text_of(answer: HttpResponse) -> str:
    return answer.content.decode().replace("&#x27;", "'")


def refund(client: Client, profile: UserProfile, payment: str, amount: str = "", **filled: Any) -> HttpResponse:
    """`payment`: the charge, and behind a colon what staff saw to have gone back of it."""
    known = {"payment": payment, "amount": amount, "told": "requested_by_customer"}
    return act(client, profile, "refund", **known | filled)


def refunds(town: World, profile: UserProfile) -> list[int]:
    found = town.shop.v1.refunds.list({"charge": town.charge(profile)})
    return [one.amount for one in found.data if one.status != "failed"]


def preview(client: Client, profile: UserProfile, action: str, **chosen: str) -> str:
    address = reverse("admin:accounts_userprofile_payment_preview", args=[profile.pk])
    text = client.get(address, {"action": action, **chosen}).content.decode()
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def about(profile: UserProfile) -> dict[str, str]:
    return {"subscription": f"{profile.stripe_subscription_id}"}


def late(town: World) -> UserProfile:
    """Somebody whose renewal failed."""
    dana = town.subscriber("dana")
    town.shop.control("payments", customer=dana.stripe_customer_id, mode="fail")
    town.pass_time(days=32)
    town.deliver()
    dana.refresh_from_db()
    return dana


def owed(profile: UserProfile, attempts: int = 1) -> dict[str, str]:
    row = Subscription.objects.get(stripe_id=profile.stripe_subscription_id)
    return {"invoice": f"{row.open_invoice_id}:{attempts}"}


# --- who may, and when ------------------------------------------------------------------------------------------------


def test_each_action_has_its_least_role_and_those_below_reach_nothing(town: World, staff: Staff) -> None:
    dana = town.subscriber("dana")
    before = town.stripe_state(dana)
    for action in sorted(AT_STRIPE):
        least = ROLES.index(least_role("accounts_userprofile", action))
        for role in ROLES[:least]:
            assert staff(role).get(dialog(dana, action)).status_code == 403
            assert act(staff(role), dana, action, **about(dana)).status_code == 403
        for role in ROLES[least:]:
            assert b'name="key"' in staff(role).get(dialog(dana, action)).content
    assert town.stripe_state(dana) == before


def test_a_refund_and_an_end_at_once_need_a_fresh_login_and_what_can_be_undone_does_not(
    town: World, staff: Staff
) -> None:
    dana = town.subscriber("dana")
    client = staff("operator")
    session = client.session
    session[reauthentication.FRESH_UNTIL] = time.time() - 60
    session.save()
    assert "/login/" in refund(client, dana, f"{town.charge(dana)}:0")["HX-Redirect"]
    assert "/login/" in act(client, dana, "cancel_now", **about(dana), confirmation="dana")["HX-Redirect"]
    assert (refunds(town, dana), town.stripe_state(dana)["status"]) == ([], "active")
    assert done(act(client, dana, "cancel_at_period_end", **about(dana)))
    assert town.stripe_state(dana)["cancel_at_period_end"]
    assert ("accounts_userprofile", "refund") not in WITHOUT_FRESH_LOGIN


# --- refunds ----------------------------------------------------------------------------------------------------------


def test_a_part_goes_back_and_access_stays_and_then_the_rest_takes_it(town: World, staff: Staff) -> None:
    dana, client = town.subscriber("dana"), staff("operator")
    charge = town.charge(dana)
    page = client.get(f"{dialog(dana, 'refund')}?payment={charge}").content.decode()
    assert f'value="{charge}:0" selected' in page
    assert done(refund(client, dana, f"{charge}:0", "2"))
    town.deliver()
    assert (refunds(town, dana), town.state(dana).access) == ([200], "active")
    assert "€3 is left" in text_of(refund(client, dana, f"{charge}:200", "3.01"))
    assert done(refund(client, dana, f"{charge}:200"))
    town.deliver()
    assert (refunds(town, dana), town.state(dana).access) == ([300, 200], "suspended")
    assert lines(dana, "payment_refunded") == [("staff:operator-ada", REASON)] * 2
    first = AuditEntry.objects.filter(action="payment_refunded").order_by("id")[0]
    assert (first.before["left"], first.after["amount"], first.after["at_stripe"]) == ("€5", "€2", charge)
    assert town.inside == []


def test_what_is_sent_twice_is_one_refund(town: World, staff: Staff) -> None:
    dana, client, key = town.subscriber("dana"), staff("operator"), uuid.uuid4().hex
    for _ in range(3):
        assert done(refund(client, dana, f"{town.charge(dana)}:0", "2", key=key))
    assert refunds(town, dana) == [200]
    assert len(lines(dana, "payment_refunded")) == 1


def test_who_saw_an_older_state_is_refused_and_the_customer_is_fetched(town: World, staff: Staff) -> None:
    dana = town.subscriber("dana")
    charge = town.charge(dana)
    town.shop.v1.refunds.create({"charge": charge, "amount": 200})  # a colleague, in Stripe's dashboard
    town.skip()
    text = text_of(refund(staff("operator"), dana, f"{charge}:0", "2"))
    assert "€2 of this payment has been given back, not €0 as you saw" in text
    assert refunds(town, dana) == [200]
    town.work()
    assert Subscription.objects.get(customer_id=dana.stripe_customer_id).left_of_period == 300
    assert "has changed since the dialog was opened" in text_of(refund(staff("operator"), dana, f"{charge}:0", "2"))


@pytest.mark.parametrize("mode", ["lost_answer", "500_after_commit", "stored_500"])
def test_an_outcome_nobody_knows_is_said_and_never_done_twice(mode: str, town: World, staff: Staff) -> None:
    dana, client, key = town.subscriber("dana"), staff("operator"), uuid.uuid4().hex
    payment, was_done = f"{town.charge(dana)}:0", [] if mode == "stored_500" else [200]
    town.fault("stripe", mode, path="/v1/refunds", method="POST")
    answer = refund(client, dana, payment, "2", key=key)
    assert not done(answer)
    assert "It is not known whether this was done" in text_of(answer)
    assert refunds(town, dana) == was_done
    town.fault("stripe", "ok")
    for _ in range(2):
        refund(client, dana, payment, "2", key=key)  # the same dialog once more: Stripe says that it was not done
    assert refunds(town, dana) == [200]
    assert len(lines(dana, "payment_change_failed")) >= 1
    town.deliver()
    assert Subscription.objects.get(customer_id=dana.stripe_customer_id).left_of_period == 300


def test_stripe_away_before_anything_was_asked_is_said_as_it_is(town: World, staff: Staff) -> None:
    dana = town.subscriber("dana")
    payment = f"{town.charge(dana)}:0"
    town.fault("stripe", "down")
    text = text_of(refund(staff("operator"), dana, payment))
    assert "Stripe does not answer." in text
    assert "not known" not in text
    assert "Stripe does not answer." in preview(staff("viewer"), dana, "refund", payment=payment)


@pytest.mark.parametrize(
    ("amount", "sentence"),
    [("0", "greater than or equal"), ("-1", "greater than or equal"), ("5.01", "€5 is left"), ("1.005", "EUR has 2 decimals"),
     ("NaN", "Enter a number"), ("1e30", "no more than")],
)  # fmt: skip
def test_an_amount_that_cannot_be_is_refused_in_words(amount: str, sentence: str, town: World, staff: Staff) -> None:
    dana = town.subscriber("dana")
    assert sentence in text_of(refund(staff("operator"), dana, f"{town.charge(dana)}:0", amount))
    assert refunds(town, dana) == []


def test_beyond_the_limit_an_admin_refunds_and_nobody_without_end(town: World, staff: Staff, settings: Any) -> None:
    dana = town.subscriber("dana")
    payment, settings.STAFF_REFUND_LIMIT = f"{town.charge(dana)}:0", 2
    assert "You may refund up to €2 at once" in text_of(refund(staff("operator"), dana, payment, "2.01"))
    assert done(refund(staff("admin"), dana, payment, "2.01"))
    town.deliver()
    settings.LIMITS = settings.LIMITS | {"staff_refunds": ((1, 3600),)}
    payment = f"{town.charge(dana)}:201"
    assert done(refund(staff("operator"), dana, payment, "1"))
    town.deliver()
    assert "as many refunds as one may" in text_of(refund(staff("operator"), dana, f"{town.charge(dana)}:301", "1"))
    assert refunds(town, dana) == [100, 201]


def test_another_customers_payment_is_never_touched(town: World, staff: Staff) -> None:
    dana, emil = town.subscriber("dana"), town.subscriber("emil")
    assert "has changed since" in text_of(refund(staff("admin"), dana, f"{town.charge(emil)}:0"))
    asked = ChangeRequest(profile=dana, key=uuid.uuid4().hex, actor="staff:ada", reason=REASON)
    with pytest.raises(BadInput, match="another customer"):
        payment_changes.refund(asked, charge_id=town.charge(emil), amount=100, seen=0, why="duplicate")
    with pytest.raises(BadInput, match="another customer"):
        payment_changes.cancel_now(asked, subscription_id=emil.stripe_subscription_id or "")
    assert (refunds(town, emil), town.stripe_state(emil)["status"]) == ([], "active")


def test_a_disputed_payment_is_refused_in_words(town: World, staff: Staff) -> None:
    dana = town.subscriber("dana")
    town.shop.control("dispute", charge=town.charge(dana))
    text = text_of(refund(staff("operator"), dana, f"{town.charge(dana)}:0"))
    assert "bank has taken this payment back" in text
    assert refunds(town, dana) == []


# --- collecting -------------------------------------------------------------------------------------------------------


def test_an_open_payment_is_collected_and_access_returns(town: World, staff: Staff) -> None:
    dana = late(town)
    assert town.state(dana).access != "active"
    text = preview(staff("support"), dana, "retry_payment", **owed(dana))
    assert "To be collected €5 From Visa ending in 4242" in text
    assert "Active" in text
    town.shop.control("payments", customer=dana.stripe_customer_id, mode="ok")
    assert done(act(staff("support"), dana, "retry_payment", **owed(dana)))
    town.deliver()
    assert town.state(dana).access == "active"
    assert lines(dana, "payment_retried") == [("staff:support-ada", REASON)]
    assert "No invoice is open" in text_of(act(staff("support"), dana, "retry_payment", **owed(dana)))


def test_a_declined_card_a_try_of_stripes_and_a_paid_invoice_are_said_in_words(town: World, staff: Staff) -> None:
    dana = late(town)
    chosen = owed(dana)
    declined = text_of(act(staff("support"), dana, "retry_payment", **chosen))
    assert "The payment was declined: there is not enough money on the card." in declined
    assert "It was tried 2 times by now, not 1 times as you saw" in text_of(
        act(staff("support"), dana, "retry_payment", **chosen)
    )
    town.shop.control("payments", customer=dana.stripe_customer_id, mode="ok")
    town.shop.v1.invoices.pay(chosen["invoice"].split(":")[0])
    assert "has been paid already" in text_of(act(staff("support"), dana, "retry_payment", **chosen))


# --- the subscription -------------------------------------------------------------------------------------------------


def test_an_end_with_the_period_is_planned_and_undone(town: World, staff: Staff) -> None:
    dana, client = town.subscriber("dana"), staff("support")
    shown = preview(client, dana, "cancel_at_period_end", **about(dana))
    assert re.search(
        r"Ends on \d+ \w+ \d{4} Would have been charged €5 on \d+ \w+ \d{4} Access Active → becomes Active", shown
    )
    assert "Subscription ends Canceled" in shown
    assert done(act(client, dana, "cancel_at_period_end", **about(dana)))
    town.deliver()
    dana.refresh_from_db()
    assert town.stripe_state(dana)["cancel_at_period_end"]
    assert Subscription.objects.get(customer_id=dana.stripe_customer_id).cancel_at is not None
    assert "There is no subscription" in text_of(act(client, dana, "cancel_at_period_end", **about(dana)))
    assert re.search(r"Is charged €5 on \d+", preview(client, dana, "undo_cancellation", **about(dana)))
    assert done(act(client, dana, "undo_cancellation", **about(dana)))
    town.deliver()
    assert not town.stripe_state(dana)["cancel_at"]
    entry = AuditEntry.objects.get(action="cancellation_undone")
    assert (bool(entry.before["ends"]), entry.after["ends"]) == (True, None)


def test_of_a_trial_without_a_card_nothing_would_have_been_charged(town: World, staff: Staff) -> None:
    dana = town.subscriber("dana")
    rows = Subscription.objects.filter(stripe_id=dana.stripe_subscription_id)
    rows.update(status="trialing", trial_end=F("current_period_end"), after_trial="cancel")
    shown = preview(staff("support"), dana, "cancel_at_period_end", **about(dana))
    assert "Would have been charged nothing: there is no card, and the trial ends" in shown


def test_an_end_by_a_date_of_its_own_is_undone_too(town: World, staff: Staff) -> None:
    """With flexible billing the portal sets `cancel_at` and leaves the flag alone."""
    dana = town.subscriber("dana")
    ends = town.stripe_state(dana)["items"]["data"][0]["current_period_end"]
    town.shop.v1.subscriptions.update(dana.stripe_subscription_id or "", {"cancel_at": ends})
    town.deliver()
    assert re.search(r"Is charged €5 on \d+", preview(staff("support"), dana, "undo_cancellation", **about(dana)))
    assert done(act(staff("support"), dana, "undo_cancellation", **about(dana)))
    assert not town.stripe_state(dana)["cancel_at"]


@pytest.mark.parametrize("mode", ["", "lost_answer"])
def test_an_end_at_once_takes_access_even_if_the_answer_is_lost(mode: str, town: World, staff: Staff) -> None:
    dana, client = town.subscriber("dana"), staff("operator")
    shown = preview(client, dana, "cancel_now", **about(dana))
    assert "Paid for this period €5 Given back by this nothing" in shown
    assert "Access Active → becomes Canceled Seats kept without access until" in shown
    assert "Access is lost at once" in shown
    wrong = act(client, dana, "cancel_now", **about(dana), confirmation="emil")
    assert "That is not the username." in text_of(wrong)
    if mode:
        town.fault("stripe", mode, path="/v1/subscriptions/", method="DELETE")
    answer = act(client, dana, "cancel_now", **about(dana), confirmation="dana")
    town.fault("stripe", "ok")
    assert done(answer) or "not known whether" in text_of(answer)
    town.deliver()
    assert (town.stripe_state(dana)["status"], town.state(dana).access) == ("canceled", "canceled")
    again = act(client, dana, "cancel_now", **about(dana), confirmation="dana")
    assert "There is no subscription to which this can be done" in text_of(again)


def test_who_cancels_what_has_just_ended_is_told(town: World, staff: Staff) -> None:
    dana = town.subscriber("dana")
    town.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    town.skip()
    for action, filled in (("cancel_now", {"confirmation": "dana"}), ("pause_payments", {"behavior": "void"})):
        answer = act(staff("operator"), dana, action, **about(dana), **filled)
        assert "This subscription has ended already." in text_of(answer)
    town.work()
    assert town.state(dana).access == "canceled"


def test_payments_are_paused_and_resumed(town: World, staff: Staff) -> None:
    dana, client = town.subscriber("dana"), staff("operator")
    assert "Next invoice €5 on" in preview(client, dana, "pause_payments", **about(dana))
    assert done(act(client, dana, "pause_payments", **about(dana), behavior="void", until="2999-01-01"))
    town.deliver()
    assert town.stripe_state(dana)["pause_collection"]["behavior"] == "void"
    assert Subscription.objects.get(customer_id=dana.stripe_customer_id).pause == "void"
    assert "Is charged €5 on" in preview(client, dana, "resume_payments", **about(dana))
    assert done(act(client, dana, "resume_payments", **about(dana)))
    town.deliver()
    assert town.stripe_state(dana)["pause_collection"] is None
    assert lines(dana, "pause_requested") == lines(dana, "resume_requested") == [("staff:operator-ada", REASON)]


# --- what would follow ------------------------------------------------------------------------------------------------


def test_the_preview_says_who_would_lose_access_and_changes_nothing(town: World, staff: Staff) -> None:
    dana, client = town.subscriber("dana"), staff("viewer")
    payment = f"{town.charge(dana)}:0"
    before = town.stripe_state(dana), AuditEntry.objects.exclude(action="person_viewed").count()
    all_of_it = preview(client, dana, "refund", payment=payment)
    assert "Goes back €5 Stays of this payment €0 Access Active → becomes Suspended" in all_of_it
    assert "Access is lost at once" in all_of_it
    a_part = preview(client, dana, "refund", payment=payment, amount="4.99")
    assert "Goes back €4.99 Stays of this payment €0.01 Access Active → becomes Active" in a_part
    assert "More than is left" in preview(client, dana, "refund", payment=payment, amount="6")
    assert "Write the amount as a number" in preview(client, dana, "refund", payment=payment, amount="Infinity")
    assert "Choose a payment" in preview(client, dana, "refund", payment="ch_other:0")
    assert "Choose a subscription" in preview(client, dana, "cancel_now", subscription="sub_other")
    assert preview(client, dana, "") == ""
    address = reverse("admin:accounts_userprofile_payment_preview", args=[dana.pk])
    assert client.get(address, {"action": "bogus"}).status_code == 404
    assert (town.stripe_state(dana), AuditEntry.objects.exclude(action="person_viewed").count()) == before
