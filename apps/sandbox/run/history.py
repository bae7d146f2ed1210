"""A past for the demo's Stripe account: what an account has that was in use before Frontdesk came.

Customers who are not ours, one of them on an old plan with an id of its own, and three of ours: with a discount, with a disputed
payment, and with an invoice by mail. Written once, over HTTP, as people at Stripe's dashboard and customers would.
"""

import contextlib
import io
from typing import Any

from apps.sandbox.stripe_account import StripeAccount
from apps.sandbox.walk import Walk

CARD = "pm_card_visa"


def write_history(*, site: str, sandbox: str, keycloak: str) -> None:
    """All of it; WalkError or an HTTP error when one of the parts does not work."""
    stripe = StripeAccount(sandbox)
    write_strangers(stripe)
    for name, happen in (("Dora", _discount), ("Disa", _dispute), ("Ines", _invoice_by_mail)):
        customer = Walk(site, sandbox, keycloak, first_name=name)
        with contextlib.redirect_stdout(io.StringIO()):  # a walk reports what it sees
            customer.sign_up()
        customer.until(f"{name} has an account", lambda one=customer: one.customer.state()["finished"])  # type: ignore[misc]
        happen(stripe, customer.subscription())


def write_strangers(stripe: StripeAccount) -> None:
    """Two customers of another business in the same account."""
    for name, plan in (("Coffee beans", ""), ("Gold membership", "gold-monthly-2016")):
        product = stripe.post("products", name=name)["id"]
        recurring = {"recurring[interval]": "month"}
        price = stripe.post("prices", product=product, currency="eur", unit_amount=1200, **recurring)["id"]
        customer = stripe.post("customers", email=f"{name.split()[0].lower()}@example.org", name=name)["id"]
        method = stripe.post(f"payment_methods/{CARD}/attach", customer=customer)["id"]
        stripe.post(f"customers/{customer}", **{"invoice_settings[default_payment_method]": method})
        subscription = stripe.post("subscriptions", customer=customer, **{"items[0][price]": price})
        if plan:
            _edit_line(stripe, subscription, plan)


def _edit_line(stripe: StripeAccount, subscription: dict[str, Any], plan: str) -> None:
    """An old plan stands in the place of the price, by the id its owner gave it."""
    items = subscription["items"]
    items["data"][0]["price"] |= {"id": plan, "nickname": "Gold"}
    stripe.control("edit", kind="subscription", id=subscription["id"], fields={"items": items})


def _discount(stripe: StripeAccount, subscription: dict[str, Any]) -> None:
    """A coupon on the customer, in the shape of Stripe's present version."""
    customer = subscription["customer"]
    discount = {
        "id": "di_demo_loyal", "object": "discount", "source": {"type": "coupon", "coupon": "loyal"}, "customer": customer,
        "start": subscription["created"], "end": None, "subscription": None, "checkout_session": None, "invoice": None,
        "invoice_item": None, "promotion_code": None, "subscription_item": None,
    }  # fmt: skip
    stripe.control("edit", kind="customer", id=customer, fields={"discount": discount})
    stripe.post(f"customers/{customer}", **{"metadata[note]": "loyal since 2016"})


def _dispute(stripe: StripeAccount, subscription: dict[str, Any]) -> None:
    """Somebody tells their bank that they do not know the charge."""
    charge = stripe.get("charges", customer=subscription["customer"])["data"][0]
    stripe.control("dispute", charge=charge["id"])


def _invoice_by_mail(stripe: StripeAccount, subscription: dict[str, Any]) -> None:
    """From now on this customer gets an invoice and has thirty days to pay it."""
    fields = {"collection_method": "send_invoice", "days_until_due": 30}
    stripe.control("edit", kind="subscription", id=subscription["id"], fields=fields)
    stripe.post(f"subscriptions/{subscription['id']}", **{"metadata[terms]": "net 30"})
