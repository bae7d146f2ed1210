"""Subscriptions in the course of time: renewals, dunning, cancellation, plan changes, the portal."""

from typing import Any

import pytest
import requests
import stripe

from tests.sandbox.stripe_fixture import ASKS, DAY, DECLINED, FAILS_LATER, GOOD, Shop

HOUR = 3600


def ends(subscription: dict[str, Any]) -> int:
    return int(subscription["items"]["data"][0]["current_period_end"])


def test_a_year_of_renewals_is_billed_twelve_times(shop: Shop) -> None:
    made = shop.subscribe()
    shop.pass_time(days=366)
    now = shop.subscription(made["id"])
    assert now["status"] == "active"
    paid = shop.v1.invoices.list({"subscription": made["id"], "status": "paid", "limit": 100}).data
    assert len(paid) == 13
    assert {invoice.amount_paid for invoice in paid} == {1000}
    periods = sorted(
        (invoice["lines"]["data"][0]["period"]["start"], invoice["lines"]["data"][0]["period"]["end"])
        for invoice in paid
    )
    assert [end for _, end in periods[:-1]] == [start for start, _ in periods[1:]]


def test_a_failed_renewal_is_retried_and_then_canceled(shop: Shop) -> None:
    made = shop.subscribe()
    shop.control("payments", customer=made["customer"], mode="fail")
    end = ends(made)
    shop.pass_time(seconds=end - made["created"] + 2 * HOUR)
    assert shop.subscription(made["id"])["status"] == "past_due"
    invoice = shop.v1.invoices.retrieve(shop.subscription(made["id"])["latest_invoice"])
    assert (invoice.status, invoice.attempt_count) == ("open", 1)
    assert 0 <= invoice.next_payment_attempt - (end + HOUR + 3 * DAY) < 60
    shop.pass_time(days=3)
    assert shop.v1.invoices.retrieve(invoice.id).attempt_count == 2
    shop.pass_time(days=5)
    gone = shop.subscription(made["id"])
    assert (gone["status"], gone["cancellation_details"]["reason"]) == ("canceled", "payment_failed")
    assert shop.v1.invoices.retrieve(invoice.id).attempt_count == 4
    assert shop.story().count("invoice.payment_failed") == 4
    assert shop.v1.subscriptions.list().data == []
    assert [each.id for each in shop.v1.subscriptions.list({"status": "all"}).data] == [made["id"]]
    shop.pass_time(days=60)
    assert len(shop.v1.invoices.list({"subscription": made["id"]}).data) == 2


def test_dunning_ends_as_the_account_says(shop: Shop) -> None:
    shop.control("settings", end="unpaid", retry_days=[1])
    made = shop.subscribe()
    shop.control("payments", customer=made["customer"], mode="fail")
    shop.pass_time(days=34)
    assert shop.subscription(made["id"])["status"] == "unpaid"


def test_a_retry_that_succeeds_recovers(shop: Shop) -> None:
    made = shop.subscribe()
    shop.control("payments", customer=made["customer"], mode="fail")
    shop.pass_time(days=32)
    assert shop.subscription(made["id"])["status"] == "past_due"
    shop.control("payments", customer=made["customer"], mode="ok")
    shop.pass_time(days=4)
    assert shop.subscription(made["id"])["status"] == "active"


def test_a_first_invoice_left_unpaid_expires_after_23_hours(shop: Shop) -> None:
    customer = shop.customer("pm_card_chargeCustomerFail")
    made = shop.subscribe(customer)
    assert made["status"] == "incomplete"
    shop.pass_time(seconds=23 * HOUR + 5)
    assert shop.subscription(made["id"])["status"] == "incomplete_expired"
    assert shop.v1.invoices.retrieve(made["latest_invoice"]).status == "void"


def test_an_incomplete_subscription_becomes_active_when_it_is_paid(shop: Shop) -> None:
    made = shop.subscribe(payment_behavior="default_incomplete")
    shop.v1.invoices.pay(made["latest_invoice"], {"payment_method": "pm_card_visa"})
    assert shop.subscription(made["id"])["status"] == "active"


def test_cancelling_at_the_periods_end_can_be_undone(shop: Shop) -> None:
    made = shop.subscribe()
    shop.v1.subscriptions.update(made["id"], {"cancel_at_period_end": True})
    planned = shop.subscription(made["id"])
    assert (planned["cancel_at_period_end"], planned["cancel_at"]) == (True, ends(made))
    shop.v1.subscriptions.update(made["id"], {"cancel_at_period_end": False})
    assert shop.subscription(made["id"])["cancel_at"] is None
    shop.v1.subscriptions.update(made["id"], {"cancel_at": made["created"] + 5 * DAY})
    shop.pass_time(days=6)
    assert shop.subscription(made["id"])["status"] == "canceled"
    assert shop.subscription(made["id"])["ended_at"] == made["created"] + 5 * DAY
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.subscriptions.cancel(made["id"])


def test_a_plan_change_costs_the_difference_for_the_rest_of_the_period(shop: Shop) -> None:
    made = shop.subscribe()
    dearer = shop.price(3000)
    shop.pass_time(days=15)
    moment = made["created"] + 15 * DAY
    items: Any = [{"id": made["items"]["data"][0]["id"], "price": dearer}]
    changed = shop.v1.subscriptions.update(
        made["id"], {"items": items, "proration_date": moment, "proration_behavior": "always_invoice"}
    ).to_dict()
    invoice = shop.v1.invoices.retrieve(changed["latest_invoice"])
    assert 900 < invoice.amount_paid < 1100
    assert (invoice.status, invoice.billing_reason) == ("paid", "subscription_update")
    details = [line["parent"]["subscription_item_details"] for line in invoice["lines"]["data"]]
    assert [line["proration"] for line in details] == [True, True]
    assert ends(changed) == ends(made)
    assert changed["items"]["data"][0]["price"]["id"] == dearer
    updated = next(
        event
        for event in shop.events()
        if event["type"] == "customer.subscription.updated" and "items" in event["data"].get("previous_attributes", {})
    )
    assert (
        updated["data"]["previous_attributes"]["items"]["data"][0]["price"]["id"]
        == made["items"]["data"][0]["price"]["id"]
    )


def test_prorations_wait_for_the_next_invoice_unless_told(shop: Shop) -> None:
    made = shop.subscribe()
    items: Any = [{"id": made["items"]["data"][0]["id"], "price": shop.price(2000)}]
    shop.v1.subscriptions.update(made["id"], {"items": items})
    assert len(shop.v1.invoices.list({"subscription": made["id"]}).data) == 1
    shop.pass_time(days=32)
    renewal = shop.v1.invoices.list({"subscription": made["id"]}).data[0]
    assert abs(renewal.amount_paid - 3000) < 5


def test_another_interval_starts_a_new_period_at_once(shop: Shop) -> None:
    made = shop.subscribe()
    shop.pass_time(days=10)
    items: Any = [{"id": made["items"]["data"][0]["id"], "price": shop.price(10_000, "year")}]
    changed = shop.v1.subscriptions.update(made["id"], {"items": items}).to_dict()
    assert ends(changed) - changed["items"]["data"][0]["current_period_start"] in (365 * DAY, 366 * DAY)
    paid = shop.v1.invoices.retrieve(changed["latest_invoice"]).amount_paid
    assert 9000 < paid < 10_000


def test_an_add_on_comes_and_goes_and_credit_is_kept(shop: Shop) -> None:
    made = shop.subscribe()
    storage = shop.price(500)
    wanted: Any = {"items": [{"price": storage, "quantity": 2}], "proration_behavior": "always_invoice"}
    items = shop.v1.subscriptions.update(made["id"], wanted).to_dict()["items"]["data"]
    item = next(each for each in items if each["price"]["id"] == storage)
    assert len(items) == 2
    assert shop.v1.invoices.list({"limit": 1}).data[0].amount_paid in (999, 1000)
    gone: Any = {"items": [{"id": item["id"], "deleted": True}], "proration_behavior": "always_invoice"}
    shop.v1.subscriptions.update(made["id"], gone)
    assert shop.v1.customers.retrieve(made["customer"]).balance in (-999, -1000)
    shop.pass_time(days=32)
    assert shop.v1.invoices.list({"limit": 1}).data[0].amount_paid in (0, 1)


def test_a_trial_is_ended_early_and_paid(shop: Shop) -> None:
    made = shop.subscribe(trial_period_days=14)
    assert (made["status"], shop.v1.invoices.retrieve(made["latest_invoice"]).total) == ("trialing", 0)
    ended = shop.v1.subscriptions.update(made["id"], {"trial_end": "now"}).to_dict()
    assert ended["status"] == "active"
    assert shop.v1.invoices.retrieve(ended["latest_invoice"]).amount_paid == 1000


def test_a_trial_that_runs_out_is_billed(shop: Shop) -> None:
    made = shop.subscribe(trial_period_days=14)
    shop.pass_time(days=14, seconds=2 * HOUR)
    now = shop.subscription(made["id"])
    assert (now["status"], shop.v1.invoices.retrieve(now["latest_invoice"]).status) == ("active", "paid")
    assert "customer.subscription.trial_will_end" in shop.story(made["id"])


def test_a_trial_without_card_is_paused(shop: Shop) -> None:
    made = shop.subscribe(
        shop.customer(), trial_period_days=7, trial_settings={"end_behavior": {"missing_payment_method": "pause"}}
    )
    shop.pass_time(days=8)
    assert shop.subscription(made["id"])["status"] == "paused"


def test_a_pause_of_collection_keeps_the_status(shop: Shop) -> None:
    made = shop.subscribe()
    shop.v1.subscriptions.update(made["id"], {"pause_collection": {"behavior": "void"}})
    shop.pass_time(days=32)
    assert shop.subscription(made["id"])["status"] == "active"
    assert shop.v1.invoices.list({"limit": 1}).data[0].status == "void"
    shop.v1.subscriptions.update(made["id"], {"pause_collection": ""})
    assert shop.subscription(made["id"])["pause_collection"] is None


def test_staff_can_record_a_payment_outside_stripe(shop: Shop) -> None:
    made = shop.subscribe()
    shop.control("payments", customer=made["customer"], mode="fail")
    shop.pass_time(days=32)
    invoice = shop.v1.invoices.list({"status": "open"}).data[0]
    with pytest.raises(stripe.CardError):
        shop.v1.invoices.pay(invoice.id)
    shop.v1.invoices.pay(invoice.id, {"paid_out_of_band": True})
    assert shop.subscription(made["id"])["status"] == "active"


class TestPortal:
    """The billing portal's page over plain HTTP."""

    def test_it_cancels_by_date_and_undoes_it(self, shop: Shop) -> None:
        made = shop.subscribe()
        page = shop.portal(made["customer"])
        assert "Next charge" in requests.get(page, timeout=30).text
        done = shop.post(page, action="cancel", subscription=made["id"])
        assert (done.status_code, done.headers["X-Sandbox-Outcome"]) == (303, "done")
        planned = shop.subscription(made["id"])
        assert (planned["cancel_at"], planned["cancel_at_period_end"]) == (ends(made), False)
        assert (
            "Don&#x27;t cancel" in requests.get(page, timeout=30).text
            or "Don't cancel" in requests.get(page, timeout=30).text
        )
        shop.post(page, action="undo", subscription=made["id"])
        assert shop.subscription(made["id"])["cancel_at"] is None
        shop.post(page, action="cancel", subscription=made["id"])
        shop.pass_time(days=32)
        assert shop.subscription(made["id"])["status"] == "canceled"

    def test_it_changes_the_plan_as_configured(self, shop: Shop) -> None:
        made = shop.subscribe()
        other, foreign = shop.price(3000), shop.price(9000, currency="eur")
        page = shop.portal(made["customer"])
        item = made["items"]["data"][0]["id"]
        assert (
            shop.post(page, action="change", subscription=made["id"], item=item, price=foreign).headers[
                "X-Sandbox-Outcome"
            ]
            == "declined"
        )
        shop.post(page, action="change", subscription=made["id"], item=item, price=other)
        assert shop.subscription(made["id"])["items"]["data"][0]["price"]["id"] == other

    def test_a_new_card_pays_what_is_open(self, shop: Shop) -> None:
        customer = shop.customer()
        made = shop.subscribe(customer, trial_period_days=3, default_payment_method="pm_card_chargeCustomerFail")
        shop.pass_time(days=4)
        assert shop.subscription(made["id"])["status"] == "past_due"
        page = shop.portal(customer, flow_data={"type": "payment_method_update"})
        refused = shop.post(page, action="card", card=DECLINED, exp="12/34", cvc="123", name="D")
        assert refused.headers["X-Sandbox-Outcome"] == "declined"
        assert (
            shop.post(page, action="card", card=ASKS, exp="12/34", cvc="1", name="D").headers["X-Sandbox-Outcome"]
            == "authenticate"
        )
        done = shop.post(page, action="card", card=GOOD, exp="12/34", cvc="123", name="D")
        assert done.headers["X-Sandbox-Outcome"] == "done"
        assert shop.subscription(made["id"])["status"] == "active"
        assert shop.subscription(made["id"])["default_payment_method"] is not None
        assert shop.post(page, action="card", card=FAILS_LATER, exp="12/34", cvc="1", name="D").status_code == 303

    def test_it_pays_an_open_invoice(self, shop: Shop) -> None:
        made = shop.subscribe()
        shop.control("payments", customer=made["customer"], mode="fail")
        shop.pass_time(days=32)
        invoice = shop.v1.invoices.list({"status": "open"}).data[0]
        shop.post(shop.portal(made["customer"]), action="pay", invoice=invoice.id)
        assert shop.subscription(made["id"])["status"] == "active"

    def test_another_customers_subscription_is_out_of_reach(self, shop: Shop) -> None:
        mine, theirs = shop.subscribe(), shop.subscribe()
        answer = shop.post(shop.portal(mine["customer"]), action="cancel", subscription=theirs["id"])
        assert answer.headers["X-Sandbox-Outcome"] == "declined"
        assert shop.subscription(theirs["id"])["cancel_at"] is None
        lost = requests.get(f"{shop.url}/stripe/portal/bps_nobody", timeout=30)
        assert lost.status_code == 404


def test_a_change_can_be_made_without_an_event(shop: Shop) -> None:
    made = shop.subscribe()
    before = len(shop.events())
    shop.control("silent", method="DELETE", path=f"/v1/subscriptions/{made['id']}")
    assert shop.subscription(made["id"])["status"] == "canceled"
    shop.control("edit", kind="customer", id=made["customer"], fields={"name": "Quiet"})
    shop.control("delete", kind="customer", id=made["customer"])
    assert len(shop.events()) == before
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.customers.retrieve(made["customer"])
