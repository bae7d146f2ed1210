"""The simulator's own reading of the policy: each row by hand-made objects of Stripe, and nothing of the product."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from apps.sandbox.simulate import command, snapshot
from apps.sandbox.simulate.calendar import Simulation
from apps.sandbox.simulate.compare import Difference, find_differences, find_lost_seats, find_wandered_seat
from apps.sandbox.simulate.expected import (
    DAY,
    Books,
    Expected,
    HouseTerms,
    Offer,
    PriceList,
    StaffAct,
    expect,
    may_have_lapsed,
    next_border,
)
from apps.sandbox.simulate.lives import Life, chance, people
from apps.sandbox.simulate.observed import Having
from apps.sandbox.simulate.world import SimulatedWorld
from apps.sandbox.stripe_account import StripeAccount

NOW = 1_800_000_000
TERMS = HouseTerms(grace_days=6, expiry_days=30)
PRICES = PriceList(
    {"price_personal": "personal", "price_plus": "plus", "price_storage": "storage"},
    {
        "personal": Offer(frozenset({"nextcloud"}), {"gb": 100}),
        "plus": Offer(frozenset({"nextcloud", "vaultwarden"}), {"gb": 500}),
        "storage": Offer(numbers={"gb": 100}),
    },
)


def subscription(status: str = "active", *, name: str = "sub_1", days_ago: float = 10, **more: Any) -> dict[str, Any]:
    """A monthly subscription whose period began so many days ago; `lines` are prices with their quantities."""
    begins = int(NOW - days_ago * DAY)
    lines = [
        {
            "price": {"id": price, "unit_amount": cents},
            "quantity": quantity,
            "current_period_start": begins,
            "current_period_end": begins + 30 * DAY,
        }
        for price, quantity, cents in more.pop("lines", [("price_personal", 1, 500)])
    ]
    ends: dict[str, Any] = {"ended_at": None, "trial_end": None, "cancel_at": None}
    return {"id": name, "status": status, "items": {"data": lines}} | ends | more


def invoice(status: str = "paid", *, name: str = "in_1", paid: int = 500, days_ago: float = 10) -> dict[str, Any]:
    """The invoice of the period that began so many days ago, paid by the intent of its name."""
    begins = int(NOW - days_ago * DAY)
    return {
        "id": name,
        "status": status,
        "amount_paid": paid if status == "paid" else 0,
        "created": begins,
        "status_transitions": {"finalized_at": begins},
        "parent": {"subscription_details": {"subscription": "sub_1"}},
        "payments": {"data": [{"payment": {"payment_intent": f"pi_{name}"}}]},
        "lines": {"data": [{"amount": 500, "period": {"start": begins, "end": begins + 30 * DAY}}]},
    }


def charge(*, of: str = "in_1", status: str = "succeeded", refunded: int = 0) -> dict[str, Any]:
    return {"id": f"ch_{of}", "payment_intent": f"pi_{of}", "status": status, "amount_refunded": refunded}


def act(kind: str, begins: float, ends: float | None = None, *gives: str) -> StaffAct:
    """By staff, from so many days from now on."""
    return StaffAct(kind, int(NOW + begins * DAY), None if ends is None else int(NOW + ends * DAY), gives)


def read(*subscriptions: dict[str, Any], staff: tuple[StaffAct, ...] = (), **books: Any) -> Expected:
    return expect(Books(list(subscriptions), **books), staff, PRICES, TERMS, NOW)


@pytest.mark.parametrize(
    ("found", "row", "state", "account"),
    [
        (read(subscription(), staff=(act("hold", -1),)), 1, "on_hold", "closed"),
        (read(subscription(), staff=(act("hold", -3, -1),)), 2, "active", "open"),
        (read(subscription("trialing")), 2, "active", "open"),
        (read(subscription("unpaid"), staff=(act("grant", -1, 1, "plus"),)), 3, "active", "open"),
        (read(staff=(act("grant", -1, 1, "plus"),)), 3, "active", "open"),
        (read(subscription("unpaid"), staff=(act("window", -1, 1),)), 5, "recovering", "open"),
        (read(subscription("unpaid"), staff=(act("window", -4, -1),)), 6, "suspended", "closed"),
        (read(subscription("paused")), 6, "suspended", "closed"),
        (read(subscription("canceled", ended_at=NOW - 29 * DAY)), 7, "canceled", "closed"),
        (read(subscription("canceled", ended_at=NOW - 30 * DAY)), 8, "expired", "closed"),
        (read(subscription("canceled", ended_at=NOW - 30 * DAY), staff=(act("window", -1, 1),)), 8, "expired", "closed"),
        (read(subscription("canceled", ended_at=NOW - 40 * DAY), staff=(act("keep_seat", -20, 2),)), 7, "canceled", "closed"),
        (read(subscription("incomplete")), 9, "none", "none"),
        (read(), 9, "none", "none"),
    ],
)  # fmt: skip
def test_the_first_row_that_fits_decides(found: Expected, row: int, state: str, account: str) -> None:
    assert (found.row, found.state, found.account) == (row, state, account)


@pytest.mark.parametrize(("failed_days_ago", "row"), [(5.9, 4), (6.0, 6)])
def test_grace_lasts_so_many_days_from_the_first_refusal(failed_days_ago: float, row: int) -> None:
    late = {"invoices": [invoice("open")], "failures": {"in_1": int(NOW - failed_days_ago * DAY)}}
    assert read(subscription("past_due"), **late).row == row
    assert read(subscription("past_due"), staff=(act("no_suspend", -1, 1),), **late).row == 4


def test_a_debit_that_the_bank_has_not_answered_is_not_late() -> None:
    waits = {"invoices": [invoice("open")], "charges": [charge(status="pending")]}
    assert read(subscription("past_due"), **waits).row == 2
    assert read(subscription("past_due"), failures={"in_1": NOW - 9 * DAY}, **waits).row == 6


@pytest.mark.parametrize(("refunded", "row"), [(0, 2), (499, 2), (500, 6)])
def test_money_that_went_back_closes_once_nothing_is_left(refunded: int, row: int) -> None:
    assert read(subscription(), invoices=[invoice()], charges=[charge(refunded=refunded)]).row == row


def test_until_a_period_is_paid_the_last_one_that_was_counts() -> None:
    bills = [invoice("open"), invoice(name="in_0", days_ago=40)]
    late = {"invoices": bills, "failures": {"in_1": NOW - 2 * DAY}}
    back = charge(of="in_0", refunded=500)
    assert read(subscription("past_due"), charges=[charge(of="in_0")], **late).row == 4
    assert read(subscription("past_due"), charges=[back], **late).row == 6
    after = back | {"refunds": {"data": [{"amount": 500, "created": NOW - DAY}]}}
    assert read(subscription("past_due"), charges=[after], **late).row == 4


def test_a_period_that_a_trial_cut_short_counts_until_the_next_is_paid() -> None:
    bills = [invoice("open", days_ago=2), invoice(name="in_0", days_ago=20)]
    late = {"invoices": bills, "failures": {"in_1": NOW - DAY}}
    assert read(subscription("past_due", days_ago=2), charges=[charge(of="in_0")], **late).row == 4
    assert read(subscription("past_due", days_ago=2), charges=[charge(of="in_0", refunded=500)], **late).row == 6


def test_a_refund_of_an_earlier_period_changes_nothing() -> None:
    bills = [invoice(), invoice(name="in_0", days_ago=40)]
    assert read(subscription(), invoices=bills, charges=[charge(), charge(of="in_0", refunded=500)]).row == 2


def test_a_lost_dispute_closes_until_staff_waive_it() -> None:
    lost = {"charge": "ch_in_1", "status": "lost", "created": NOW - 2 * DAY}
    books: dict[str, Any] = {"invoices": [invoice()], "charges": [charge()], "disputes": [lost]}
    assert read(subscription(), **books).row == 6
    assert read(subscription(), staff=(act("waive_dispute", -1),), **books).row == 2
    assert read(subscription(), staff=(act("waive_dispute", -3),), **books).row == 6
    assert read(subscription(), **books | {"disputes": [lost | {"status": "needs_response"}]}).row == 2


def test_entitlements_add_up_and_a_second_subscription_gives_no_number_twice() -> None:
    first = subscription(lines=[("price_personal", 1, 500), ("price_storage", 3, 150)])
    assert read(first).numbers == {"gb": 400}
    second = subscription(name="sub_2", lines=[("price_plus", 1, 900)])
    both = read(first, second)
    assert (both.apps, both.numbers) == ({"nextcloud", "vaultwarden"}, {"gb": 400})
    granted = read(first, staff=(act("grant", -1, 1, "plus"),))
    assert (granted.row, granted.numbers) == (2, {"gb": 900})


def test_the_nearest_moment_at_which_the_answer_may_change_is_named() -> None:
    assert next_border(Books([subscription(days_ago=10)]), (act("hold", -1, 0.5),), TERMS, NOW) == DAY // 2
    assert next_border(Books([subscription(days_ago=30)]), (), TERMS, NOW) == 0
    assert next_border(Books(failures={"in_1": NOW - 6 * DAY - 5}), (), TERMS, NOW) == 5


# --- the comparison ---------------------------------------------------------------------------------------------------

OPEN = Expected("active", 2, account="open", apps=frozenset({"nextcloud"}), numbers={"storage_gb": 100})
HAS = Having(
    "active",
    "open",
    {"storage_gb": "100", "has_nextcloud": "true", "nextcloud_instance": "nextcloud-1"},
    frozenset({"nextcloud-1"}),
    frozenset({"nextcloud-1"}),
    {"nextcloud": ("assigned", "nextcloud-1")},
)


def having(**changes: Any) -> Having:
    return Having(**vars(HAS) | changes)


@pytest.mark.parametrize(
    ("has", "about"),
    [
        (HAS, []),
        (having(state="suspended"), ["access"]),
        (having(account="closed"), ["account"]),
        (having(attributes=HAS.attributes | {"storage_gb": "500"}), ["attributes"]),
        (having(attributes=HAS.attributes | {"nextcloud_instance": "nextcloud-2"}), ["attributes"]),
        (having(groups=frozenset()), ["groups in Keycloak"]),
        (having(groups=frozenset({"nextcloud-1", "nextcloud-2"})), ["groups in Keycloak"]),
        (having(local=frozenset()), ["groups here"]),
        (having(seats=HAS.seats | {"vaultwarden": ("assigned", "vaultwarden-1")}), ["assigned seats"]),
        (having(seats=HAS.seats | {"vaultwarden": ("retained", "vaultwarden-1")}), ["kept seats"]),
    ],
)
def test_each_thing_that_differs_is_named(has: Having, about: list[str]) -> None:
    assert [sentence.partition(":")[0] for sentence in find_differences(OPEN, has)] == about


def test_nobody_without_a_payment_needs_an_account_and_a_kept_seat_is_not_lost() -> None:
    nothing = Having("none", "none", {}, frozenset(), frozenset(), {})
    assert find_differences(Expected("none", 9, account="none"), nothing) == []
    assert find_differences(Expected("none", 9, account="none"), Having(**vars(nothing) | {"account": "closed"})) == []
    life = Life(1, "sim7x1", 0)
    assert find_lost_seats(Expected("suspended", 6, keeps=True), nothing, HAS) != []
    assert find_lost_seats(Expected("on_hold", 1, keeps=True, lapsed=True), nothing, HAS) == []
    assert find_lost_seats(Expected("expired", 8), nothing, HAS) == []
    beside = Expected("active", 3, kept_apps=frozenset({"nextcloud"}))
    assert find_lost_seats(beside, nothing, HAS) != []
    assert find_differences(beside, having(seats={"nextcloud": ("retained", "nextcloud-1")}))[-1].startswith("groups")
    reserved = having(seats={"nextcloud": ("reserved", "nextcloud-3")})
    assert (find_wandered_seat(life, reserved), life.places) == ([], {})
    life.places["nextcloud"] = "nextcloud-2"
    assert find_wandered_seat(life, HAS) == ["seat: should be on nextcloud-2, is on nextcloud-1"]
    assert find_wandered_seat(life, HAS, lapsed=True) == []
    assert life.places == {"nextcloud": "nextcloud-1"}


@pytest.mark.parametrize(
    ("books", "staff", "lapsed"),
    [
        (Books([subscription()]), [act("grant", -40, 5, "plus")], False),
        (Books([subscription()]), [act("grant", -40, -5, "plus")], True),
        (Books([subscription("canceled", ended_at=NOW - 20 * DAY)]), [], False),
        (Books([subscription("canceled", ended_at=NOW - 35 * DAY)]), [], True),
        (Books([subscription("canceled", ended_at=NOW - 90 * DAY)]), [], False),
        (Books([subscription("canceled", ended_at=NOW - 90 * DAY)]), [act("hold", -60, -5)], True),
        (Books([subscription("canceled", ended_at=NOW - 90 * DAY)]), [act("hold", -60)], False),
        (Books([subscription("canceled", ended_at=NOW - 20 * DAY)]), [act("hold", -60, -5)], False),
        (Books([subscription()]), [act("hold", -60, -5)], False),
    ],
)
def test_a_seat_may_have_been_given_up_between_two_comparisons(
    books: Books, staff: list[StaffAct], lapsed: bool
) -> None:
    """A second grant after the final expiry gives a seat of its own, where there is room."""
    assert may_have_lapsed(books, staff, TERMS, NOW - 31 * DAY, NOW) is lapsed


def test_the_same_seed_gives_the_same_people_and_the_same_dice() -> None:
    assert [vars(one) for one in people(7, 20, 90)] == [vars(one) for one in people(7, 20, 90)]
    assert [one.begins for one in people(7, 20, 90)] != [one.begins for one in people(8, 20, 90)]
    assert chance(7, 1, 2).random() == chance(7, 1, 2).random() != chance(7, 2, 1).random()


def test_a_life_is_the_same_after_it_was_kept() -> None:
    life = Life(3, "sim7x3", 5, story=[(NOW, "signs up")], staff=[act("grant", -1, 1, "plus")], profile=4)
    assert Life.from_json(life.as_json()) == life


def simulation() -> Simulation:
    """One that has not begun, on processes that are not there."""
    stack: Any = SimpleNamespace(now=lambda: NOW, port=1, sandbox_port=2)
    return Simulation(SimulatedWorld(stack, StripeAccount("")), people(7, 2, 60), 7, 2, faults=True, say=print)


def test_a_simulation_is_the_same_after_it_was_kept() -> None:
    kept = simulation()
    kept.day, kept.compared = 30, 4
    kept.rows.update({2: 3, 9: 1})
    kept.before = {1: HAS}
    kept.found = [(10, Difference(1, 2, ("access: should be active, is none",)))]
    kept.broken = [(10, "L6 …")]
    kept.lives[0].tell(NOW, "signs up")
    kept.world.offers["plus"] = Offer(frozenset({"nextcloud"}), {"storage_gb": 5})
    kept.world.failures["in_1"] = NOW
    again = simulation()
    snapshot.restore(again, json.loads(json.dumps(snapshot._as_json(kept))))
    for name in ("day", "compared", "rows", "before", "found", "broken", "lives"):
        assert getattr(again, name) == getattr(kept, name), name
    assert (again.world.offers, again.world.failures) == (kept.world.offers, kept.world.failures)


def test_a_simulation_that_breaks_off_exits_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Python's own exit code for an error would say that somebody differs."""
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot/simulation.json").write_text('{"cut off')
    assert command.run(["--folder", str(tmp_path), "--resume"]) == 2
    assert "The simulation broke off" in capsys.readouterr().err
