"""What an account's owner sets up wrongly at Stripe is found by the doctor, not by a customer (ecosystem B3 to B11)."""

import inspect
import json
import operator
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import stripe

import apps
from apps.billing import doctor, events, key_rights
from apps.core.findings import Finding, Severity
from apps.sandbox.stripe import api, urls  # noqa: F401  (the second fills the table of addresses)
from tests.world import World

URL = "http://localhost:8000/onboarding/webhook/"
BAD = {Severity.ERROR, Severity.WARNING}


def examine() -> dict[str, Finding]:
    return {one.id: one for one in doctor.check_stripe()}


def wrong(found: dict[str, Finding]) -> dict[str, str]:
    """The checks that failed, each with its severity; all of them say why it matters and what to do."""
    failed = {id_: one for id_, one in found.items() if one.severity in BAD}
    assert all(one.why and one.fix for one in failed.values())
    return {id_: one.severity.value for id_, one in failed.items()}


@pytest.fixture
def desk(world: World) -> World:
    """An account that is set up in order."""
    world.shop.control("endpoint", url=URL)
    world.seen.clear()
    world.deliver()
    return world


def test_an_account_in_order_passes_every_check(desk: World) -> None:
    before = desk.shop.control("state")
    found = examine()
    assert {one.severity for one in found.values()} == {Severity.PASSED}
    assert {
        "stripe.answer",
        "stripe.right.customers.write",
        "stripe.endpoint.url",
        "stripe.deliveries",
        "stripe.tax",
    } <= set(found)
    after = desk.shop.control("state")
    assert after["events"] == before["events"]  # the writes that were tried have changed nothing
    left = {kind: count for kind, count in after["objects"].items() if count and kind not in before["objects"]}
    assert left == {"billing_portal.configuration": 1}  # the default one is made when it is first asked for
    assert {kind: after["objects"][kind] for kind in before["objects"]} == before["objects"]


@pytest.mark.parametrize(
    ("right", "id_", "named"),
    [
        ("customer_write", "stripe.right.customers.write", "“Customer: write”"),
        ("checkout_session_write", "stripe.right.checkout_sessions.write", "“Checkout session: write”"),
        ("billing_portal_session_write", "stripe.right.portal_sessions.write", "“Billing portal session: write”"),
        ("subscription_write", "stripe.right.subscriptions.write", "“Subscription: write”"),
        ("refund_write", "stripe.right.refunds.write", "“Refund: write”"),
        ("invoice_write", "stripe.right.invoices.write", "“Invoice: write”"),
        ("customer_read", "stripe.right.customers", "“Customer: read”"),
        ("refund_read", "stripe.right.refunds", "“Refund: read”"),
        ("payment_method_read", "stripe.right.payment_methods", "“Payment method: read”"),
        ("coupon_read", "stripe.right.coupons", "“Coupon: read”"),
        ("price_write", "stripe.right.prices.write", "“Price: write”"),
        ("product_write", "stripe.right.products.write", "“Product: write”"),
    ],
)
def test_each_missing_right_is_named(desk: World, right: str, id_: str, named: str) -> None:
    desk.shop.control("settings", missing_rights=[right])
    found = examine()
    minor = {"stripe.right.coupons", "stripe.right.prices.write", "stripe.right.products.write"}
    assert wrong(found) == {id_: "warning" if id_ in minor else "error"}
    assert named in found[id_].fix


def test_who_sells_to_no_consumers_needs_no_right_to_refund(desk: World, settings: Any) -> None:
    settings.WITHDRAWAL_DAYS = 0
    desk.shop.control("settings", missing_rights=["refund_write"])
    assert wrong(examine()) == {"stripe.right.refunds.write": "warning"}


def rights_of(call: Callable[[stripe.StripeClient], Any]) -> set[str]:
    """The rights that the stand-in, and Stripe, want for a call."""
    asked: list[tuple[str, str]] = []

    class Recorder(stripe.RequestsClient):
        def request(self, method: str, url: str, *_: Any, **__: Any) -> tuple[str, int, dict[str, str]]:
            asked.append((method.upper(), urlsplit(url).path))
            return json.dumps({"id": "x", "object": "list", "data": [], "has_more": False}), 200, {}

    call(stripe.StripeClient("sk_test_" + 24 * "0", http_client=Recorder()))
    return {api.right_for(api._find(method, path)[0]) for method, path in asked}


def calls_in_the_code() -> set[str]:
    """Each method of Stripe's client that the application names, such as `customers.balance_transactions.create`."""
    found = set()
    for file in Path(apps.__file__).parent.rglob("*.py"):
        if "sandbox" in file.parts or file.name in {
            "key_rights.py",
            "account_setup.py",
        }:  # the second is of `setup`, whose rights can go afterwards
            continue
        source = file.read_text()
        found |= set(re.findall(r"\bv1\.([a-z_.]+)\(", source))
        found |= {f"{one}.list" for one in re.findall(r"\bv1\.([a-z_]+)[,)]", source)}  # handed to what lists it
        found |= {f"{one}.list" for one in re.findall(r"\bread_page(?:_after)?\((?:client, )?\"([a-z_]+)\"", source)}
    return found


def test_every_right_that_a_call_of_ours_needs_is_one_the_doctor_knows(settings: Any) -> None:
    settings.STRIPE_PROMOTION_CODES = settings.STRIPE_AUTOMATIC_TAX = True
    known = set().union(*(rights_of(call) for _, _, call, _ in key_rights.list_rights()))
    calls = calls_in_the_code()
    assert len(calls) > 40
    wanted = {}
    for name in calls:
        method = operator.attrgetter(name)

        def call(client: stripe.StripeClient, method: Any = method) -> Any:
            found = method(client.v1)
            names = [one for one in inspect.signature(found).parameters.values() if one.default is one.empty]
            return found(*({} if one.name == "params" else "x_1" for one in names))

        wanted |= dict.fromkeys(rights_of(call), name)
    assert {right: name for right, name in wanted.items() if right not in known} == {}
    assert known <= set(wanted), "a right that no call needs"


@pytest.mark.parametrize(
    ("change", "id_", "severity"),
    [
        ({"url": ""}, "url", "error"),
        ({"url": "https://elsewhere.example.com/"}, "url", "error"),
        ({"url": URL.rstrip("/")}, "url", "error"),  # Stripe follows no redirect
        ({"status": "disabled"}, "state", "error"),
        ({"version": "2025-03-31.basil"}, "version", "warning"),
        ({"events": ["invoice.paid", "customer.subscription.deleted"]}, "events", "error"),
    ],
)
def test_the_endpoint_is_judged_by_what_stripe_says(desk: World, change: Any, id_: str, severity: str) -> None:
    desk.shop.control("endpoint", **change)
    found = examine()
    assert wrong(found) == {f"stripe.endpoint.{id_}": severity}
    if id_ == "events":
        assert "customer.subscription.updated" in found["stripe.endpoint.events"].message


def test_each_event_that_we_work_on_is_asked_for() -> None:
    for start in (*events.CUSTOMER_EVENTS, *events.CATALOG_EVENTS):
        assert any(name.startswith(start) for name in doctor.NEEDED_EVENTS), start
    assert [name for name in doctor.NEEDED_EVENTS if not events.needs_work(name)] == []


def test_of_two_endpoints_at_our_address_the_enabled_one_is_judged_and_the_other_told() -> None:
    """A second one is made for a new API version, and signs with another secret."""
    one = {"url": URL, "status": "disabled", "api_version": None, "enabled_events": ["*"]}
    other = one | {"status": "enabled", "api_version": "2026-08-26.dahlia"}
    found = {each.id: each for each in doctor.check_endpoint({"data": [one, other]})}
    assert wrong(found) == {"stripe.endpoint.one": "warning"}


def test_what_stripe_could_not_deliver_is_told(desk: World) -> None:
    """The secret was wrong for days, and nobody knew until Stripe disabled the endpoint."""
    desk.pass_time(days=2)
    desk.pay(desk.signup())
    assert wrong(examine()) == {}  # a minute ago: Stripe may be about to deliver
    desk.pass_time(seconds=1000)
    found = examine()
    assert wrong(found) == {"stripe.deliveries": "error"}
    assert "customer.subscription.created (1)" in found["stripe.deliveries"].message
    first, *_ = desk.new_events()
    desk.post_events([first])
    assert wrong(examine()) == {"stripe.deliveries": "warning"}  # some arrive
    desk.deliver()
    assert wrong(examine()) == {}


def test_events_that_another_endpoint_misses_or_nobody_needs_are_no_failure_of_ours(desk: World) -> None:
    desk.subscriber()
    desk.shop.v1.customers.create({"email": "other@example.com"})  # customer.created: we do not need it
    desk.pass_time(seconds=1000)
    assert wrong(examine()) == {}  # the stand-in never delivers by itself here: Stripe says that all are missed


@pytest.mark.parametrize(
    ("switch", "id_", "severity"),
    [
        ({"portal_saved": False}, "stripe.portal", "error"),
        ({"tax": "pending"}, "stripe.tax", "warning"),
    ],
)
def test_settings_that_were_never_saved_are_told(desk: World, switch: Any, id_: str, severity: str) -> None:
    desk.shop.control("settings", **switch)
    assert wrong(examine()) == {id_: severity}


@pytest.mark.parametrize(("switch", "account", "wrong_then"), [
    ({"STRIPE_AUTOMATIC_TAX": True}, {}, {}),
    ({"STRIPE_AUTOMATIC_TAX": True}, {"tax": "pending"}, {"stripe.tax": "error", "stripe.tax.registrations": "warning"}),
    ({"STRIPE_AUTOMATIC_TAX": True}, {"tax_behavior": None}, {"stripe.tax.behavior": "warning"}),
    ({"STRIPE_PROMOTION_CODES": True}, {}, {"stripe.promotion_codes": "warning"}),
    ({"STRIPE_BRANDING": True}, {}, {}),
    ({"STRIPE_BRANDING": True, "BRAND": {"logo_url": "http://example.com/logo.png"}}, {}, {"stripe.branding": "warning"}),
])  # fmt: skip
def test_what_a_feature_needs_at_stripe_is_told(
    desk: World, settings: Any, switch: Any, account: Any, wrong_then: dict[str, str]
) -> None:
    for name, value in switch.items():
        setattr(settings, name, value)
    if account:
        desk.shop.control("settings", **account)
    assert wrong(examine()) == wrong_then


def test_an_active_promotion_code_is_enough(desk: World, settings: Any) -> None:
    settings.STRIPE_PROMOTION_CODES = True
    coupon = desk.shop.v1.coupons.create({"percent_off": 40, "duration": "once"}).id
    desk.shop.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon}, "code": "SPRING40"})
    desk.skip()
    assert wrong(examine()) == {}


@pytest.mark.parametrize(
    ("flow", "severity"),
    [("payment_method_update", "error"), ("subscription_cancel", "warning"), ("subscription_update", "warning")],
)
def test_a_portal_that_does_not_allow_what_we_link_to_is_told(desk: World, flow: str, severity: str) -> None:
    (made,) = desk.shop.v1.billing_portal.configurations.list({"is_default": True}).data
    features = made.to_dict()["features"]
    features[flow]["enabled"] = False
    desk.shop.control("edit", kind="billing_portal.configuration", id=made.id, fields={"features": features})
    assert wrong(examine()) == {f"stripe.portal.{flow}": severity}


@pytest.mark.parametrize("how", ["archived", "deleted"])
def test_an_offered_price_that_nobody_can_buy_is_told(desk: World, how: str) -> None:
    price = desk.price("personal")
    if how == "archived":
        desk.shop.v1.prices.update(price, {"active": False})
    else:
        desk.shop.control("delete", kind="price", id=price)
    assert wrong(examine()) == {f"stripe.price.{price}": "error"}


@pytest.mark.parametrize(
    ("mode", "severity"), [("down", Severity.SKIPPED), ("http_503", Severity.SKIPPED), ("http_401", Severity.ERROR)]
)
def test_without_an_answer_one_finding_says_so(desk: World, mode: str, severity: Severity) -> None:
    """No thirty findings that say the same, and no page that waits for thirty calls."""
    desk.fault("stripe", mode)
    found = examine()
    assert list(found) == ["stripe.mode", "stripe.answer"]
    assert found["stripe.answer"].severity == severity
    assert found["stripe.answer"].fix
