"""Checkout: its rules, and its page filled in over plain HTTP."""

from typing import Any

import pytest
import requests
import stripe

from tests.sandbox.stripe_fixture import ASKS, DECLINED, FAILS_LATER, KEY, Shop

PAID_STORY = [
    "payment_method.attached", "customer.subscription.created", "invoice.created", "payment_intent.created",
    "invoice.finalized", "charge.succeeded", "payment_intent.succeeded", "invoice_payment.paid", "invoice.paid",
    "invoice.payment_succeeded", "customer.subscription.updated", "checkout.session.completed",
]  # fmt: skip


def test_a_paid_embedded_session_makes_an_active_subscription(shop: Shop) -> None:
    session = shop.session(client_reference_id="signup-1", subscription_data={"metadata": {"signup": "1"}})
    assert session["url"] is None
    before = len(shop.events())
    answer = shop.pay(session)
    assert answer.headers["X-Sandbox-Outcome"] == "paid"
    assert answer.headers["X-Sandbox-Return"] == f"http://app.test/success?session_id={session['id']}"
    assert "X-Frame-Options" not in answer.headers
    done = shop.v1.checkout.sessions.retrieve(session["id"], {"expand": ["subscription"]})
    assert (done.status, done.payment_status, done.subscription.status) == ("complete", "paid", "active")
    assert done.subscription.metadata.to_dict() == {"signup": "1"}
    assert done.subscription.default_payment_method.startswith("pm_")
    assert [event["type"] for event in shop.events()[before:]] == PAID_STORY
    updated = shop.events()[-2]["data"]
    assert updated["previous_attributes"] == {"status": "incomplete"}
    assert (
        shop.pay(session | {"url": f"{shop.url}/stripe/checkout/{session['id']}"}).headers["X-Sandbox-Outcome"]
        == "closed"
    )
    assert len(shop.v1.subscriptions.list({"status": "all"}).data) == 1


def test_a_paid_hosted_session_goes_to_the_success_url(shop: Shop) -> None:
    session = shop.session(success_url="http://app.test/ok?id={CHECKOUT_SESSION_ID}", cancel_url="http://app.test/no")
    page = requests.get(session["url"], timeout=30)
    assert "http://app.test/no" in page.text
    assert "<script>" not in page.text
    assert "style=" not in page.text
    answer = shop.pay(session)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"http://app.test/ok?id={session['id']}")


def test_tax_needs_an_address_to_be_kept(shop: Shop) -> None:
    for wish in ({"automatic_tax": {"enabled": True}}, {"tax_id_collection": {"enabled": True}}):
        with pytest.raises(stripe.InvalidRequestError, match="customer_update"):
            shop.session(**wish)
    session = shop.session(automatic_tax={"enabled": True}, customer_update={"address": "auto"})
    assert session["automatic_tax"]["status"] == "requires_location_inputs"


@pytest.mark.parametrize(("behavior", "country", "total", "tax"), [
    ("exclusive", "DE", 1190, 190), ("inclusive", "DE", 1000, 160), ("exclusive", "AT", 1200, 200), ("exclusive", "US", 1000, 0),
])  # fmt: skip
def test_tax_follows_the_country_of_the_page(shop: Shop, behavior: str, country: str, total: int, tax: int) -> None:
    price = shop.price(1000, tax_behavior=behavior)
    session = shop.session(price=price, automatic_tax={"enabled": True}, customer_update={"address": "auto"})
    page = f"{shop.url}/stripe/checkout/embedded/{session['client_secret']}"
    shop.post(page, country=country, apply="1")
    tried = shop.v1.checkout.sessions.retrieve(session["id"])
    assert tried.total_details is not None
    assert (tried.status, tried.amount_subtotal, tried.amount_total) == ("open", 1000, total)
    assert tried.total_details.amount_tax == tax
    shop.pay(session, country=country)
    done = shop.v1.checkout.sessions.retrieve(session["id"], {"expand": ["invoice"]})
    assert (done.invoice.amount_paid, done.invoice.total_excluding_tax) == (total, total - tax)
    assert shop.v1.customers.retrieve(done.customer).address.country == country
    ahead = shop.v1.invoices.create_preview({"subscription": done.subscription})
    assert ahead.amount_due == total


def test_a_trial_without_a_card_asks_for_none(shop: Shop) -> None:
    ends = {"end_behavior": {"missing_payment_method": "cancel"}}
    data = {"trial_period_days": 14, "trial_settings": ends}
    session = shop.session(subscription_data=data, payment_method_collection="if_required")
    page = requests.get(f"{shop.url}/stripe/checkout/embedded/{session['client_secret']}", timeout=30).text
    assert 'name="card"' not in page
    assert (session["amount_subtotal"], session["amount_total"]) == (0, 0)
    shop.pay(session, "")
    done = shop.v1.checkout.sessions.retrieve(session["id"])
    assert done.payment_status == "no_payment_required"
    found = shop.subscription(done.subscription)
    assert (found["status"], found["default_payment_method"], found["trial_settings"]) == ("trialing", None, ends)
    shop.pass_time(days=14, seconds=4000)
    assert shop.subscription(done.subscription)["status"] == "canceled"


@pytest.mark.parametrize("card", [DECLINED, FAILS_LATER, "4000000000009995", "1234", ""])
def test_a_refused_card_keeps_the_session_open_and_makes_nothing(shop: Shop, card: str) -> None:
    session = shop.session()
    before = len(shop.events())
    answer = shop.pay(session, card)
    assert answer.headers["X-Sandbox-Outcome"] == "declined"
    assert 'role="alert"' in answer.text
    assert shop.v1.checkout.sessions.retrieve(session["id"]).status == "open"
    assert len(shop.events()) == before
    assert shop.pay(session).headers["X-Sandbox-Outcome"] == "paid"


def test_three_d_secure_is_asked_for_and_answered(shop: Shop) -> None:
    session = shop.session()
    asked = shop.pay(session, ASKS)
    assert asked.headers["X-Sandbox-Outcome"] == "authenticate"
    assert f'name="card" value="{ASKS}"' in asked.text
    assert shop.pay(session, ASKS, authentication="fail").headers["X-Sandbox-Outcome"] == "declined"
    assert shop.pay(session, ASKS, authentication="confirm").headers["X-Sandbox-Outcome"] == "paid"


@pytest.mark.parametrize(("paid", "status"), [(True, "active"), (False, "incomplete")])
def test_a_bank_debit_is_answered_later(shop: Shop, paid: bool, status: str) -> None:
    session = shop.session()
    assert shop.pay(session, "", bank="1").headers["X-Sandbox-Outcome"] == "paid"
    done = shop.v1.checkout.sessions.retrieve(session["id"])
    assert (done.status, done.payment_status) == ("complete", "unpaid")
    assert shop.subscription(done.subscription)["status"] == "incomplete"
    shop.control("async", session=session["id"], paid=paid)
    assert shop.subscription(done.subscription)["status"] == status
    assert shop.story()[-1] == f"checkout.session.async_payment_{'succeeded' if paid else 'failed'}"


def test_a_session_without_customer_makes_one(shop: Shop) -> None:
    session = shop.session(customer_email="new@example.com")
    shop.pay(session, email="new@example.com")
    done = shop.v1.checkout.sessions.retrieve(session["id"], {"expand": ["customer"]})
    assert (done.customer.email, done.customer.name) == ("new@example.com", "Dana Example")


def test_a_session_expires_by_call_and_by_time(shop: Shop) -> None:
    first, later = shop.session(), shop.session()
    assert shop.v1.checkout.sessions.expire(first["id"]).status == "expired"
    assert shop.pay(first).headers["X-Sandbox-Outcome"] == "closed"
    with pytest.raises(stripe.InvalidRequestError, match="status"):
        shop.v1.checkout.sessions.expire(first["id"])
    shop.pass_time(days=1, seconds=5)
    assert shop.v1.checkout.sessions.retrieve(later["id"]).status == "expired"
    assert shop.story().count("checkout.session.expired") == 2


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"ui_mode": "embedded"}, "ui_mode"),
        ({"ui_mode": "hosted"}, "ui_mode"),
        ({"success_url": "http://a.test"}, "success_url"),
        ({"cancel_url": "http://a.test"}, "cancel_url"),
        ({"return_url": None}, "return_url"),
        ({"return_url": "nonsense"}, "return_url"),
        ({"mode": None}, "mode"),
        ({"mode": "payment"}, "mode"),
        ({"line_items[0][price]": "price_unknown"}, "line_items[0][price]"),
        ({"line_items[0][price]": None, "line_items[0][quantity]": None}, "line_items"),
        ({"line_items[0][quantity]": "0"}, "line_items[0][quantity]"),
        ({"expires_at": "1"}, "expires_at"),
        ({"customer": "cus_unknown"}, "customer"),
        ({"coupon": "x"}, "coupon"),
    ],
)
def test_rules_between_fields_are_kept(shop: Shop, changes: dict[str, str | None], param: str) -> None:
    form: dict[str, Any] = {
        "mode": "subscription",
        "ui_mode": "embedded_page",
        "return_url": "http://a.test",
        "line_items[0][price]": shop.price(),
        "line_items[0][quantity]": "1",
    }
    form = {key: value for key, value in (form | changes).items() if value is not None}
    answer = requests.post(f"{shop.url}/stripe/v1/checkout/sessions", data=form, auth=(KEY, ""), timeout=30)
    assert (answer.status_code, answer.json()["error"].get("param")) == (400, param)


def test_the_script_offers_both_names(shop: Shop) -> None:
    script = requests.get(f"{shop.url}/stripe/js/stripe.js", timeout=30)
    assert script.headers["Content-Type"].startswith("text/javascript")
    for name in ("createEmbeddedCheckoutPage", "initEmbeddedCheckout", "unmount", "destroy"):
        assert name in script.text
    assert requests.get(f"{shop.url}/stripe/js/../../settings.py", timeout=30).status_code == 404


def test_one_customer_is_not_charged_in_two_currencies(shop: Shop) -> None:
    customer = shop.customer("pm_card_visa")
    shop.v1.subscriptions.cancel(shop.subscribe(customer)["id"])
    euros = shop.price(currency="eur")
    with pytest.raises(stripe.InvalidRequestError, match="combine currencies"):
        shop.session(customer=customer, price=euros)
    with pytest.raises(stripe.InvalidRequestError, match="combine currencies"):
        shop.subscribe(customer, euros)
