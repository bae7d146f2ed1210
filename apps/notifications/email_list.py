"""Every email we can write: which values it needs, and when and to whom it goes. One line each; its texts are templates/mail/<name>.*.

SAMPLES has a value for each, for the previews of the console and for the tests.
"""

from dataclasses import dataclass
from typing import Any

SUBSCRIBER, TYPED, STAFF = "the subscriber", "the address that somebody typed", "staff"


@dataclass(frozen=True)
class EmailKind:
    """`values`: those that end in "?" may be missing or empty; the email reads well without them. `when` follows "sent"."""

    values: tuple[str, ...]
    when: str
    to: str = SUBSCRIBER


# Values are texts, or lists of dictionaries of texts: apps have name and url, an order's lines have name and price.
EMAILS: dict[str, EmailKind] = {
    # signing up
    "signup_code": EmailKind(("code", "minutes"), "when somebody signs up, to prove the address", TYPED),
    "already_customer": EmailKind((), "instead, when the address has an account", TYPED),
    "signup_payment_failed": EmailKind(("url", "first_name?"), "when a bank refuses the first payment, as days later for a debit"),
    "welcome": EmailKind(
        ("username", "apps?", "order?", "renews?", "first_name?"), "once the account is ready; confirms the order"
    ),
    # paying
    "trial_ending": EmailKind(("date", "amount?", "first_name?"), "7 days and 1 day before a trial ends"),
    "payment_failed": EmailKind(
        ("first_name?", "sentence?", "invoice_url?", "next_attempt?"), "when a payment fails or a debit comes back, once for each invoice"
    ),
    "payment_action_required": EmailKind(("first_name?", "invoice_url?"), "when the bank wants a payment confirmed"),
    "access_ends_soon": EmailKind(("date", "sentence", "invoice_url?", "first_name?"), "a day before access ends by itself"),
    "payment_recovered": EmailKind(("first_name?",), "when a late payment has arrived"),
    "card_expiring": EmailKind(("card", "month", "first_name?"), "in the month before the card that is charged expires, and in its last"),
    "plan_changed": EmailKind(("order", "first_name?"), "when what is paid for has changed"),
    "refunded": EmailKind(("amount?", "sentence?", "first_name?"), "when a payment was refunded"),
    "duplicate_found": EmailKind(("first_name?",), "when a second subscription of the same person is found"),
    # leaving and coming back
    "cancellation_scheduled": EmailKind(("date", "final_date?", "first_name?"), "when somebody cancels for a later date"),
    "subscription_canceled": EmailKind(("first_name?", "sentence?", "final_date?"), "when the subscription has ended"),
    "expiry_reminder": EmailKind(("final_date", "first_name?"), "14 days, 7 days and 1 day before the final expiry"),
    "expired": EmailKind(("first_name?",), "at the final expiry"),
    "recovery_code": EmailKind(("code", "minutes"), "when somebody wants to recover an account", TYPED),
    "recovery_no_account": EmailKind((), "instead, when the address has none", TYPED),
    "recovery_opened": EmailKind(("until", "first_name?"), "when a recovery opens the account"),
    "recovered": EmailKind(("first_name?",), "when somebody who had lost access has it again"),
    # the address
    "address_changed": EmailKind(("first_name?",), "when the address has changed, to the new one"),
    "address_removed": EmailKind(("first_name?",), "when the address has changed, to the former one"),
    # the waitlist
    "waitlist_confirm": EmailKind(("confirm_url", "product?"), "when somebody joins the waitlist", TYPED),
    "waitlist_invited": EmailKind(("invite_url", "leave_url", "product?", "until?"), "when there is room", "who waits"),
    "waitlist_note": EmailKind(("email", "product?", "waiting?"), "for each entry on the waitlist", STAFF),
}  # fmt: skip

SAMPLES: dict[str, Any] = {
    "code": "493 027",
    "minutes": "10",
    "username": "nora",
    "first_name": "Nora",
    "apps": [{"name": "Nextcloud", "url": "https://cloud-1.example.com/?a=1&b=2"}],
    "order": [{"name": "Personal", "price": "€5 / month"}, {"name": "2 × 100 GB more", "price": "€3 / month"}],
    "renews": "3 January 2027",
    "sentence": "If you haven't paid by then, your apps are paused. Your data is safe.",
    "date": "3 December 2026",
    "amount": "€9.50",
    "card": "Visa ending in 4242",
    "month": "December 2026",
    "final_date": "3 December 2026",
    "invoice_url": "https://invoice.example.com/i/1?x=1&y=2",
    "next_attempt": "7 December 2026",
    "confirm_url": "https://frontdesk.example.com/confirm/abc",
    "invite_url": "https://frontdesk.example.com/invite/abc",
    "leave_url": "https://frontdesk.example.com/leave/abc",
    "product": "Nextcloud",
    "until": "5 December 2026",
    "email": "nora@example.com",
    "waiting": "12",
    "url": "https://frontdesk.example.com/onboarding/",
}


# Where an email's value differs from the sample of all others.
OWN_SAMPLES: dict[str, dict[str, Any]] = {
    "payment_failed": {"sentence": "Your last payment failed. You keep access until 10 December 2026."},
    "refunded": {"sentence": "Your subscription is active."},
    "subscription_canceled": {"sentence": "You can come back until 2 January 2027.", "final_date": "2 January 2027"},
    "cancellation_scheduled": {"final_date": "2 January 2027"},
    "expiry_reminder": {"final_date": "2 January 2027"},
}


def sample_values(name: str) -> dict[str, Any]:
    """A value for each that the email can show."""
    names = [one.rstrip("?") for one in EMAILS[name].values]
    return {one: OWN_SAMPLES.get(name, {}).get(one, SAMPLES[one]) for one in names}
