"""What the manual says of this installation: its addresses, and what Stripe, Keycloak and Mailgun need, from where the code has it."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from apps.billing import doctor as stripe_doctor
from apps.billing import key_rights
from apps.core import laws, metrics
from apps.core.attention import Cause
from apps.core.findings import Severity
from apps.notifications.email_list import EMAILS

# What each row of settings.RETENTION is about, for staff and for the records of processing.
KEPT = {
    "jobs": "Finished jobs",
    "attention": "Closed attention items",
    "event_bodies": "What Stripe's events say",
    "unconfirmed_waitlist": "Waitlist entries that nobody confirmed",
    "sweep_jobs": "Jobs of the nightly sweeps",
    "stripe_details": "Details of invoices and payments beyond what pages show",
    "events": "Handled Stripe events",
    "emails": "Addresses and contents of sent emails",
    "unpaid_signups": "Signups that never reached the payment",
    "abandoned_signups": "People who opened a payment and never paid, here and at Stripe",
    "left_waitlist": "Waitlist entries of people who left it",
    "unused_invitations": "Withdrawn or expired invitations to a subscription",
    "ended_waitlist": "Waitlist entries whose invitation was used or ran out",
    "email_contents": "Names and links in sent emails",
    "expired_customers": "Customers after their final expiry",
    "comparisons": "Comparisons with Stripe and Keycloak",
    "operations": "Drift that is gone, sync runs, previews, safeguard reviews, approvals, seat plans and imports of customers",
    "law_checks": "Checks of the laws",
    "outages": "Outages",
    "erased_accounts": "Ids of erased people's accounts in products, which a restored backup of the product brings back",
    "webhook_deliveries": "What products were told by webhooks, and how their answers begin",
    "daily_figures": "Daily figures, which name nobody",
    "report_figures": "Sums of the reports, which name nobody",
    "address_changes": "The former address after a change",
    "data_copies": "Copies of their data that subscribers asked for",
    "customer_changes": "Which customers have changed, for other systems",
    "api_keys": "API keys after their end",
    "codes": "One-time codes",
    "rate_limits": "Counts of the rate limits",
}
READ, WRITE = "Read", "Write"


def read_values() -> dict[str, Any]:
    """Every value that a chapter may name."""
    site = settings.BASE_URL
    return {
        "brand": settings.BRAND["name"], "site": site, "support": settings.BRAND["support_email"],
        "stripe_webhook": f"{site}{stripe_doctor.WEBHOOK_PATH}", "stripe_version": settings.STRIPE_API_VERSION,
        "stripe_events": stripe_doctor.NEEDED_EVENTS, "stripe_rights": list(_rights()),
        "portal_flows": list(stripe_doctor.FLOWS.values()),
        "keycloak": settings.KEYCLOAK_SERVER_URL, "realm": settings.KEYCLOAK_REALM,
        "web_client": settings.OIDC_RP_CLIENT_ID, "sync_client": settings.KEYCLOAK_ADMIN_CLIENT_ID,
        "customer_group": settings.KEYCLOAK_PARENT_GROUP, "staff_group": settings.KEYCLOAK_STAFF_GROUP,
        "mailgun_domain": settings.MAILGUN_DOMAIN, "mailgun_webhook": f"{site}/mailgun/webhook/",
        "mailgun_api": settings.ANYMAIL["MAILGUN_API_URL"], "days": settings.RETENTION,
        "sentry": urlsplit(settings.SENTRY_DSN).hostname or "", "alerts": bool(settings.ALERT_URLS), "outbound": ", ".join(settings.OUTBOUND_HOSTS),
        "logo": urlsplit(settings.BRAND["logo_url"]).hostname or "",
        "kept": [(words, settings.RETENTION[name]) for name, words in KEPT.items()],
        "gauges": [(name, text, ", ".join(labels)) for name, text, labels, _ in metrics.GAUGES],
        "emails": [(one.title, name, one.when, one.to) for name, one in EMAILS.items()],
        "grace_days": settings.GRACE_EXTENSION_DAYS, "two_people": settings.TWO_PEOPLE_ABOVE,
        "api_limit": " and ".join(f"{limit} in {seconds} s" for limit, seconds in settings.LIMITS["api_requests"]),
        "causes": list(Cause), "laws": laws.all_laws(),
    }  # fmt: skip


def _rights() -> Iterator[tuple[str, str, str]]:
    """Name, level and purpose of each right of a restricted key, as Stripe's dashboard lists them."""
    rows = {}
    for verb, name, _call, severity in key_rights.list_rights():  # those to read first
        note = key_rights.explain_right(verb, name) if severity == Severity.WARNING else ""
        rows[name] = (WRITE if verb == "write" else READ, note)
    for name, (level, note) in sorted(rows.items()):
        yield name.capitalize(), level, note
