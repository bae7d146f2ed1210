"""What a list says when it shows nothing: what would be in it, or what it was asked for in vain."""

from typing import Any, NamedTuple

from apps.console.navigation import list_url
from apps.console.saved_views import PARAMETER, find_view

ORDERED = {"o", "p"}  # what an address may have beside filters
# By the list's model, for a list that has no rows at all.
SENTENCES = {
    "access.accessfreeze": "Incident mode has never been on.",
    "access.accessoverride": "No override: for everybody, billing alone decides about access.",
    "access.heldbackloss": "Nothing is held back. While incident mode is on, what billing would take is listed here.",
    "access.termschange": "The terms have never been changed: those of the configuration apply to everybody.",
    "accounts.legalhold": "No legal hold. One is set on the page of a subscriber whose data may not be erased.",
    "accounts.membership": "Nobody shares a subscription. A product says for how many people it is.",
    "accounts.privacyrequest": "Nobody has asked for a copy of their data, or to be erased. A request is recorded on the page of its subscriber.",
    "accounts.signup": "Nobody has begun to sign up.",
    "accounts.userprofile": "No subscriber yet. One is here as soon as somebody has signed up.",
    "auth.group": "No group yet. Groups come from Keycloak.",
    "auth.user": "No member of staff has logged in yet.",
    "billing.inboundevent": "Stripe has sent no event yet. The doctor says whether its webhook is set up.",
    "catalog.product": "No product yet. Import them from Stripe, or add one.",
    "catalog.productprice": "No price yet. Prices come with the products, or are mapped from those of Stripe.",
    "core.attentionitem": "Nothing has ever needed attention.",
    "core.auditentry": "Nothing has been done yet.",
    "core.comparisonrun": "Nothing has been compared yet. Comparisons run by schedule.",
    "core.job": "No job has been queued yet.",
    "core.lawcheck": "No law has been checked yet. They are checked by schedule, or now.",
    "core.outage": "Stripe, Keycloak and Mailgun have never been down.",
    "core.restorecheck": "The database was never restored from a backup.",
    "djstripe.charge": "No charge at Stripe is known yet.",
    "djstripe.customer": "No customer at Stripe is known yet.",
    "djstripe.dispute": "No payment is disputed.",
    "djstripe.invoice": "No invoice at Stripe is known yet.",
    "djstripe.paymentmethod": "No card at Stripe is known yet.",
    "djstripe.price": "No price at Stripe is known yet.",
    "djstripe.product": "No product at Stripe is known yet.",
    "djstripe.refund": "Nothing was refunded.",
    "djstripe.subscription": "No subscription at Stripe is known yet.",
    "instances.instance": "No instance yet, so nobody can get a seat. Add the first one.",
    "instances.seat": "Nobody has a seat yet.",
    "operations.customerapikey": "No API keys yet. Your other systems need one to read who is a customer, and what they have.",
    "operations.customerimport": "Nothing has been imported yet. Begin with a file, with Stripe or with Keycloak.",
    "operations.importrow": "No import has rows yet.",
    "operations.seatmove": "Nobody has been asked to move yet.",
    "operations.seatplan": "No instance has been drained or rebalanced yet. A plan begins on the page of an instance.",
    "instances.webhookdelivery": "No product has been told anything by a webhook yet. Provisioning on an instance’s page begins it.",
    "instances.seatwait": "Nobody waits for a seat: all who paid have theirs.",
    "notifications.notification": "No email has been sent yet.",
    "onboarding.waitlistentry": "Nobody is on the waitlist.",
    "operations.approvalrequest": "Nothing waits for the approval of another person, and nothing ever did.",
    "operations.drift": "No drift: Keycloak has what it should have.",
    "operations.safeguardreview": "The safeguard has stopped nothing.",
    "operations.syncrun": "No bulk sync has run yet.",
    "operations.termspreview": "No change of terms has been previewed yet. A preview begins when terms are changed.",
}


class Emptiness(NamedTuple):
    """What an empty list says, and where all rows are, if it was searched or filtered."""

    title: str
    sentence: str = ""
    all_rows: str = ""


def describe_emptiness(changelist: Any) -> Emptiness:
    """Of a list that shows no row."""
    page = changelist.model_admin
    all_rows = list_url(page.model, **page.all_rows)
    if changelist.query:
        hint = f"This list can be searched by: {page.search_help_text}." if page.search_help_text else ""
        return Emptiness(f"Nothing matches “{changelist.query}”", hint, all_rows)
    asked = changelist.params.keys() - ORDERED
    is_all = bool(page.all_rows) and {name: changelist.params[name] for name in asked} == page.all_rows
    view = find_view(page.views, changelist.params.get(PARAMETER) or page.opens_on)
    if view and asked <= {PARAMETER}:
        return Emptiness(f"Nothing under “{view.label}”", all_rows=all_rows)
    if changelist.has_active_filters and not is_all:
        return Emptiness("Nothing matches these filters", all_rows=all_rows)
    return Emptiness("Nothing here", SENTENCES.get(page.opts.label_lower, ""))
