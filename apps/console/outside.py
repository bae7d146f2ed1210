"""Links out of the console: an object in Stripe's dashboard, in test mode or live, and an account in Keycloak's admin console."""

import re
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

DASHBOARD = "https://dashboard.stripe.com"
# Where the dashboard shows each kind of object; a refund is shown with its payment.
PLACES = {
    "customer": "customers", "subscription": "subscriptions", "invoice": "invoices", "charge": "payments", "payment": "payments",
    "dispute": "disputes", "price": "prices", "product": "products",
}  # fmt: skip

NAMED_SUBSCRIPTION = re.compile(r"subscription (?!membership:)(\S+) ")


def stripe_url(kind: str, identifier: str, *, live: bool | None = None) -> str:
    """Where Stripe shows an object; `live`: as the object says, else as our key is."""
    mode = "" if (settings.STRIPE_LIVE_MODE if live is None else live) else "/test"
    return f"{DASHBOARD}{mode}/{PLACES[kind]}/{identifier}"


def keycloak_url(user_id: str) -> str:
    """Where Keycloak's admin console shows an account."""
    realm = settings.KEYCLOAK_REALM
    return f"{settings.KEYCLOAK_SERVER_URL}/admin/master/console/#/{realm}/users/{user_id}/settings"


def outside_link(url: str, text: str, label: str = "") -> SafeString:
    """A link that leaves the console, in a tab of its own. `label`: what it leads to, where the text does not say it."""
    return format_html(
        '<a class="fd-link" href="{}" target="_blank" rel="noopener noreferrer" title="{}">{} <span aria-hidden="true">↗</span></a>',
        url, label or "Opens in a new tab", text,
    )  # fmt: skip


def stripe_link(kind: str, identifier: str | None, *, live: bool | None = None, text: str = "") -> SafeString:
    """An object of Stripe's by its id; a dash where there is none."""
    if not identifier:
        return SafeString("–")
    return outside_link(stripe_url(kind, identifier, live=live), text or identifier, "Open in Stripe's dashboard")


def keycloak_link(user_id: str | None) -> SafeString:
    """An account of Keycloak's by its id; a dash where there is none."""
    return (
        outside_link(keycloak_url(user_id), user_id, "Open in Keycloak's admin console") if user_id else SafeString("–")
    )


def link_reason(line: str) -> SafeString:
    """A line of why the policy decided so: a subscription is a word that leads to it, and not an id."""
    found = NAMED_SUBSCRIPTION.match(line)
    if not found:
        return format_html("{}", line)
    return format_html("{} {}", stripe_link("subscription", found[1], text="Subscription"), line[found.end() :])


def link_reasons(joined: str) -> SafeString:
    """The same of lines that are kept as one text."""
    return format_html_join("; ", "{}", ((link_reason(line),) for line in joined.split("; ")))


class OutsideIds:
    """A subscriber's ids elsewhere as columns that lead there, for a ModelAdmin."""

    @admin.display(description="Keycloak account")
    def at_keycloak(self, row: Any) -> SafeString:
        """The account."""
        return keycloak_link(row.keycloak_id)

    @admin.display(description="Stripe customer")
    def customer_at_stripe(self, row: Any) -> SafeString:
        """The customer."""
        return stripe_link("customer", row.stripe_customer_id)

    @admin.display(description="Stripe subscription")
    def subscription_at_stripe(self, row: Any) -> SafeString:
        """The subscription."""
        return stripe_link("subscription", row.stripe_subscription_id)
