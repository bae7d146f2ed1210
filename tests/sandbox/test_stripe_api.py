"""The API's manners: keys, idempotency, pages, expansion, errors; catalog, customers and money."""

import re
from typing import Any

import pytest
import requests
import stripe

from apps.sandbox.stripe.forms import PARAMETERS
from tests.sandbox.stripe_fixture import KEY, Shop


def call(shop: Shop, method: str, path: str, *, key: str = KEY, **rest: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {key}", **rest.pop("headers", {})}
    return requests.request(method, f"{shop.url}/stripe{path}", headers=headers, timeout=30, **rest)


@pytest.mark.parametrize(
    "key", ["", "sk_test_short", "sk_live_" + "a" * 30, "pk_test_" + "a" * 30, "rk_test_" + "ä" * 30]
)
def test_a_wrong_key_is_401(shop: Shop, key: str) -> None:
    answer = requests.get(
        f"{shop.url}/stripe/v1/products", headers={"Authorization": f"Bearer {key}".encode()}, timeout=30
    )
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_restricted_key_and_basic_auth_are_taken(shop: Shop) -> None:
    assert call(shop, "GET", "/v1/products", key="rk_test_" + "b" * 24).status_code == 200
    assert requests.get(f"{shop.url}/stripe/v1/products", auth=(KEY, ""), timeout=30).status_code == 200


def test_an_unknown_version_and_address_are_refused(shop: Shop) -> None:
    assert call(shop, "GET", "/v1/products", headers={"Stripe-Version": "2020-08-27"}).status_code == 400
    lost = call(shop, "GET", "/v1/nonsense")
    assert (lost.status_code, lost.json()["error"]["message"][:24]) == (404, "Unrecognized request URL")


@pytest.mark.parametrize(
    ("data", "param", "code"),
    [
        ({"coupon": "x"}, "coupon", "parameter_unknown"),
        ({"items[0][price]": "price_x", "items[0][colour]": "red"}, "items[0][colour]", "parameter_unknown"),
        ({"cancel_at": "soon"}, "cancel_at", "parameter_invalid_integer"),
        ({"customer": "cus_nobody", "items[0][price]": "price_x"}, "customer", "resource_missing"),
        ({"items": "x"}, "items", "parameter_invalid_array"),
        ({"description[a]": "x"}, "description", None),
        ({"payment_behavior": "hope"}, "payment_behavior", None),
        ({"items[0][price]": "p"}, "customer", "parameter_missing"),
    ],
)
def test_bad_parameters_are_named(shop: Shop, data: dict[str, str], param: str, code: str | None) -> None:
    answer = call(shop, "POST", "/v1/subscriptions", data=data)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error.get("code")) == (400, param, code)


@pytest.mark.parametrize(
    "body", [b"\xff\xfe", b"a[b=1&a=2", b"[]=1", b"email=%00", b"a" * 200_000, b"a[" * 3000, b"name[x]=1&name=2"]
)
def test_garbage_is_never_a_500(shop: Shop, body: bytes) -> None:
    answer = call(
        shop, "POST", "/v1/customers", data=body, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert answer.status_code == 400
    assert "message" in answer.json()["error"]


def test_what_is_not_there_is_404(shop: Shop) -> None:
    for path in (
        "customers/cus_x",
        "subscriptions/sub_x",
        "prices/price_x",
        "charges/ch_x",
        "refunds/re_x",
        "checkout/sessions/cs_x",
    ):
        answer = call(shop, "GET", f"/v1/{path}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "resource_missing"), path


def test_the_same_key_repeats_the_answer_and_not_the_work(shop: Shop) -> None:
    headers = {"Idempotency-Key": "cust:1"}
    first = call(shop, "POST", "/v1/customers", data={"email": "a@example.com"}, headers=headers)
    again = call(shop, "POST", "/v1/customers", data={"email": "a@example.com"}, headers=headers)
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(shop.v1.customers.list().data) == 1
    other = call(shop, "POST", "/v1/customers", data={"email": "b@example.com"}, headers=headers)
    assert (other.status_code, other.json()["error"]["type"]) == (400, "idempotency_error")


def test_a_refused_request_leaves_its_key_free_and_a_decline_does_not(shop: Shop) -> None:
    wrong = call(shop, "POST", "/v1/customers", data={"colour": "red"}, headers={"Idempotency-Key": "k"})
    right = call(shop, "POST", "/v1/customers", data={"email": "a@example.com"}, headers={"Idempotency-Key": "k"})
    assert (wrong.status_code, right.status_code) == (400, 200)
    customer = right.json()["id"]
    path = "/v1/payment_methods/pm_card_chargeDeclined/attach"
    form = {"customer": customer}
    first, again = [call(shop, "POST", path, data=form, headers={"Idempotency-Key": "d"}) for _ in range(2)]
    assert (first.status_code, again.status_code) == (402, 402)
    assert again.headers["Idempotent-Replayed"] == "true"


def test_a_key_is_forgotten_after_a_day(shop: Shop) -> None:
    first = call(shop, "POST", "/v1/customers", data={}, headers={"Idempotency-Key": "k"}).json()
    shop.pass_time(days=1.1)
    assert call(shop, "POST", "/v1/customers", data={}, headers={"Idempotency-Key": "k"}).json()["id"] != first["id"]


def test_a_lost_answer_repeated_by_the_sdk_is_done_once(shop: Shop) -> None:
    patient = stripe.StripeClient(
        KEY, base_addresses={"api": f"{shop.url}/stripe"}, stripe_version="2026-08-26.dahlia", max_network_retries=2
    )
    requests.post(f"{shop.url}/control/faults", json={"peer": "stripe", "mode": "lost_answer", "times": 1}, timeout=30)
    made = patient.v1.customers.create({"email": "once@example.com"})
    assert [each.id for each in shop.v1.customers.list().data] == [made.id]


def test_lists_come_newest_first_in_pages(shop: Shop) -> None:
    made = [shop.v1.customers.create({"name": str(number)}).id for number in range(7)][::-1]
    page = shop.v1.customers.list({"limit": 3})
    assert ([each.id for each in page.data], page.has_more) == (made[:3], True)
    after = shop.v1.customers.list({"limit": 3, "starting_after": made[2]})
    assert [each.id for each in after.data] == made[3:6]
    before = shop.v1.customers.list({"limit": 3, "ending_before": made[3]})
    assert ([each.id for each in before.data], before.has_more) == (made[:3], False)
    assert [each.id for each in shop.v1.customers.list({"limit": 2}).auto_paging_iter()] == made
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.customers.list({"limit": 101})


def test_objects_are_expanded_as_asked(shop: Shop) -> None:
    made = shop.subscribe()
    found = shop.v1.subscriptions.retrieve(
        made["id"],
        {"expand": ["customer", "latest_invoice.payments", "default_payment_method", "items.data.price.product"]},
    )
    assert found.customer["object"] == "customer"
    assert found.latest_invoice["payments"]["data"][0]["status"] == "paid"
    assert found["items"]["data"][0]["price"]["product"]["object"] == "product"
    listed = shop.v1.invoices.list({"expand": ["data.customer", "data.lines", "data.lines.data.discounts"]})
    assert listed.data[0]["customer"]["object"] == "customer"
    charge = shop.v1.charges.list({"expand": ["data.balance_transaction"]}).data[0]
    assert charge["balance_transaction"]["fee"] == 59
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        shop.v1.subscriptions.retrieve(made["id"], {"expand": ["nonsense"]})


def test_the_catalog_is_kept(shop: Shop) -> None:
    price = shop.price(900, "year")
    product = shop.v1.prices.retrieve(price).product
    assert [each.id for each in shop.v1.prices.list({"product": product}).data] == [price]
    assert shop.v1.products.retrieve(product).name.startswith("Plan")
    shop.v1.prices.update(price, {"active": False})
    with pytest.raises(stripe.InvalidRequestError, match="inactive"):
        shop.session(price=price)


def test_customers_are_found_changed_and_deleted(shop: Shop) -> None:
    first, other = shop.customer("pm_card_visa"), shop.customer()
    email = shop.v1.customers.retrieve(first).email
    assert [each.id for each in shop.v1.customers.list({"email": email}).data] == [first]
    shop.v1.customers.update(first, {"metadata": {"a": "1", "b": "2"}})
    shop.v1.customers.update(first, {"metadata": {"a": ""}, "name": "New"})
    assert shop.v1.customers.retrieve(first).metadata.to_dict() == {"b": "2"}
    assert shop.events()[-1]["data"]["previous_attributes"] == {"name": "Dana Example", "metadata": {"a": "1"}}
    subscription = shop.subscribe(first)
    shop.v1.customers.delete(first)
    assert shop.v1.customers.retrieve(first).deleted
    assert shop.subscription(subscription["id"])["status"] == "canceled"
    assert [each.id for each in shop.v1.customers.list().data] == [other]


def test_cards_can_be_saved_unless_the_bank_declines(shop: Shop) -> None:
    customer = shop.customer("pm_card_visa")
    saved = shop.v1.payment_methods.list({"customer": customer}).data
    assert [each.card.last4 for each in saved] == ["4242"]
    with pytest.raises(stripe.CardError) as refused:
        shop.v1.payment_methods.attach("pm_card_chargeDeclined", {"customer": customer})
    assert (refused.value.code, refused.value.http_status) == ("card_declined", 402)


def test_money_goes_back_and_is_disputed(shop: Shop) -> None:
    shop.subscribe()
    charge = shop.v1.charges.list().data[0]
    part = shop.v1.refunds.create({"charge": charge.id, "amount": 400})
    assert (part.status, shop.v1.charges.retrieve(charge.id).refunded) == ("succeeded", False)
    shop.v1.refunds.create({"payment_intent": charge.payment_intent})
    assert shop.v1.charges.retrieve(charge.id).refunded
    with pytest.raises(stripe.InvalidRequestError, match="already been refunded"):
        shop.v1.refunds.create({"charge": charge.id})
    link = shop.v1.invoice_payments.list(
        {"payment": {"type": "payment_intent", "payment_intent": charge.payment_intent}}
    ).data
    assert link[0].invoice == shop.v1.invoices.list().data[0].id
    shop.subscribe()
    fresh = shop.v1.charges.list().data[0]
    dispute = shop.control("dispute", charge=fresh.id)
    assert shop.v1.charges.retrieve(fresh.id).disputed
    shop.control("close_dispute", dispute=dispute["id"], status="lost")
    assert shop.v1.disputes.list().data[0].status == "lost"
    given_back: Any = shop.v1.refunds.list({"expand": ["data.balance_transaction"]}).data[0].balance_transaction
    assert given_back.amount == -600
    assert [kind for kind in shop.story() if kind.startswith("charge.dispute")] == [
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.closed",
    ]


def test_a_refund_can_fail_later(shop: Shop) -> None:
    shop.subscribe()
    charge = shop.v1.charges.list().data[0]
    made = shop.control("refund", charge=charge.id, fail=True)
    assert shop.v1.refunds.retrieve(made["id"]).status == "failed"
    assert not shop.v1.charges.retrieve(charge.id).refunded
    assert shop.story(made["id"]) == ["refund.created", "refund.updated", "refund.failed"]


def test_a_refused_change_changes_nothing(shop: Shop) -> None:
    made = shop.subscribe()
    wish: Any = {"metadata": {"a": "1"}, "cancel_at": 5}
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.subscriptions.update(made["id"], wish)
    assert shop.subscription(made["id"])["metadata"] == {}
    assert len(shop.v1.subscriptions.list({"status": "all"}).data) == 1


def test_every_address_of_the_table_is_served(shop: Shop) -> None:
    """No operation the parameters name answers "Unrecognized request URL"."""
    for operation in PARAMETERS:
        method, path = operation.split(" ")
        answer = call(shop, method, re.sub(r"\{[^}]+\}", "none", path))
        message = answer.json().get("error", {}).get("message", "")
        assert answer.status_code in (200, 400, 402, 404), operation
        assert "Unrecognized" not in message, operation
