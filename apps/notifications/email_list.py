"""Every email we can write: which values it needs, and when and to whom it goes. One line each; its texts are templates/mail/<name>.*.

SAMPLES has a value for each, for the previews of the console and for the tests.
"""

from dataclasses import dataclass
from typing import Any

SUBSCRIBER, TYPED, STAFF = "the subscriber", "the address that somebody typed", "staff"
KEYCLOAK_TEMPLATE = "keycloak_set_password"  # Keycloak writes and sends this one; we only record it
# Why staff cannot send an email again.
CODE = "It holds a code that works once. A new one goes out when it is asked for."
LINK = "It holds a link that lets its reader act, and is made for one email only."
ANSWER = "It answered what somebody typed at that moment."
MOMENT = "It is about the moment at which it was sent."
QUESTION = "The question is on their dashboard too, and may be answered by now."


@dataclass(frozen=True)
class EmailKind:
    """`title`: its name for staff. `values`: those that end in "?" may be missing or empty; the email reads well without them.

    `when` follows "sent". `not_again`: why staff cannot send it again; empty: they can, as long as what it says is true.
    """

    title: str
    values: tuple[str, ...]
    when: str
    to: str = SUBSCRIBER
    not_again: str = ""


# Values are texts, yes or no, or lists of dictionaries of texts: apps have name, url and instance, an order's lines have name and price.
EMAILS: dict[str, EmailKind] = {
    # signing up
    "signup_code": EmailKind("Sign-up code", ("code", "minutes", "code_url?"), "when somebody signs up, to prove the address", TYPED, CODE),
    "already_customer": EmailKind("Has an account already", (), "instead, when the address has an account", TYPED, ANSWER),
    "account_without_plan": EmailKind(
        "Has an account, and no plan", ("continue_url",), "instead, when only Keycloak has an account with the address", TYPED, LINK
    ),
    "signup_payment_failed": EmailKind(
        "First payment failed", ("url", "first_name?"), "when a bank refuses the first payment, as days later for a debit", not_again=MOMENT
    ),
    "welcome": EmailKind(
        "Welcome",
        ("username", "has_password?", "apps?", "order?", "renews?", "trial_ends?", "next_amount?", "paid?", "paid_on?", "invoice?", "invoice_pdf?", "terms_version?",
         "terms_link?", "terms_accepted?", "withdraw_until?", "first_name?"),
        "once the account is ready; confirms the order",
    ),
    # paying
    "trial_ending": EmailKind("Trial ending", ("date", "amount?", "lapses?", "closes?", "first_name?"), "7 days and 1 day before a trial ends"),
    "payment_failed": EmailKind(
        "Payment failed", ("first_name?", "until?", "sentence?", "invoice_url?", "next_attempt?"), "when a payment fails, once for each invoice"
    ),
    "debit_refused": EmailKind(
        "Debit returned by the bank", ("account?", "why?", "until?", "sentence?", "invoice_url?", "next_attempt?", "first_name?"),
        "instead, when the bank refuses or returns a debit",
    ),
    "payment_action_required": EmailKind(
        "Payment to confirm", ("first_name?", "invoice_url?"), "when the bank wants a payment confirmed"
    ),
    "access_ends_soon": EmailKind(
        "Access ends tomorrow", ("date", "sentence", "invoice_url?", "first_name?"), "a day before access ends by itself"
    ),
    "payment_recovered": EmailKind("Late payment arrived", ("first_name?",), "when a late payment has arrived"),
    "card_expiring": EmailKind(
        "Card expiring", ("card", "month", "first_name?"), "in the month before the card that is charged expires, and in its last"
    ),
    "plan_changed": EmailKind("Plan changed", ("order", "first_name?"), "when what is paid for has changed"),
    "refunded": EmailKind("Refunded", ("amount?", "sentence?", "first_name?"), "when a payment was refunded"),
    "duplicate_found": EmailKind(
        "Second subscription found", ("first_name?",), "when a second subscription of the same person is found"
    ),
    # leaving and coming back
    "cancellation_scheduled": EmailKind(
        "Cancellation scheduled", ("date", "final_date?", "first_name?"), "when somebody cancels for a later date, at Stripe or through staff"
    ),
    "subscription_canceled": EmailKind(
        "Subscription ended", ("first_name?", "sentence?", "final_date?"), "when the subscription has ended"
    ),
    "contract_code": EmailKind(
        "Code to end a contract", ("code", "minutes", "code_url?"), "when somebody wants to end a contract without a login", TYPED, CODE
    ),
    "contract_no_account": EmailKind("No contract to end", (), "instead, when the address has no account", TYPED, ANSWER),
    "contract_canceled": EmailKind(
        "Cancellation received", ("received", "contract", "made_on", "ends_on?", "final_date?", "first_name?"),
        "when somebody cancels on the dashboard or the page for it, with the time", not_again=MOMENT,
    ),
    "contract_withdrawn": EmailKind(
        "Withdrawal received", ("received", "contract", "made_on", "first_name?"),
        "when somebody withdraws from a contract, with the time", not_again=MOMENT,
    ),
    "expiry_reminder": EmailKind(
        "Final expiry ahead", ("final_date", "first_name?"), "14 days, 7 days and 1 day before the final expiry"
    ),
    "expired": EmailKind("Expired", ("first_name?",), "at the final expiry"),
    "recovery_code": EmailKind("Recovery code", ("code", "minutes", "code_url?"), "when somebody wants to recover an account", TYPED, CODE),
    "recovery_no_account": EmailKind("No account to recover", (), "instead, when the address has none", TYPED, ANSWER),
    "recovery_opened": EmailKind("Recovery opened", ("until", "first_name?"), "when a recovery opens the account"),
    "recovered": EmailKind("Welcome back", ("first_name?",), "when somebody who had lost access has it again"),
    # the address
    "address_code": EmailKind(
        "Code for a new address", ("code", "minutes", "code_url?"), "when a subscriber wants another address, to the new one", TYPED, CODE
    ),
    "address_taken": EmailKind("Address has an account", (), "instead, when another account has it", TYPED, ANSWER),
    "address_changed": EmailKind(
        "Address changed", ("first_name?",), "when the address has changed, to the new one", not_again=MOMENT
    ),
    "address_removed": EmailKind(
        "Address no longer used", ("first_name?", "object_url?"), "when the address has changed, to the former one", not_again=MOMENT
    ),
    # their data
    "copy_ready": EmailKind(
        "Copy of the data ready", ("until", "first_name?"), "when the copy of their data that somebody asked for can be read", not_again=MOMENT
    ),
    "account_deleted": EmailKind(
        "Account deleted", ("receipt", "date"), "when somebody has deleted their account; the receipt", not_again=MOMENT
    ),
    # seats
    "seat_move": EmailKind(
        "Move to another server?", ("product", "old_instance", "new_instance", "keep_days?", "first_name?"),
        "when staff plan to move a seat, to ask", not_again=QUESTION,
    ),
    "seat_move_reminder": EmailKind(
        "Move to another server? Once more", ("product", "old_instance", "new_instance", "keep_days?", "first_name?"),
        "some days later, to who has not answered", not_again=QUESTION,
    ),
    "seat_moved": EmailKind(
        "Moved to another server", ("product", "old_instance", "new_instance", "until?", "first_name?"),
        "once a seat was moved by a plan, or back", not_again=MOMENT,
    ),
    # several people under one subscription
    "people_invitation": EmailKind(
        "Invitation to a subscription", ("payer", "invite_url", "until"), "when a subscriber invites somebody to theirs", TYPED, LINK
    ),
    "people_joined": EmailKind(
        "Somebody has joined", ("member", "first_name?"), "when somebody has accepted, to the subscriber who pays", not_again=MOMENT
    ),
    "people_left": EmailKind(
        "Somebody has left", ("member", "how", "first_name?"), "when a membership has ended, to the subscriber who pays", not_again=MOMENT
    ),
    "shared_trial_ending": EmailKind(
        "Shared trial ending", ("date", "first_name?"), "once, up to 7 days before a shared trial without a card ends, to each member whose apps would close"
    ),
    "shared_paused": EmailKind(
        "Shared subscription paused", ("first_name?",), "when the apps of somebody close because another one doesn't pay for them"
    ),
    "shared_ended": EmailKind(
        "Shared subscription ended", ("final_date?", "first_name?"), "when another one's subscription has ended for somebody"
    ),
    # the waitlist
    "waitlist_confirm": EmailKind(
        "Waitlist: confirm the address", ("confirm_url", "product?"), "when somebody joins the waitlist", TYPED, LINK
    ),
    "waitlist_invited": EmailKind(
        "Waitlist: invitation", ("invite_url", "leave_url", "product?", "until?"), "when there is room", "who waits", LINK
    ),
    "waitlist_note": EmailKind(
        "Waitlist: note to staff", ("email", "product?", "waiting?"), "for each entry on the waitlist", STAFF,
        "The waitlist in the console shows it.",
    ),
}  # fmt: skip
KEYCLOAK_KIND = EmailKind(
    "Set your password", (), "by Keycloak", not_again="Keycloak wrote it. Use “Send password email” on the subscriber's page."
)  # fmt: skip
UNKNOWN = EmailKind("", (), "", not_again="Its text does not exist any more.")


def kind_of(template: str) -> EmailKind:
    """What is known of an email by the name in its row, which may be Keycloak's, or one of a former version."""
    return EMAILS.get(template, KEYCLOAK_KIND if template == KEYCLOAK_TEMPLATE else UNKNOWN)


def email_title(template: str) -> str:
    """The name of an email as staff read it."""
    return kind_of(template).title or template.replace("_", " ").capitalize()


SAMPLES: dict[str, Any] = {
    "code": "493 027",
    "minutes": "10",
    "continue_url": "https://frontdesk.example.com/onboarding/account/?continue=fernet%3Aabc",
    "has_password": False,
    "code_url": "https://frontdesk.example.com/recovery/?code=fernet%3Aabc",
    "username": "nora",
    "first_name": "Nora",
    "apps": [{"name": "Nextcloud", "url": "https://cloud-1.example.com/?a=1&b=2", "instance": "Cloud 1"}],
    "order": [{"name": "Personal", "price": "€5 a month"}, {"name": "2 × 100 GB more", "price": "€3 a month"}],
    "renews": "3 January 2027",
    "trial_ends": "3 January 2027",
    "lapses": False,
    "closes": False,
    "next_amount": "€8",
    "paid": "€8",
    "paid_on": "3 December 2026",
    "invoice": "F4B2-0001",
    "invoice_pdf": "https://invoice.example.com/i/1/pdf?x=1&y=2",
    "terms_version": "1",
    "terms_link": "https://frontdesk.example.com/legal/terms/1/",
    "terms_accepted": "3 December 2026",
    "withdraw_until": "17 December 2026",
    "received": "3 December 2026, 14:05 UTC",
    "contract": "Personal, 2 × 100 GB more",
    "made_on": "3 December 2026",
    "ends_on": "3 January 2027",
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
    "object_url": "https://frontdesk.example.com/dashboard/objection/abc/",
    "product": "Nextcloud",
    "old_instance": "Cloud 1",
    "new_instance": "Cloud 2",
    "keep_days": "30",
    "until": "5 December 2026",
    "email": "nora@example.com",
    "waiting": "12",
    "payer": "Nora Lindt",
    "member": "Mia Lindt",
    "how": "left",
    "url": "https://frontdesk.example.com/onboarding/",
    "account": "bank account ending in 3000",
    "receipt": "1042",
    "why": "there wasn't enough money in the account",
}


LATE = {"sentence": "", "until": "10 December 2026"}  # who is in the grace days
# Where an email's value differs from the sample of all others.
OWN_SAMPLES: dict[str, dict[str, Any]] = {
    "welcome": {"trial_ends": ""},  # who has a trial without a card reads this instead of what comes next
    "payment_failed": LATE,
    "debit_refused": LATE,
    "shared_ended": {"final_date": "2 January 2027"},
    "refunded": {"sentence": "Your subscription is active."},
    "subscription_canceled": {"sentence": "You can come back until 2 January 2027.", "final_date": "2 January 2027"},
    "cancellation_scheduled": {"final_date": "2 January 2027"},
    "expiry_reminder": {"final_date": "2 January 2027"},
}


def sample_values(name: str) -> dict[str, Any]:
    """A value for each that the email can show."""
    names = [one.rstrip("?") for one in EMAILS[name].values]
    return {one: OWN_SAMPLES.get(name, {}).get(one, SAMPLES[one]) for one in names}
