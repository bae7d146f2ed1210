"""Contracts that customers end themselves, down to what Stripe has then: cancel, withdraw, and what only staff can finish."""

import datetime as dt
import threading
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import Signup, UserProfile
from apps.core import clock
from apps.core.errors import BadInput
from apps.core.models import AttentionItem, AuditEntry
from apps.notifications.models import Notification
from apps.onboarding import contracts
from apps.onboarding.contracts import Wish
from tests.dashboard.conftest import Catalog, person, subscribe
from tests.dashboard.conftest import catalog as catalog
from tests.instances.house import at_once
from tests.world import World

DAY = dt.timedelta(days=1)


def state(profile: UserProfile, wish: Wish, **more: str) -> contracts.Statement:
    return contracts.state(profile, profile.stripe_subscription_id or "", wish, **more)


def refunds(world: World, profile: UserProfile) -> list[int]:
    return [one.amount for one in world.shop.v1.refunds.list({"charge": world.charge(profile)}).data]


def statements() -> list[str]:
    return list(AuditEntry.objects.filter(action__startswith="contract_").values_list("action", flat=True))


def settle(world: World) -> None:
    world.work()
    world.deliver()


def test_a_cancellation_ends_with_what_was_paid_and_its_receipt_has_the_time(world: World) -> None:
    dana = world.subscriber("dana", personal=1, storage_100=2)
    made = state(dana, Wish.CANCEL)
    settle(world)
    found = world.stripe_state(dana)
    assert (found["status"], found["cancel_at_period_end"]) == ("active", True)
    text = next(one["text"] for one in world.standin.inbox(dana.email) if "cancellation" in one["subject"])
    assert f"We've received your cancellation on {made.at.day} {made.at:%B %Y, %H:%M} UTC." in text
    assert "Contract: Personal, 2 × 100 GB more, ordered on " in text
    (contract,) = contracts.read_contracts(dana)
    assert contract.ends_at is not None
    assert made.ends_on == contract.ends_at.date()
    assert f"It ends on {made.ends_on.day} {made.ends_on:%B %Y}." in text
    dana.refresh_from_db()
    assert (dana.access_state, refunds(world, dana)) == ("active", [])


def test_stating_it_again_is_one_statement_until_it_is_taken_back(world: World) -> None:
    dana = world.subscriber("dana")
    first = state(dana, Wish.CANCEL)
    assert state(dana, Wish.CANCEL).subscription_id == first.subscription_id
    settle(world)
    state(dana, Wish.CANCEL)
    assert statements() == ["contract_canceled"]
    assert world.notifications(dana).count("contract_canceled") == 1
    subject = dana.subject
    contracts.audit.record(
        subject=subject,
        action=contracts.AuditAction.CANCELLATION_UNDONE,
        after={"at_stripe": dana.stripe_subscription_id},
    )
    assert contracts.read_contracts(dana)[0].stated is None
    state(dana, Wish.CANCEL)
    world.work()
    assert statements() == ["contract_canceled"] * 2
    assert world.notifications(dana).count("contract_canceled") == 2


def test_a_cancellation_that_was_taken_back_at_stripe_can_be_stated_again(world: World) -> None:
    dana = world.subscriber("dana")
    first = state(dana, Wish.CANCEL)
    settle(world)
    world.shop.v1.subscriptions.update(dana.stripe_subscription_id or "", {"cancel_at_period_end": False})
    world.deliver()
    assert contracts.read_contracts(dana)[0].stated is None
    world.pass_time(seconds=60)
    assert state(dana, Wish.CANCEL).at > first.at
    settle(world)
    assert world.stripe_state(dana)["cancel_at_period_end"]
    assert world.notifications(dana).count("contract_canceled") == 2


def test_who_withdraws_gets_all_back_and_has_no_contract(world: World) -> None:
    dana = world.subscriber("dana", personal=1, storage_100=2)
    world.pass_time(days=13)
    state(dana, Wish.WITHDRAW)
    settle(world)
    assert world.stripe_state(dana)["status"] == "canceled"
    assert refunds(world, dana) == [800]
    dana.refresh_from_db()
    assert dana.access_state == "canceled"
    world.pass_time(seconds=90)
    world.work()
    assert {"contract_withdrawn", "refunded"} <= set(world.notifications(dana))
    assert contracts.read_contracts(dana) == []
    assert not AttentionItem.objects.filter(cause="contract").exists()


def test_a_withdrawal_that_is_carried_out_again_gives_nothing_more(world: World) -> None:
    dana = world.subscriber("dana")
    made = state(dana, Wish.WITHDRAW)
    settle(world)
    contracts.carry_out(f"{dana.pk}:{made.key}")
    assert refunds(world, dana) == [500]


@pytest.mark.parametrize(("asked", "low", "high"), [(True, 330, 360), (False, 500, 500)])
def test_only_who_asked_us_to_begin_pays_for_the_days_they_had(
    world: World, settings: Any, asked: bool, low: int, high: int
) -> None:
    settings.WITHDRAWAL_REFUND = "pro-rata"
    dana = world.subscriber("dana")
    Signup.objects.filter(profile=dana).update(asked_to_begin_at=clock.now() if asked else None)
    world.pass_time(days=10)
    made = state(dana, Wish.WITHDRAW)
    settle(world)
    contracts.carry_out(f"{dana.pk}:{made.key}")
    (amount,) = refunds(world, dana)
    assert low <= amount <= high  # of €5, with twenty or so of thirty days left


def reduce(world: World, profile: UserProfile) -> int:
    """Drop the storage at once; the credit that Stripe gives for the rest of the period, in minor units."""
    (line,) = [one for one in world.stripe_state(profile)["items"]["data"] if one["quantity"] == 2]
    wish: Any = {"items": [{"id": line["id"], "deleted": True}], "proration_behavior": "always_invoice"}
    world.shop.v1.subscriptions.update(profile.stripe_subscription_id or "", wish)
    world.deliver()
    return -balance(world, profile)


def balance(world: World, profile: UserProfile) -> int:
    return int(world.shop.v1.customers.retrieve(profile.stripe_customer_id or "").balance or 0)


@pytest.mark.parametrize(("mode", "days"), [("full", 0), ("pro-rata", 10)])
def test_credit_for_a_smaller_plan_is_not_paid_out_again(world: World, settings: Any, mode: str, days: int) -> None:
    """€8 were paid; the credit of the change stays at Stripe, and would pay a later contract beside the refund."""
    settings.WITHDRAWAL_REFUND = mode
    dana = world.subscriber("dana", personal=1, storage_100=2)
    Signup.objects.filter(profile=dana).update(asked_to_begin_at=clock.now())
    world.pass_time(days=days / 2)
    credit = reduce(world, dana)
    assert 200 < credit <= 300
    goodwill: Any = {"amount": -100, "currency": "eur"}
    world.shop.v1.customers.balance_transactions.create(dana.stripe_customer_id or "", goodwill)
    world.pass_time(days=days / 2)
    (first, *_rest) = world.shop.v1.invoices.list({"customer": dana.stripe_customer_id or ""}).data[::-1]
    period = first.lines.data[0].period
    made = state(dana, Wish.WITHDRAW)
    settle(world)
    contracts.carry_out(f"{dana.pk}:{made.key}")
    over = (made.at.timestamp() - period.start) / (period.end - period.start)
    used = 500 * over + (300 - credit) if days else 0  # the storage was used until it was dropped
    (amount,) = refunds(world, dana)
    assert 0 <= amount - (800 - used) < 1.5  # cents; Stripe rounds each line
    assert balance(world, dana) == -100
    assert not AttentionItem.objects.filter(cause="contract").exists()


def test_what_another_contract_has_taken_of_the_credit_is_not_refunded(world: World) -> None:
    dana = world.subscriber("dana", personal=1, storage_100=2)
    credit = reduce(world, dana)
    world.shop.control("invoice", customer=dana.stripe_customer_id, amount=120, currency="eur")
    assert balance(world, dana) == 120 - credit
    state(dana, Wish.WITHDRAW)
    settle(world)
    assert (refunds(world, dana), balance(world, dana)) == ([800 - 120], 0)


@pytest.mark.parametrize("path", ["/balance_transactions", "/v1/refunds"])
def test_when_stripe_asks_to_slow_down_all_of_it_goes_back_later(world: World, path: str) -> None:
    """Nothing is refunded while the credit is still there: it would pay a later contract beside the refund."""
    dana = world.subscriber("dana", personal=1, storage_100=2)
    assert reduce(world, dana) > 200
    world.fault("stripe", "http_429", path=path, method="POST")
    state(dana, Wish.WITHDRAW)
    world.work()
    assert refunds(world, dana) == []
    world.fault("stripe", "ok")
    world.retry()
    settle(world)
    assert (refunds(world, dana), balance(world, dana)) == ([800], 0)
    assert not AttentionItem.objects.filter(cause="contract").exists()


def test_what_no_card_has_paid_is_left_to_staff_with_its_amount(world: World) -> None:
    dana = world.subscriber("dana")
    goodwill: Any = {"amount": -200, "currency": "eur"}
    world.shop.v1.customers.balance_transactions.create(dana.stripe_customer_id or "", goodwill)
    more: Any = {
        "items": [{"price": world.price("storage_100"), "quantity": 2}],
        "proration_behavior": "always_invoice",
    }
    world.shop.v1.subscriptions.update(dana.stripe_subscription_id or "", more)
    world.deliver()
    assert balance(world, dana) == 0
    state(dana, Wish.WITHDRAW)
    settle(world)
    charges = world.shop.v1.charges.list({"customer": dana.stripe_customer_id or ""}).data
    assert [one.amount - one.amount_refunded for one in charges] == [0, 0]
    sentence = AttentionItem.objects.get(cause="contract", resolved_at=None).sentence
    assert "went back. €2 is still due: as credit, or as it was paid outside of Stripe. Finish" in sentence


def test_after_the_last_day_nobody_withdraws(world: World, settings: Any) -> None:
    dana = world.subscriber("dana")
    (contract,) = contracts.read_contracts(dana)
    assert contract.order.withdraw_until is not None
    assert contract.order.withdraw_until >= (contract.made_at + 14 * DAY).date()
    world.pass_time(days=16.6)
    with pytest.raises(BadInput, match="is over"):
        state(dana, Wish.WITHDRAW)
    settings.WITHDRAWAL_DAYS = 0
    assert not contracts.read_contracts(dana)[0].can_withdraw
    world.work()
    assert (world.stripe_state(dana)["status"], statements()) == ("active", [])


@pytest.mark.django_db
def test_many_contracts_cost_no_more_queries_than_one(catalog: Catalog, django_assert_num_queries: Any) -> None:
    nora = person("nora")
    for name in ("sub_a", "sub_b", "sub_c"):
        subscribe(nora, catalog.plan, catalog.storage, stripe_id=name)
        contracts.state(nora, name, Wish.CANCEL)
        if name == "sub_a":
            with CaptureQueriesContext(connection) as one:
                contracts.read_contracts(nora)
    assert len(one) <= 9
    with django_assert_num_queries(len(one)):
        found = contracts.read_contracts(nora)
    assert [each.id for each in found] == ["sub_a", "sub_b", "sub_c"]
    assert [each.stated.subscription_id for each in found if each.stated] == ["sub_a", "sub_b", "sub_c"]
    assert {each.name for each in found} == {"Home plan, 2 × 100 GB"}


@pytest.mark.django_db
def test_a_statement_is_there_whenever_its_line_in_the_trail_is_written(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its moment is the one that its job's key names, not that of the line a little later."""
    nora, then = person("nora"), clock.now() - dt.timedelta(seconds=5)
    subscribe(nora, catalog.plan, stripe_id="sub_a")
    monkeypatch.setattr(contracts, "clock", SimpleNamespace(now=lambda: then))
    made = contracts.state(nora, "sub_a", Wish.CANCEL)
    assert [one.stated for one in contracts.read_contracts(nora)] == [made]


def test_another_persons_contract_cannot_be_ended(world: World) -> None:
    dana, emil = world.subscriber("dana"), world.subscriber("emil")
    with pytest.raises(BadInput, match="isn't yours"):
        contracts.state(emil, dana.stripe_subscription_id or "", Wish.CANCEL)
    world.work()
    assert world.stripe_state(dana)["cancel_at_period_end"] is False


def test_a_statement_counts_while_stripe_is_away_and_is_done_afterwards(world: World) -> None:
    dana = world.subscriber("dana")
    world.fault("stripe", "http_503")
    state(dana, Wish.WITHDRAW)
    world.work()
    assert statements() == ["contract_withdrawn"]
    assert "contract_withdrawn" in world.notifications(dana)
    world.fault("stripe", "ok")
    world.retry()
    settle(world)
    assert world.stripe_state(dana)["status"] == "canceled"
    assert refunds(world, dana) == [500]


def test_what_no_refund_can_give_back_waits_for_staff(world: World) -> None:
    dana = world.subscriber("dana")
    world.shop.control("dispute", charge=world.charge(dana))
    world.deliver()
    state(dana, Wish.WITHDRAW)
    settle(world)
    item = AttentionItem.objects.get(cause="contract", resolved_at=None)
    assert "is disputed." in item.sentence
    assert item.profile_ids == [dana.pk]
    assert refunds(world, dana) == []
    assert world.stripe_state(dana)["status"] == "canceled"


def test_a_special_reason_is_read_by_staff(world: World) -> None:
    dana = world.subscriber("dana")
    state(dana, Wish.CANCEL, reason="You were down for a week")
    settle(world)
    assert "special reason" in AttentionItem.objects.get(cause="contract").sentence
    assert AuditEntry.objects.get(action="contract_canceled").reason == "You were down for a week"
    assert world.stripe_state(dana)["cancel_at_period_end"] is True


# --- two tabs at once ------------------------------------------------------------------------------------------------------


@pytest.fixture
def shop(empty_world: World, transactional_db: None) -> World:
    empty_world.open_shop()
    empty_world.skip()
    return empty_world


def press_twice(monkeypatch: pytest.MonkeyPatch, profile: UserProfile, *, guarded: bool) -> None:
    both = threading.Barrier(2, timeout=30)

    def notify(**wanted: Any) -> bool:
        both.wait()
        return notify_once(**wanted) if guarded else True

    notify_once = contracts.notify
    monkeypatch.setattr(contracts, "notify", notify)
    at_once([partial(state, profile, Wish.CANCEL)] * 2, clients=2)


@pytest.mark.django_db(transaction=True)
def test_two_tabs_at_once_are_one_statement(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    press_twice(monkeypatch, shop.subscriber("dana"), guarded=True)
    assert statements() == ["contract_canceled"]
    assert Notification.objects.filter(template="contract_canceled").count() == 1


@pytest.mark.mutant
@pytest.mark.django_db(transaction=True)
def test_mutant_without_the_emails_key_they_are_two(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    press_twice(monkeypatch, shop.subscriber("dana"), guarded=False)
    assert statements() == ["contract_canceled"] * 2
