"""Money decided by the period: what is left of it, since when it is late, who disputes it, and when nothing is collected."""

import json
from collections.abc import Callable
from typing import Any

import djstripe.models
import pytest

from apps.access import overrides
from apps.accounts.models import UserProfile
from apps.core import clock
from apps.core.models import AttentionItem, AuditEntry
from apps.onboarding import recovery
from tests.field.subscriptions import row
from tests.world import World

DAY = 86_400


def charges(world: World, profile: UserProfile) -> list[str]:
    """The charges of a person that were paid, the oldest first."""
    found = world.shop.v1.charges.list({"customer": profile.stripe_customer_id or "", "limit": 100}).data
    return [one.id for one in found if one.status == "succeeded"][::-1]


def refund(world: World, charge: str, amount: int | None = None) -> None:
    world.shop.control("refund", charge=charge, **({"amount": amount} if amount else {}))
    world.deliver()


def upgrade_now(world: World, profile: UserProfile) -> None:
    """Storage is added to the plan, charged at once."""
    wish: Any = {"items": [{"price": world.price("storage_100", interval_of(profile))}]}
    world.shop.v1.subscriptions.update(row(profile).stripe_id, wish | {"proration_behavior": "always_invoice"})
    world.deliver()


def interval_of(profile: UserProfile) -> str:
    item = profile.items.first()
    assert item
    return item.interval


def edit_invoice(world: World, identifier: str, **fields: Any) -> None:
    world.shop.control("edit", kind="invoice", id=identifier, fields=fields)


def edit_subscription(world: World, profile: UserProfile, **fields: Any) -> None:
    world.shop.control("edit", kind="subscription", id=profile.stripe_subscription_id, fields=fields)


def latest_invoice(world: World, profile: UserProfile) -> dict[str, Any]:
    return dict(json.loads(str(world.shop.v1.invoices.retrieve(world.stripe_state(profile)["latest_invoice"]))))


def fetch_again(world: World, profile: UserProfile) -> None:
    """Something small happens at Stripe, so that the customer is fetched."""
    world.shop.v1.customers.update(profile.stripe_customer_id or "", {"metadata": {"seen": str(clock.timestamp())}})
    world.deliver()


def items(cause: str) -> list[AttentionItem]:
    return list(AttentionItem.objects.filter(cause=cause).order_by("pk"))


def timeline(profile: UserProfile) -> list[str]:
    return list(AuditEntry.objects.filter(subject_id=str(profile.pk)).order_by("pk").values_list("action", flat=True))


# --- case 10: money that went back ----------------------------------------------------------------------------------


def test_a_goodwill_refund_of_a_small_invoice_locks_nobody_out(world: World) -> None:
    """Case 10: breatheco-de/breatheco-de#10624, kentcdodds/kody#2049."""
    dana = world.subscriber("dana", interval="year")
    world.pass_time(days=30)
    upgrade_now(world, dana)
    plan, storage = charges(world, dana)
    refund(world, storage)
    assert world.state(dana).access == "active"
    assert row(dana).money_returned == ""
    assert row(dana).left_of_period == 5000
    refund(world, plan)
    state = world.state(dana)
    assert (state.access, state.account, state.seats) == ("suspended", False, (("nextcloud", "retained"),))
    assert (row(dana).money_returned, row(dana).left_of_period) == ("refunded", 0)
    assert world.jobs() == []


def test_of_several_invoices_of_a_period_one_may_go_back(world: World) -> None:
    dana = world.subscriber("dana")
    upgrade_now(world, dana)
    plan, storage = charges(world, dana)
    refund(world, plan)
    assert world.state(dana).access == "active"
    refund(world, storage, 100)
    assert (world.state(dana).access, row(dana).left_of_period) == ("active", 50)
    refund(world, storage)
    assert world.state(dana).access == "suspended"


def test_an_older_payment_may_go_back(world: World) -> None:
    dana = world.subscriber("dana")
    world.pass_time(days=32)
    world.deliver()
    old, new = charges(world, dana)
    refund(world, old)
    assert world.state(dana).access == "active"
    refund(world, new, 499)
    assert (world.state(dana).access, row(dana).left_of_period) == ("active", 1)
    refund(world, new)
    assert world.state(dana).access == "suspended"


def test_a_refund_after_the_period_is_over_is_goodwill(world: World) -> None:
    """In the first hour of the next period its invoice is a draft: what goes back then was for a period that is over."""
    dana = world.subscriber("dana")
    end = world.stripe_state(dana)["items"]["data"][0]["current_period_end"]
    world.pass_time(seconds=end - clock.timestamp() + 600)
    refund(world, charges(world, dana)[0])
    assert world.state(dana).access == "active"


def test_a_change_of_interval_begins_a_new_period(world: World) -> None:
    dana = world.subscriber("dana")
    line = world.stripe_state(dana)["items"]["data"][0]["id"]
    wish: Any = {"items": [{"id": line, "price": world.price("personal", "year")}]}
    world.pass_time(days=10)
    world.shop.v1.subscriptions.update(row(dana).stripe_id, wish | {"proration_behavior": "none"})
    world.deliver()
    month, year = charges(world, dana)
    refund(world, month)
    assert world.state(dana).access == "active"
    refund(world, year)
    assert world.state(dana).access == "suspended"


def test_what_was_refunded_and_paid_again_gives_access(world: World) -> None:
    dana = world.subscriber("dana")
    refund(world, charges(world, dana)[0])
    assert world.state(dana).access == "suspended"
    pay_by_hand(world, dana, 500)
    assert world.state(dana).access == "active"


def pay_by_hand(world: World, profile: UserProfile, amount: int, **how: Any) -> str:
    """Staff write an invoice by hand, and the customer pays it; returns its id."""
    made = world.shop.control("invoice", customer=profile.stripe_customer_id, amount=amount, currency="eur")
    world.shop.v1.invoices.pay(made["id"], how or {"payment_method": "pm_card_visa"})  # type: ignore[arg-type]
    world.deliver()
    return str(made["id"])


@pytest.mark.parametrize("fields", [
    {"amount_paid": 0, "amount_due": 0, "total": 0},
    {"amount_paid": 0, "amount_paid_off_stripe": 500},
    {"post_payment_credit_notes_amount": 500},
    {"amount_paid": 300, "amount_paid_off_stripe": 200},
], ids="-".join)  # fmt: skip
def test_an_invoice_paid_in_any_way_is_paid(world: World, fields: dict[str, Any]) -> None:
    """Coupons of 100 %, money outside Stripe, credit for later: nothing went back."""
    dana = world.subscriber("dana")
    edit_invoice(world, world.stripe_state(dana)["latest_invoice"], **fields)
    fetch_again(world, dana)
    assert world.state(dana).access == "active"
    assert world.jobs() == []


def test_a_coupon_makes_a_free_period_that_cannot_be_refunded(world: World) -> None:
    """The setup fee on the same invoice was not paid for the period."""
    dana = world.subscriber("dana")
    invoice = latest_invoice(world, dana)
    lines = invoice["lines"]
    lines["data"][0]["discount_amounts"] = [{"amount": 500, "discount": "di_1"}]
    edit_invoice(world, invoice["id"], lines=lines)
    refund(world, charges(world, dana)[0])
    assert world.state(dana).access == "active"


def test_the_plan_may_be_the_eleventh_line_of_its_invoice(world: World) -> None:
    dana = world.subscriber("dana")
    invoice = latest_invoice(world, dana)
    edit_invoice(world, invoice["id"], lines=invoice["lines"] | {"has_more": True})
    refund(world, charges(world, dana)[0])
    assert world.state(dana).access == "suspended"


# --- disputes ---------------------------------------------------------------------------------------------------------


def dispute(world: World, charge: str, **more: Any) -> str:
    made = world.shop.control("dispute", charge=charge, **more)
    world.deliver()
    return str(made["id"])


def close(world: World, dispute_id: str, status: str) -> None:
    world.shop.control("close_dispute", dispute=dispute_id, status=status)
    world.deliver()


@pytest.mark.fault("F23")
def test_an_open_dispute_is_flagged_and_changes_nothing(world: World) -> None:
    """Case 32: andrewculver/koudoku#20, a dispute names no customer."""
    dana, eve = world.subscriber("dana"), world.subscriber("eve")
    opened = dispute(world, charges(world, dana)[0])
    fetch_again(world, dana)
    (item,) = items("dispute")
    assert (item.key, item.profile_ids, item.resolved_at, item.times) == (opened, [dana.pk], None, 1)
    assert items("mirror_copy") == []
    assert djstripe.models.Dispute.objects.get(id=opened).stripe_data["status"] == "needs_response"
    assert "€5" in item.sentence
    assert timeline(dana).count("dispute_opened") == 1
    assert [one["status"] for one in row(dana).disputes] == ["open"]
    assert (world.state(dana).access, world.state(eve).access) == ("active", "active")


@pytest.mark.parametrize("ends", ["won", "warning_closed", "prevented"])
def test_a_dispute_that_ends_well_ends_its_item(world: World, ends: str) -> None:
    dana = world.subscriber("dana")
    close(world, dispute(world, charges(world, dana)[0], inquiry=ends == "warning_closed"), ends)
    (item,) = items("dispute")
    assert item.resolved_at is not None
    assert timeline(dana)[-1] == "dispute_closed"
    assert (row(dana).disputes, world.state(dana).access) == ([], "active")


def test_a_lost_dispute_of_an_older_payment_suspends_and_a_renewal_does_not_lift_it(world: World) -> None:
    dana = world.subscriber("dana")
    opened = dispute(world, charges(world, dana)[0])
    world.pass_time(days=32)
    world.deliver()
    close(world, opened, "lost")
    assert (world.state(dana).access, world.state(dana).account) == ("suspended", False)
    (item,) = items("dispute")
    assert item.resolved_at is None
    assert "lost" in item.sentence
    world.pass_time(days=31)
    world.deliver()
    assert len(charges(world, dana)) == 3
    assert world.state(dana).access == "suspended"


def test_a_lost_dispute_is_over_once_it_was_paid_again(world: World) -> None:
    dana = world.subscriber("dana")
    close(world, dispute(world, charges(world, dana)[0]), "lost")
    pay_by_hand(world, dana, 499)
    assert world.state(dana).access == "suspended"
    pay_by_hand(world, dana, 1, paid_out_of_band=True)
    assert (world.state(dana).access, row(dana).money_returned) == ("active", "")
    assert items("dispute")[0].resolved_at is not None


def test_staff_can_waive_a_lost_dispute_and_not_the_next_one(world: World) -> None:
    dana = world.subscriber("dana")
    close(world, dispute(world, charges(world, dana)[0]), "lost")
    overrides.waive_dispute(profile=dana, actor="staff:ada", reason="The bank was wrong.")
    world.work()
    assert world.state(dana).access == "active"
    assert items("dispute")[0].resolved_at is not None
    world.pass_time(days=32)
    world.deliver()
    assert world.state(dana).access == "active"
    close(world, dispute(world, charges(world, dana)[-1]), "lost")
    assert world.state(dana).access == "suspended"
    assert [one.resolved_at is None for one in items("dispute")] == [False, True]


def test_a_lost_dispute_can_be_flagged_only(world: World, settings: Any) -> None:
    settings.LOST_DISPUTE = "flag"
    dana = world.subscriber("dana")
    close(world, dispute(world, charges(world, dana)[0], amount=100), "lost")
    assert (world.state(dana).access, len(items("dispute"))) == ("active", 1)


# --- case 12: since when a payment is late ---------------------------------------------------------------------------


def bill_by_mail(world: World, profile: UserProfile, days: int) -> None:
    wish: Any = {"collection_method": "send_invoice", "days_until_due": days}
    world.shop.v1.subscriptions.update(profile.stripe_subscription_id or "", wish)
    world.deliver()


def test_an_invoice_by_mail_has_its_grace_from_the_due_date(world: World, settings: Any) -> None:
    """Case 12: bitwarden/server#3950."""
    settings.PAYMENT_GRACE_DAYS = 7
    dana = world.subscriber("dana")
    bill_by_mail(world, dana, 10)
    world.pass_time(days=32)
    world.deliver()
    assert world.state(dana).access == "active"
    world.pass_time(days=10)
    world.deliver()
    invoice = world.shop.v1.invoices.retrieve(row(dana).open_invoice_id)
    since = row(dana).past_due_since
    assert since
    assert int(since.timestamp()) == invoice.due_date
    assert (world.state(dana).subscription, world.state(dana).access) == ("past_due", "grace")
    world.pass_time(days=7)
    world.work()
    assert world.state(dana).access == "suspended"
    world.shop.v1.invoices.pay(invoice.id, {"paid_out_of_band": True})
    world.deliver()
    assert world.state(dana).access == "active"


def test_an_invoice_finalized_after_its_due_date_is_late_from_then(world: World, settings: Any) -> None:
    settings.PAYMENT_GRACE_DAYS = 2
    dana = world.subscriber("dana")
    now = clock.timestamp()
    moments = {"finalized_at": now - DAY, "marked_uncollectible_at": None, "paid_at": None, "voided_at": None}
    edit_invoice(
        world, world.stripe_state(dana)["latest_invoice"], status="open", due_date=now - 9 * DAY,
        collection_method="send_invoice", status_transitions=moments,
    )  # fmt: skip
    edit_subscription(world, dana, status="past_due", collection_method="send_invoice")
    fetch_again(world, dana)
    since = row(dana).past_due_since
    assert since
    assert int(since.timestamp()) == now - DAY
    assert world.state(dana).access == "grace"


def fail_renewal(world: World, profile: UserProfile) -> None:
    world.shop.control("payments", customer=profile.stripe_customer_id, mode="fail")
    world.pass_time(days=32)


def first_failure(world: World, profile: UserProfile) -> int:
    found = world.shop.v1.charges.list({"customer": profile.stripe_customer_id or "", "limit": 100}).data
    return min(one.created for one in found if one.status == "failed")


@pytest.mark.parametrize("lost", [False, True], ids=["told", "events lost"])
def test_a_card_has_its_grace_from_the_first_attempt_that_failed(world: World, settings: Any, lost: bool) -> None:
    settings.PAYMENT_GRACE_DAYS = 30
    world.shop.control("settings", end="past_due", draft_seconds=2 * DAY)
    dana = world.subscriber("dana")
    fail_renewal(world, dana)
    if lost:
        world.skip()
    world.pass_time(days=9)
    world.deliver()
    world.sweep()
    since = row(dana).past_due_since
    assert since
    assert int(since.timestamp()) == first_failure(world, dana)
    assert world.state(dana).access == "grace"


def pay_by_debit(world: World, profile: UserProfile) -> str:
    """The next renewal is paid by a bank debit; returns its invoice, the debit processing."""
    customer = profile.stripe_customer_id or ""
    method = world.shop.v1.payment_methods.attach("pm_usBankAccount", {"customer": customer})
    world.shop.v1.subscriptions.update(profile.stripe_subscription_id or "", {"default_payment_method": method.id})
    world.pass_time(days=32)
    world.deliver()
    return str(world.stripe_state(profile)["latest_invoice"])


def test_a_debit_that_is_processing_is_not_late(world: World) -> None:
    """K5. Stripe may call the subscription past due meanwhile."""
    dana = world.subscriber("dana")
    invoice = pay_by_debit(world, dana)
    assert world.state(dana).access == "active"
    edit_subscription(world, dana, status="past_due")
    fetch_again(world, dana)
    assert (world.state(dana).access, row(dana).past_due_since) == ("active", None)
    world.shop.control("async", invoice=invoice, paid=True)
    world.deliver()
    assert (world.state(dana).access, world.state(dana).subscription) == ("active", "active")
    assert not row(dana).is_payment_pending


@pytest.mark.parametrize("lost", [False, True], ids=["told", "events lost"])
def test_a_debit_that_fails_has_its_whole_grace(world: World, settings: Any, lost: bool) -> None:
    """K5: gameserverapp/Platform#1216, woocommerce/woocommerce-gateway-stripe#1943."""
    settings.PAYMENT_GRACE_DAYS = 3
    world.shop.control("settings", end="past_due")
    dana = world.subscriber("dana")
    invoice = pay_by_debit(world, dana)
    world.pass_time(days=5)
    failed_at = clock.timestamp()
    world.shop.control("async", invoice=invoice, paid=False)
    if lost:
        world.skip()
        world.sweep()
    world.deliver()
    since = row(dana).past_due_since
    assert since
    assert abs(int(since.timestamp()) - failed_at) < 60
    assert world.state(dana).access == "grace"
    world.pass_time(seconds=2 * DAY)
    fetch_again(world, dana)
    assert (row(dana).past_due_since, world.state(dana).access) == (since, "grace")
    world.pass_time(seconds=DAY + 60)
    world.work()
    assert world.state(dana).access == "suspended"


def test_an_old_debt_does_not_shorten_the_grace_of_a_new_one(world: World, settings: Any) -> None:
    """What was written off, or left open, before a later invoice was paid is another story."""
    settings.PAYMENT_GRACE_DAYS = 60
    world.shop.control("settings", end="past_due")
    dana = world.subscriber("dana")
    fail_renewal(world, dana)
    world.deliver()
    old = row(dana).open_invoice_id
    world.shop.v1.invoices.mark_uncollectible(old)
    world.shop.control("payments", customer=dana.stripe_customer_id, mode="ok")
    world.pass_time(days=31)
    world.deliver()
    assert world.state(dana).subscription == "active"
    fail_renewal(world, dana)
    world.deliver()
    since = row(dana).past_due_since
    assert since
    assert row(dana).open_invoice_id != old
    assert clock.timestamp() - since.timestamp() < 10 * DAY


@pytest.mark.parametrize("end", ["void_invoice", "mark_uncollectible"])
def test_a_subscription_past_due_without_an_open_invoice_has_a_grace_that_ends(
    world: World, settings: Any, end: str
) -> None:
    settings.PAYMENT_GRACE_DAYS = 40
    world.shop.control("settings", end="past_due")
    dana = world.subscriber("dana")
    fail_renewal(world, dana)
    world.deliver()
    since = row(dana).past_due_since
    getattr(world.shop.v1.invoices, end)(row(dana).open_invoice_id)
    world.deliver()
    assert (row(dana).past_due_since, world.state(dana).access) == (since, "grace")
    world.pass_time(days=41)
    world.work()
    assert world.state(dana).access == "suspended"


# --- case 22: nothing is collected -----------------------------------------------------------------------------------


def pause(world: World, profile: UserProfile, **more: Any) -> None:
    wish: Any = {"pause_collection": {"behavior": "void"} | more}
    world.shop.v1.subscriptions.update(profile.stripe_subscription_id or "", wish)


def resume(world: World, profile: UserProfile) -> None:
    world.shop.v1.subscriptions.update(profile.stripe_subscription_id or "", {"pause_collection": ""})
    world.deliver()


def test_a_pause_of_collection_is_shown_and_keeps_access(world: World) -> None:
    """Case 22: pay-rails/pay#659, #660; xyflow/pro-platform#48; invertase/stripe-firebase-extensions#457."""
    dana = world.subscriber("dana")
    pause(world, dana)
    world.deliver()
    (item,) = items("collection_paused")
    assert (item.key, item.profile_ids, item.resolved_at) == (dana.stripe_subscription_id, [dana.pk], None)
    assert (world.state(dana).access, row(dana).pause) == ("active", "void")
    assert dana.access_sentence == "Your subscription is active. Billing is paused for now."
    world.pass_time(days=65)
    world.deliver()
    assert world.state(dana).access == "active"
    resume(world, dana)
    item.refresh_from_db()
    assert item.resolved_at is not None
    assert [one for one in timeline(dana) if one.startswith("collection")] == [
        "collection_paused",
        "collection_resumed",
    ]
    assert world.state(dana).access == "active"


def test_a_pause_of_collection_can_close_access_until_it_ends(world: World, settings: Any) -> None:
    """liberusoftware/genealogy-laravel#1605."""
    settings.PAUSED_COLLECTION = "close"
    dana = world.subscriber("dana")
    pause(world, dana, behavior="keep_as_draft", resumes_at=clock.timestamp() + 5 * DAY)
    world.deliver()
    state = world.state(dana)
    assert (state.access, state.account, state.seats) == ("suspended", False, (("nextcloud", "retained"),))
    assert recovery.read_status(dana).next_step == recovery.NextStep.CONTACT
    world.skip()
    world.pass_time(days=5, seconds=60)
    world.skip()
    world.work()
    assert world.state(dana).access == "active"


def test_a_subscription_that_ends_while_paused_ends_its_item(world: World) -> None:
    dana = world.subscriber("dana")
    pause(world, dana)
    world.deliver()
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    world.deliver()
    assert (world.state(dana).access, items("collection_paused")[0].resolved_at is not None) == ("canceled", True)


# --- case 23: a trial that ended without a card -------------------------------------------------------------------


def paused_trial(world: World, name: str = "dana") -> UserProfile:
    """Somebody whose trial ended without a card."""
    dana = world.subscriber(name)
    world.shop.v1.subscriptions.cancel(dana.stripe_subscription_id or "")
    customer = dana.stripe_customer_id or ""
    for method in world.shop.v1.payment_methods.list({"customer": customer, "type": "card"}).data:
        world.shop.control("edit", kind="payment_method", id=method.id, fields={"customer": None})
    world.shop.control("edit", kind="customer", id=customer, fields={
        "invoice_settings": {"custom_fields": None, "default_payment_method": None, "footer": None, "rendering_options": None},
    })  # fmt: skip
    wish: Any = {"trial_settings": {"end_behavior": {"missing_payment_method": "pause"}}, "trial_period_days": 3}
    world.shop.subscribe(customer, world.price("personal"), **wish)
    world.pass_time(days=4)
    world.deliver()
    dana.refresh_from_db()
    return dana


def add_card(world: World, profile: UserProfile, card: str = "pm_card_visa") -> None:
    customer = profile.stripe_customer_id or ""
    method = world.shop.v1.payment_methods.attach(card, {"customer": customer})
    world.shop.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": method.id}})


def asked_to_resume(world: World) -> int:
    return sum(path.endswith("/resume") for _, path, _ in world.requests)


def test_a_paused_trial_resumes_once_there_is_a_card(world: World) -> None:
    """Case 23: fastrepl/anarlog#7079, polarsource/polar#13689."""
    dana = paused_trial(world)
    assert (world.state(dana).access, world.state(dana).subscription) == ("suspended", "paused")
    assert asked_to_resume(world) == 0
    add_card(world, dana)
    world.deliver()
    state = world.state(dana)
    assert (state.access, state.subscription, state.account) == ("active", "active", True)
    assert asked_to_resume(world) == 1
    assert world.jobs() == []


def test_a_card_that_is_refused_is_tried_once_and_the_next_one_too(world: World) -> None:
    dana = paused_trial(world)
    add_card(world, dana, "pm_card_chargeCustomerFail")
    world.deliver()
    fetch_again(world, dana)
    world.pass_time(days=3)
    fetch_again(world, dana)
    assert (world.state(dana).access, asked_to_resume(world)) == ("suspended", 1)
    add_card(world, dana)
    world.deliver()
    assert (world.state(dana).access, asked_to_resume(world)) == ("active", 2)


# --- the hourly comparison ---------------------------------------------------------------------------------------------


def lose_refund(world: World, profile: UserProfile) -> None:
    world.shop.control("refund", charge=charges(world, profile)[0])


def lose_dispute(world: World, profile: UserProfile) -> None:
    made = world.shop.control("dispute", charge=charges(world, profile)[0])
    world.shop.control("close_dispute", dispute=made["id"], status="lost")


def stretch_trial(world: World, profile: UserProfile) -> None:
    wish: Any = {"trial_end": clock.timestamp() + 9 * DAY, "proration_behavior": "none"}
    world.shop.v1.subscriptions.update(profile.stripe_subscription_id or "", wish)


@pytest.mark.parametrize(
    ("happens", "column", "value"),
    [
        (lose_refund, "money_returned", "refunded"),
        (lose_dispute, "money_returned", "dispute_lost"),
        (pause, "pause", "void"),
        (stretch_trial, "status", "trialing"),
    ],
    ids=["refund", "dispute", "pause", "trial"],
)
def test_the_comparison_finds_what_no_event_told(
    world: World, happens: Callable[[World, UserProfile], None], column: str, value: str
) -> None:
    dana = world.subscriber("dana")
    world.pass_time(days=3)
    world.sweep()
    happens(world, dana)
    world.skip()
    world.sweep()
    assert getattr(row(dana), column) == value
    expected = "suspended" if column == "money_returned" else "active"
    assert world.state(dana).access == expected
    world.requests.clear()
    world.sweep()
    assert [path for _, path, _ in world.requests if path.startswith("/v1/customers")] == []


def test_the_comparison_finds_a_won_dispute_and_a_refund_that_failed(world: World) -> None:
    dana, eve = world.subscriber("dana"), world.subscriber("eve")
    opened = dispute(world, charges(world, dana)[0])
    world.shop.control("close_dispute", dispute=opened, status="won")
    refund(world, charges(world, eve)[0])
    assert world.state(eve).access == "suspended"
    made = world.shop.v1.refunds.list({"limit": 1}).data[0].id
    world.skip()
    charge = charges(world, eve)[0]
    world.shop.control("edit", kind="refund", id=made, fields={"status": "failed"})
    world.shop.control("edit", kind="charge", id=charge, fields={"refunded": False, "amount_refunded": 0})
    world.sweep()
    assert (world.state(eve).access, row(eve).money_returned) == ("active", "")
    assert (row(dana).disputes, items("dispute")[0].resolved_at is not None) == ([], True)
