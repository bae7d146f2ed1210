"""The copy of a person's data to read and print (GDPR, article 15): the rows of `privacy.export`, all of them, in plain words.

Promises: it holds what the JSON file holds and leaves out only what is empty; each table has a title and says what it is for.
"""

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import models

# Each table by its title and what it is; in the order of the copy.
SECTIONS: dict[str, tuple[str, str]] = {
    "auth.User": ("Your name", "How you are called here."),
    "accounts.UserProfile": ("Your subscription and access", "What you have, why, and until when."),
    "account.EmailAddress": ("Your email addresses", "Addresses that you have proven to be yours."),
    "socialaccount.SocialAccount": ("Your account", "What the login server says about you."),
    "usersessions.UserSession": ("Your logins", "Browsers in which you are logged in."),
    "accounts.Signup": ("Your signups", "What you entered when you signed up, and the terms you accepted."),
    "onboarding.WaitlistEntry": ("The waitlist", "Products for which you wait or have waited."),
    "billing.Subscription": ("Your subscriptions", "What Stripe, who collects your payments, says about them."),
    "billing.UserSubscriptionItem": ("What you pay for", "The lines of your subscription."),
    "accounts.Membership": ("Shared subscriptions", "For whom you pay, or who pays for you, and who was invited."),
    "billing.Discount": ("Your coupons", "Coupons you use or used, and until when."),
    "instances.Seat": ("Your seats", "Where your products run."),
    "instances.SeatWait": ("Seats you wait for", "Products that had no room when you paid."),
    "djstripe.Customer": ("You as a customer of Stripe", "Name and address for your invoices."),
    "djstripe.Subscription": ("Subscriptions, as Stripe has them", "The same as above, in full."),
    "djstripe.Invoice": ("Your invoices", "What you were asked to pay."),
    "djstripe.Charge": ("Your payments", "What was taken, and what was given back."),
    "djstripe.PaymentMethod": ("Your cards and accounts", "How you pay. The whole number is at Stripe alone."),
    "notifications.Notification": ("Emails to you", "What we wrote to you, and whether it arrived."),
    "access.AccessOverride": ("Decisions about your access", "What staff decided, and why."),
    "access.TermsChange": ("Terms of your own", "Where other terms hold for you than for all."),
    "accounts.StaffNote": ("Notes about you", "What staff noted."),
    "accounts.PrivacyRequest": ("Your privacy requests", "What you asked for, and what was answered."),
    "onboarding.AddressChange": ("Changes of your address", "Which address you had before, and when you changed it."),
    "operations.DataCopy": ("Copies of your data", "When you asked for one here, and until when it stays."),
    "accounts.LegalHold": ("Legal holds", "Why your data has to be kept."),
    "accounts.ErasureAttempt": ("Attempts to erase", "When your data was to go, and why it stayed."),
    "operations.ApprovalRequest": ("Decisions by two people", "What staff asked another one to approve about you."),
    "core.AuditEntry": ("What was done", "Each change to your subscription and access, and who made it."),
    "core.AttentionItem": ("What needed attention", "Problems that staff had to look at."),
    "access.HeldBackLoss": ("Losses held back", "Access that you kept while changes were stopped."),
    "access.LastSync": ("The last check of your access", "What it changed."),
    "operations.Drift": ("Differences", "Where the login server did not say what it should."),
    "operations.SeatMove": ("Moves of your seats", "Where your products were to run instead, and what you answered."),
    "operations.SyncResult": ("Checks in bulk", "What a check of many people changed for you."),
    "operations.TermsPreviewPerson": (
        "Previews of terms",
        "What changed terms would have done for you, before they were saved.",
    ),
    "operations.TermsPreview": ("Previews of your own terms", "Terms considered for you alone."),
    "core.Job": ("Work in the background", "What the system did for you, step by step."),
    "billing.InboundEvent": ("Messages from Stripe", "What Stripe told us about you."),
    "admin.LogEntry": ("Changes by hand", "Is always empty: the list above has them."),
}


@dataclass(frozen=True)
class CopySection:
    """One table: its rows, each as names and values."""

    title: str
    about: str
    rows: tuple[tuple[tuple[str, str], ...], ...]


@dataclass(frozen=True)
class PersonalCopy:
    """`empty`: titles of the tables that hold nothing about the person."""

    sections: tuple[CopySection, ...]
    empty: tuple[str, ...]
    kept: tuple[tuple[str, int], ...]


def compose(exported: dict[str, list[dict[str, Any]]]) -> PersonalCopy:
    """The copy of what `privacy.export` found."""
    order = {label: number for number, label in enumerate(SECTIONS)}
    labels = sorted(exported, key=lambda label: order.get(label, len(order)))
    filled = [label for label in labels if exported[label]]
    return PersonalCopy(
        sections=tuple(CopySection(*_title(one), _rows(one, exported[one])) for one in filled),
        empty=tuple(_title(one)[0] for one in labels if not exported[one]),
        kept=tuple(_retention()),
    )


@cache
def _models() -> dict[str, type[models.Model]]:
    return {one._meta.label: one for one in apps.get_models()}


def _retention() -> Iterator[tuple[str, int]]:
    """How many days what is kept, in the words of a customer."""
    named = {
        "expired_customers": "All about you, after your seat is gone for good", "emails": "Emails", "events": "Messages from Stripe",
        "jobs": "Work in the background", "left_waitlist": "Places on the waitlist, once you have left it",
    }  # fmt: skip
    for name, words in named.items():
        yield words, settings.RETENTION[name]


def _title(label: str) -> tuple[str, str]:
    plain = str(_models()[label]._meta.verbose_name_plural).capitalize()
    return SECTIONS.get(label, (plain, ""))


def _rows(label: str, rows: list[dict[str, Any]]) -> tuple[tuple[tuple[str, str], ...], ...]:
    fields = {one.attname: one for one in _models()[label]._meta.concrete_fields}
    return tuple(tuple(_values(fields, row)) for row in rows)


def _values(fields: dict[str, models.Field[Any, Any]], row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in row.items():
        if value in (None, "", [], {}):
            continue
        yield str(fields[name].verbose_name).capitalize(), _in_words(fields[name], value)


def _in_words(field: models.Field[Any, Any], value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (dict, list)):
        return json.dumps(value, indent=2, ensure_ascii=False)
    if isinstance(field, models.DateTimeField):
        return f"{dt.datetime.fromisoformat(value).astimezone(dt.UTC):%-d %b %Y, %H:%M} UTC"
    if field.choices:
        return str(dict(field.flatchoices).get(value, value))
    return str(value)
